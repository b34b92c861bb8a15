/**
 * Reads of memory that may not be there: a fault gives -EFAULT and a zeroed destination. Models kernel/trace/bpf_trace.c
 * and mm/maccess.c of Linux 6.18 on x86-64, where user and kernel addresses never overlap.
 */
import { Errno } from '../../../abi/errno.js';
import type { HelperCall } from '../../../vm/index.js';
import type { Machine } from '../../machine.js';
import { EFAULT, type HelperTable, plainHelpers, sizeArg } from './table.js';

/** Which addresses a read may go to. */
export type Space = 'kernel' | 'user' | 'any';

export function probeReadHelpers(kernel: Machine): HelperTable {
  return plainHelpers({
    probe_read: (call) => read(kernel, call, 'any'),
    probe_read_kernel: (call) => read(kernel, call, 'kernel'),
    probe_read_user: (call) => read(kernel, call, 'user'),
    copy_from_user: (call) => (sizeArg(call, 2) === 0 ? 0 : read(kernel, call, 'user')),
    probe_read_str: (call) => readString(kernel, call, 'any'),
    probe_read_kernel_str: (call) => readString(kernel, call, 'kernel'),
    probe_read_user_str: (call) => readString(kernel, call, 'user'),
  });
}

/** `size` bytes from an address; undefined where they are not all there. */
export function readMemory(
  kernel: Machine,
  call: HelperCall,
  address: bigint,
  size: number,
  space: Space,
): Uint8Array | undefined {
  const low = Number(address & 0xffffffffn);
  if (readableAt(kernel, call, low, Number(address >> 32n) | 0, size, space) < size) return undefined;
  return kernel.memory.u8.slice(low, low + size);
}

/** A text from an address, at most `size` bytes with its NUL, cut where it is longer; undefined where it cannot be read. */
export function readText(
  kernel: Machine,
  call: HelperCall,
  address: bigint,
  size: number,
  space: Space,
): Uint8Array | undefined {
  const low = Number(address & 0xffffffffn);
  const count = readableAt(kernel, call, low, Number(address >> 32n) | 0, size, space);
  const bytes = kernel.memory.u8.slice(low, low + count);
  const end = bytes.indexOf(0);
  if (end >= 0) return bytes.subarray(0, end + 1);
  if (count < size || size === 0) return undefined;
  bytes[size - 1] = 0;
  return bytes;
}

/** Bytes readable from the address in register `n` on, up to `wanted`. */
function readable(kernel: Machine, call: HelperCall, n: number, wanted: number, space: Space): number {
  return readableAt(kernel, call, call.argU32(n), call.i32[2 * n + 1]!, wanted, space);
}

function readableAt(
  kernel: Machine,
  call: HelperCall,
  low: number,
  high: number,
  wanted: number,
  space: Space,
): number {
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
  const never = refusalOf(call, space);
  if (size === 0) return never;
  const to = call.pointer(1, size, true);
  const { u8 } = kernel.memory;
  if (never !== 0 || readable(kernel, call, 3, size, space) < size) {
    u8.fill(0, to, to + size);
    return never === 0 ? -EFAULT : never;
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
    return refusalOf(call, space) || -EFAULT;
  }
  const length = end < 0 ? size : end + 1;
  u8.copyWithin(to, from, from + length);
  u8[to + length - 1] = 0;
  return length;
}

/** High and low half of TASK_SIZE, the end of user addresses; and of the one page above the modules that is no memory. */
const TASK_SIZE_HIGH = 0x7fff;
const TASK_SIZE_LOW = 0xffff_f000;
const VSYSCALL_PAGE = 0xff60_0000;
const PAGE_MASK = 0xffff_f000;
/** High half of the lowest canonical address of the kernel, as a signed number. */
const KERNEL_HIGH = 0xffff_8000 | 0;

/** Why the address in r3 is not even tried, whatever is there and however little is wanted; 0 where it is. */
function refusalOf(call: HelperCall, space: Space): number {
  const low = call.argU32(3);
  const high = call.i32[7]!;
  const beyond = high - TASK_SIZE_HIGH || low - TASK_SIZE_LOW;
  const isUser = high >= 0 && beyond < 0;
  // a read of a size may begin where user addresses end: nothing is wanted there, or it fails
  if (space === 'user') return isUser || beyond === 0 ? 0 : -EFAULT;
  if (space === 'any' && isUser) return 0;
  const isVsyscall = high === -1 && (low & PAGE_MASK) >>> 0 === VSYSCALL_PAGE;
  return high < 0 && high >= KERNEL_HIGH && !isVsyscall ? 0 : -Errno.ERANGE;
}
