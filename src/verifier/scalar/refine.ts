/**
 * What a branch teaches about the two scalars compared (`regs_refine_cond_op`, `reg_set_min_max` of Linux 6.18), in
 * the sense in which the comparison holds; `negateOp` gives the other one.
 */
import {
  BPF_JEQ,
  BPF_JGE,
  BPF_JGT,
  BPF_JLE,
  BPF_JLT,
  BPF_JNE,
  BPF_JSET,
  BPF_JSGE,
  BPF_JSGT,
  BPF_JSLE,
  BPF_JSLT,
} from '../../isa/constants.js';
import { checkBounds, syncBounds } from './bounds.js';
import { flipOp, JSET_FALSE, negateOp } from './branch.js';
import { larger, slt, smaller, ult, umax32, umin32 } from './pair.js';
import { isConstAt, type Scalar, setUnbounded } from './scalar.js';
import { tnumIntersect } from './tnum.js';

/** Narrows `a` and `b` knowing that `a op b` holds. No deduction after it. */
export function refine(op: number, is32: boolean, a: Scalar, b: Scalar): void {
  switch (op) {
    case BPF_JGE:
    case BPF_JGT:
    case BPF_JSGE:
    case BPF_JSGT:
      refine(flipOp(op), is32, b, a);
      return;
    case BPF_JEQ:
      if (is32) refineEqual32(a, b);
      else refineEqual64(a, b);
      return;
    case BPF_JNE:
    case BPF_JSET:
    case JSET_FALSE:
      if (isConstAt(b, is32)) refineByConst(op, is32, a, b);
      else if (isConstAt(a, is32)) refineByConst(op, is32, b, a);
      return;
    case BPF_JLE:
    case BPF_JLT:
      if (is32) refineLessUnsigned32(op === BPF_JLT, a, b);
      else refineLessUnsigned64(op === BPF_JLT, a, b);
      return;
    case BPF_JSLE:
    case BPF_JSLT:
      if (is32) refineLessSigned32(op === BPF_JSLT, a, b);
      else refineLessSigned64(op === BPF_JSLT, a, b);
      return;
    default:
      return;
  }
}

function refineEqual32(a: Scalar, b: Scalar): void {
  a.u32Min = b.u32Min = umax32(a.u32Min, b.u32Min);
  a.u32Max = b.u32Max = umin32(a.u32Max, b.u32Max);
  a.s32Min = b.s32Min = larger(a.s32Min, b.s32Min);
  a.s32Max = b.s32Max = smaller(a.s32Max, b.s32Max);
  const mask = a.maskLo & b.maskLo;
  const value = (a.valueLo | b.valueLo) & ~mask;
  a.maskLo = b.maskLo = mask;
  a.valueLo = b.valueLo = value;
}

function refineEqual64(a: Scalar, b: Scalar): void {
  raiseUmin(a, b.uminHi, b.uminLo);
  lowerUmax(a, b.umaxHi, b.umaxLo);
  raiseSmin(a, b.sminHi, b.sminLo);
  lowerSmax(a, b.smaxHi, b.smaxLo);
  b.uminHi = a.uminHi;
  b.uminLo = a.uminLo;
  b.umaxHi = a.umaxHi;
  b.umaxLo = a.umaxLo;
  b.sminHi = a.sminHi;
  b.sminLo = a.sminLo;
  b.smaxHi = a.smaxHi;
  b.smaxLo = a.smaxLo;
  tnumIntersect(a, a, b);
  b.valueHi = a.valueHi;
  b.valueLo = a.valueLo;
  b.maskHi = a.maskHi;
  b.maskLo = a.maskLo;
}

function raiseUmin(s: Scalar, high: number, low: number): void {
  if (ult(s.uminHi, s.uminLo, high, low)) {
    s.uminHi = high;
    s.uminLo = low;
  }
}
function lowerUmax(s: Scalar, high: number, low: number): void {
  if (ult(high, low, s.umaxHi, s.umaxLo)) {
    s.umaxHi = high;
    s.umaxLo = low;
  }
}
function raiseSmin(s: Scalar, high: number, low: number): void {
  if (slt(s.sminHi, s.sminLo, high, low)) {
    s.sminHi = high;
    s.sminLo = low;
  }
}
function lowerSmax(s: Scalar, high: number, low: number): void {
  if (slt(high, low, s.smaxHi, s.smaxLo)) {
    s.smaxHi = high;
    s.smaxLo = low;
  }
}

function refineByConst(op: number, is32: boolean, s: Scalar, known: Scalar): void {
  const { valueLo: low, valueHi: high } = known;
  if (op === BPF_JNE) {
    if (is32) excludeEdges32(s, low);
    else excludeEdges64(s, high, low);
  } else if (op === BPF_JSET) {
    // Only a single bit says which bit it is.
    if (is32 ? !isSingleBit(0, low) : !isSingleBit(high, low)) return;
    s.valueLo |= low;
    s.maskLo &= ~low;
    if (is32) return;
    s.valueHi |= high;
    s.maskHi &= ~high;
  } else {
    // Linux forgets the ranges first, so that a dead branch does not contradict them (6.17).
    setUnbounded(s);
    s.valueLo &= ~low;
    s.maskLo &= ~low;
    if (is32) return;
    s.valueHi &= ~high;
    s.maskHi &= ~high;
  }
}

const isPowerOfTwo32 = (x: number): boolean => x !== 0 && (x & (x - 1)) === 0;
const isSingleBit = (high: number, low: number): boolean =>
  high === 0 ? isPowerOfTwo32(low) : low === 0 && isPowerOfTwo32(high);

function excludeEdges32(s: Scalar, value: number): void {
  if (s.u32Min === value) s.u32Min = (s.u32Min + 1) | 0;
  if (s.u32Max === value) s.u32Max = (s.u32Max - 1) | 0;
  if (s.s32Min === value) s.s32Min = (s.s32Min + 1) | 0;
  if (s.s32Max === value) s.s32Max = (s.s32Max - 1) | 0;
}

function excludeEdges64(s: Scalar, high: number, low: number): void {
  const nextLo = (low + 1) | 0;
  const nextHi = (high + (nextLo === 0 ? 1 : 0)) | 0;
  const previousLo = (low - 1) | 0;
  const previousHi = (high - (low === 0 ? 1 : 0)) | 0;
  if (s.uminLo === low && s.uminHi === high) {
    s.uminLo = nextLo;
    s.uminHi = nextHi;
  }
  if (s.umaxLo === low && s.umaxHi === high) {
    s.umaxLo = previousLo;
    s.umaxHi = previousHi;
  }
  if (s.sminLo === low && s.sminHi === high) {
    s.sminLo = nextLo;
    s.sminHi = nextHi;
  }
  if (s.smaxLo === low && s.smaxHi === high) {
    s.smaxLo = previousLo;
    s.smaxHi = previousHi;
  }
}

function refineLessUnsigned32(strict: boolean, a: Scalar, b: Scalar): void {
  const step = strict ? 1 : 0;
  a.u32Max = umin32(a.u32Max, (b.u32Max - step) | 0);
  b.u32Min = umax32((a.u32Min + step) | 0, b.u32Min);
}

function refineLessSigned32(strict: boolean, a: Scalar, b: Scalar): void {
  const step = strict ? 1 : 0;
  const max = (b.s32Max - step) | 0;
  if (max < a.s32Max) a.s32Max = max;
  const min = (a.s32Min + step) | 0;
  if (min > b.s32Min) b.s32Min = min;
}

function refineLessUnsigned64(strict: boolean, a: Scalar, b: Scalar): void {
  const step = strict ? 1 : 0;
  lowerUmax(a, (b.umaxHi - (strict && b.umaxLo === 0 ? 1 : 0)) | 0, (b.umaxLo - step) | 0);
  raiseUmin(b, (a.uminHi + (strict && a.uminLo === -1 ? 1 : 0)) | 0, (a.uminLo + step) | 0);
}

function refineLessSigned64(strict: boolean, a: Scalar, b: Scalar): void {
  const step = strict ? 1 : 0;
  lowerSmax(a, (b.smaxHi - (strict && b.smaxLo === 0 ? 1 : 0)) | 0, (b.smaxLo - step) | 0);
  raiseSmin(b, (a.sminHi + (strict && a.sminLo === -1 ? 1 : 0)) | 0, (a.sminLo + step) | 0);
}

/**
 * Narrows the copies of both operands in the taken state and in the one that falls through, and deduces (`reg_set_min_max`).
 * The result is the contradictions found, as `checkBounds` words them, or undefined: most programs have none.
 * Of a register compared with itself, give the one object twice, as Linux does.
 */
export function refineBranches(
  op: number,
  is32: boolean,
  taken1: Scalar,
  taken2: Scalar,
  fall1: Scalar,
  fall2: Scalar,
): readonly string[] | undefined {
  refine(negateOp(op), is32, fall1, fall2);
  syncBounds(fall1);
  syncBounds(fall2);
  refine(op, is32, taken1, taken2);
  syncBounds(taken1);
  syncBounds(taken2);
  const first = checkBounds(taken1, 'true_reg1');
  const second = checkBounds(taken2, 'true_reg2');
  const third = checkBounds(fall1, 'false_reg1');
  const fourth = checkBounds(fall2, 'false_reg2');
  if (first === undefined && second === undefined && third === undefined && fourth === undefined)
    return undefined;
  return [first, second, third, fourth].filter((text) => text !== undefined);
}
