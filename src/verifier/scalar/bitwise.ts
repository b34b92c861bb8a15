/**
 * Ranges of and, or, xor (Linux 6.18): the tnum is computed first and gives the bound that is bitwise by nature;
 * signed ranges follow the unsigned ones where those do not cross the sign.
 */
import { updateBounds32, updateBounds64 } from './bounds.js';
import { INT32_MAX, INT32_MIN, slt, ult, umax32, umin32 } from './pair.js';
import { isConst, isSubregConst, type Scalar, setConstPair, setSubregConst } from './scalar.js';
import { tnumAnd, tnumOr, tnumXor } from './tnum.js';

function signedFromUnsigned32(dst: Scalar): void {
  if (dst.u32Min <= dst.u32Max) {
    dst.s32Min = dst.u32Min;
    dst.s32Max = dst.u32Max;
  } else {
    dst.s32Min = INT32_MIN;
    dst.s32Max = INT32_MAX;
  }
}

function signedFromUnsigned64(dst: Scalar): void {
  if (!slt(dst.umaxHi, dst.umaxLo, dst.uminHi, dst.uminLo)) {
    dst.sminLo = dst.uminLo;
    dst.sminHi = dst.uminHi;
    dst.smaxLo = dst.umaxLo;
    dst.smaxHi = dst.umaxHi;
  } else {
    dst.sminLo = 0;
    dst.sminHi = INT32_MIN;
    dst.smaxLo = -1;
    dst.smaxHi = INT32_MAX;
  }
  updateBounds32(dst);
  updateBounds64(dst);
}

export function andScalar(dst: Scalar, src: Scalar): void {
  tnumAnd(dst, dst, src);
  if (isSubregConst(src) && isSubregConst(dst)) {
    setSubregConst(dst, dst.valueLo);
  } else {
    dst.u32Min = dst.valueLo;
    dst.u32Max = umin32(dst.u32Max, src.u32Max);
    signedFromUnsigned32(dst);
  }
  if (isConst(src) && isConst(dst)) {
    setConstPair(dst, dst.valueHi, dst.valueLo);
    return;
  }
  dst.uminLo = dst.valueLo;
  dst.uminHi = dst.valueHi;
  if (ult(src.umaxHi, src.umaxLo, dst.umaxHi, dst.umaxLo)) {
    dst.umaxLo = src.umaxLo;
    dst.umaxHi = src.umaxHi;
  }
  signedFromUnsigned64(dst);
}

export function orScalar(dst: Scalar, src: Scalar): void {
  tnumOr(dst, dst, src);
  if (isSubregConst(src) && isSubregConst(dst)) {
    setSubregConst(dst, dst.valueLo);
  } else {
    dst.u32Min = umax32(dst.u32Min, src.u32Min);
    dst.u32Max = dst.valueLo | dst.maskLo;
    signedFromUnsigned32(dst);
  }
  if (isConst(src) && isConst(dst)) {
    setConstPair(dst, dst.valueHi, dst.valueLo);
    return;
  }
  if (ult(dst.uminHi, dst.uminLo, src.uminHi, src.uminLo)) {
    dst.uminLo = src.uminLo;
    dst.uminHi = src.uminHi;
  }
  dst.umaxLo = dst.valueLo | dst.maskLo;
  dst.umaxHi = dst.valueHi | dst.maskHi;
  signedFromUnsigned64(dst);
}

export function xorScalar(dst: Scalar, src: Scalar): void {
  tnumXor(dst, dst, src);
  if (isSubregConst(src) && isSubregConst(dst)) {
    setSubregConst(dst, dst.valueLo);
  } else {
    dst.u32Min = dst.valueLo;
    dst.u32Max = dst.valueLo | dst.maskLo;
    signedFromUnsigned32(dst);
  }
  if (isConst(src) && isConst(dst)) {
    setConstPair(dst, dst.valueHi, dst.valueLo);
    return;
  }
  dst.uminLo = dst.valueLo;
  dst.uminHi = dst.valueHi;
  dst.umaxLo = dst.valueLo | dst.maskLo;
  dst.umaxHi = dst.valueHi | dst.maskHi;
  signedFromUnsigned64(dst);
}
