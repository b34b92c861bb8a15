/**
 * Conditional jumps (`check_cond_jmp_op` of Linux 6.18, kernel/bpf/verifier.c): which way they go where that is known,
 * and what each way teaches: ranges and registers linked to them, nullness, packet bytes that are there.
 */

import * as C from '../isa/constants.js';
import type { Insn } from '../isa/insn.js';
import { reportViolation } from './bounds-sanity.js';
import { isTrustedReg } from './btf/trust.js';
import type { Verifier } from './context.js';
import { ERRNO } from './errno.js';
import { collectLinked, syncLinked } from './linked-regs.js';
import { markNotNull, markPointerOrNull } from './nullness.js';
import { matchPacketPointers, packetBranchTaken } from './packet-range.js';
import { markChainPrecision } from './precision.js';
import { writeInsnState } from './print-state.js';
import { isPointerValue } from './privilege.js';
import { findPrevEntry, widenImpreciseScalars } from './prune.js';
import { copyReg, MAX_VAR_OFF, markKnown, markUnknown, type Reg } from './reg.js';
import { checkSrc } from './reg-access.js';
import {
  baseType,
  CONST_PTR_TO_MAP,
  isPacketAny,
  mayBeNull,
  PTR_TO_BTF_ID,
  PTR_TO_BUF,
  PTR_TO_MAP_KEY,
  PTR_TO_MAP_VALUE,
  PTR_TO_MEM,
  PTR_TO_SOCK_COMMON,
  PTR_TO_SOCKET,
  PTR_TO_STACK,
  PTR_TO_TCP_SOCK,
  PTR_TO_XDP_SOCK,
  PTR_UNTRUSTED,
  SCALAR_VALUE,
} from './reg-type.js';
import { branchTaken, constValue, fitsIn, flipOp, isConstAt, refineBranches } from './scalar/index.js';
import { followWrongTurn } from './speculation.js';
import { HIST_DST_REG_STACK, HIST_SRC_REG_STACK, type LinkedReg, shareState } from './state.js';

/** Moves `v.insnIdx` to one before the instruction that runs next. */
export function checkCondJump(v: Verifier, insn: Insn): void {
  const op = C.bpfOp(insn.code);
  if (op === C.BPF_JCOND) {
    checkMayGoto(v, insn);
    return;
  }
  const byReg = C.bpfSrc(insn.code) === C.BPF_X;
  const is32 = C.bpfClass(insn.code) === C.BPF_JMP32;
  checkSrc(v, insn.dst);
  const dst = v.reg(insn.dst);
  const src = operand(v, insn, byReg);
  if (byReg && !(isPacketAny(dst.type) && isPacketAny(src.type)) && isPointerValue(v, insn.src)) {
    v.denied(`R${insn.src} pointer comparison prohibited`);
  }
  let flags = byReg && src.type === PTR_TO_STACK ? HIST_SRC_REG_STACK : 0;
  if (dst.type === PTR_TO_STACK) flags |= HIST_DST_REG_STACK;
  if (flags !== 0) v.pushHistory(v.state, flags, null);
  const taken = predict(dst, src, op, is32);
  if (taken >= 0) {
    if (dst.type === SCALAR_VALUE) markChainPrecision(v, insn.dst);
    if (byReg && src.type === SCALAR_VALUE) markChainPrecision(v, insn.src);
    followWrongTurn(v, insn, v.insnIdx + 1 + (taken === 1 ? 0 : insn.off));
    if (v.log.verbose) writeInsnState(v);
    if (taken === 1) v.insnIdx += insn.off;
    return;
  }
  fork(v, insn, op, byReg, is32);
  if (v.log.verbose) writeInsnState(v);
}

function operand(v: Verifier, insn: Insn, byReg: boolean): Reg {
  if (byReg) {
    if (insn.imm !== 0) v.invalid('BPF_JMP/JMP32 uses reserved fields');
    checkSrc(v, insn.src);
    return v.reg(insn.src);
  }
  if (insn.src !== 0) v.invalid('BPF_JMP/JMP32 uses reserved fields');
  const fake = v.fakeReg0;
  markUnknown(fake);
  markKnown(fake, insn.imm < 0 ? -1 : 0, insn.imm);
  return fake;
}

function checkMayGoto(v: Verifier, insn: Insn): void {
  if (
    insn.code !== (C.BPF_JMP | C.BPF_JCOND) ||
    insn.src !== C.BPF_MAY_GOTO ||
    insn.dst !== 0 ||
    insn.imm !== 0
  ) {
    v.invalid(`invalid may_goto imm ${insn.imm}`);
  }
  const { state } = v;
  const idx = v.insnIdx;
  const previous = state.parent === null ? undefined : findPrevEntry(v, state.parent, idx);
  const queued = shareState(state);
  v.pushPath(queued, idx + 1, idx, ERRNO.ENOMEM);
  queued.mayGotoDepth++;
  if (previous !== undefined) widenImpreciseScalars(v, previous, queued);
  v.insnIdx += insn.off;
}

/** 1: jumps, 0: falls through, -1: not known (`is_branch_taken`). */
function predict(dst: Reg, src: Reg, op: number, is32: boolean): number {
  if (isPacketAny(dst.type) && isPacketAny(src.type) && !is32) return packetBranchTaken(dst, src, op);
  if (dst.type === SCALAR_VALUE && src.type === SCALAR_VALUE) return branchTaken(op, is32, dst, src);
  let pointer = dst;
  let number = src;
  let operator = op;
  if (!isConstNumber(number, is32)) {
    operator = flipOp(op);
    pointer = src;
    number = dst;
  }
  if (!isConstNumber(number, is32) || !isNotNull(pointer)) return -1;
  if (constValue(number, is32) !== 0n) return -1;
  if (operator === C.BPF_JEQ) return 0;
  return operator === C.BPF_JNE ? 1 : -1;
}

const isConstNumber = (reg: Reg, is32: boolean): boolean => reg.type === SCALAR_VALUE && isConstAt(reg, is32);

/** Pointers that are certainly not null (`reg_not_null`). */
function isNotNull(reg: Reg): boolean {
  if (mayBeNull(reg.type) || !fitsIn(reg, 1 - MAX_VAR_OFF, MAX_VAR_OFF - 1)) return false;
  switch (baseType(reg.type)) {
    case PTR_TO_SOCKET:
    case PTR_TO_TCP_SOCK:
    case PTR_TO_XDP_SOCK:
    case PTR_TO_BUF:
    case PTR_TO_MAP_VALUE:
    case PTR_TO_MAP_KEY:
    case PTR_TO_SOCK_COMMON:
    case CONST_PTR_TO_MAP:
      return true;
    case PTR_TO_BTF_ID:
      return isTrustedReg(reg);
    case PTR_TO_MEM:
      return (reg.type & PTR_UNTRUSTED) === 0;
    default:
      return false;
  }
}

/** Both ways are possible: the jump is queued, this path falls through. */
function fork(v: Verifier, insn: Insn, op: number, byReg: boolean, is32: boolean): void {
  const { state } = v;
  const linked: LinkedReg[] = [];
  if (byReg) collectLinkedTo(v, v.peek(insn.src), linked);
  collectLinkedTo(v, v.peek(insn.dst), linked);
  if (linked.length > 1) v.pushHistory(state, 0, linked);
  const other = shareState(state);
  v.pushPath(other, v.insnIdx + insn.off + 1, v.insnIdx);
  const dst = v.reg(insn.dst);
  const src = byReg ? v.reg(insn.src) : v.fakeReg0;
  const otherDst = other.frame.reg(insn.dst);
  const otherSrc = byReg ? other.frame.reg(insn.src) : v.fakeReg1;
  if (!byReg) copyReg(otherSrc, src);
  if (dst.type === SCALAR_VALUE && src.type === SCALAR_VALUE) {
    const violations = refineBranches(op, is32, otherDst, otherSrc, dst, src);
    if (violations !== undefined) for (const violation of violations) reportViolation(v, violation);
  }
  if (byReg && src.type === SCALAR_VALUE && src.id !== 0) {
    syncLinked(state, src, linked);
    syncLinked(other, otherSrc, linked);
  }
  if (dst.type === SCALAR_VALUE && dst.id !== 0) {
    syncLinked(state, dst, linked);
    syncLinked(other, otherDst, linked);
  }
  if (byReg && !is32) liftNullness(op, dst, src, otherDst, otherSrc);
  if (!is32 && !byReg && insn.imm === 0 && (op === C.BPF_JEQ || op === C.BPF_JNE) && mayBeNull(dst.type)) {
    markPointerOrNull(v, state, insn.dst, op === C.BPF_JNE);
    markPointerOrNull(v, other, insn.dst, op === C.BPF_JEQ);
  } else {
    const matched = byReg && !is32 && matchPacketPointers(insn, op, dst, src, state, other);
    if (!matched && isPointerValue(v, insn.dst)) v.denied(`R${insn.dst} pointer comparison prohibited`);
  }
}

function collectLinkedTo(v: Verifier, reg: Readonly<Reg>, linked: LinkedReg[]): void {
  if (reg.type === SCALAR_VALUE && reg.id !== 0) collectLinked(v, reg.id, linked);
}

/** Equal to a pointer that is not null: not null either. */
function liftNullness(op: number, dst: Reg, src: Reg, otherDst: Reg, otherSrc: Reg): void {
  if (src.type === SCALAR_VALUE || dst.type === SCALAR_VALUE) return;
  const srcNullable = mayBeNull(src.type);
  if (srcNullable === mayBeNull(dst.type)) return;
  if (baseType(src.type) === PTR_TO_BTF_ID || baseType(dst.type) === PTR_TO_BTF_ID) return;
  if (op === C.BPF_JEQ) markNotNull(srcNullable ? otherSrc : otherDst);
  else if (op === C.BPF_JNE) markNotNull(srcNullable ? src : dst);
}
