/**
 * Which way a comparison of two scalars goes (`is_scalar_branch_taken` of Linux 6.18), and how the operators relate to
 * each other. The operator is the operation's bits of the opcode; `JSET_FALSE` stands for the negation of `BPF_JSET`.
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
import { slt, ule32, ult, ult32 } from './pair.js';
import { isConstAt, type Scalar } from './scalar.js';
import { tnumOverlap } from './tnum.js';

/** `!(a & b)`: no opcode of its own. */
export const JSET_FALSE = BPF_JSET | 0x08;

const NEGATED = operators([
  [BPF_JEQ, BPF_JNE],
  [BPF_JNE, BPF_JEQ],
  [BPF_JSET, JSET_FALSE],
  [JSET_FALSE, BPF_JSET],
  [BPF_JGT, BPF_JLE],
  [BPF_JLE, BPF_JGT],
  [BPF_JGE, BPF_JLT],
  [BPF_JLT, BPF_JGE],
  [BPF_JSGT, BPF_JSLE],
  [BPF_JSLE, BPF_JSGT],
  [BPF_JSGE, BPF_JSLT],
  [BPF_JSLT, BPF_JSGE],
]);
const FLIPPED = operators([
  [BPF_JEQ, BPF_JEQ],
  [BPF_JNE, BPF_JNE],
  [BPF_JSET, BPF_JSET],
  [JSET_FALSE, JSET_FALSE],
  [BPF_JGT, BPF_JLT],
  [BPF_JLT, BPF_JGT],
  [BPF_JGE, BPF_JLE],
  [BPF_JLE, BPF_JGE],
  [BPF_JSGT, BPF_JSLT],
  [BPF_JSLT, BPF_JSGT],
  [BPF_JSGE, BPF_JSLE],
  [BPF_JSLE, BPF_JSGE],
]);

function operators(pairs: readonly (readonly [number, number])[]): Uint8Array {
  const table = new Uint8Array(256);
  for (const [from, to] of pairs) table[from] = to;
  return table;
}

/** The operator that holds exactly where `op` does not. */
export const negateOp = (op: number): number => NEGATED[op]!;
/** `a op b` is `b flipOp(op) a`. */
export const flipOp = (op: number): number => FLIPPED[op]!;

/** 1: `a op b` holds for all members, 0: for none, -1: for some or not known. */
export function branchTaken(op: number, is32: boolean, a: Scalar, b: Scalar): 1 | 0 | -1 {
  switch (op) {
    case BPF_JEQ:
      return equality(is32, a, b);
    case BPF_JNE:
      return not(equality(is32, a, b));
    case BPF_JSET:
      return bitTest(is32, a, b);
    case BPF_JGT:
      return lessUnsigned(is32, b, a);
    case BPF_JLT:
      return lessUnsigned(is32, a, b);
    case BPF_JGE:
      return not(lessUnsigned(is32, a, b));
    case BPF_JLE:
      return not(lessUnsigned(is32, b, a));
    case BPF_JSGT:
      return lessSigned(is32, b, a);
    case BPF_JSLT:
      return lessSigned(is32, a, b);
    case BPF_JSGE:
      return not(lessSigned(is32, a, b));
    case BPF_JSLE:
      return not(lessSigned(is32, b, a));
    default:
      return -1;
  }
}

type Taken = 1 | 0 | -1;

const not = (taken: Taken): Taken => (taken < 0 ? -1 : taken === 0 ? 1 : 0);

function equality(is32: boolean, a: Scalar, b: Scalar): Taken {
  if (isConstAt(a, is32) && isConstAt(b, is32)) {
    return a.valueLo === b.valueLo && (is32 || a.valueHi === b.valueHi) ? 1 : 0;
  }
  if (((a.valueLo ^ b.valueLo) & ~a.maskLo & ~b.maskLo) !== 0) return 0;
  if (!is32) {
    if (!tnumOverlap(a, b)) return 0;
    if (ult(b.umaxHi, b.umaxLo, a.uminHi, a.uminLo) || ult(a.umaxHi, a.umaxLo, b.uminHi, b.uminLo)) return 0;
    if (slt(b.smaxHi, b.smaxLo, a.sminHi, a.sminLo) || slt(a.smaxHi, a.smaxLo, b.sminHi, b.sminLo)) return 0;
  }
  if (ult32(b.u32Max, a.u32Min) || ult32(a.u32Max, b.u32Min)) return 0;
  if (a.s32Min > b.s32Max || a.s32Max < b.s32Min) return 0;
  return -1;
}

function bitTest(is32: boolean, a: Scalar, b: Scalar): Taken {
  const known = isConstAt(b, is32) ? b : a;
  if (!isConstAt(known, is32)) return -1;
  const other = known === b ? a : b;
  const sure = other.valueLo & known.valueLo;
  const possible = (other.valueLo | other.maskLo) & known.valueLo;
  if (is32) return sure !== 0 ? 1 : possible === 0 ? 0 : -1;
  if ((sure | (other.valueHi & known.valueHi)) !== 0) return 1;
  return (possible | ((other.valueHi | other.maskHi) & known.valueHi)) === 0 ? 0 : -1;
}

/** `a < b` unsigned. The order of the two tests matters where ranges contradict themselves. */
function lessUnsigned(is32: boolean, a: Scalar, b: Scalar): Taken {
  if (is32) {
    if (ult32(a.u32Max, b.u32Min)) return 1;
    return ule32(b.u32Max, a.u32Min) ? 0 : -1;
  }
  if (ult(a.umaxHi, a.umaxLo, b.uminHi, b.uminLo)) return 1;
  return ult(a.uminHi, a.uminLo, b.umaxHi, b.umaxLo) ? -1 : 0;
}

/** `a < b` signed. */
function lessSigned(is32: boolean, a: Scalar, b: Scalar): Taken {
  if (is32) {
    if (a.s32Max < b.s32Min) return 1;
    return a.s32Min >= b.s32Max ? 0 : -1;
  }
  if (slt(a.smaxHi, a.smaxLo, b.sminHi, b.sminLo)) return 1;
  return slt(a.sminHi, a.sminLo, b.smaxHi, b.smaxLo) ? -1 : 0;
}
