/**
 * Control flow: every instruction is reached, no jump lands inside a `LD_IMM64`, and where states are worth
 * remembering. Then the orders in which analyses walk the program, and its loops. Models `check_cfg`,
 * `compute_postorder` and `compute_scc` of Linux 6.18 (kernel/bpf/verifier.c).
 */

import {
  BPF_ABS,
  BPF_CALL,
  BPF_EXIT,
  BPF_IND,
  BPF_JA,
  BPF_JCOND,
  BPF_JMP,
  BPF_JMP32,
  BPF_K,
  BPF_LD,
  BPF_PSEUDO_CALL,
  bpfClass,
  bpfMode,
  bpfOp,
  bpfSrc,
  LD_IMM64,
} from '../isa/constants.js';
import type { Insn } from '../isa/insn.js';
import { isAsyncCallbackCall, isSyncCallbackCall } from './callback-kinds.js';
import type { Subprog, Verifier } from './context.js';
import { ERRNO } from './errno.js';
import { FUNC_TAIL_CALL } from './helper-ids.js';
import { helperChangesPacket, helperMightSleep } from './helper-traits.js';
import { CALLS_CALLBACK, FORCE_CHECKPOINT, ITER_NEXT, JMP_POINT, PRUNE_POINT } from './insn-facts.js';
import { changesPacket, isIterNext, isSleepableKfunc, kfuncOf } from './kfunc/desc.js';
import { writeLine } from './print-state.js';
import { isHelperCall, isKfuncCall, isPseudoFunc } from './subprogs.js';

const DISCOVERED = 0x10;
const EXPLORED = 0x20;
const FALLTHROUGH = 1;
const BRANCH = 2;

const DONE = false;
const KEEP = true;

/**
 * Tail calls and `LD_ABS` may leave their function without an exit of its own; they are taken to lead to one
 * (as in Linux 6.18.44).
 */
export function findSuccessors(v: Verifier): void {
  const { insns } = v;
  const count = new Uint8Array(insns.length);
  const at = new Int32Array(2 * insns.length);
  v.subprogs.forEach((subprog, index) => {
    const end = v.subprogEnd(index);
    let exit = -1;
    for (let i = subprog.start; i < end; i++) if (insns[i]!.code === (BPF_JMP | BPF_EXIT)) exit = i;
    for (let i = subprog.start; i < end; i++) {
      count[i] = successorsOf(insns[i]!, i, at);
      if (exit >= 0 && mayLeave(insns[i]!)) at[2 * i + count[i]!++] = exit;
    }
  });
  v.successors = { count, at };
}

/** Ends the function where it cannot go on: the program it calls took over, or the packet is too short. */
export function mayLeave(insn: Insn): boolean {
  if (isHelperCall(insn)) return insn.imm === FUNC_TAIL_CALL;
  const mode = bpfMode(insn.code);
  return bpfClass(insn.code) === BPF_LD && (mode === BPF_ABS || mode === BPF_IND);
}

function successorsOf(insn: Insn, i: number, at: Int32Array): number {
  const cls = bpfClass(insn.code);
  const op = bpfOp(insn.code);
  let canJump = false;
  let canFall = true;
  if (cls === BPF_JMP || cls === BPF_JMP32) {
    if (op === BPF_EXIT) canFall = false;
    else if (op === BPF_JA) {
      canJump = true;
      canFall = false;
    } else canJump = op !== BPF_CALL && op <= BPF_JCOND;
  }
  let count = 0;
  if (canFall) at[2 * i + count++] = i + (insn.code === LD_IMM64 ? 2 : 1);
  if (canJump) at[2 * i + count++] = i + 1 + (insn.code === (BPF_JMP32 | BPF_JA) ? insn.imm : insn.off);
  return count;
}

/** @throws Rejection for unreachable instructions and bad jumps. */
export function checkCfg(v: Verifier): void {
  const walk = new CfgWalk(v);
  walk.run();
  for (let i = 0; i < v.insns.length; i++) {
    if (walk.state[i] !== EXPLORED) v.invalid(`unreachable insn ${i}`);
    if (v.insns[i]!.code !== LD_IMM64) continue;
    if (walk.state[i + 1] !== 0) v.invalid(`jump into the middle of ldimm64 insn ${i}`);
    i++;
  }
}

class CfgWalk {
  readonly state: Int32Array;
  readonly #v: Verifier;
  readonly #stack: number[] = [0];

  constructor(v: Verifier) {
    this.#v = v;
    this.state = new Int32Array(v.insns.length);
    this.state[0] = DISCOVERED;
  }

  run(): void {
    this.#drain();
    const { exceptionStart } = this.#v;
    if (exceptionStart === 0 || this.state[exceptionStart] === EXPLORED) return;
    this.state[exceptionStart] = DISCOVERED;
    this.#stack.push(exceptionStart);
    this.#drain();
  }

  #drain(): void {
    const stack = this.#stack;
    while (stack.length > 0) {
      const at = stack[stack.length - 1]!;
      if (this.#visit(at)) continue;
      this.state[at] = EXPLORED;
      stack.pop();
    }
  }

  #visit(t: number): boolean {
    const insn = this.#v.insns[t]!;
    if (isPseudoFunc(insn)) return this.#visitCall(t, true);
    const cls = bpfClass(insn.code);
    if (cls !== BPF_JMP && cls !== BPF_JMP32) {
      return this.#push(t, t + (insn.code === LD_IMM64 ? 2 : 1), FALLTHROUGH);
    }
    switch (bpfOp(insn.code)) {
      case BPF_EXIT:
        return DONE;
      case BPF_CALL:
        return this.#visitCallInsn(t, insn);
      case BPF_JA:
        return this.#visitJa(t, insn);
      default:
        return this.#visitCond(t, insn);
    }
  }

  #visitCallInsn(t: number, insn: Insn): boolean {
    const v = this.#v;
    const { aux } = v;
    if (isAsyncCallbackCall(v, insn)) aux.set(t, PRUNE_POINT);
    if (isSyncCallbackCall(v, insn)) {
      aux.set(t, CALLS_CALLBACK | FORCE_CHECKPOINT | PRUNE_POINT | JMP_POINT);
    }
    if (isHelperCall(insn)) {
      if (helperMightSleep(v, insn.imm)) v.subprogAt(t).mightSleep = true;
      if (helperChangesPacket(insn.imm)) v.subprogAt(t).changesPktData = true;
    } else if (isKfuncCall(insn)) {
      this.#noteKfunc(t, insn);
    }
    return this.#visitCall(t, insn.src === BPF_PSEUDO_CALL);
  }

  #noteKfunc(t: number, insn: Insn): void {
    const v = this.#v;
    const kfunc = kfuncOf(v, insn);
    if (kfunc?.allowed !== true) return;
    if (isIterNext(kfunc)) v.aux.set(t, PRUNE_POINT | FORCE_CHECKPOINT | ITER_NEXT);
    if (isSleepableKfunc(kfunc)) v.subprogAt(t).mightSleep = true;
    if (changesPacket(kfunc)) v.subprogAt(t).changesPktData = true;
  }

  #visitCall(t: number, visitCallee: boolean): boolean {
    const v = this.#v;
    const insn = v.insns[t]!;
    const next = t + (insn.code === LD_IMM64 ? 2 : 1);
    if (this.#push(t, next, FALLTHROUGH)) return KEEP;
    this.#markPrune(next);
    this.#markJmp(next);
    if (!visitCallee) return DONE;
    const callee = t + insn.imm + 1;
    this.#markPrune(t);
    mergeCalleeEffects(v.subprogAt(t), v.subprogAt(callee));
    return this.#push(t, callee, BRANCH);
  }

  #visitJa(t: number, insn: Insn): boolean {
    if (bpfSrc(insn.code) !== BPF_K) this.#v.reject(ERRNO.EINVAL);
    const target = t + 1 + (bpfClass(insn.code) === BPF_JMP ? insn.off : insn.imm);
    if (this.#push(t, target, FALLTHROUGH)) return KEEP;
    this.#markPrune(target);
    this.#markJmp(target);
    return DONE;
  }

  #visitCond(t: number, insn: Insn): boolean {
    const { aux } = this.#v;
    aux.set(t, PRUNE_POINT);
    if (insn.code === (BPF_JMP | BPF_JCOND) && insn.src === 0) aux.set(t, FORCE_CHECKPOINT);
    if (this.#push(t, t + 1, FALLTHROUGH)) return KEEP;
    return this.#push(t, t + insn.off + 1, BRANCH);
  }

  #push(t: number, w: number, edge: number): boolean {
    const { state } = this;
    if (edge === FALLTHROUGH && state[t]! >= (DISCOVERED | FALLTHROUGH)) return DONE;
    if (edge === BRANCH && state[t]! >= (DISCOVERED | BRANCH)) return DONE;
    if (w < 0 || w >= state.length) this.#v.invalid(`jump out of range from insn ${t} to ${w}`);
    if (edge === BRANCH) {
      this.#markPrune(w);
      this.#markJmp(w);
    }
    const target = state[w]!;
    if (target === 0) {
      state[t] = DISCOVERED | edge;
      state[w] = DISCOVERED;
      if (this.#stack.length >= state.length) this.#v.reject(ERRNO.E2BIG);
      this.#stack.push(w);
      return KEEP;
    }
    if (target === EXPLORED) state[t] = DISCOVERED | edge;
    else if (!this.#v.capable) this.#refuseBackEdge(t, w);
    return DONE;
  }

  #refuseBackEdge(t: number, w: number): never {
    const v = this.#v;
    writeLine(v, t, `${t}: `);
    writeLine(v, w, `${w}: `);
    return v.invalid(`back-edge from insn ${t} to ${w}`);
  }

  #markPrune(i: number): void {
    this.#v.aux.set(i, PRUNE_POINT);
  }

  #markJmp(i: number): void {
    this.#v.aux.set(i, JMP_POINT);
  }
}

function mergeCalleeEffects(caller: Subprog, callee: Subprog): void {
  caller.changesPktData ||= callee.changesPktData;
  caller.mightSleep ||= callee.mightSleep;
}

/** Fills `postorder`, subprogram by subprogram. */
export function computePostorder(v: Verifier): void {
  const { insns, successors } = v;
  const order = new Int32Array(insns.length);
  const state = new Uint8Array(insns.length);
  let count = 0;
  for (const subprog of v.subprogs) {
    subprog.postorderStart = count;
    const stack = [subprog.start];
    while (stack.length > 0) {
      const top = stack[stack.length - 1]!;
      state[top]! |= DISCOVERED;
      if ((state[top]! & EXPLORED) !== 0) {
        order[count++] = top;
        stack.pop();
        continue;
      }
      const n = successors.count[top]!;
      for (let s = 0; s < n; s++) {
        const next = successors.at[2 * top + s]!;
        if (state[next] !== 0) continue;
        stack.push(next);
        state[next]! |= DISCOVERED;
      }
      state[top]! |= EXPLORED;
    }
  }
  v.postorder = order;
  v.postorderCount = count;
}

/** Numbers the loops: Tarjan's algorithm as Linux walks it, single instructions without a self edge left at 0. */
export function computeScc(v: Verifier): void {
  const { insns, aux, successors } = v;
  const count = insns.length;
  const offStack = 0xffffffff;
  const pre = new Float64Array(count);
  const low = new Float64Array(count);
  const stack: number[] = [];
  let nextPre = 1;
  let nextScc = 1;
  for (let i = 0; i < count; i++) {
    if (pre[i] !== 0 || insns[i]!.code === 0) continue;
    const dfs = [i];
    while (dfs.length > 0) {
      const w = dfs[dfs.length - 1]!;
      if (pre[w] === 0) {
        pre[w] = nextPre;
        low[w] = nextPre++;
        stack.push(w);
      }
      const n = successors.count[w]!;
      let descend = -1;
      let selfEdge = false;
      for (let s = 0; s < n && descend < 0; s++) {
        const next = successors.at[2 * w + s]!;
        if (next === w) selfEdge = true;
        if (pre[next] === 0) descend = next;
        else low[w] = Math.min(low[w]!, low[next]!);
      }
      if (descend >= 0) {
        dfs.push(descend);
        continue;
      }
      dfs.pop();
      if (low[w]! < pre[w]!) continue;
      const assign = stack[stack.length - 1] !== w || selfEdge;
      for (let t = -1; t !== w; ) {
        t = stack.pop()!;
        low[t] = offStack;
        if (assign) aux.scc[t] = nextScc;
      }
      if (assign) nextScc++;
    }
  }
}
