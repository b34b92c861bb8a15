/**
 * One arithmetic instruction on two scalars (`adjust_scalar_min_max_vals` of Linux 6.18): which operations have a range
 * at all, the transfer in every domain, zero extension after 32-bit operations, deduction.
 */
import {
  BPF_ADD,
  BPF_AND,
  BPF_ARSH,
  BPF_LSH,
  BPF_MUL,
  BPF_NEG,
  BPF_OR,
  BPF_RSH,
  BPF_SUB,
  BPF_XOR,
} from '../../isa/constants.js';
import { addScalar, mulScalar, subScalar } from './arith.js';
import { andScalar, orScalar, xorScalar } from './bitwise.js';
import { syncBounds } from './bounds.js';
import { coerceSubregToSizeSx, coerceToSizeSx, type PartSize, zext32To64 } from './extend.js';
import { ule32 } from './pair.js';
import {
  copyScalar,
  isConst,
  isSubregConst,
  Scalar,
  setConstPair,
  setSubregConst,
  setUnknown,
} from './scalar.js';
import { sarScalar32, sarScalar64, shlScalar32, shlScalar64, shrScalar32, shrScalar64 } from './shift.js';

const operand = new Scalar();

/** A shift amount that is known in every domain and below the width, or -1. */
function shiftAmount(src: Scalar, is64: boolean): number {
  const known = is64
    ? isConst(src) &&
      src.sminLo === src.smaxLo &&
      src.sminHi === src.smaxHi &&
      src.uminLo === src.umaxLo &&
      src.uminHi === src.umaxHi
    : isSubregConst(src) && src.s32Min === src.s32Max && src.u32Min === src.u32Max;
  if (!known || src.umaxHi !== 0 || !ule32(src.umaxLo, is64 ? 63 : 31)) return -1;
  return is64 ? src.uminLo : src.u32Min;
}

/**
 * `dst = dst op src`, or `dst = -dst` for `BPF_NEG`, whose `src` is not looked at. `op` is the operation's bits of the opcode
 * (`BPF_ADD` …). Division, modulo and shifts by an unknown or too large amount make `dst` unknown. The two may be one object.
 */
export function aluScalar(op: number, is64: boolean, dst: Scalar, src: Scalar): void {
  if (dst === src) {
    copyScalar(operand, src);
    src = operand;
  }
  switch (op) {
    case BPF_ADD:
      addScalar(dst, src);
      break;
    case BPF_SUB:
      subScalar(dst, src);
      break;
    case BPF_NEG:
      copyScalar(operand, dst);
      setConstPair(dst, 0, 0);
      subScalar(dst, operand);
      break;
    case BPF_MUL:
      mulScalar(dst, src);
      break;
    case BPF_AND:
      andScalar(dst, src);
      break;
    case BPF_OR:
      orScalar(dst, src);
      break;
    case BPF_XOR:
      xorScalar(dst, src);
      break;
    case BPF_LSH:
    case BPF_RSH:
    case BPF_ARSH: {
      const amount = shiftAmount(src, is64);
      if (amount < 0) {
        setUnknown(dst);
        return;
      }
      shiftScalar(op, is64, dst, amount);
      break;
    }
    default:
      setUnknown(dst);
      return;
  }
  if (!is64) zext32To64(dst);
  syncBounds(dst);
}

function shiftScalar(op: number, is64: boolean, dst: Scalar, amount: number): void {
  if (op === BPF_LSH) {
    if (is64) shlScalar64(dst, amount);
    else shlScalar32(dst, amount);
  } else if (op === BPF_RSH) {
    if (is64) shrScalar64(dst, amount);
    else shrScalar32(dst, amount);
  } else if (is64) {
    sarScalar64(dst, amount);
  } else {
    sarScalar32(dst, amount);
  }
}

/** `wdst = wsrc` on a register that already holds a copy of the source: zero extension and deduction. */
export function mov32(dst: Scalar): void {
  zext32To64(dst);
  syncBounds(dst);
}

/** `rdst = (s8, s16, s32)rsrc` on a register that already holds a copy of the source. */
export function movsx64(dst: Scalar, size: PartSize): void {
  coerceToSizeSx(dst, size);
}

/** `wdst = (s8, s16)wsrc` on a register that already holds a copy of the source. */
export function movsx32(dst: Scalar, size: 1 | 2): void {
  coerceSubregToSizeSx(dst, size);
  zext32To64(dst);
  syncBounds(dst);
}

/**
 * Linux splits a state before `&` or `|` with a constant when `dst` is -1 or 0 (what an arithmetic shift leaves of a sign): the
 * width at which that is known, 64 or 32, or 0 for no split. One state goes on with -1, the other repeats the instruction with 0.
 */
export function forkWidth(op: number, dst: Scalar, src: Scalar): 64 | 32 | 0 {
  if ((op !== BPF_AND && op !== BPF_OR) || !isConst(src)) return 0;
  if ((dst.sminLo & dst.sminHi) === -1 && (dst.smaxLo | dst.smaxHi) === 0) return 64;
  return dst.s32Min === -1 && dst.s32Max === 0 ? 32 : 0;
}

/** The split's assumption: `dst` is `value` (0 or -1) at that width. */
export function assume(dst: Scalar, width: 64 | 32, value: 0 | -1): void {
  if (width === 64) setConstPair(dst, value, value);
  else setSubregConst(dst, value);
}
