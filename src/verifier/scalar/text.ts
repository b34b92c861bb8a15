/**
 * Scalars in the verifier's log, in the notation of Linux 6.18 (`kernel/bpf/log.c`): small numbers in decimal, others in
 * hex; bounds that say nothing are left out, equal ones share a number.
 */
import { S64_MAX, S64_MIN } from './pair.js';
import {
  constValue,
  isConst,
  isTnumUnknown,
  type Scalar,
  smax,
  smin,
  type Tnum,
  tnumMask,
  tnumValue,
  umax,
  umin,
} from './scalar.js';

const asIntN = BigInt.asIntN;
const asUintN = BigInt.asUintN;
const U64_MAX = 2n ** 64n - 1n;

const isSmallSigned = (x: bigint): boolean => x >= -0x8000n && x <= 0x7fffn;

/** An unsigned number: decimal up to 65535, else hex. */
export const unumText = (x: bigint): string => (x <= 0xffffn ? `${x}` : `0x${x.toString(16)}`);

/** A signed number: decimal where it fits 16 bits, else the hex of its 64-bit pattern. */
export const snumText = (x: bigint): string =>
  isSmallSigned(x) ? `${x}` : `0x${asUintN(64, x).toString(16)}`;

/** Known bits: a number, or `(value; mask)`. */
export function tnumText(t: Tnum): string {
  const value = tnumValue(t);
  return isConst(t) ? unumText(value) : `(0x${value.toString(16)}; 0x${tnumMask(t).toString(16)})`;
}

interface Bound {
  readonly name: string;
  readonly signed: boolean;
  /** As Linux compares and prints it: modulo 2^64, 32-bit signed ones sign-extended only if printed in decimal. */
  readonly value: bigint;
  omit: boolean;
}

function bound32(name: string, x: number, omitted: number): Bound {
  const value = BigInt(x);
  return {
    name,
    signed: true,
    value: isSmallSigned(value) ? value : asUintN(32, value),
    omit: x === omitted,
  };
}

/** `smin=…,umax=…`, empty if every bound is omitted. */
export function rangesText(s: Scalar): string {
  const low = smin(s);
  const high = smax(s);
  const least = umin(s);
  const most = umax(s);
  const bounds: Bound[] = [
    { name: 'smin', signed: true, value: low, omit: low === S64_MIN },
    { name: 'smax', signed: true, value: high, omit: high === S64_MAX },
    { name: 'umin', signed: false, value: least, omit: least === 0n },
    { name: 'umax', signed: false, value: most, omit: most === U64_MAX },
    bound32('smin32', s.s32Min, -0x80000000),
    bound32('smax32', s.s32Max, 0x7fffffff),
    { name: 'umin32', signed: false, value: BigInt(s.u32Min >>> 0), omit: s.u32Min === 0 },
    { name: 'umax32', signed: false, value: BigInt(s.u32Max >>> 0), omit: s.u32Max === -1 },
  ];
  const parts: string[] = [];
  bounds.forEach((bound, i) => {
    if (bound.omit) return;
    let text = `${bound.name}=`;
    for (let j = i + 2; j < bounds.length; j += 2) {
      const other = bounds[j]!;
      if (other.omit || !sameNumber(bound, other)) continue;
      other.omit = true;
      text += `${other.name}=`;
    }
    parts.push(text + (bound.signed ? snumText(asIntN(64, bound.value)) : unumText(bound.value)));
  });
  return parts.join(',');
}

/** The same 64-bit pattern, and both negative or neither, as each would be read. */
function sameNumber(a: Bound, b: Bound): boolean {
  if (asUintN(64, a.value) !== asUintN(64, b.value)) return false;
  return (a.signed && a.value < 0n) === (b.signed && b.value < 0n);
}

/** What follows the attributes in the brackets of any register with a variable part: ranges, then the known bits. */
export function variableText(s: Scalar): string {
  const ranges = rangesText(s);
  if (isTnumUnknown(s)) return ranges;
  const bits = `var_off=${tnumText(s)}`;
  return ranges === '' ? bits : `${ranges},${bits}`;
}

/** A scalar register: its number, or `scalar(…)` with `attributes` (such as `id=1`) first. */
export function scalarText(s: Scalar, attributes = ''): string {
  if (isConst(s)) return snumText(asIntN(64, constValue(s)));
  const variable = variableText(s);
  return `scalar(${attributes}${attributes !== '' && variable !== '' ? ',' : ''}${variable})`;
}
