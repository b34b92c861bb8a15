/**
 * Ranges of shifts by a known amount below the width (Linux 6.18); anything else makes the result unknown, see
 * `alu.ts`. A 32-bit shift leaves the upper half to the zero extension that follows it.
 */
import { updateBounds, updateBounds32 } from './bounds.js';
import { hi, INT32_MAX, INT32_MIN, lo, sar, shl, shr, ult, ult32 } from './pair.js';
import { type Scalar, unbound32, unbound64 } from './scalar.js';
import { tnumCast, tnumSar, tnumSar32, tnumShl, tnumShr } from './tnum.js';

function shlRanges32(dst: Scalar, amount: number): void {
  dst.s32Min = INT32_MIN;
  dst.s32Max = INT32_MAX;
  if (amount > 31 || ult32(1 << (31 - amount), dst.u32Max)) {
    dst.u32Min = 0;
    dst.u32Max = -1;
  } else {
    dst.u32Min <<= amount;
    dst.u32Max <<= amount;
  }
}

function shlRanges64(dst: Scalar, amount: number): void {
  if (amount === 32) {
    // `<< 32, s>> 32` is how compilers sign-extend: the 32-bit range moves up with its sign.
    dst.smaxHi = dst.s32Max;
    dst.smaxLo = 0;
    dst.sminHi = dst.s32Min;
    dst.sminLo = 0;
  } else {
    dst.smaxHi = INT32_MAX;
    dst.smaxLo = -1;
    dst.sminHi = INT32_MIN;
    dst.sminLo = 0;
  }
  shl(0, 1, 63 - amount);
  if (ult(hi, lo, dst.umaxHi, dst.umaxLo)) {
    dst.uminLo = 0;
    dst.uminHi = 0;
    dst.umaxLo = -1;
    dst.umaxHi = -1;
    return;
  }
  shl(dst.uminHi, dst.uminLo, amount);
  dst.uminHi = hi;
  dst.uminLo = lo;
  shl(dst.umaxHi, dst.umaxLo, amount);
  dst.umaxHi = hi;
  dst.umaxLo = lo;
}

export function shlScalar32(dst: Scalar, amount: number): void {
  shlRanges32(dst, amount);
  tnumCast(dst, dst, 4);
  tnumShl(dst, dst, amount);
  tnumCast(dst, dst, 4);
  unbound64(dst);
  updateBounds32(dst);
}

export function shlScalar64(dst: Scalar, amount: number): void {
  shlRanges64(dst, amount);
  shlRanges32(dst, amount);
  tnumShl(dst, dst, amount);
  updateBounds(dst);
}

export function shrScalar32(dst: Scalar, amount: number): void {
  dst.s32Min = INT32_MIN;
  dst.s32Max = INT32_MAX;
  tnumCast(dst, dst, 4);
  tnumShr(dst, dst, amount);
  dst.u32Min = (dst.u32Min >>> amount) | 0;
  dst.u32Max = (dst.u32Max >>> amount) | 0;
  unbound64(dst);
  updateBounds32(dst);
}

export function shrScalar64(dst: Scalar, amount: number): void {
  dst.sminLo = 0;
  dst.sminHi = INT32_MIN;
  dst.smaxLo = -1;
  dst.smaxHi = INT32_MAX;
  tnumShr(dst, dst, amount);
  shr(dst.uminHi, dst.uminLo, amount);
  dst.uminHi = hi;
  dst.uminLo = lo;
  shr(dst.umaxHi, dst.umaxLo, amount);
  dst.umaxHi = hi;
  dst.umaxLo = lo;
  unbound32(dst);
  updateBounds(dst);
}

export function sarScalar32(dst: Scalar, amount: number): void {
  dst.s32Min >>= amount;
  dst.s32Max >>= amount;
  tnumSar32(dst, dst, amount);
  dst.u32Min = 0;
  dst.u32Max = -1;
  unbound64(dst);
  updateBounds32(dst);
}

export function sarScalar64(dst: Scalar, amount: number): void {
  sar(dst.sminHi, dst.sminLo, amount);
  dst.sminHi = hi;
  dst.sminLo = lo;
  sar(dst.smaxHi, dst.smaxLo, amount);
  dst.smaxHi = hi;
  dst.smaxLo = lo;
  tnumSar(dst, dst, amount);
  dst.uminLo = 0;
  dst.uminHi = 0;
  dst.umaxLo = -1;
  dst.umaxHi = -1;
  unbound32(dst);
  updateBounds(dst);
}
