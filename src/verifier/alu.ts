/**
 * Arithmetic and moves (`check_alu_op`, `adjust_reg_min_max_vals` of Linux 6.18, kernel/bpf/verifier.c): which operands
 * may meet, what the result is known to be, and which registers stay linked.
 */
import { MapType } from '../abi/map-types.js';
import * as C from '../isa/constants.js';
import type { Insn } from '../isa/insn.js';
import { operatorText } from './alu-text.js';
import { checkBoundsSane } from './bounds-sanity.js';
import type { Verifier } from './context.js';
import { pointerAlu } from './pointer-alu.js';
import { markChainPrecision } from './precision.js';
import { isPointerValue } from './privilege.js';
import { ADD_CONST, ADD_CONST32, ADD_CONST64, copyReg, markKnown, markUnknown, Reg, unlink } from './reg.js';
import { checkDst, checkSrc } from './reg-access.js';
import { PTR_TO_ARENA, SCALAR_VALUE } from './reg-type.js';
import {
  aluScalar,
  assume,
  bitWidth,
  byteSwap,
  forkWidth,
  isConst,
  isSubregConst,
  mov32,
  movsx32,
  movsx64,
  type PartSize,
  umaxNumber,
} from './scalar/index.js';
import { assignScalarId } from './scalar-ids.js';
import { sanitizeScalar } from './speculation.js';
import { cloneState } from './state.js';

const S32_MIN = -0x80000000;

/** Reserved fields are checked before. */
export function checkAlu(v: Verifier, insn: Insn): void {
  switch (C.bpfOp(insn.code)) {
    case C.BPF_NEG:
      checkNegate(v, insn);
      break;
    case C.BPF_END:
      checkByteSwap(v, insn);
      break;
    case C.BPF_MOV:
      if (C.bpfSrc(insn.code) === C.BPF_X) checkMove(v, insn);
      else checkMoveImm(v, insn);
      break;
    default:
      checkArithmetic(v, insn);
  }
  checkBoundsSane(v, v.reg(insn.dst), 'alu');
}

function checkNegate(v: Verifier, insn: Insn): void {
  checkSrc(v, insn.dst);
  if (isPointerValue(v, insn.dst)) v.denied(`R${insn.dst} pointer arithmetic prohibited`);
  checkDst(v, insn.dst);
  const reg = v.reg(insn.dst);
  if (reg.type !== SCALAR_VALUE) {
    markUnknown(reg);
    return;
  }
  aluScalar(C.BPF_NEG, C.bpfClass(insn.code) === C.BPF_ALU64, reg, reg);
  unlink(reg);
}

function checkByteSwap(v: Verifier, insn: Insn): void {
  checkSrc(v, insn.dst);
  if (isPointerValue(v, insn.dst)) v.denied(`R${insn.dst} pointer arithmetic prohibited`);
  checkDst(v, insn.dst);
  const reg = v.reg(insn.dst);
  if (reg.type !== SCALAR_VALUE) {
    markUnknown(reg);
    return;
  }
  const swaps = C.bpfClass(insn.code) === C.BPF_ALU64 || C.bpfSrc(insn.code) === C.BPF_TO_BE;
  if (swaps || insn.imm !== 64) unlink(reg);
  byteSwap(reg, swaps, insn.imm as 16 | 32 | 64);
}

function checkMoveImm(v: Verifier, insn: Insn): void {
  checkDst(v, insn.dst);
  const reg = v.reg(insn.dst);
  markUnknown(reg);
  const high = C.bpfClass(insn.code) === C.BPF_ALU64 && insn.imm < 0 ? -1 : 0;
  markKnown(reg, high, insn.imm);
}

/** Into an arena, and out of it; that the immediate is one of the two was checked before. */
function castAddressSpace(v: Verifier, insn: Insn): void {
  if (!v.usedMaps.some(({ type }) => type === MapType.arena)) {
    v.invalid('addr_space_cast insn can only be used in a program that has an associated arena');
  }
  checkSrc(v, insn.src);
  checkDst(v, insn.dst);
  const dst = v.reg(insn.dst);
  markUnknown(dst);
  if (insn.imm === 1) dst.type = PTR_TO_ARENA;
}

function checkMove(v: Verifier, insn: Insn): void {
  const is64 = C.bpfClass(insn.code) === C.BPF_ALU64;
  if (is64 && insn.off === C.BPF_ADDR_SPACE_CAST) {
    castAddressSpace(v, insn);
    return;
  }
  checkSrc(v, insn.src);
  checkDst(v, insn.dst);
  const src = v.reg(insn.src);
  const dst = v.reg(insn.dst);
  if (is64 && insn.off === 0) {
    assignScalarId(v, src);
    if (dst !== src) copyReg(dst, src);
    return;
  }
  if (src.type !== SCALAR_VALUE) {
    if (isPointerValue(v, insn.src)) {
      v.denied(`R${insn.src} ${is64 ? 'sign-extension part' : 'partial copy'} of pointer`);
    }
    markUnknown(dst);
    if (!is64) mov32(dst);
    return;
  }
  const width = insn.off === 0 ? 32 : insn.off;
  const keepsValue = insn.off === 0 ? bitWidth(src) <= 32 : umaxNumber(src) < 2 ** (insn.off - 1);
  if (keepsValue) assignScalarId(v, src);
  if (dst !== src) copyReg(dst, src);
  if (!keepsValue) unlink(dst);
  if (is64) movsx64(dst, (width >> 3) as PartSize);
  else if (insn.off === 0) mov32(dst);
  else movsx32(dst, (width >> 3) as 1 | 2);
}

const immediate = new Reg();

function checkArithmetic(v: Verifier, insn: Insn): void {
  const op = C.bpfOp(insn.code);
  const is64 = C.bpfClass(insn.code) === C.BPF_ALU64;
  const byReg = C.bpfSrc(insn.code) === C.BPF_X;
  if (byReg) checkSrc(v, insn.src);
  checkSrc(v, insn.dst);
  if (!byReg) checkImmediate(v, insn, op, is64);
  checkDst(v, insn.dst);
  const dst = v.reg(insn.dst);
  if (dst.type === PTR_TO_ARENA) return;
  let src: Reg;
  if (byReg) {
    src = v.reg(insn.src);
    if (src.type !== SCALAR_VALUE) {
      arithmeticWithPointer(v, insn, op, dst, src);
      return;
    }
    if (dst.type !== SCALAR_VALUE || dst.precise) markChainPrecision(v, insn.src);
  } else {
    src = immediate;
    src.type = SCALAR_VALUE;
    markKnown(src, insn.imm < 0 ? -1 : 0, insn.imm);
  }
  if (dst.type !== SCALAR_VALUE) pointerAlu(v, insn, dst, src, dst);
  else scalarAlu(v, insn, op, is64, dst, src);
}

function checkImmediate(v: Verifier, insn: Insn, op: number, is64: boolean): void {
  if ((op === C.BPF_MOD || op === C.BPF_DIV) && insn.imm === 0) v.invalid('div by zero');
  if (op !== C.BPF_LSH && op !== C.BPF_RSH && op !== C.BPF_ARSH) return;
  if (insn.imm < 0 || insn.imm >= (is64 ? 64 : 32)) v.invalid(`invalid shift ${insn.imm}`);
}

/** The source is a pointer. */
function arithmeticWithPointer(v: Verifier, insn: Insn, op: number, dst: Reg, src: Reg): void {
  if (dst.type === SCALAR_VALUE) {
    markChainPrecision(v, insn.dst);
    pointerAlu(v, insn, src, dst, dst);
    return;
  }
  if (op !== C.BPF_SUB || !v.perfmon) v.denied(`R${insn.dst} pointer ${operatorText(op)} pointer prohibited`);
  markUnknown(dst);
}

/** True for operations whose result has a range (`is_safe_to_compute_dst_reg_range`). */
function hasRange(op: number, is64: boolean, src: Reg): boolean {
  switch (op) {
    case C.BPF_DIV:
    case C.BPF_MOD:
      return false;
    case C.BPF_LSH:
    case C.BPF_RSH:
    case C.BPF_ARSH:
      return (is64 ? isConst(src) : isSubregConst(src)) && umaxNumber(src) < (is64 ? 64 : 32);
    default:
      return true;
  }
}

/** `dst op= src`, both numbers; a constant added to a copy keeps the two linked. */
function scalarAlu(v: Verifier, insn: Insn, op: number, is64: boolean, dst: Reg, src: Reg): void {
  const delta = v.capable ? linkDelta(op, is64, dst, src) : undefined;
  sanitizeScalar(v, insn);
  if (op === C.BPF_AND || op === C.BPF_OR) forkOnSign(v, op, dst, src);
  if (hasRange(op, is64, src)) aluScalar(op, is64, dst, src);
  else markUnknown(dst);
  if (delta === undefined) {
    unlink(dst);
  } else {
    dst.id |= is64 ? ADD_CONST64 : ADD_CONST32;
    dst.off = delta;
  }
}

/** What an arithmetic shift leaves of a sign is -1 or 0: one path each (`maybe_fork_scalars`). */
function forkOnSign(v: Verifier, op: number, dst: Reg, src: Reg): void {
  const width = forkWidth(op, dst, src);
  if (width === 0) return;
  const other = cloneState(v.state);
  assume(other.frames[other.curframe]!.regs[v.insns[v.insnIdx]!.dst]!, width, 0);
  assume(dst, width, -1);
  v.pushPath(other, v.insnIdx, v.insnIdx);
}

/** What a linked register moves by; undefined where it is linked no longer. */
function linkDelta(op: number, is64: boolean, dst: Reg, src: Reg): number | undefined {
  if (dst.id === 0 || (dst.id & ADD_CONST) !== 0 || dst === src) return undefined;
  if (op !== C.BPF_ADD && op !== C.BPF_SUB) return undefined;
  const low = src.valueLo;
  if (is64) {
    if (!isConst(src) || src.valueHi !== low >> 31) return undefined;
  } else if (!isSubregConst(src) || bitWidth(dst) > 32) {
    return undefined;
  }
  if (op === C.BPF_ADD) return low;
  return low === S32_MIN ? undefined : -low;
}
