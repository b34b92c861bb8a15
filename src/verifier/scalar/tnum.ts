/**
 * Arithmetic on known bits, after `kernel/bpf/tnum.c` of Linux 6.18 (`tnum_mul` is the one of that release). Results
 * go to `out`, which may be an operand. A `Scalar` is a `Tnum`, so these work on registers in place.
 */
import { borrow, carry, hi, lo, mul, sar, setPair, shl, shr, smear, ult } from './pair.js';
import { Tnum } from './scalar.js';

export function setTnum(out: Tnum, valueHi: number, valueLo: number, maskHi: number, maskLo: number): void {
  out.valueLo = valueLo;
  out.valueHi = valueHi;
  out.maskLo = maskLo;
  out.maskHi = maskHi;
}

function copyTnum(out: Tnum, a: Tnum): void {
  setTnum(out, a.valueHi, a.valueLo, a.maskHi, a.maskLo);
}

/** The narrowest tnum that holds every value from `min` to `max`, unsigned. */
export function tnumRange(out: Tnum, minHi: number, minLo: number, maxHi: number, maxLo: number): void {
  const deltaHi = smear(minHi ^ maxHi);
  const deltaLo = deltaHi !== 0 ? -1 : smear(minLo ^ maxLo);
  setTnum(out, minHi & ~deltaHi, minLo & ~deltaLo, deltaHi, deltaLo);
}

export function tnumAdd(out: Tnum, a: Tnum, b: Tnum): void {
  const { maskLo: amLo, maskHi: amHi, valueLo: avLo, valueHi: avHi } = a;
  const { maskLo: bmLo, maskHi: bmHi } = b;
  const smLo = (amLo + bmLo) | 0;
  const smHi = (amHi + bmHi + carry(smLo, amLo)) | 0;
  const svLo = (avLo + b.valueLo) | 0;
  const svHi = (avHi + b.valueHi + carry(svLo, avLo)) | 0;
  const sigmaLo = (smLo + svLo) | 0;
  const sigmaHi = (smHi + svHi + carry(sigmaLo, smLo)) | 0;
  const muLo = (sigmaLo ^ svLo) | amLo | bmLo;
  const muHi = (sigmaHi ^ svHi) | amHi | bmHi;
  setTnum(out, svHi & ~muHi, svLo & ~muLo, muHi, muLo);
}

export function tnumSub(out: Tnum, a: Tnum, b: Tnum): void {
  const { maskLo: amLo, maskHi: amHi } = a;
  const { maskLo: bmLo, maskHi: bmHi } = b;
  const dvLo = (a.valueLo - b.valueLo) | 0;
  const dvHi = (a.valueHi - b.valueHi - borrow(a.valueLo, b.valueLo)) | 0;
  const alphaLo = (dvLo + amLo) | 0;
  const alphaHi = (dvHi + amHi + carry(alphaLo, dvLo)) | 0;
  const betaLo = (dvLo - bmLo) | 0;
  const betaHi = (dvHi - bmHi - borrow(dvLo, bmLo)) | 0;
  const muLo = (alphaLo ^ betaLo) | amLo | bmLo;
  const muHi = (alphaHi ^ betaHi) | amHi | bmHi;
  setTnum(out, dvHi & ~muHi, dvLo & ~muLo, muHi, muLo);
}

export function tnumAnd(out: Tnum, a: Tnum, b: Tnum): void {
  const vLo = a.valueLo & b.valueLo;
  const vHi = a.valueHi & b.valueHi;
  const mLo = (a.valueLo | a.maskLo) & (b.valueLo | b.maskLo) & ~vLo;
  const mHi = (a.valueHi | a.maskHi) & (b.valueHi | b.maskHi) & ~vHi;
  setTnum(out, vHi, vLo, mHi, mLo);
}

export function tnumOr(out: Tnum, a: Tnum, b: Tnum): void {
  const vLo = a.valueLo | b.valueLo;
  const vHi = a.valueHi | b.valueHi;
  const mLo = (a.maskLo | b.maskLo) & ~vLo;
  const mHi = (a.maskHi | b.maskHi) & ~vHi;
  setTnum(out, vHi, vLo, mHi, mLo);
}

export function tnumXor(out: Tnum, a: Tnum, b: Tnum): void {
  const mLo = a.maskLo | b.maskLo;
  const mHi = a.maskHi | b.maskHi;
  setTnum(out, (a.valueHi ^ b.valueHi) & ~mHi, (a.valueLo ^ b.valueLo) & ~mLo, mHi, mLo);
}

export function tnumShl(out: Tnum, a: Tnum, shift: number): void {
  const { maskHi, maskLo } = a;
  shl(a.valueHi, a.valueLo, shift);
  out.valueHi = hi;
  out.valueLo = lo;
  shl(maskHi, maskLo, shift);
  out.maskHi = hi;
  out.maskLo = lo;
}

export function tnumShr(out: Tnum, a: Tnum, shift: number): void {
  const { maskHi, maskLo } = a;
  shr(a.valueHi, a.valueLo, shift);
  out.valueHi = hi;
  out.valueLo = lo;
  shr(maskHi, maskLo, shift);
  out.maskHi = hi;
  out.maskLo = lo;
}

/** Arithmetic shift right of 64 bits: an unknown sign bit spreads as unknown. */
export function tnumSar(out: Tnum, a: Tnum, shift: number): void {
  const { maskHi, maskLo } = a;
  sar(a.valueHi, a.valueLo, shift);
  out.valueHi = hi;
  out.valueLo = lo;
  sar(maskHi, maskLo, shift);
  out.maskHi = hi;
  out.maskLo = lo;
}

/** Arithmetic shift right of the low 32 bits; the upper half becomes 0. */
export function tnumSar32(out: Tnum, a: Tnum, shift: number): void {
  setTnum(out, 0, a.valueLo >> shift, 0, a.maskLo >> shift);
}

/** Members of `a` or of `b`: unknown where either is, and where they differ. */
export function tnumUnion(out: Tnum, a: Tnum, b: Tnum): void {
  const mLo = (a.valueLo ^ b.valueLo) | a.maskLo | b.maskLo;
  const mHi = (a.valueHi ^ b.valueHi) | a.maskHi | b.maskHi;
  setTnum(out, a.valueHi & b.valueHi & ~mHi, a.valueLo & b.valueLo & ~mLo, mHi, mLo);
}

/** Known where either is; where they contradict each other, a 1. */
export function tnumIntersect(out: Tnum, a: Tnum, b: Tnum): void {
  const mLo = a.maskLo & b.maskLo;
  const mHi = a.maskHi & b.maskHi;
  setTnum(out, (a.valueHi | b.valueHi) & ~mHi, (a.valueLo | b.valueLo) & ~mLo, mHi, mLo);
}

/** Whether some value may be in both. */
export const tnumOverlap = (a: Tnum, b: Tnum): boolean =>
  ((a.valueLo ^ b.valueLo) & ~a.maskLo & ~b.maskLo) === 0 &&
  ((a.valueHi ^ b.valueHi) & ~a.maskHi & ~b.maskHi) === 0;

/** Zero-extends the low `size` bytes (1, 2 or 4). */
export function tnumCast(out: Tnum, a: Tnum, size: number): void {
  const keep = size === 4 ? -1 : (1 << (size * 8)) - 1;
  setTnum(out, 0, a.valueLo & keep, 0, a.maskLo & keep);
}

/** `lo`, `hi` of `pair.ts` = the least member above `z`, or the greatest member if none is. */
export function tnumStep(t: Tnum, zHi: number, zLo: number): void {
  const { valueLo, valueHi, maskLo, maskHi } = t;
  if (!ult(zHi, zLo, valueHi | maskHi, valueLo | maskLo)) {
    setPair(valueHi | maskHi, valueLo | maskLo);
  } else if (ult(zHi, zLo, valueHi, valueLo)) {
    setPair(valueHi, valueLo);
  } else {
    // Count up within the mask: every other bit, and all below the highest stray one, passes the carry on.
    const dLo = (zLo - valueLo) | 0;
    const dHi = (zHi - valueHi - borrow(zLo, valueLo)) | 0;
    const strayHi = smear(dHi & ~maskHi);
    const strayLo = strayHi !== 0 ? -1 : smear(dLo & ~maskLo);
    const filledLo = dLo | strayLo | ~maskLo;
    const incLo = (filledLo + 1) | 0;
    const incHi = ((dHi | strayHi | ~maskHi) + (incLo === 0 ? 1 : 0)) | 0;
    setPair(valueHi | (incHi & maskHi), valueLo | (incLo & maskLo));
  }
}

const accumulator = new Tnum();
const partial = new Tnum();
const addend = new Tnum();

/** Long multiplication over the bits of `a`; an unknown bit joins both outcomes (Linux 6.18). */
export function tnumMul(out: Tnum, a: Tnum, b: Tnum): void {
  if ((a.maskLo | a.maskHi | b.maskLo | b.maskHi) === 0) {
    mul(a.valueHi, a.valueLo, b.valueHi, b.valueLo);
    setTnum(out, hi, lo, 0, 0);
    return;
  }
  let { valueLo, valueHi, maskLo, maskHi } = a;
  setTnum(accumulator, 0, 0, 0, 0);
  copyTnum(addend, b);
  while ((valueLo | valueHi | maskLo | maskHi) !== 0) {
    if (valueLo & 1) {
      tnumAdd(accumulator, accumulator, addend);
    } else if (maskLo & 1) {
      tnumAdd(partial, accumulator, addend);
      tnumUnion(accumulator, accumulator, partial);
    }
    valueLo = (valueLo >>> 1) | (valueHi << 31);
    valueHi >>>= 1;
    maskLo = (maskLo >>> 1) | (maskHi << 31);
    maskHi >>>= 1;
    addend.valueHi = (addend.valueHi << 1) | (addend.valueLo >>> 31);
    addend.valueLo <<= 1;
    addend.maskHi = (addend.maskHi << 1) | (addend.maskLo >>> 31);
    addend.maskLo <<= 1;
  }
  copyTnum(out, accumulator);
}

/** Whether every member, with the constant `offset` added, is a multiple of `size` (a power of two up to 2^31, or 0). */
export function tnumAligned(a: Tnum, offset: number, size: number): boolean {
  if (size === 0) return true;
  addend.valueLo = offset | 0;
  addend.valueHi = offset < 0 ? -1 : 0;
  addend.maskLo = 0;
  addend.maskHi = 0;
  tnumAdd(partial, a, addend);
  return ((partial.valueLo | partial.maskLo) & (size - 1)) === 0;
}
