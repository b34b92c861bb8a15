/**
 * Deductions between the tnum and the ranges of one register, as `reg_bounds_sync` of Linux 6.18 makes them: the same
 * steps in the same order and number, because how far they get shows in the log and in verdicts.
 */
import {
  hi,
  INT32_MAX,
  INT32_MIN,
  lo,
  slt,
  smear,
  toUnsignedBigInt,
  ule32,
  ult,
  ult32,
  umax32,
  umin32,
} from './pair.js';
import { isFixed, type Scalar, setConstPair, setUnbounded } from './scalar.js';
import { tnumStep } from './tnum.js';

/** 32-bit ranges from the low half of the tnum (`__update_reg32_bounds`). */
export function updateBounds32(s: Scalar): void {
  const { valueLo: value, maskLo: mask } = s;
  const least = value | (mask & INT32_MIN);
  const most = value | (mask & INT32_MAX);
  if (least > s.s32Min) s.s32Min = least;
  if (most < s.s32Max) s.s32Max = most;
  s.u32Min = umax32(s.u32Min, value);
  s.u32Max = umin32(s.u32Max, value | mask);
}

/** 64-bit ranges from the tnum, or a constant where the two have one value in common (`__update_reg64_bounds`). */
export function updateBounds64(s: Scalar): void {
  const { valueLo, valueHi, maskLo, maskHi } = s;
  const all = valueLo | maskLo;
  const least = valueHi | (maskHi & INT32_MIN);
  if (slt(s.sminHi, s.sminLo, least, valueLo)) {
    s.sminHi = least;
    s.sminLo = valueLo;
  }
  const most = valueHi | (maskHi & INT32_MAX);
  if (slt(most, all, s.smaxHi, s.smaxLo)) {
    s.smaxHi = most;
    s.smaxLo = all;
  }
  if (ult(s.uminHi, s.uminLo, valueHi, valueLo)) {
    s.uminHi = valueHi;
    s.uminLo = valueLo;
  }
  const top = valueHi | maskHi;
  if (ult(top, all, s.umaxHi, s.umaxLo)) {
    s.umaxHi = top;
    s.umaxLo = all;
  }
  // Where the unsigned range is the tnum's own, they have both its ends in common.
  if (s.uminLo === valueLo && s.uminHi === valueHi && s.umaxLo === all && s.umaxHi === top) return;
  findSingleMember(s, top, all);
}

/** The unsigned range may hold a single member of the tnum, whose greatest one is `top`, `all`. */
function findSingleMember(s: Scalar, topHi: number, topLo: number): void {
  const { uminLo, uminHi, umaxLo, umaxHi } = s;
  const minIsMember = (uminLo & ~s.maskLo) === s.valueLo && (uminHi & ~s.maskHi) === s.valueHi;
  tnumStep(s, uminHi, uminLo);
  const nextHi = hi;
  const nextLo = lo;
  if (minIsMember) {
    if (ult(umaxHi, umaxLo, nextHi, nextLo)) setConstPair(s, uminHi, uminLo);
  } else if (nextHi === topHi && nextLo === topLo) {
    setConstPair(s, topHi, topLo);
  } else if (!ult(umaxHi, umaxLo, nextHi, nextLo)) {
    tnumStep(s, nextHi, nextLo);
    if (ult(umaxHi, umaxLo, hi, lo)) setConstPair(s, nextHi, nextLo);
  }
}

export function updateBounds(s: Scalar): void {
  updateBounds32(s);
  updateBounds64(s);
}

/** Set by whatever a deduction changes: a pass that changes nothing need not be repeated. */
let changed = false;

function narrowSigned32(s: Scalar, min: number, max: number): void {
  if (min > s.s32Min) {
    s.s32Min = min;
    changed = true;
  }
  if (max < s.s32Max) {
    s.s32Max = max;
    changed = true;
  }
}

function narrowUnsigned32(s: Scalar, min: number, max: number): void {
  if (ult32(s.u32Min, min)) {
    s.u32Min = min;
    changed = true;
  }
  if (ult32(max, s.u32Max)) {
    s.u32Max = max;
    changed = true;
  }
}

/** 32-bit ranges from the 64-bit ones where the upper half is settled, then from each other. */
function deduceBounds32(s: Scalar): void {
  const { uminLo, uminHi, umaxLo, umaxHi, sminLo, sminHi, smaxLo, smaxHi } = s;
  if (uminHi === umaxHi) {
    narrowUnsigned32(s, uminLo, umaxLo);
    if (uminLo <= umaxLo) narrowSigned32(s, uminLo, umaxLo);
  }
  if (sminHi === smaxHi) {
    if (ule32(sminLo, smaxLo)) narrowUnsigned32(s, sminLo, smaxLo);
    if (sminLo <= smaxLo) narrowSigned32(s, sminLo, smaxLo);
  }
  // Two neighbouring upper halves and a low half that runs from negative to positive: a signed range.
  if (((uminHi + 1) | 0) === umaxHi && uminLo < 0 && umaxLo >= 0) narrowSigned32(s, uminLo, umaxLo);
  if (((sminHi + 1) | 0) === smaxHi && sminLo < 0 && smaxLo >= 0) narrowSigned32(s, sminLo, smaxLo);
  if (s.u32Min <= s.u32Max) narrowSigned32(s, s.u32Min, s.u32Max);
  const { s32Min, s32Max } = s;
  if (ule32(s32Min, s32Max)) {
    narrowUnsigned32(s, s32Min, s32Max);
  } else if (ult32(s.u32Max, s32Min)) {
    // The signed range crosses zero, and the unsigned one meets only the part that is not negative …
    s.s32Min = s.u32Min;
    s.u32Max = umin32(s.u32Max, s32Max);
    changed = true;
  } else if (ult32(s32Max, s.u32Min)) {
    // … or only the negative one.
    s.s32Max = s.u32Max;
    s.u32Min = umax32(s.u32Min, s32Min);
    changed = true;
  }
}

/** Signed and unsigned 64-bit ranges from each other, also where the signed one crosses zero (Linux 6.17). */
function deduceBounds64(s: Scalar): void {
  if (!slt(s.umaxHi, s.umaxLo, s.uminHi, s.uminLo)) {
    if (slt(s.sminHi, s.sminLo, s.uminHi, s.uminLo)) setSmin(s, s.uminHi, s.uminLo);
    if (slt(s.umaxHi, s.umaxLo, s.smaxHi, s.smaxLo)) setSmax(s, s.umaxHi, s.umaxLo);
  }
  if (!ult(s.smaxHi, s.smaxLo, s.sminHi, s.sminLo)) {
    if (ult(s.uminHi, s.uminLo, s.sminHi, s.sminLo)) setUmin(s, s.sminHi, s.sminLo);
    if (ult(s.smaxHi, s.smaxLo, s.umaxHi, s.umaxLo)) setUmax(s, s.smaxHi, s.smaxLo);
  } else if (ult(s.umaxHi, s.umaxLo, s.sminHi, s.sminLo)) {
    // The unsigned range meets only the part of the signed one that is not negative …
    setSmin(s, s.uminHi, s.uminLo);
    if (ult(s.smaxHi, s.smaxLo, s.umaxHi, s.umaxLo)) setUmax(s, s.smaxHi, s.smaxLo);
  } else if (ult(s.smaxHi, s.smaxLo, s.uminHi, s.uminLo)) {
    // … or only the negative one.
    setSmax(s, s.umaxHi, s.umaxLo);
    if (ult(s.uminHi, s.uminLo, s.sminHi, s.sminLo)) setUmin(s, s.sminHi, s.sminLo);
  }
}

function setSmin(s: Scalar, high: number, low: number): void {
  s.sminHi = high;
  s.sminLo = low;
  changed = true;
}
function setSmax(s: Scalar, high: number, low: number): void {
  s.smaxHi = high;
  s.smaxLo = low;
  changed = true;
}
function setUmin(s: Scalar, high: number, low: number): void {
  s.uminHi = high;
  s.uminLo = low;
  changed = true;
}
function setUmax(s: Scalar, high: number, low: number): void {
  s.umaxHi = high;
  s.umaxLo = low;
  changed = true;
}

/** 64-bit ranges from the 32-bit ones (`__reg_deduce_mixed_bounds`). */
function deduceMixedBounds(s: Scalar): void {
  const { u32Min, u32Max, s32Min } = s;
  // A bound with its low half replaced differs from the bound in that half alone.
  if (ult32(s.uminLo, u32Min)) setUmin(s, s.uminHi, u32Min);
  if (ult32(u32Max, s.umaxLo)) setUmax(s, s.umaxHi, u32Max);
  if (ult32(s.sminLo, u32Min)) setSmin(s, s.sminHi, u32Min);
  if (ult32(u32Max, s.smaxLo)) setSmax(s, s.smaxHi, u32Max);
  // Sign-extended and not negative as 32 bits: then the upper half is 0.
  if (
    s32Min >= 0 &&
    (s.sminHi > -1 || (s.sminHi === -1 && s.sminLo < 0)) &&
    (s.smaxHi < 0 || (s.smaxHi === 0 && s.smaxLo >= 0))
  ) {
    setNonNegative(s, s32Min, s.s32Max, s.s32Max >> 31);
  }
}

/** The 32-bit signed range at full width. `top` is 0 unless the range contradicts itself. */
function setNonNegative(s: Scalar, min: number, max: number, top: number): void {
  const settled =
    (s.sminHi | s.uminHi | (s.sminLo ^ min) | (s.uminLo ^ min)) === 0 &&
    ((s.smaxHi ^ top) | (s.umaxHi ^ top) | (s.smaxLo ^ max) | (s.umaxLo ^ max)) === 0;
  if (!settled) {
    setSmin(s, 0, min);
    setUmin(s, 0, min);
    setSmax(s, top, max);
    setUmax(s, top, max);
  }
  intersectRange(s, 0, min, top, max);
}

/** The tnum's common part with `tnum_range(min, max)`. */
function intersectRange(s: Scalar, minHi: number, minLo: number, maxHi: number, maxLo: number): void {
  const deltaHi = smear(minHi ^ maxHi);
  const deltaLo = deltaHi !== 0 ? -1 : smear(minLo ^ maxLo);
  s.maskHi &= deltaHi;
  s.maskLo &= deltaLo;
  s.valueHi = (s.valueHi | (minHi & ~deltaHi)) & ~s.maskHi;
  s.valueLo = (s.valueLo | (minLo & ~deltaLo)) & ~s.maskLo;
}

/** Known bits from the unsigned ranges (`__reg_bound_offset`). */
function boundOffset(s: Scalar): void {
  intersectRange(s, s.uminHi, s.uminLo, s.umaxHi, s.umaxLo);
  const delta = smear(s.u32Min ^ s.u32Max);
  s.maskLo &= delta;
  s.valueLo = (s.valueLo | (s.u32Min & ~delta)) & ~s.maskLo;
}

/** One pass; whether it taught anything. */
function deduceBounds(s: Scalar): boolean {
  changed = false;
  deduceBounds32(s);
  deduceBounds64(s);
  deduceMixedBounds(s);
  return changed;
}

/** Lets tnum and ranges learn from each other (`reg_bounds_sync`). Call it after setting bounds by hand. */
export function syncBounds(s: Scalar): void {
  if (isFixed(s)) return;
  updateBounds(s);
  // Linux makes three passes, no more.
  if (deduceBounds(s) && deduceBounds(s)) deduceBounds(s);
  boundOffset(s);
  updateBounds(s);
}

/** What is contradictory in the register, in the kernel's words, or undefined. */
export function boundsViolation(s: Scalar): string | undefined {
  if (
    ult(s.umaxHi, s.umaxLo, s.uminHi, s.uminLo) ||
    slt(s.smaxHi, s.smaxLo, s.sminHi, s.sminLo) ||
    ult32(s.u32Max, s.u32Min) ||
    s.s32Max < s.s32Min
  ) {
    return 'range bounds violation';
  }
  const { valueLo: low, valueHi: high } = s;
  if (
    (s.maskLo | s.maskHi) === 0 &&
    ((s.uminLo ^ low) |
      (s.umaxLo ^ low) |
      (s.sminLo ^ low) |
      (s.smaxLo ^ low) |
      (s.uminHi ^ high) |
      (s.umaxHi ^ high) |
      (s.sminHi ^ high) |
      (s.smaxHi ^ high)) !==
      0
  ) {
    return 'const tnum out of sync with range bounds';
  }
  if (s.maskLo === 0 && ((s.u32Min ^ low) | (s.u32Max ^ low) | (s.s32Min ^ low) | (s.s32Max ^ low)) !== 0) {
    return 'const subreg tnum out of sync with range bounds';
  }
  return undefined;
}

const hex = (x: bigint): string => `0x${x.toString(16)}`;
const hex32 = (x: number): string => `0x${(x >>> 0).toString(16)}`;
const pairHex = (high: number, low: number): string => hex(toUnsignedBigInt(high, low));

/**
 * Looks for contradictions (`reg_bounds_sanity_check`). Where there is one the ranges are forgotten, and the result is the line
 * that Linux logs after `verifier bug: `. `context` says where it was found: `alu`, `true_reg1`, …
 */
export function checkBounds(s: Scalar, context: string): string | undefined {
  const problem = boundsViolation(s);
  if (problem === undefined) return undefined;
  const text =
    `REG INVARIANTS VIOLATION (${context}): ${problem} ` +
    `u64=[${pairHex(s.uminHi, s.uminLo)}, ${pairHex(s.umaxHi, s.umaxLo)}] ` +
    `s64=[${pairHex(s.sminHi, s.sminLo)}, ${pairHex(s.smaxHi, s.smaxLo)}] ` +
    `u32=[${hex32(s.u32Min)}, ${hex32(s.u32Max)}] s32=[${hex32(s.s32Min)}, ${hex32(s.s32Max)}] ` +
    `var_off=(${pairHex(s.valueHi, s.valueLo)}, ${pairHex(s.maskHi, s.maskLo)})`;
  setUnbounded(s);
  return text;
}
