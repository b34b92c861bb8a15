/** `bpf_strtol` and `bpf_strtoul`. Models `__bpf_strtoull` in kernel/bpf/helpers.c of Linux 6.18. */
import { Errno } from '../../../abi/errno.js';
import type { HelperCall } from '../../../vm/index.js';
import type { Machine } from '../../machine.js';
import { EINVAL, flagsArg, sizeArg } from './table.js';

const BASES: readonly number[] = [0, 8, 10, 16];
const U64 = 1n << 64n;
const S64_MAX = (1n << 63n) - 1n;

interface Parsed {
  readonly value: bigint;
  readonly negative: boolean;
  /** Bytes consumed. */
  readonly used: number;
}

export function parseLong(kernel: Machine, call: HelperCall): number {
  const result = call.pointer(4, 8, true);
  const parsed = parse(kernel, call);
  if (typeof parsed === 'number') return parsed;
  const { value, negative } = parsed;
  if (value > (negative ? S64_MAX + 1n : S64_MAX)) return -Errno.ERANGE;
  kernel.memory.view.setBigInt64(result, BigInt.asIntN(64, negative ? -value : value), true);
  return parsed.used;
}

export function parseUnsigned(kernel: Machine, call: HelperCall): number {
  const result = call.pointer(4, 8, true);
  const parsed = parse(kernel, call);
  if (typeof parsed === 'number') return parsed;
  if (parsed.negative) return -EINVAL;
  kernel.memory.view.setBigUint64(result, parsed.value, true);
  return parsed.used;
}

function parse(kernel: Machine, call: HelperCall): Parsed | number {
  const size = sizeArg(call, 2);
  const base = flagsArg(call, 3);
  if (size === 0 || !BASES.includes(base)) return -EINVAL;
  const at = call.pointer(1, size);
  return parseText(Buffer.from(kernel.memory.u8.subarray(at, at + size)).toString('latin1'), base);
}

function parseText(text: string, flagBase: number): Parsed | number {
  const space = /^[ \t\n\v\f\r]*/.exec(text)![0].length;
  let at = space;
  const negative = text[at] === '-';
  if (negative) at++;
  let base = flagBase;
  if (base === 0) {
    if (text[at] === '0') base = /^0x[0-9a-f]/i.test(text.slice(at)) ? 16 : 8;
    else base = 10;
  }
  if (base === 16 && /^0x/i.test(text.slice(at))) at += 2;
  const digits = digitsAt(text, at, base);
  if (digits === '') return -EINVAL;
  let value = 0n;
  for (const digit of digits) value = value * BigInt(base) + BigInt(Number.parseInt(digit, 16));
  return value >= U64 ? -Errno.ERANGE : { value, negative, used: at + digits.length };
}

function digitsAt(text: string, at: number, base: number): string {
  const pattern = base === 8 ? /^[0-7]*/ : base === 10 ? /^[0-9]*/ : /^[0-9a-f]*/i;
  return pattern.exec(text.slice(at))![0];
}
