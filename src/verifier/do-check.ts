/**
 * Simulation of all paths: one instruction after the other, paths taken up from the stack where one ends. Models
 * `do_check`, `do_check_insn` and `do_check_common` of Linux 6.18 (kernel/bpf/verifier.c).
 */

import { ProgType } from '../abi/prog-types.js';
import { checkReserved } from '../isa/check.js';
import * as C from '../isa/constants.js';
import type { Insn } from '../isa/insn.js';
import { checkAlu } from './alu.js';
import { checkCondJump } from './branch.js';
import { kernelBtf } from './btf/kernel-types.js';
import { markBtfPointer } from './btf/trust.js';
import { checkFuncCall, leaveFunction } from './calls.js';
import type { Verifier } from './context.js';
import { DYNPTR_LOCAL, markDynptrReg } from './dynptr/slots.js';
import { ERRNO } from './errno.js';
import { prepareArgs } from './func-args.js';
import { checkHelperCall } from './helper-call.js';
import { FUNC_SPIN_UNLOCK } from './helper-ids.js';
import { JMP_POINT, NOSPEC, NOSPEC_RESULT, PRUNE_POINT, RESERVED_CHECKED, SEEN } from './insn-facts.js';
import { insnText } from './insn-text.js';
import { checkKfuncCall } from './kfunc/call.js';
import { kfuncOf, mayCallUnderLock } from './kfunc/desc.js';
import { checkLdAbs, checkLdImm } from './ld.js';
import { checkAtomic, checkLoad, checkStore, checkStoreImm } from './mem-access.js';
import { writeInsnState, writeLine, writeState } from './print-state.js';
import { isStateVisited } from './prune.js';
import { checkResourceLeak } from './refs.js';
import { markKnownZero, markUnknown } from './reg.js';
import { mayBeNull, PTR_TO_CTX, PTR_TO_MEM } from './reg-type.js';
import { checkReturnCode } from './return-value.js';
import { finishBranch } from './scc.js';
import { isMendable, putBarrier } from './speculation.js';
import { MAIN_CALLSITE, newFuncState, VerifierState } from './state.js';
import { isSoft } from './verdict.js';

const MAX_PROCESSED = 1_000_000;

/** Helpers that may be called while a lock is held. */

/** What a simulated instruction leads to. */
const NEXT = 0;
const PATH_ENDS = 1;
const RETURNED = 2;

/** Verifies the program from its entry, or one global function for any arguments. */
export function checkFrom(v: Verifier, index: number): void {
  const subprog = v.subprogs[index]!;
  const state = new VerifierState();
  state.inSleepable = v.sleepable;
  state.frames.push(newFuncState(MAIN_CALLSITE, 0, index));
  state.firstInsnIdx = subprog.start;
  v.state = state;
  v.markAllScratched();
  v.insnIdx = subprog.start;
  v.prevLine = -1;
  v.explored.clear();
  v.sccVisits.clear();
  v.liveness.forgetCurrent();
  // an extension takes what the function takes that it replaces
  if (index > 0 || v.request.progType === ProgType.ext) enterGlobal(v, index);
  else enterMain(v);
  explore(v);
  if (!v.log.chatty) v.log.reset(0);
}

function enterGlobal(v: Verifier, index: number): void {
  const { name } = v.subprogs[index]!;
  if (v.log.verbose) v.log.write(`Validating ${name}() func#${index}...\n`);
  const args = prepareArgs(v, index);
  if (v.exceptionStart !== 0 && v.subprogs[index]!.start === v.exceptionStart) {
    v.frame.inExceptionCallback = true;
    if (args.length !== 1 || args[0]!.kind !== 'scalar') {
      v.invalid('exception cb only supports single integer argument');
    }
  }
  args.forEach((arg, i) => {
    const reg = v.reg(i + 1);
    // An arena's pointer, or a number: either way nothing is known.
    if (arg.kind === 'scalar' || arg.kind === 'arena') {
      markUnknown(reg);
      return;
    }
    if (arg.kind === 'dynptr') {
      markDynptrReg(reg, DYNPTR_LOCAL, true, v.newId());
      return;
    }
    markKnownZero(reg);
    if (arg.kind === 'ctx') {
      reg.type = PTR_TO_CTX;
      return;
    }
    if (arg.kind === 'btf') {
      markBtfPointer(v, reg, kernelBtf(v, 'argument of a global function'), arg.btfId ?? 0, arg.flags);
      if (reg.id === 0) reg.id = v.newId();
      return;
    }
    reg.type = PTR_TO_MEM | arg.flags;
    reg.memSize = arg.memSize;
    if (mayBeNull(arg.flags)) reg.id = v.newId();
  });
}

/** The main program's BTF is looked at, but nothing depends on it being good. */
function enterMain(v: Verifier): void {
  if (v.hasFuncInfo) {
    const before = v.firstError;
    try {
      const args = prepareArgs(v, 0);
      if (args.length !== 1 || args[0]!.kind !== 'ctx') v.subprogs[0]!.unreliable = true;
    } catch (error) {
      if (!isSoft(error) && !isUnsupportedArg(error)) throw error;
      v.firstError = before;
      v.subprogs[0]!.unreliable = true;
    }
  }
  const r1 = v.reg(1);
  r1.type = PTR_TO_CTX;
  markKnownZero(r1);
}

/** The main program is called by the kernel, whatever its BTF says of other kinds of arguments. */
const isUnsupportedArg = (error: unknown): boolean =>
  typeof error === 'object' && error !== null && 'feature' in error;

function explore(v: Verifier): void {
  const { insns, log, aux } = v;
  let printState = false;
  let prevInsn = -1;
  for (;;) {
    v.curHistory = null;
    v.prevInsnIdx = prevInsn;
    if (v.insnIdx >= insns.length) {
      v.reject(ERRNO.EFAULT, `invalid insn idx ${v.insnIdx} insn_cnt ${insns.length}`);
    }
    if (++v.insnProcessed > MAX_PROCESSED) {
      v.reject(ERRNO.E2BIG, `BPF program is too large. Processed ${v.insnProcessed} insn`);
    }
    const { state } = v;
    state.lastInsnIdx = v.prevInsnIdx;
    state.insnIdx = v.insnIdx;
    const flags = aux.flags[v.insnIdx]!;
    let ends = false;
    if ((flags & PRUNE_POINT) !== 0 && isStateVisited(v, v.insnIdx)) {
      if (log.verbose) writeSafe(v, printState);
      ends = true;
    } else {
      if ((flags & JMP_POINT) !== 0) v.pushHistory(state, 0, null);
      if (log.chatty && printState) {
        log.write(`\nfrom ${v.prevInsnIdx} to ${v.insnIdx}${wrongTurnText(state)}:`);
        writeState(v, state, state.curframe, true);
        printState = false;
      }
      if (log.verbose) writeInsn(v);
      prevInsn = v.insnIdx;
      if (state.speculative) {
        const outcome = checkWrongTurn(v, insns[v.insnIdx]!);
        if (outcome === PATH_ENDS) ends = true;
        else if (outcome === RETURNED) printState = true;
      } else {
        aux.set(v.insnIdx, SEEN);
        v.liveness.beginInsn(v.insnIdx);
        const outcome = checkInsn(v, insns[v.insnIdx]!);
        v.liveness.commitInsn();
        if (outcome === PATH_ENDS) ends = true;
        else if (outcome === RETURNED) printState = true;
      }
    }
    if (!ends) continue;
    v.markAllScratched();
    finishBranch(v, v.state);
    v.liveness.update();
    const next = v.pending.pop();
    if (next === undefined) return;
    v.state = next.state;
    if (!log.chatty) log.reset(next.logPosition);
    v.insnIdx = next.insnIdx;
    prevInsn = next.prevInsnIdx;
    printState = true;
  }
}

/** On a path that only a wrong turn leads to: what is unsafe gets a barrier and ends the path, nothing else. */
function checkWrongTurn(v: Verifier, insn: Insn): number {
  const { insnIdx, firstError } = v;
  if (v.aux.has(insnIdx, NOSPEC)) return PATH_ENDS;
  v.liveness.beginInsn(insnIdx);
  try {
    const outcome = checkInsn(v, insn);
    v.liveness.commitInsn();
    return v.aux.has(insnIdx, NOSPEC_RESULT) ? PATH_ENDS : outcome;
  } catch (error) {
    if (!isMendable(error)) throw error;
    v.liveness.commitInsn();
    v.firstError = firstError;
    putBarrier(v, insnIdx);
    return PATH_ENDS;
  }
}

const wrongTurnText = ({ speculative }: VerifierState): string =>
  speculative ? ' (speculative execution)' : '';

function writeSafe(v: Verifier, printState: boolean): void {
  const { state } = v;
  if (printState) v.log.write(`\nfrom ${v.prevInsnIdx} to ${v.insnIdx}${wrongTurnText(state)}: safe\n`);
  else v.log.write(`${v.insnIdx}: safe\n`);
}

function writeInsn(v: Verifier): void {
  if ((v.scratchedRegs | v.scratchedSlotsLo | v.scratchedSlotsHi) !== 0) writeInsnState(v);
  writeLine(v, v.insnIdx);
  v.prevLogPosition = v.log.position;
  v.log.write(`${v.insnIdx}: ${insnText(v, v.insnIdx)}\n`);
  v.prevInsnTextLength = v.log.position - v.prevLogPosition;
  v.prevLogPosition = v.log.position;
}

function checkInsn(v: Verifier, insn: Insn): number {
  switch (C.bpfClass(insn.code)) {
    case C.BPF_ALU:
    case C.BPF_ALU64:
      checkReservedOnce(v, insn);
      checkAlu(v, insn);
      break;
    case C.BPF_LDX:
      checkLoad(v, insn, false, C.bpfMode(insn.code) === C.BPF_MEMSX, true);
      break;
    case C.BPF_STX:
      if (C.bpfMode(insn.code) === C.BPF_ATOMIC) {
        checkAtomic(v, insn);
        break;
      }
      if (C.bpfMode(insn.code) !== C.BPF_MEM || insn.imm !== 0) v.invalid('BPF_STX uses reserved fields');
      checkStore(v, insn, false);
      break;
    case C.BPF_ST:
      if (C.bpfMode(insn.code) !== C.BPF_MEM || insn.src !== 0) v.invalid('BPF_ST uses reserved fields');
      checkStoreImm(v, insn);
      break;
    case C.BPF_JMP:
    case C.BPF_JMP32:
      v.jmpsProcessed++;
      return checkJump(v, insn);
    default:
      checkLd(v, insn);
  }
  v.insnIdx++;
  return NEXT;
}

/** Reserved fields do not change from one visit to the next. */
function checkReservedOnce(v: Verifier, insn: Insn): void {
  const { aux, insnIdx } = v;
  if (aux.has(insnIdx, RESERVED_CHECKED)) return;
  const problem = checkReserved(insn);
  if (problem !== undefined) v.invalid(problem);
  aux.set(insnIdx, RESERVED_CHECKED);
}

function checkLd(v: Verifier, insn: Insn): void {
  const mode = C.bpfMode(insn.code);
  if (mode === C.BPF_ABS || mode === C.BPF_IND) {
    checkLdAbs(v, insn);
  } else if (mode === C.BPF_IMM) {
    checkLdImm(v, insn);
    v.insnIdx++;
  } else {
    v.invalid('invalid BPF_LD mode');
  }
}

function checkJump(v: Verifier, insn: Insn): number {
  switch (C.bpfOp(insn.code)) {
    case C.BPF_CALL:
      checkReservedOnce(v, insn);
      if (v.state.activeLocks > 0 && !mayCallLocked(v, insn)) {
        v.invalid('function calls are not allowed while holding a lock');
      }
      if (insn.src === C.BPF_PSEUDO_CALL) checkFuncCall(v, insn);
      else if (insn.src !== C.BPF_PSEUDO_KFUNC_CALL) checkHelperCall(v, insn);
      else if (checkKfuncCall(v, insn)) {
        checkResourceLeak(v, true, 'bpf_throw', true);
        return PATH_ENDS;
      }
      v.markRegScratched(0);
      break;
    case C.BPF_JA:
      checkReservedOnce(v, insn);
      v.insnIdx += 1 + (C.bpfClass(insn.code) === C.BPF_JMP ? insn.off : insn.imm);
      return NEXT;
    case C.BPF_EXIT:
      checkReservedOnce(v, insn);
      return checkExit(v);
    default:
      checkCondJump(v, insn);
  }
  v.insnIdx++;
  return NEXT;
}

/** Of helpers only the unlocking one; functions of the program are looked at on their own. */
function mayCallLocked(v: Verifier, insn: Insn): boolean {
  if (insn.src === 0) return insn.imm === FUNC_SPIN_UNLOCK;
  if (insn.src !== C.BPF_PSEUDO_KFUNC_CALL) return true;
  const kfunc = kfuncOf(v, insn);
  return kfunc !== undefined && mayCallUnderLock(kfunc);
}

function checkExit(v: Verifier): number {
  checkResourceLeak(v, v.state.curframe === 0, 'BPF_EXIT instruction in main prog');
  if (v.state.curframe > 0) {
    v.liveness.update();
    leaveFunction(v);
    return RETURNED;
  }
  checkReturnCode(v);
  return PATH_ENDS;
}
