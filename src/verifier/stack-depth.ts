/**
 * Bytes of stack along every chain of calls: at most 512, less where a tail call may stack programs; private stacks
 * count alone. Models `check_max_stack_depth` of Linux 6.18 on x86-64 with its JIT (kernel/bpf/verifier.c).
 */
import { AttachType } from '../abi/attach-types.js';
import { ProgType } from '../abi/prog-types.js';
import type { Subprog, Verifier } from './context.js';
import { ERRNO } from './errno.js';
import { kfuncOf } from './kfunc/desc.js';
import { MAX_BPF_STACK, MAX_CALL_FRAMES } from './state.js';
import { isKfuncCall, isPseudoCall, isPseudoFunc } from './subprogs.js';

const UNKNOWN = 0;
const SHARED = 1;
const PRIVATE = 2;

/** A function with less stack than this gets no private one. */
const PRIVATE_STACK_MIN = 64;
/** Stack of outer frames from which on no tail call is allowed. */
const TAIL_CALL_LIMIT = 256;

export function checkMaxStackDepth(v: Verifier): void {
  const mayBePrivate = !v.subprogs.some(({ hasTailCall }) => hasTailCall) && hasPrivateStack(v);
  for (const subprog of v.subprogs) subprog.privateStack = UNKNOWN;
  for (let i = v.subprogs.length - 1; i >= 0; i--) {
    if (i === 0 || v.subprogs[i]!.isAsyncCallback) checkChains(v, i, i === 0 && mayBePrivate);
  }
}

function hasPrivateStack({ progType, attachType }: Verifier): boolean {
  switch (progType) {
    case ProgType.kprobe:
    case ProgType.tracepoint:
    case ProgType.perf_event:
    case ProgType.raw_tracepoint:
      return true;
    case ProgType.tracing:
      return attachType !== AttachType.trace_iter;
    default:
      return false;
  }
}

interface ReturnPoint {
  readonly insn: number;
  readonly subprog: number;
}

function checkChains(v: Verifier, root: number, privateStack: boolean): void {
  const returns: ReturnPoint[] = [];
  let at = root;
  let insn = v.subprogs[root]!.start;
  if (!privateStack) v.subprogs[root]!.privateStack = SHARED;
  let depth = enter(v, at, 0, returns.length, privateStack);
  let tailCalls = false;
  for (;;) {
    const call = nextCall(v, insn, v.subprogEnd(at), at, returns);
    if (call >= 0) {
      const callee = v.findSubprog(call + v.insns[call]!.imm + 1);
      const target = v.subprogs[callee]!;
      insn = call + 1;
      if (target.isAsyncCallback) {
        if (!isPseudoCall(v.insns[call]!)) continue;
        if (isExceptionCallback(v, target)) refuseDirectCall(v, call);
      }
      returns.push({ insn: call + 1, subprog: at });
      at = callee;
      insn = target.start;
      if (!privateStack) target.privateStack = SHARED;
      tailCalls ||= target.hasTailCall;
      if (returns.length >= MAX_CALL_FRAMES) {
        v.reject(ERRNO.E2BIG, `the call stack of ${returns.length} frames is too deep !`);
      }
      depth = enter(v, at, depth, returns.length, privateStack);
      continue;
    }
    if (tailCalls && returns.some(({ subprog }) => isExceptionCallback(v, v.subprogs[subprog]!))) {
      v.invalid('cannot tail call within exception cb');
    }
    const back = returns.pop();
    if (back === undefined) return;
    const left = v.subprogs[at]!;
    if (left.privateStack !== PRIVATE) depth -= roundUp(left.stackDepth);
    insn = back.insn;
    at = back.subprog;
  }
}

/** Accounts for one function's stack; returns the depth with it. */
function enter(v: Verifier, index: number, depth: number, frame: number, privateStack: boolean): number {
  const subprog = v.subprogs[index]!;
  if (index !== 0 && subprog.hasTailCall && depth >= TAIL_CALL_LIMIT) {
    v.denied(`tail_calls are not allowed when call stack of previous frames is ${depth} bytes. Too large`);
  }
  const own = roundUp(subprog.stackDepth);
  if (privateStack && subprog.privateStack === UNKNOWN && own >= PRIVATE_STACK_MIN) {
    subprog.privateStack = PRIVATE;
  }
  if (subprog.privateStack === PRIVATE) {
    if (own > MAX_BPF_STACK) v.denied(`stack size of subprog ${index} is ${own}. Too large`);
    return depth;
  }
  const total = depth + own;
  if (total > MAX_BPF_STACK) v.denied(`combined stack size of ${frame + 1} calls is ${total}. Too large`);
  return total;
}

/** Linux ends this line without a line break. */
function refuseDirectCall(v: Verifier, call: number): never {
  const line = `insn ${call} cannot call exception cb directly`;
  v.firstError ??= line;
  v.log.write(line);
  return v.reject(ERRNO.EINVAL);
}

const isExceptionCallback = (v: Verifier, subprog: Subprog): boolean =>
  v.exceptionStart !== 0 && subprog.start === v.exceptionStart;

function nextCall(
  v: Verifier,
  from: number,
  to: number,
  at: number,
  returns: readonly ReturnPoint[],
): number {
  for (let i = from; i < to; i++) {
    const insn = v.insns[i]!;
    if (isKfuncCall(insn) && kfuncOf(v, insn)?.name === 'bpf_throw') checkThrow(v, i, at, returns);
    if (isPseudoCall(insn) || isPseudoFunc(insn)) return i;
  }
  return -1;
}

/** Nothing may be thrown through a callback: the kernel's frames lie below it. */
function checkThrow(v: Verifier, insn: number, at: number, returns: readonly ReturnPoint[]): void {
  const frames = [at, ...returns.map(({ subprog }) => subprog)];
  if (!frames.some((index) => v.subprogs[index]!.isCallback)) return;
  v.invalid(`bpf_throw kfunc (insn ${insn}) cannot be called from callback subprog ${at}`);
}

/** The JIT's granularity. */
function roundUp(bytes: number): number {
  return (bytes + 15) & ~15;
}
