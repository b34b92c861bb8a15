/**
 * Byte order conversion of a number known in part: known bits move with their bytes, ranges are found again from them
 * (`scalar_byte_swap` of Linux 6.18.44). The machine is little-endian.
 */
import { coerceToSize, type Scalar, setUnbounded, syncBounds } from './scalar/index.js';

const swap32 = (x: number): number =>
  ((x & 0xff) << 24) | ((x & 0xff00) << 8) | ((x >>> 8) & 0xff00) | (x >>> 24);
const swap16 = (x: number): number => ((x & 0xff) << 8) | ((x >>> 8) & 0xff);

/** `width` bits, 16, 32 or 64, swapped or merely cut to that. */
export function byteSwap(s: Scalar, width: number, swaps: boolean): void {
  if (swaps) {
    swapBits(s, width);
    setUnbounded(s);
  }
  if (width === 16 || width === 32) coerceToSize(s, width === 16 ? 2 : 4);
  syncBounds(s);
}

function swapBits(s: Scalar, width: number): void {
  const { valueLo, valueHi, maskLo, maskHi } = s;
  s.valueHi = width === 64 ? swap32(valueLo) : 0;
  s.maskHi = width === 64 ? swap32(maskLo) : 0;
  s.valueLo = width === 64 ? swap32(valueHi) : width === 32 ? swap32(valueLo) : swap16(valueLo);
  s.maskLo = width === 64 ? swap32(maskHi) : width === 32 ? swap32(maskLo) : swap16(maskLo);
}
