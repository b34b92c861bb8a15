/**
 * One instruction seen backwards: which registers and slots its result was made from. Models
 * `backtrack_insn` of Linux 6.18 (kernel/bpf/verifier.c).
 */
import * as C from '../isa/constants.js';
import type { Insn } from '../isa/insn.js';
import { isSyncCallbackCall } from './callback-kinds.js';
import { mayLeave } from './cfg.js';
import type { Verifier } from './context.js';
import { ERRNO } from './errno.js';
import { CALLS_CALLBACK } from './insn-facts.js';
import {
  flagsFrame,
  flagsSpi,
  HIST_DST_REG_STACK,
  HIST_SRC_REG_STACK,
  HIST_STACK_ACCESS,
  type HistoryEntry,
} from './state.js';
import { isKfuncCall, isPseudoCall } from './subprogs.js';

/** r1 to r5. */
export const ARG_REGS = 0x3e;

/** Updates `v.bt` for instruction `idx`, after which `subseq` ran. False where the value cannot be followed. */
export function backtrackInsn(v: Verifier, idx: number, subseq: number, entry: HistoryEntry | null): boolean {
  const insn = v.insns[idx]!;
  if (insn.code === 0) return true;
  syncLinked(v, entry);
  const cls = C.bpfClass(insn.code);
  let known = true;
  let done = false;
  switch (cls) {
    case C.BPF_ALU:
    case C.BPF_ALU64:
      done = !traceAlu(v, insn);
      break;
    case C.BPF_LDX:
      done = !traceLoad(v, insn, entry);
      break;
    case C.BPF_STX:
    case C.BPF_ST:
      if (isAtomicLoad(insn)) done = !traceLoad(v, insn, entry);
      else if (v.bt.hasReg(insn.dst)) known = false;
      else done = !traceStore(v, insn, entry);
      break;
    case C.BPF_JMP:
    case C.BPF_JMP32:
      // A call that names no function is refused later.
      if (isKfuncCall(insn) && insn.imm === 0) known = false;
      else done = !traceJump(v, idx, subseq, insn, entry);
      break;
    default:
      if (insn.code !== C.LD_IMM64 && subseq - idx !== 1) {
        v.bt.clearReg(0);
        enterLeft(v);
        return true;
      }
      if (!v.bt.hasReg(insn.dst)) return true;
      v.bt.clearReg(insn.dst);
      known = insn.code === C.LD_IMM64;
  }
  if (!known) return false;
  if (!done) syncLinked(v, entry);
  return true;
}

const isAtomicLoad = (insn: Insn): boolean =>
  C.bpfClass(insn.code) === C.BPF_STX && C.bpfMode(insn.code) === C.BPF_ATOMIC && insn.imm === C.BPF_LOAD_ACQ;

/** Registers that gained their ranges together count together. */
function syncLinked(v: Verifier, entry: HistoryEntry | null): void {
  const linked = entry?.linked ?? null;
  if (linked === null) return;
  const { bt } = v;
  const asked = linked.some(({ isReg, frameno, index }) =>
    isReg ? (bt.regs[frameno]! & (1 << index)) !== 0 : bt.hasSlot(frameno, index),
  );
  if (!asked) return;
  for (const { isReg, frameno, index } of linked) {
    if (isReg) bt.regs[frameno]! |= 1 << index;
    else bt.setSlot(frameno, index);
  }
}

/** Each trace function returns false where nothing further is to be done for the instruction. */
function traceAlu({ bt }: Verifier, insn: Insn): boolean {
  if (!bt.hasReg(insn.dst)) return false;
  const op = C.bpfOp(insn.code);
  if (op === C.BPF_END || op === C.BPF_NEG) return false;
  if (op === C.BPF_MOV) bt.clearReg(insn.dst);
  if (C.bpfSrc(insn.code) === C.BPF_X && insn.src !== C.BPF_REG_FP) bt.setReg(insn.src);
  return true;
}

function traceLoad({ bt }: Verifier, insn: Insn, entry: HistoryEntry | null): boolean {
  if (!bt.hasReg(insn.dst)) return false;
  bt.clearReg(insn.dst);
  if (entry === null || (entry.flags & HIST_STACK_ACCESS) === 0) return false;
  bt.setSlot(flagsFrame(entry.flags), flagsSpi(entry.flags));
  return true;
}

function traceStore({ bt }: Verifier, insn: Insn, entry: HistoryEntry | null): boolean {
  if (entry === null || (entry.flags & HIST_STACK_ACCESS) === 0) return false;
  const frame = flagsFrame(entry.flags);
  const spi = flagsSpi(entry.flags);
  if (!bt.hasSlot(frame, spi)) return false;
  bt.clearSlot(frame, spi);
  if (C.bpfClass(insn.code) === C.BPF_STX) bt.setReg(insn.src);
  return true;
}

function traceJump(
  v: Verifier,
  idx: number,
  subseq: number,
  insn: Insn,
  entry: HistoryEntry | null,
): boolean {
  const { bt } = v;
  const op = C.bpfOp(insn.code);
  if (isPseudoCall(insn)) {
    traceSubprogCall(v, idx, insn);
    return false;
  }
  if (isSyncCallbackCall(v, insn) && idx !== subseq - 1) {
    traceCallbackExit(v);
    return false;
  }
  if (op === C.BPF_CALL) {
    bt.clearReg(0);
    expectNoRegs(v, ARG_REGS, 'backtracking call');
    if (mayLeave(insn) && subseq - idx !== 1) enterLeft(v);
  } else if (op === C.BPF_EXIT) {
    traceExit(v, subseq);
    return false;
  } else if (C.bpfSrc(insn.code) === C.BPF_X) {
    if (!bt.hasReg(insn.dst) && !bt.hasReg(insn.src)) return false;
    const flags = entry?.flags ?? 0;
    if ((flags & HIST_SRC_REG_STACK) === 0) bt.setReg(insn.src);
    if ((flags & HIST_DST_REG_STACK) === 0) bt.setReg(insn.dst);
  }
  return true;
}

/** None of the registers `wrong` may be asked for now; the line names all that are. */
function expectNoRegs(v: Verifier, wrong: number, what: string): void {
  const mask = v.bt.regs[v.bt.frame]!;
  if ((mask & wrong) !== 0)
    v.reject(ERRNO.EFAULT, `verifier bug: ${what} unexpected regs ${mask.toString(16)}`);
}

function expectNoSlots(v: Verifier, what: string): void {
  const mask = v.bt.slotMask;
  if (mask !== 0n) v.reject(ERRNO.EFAULT, `verifier bug: ${what} leftover stack slots ${mask.toString(16)}`);
}

function traceSubprogCall(v: Verifier, idx: number, insn: Insn): void {
  const { bt } = v;
  const subprog = v.subprogs[v.findSubprog(idx + insn.imm + 1)]!;
  if (subprog.isGlobal) {
    expectNoRegs(v, ARG_REGS, 'global subprog');
    bt.clearReg(0);
    return;
  }
  expectNoRegs(v, ~ARG_REGS, 'static subprog');
  expectNoSlots(v, 'static subprog');
  leave(v, bt.regs[bt.frame]! & ARG_REGS);
}

/** Out of a callback, into the call that made it: what it was called with was no argument of the call. */
function traceCallbackExit(v: Verifier): void {
  expectNoRegs(v, ~ARG_REGS, 'callback');
  expectNoSlots(v, 'callback');
  leave(v, 0);
}

/** To the caller's frame, with `regs` asked for there, too. */
function leave(v: Verifier, regs: number): void {
  const { bt } = v;
  if (bt.frame === 0) v.reject(ERRNO.EFAULT, 'verifier bug: subprog exit from frame 0');
  bt.regs[bt.frame]! &= ~ARG_REGS;
  bt.frame--;
  bt.regs[bt.frame]! |= regs;
}

/** Into a function that an instruction left without an exit. */
function enterLeft(v: Verifier): void {
  if (v.bt.frame === 7) v.reject(ERRNO.EFAULT, 'verifier bug: subprog enter from frame 7');
  v.bt.frame++;
}

/** Into a function that returned. */
function traceExit(v: Verifier, subseq: number): void {
  const { bt } = v;
  if (subseq >= 0 && v.aux.has(subseq, CALLS_CALLBACK)) bt.regs[bt.frame]! &= ~ARG_REGS;
  expectNoRegs(v, ARG_REGS, 'backtracking exit');
  const wantsResult = subseq >= 1 && isPseudoCall(v.insns[subseq - 1]!) && bt.hasReg(0);
  bt.clearReg(0);
  enterLeft(v);
  if (wantsResult) bt.setReg(0);
}
