/**
 * What Linux removes from a program that it accepted: instructions that no path reaches, jumps to the next instruction. A
 * function whose address is taken, but that nothing calls, goes too, and the load then fails. Models
 * `opt_hard_wire_dead_code_branches`, `opt_remove_dead_code`, `opt_remove_nops` and what `jit_subprogs` asks for (Linux 6.18).
 */
import * as C from '../isa/constants.js';
import type { Insn } from '../isa/insn.js';
import type { Verifier } from './context.js';
import { ERRNO } from './errno.js';
import { SEEN } from './insn-facts.js';
import { isKfuncCall, isPseudoFunc } from './subprogs.js';

export const isMayGoto = (insn: Insn): boolean => insn.code === (C.BPF_JMP | C.BPF_JCOND) && insn.src === 0;

const isLdImm64 = (insn: Insn | undefined): boolean => insn?.code === (C.BPF_LD | C.BPF_IMM | C.BPF_DW);

/** Some path came by. */
export const isLive = (v: Verifier, i: number): boolean =>
  v.aux.has(i, SEEN) || (i > 0 && isLdImm64(v.insns[i - 1]) && v.aux.has(i - 1, SEEN));

/** 1 for what is left once dead code and jumps to the next instruction are removed. */
export function remainingInsns(v: Verifier): Uint8Array {
  const { insns } = v;
  const remains = new Uint8Array(insns.length);
  for (let i = insns.length - 1; i >= 0; i--) {
    if (isLive(v, i) && !goesNowhere(v, remains, i)) remains[i] = 1;
  }
  return remains;
}

/** A jump over nothing, be it because the other way is dead. */
function goesNowhere(v: Verifier, remains: Uint8Array, i: number): boolean {
  const { insns } = v;
  const insn = insns[i]!;
  const jmpClass = C.bpfClass(insn.code);
  if (jmpClass !== C.BPF_JMP && jmpClass !== C.BPF_JMP32) return false;
  const op = C.bpfOp(insn.code);
  if (op === C.BPF_CALL || op === C.BPF_EXIT) return false;
  const off = insn.code === (C.BPF_JMP32 | C.BPF_JA) ? insn.imm : insn.off;
  const target = i + 1 + off;
  const always = op === C.BPF_JA;
  if (!always && !isLive(v, target)) return true;
  if (!always && !isMayGoto(insn) && isLive(v, i + 1)) return false;
  // Linux looks once more at what stands before a removed may_goto, and not before a removed jump.
  for (let k = i + 1; k < target; k++) {
    if (isLive(v, k) && (remains[k] === 1 || !isMayGoto(insns[k]!))) return false;
  }
  return off >= 0;
}

/** A call that names no kernel function may only stand where no path comes by (`fixup_kfunc_call`). */
export function checkKfuncsResolved(v: Verifier): void {
  v.insns.forEach((insn, i) => {
    if (!isKfuncCall(insn) || insn.imm !== 0 || !isLive(v, i)) return;
    v.invalid('invalid kernel function call not eliminated in verifier pass');
  });
}

/** Instructions of the handler that the kernel appends. */
const HANDLER_INSNS = 2;

/** Refuses a program whose callback was removed from under the instruction that names it. */
export function checkCallbacksRemain(v: Verifier): void {
  const takers = v.insns.flatMap((insn, i) => (isPseudoFunc(insn) && isLive(v, i) ? [i] : []));
  if (takers.every((i) => isLive(v, i + v.insns[i]!.imm + 1))) return;
  const rest = new Rewriting(v, takers);
  rest.removeDead();
  const end = rest.starts.at(-1)!;
  const functions = rest.starts.length - 1 + (v.appendsHandler ? 1 : 0);
  // Linux looks only where it compiles several functions.
  if (functions < 2) return;
  for (const target of rest.targets.values()) {
    if (target !== end && rest.starts.includes(target)) continue;
    const shown = v.appendsHandler && target >= end ? target + HANDLER_INSNS : target;
    v.reject(ERRNO.EFAULT, `verifier bug: No program to jit at insn ${shown} (subprog < 0)`);
  }
}

/** Positions while instructions are taken out, adjusted as Linux adjusts them. */
class Rewriting {
  /** First instruction of every function, and the end. */
  readonly starts: number[];
  /** By instruction that takes an address: where it points. */
  readonly targets = new Map<number, number>();
  readonly #v: Verifier;
  readonly #order: number[];

  constructor(v: Verifier, takers: readonly number[]) {
    this.#v = v;
    this.#order = v.insns.map((_, i) => i);
    this.starts = [...v.subprogs.map(({ start }) => start), v.insns.length];
    for (const i of takers) this.targets.set(i, i + v.insns[i]!.imm + 1);
  }

  removeDead(): void {
    const remains = remainingInsns(this.#v);
    for (let i = 0; i < this.#order.length; i++) {
      let count = 0;
      while (i + count < this.#order.length && !isLive(this.#v, this.#order[i + count]!)) count++;
      if (count > 0) this.#remove(i, count);
    }
    for (let i = 0; i < this.#order.length; i++) {
      if (remains[this.#order[i]!] === 0) this.#remove(i--, 1);
    }
  }

  #remove(off: number, count: number): void {
    const end = off + count;
    const before = new Map([...this.targets.keys()].map((taker) => [taker, this.#order.indexOf(taker)]));
    this.#order.splice(off, count);
    for (const [taker, target] of this.targets) {
      if (target >= end) this.targets.set(taker, target - count);
      // Behind the gap, an address within it keeps its distance only if it still lies behind.
      else if (before.get(taker)! >= end && target - count >= off) this.targets.set(taker, target - count);
    }
    const { starts } = this;
    let first = starts.findIndex((start) => start >= off);
    let last = starts.findIndex((start) => start >= end);
    if (starts[last] !== end) last--;
    if (last > first) starts.splice(first, last - first);
    else if (starts[first] === off) first++;
    for (; first < starts.length; first++) starts[first]! -= count;
  }
}
