/**
 * Ranges of sums, differences and products (`scalar_min_max_add`, `…_sub`, `…_mul` and their 32-bit forms in
 * Linux 6.18). What may wrap around on one side only loses its range; what surely wraps on both keeps it.
 */
import {
  borrow,
  carry,
  fromBigInt,
  fromNumber,
  hi,
  INT32_MAX,
  INT32_MIN,
  larger,
  lo,
  S64_MAX,
  S64_MIN,
  smaller,
  toNumber,
  toUnsignedBigInt,
  toUnsignedNumber,
  ult32,
} from './pair.js';
import { type Scalar, smax, smin } from './scalar.js';
import { tnumAdd, tnumMul, tnumSub } from './tnum.js';

const SAFE = Number.MAX_SAFE_INTEGER;

function unboundSigned(s: Scalar): void {
  s.sminLo = 0;
  s.sminHi = INT32_MIN;
  s.smaxLo = -1;
  s.smaxHi = INT32_MAX;
}

function unboundUnsigned(s: Scalar): void {
  s.uminLo = 0;
  s.uminHi = 0;
  s.umaxLo = -1;
  s.umaxHi = -1;
}

function unboundSigned32(s: Scalar): void {
  s.s32Min = INT32_MIN;
  s.s32Max = INT32_MAX;
}

function unboundUnsigned32(s: Scalar): void {
  s.u32Min = 0;
  s.u32Max = -1;
}

function addRanges32(dst: Scalar, src: Scalar): void {
  const min = dst.s32Min + src.s32Min;
  const max = dst.s32Max + src.s32Max;
  if (min !== (min | 0) || max !== (max | 0)) {
    unboundSigned32(dst);
  } else {
    dst.s32Min = min;
    dst.s32Max = max;
  }
  const umin = (dst.u32Min + src.u32Min) | 0;
  const umax = (dst.u32Max + src.u32Max) | 0;
  if (!ult32(umin, dst.u32Min) && ult32(umax, dst.u32Max)) {
    unboundUnsigned32(dst);
  } else {
    dst.u32Min = umin;
    dst.u32Max = umax;
  }
}

function addRanges64(dst: Scalar, src: Scalar): void {
  const sminLo = (dst.sminLo + src.sminLo) | 0;
  const sminHi = (dst.sminHi + src.sminHi + carry(sminLo, dst.sminLo)) | 0;
  const smaxLo = (dst.smaxLo + src.smaxLo) | 0;
  const smaxHi = (dst.smaxHi + src.smaxHi + carry(smaxLo, dst.smaxLo)) | 0;
  const minOverflow = (sminHi ^ dst.sminHi) & (sminHi ^ src.sminHi);
  const maxOverflow = (smaxHi ^ dst.smaxHi) & (smaxHi ^ src.smaxHi);
  if ((minOverflow | maxOverflow) < 0) {
    unboundSigned(dst);
  } else {
    dst.sminLo = sminLo;
    dst.sminHi = sminHi;
    dst.smaxLo = smaxLo;
    dst.smaxHi = smaxHi;
  }
  const uminLo = (dst.uminLo + src.uminLo) | 0;
  const uminHi = (dst.uminHi + src.uminHi + carry(uminLo, dst.uminLo)) | 0;
  const umaxLo = (dst.umaxLo + src.umaxLo) | 0;
  const umaxHi = (dst.umaxHi + src.umaxHi + carry(umaxLo, dst.umaxLo)) | 0;
  if (!wrapped(uminHi, uminLo, dst.uminHi, dst.uminLo) && wrapped(umaxHi, umaxLo, dst.umaxHi, dst.umaxLo)) {
    unboundUnsigned(dst);
  } else {
    dst.uminLo = uminLo;
    dst.uminHi = uminHi;
    dst.umaxLo = umaxLo;
    dst.umaxHi = umaxHi;
  }
}

/** Whether an unsigned sum is less than one of its terms. */
const wrapped = (sumHi: number, sumLo: number, hiTerm: number, loTerm: number): boolean =>
  sumHi === hiTerm ? ult32(sumLo, loTerm) : ult32(sumHi, hiTerm);

function subRanges32(dst: Scalar, src: Scalar): void {
  const min = dst.s32Min - src.s32Max;
  const max = dst.s32Max - src.s32Min;
  if (min !== (min | 0) || max !== (max | 0)) {
    unboundSigned32(dst);
  } else {
    dst.s32Min = min;
    dst.s32Max = max;
  }
  if (ult32(dst.u32Min, src.u32Max) && !ult32(dst.u32Max, src.u32Min)) {
    unboundUnsigned32(dst);
  } else {
    dst.u32Min = (dst.u32Min - src.u32Max) | 0;
    dst.u32Max = (dst.u32Max - src.u32Min) | 0;
  }
}

function subRanges64(dst: Scalar, src: Scalar): void {
  const sminLo = (dst.sminLo - src.smaxLo) | 0;
  const sminHi = (dst.sminHi - src.smaxHi - borrow(dst.sminLo, src.smaxLo)) | 0;
  const smaxLo = (dst.smaxLo - src.sminLo) | 0;
  const smaxHi = (dst.smaxHi - src.sminHi - borrow(dst.smaxLo, src.sminLo)) | 0;
  const minOverflow = (dst.sminHi ^ src.smaxHi) & (dst.sminHi ^ sminHi);
  const maxOverflow = (dst.smaxHi ^ src.sminHi) & (dst.smaxHi ^ smaxHi);
  if ((minOverflow | maxOverflow) < 0) {
    unboundSigned(dst);
  } else {
    dst.sminLo = sminLo;
    dst.sminHi = sminHi;
    dst.smaxLo = smaxLo;
    dst.smaxHi = smaxHi;
  }
  const { uminLo, uminHi, umaxLo, umaxHi } = dst;
  const minUnderflow = wrapped(uminHi, uminLo, src.umaxHi, src.umaxLo);
  const maxUnderflow = wrapped(umaxHi, umaxLo, src.uminHi, src.uminLo);
  if (minUnderflow && !maxUnderflow) {
    unboundUnsigned(dst);
  } else {
    dst.uminLo = (uminLo - src.umaxLo) | 0;
    dst.uminHi = (uminHi - src.umaxHi - borrow(uminLo, src.umaxLo)) | 0;
    dst.umaxLo = (umaxLo - src.uminLo) | 0;
    dst.umaxHi = (umaxHi - src.uminHi - borrow(umaxLo, src.uminLo)) | 0;
  }
}

function mulRanges32(dst: Scalar, src: Scalar): void {
  const umin = (dst.u32Min >>> 0) * (src.u32Min >>> 0);
  const umax = (dst.u32Max >>> 0) * (src.u32Max >>> 0);
  if (umin > 0xffffffff || umax > 0xffffffff) {
    unboundUnsigned32(dst);
  } else {
    dst.u32Min = umin | 0;
    dst.u32Max = umax | 0;
  }
  const a = dst.s32Min * src.s32Min;
  const b = dst.s32Min * src.s32Max;
  const c = dst.s32Max * src.s32Min;
  const d = dst.s32Max * src.s32Max;
  const min = minOf4(a, b, c, d);
  const max = maxOf4(a, b, c, d);
  if (min < INT32_MIN || max > INT32_MAX) {
    unboundSigned32(dst);
  } else {
    dst.s32Min = min | 0;
    dst.s32Max = max | 0;
  }
}

function minOf4(a: number, b: number, c: number, d: number): number {
  const x = smaller(a, b);
  const y = smaller(c, d);
  return smaller(x, y);
}

function maxOf4(a: number, b: number, c: number, d: number): number {
  const x = larger(a, b);
  const y = larger(c, d);
  return larger(x, y);
}

function mulRanges64(dst: Scalar, src: Scalar): void {
  mulUnsigned64(dst, src);
  const a = toNumber(dst.sminHi, dst.sminLo) * toNumber(src.sminHi, src.sminLo);
  const b = toNumber(dst.sminHi, dst.sminLo) * toNumber(src.smaxHi, src.smaxLo);
  const c = toNumber(dst.smaxHi, dst.smaxLo) * toNumber(src.sminHi, src.sminLo);
  const d = toNumber(dst.smaxHi, dst.smaxLo) * toNumber(src.smaxHi, src.smaxLo);
  const min = minOf4(a, b, c, d);
  const max = maxOf4(a, b, c, d);
  if (min >= -SAFE && max <= SAFE) {
    fromNumber(min);
    dst.sminLo = lo;
    dst.sminHi = hi;
    fromNumber(max);
    dst.smaxLo = lo;
    dst.smaxHi = hi;
  } else if (min < -9.3e18 || max > 9.3e18) {
    unboundSigned(dst);
  } else {
    mulSignedExactly(dst, src);
  }
}

/** Products past 2^53 that may yet fit 63 bits. */
function mulSignedExactly(dst: Scalar, src: Scalar): void {
  const products = [
    smin(dst) * smin(src),
    smin(dst) * smax(src),
    smax(dst) * smin(src),
    smax(dst) * smax(src),
  ];
  let min = products[0]!;
  let max = min;
  for (const p of products) {
    if (p < min) min = p;
    if (p > max) max = p;
  }
  if (min < S64_MIN || max > S64_MAX) {
    unboundSigned(dst);
    return;
  }
  fromBigInt(min);
  dst.sminLo = lo;
  dst.sminHi = hi;
  fromBigInt(max);
  dst.smaxLo = lo;
  dst.smaxHi = hi;
}

function mulUnsigned64(dst: Scalar, src: Scalar): void {
  const max = toUnsignedNumber(dst.umaxHi, dst.umaxLo) * toUnsignedNumber(src.umaxHi, src.umaxLo);
  const min = toUnsignedNumber(dst.uminHi, dst.uminLo) * toUnsignedNumber(src.uminHi, src.uminLo);
  if (max <= SAFE && min <= SAFE) {
    fromNumber(max);
    dst.umaxLo = lo;
    dst.umaxHi = hi;
    fromNumber(min);
    dst.uminLo = lo;
    dst.uminHi = hi;
    return;
  }
  if (max <= 1.9e19 && min <= 1.9e19) {
    const exactMax = toUnsignedBigInt(dst.umaxHi, dst.umaxLo) * toUnsignedBigInt(src.umaxHi, src.umaxLo);
    const exactMin = toUnsignedBigInt(dst.uminHi, dst.uminLo) * toUnsignedBigInt(src.uminHi, src.uminLo);
    if (exactMax >> 64n === 0n && exactMin >> 64n === 0n) {
      fromBigInt(exactMax);
      dst.umaxLo = lo;
      dst.umaxHi = hi;
      fromBigInt(exactMin);
      dst.uminLo = lo;
      dst.uminHi = hi;
      return;
    }
  }
  unboundUnsigned(dst);
}

/** dst += src in every domain, with no deduction after it: linked scalars take a constant difference this way. */
export function addScalar(dst: Scalar, src: Scalar): void {
  addRanges32(dst, src);
  addRanges64(dst, src);
  tnumAdd(dst, dst, src);
}

/** dst -= src in every domain, with no deduction after it. */
export function subScalar(dst: Scalar, src: Scalar): void {
  subRanges32(dst, src);
  subRanges64(dst, src);
  tnumSub(dst, dst, src);
}

/** dst *= src in every domain, with no deduction after it. */
export function mulScalar(dst: Scalar, src: Scalar): void {
  tnumMul(dst, dst, src);
  mulRanges32(dst, src);
  mulRanges64(dst, src);
}
