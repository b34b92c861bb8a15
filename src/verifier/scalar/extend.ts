/**
 * Changes of width: zero and sign extension, truncation to a load's size (`zext_32_to_64`, `coerce_reg_to_size`,
 * `coerce_reg_to_size_sx`, `coerce_subreg_to_size_sx` of Linux 6.18).
 */
import { syncBounds } from './bounds.js';
import { hi, INT32_MIN, larger, lo, shr, smaller } from './pair.js';
import { isConst, type Scalar, setConstPair, setUnbounded, unbound32 } from './scalar.js';
import { setTnum, tnumCast, tnumRange } from './tnum.js';

/** Bytes of a sign-extended or truncated part. */
export type PartSize = 1 | 2 | 4;

/** The upper half becomes 0; 64-bit ranges are those of the low half. No deduction after it. */
export function zext32To64(s: Scalar): void {
  s.valueHi = 0;
  s.maskHi = 0;
  s.uminLo = s.u32Min;
  s.uminHi = 0;
  s.umaxLo = s.u32Max;
  s.umaxHi = 0;
  s.sminHi = 0;
  s.smaxHi = 0;
  if (s.s32Min >= 0 && s.s32Max >= 0) {
    s.sminLo = s.s32Min;
    s.smaxLo = s.s32Max;
  } else {
    s.sminLo = 0;
    s.smaxLo = -1;
  }
}

/** Keeps the low `size` bytes, zero-extended, and deduces. */
export function coerceToSize(s: Scalar, size: PartSize): void {
  const mask = size === 4 ? -1 : (1 << (size * 8)) - 1;
  const sameTop = s.uminHi === s.umaxHi && (s.uminLo & ~mask) === (s.umaxLo & ~mask);
  tnumCast(s, s, size);
  s.uminLo = sameTop ? s.uminLo & mask : 0;
  s.umaxLo = sameTop ? s.umaxLo & mask : mask;
  s.uminHi = 0;
  s.umaxHi = 0;
  s.sminLo = s.uminLo;
  s.sminHi = 0;
  s.smaxLo = s.umaxLo;
  s.smaxHi = 0;
  if (size < 4) unbound32(s);
  syncBounds(s);
}

const signExtend = (low: number, size: PartSize): number =>
  size === 4 ? low : size === 2 ? (low << 16) >> 16 : (low << 24) >> 24;

const leastOf = (size: PartSize): number => (size === 4 ? INT32_MIN : size === 2 ? -0x8000 : -0x80);

/** Sign-extends the low `size` bytes to 64 bits (`movsx`, `ldsx`). No deduction after it, as in Linux. */
export function coerceToSizeSx(s: Scalar, size: PartSize): void {
  if (isConst(s)) {
    const low = signExtend(s.valueLo, size);
    setConstPair(s, low >> 31, low);
    return;
  }
  const bits = size * 8;
  shr(s.smaxHi, s.smaxLo, bits);
  const topMaxHi = hi;
  const topMaxLo = lo;
  shr(s.sminHi, s.sminLo, bits);
  if (topMaxHi === hi && topMaxLo === lo) {
    const a = signExtend(s.smaxLo, size);
    const b = signExtend(s.sminLo, size);
    const max = larger(a, b);
    const min = smaller(a, b);
    if (max >= 0 === min >= 0) {
      setSignedRange(s, min, max);
      return;
    }
  }
  const least = leastOf(size);
  const most = ~least;
  s.sminLo = least;
  s.sminHi = -1;
  s.s32Min = least;
  s.smaxLo = most;
  s.smaxHi = 0;
  s.s32Max = most;
  s.uminLo = 0;
  s.uminHi = 0;
  s.u32Min = 0;
  s.umaxLo = -1;
  s.umaxHi = -1;
  s.u32Max = -1;
  setTnum(s, 0, 0, -1, -1);
}

/** All ranges from one signed 32-bit range that does not cross zero. */
function setSignedRange(s: Scalar, min: number, max: number): void {
  const sign = min >> 31;
  s.s32Min = min;
  s.s32Max = max;
  s.u32Min = min;
  s.u32Max = max;
  s.sminLo = min;
  s.sminHi = sign;
  s.smaxLo = max;
  s.smaxHi = sign;
  s.uminLo = min;
  s.uminHi = sign;
  s.umaxLo = max;
  s.umaxHi = sign;
  tnumRange(s, sign, min, sign, max);
}

/** Sign-extends the low 1 or 2 bytes to 32 bits; the upper half is the caller's to zero (`movsx32`). */
export function coerceSubregToSizeSx(s: Scalar, size: 1 | 2): void {
  if (isConst(s)) {
    const low = signExtend(s.valueLo, size);
    setTnum(s, low >> 31, low, 0, 0);
    s.s32Min = low;
    s.s32Max = low;
    s.u32Min = low;
    s.u32Max = low;
    return;
  }
  const bits = size * 8;
  if (s.s32Max >>> bits === s.s32Min >>> bits) {
    const a = signExtend(s.s32Max, size);
    const b = signExtend(s.s32Min, size);
    const max = larger(a, b);
    const min = smaller(a, b);
    if (max >= 0 === min >= 0) {
      s.s32Min = min;
      s.s32Max = max;
      s.u32Min = min;
      s.u32Max = max;
      tnumRange(s, 0, min, 0, max);
      return;
    }
  }
  const least = leastOf(size);
  s.s32Min = least;
  s.s32Max = ~least;
  s.u32Min = 0;
  s.u32Max = -1;
  setTnum(s, 0, 0, 0, -1);
}

const swap32 = (x: number): number => (x << 24) | ((x & 0xff00) << 8) | ((x >>> 8) & 0xff00) | (x >>> 24);
const swap16 = (x: number): number => ((x & 0xff) << 8) | ((x >>> 8) & 0xff);

function swapBits(s: Scalar, bits: 16 | 32 | 64): void {
  const { valueLo, valueHi, maskLo, maskHi } = s;
  if (bits === 64) setTnum(s, swap32(valueLo), swap32(valueHi), swap32(maskLo), swap32(maskHi));
  else if (bits === 32) setTnum(s, 0, swap32(valueLo), 0, swap32(maskLo));
  else setTnum(s, 0, swap16(valueLo), 0, swap16(maskLo));
}

/**
 * Byte-order conversion of the low `bits`, zero-extended; with `swap` false the order stays and only the width changes.
 * Ranges are lost in a swap and come back from the known bits.
 */
export function byteSwap(s: Scalar, swap: boolean, bits: 16 | 32 | 64): void {
  if (swap) {
    swapBits(s, bits);
    setUnbounded(s);
  }
  if (bits !== 64) coerceToSize(s, bits === 32 ? 4 : 2);
  syncBounds(s);
}
