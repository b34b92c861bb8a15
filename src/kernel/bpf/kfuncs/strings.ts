/**
 * Kernel functions on strings that may not be there: a fault is -EFAULT, an address that is not the kernel's -ERANGE, more
 * than 64 KiB -E2BIG, what is not found -ENOENT. Models `__bpf_strcasecmp` and its kin (kernel/bpf/helpers.c, Linux 6.18).
 */
import { Errno } from '../../../abi/errno.js';
import type { HelperCall } from '../../../vm/index.js';
import type { Machine } from '../../machine.js';
import { E2BIG, EFAULT, ENOENT } from '../helpers/table.js';
import type { KfuncTable } from './table.js';

/** XATTR_SIZE_MAX. */
const MAX_STRING = 65536;

type Text = { readonly at: (i: number) => number };

/** Thrown by a read that faults; its errno is what the function returns. */
class Unreadable {
  constructor(readonly errno: number) {}
}

export function stringKfuncs(kernel: Machine): KfuncTable {
  const text = (call: HelperCall, n: number): Text => {
    const address = call.arg(n);
    if (address >> 63n === 0n) throw new Unreadable(-Errno.ERANGE);
    const checked = call.execution.program.checked;
    return {
      at(i) {
        const at = kernel.memory.offsetOf(address + BigInt(i), 1);
        if (at < 0 || (checked && !kernel.memory.allows(at, 1, false))) throw new Unreadable(-EFAULT);
        return kernel.memory.u8[at]!;
      },
    };
  };
  const guarded = (body: (call: HelperCall) => number) => (call: HelperCall) => {
    try {
      return body(call);
    } catch (error) {
      if (error instanceof Unreadable) return error.errno;
      throw error;
    }
  };
  const sizeOf = (call: HelperCall, n: number): number =>
    call.arg(n) > BigInt(MAX_STRING) ? MAX_STRING + 1 : Number(call.arg(n));
  const functions: Record<string, (call: HelperCall) => number> = {
    bpf_strcmp: (call) => compare(text(call, 1), text(call, 2), false),
    bpf_strcasecmp: (call) => compare(text(call, 1), text(call, 2), true),
    bpf_strlen: (call) => length(text(call, 1), Number.POSITIVE_INFINITY),
    bpf_strnlen: (call) => length(text(call, 1), sizeOf(call, 2)),
    bpf_strchr: (call) => find(text(call, 1), call.argU32(2) & 0xff, Number.POSITIVE_INFINITY, false),
    bpf_strnchr: (call) => find(text(call, 1), call.argU32(3) & 0xff, sizeOf(call, 2), false),
    bpf_strchrnul: (call) => find(text(call, 1), call.argU32(2) & 0xff, Number.POSITIVE_INFINITY, true),
    bpf_strrchr: (call) => findLast(text(call, 1), call.argU32(2) & 0xff),
    bpf_strspn: (call) => span(text(call, 1), text(call, 2), true),
    bpf_strcspn: (call) => span(text(call, 1), text(call, 2), false),
    bpf_strstr: (call) => search(text(call, 1), text(call, 2), Number.POSITIVE_INFINITY),
    bpf_strnstr: (call) => search(text(call, 1), text(call, 2), sizeOf(call, 3)),
  };
  return Object.fromEntries(Object.entries(functions).map(([name, body]) => [name, guarded(body)]));
}

const lower = (byte: number): number => (byte >= 65 && byte <= 90 ? byte + 32 : byte);

function compare(a: Text, b: Text, ignoreCase: boolean): number {
  for (let i = 0; i < MAX_STRING; i++) {
    const [x, y] = ignoreCase ? [lower(a.at(i)), lower(b.at(i))] : [a.at(i), b.at(i)];
    if (x !== y) return x < y ? -1 : 1;
    if (x === 0) return 0;
  }
  return -E2BIG;
}

function length(text: Text, count: number): number {
  for (let i = 0; i < MAX_STRING; i++) if (i === count || text.at(i) === 0) return i;
  return count <= MAX_STRING ? count : -E2BIG;
}

function find(text: Text, wanted: number, count: number, orEnd: boolean): number {
  for (let i = 0; i < MAX_STRING && i < count; i++) {
    const byte = text.at(i);
    if (byte === wanted) return i;
    if (byte === 0) return orEnd ? i : -ENOENT;
  }
  return count <= MAX_STRING ? -ENOENT : -E2BIG;
}

function findLast(text: Text, wanted: number): number {
  let last = -ENOENT;
  for (let i = 0; i < MAX_STRING; i++) {
    const byte = text.at(i);
    if (byte === wanted) last = i;
    if (byte === 0) return last;
  }
  return -E2BIG;
}

function span(text: Text, set: Text, accepted: boolean): number {
  for (let i = 0; i < MAX_STRING; i++) {
    const byte = text.at(i);
    if (byte === 0) return i;
    let found = false;
    let j = 0;
    for (; j < MAX_STRING; j++) {
      const other = set.at(j);
      if (other === 0) break;
      if (other === byte) {
        found = true;
        break;
      }
    }
    if (j === MAX_STRING) return -E2BIG;
    if (found !== accepted) return i;
  }
  return -E2BIG;
}

function search(text: Text, wanted: Text, count: number): number {
  for (let i = 0; i < MAX_STRING; i++) {
    let j = 0;
    for (; i + j <= count && j < MAX_STRING; j++) {
      const byte = wanted.at(j);
      if (byte === 0) return i;
      // A text that ends within cannot hold it any further on.
      if (i + j === count) break;
      const own = text.at(i + j);
      if (own === 0) return -ENOENT;
      if (own !== byte) break;
    }
    if (j === MAX_STRING) return -E2BIG;
    if (i + j === count) return -ENOENT;
  }
  return -E2BIG;
}
