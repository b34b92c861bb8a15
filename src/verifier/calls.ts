/**
 * Calls inside the program: static functions are simulated with the caller's arguments, global ones are verified alone
 * and only their arguments checked; callbacks are entered from the helper that takes them. Models `check_func_call`,
 * `push_callback_call` and `prepare_func_exit` of Linux 6.18 (kernel/bpf/verifier.c).
 */
import type { Insn } from '../isa/insn.js';
import { callsBackAsleep, isAsyncCallbackCall } from './callback-kinds.js';
import type { FuncArg, Verifier } from './context.js';
import { checkDynptrArg } from './dynptr/args.js';
import { ERRNO } from './errno.js';
import { prepareArgs } from './func-args.js';
import { checkBtfIdArg } from './helper-args.js';
import { checkFuncArgOffset, checkMemReg } from './helper-mem.js';
import { markChainPrecision } from './precision.js';
import { writeState } from './print-state.js';
import { markInvalid } from './privilege.js';
import { findPrevEntry, widenImpreciseScalars } from './prune.js';
import { copyReg, isNullScalar, markUnknown, type Reg } from './reg.js';
import { clearCallerSaved } from './reg-access.js';
import {
  isPacketAny,
  isPacketSlice,
  mayBeNull,
  PTR_MAYBE_NULL,
  PTR_TO_ARENA,
  PTR_TO_CTX,
  PTR_TO_STACK,
  PTR_UNTRUSTED,
  SCALAR_VALUE,
} from './reg-type.js';
import { reportScalarRange, withinReturnRange } from './return-value.js';
import {
  cloneState,
  type FuncState,
  MAIN_CALLSITE,
  MAX_CALL_FRAMES,
  newFuncState,
  updateRegs,
  VerifierState,
} from './state.js';
import { isSoft } from './verdict.js';

/** Sets up what a callback is called with. */
export type CalleeSetup = (v: Verifier, caller: FuncState, callee: FuncState, insnIdx: number) => void;

/** Packet data may have moved: pointers into it are void. */
export function clearPacketPointers(v: Verifier): void {
  updateRegs(v.state, (reg) => isPacketAny(reg.type) || isPacketSlice(reg.type), markInvalid(v));
}

/** Does the function's BTF describe what it is called with? Undefined: it does; else the errno. */
function callMismatch(v: Verifier, index: number): number | undefined {
  if (!v.hasFuncInfo) return ERRNO.EINVAL;
  const subprog = v.subprogs[index]!;
  if (subprog.unreliable) return ERRNO.EINVAL;
  const before = v.firstError;
  try {
    prepareArgs(v, index).forEach((arg, i) => void checkArg(v, arg, i));
    return undefined;
  } catch (error) {
    if (!isSoft(error)) throw error;
    subprog.unreliable = true;
    if (!subprog.isGlobal) v.firstError = before;
    return error.errno;
  }
}

function checkArg(v: Verifier, arg: FuncArg, i: number): void {
  const regno = i + 1;
  const reg = v.reg(regno);
  if (arg.kind === 'scalar') {
    if (reg.type !== SCALAR_VALUE) v.invalid(`R${regno} is not a scalar`);
    return;
  }
  // untrusted pointers are only read, and in a way that cannot fault
  if ((arg.flags & PTR_UNTRUSTED) !== 0) return;
  if (arg.kind === 'btf') {
    const nullable = (arg.flags & PTR_MAYBE_NULL) !== 0;
    if (nullable && isNullScalar(reg)) return;
    checkBtfIdArg(v, reg, regno, nullable, arg.btfId ?? 0);
    checkFuncArgOffset(v, reg, regno, false);
    return;
  }
  if (arg.kind === 'arena') {
    if (reg.type !== PTR_TO_ARENA && reg.type !== SCALAR_VALUE) {
      v.invalid(`R${regno} is not a pointer to arena or scalar.`);
    }
    return;
  }
  checkFuncArgOffset(v, reg, regno, false);
  if (arg.kind === 'dynptr') {
    checkDynptrArg(v, regno, v.insnIdx, { uninit: false, readOnly: true, type: 0 });
    return;
  }
  if (arg.kind === 'ctx') {
    if (reg.type !== PTR_TO_CTX) v.invalid(`arg#${i} expects pointer to ctx`);
    return;
  }
  checkMemArg(v, reg, regno, arg.memSize);
  if ((arg.flags & PTR_MAYBE_NULL) === 0 && mayBeNull(reg.type))
    v.invalid(`arg#${i} is expected to be non-NULL`);
}

function checkMemArg(v: Verifier, reg: Reg, regno: number, size: number): void {
  try {
    checkMemReg(v, reg, regno, size);
  } catch (error) {
    if (isSoft(error)) v.reject(ERRNO.EINVAL);
    throw error;
  }
}

/** A call to a function of the program; `v.insnIdx` moves to one before what runs next. */
export function checkFuncCall(v: Verifier, insn: Insn): void {
  const index = v.findSubprog(v.insnIdx + insn.imm + 1);
  const mismatch = callMismatch(v, index);
  if (v.subprogs[index]!.isGlobal) {
    callGlobal(v, index, mismatch);
    return;
  }
  const callsite = v.insnIdx;
  enterFunction(v, v.state, index, callsite, passArguments);
  clearCallerSavedOf(v.state.frames[v.state.frames.length - 2]!, v);
  v.insnIdx = v.subprogs[index]!.start - 1;
  v.liveness.forgetCurrent();
  if (!v.log.verbose) return;
  v.log.write('caller:\n');
  writeState(v, v.state, v.state.curframe - 1, true);
  v.log.write('callee:\n');
  writeState(v, v.state, v.state.curframe, true);
}

function clearCallerSavedOf(frame: FuncState, v: Verifier): void {
  for (let i = 0; i <= 5; i++) {
    const reg = frame.reg(i);
    markUnknown(reg);
    reg.type = 0;
    v.markRegScratched(i);
  }
}

function callGlobal(v: Verifier, index: number, mismatch: number | undefined): void {
  const subprog = v.subprogs[index]!;
  const { state } = v;
  if (state.activeLocks > 0) {
    v.invalid('global function calls are not allowed while holding a lock,\nuse static function instead');
  }
  const inSection = state.activeRcuLock || state.activePreemptLocks > 0 || state.activeIrqId !== 0;
  if (subprog.mightSleep && (inSection || !v.inSleepable)) {
    v.invalid(
      'global functions that may sleep are not allowed in non-sleepable context,\ni.e., in a RCU/IRQ/preempt-disabled section, or in\na non-sleepable BPF program context',
    );
  }
  if (mismatch !== undefined) {
    v.reject(mismatch, `Caller passes invalid args into func#${index} ('${subprog.name}')`);
  }
  v.log.write(`Func#${index} ('${subprog.name}') is global and assumed valid.\n`);
  if (subprog.changesPktData) clearPacketPointers(v);
  subprog.called = true;
  clearCallerSaved(v);
  markUnknown(v.reg(0));
}

/** A new frame on top of `state`'s (`setup_func_entry`). */
function enterFunction(
  v: Verifier,
  state: VerifierState,
  index: number,
  callsite: number,
  setup: CalleeSetup,
): void {
  const { frames } = state;
  if (frames.length >= MAX_CALL_FRAMES) {
    v.reject(ERRNO.E2BIG, `the call stack of ${frames.length + 1} frames is too deep`);
  }
  const caller = frames[frames.length - 1]!;
  const callee = newFuncState(callsite, frames.length, index);
  v.markAllScratched();
  setup(v, caller, callee, callsite);
  frames.push(callee);
}

function passArguments(_v: Verifier, caller: FuncState, callee: FuncState): void {
  for (let i = 1; i <= 5; i++) copyReg(callee.reg(i), caller.reg(i));
}

/** A helper takes function `index` as its callback: that becomes a path of its own. */
export function pushCallback(v: Verifier, insn: Insn, index: number, setup: CalleeSetup): void {
  const { state } = v;
  const caller = state.frame;
  const insnIdx = v.insnIdx;
  callMismatch(v, index);
  const subprog = v.subprogs[index]!;
  subprog.isCallback = true;
  if (isAsyncCallbackCall(v, insn)) {
    subprog.isAsyncCallback = true;
    const later = new VerifierState();
    const callee = newFuncState(MAIN_CALLSITE, 0, index);
    later.frames.push(callee);
    later.inSleepable = callsBackAsleep(v, insn);
    v.markAllScratched();
    callee.asyncEntryCount = caller.asyncEntryCount + 1;
    v.pushPath(later, subprog.start, insnIdx, ERRNO.EFAULT, ' for async cb');
    setup(v, caller, callee, insnIdx);
    return;
  }
  const inside = cloneState(state);
  v.pushPath(inside, subprog.start, insnIdx, ERRNO.ENOMEM);
  enterFunction(v, inside, index, insnIdx, setup);
  inside.callbackUnrollDepth++;
  inside.frames[inside.frames.length - 2]!.callbackDepth++;
  caller.callbackDepth = 0;
}

/**
 * The function may end here without an exit of its own, with `r0` already set: another path goes on behind the
 * instruction, this one returns. Only in called functions; the main program's caller sees no difference.
 */
export function forkAbnormalReturn(v: Verifier, prepare: () => void): void {
  v.markRegScratched(0);
  v.pushPath(cloneState(v.state), v.insnIdx + 1, v.insnIdx);
  prepare();
  v.liveness.update();
  leaveFunction(v);
  v.insnIdx--;
}

/** A function or callback returns to its caller (`prepare_func_exit`). */
export function leaveFunction(v: Verifier): void {
  const { state } = v;
  const callee = state.frame;
  const caller = state.frames[state.frames.length - 2]!;
  const r0 = callee.reg(0);
  if (r0.type === PTR_TO_STACK) v.invalid('cannot return stack pointer to the caller');
  if (callee.inCallback) checkCallbackResult(v, callee, r0);
  else copyReg(caller.reg(0), r0);
  v.insnIdx = callee.inCallback ? callee.callsite : callee.callsite + 1;
  if (v.log.verbose) {
    v.log.write('returning from callee:\n');
    writeState(v, state, callee.frameno, true);
    v.log.write(`to caller at ${v.insnIdx}:\n`);
    writeState(v, state, caller.frameno, true);
  }
  state.frames.pop();
  const previous = callee.inCallback ? findPrevEntry(v, state, v.insnIdx) : undefined;
  if (previous !== undefined) widenImpreciseScalars(v, previous, state);
}

function checkCallbackResult(v: Verifier, callee: FuncState, r0: Reg): void {
  if (r0.type !== SCALAR_VALUE) v.denied('R0 not a scalar value');
  markChainPrecision(v, 0);
  if (withinReturnRange(r0, callee.retMin, callee.retMax, false)) return;
  reportScalarRange(v, r0, callee.retMin, callee.retMax, 'At callback return', 'R0');
}
