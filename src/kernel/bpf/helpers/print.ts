/** Printing helpers. Models kernel/trace/bpf_trace.c and kernel/bpf/helpers.c of Linux 6.18. */
import type { HelperCall } from '../../../vm/index.js';
import { bpfPrintf, type PrintSource } from '../../lib/vsprintf.js';
import type { Machine } from '../../machine.js';
import { EINVAL, type HelperTable, plainHelpers, sizeArg } from './table.js';

/** Arguments of `bpf_trace_printk` come in r3 to r5. */
const TRACE_PRINTK_ARGS = 3;
const MAX_ARGS = 12;
/** Longest string that `%s` prints. */
const MAX_STRING = 512;
/** Longest format that is looked at. */
const MAX_FORMAT = 4096;

export function printHelpers(kernel: Machine): HelperTable {
  return plainHelpers({
    trace_printk(call) {
      const format = formatAt(kernel, call, 1, sizeArg(call, 2));
      if (format === undefined) return -EINVAL;
      return print(
        kernel,
        bpfPrintf(
          format,
          source(kernel, (n) => (n < TRACE_PRINTK_ARGS ? call.arg(3 + n) : undefined)),
        ),
      );
    },
    trace_vprintk(call) {
      const format = formatAt(kernel, call, 1, sizeArg(call, 2));
      const args = argArray(kernel, call, 3, sizeArg(call, 4));
      if (format === undefined || args === undefined) return -EINVAL;
      return print(kernel, bpfPrintf(format, args));
    },
    snprintf(call) {
      const size = sizeArg(call, 2);
      const to = size === 0 ? 0 : call.pointer(1, size, true);
      const args = argArray(kernel, call, 4, sizeArg(call, 5));
      if (args === undefined) return -EINVAL;
      const text = bpfPrintf(cString(kernel, call.pointer(3, 1)), args);
      if (typeof text === 'number') return text;
      writeString(kernel, to, size, text);
      return text.length + 1;
    },
  });
}

function print(kernel: Machine, text: string | number): number {
  if (typeof text === 'number') return text;
  // The trace buffer shows a line a call, with or without the newline that the program ends it with.
  kernel.tracePipe.print(text.replace(/\n$/, ''));
  return text.length;
}

/** A format of a known size has to end with a NUL. */
export function formatAt(kernel: Machine, call: HelperCall, n: number, size: number): string | undefined {
  if (size === 0) return undefined;
  const at = call.pointer(n, size);
  const bytes = kernel.memory.u8.subarray(at, at + size);
  const end = bytes.indexOf(0);
  return end < 0 ? undefined : Buffer.from(bytes.subarray(0, end)).toString('latin1');
}

/** Arguments in memory, 8 bytes each. */
export function argArray(
  kernel: Machine,
  call: HelperCall,
  n: number,
  size: number,
): PrintSource | undefined {
  if (size % 8 !== 0 || size > MAX_ARGS * 8) return undefined;
  const at = size === 0 ? 0 : call.pointer(n, size);
  return source(kernel, (i) =>
    i * 8 < size ? kernel.memory.view.getBigUint64(at + i * 8, true) : undefined,
  );
}

function source(kernel: Machine, arg: PrintSource['arg']): PrintSource {
  const { memory } = kernel;
  return {
    arg,
    string(address, space) {
      const user = address >> 32n === 0n;
      const room = user
        ? kernel.user.mappedFrom(Number(address))
        : memory.offsetOf(address) >= 0
          ? MAX_STRING
          : 0;
      if (room === 0 || (space === 'kernel' && user)) return '';
      return cString(kernel, Number(address & 0xffffffffn)).slice(0, Math.min(room, MAX_STRING - 1));
    },
    bytes(address, size) {
      const at = memory.offsetOf(address, size);
      return at < 0 ? undefined : memory.u8.slice(at, at + size);
    },
    symbol: (address) => `0x${address.toString(16)}`,
  };
}

export function cString(kernel: Machine, at: number): string {
  const bytes = kernel.memory.u8.subarray(at, Math.min(at + MAX_FORMAT, kernel.memory.u8.length));
  const end = bytes.indexOf(0);
  return Buffer.from(bytes.subarray(0, end < 0 ? bytes.length : end)).toString('latin1');
}

export function writeString(kernel: Machine, to: number, size: number, text: string): void {
  if (size === 0) return;
  const bytes = Buffer.from(text.slice(0, size - 1), 'latin1');
  kernel.memory.u8.set(bytes, to);
  kernel.memory.u8[to + bytes.length] = 0;
}
