/**
 * The scalar domain: what a register's number may be (known bits, signed and unsigned ranges of 64 and 32 bits), modelled on
 * Linux 6.18. Free functions on `Scalar`, which a register's class extends; see docs/verifier-scalars.md.
 */
export { aluScalar, assume, forkWidth, mov32, movsx32, movsx64 } from './alu.js';
export { addScalar, subScalar } from './arith.js';
export { boundsViolation, checkBounds, syncBounds, updateBounds } from './bounds.js';
export { branchTaken, flipOp, JSET_FALSE, negateOp } from './branch.js';
export {
  byteSwap,
  coerceSubregToSizeSx,
  coerceToSize,
  coerceToSizeSx,
  type PartSize,
  zext32To64,
} from './extend.js';
export { isInt32, S64_MAX, S64_MIN } from './pair.js';
export {
  addPointerOffset,
  bitWidth,
  constNumber,
  constUnsignedNumber,
  fitsIn,
  hasInvalidOffset,
  smaxNumber,
  sminNumber,
  subPointerOffset,
  umaxNumber,
  uminNumber,
} from './pointer.js';
export {
  setS32Range,
  setSignedRange,
  setSmax,
  setSmin,
  setTnumBits,
  setU32Range,
  setUmax,
  setUmin,
} from './ranges.js';
export { refine, refineBranches } from './refine.js';
export {
  constValue,
  copyScalar,
  equalScalar,
  isConst,
  isConstAt,
  isConstEqual,
  isSubregConst,
  isTnumUnknown,
  isZero,
  rangeWithin,
  Scalar,
  s32max,
  s32min,
  setConst,
  setConst32,
  setConstPair,
  setSubregConst,
  setUnbounded,
  setUnknown,
  smax,
  smin,
  Tnum,
  tnumIn,
  tnumMask,
  tnumValue,
  u32max,
  u32min,
  umax,
  umin,
  unbound32,
  unbound64,
  within,
} from './scalar.js';
export { rangesText, scalarText, snumText, tnumText, unumText, variableText } from './text.js';
export { tnumAligned } from './tnum.js';
