/**
 * Setting bounds by hand: return values of helpers, sizes, loads. Whoever sets some calls `syncBounds` after.
 */
import { syncBounds } from './bounds.js';
import { fromBigInt, fromNumber, hi, lo } from './pair.js';
import { type Scalar, setUnknown } from './scalar.js';

/** Bounds: bigint, or a whole number of magnitude up to 2^53. */
function load(value: bigint | number): void {
  if (typeof value === 'number') fromNumber(value);
  else fromBigInt(value);
}

export function setSmin(s: Scalar, value: bigint | number): void {
  load(value);
  s.sminHi = hi;
  s.sminLo = lo;
}

export function setSmax(s: Scalar, value: bigint | number): void {
  load(value);
  s.smaxHi = hi;
  s.smaxLo = lo;
}

export function setUmin(s: Scalar, value: bigint | number): void {
  load(value);
  s.uminHi = hi;
  s.uminLo = lo;
}

export function setUmax(s: Scalar, value: bigint | number): void {
  load(value);
  s.umaxHi = hi;
  s.umaxLo = lo;
}

/** 32-bit bounds; each wraps to 32 bits. */
export function setS32Range(s: Scalar, min: number, max: number): void {
  s.s32Min = min | 0;
  s.s32Max = max | 0;
}

export function setU32Range(s: Scalar, min: number, max: number): void {
  s.u32Min = min | 0;
  s.u32Max = max | 0;
}

/** Unknown but for a signed range of 32-bit numbers, known at both widths (`__mark_reg_s32_range`). */
export function setSignedRange(s: Scalar, min: number, max: number): void {
  setUnknown(s);
  setSmin(s, min);
  setSmax(s, max);
  setS32Range(s, min, max);
  syncBounds(s);
}

/** Known bits by hand, e.g. after a load whose upper bits are 0. */
export function setTnumBits(s: Scalar, value: bigint, mask: bigint): void {
  fromBigInt(value);
  s.valueHi = hi;
  s.valueLo = lo;
  fromBigInt(mask);
  s.maskHi = hi;
  s.maskLo = lo;
}
