/**
 * Reads of memory that may not be there: a fault gives -EFAULT and a zeroed destination. Models kernel/trace/bpf_trace.c
 * and mm/maccess.c of Linux 6.18 on x86-64, where user and kernel addresses never overlap.
 */
import { Errno } from '../../../abi/errno.js';
import type { HelperCall } from '../../../vm/index.js';
import type { Machine } from '../../machine.js';
import { EFAULT, type HelperTable, plainHelpers, sizeArg } from './table.js';

type Space = 'kernel' | 'user' | 'any';

export function probeReadHelpers(kernel: Machine): HelperTable {
  return plainHelpers({
    probe_read: (call) => read(kernel, call, 'any'),
    probe_read_kernel: (call) => read(kernel, call, 'kernel'),
    probe_read_user: (call) => read(kernel, call, 'user'),
    copy_from_user: (call) => read(kernel, call, 'user'),
    probe_read_str: (call) => readString(kernel, call, 'any'),
    probe_read_kernel_str: (call) => readString(kernel, call, 'kernel'),
    probe_read_user_str: (call) => readString(kernel, call, 'user'),
  });
}

/** Bytes readable from the address in register `n` on, up to `wanted`. */
function readable(kernel: Machine, call: HelperCall, n: number, wanted: number, space: Space): number {
  const low = call.argU32(n);
  const high = call.i32[2 * n + 1]!;
  if (high === 0) return space === 'kernel' ? 0 : Math.min(wanted, kernel.user.mappedFrom(low));
  if (space === 'user') return 0;
  const { memory } = kernel;
  if (memory.offsetOfHalves(low, high, wanted) >= 0 && reads(call, low, wanted)) return wanted;
  let count = 0;
  while (count < wanted && memory.offsetOfHalves(low + count, high) >= 0 && reads(call, low + count, 1))
    count++;
  return count;
}

function reads(call: HelperCall, offset: number, size: number): boolean {
  return !call.execution.program.checked || call.memory.allows(offset, size, false);
}

function read(kernel: Machine, call: HelperCall, space: Space): number {
  const size = sizeArg(call, 2);
  if (size === 0) return 0;
  const to = call.pointer(1, size, true);
  const { u8 } = kernel.memory;
  if (readable(kernel, call, 3, size, space) < size) {
    u8.fill(0, to, to + size);
    return faultOf(call, space);
  }
  const from = call.argU32(3);
  u8.copyWithin(to, from, from + size);
  return 0;
}

/** Length with the NUL; a string that does not fit is cut and ends with one. */
function readString(kernel: Machine, call: HelperCall, space: Space): number {
  const size = sizeArg(call, 2);
  if (size === 0) return 0;
  const to = call.pointer(1, size, true);
  const { u8 } = kernel.memory;
  const from = call.argU32(3);
  const count = readable(kernel, call, 3, size, space);
  const end = u8.subarray(from, from + count).indexOf(0);
  if (end < 0 && count < size) {
    u8.fill(0, to, to + size);
    return faultOf(call, space);
  }
  const length = end < 0 ? size : end + 1;
  u8.copyWithin(to, from, from + length);
  u8[to + length - 1] = 0;
  return length;
}

/** A kernel read does not even try an address that cannot be the kernel's. */
function faultOf(call: HelperCall, space: Space): number {
  return space === 'kernel' && call.i32[7]! >= 0 ? -Errno.ERANGE : -EFAULT;
}
