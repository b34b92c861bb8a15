/**
 * The variable part of a pointer's offset under addition and subtraction (`adjust_ptr_min_max_vals` of Linux 6.18), and the
 * comparisons of bounds with plain numbers that memory checks need.
 */
import { syncBounds } from './bounds.js';
import { borrow, carry, INT32_MAX, INT32_MIN, slt, toNumber, toUnsignedNumber, ult } from './pair.js';
import { isConst, type Scalar, unbound32 } from './scalar.js';
import { tnumAdd, tnumSub } from './tnum.js';

/** Whether an offset's bounds contradict themselves; pointer arithmetic then yields an unknown scalar. */
export function hasInvalidOffset(off: Scalar): boolean {
  return (
    (isConst(off) &&
      (off.sminLo !== off.smaxLo ||
        off.sminHi !== off.smaxHi ||
        off.uminLo !== off.umaxLo ||
        off.uminHi !== off.umaxHi)) ||
    slt(off.smaxHi, off.smaxLo, off.sminHi, off.sminLo) ||
    ult(off.umaxHi, off.umaxLo, off.uminHi, off.uminLo)
  );
}

/** `dst = ptr + off`, then deduction. `dst` may be either operand. */
export function addPointerOffset(dst: Scalar, ptr: Scalar, off: Scalar): void {
  const sminLo = (ptr.sminLo + off.sminLo) | 0;
  const sminHi = (ptr.sminHi + off.sminHi + carry(sminLo, ptr.sminLo)) | 0;
  const smaxLo = (ptr.smaxLo + off.smaxLo) | 0;
  const smaxHi = (ptr.smaxHi + off.smaxHi + carry(smaxLo, ptr.smaxLo)) | 0;
  const overflow =
    ((sminHi ^ ptr.sminHi) & (sminHi ^ off.sminHi)) | ((smaxHi ^ ptr.smaxHi) & (smaxHi ^ off.smaxHi));
  const uminLo = (ptr.uminLo + off.uminLo) | 0;
  const uminHi = (ptr.uminHi + off.uminHi + carry(uminLo, ptr.uminLo)) | 0;
  const umaxLo = (ptr.umaxLo + off.umaxLo) | 0;
  const umaxHi = (ptr.umaxHi + off.umaxHi + carry(umaxLo, ptr.umaxLo)) | 0;
  const wraps = ult(uminHi, uminLo, ptr.uminHi, ptr.uminLo) || ult(umaxHi, umaxLo, ptr.umaxHi, ptr.umaxLo);
  tnumAdd(dst, ptr, off);
  setSigned(dst, overflow < 0, sminHi, sminLo, smaxHi, smaxLo);
  setUnsigned(dst, wraps, uminHi, uminLo, umaxHi, umaxLo);
  unbound32(dst);
  syncBounds(dst);
}

/** `dst = ptr - off`, then deduction. */
export function subPointerOffset(dst: Scalar, ptr: Scalar, off: Scalar): void {
  const sminLo = (ptr.sminLo - off.smaxLo) | 0;
  const sminHi = (ptr.sminHi - off.smaxHi - borrow(ptr.sminLo, off.smaxLo)) | 0;
  const smaxLo = (ptr.smaxLo - off.sminLo) | 0;
  const smaxHi = (ptr.smaxHi - off.sminHi - borrow(ptr.smaxLo, off.sminLo)) | 0;
  const overflow =
    ((ptr.sminHi ^ off.smaxHi) & (ptr.sminHi ^ sminHi)) | ((ptr.smaxHi ^ off.sminHi) & (ptr.smaxHi ^ smaxHi));
  const wraps = ult(ptr.uminHi, ptr.uminLo, off.umaxHi, off.umaxLo);
  const uminLo = (ptr.uminLo - off.umaxLo) | 0;
  const uminHi = (ptr.uminHi - off.umaxHi - borrow(ptr.uminLo, off.umaxLo)) | 0;
  const umaxLo = (ptr.umaxLo - off.uminLo) | 0;
  const umaxHi = (ptr.umaxHi - off.uminHi - borrow(ptr.umaxLo, off.uminLo)) | 0;
  tnumSub(dst, ptr, off);
  setSigned(dst, overflow < 0, sminHi, sminLo, smaxHi, smaxLo);
  setUnsigned(dst, wraps, uminHi, uminLo, umaxHi, umaxLo);
  unbound32(dst);
  syncBounds(dst);
}

function setSigned(
  s: Scalar,
  lost: boolean,
  minHi: number,
  minLo: number,
  maxHi: number,
  maxLo: number,
): void {
  s.sminLo = lost ? 0 : minLo;
  s.sminHi = lost ? INT32_MIN : minHi;
  s.smaxLo = lost ? -1 : maxLo;
  s.smaxHi = lost ? INT32_MAX : maxHi;
}

function setUnsigned(
  s: Scalar,
  lost: boolean,
  minHi: number,
  minLo: number,
  maxHi: number,
  maxLo: number,
): void {
  s.uminLo = lost ? 0 : minLo;
  s.uminHi = lost ? 0 : minHi;
  s.umaxLo = lost ? -1 : maxLo;
  s.umaxHi = lost ? -1 : maxHi;
}

/** Bounds as numbers: exact up to 2^53, beyond that rounded, so still good for comparisons with small limits. */
export const sminNumber = (s: Scalar): number => toNumber(s.sminHi, s.sminLo);
export const smaxNumber = (s: Scalar): number => toNumber(s.smaxHi, s.smaxLo);
export const uminNumber = (s: Scalar): number => toUnsignedNumber(s.uminHi, s.uminLo);
export const umaxNumber = (s: Scalar): number => toUnsignedNumber(s.umaxHi, s.umaxLo);
/** Value of a constant as a number, signed and unsigned. */
export const constNumber = (s: Scalar): number => toNumber(s.valueHi, s.valueLo);
export const constUnsignedNumber = (s: Scalar): number => toUnsignedNumber(s.valueHi, s.valueLo);

/** Signed range lies within `min` to `max`, both of magnitude up to 2^53. */
export const fitsIn = (s: Scalar, min: number, max: number): boolean =>
  sminNumber(s) >= min && smaxNumber(s) <= max;

const clz32 = Math.clz32;

/** Bits the greatest unsigned value takes, 0–64 (`get_reg_width`). */
export const bitWidth = (s: Scalar): number => (s.umaxHi !== 0 ? 64 - clz32(s.umaxHi) : 32 - clz32(s.umaxLo));
