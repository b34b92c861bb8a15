/**
 * The abstract value of a register: a tnum (known bits) and four ranges, as `struct bpf_reg_state` of Linux 6.18
 * has them (`var_off`, `smin_value` … `u32_max_value`). Every field is an int32 pattern, see `pair.ts`; whoever is
 * not hot uses the accessors, which speak `bigint`.
 */
import {
  fromBigInt,
  hi,
  INT32_MAX,
  INT32_MIN,
  lo,
  slt,
  toBigInt,
  toUnsignedBigInt,
  ule32,
  ult,
} from './pair.js';

/** Known bits: where `mask` is 0, `value` is the bit; where `mask` is 1, the bit is unknown and `value` 0. */
export class Tnum {
  valueLo = 0;
  valueHi = 0;
  maskLo = 0;
  maskHi = 0;
}

/** A scalar, or the variable part of a pointer's offset. A new one is the constant 0. */
export class Scalar extends Tnum {
  sminLo = 0;
  sminHi = 0;
  smaxLo = 0;
  smaxHi = 0;
  uminLo = 0;
  uminHi = 0;
  umaxLo = 0;
  umaxHi = 0;
  s32Min = 0;
  s32Max = 0;
  u32Min = 0;
  u32Max = 0;
}

/** All fields of `src` into `dst`; what a subclass adds is not touched. */
export function copyScalar(dst: Scalar, src: Scalar): void {
  dst.valueLo = src.valueLo;
  dst.valueHi = src.valueHi;
  dst.maskLo = src.maskLo;
  dst.maskHi = src.maskHi;
  dst.sminLo = src.sminLo;
  dst.sminHi = src.sminHi;
  dst.smaxLo = src.smaxLo;
  dst.smaxHi = src.smaxHi;
  dst.uminLo = src.uminLo;
  dst.uminHi = src.uminHi;
  dst.umaxLo = src.umaxLo;
  dst.umaxHi = src.umaxHi;
  dst.s32Min = src.s32Min;
  dst.s32Max = src.s32Max;
  dst.u32Min = src.u32Min;
  dst.u32Max = src.u32Max;
}

/** The constant with these halves, known in every domain (`___mark_reg_known`). */
export function setConstPair(s: Scalar, high: number, low: number): void {
  s.valueLo = low;
  s.valueHi = high;
  s.maskLo = 0;
  s.maskHi = 0;
  s.sminLo = low;
  s.sminHi = high;
  s.smaxLo = low;
  s.smaxHi = high;
  s.uminLo = low;
  s.uminHi = high;
  s.umaxLo = low;
  s.umaxHi = high;
  s.s32Min = low;
  s.s32Max = low;
  s.u32Min = low;
  s.u32Max = low;
}

/** The constant `value`: a bigint modulo 2^64, or a signed 32-bit number, sign-extended as immediates are. */
export function setConst(s: Scalar, value: bigint | number): void {
  if (typeof value === 'number') {
    setConstPair(s, value < 0 ? -1 : 0, value | 0);
  } else {
    fromBigInt(value);
    setConstPair(s, hi, lo);
  }
}

/** The constant of an unsigned 32-bit immediate, zero-extended (`mov32`). */
export function setConst32(s: Scalar, imm: number): void {
  setConstPair(s, 0, imm | 0);
}

/** Only the low half becomes known (`__mark_reg32_known`). */
export function setSubregConst(s: Scalar, low: number): void {
  s.valueLo = low;
  s.maskLo = 0;
  s.s32Min = low;
  s.s32Max = low;
  s.u32Min = low;
  s.u32Max = low;
}

export function unbound64(s: Scalar): void {
  s.sminLo = 0;
  s.sminHi = INT32_MIN;
  s.smaxLo = -1;
  s.smaxHi = INT32_MAX;
  s.uminLo = 0;
  s.uminHi = 0;
  s.umaxLo = -1;
  s.umaxHi = -1;
}

export function unbound32(s: Scalar): void {
  s.s32Min = INT32_MIN;
  s.s32Max = INT32_MAX;
  s.u32Min = 0;
  s.u32Max = -1;
}

/** No range is known; the tnum stays (`__mark_reg_unbounded`). */
export function setUnbounded(s: Scalar): void {
  unbound64(s);
  unbound32(s);
}

/** Nothing is known. */
export function setUnknown(s: Scalar): void {
  s.valueLo = 0;
  s.valueHi = 0;
  s.maskLo = -1;
  s.maskHi = -1;
  unbound64(s);
  unbound32(s);
}

/** `tnum_is_const(var_off)`, over 64 bits and over the low 32. */
export const isConst = (s: Tnum): boolean => (s.maskLo | s.maskHi) === 0;
export const isSubregConst = (s: Tnum): boolean => s.maskLo === 0;
/** `tnum_is_unknown(var_off)`. */
export const isTnumUnknown = (s: Tnum): boolean => (s.maskLo & s.maskHi) === -1;
/** Known to be `value`, a small whole number (`tnum_equals_const`). */
export const isConstEqual = (s: Tnum, value: number): boolean =>
  isConst(s) && s.valueLo === (value | 0) && s.valueHi === (value < 0 ? -1 : 0);
export const isZero = (s: Tnum): boolean => (s.maskLo | s.maskHi | s.valueLo | s.valueHi) === 0;

/** Known in the tnum and in all ranges alike: what every operation on constants may assume. */
export function isFixed(s: Scalar): boolean {
  const { valueLo: low, valueHi: high } = s;
  return (
    (s.maskLo | s.maskHi) === 0 &&
    ((s.sminLo ^ low) | (s.smaxLo ^ low) | (s.uminLo ^ low) | (s.umaxLo ^ low)) === 0 &&
    ((s.sminHi ^ high) | (s.smaxHi ^ high) | (s.uminHi ^ high) | (s.umaxHi ^ high)) === 0 &&
    ((s.s32Min ^ low) | (s.s32Max ^ low) | (s.u32Min ^ low) | (s.u32Max ^ low)) === 0
  );
}

/** Value of a constant, unsigned; over the low 32 bits with `is32` (`reg_const_value`). */
export const constValue = (s: Tnum, is32 = false): bigint =>
  is32 ? BigInt(s.valueLo >>> 0) : toUnsignedBigInt(s.valueHi, s.valueLo);
export const isConstAt = (s: Tnum, is32: boolean): boolean => (is32 ? isSubregConst(s) : isConst(s));

/** Bounds, for logs and explanations. */
export const smin = (s: Scalar): bigint => toBigInt(s.sminHi, s.sminLo);
export const smax = (s: Scalar): bigint => toBigInt(s.smaxHi, s.smaxLo);
export const umin = (s: Scalar): bigint => toUnsignedBigInt(s.uminHi, s.uminLo);
export const umax = (s: Scalar): bigint => toUnsignedBigInt(s.umaxHi, s.umaxLo);
export const s32min = (s: Scalar): number => s.s32Min;
export const s32max = (s: Scalar): number => s.s32Max;
export const u32min = (s: Scalar): number => s.u32Min >>> 0;
export const u32max = (s: Scalar): number => s.u32Max >>> 0;
export const tnumValue = (s: Tnum): bigint => toUnsignedBigInt(s.valueHi, s.valueLo);
export const tnumMask = (s: Tnum): bigint => toUnsignedBigInt(s.maskHi, s.maskLo);

/** The same state of knowledge, field by field. */
export function equalScalar(a: Scalar, b: Scalar): boolean {
  return (
    a.valueLo === b.valueLo &&
    a.valueHi === b.valueHi &&
    a.maskLo === b.maskLo &&
    a.maskHi === b.maskHi &&
    a.sminLo === b.sminLo &&
    a.sminHi === b.sminHi &&
    a.smaxLo === b.smaxLo &&
    a.smaxHi === b.smaxHi &&
    a.uminLo === b.uminLo &&
    a.uminHi === b.uminHi &&
    a.umaxLo === b.umaxLo &&
    a.umaxHi === b.umaxHi &&
    a.s32Min === b.s32Min &&
    a.s32Max === b.s32Max &&
    a.u32Min === b.u32Min &&
    a.u32Max === b.u32Max
  );
}

/** Every range of `cur` lies in the same range of `old` (`range_within`). */
export function rangeWithin(old: Scalar, cur: Scalar): boolean {
  return (
    !ult(cur.uminHi, cur.uminLo, old.uminHi, old.uminLo) &&
    !ult(old.umaxHi, old.umaxLo, cur.umaxHi, cur.umaxLo) &&
    !slt(cur.sminHi, cur.sminLo, old.sminHi, old.sminLo) &&
    !slt(old.smaxHi, old.smaxLo, cur.smaxHi, cur.smaxLo) &&
    ule32(old.u32Min, cur.u32Min) &&
    ule32(cur.u32Max, old.u32Max) &&
    old.s32Min <= cur.s32Min &&
    old.s32Max >= cur.s32Max
  );
}

/** Every value `cur` may have, `old` may have, too (`tnum_in`). */
export function tnumIn(old: Tnum, cur: Tnum): boolean {
  return (
    (cur.maskLo & ~old.maskLo) === 0 &&
    (cur.maskHi & ~old.maskHi) === 0 &&
    old.valueLo === (cur.valueLo & ~old.maskLo) &&
    old.valueHi === (cur.valueHi & ~old.maskHi)
  );
}

/** For pruning: `old` covers `cur` in ranges and known bits. */
export const within = (old: Scalar, cur: Scalar): boolean =>
  old === cur || (rangeWithin(old, cur) && tnumIn(old, cur));
