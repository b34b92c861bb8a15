/**
 * Ways into loops: while paths through a loop are unfinished, what its states need is not fully known; paths that ended
 * in an equal state are kept and gone through again when the loop is left. Models `bpf_scc_visit` of Linux 6.18
 * (kernel/bpf/verifier.c).
 */
import type { Verifier } from './context.js';
import { ERRNO } from './errno.js';
import { markAllScalarsPrecise, markPrecisionBatch } from './precision.js';
import { SCALAR_VALUE } from './reg-type.js';
import { frameInsnIdx, type SccVisit, type VerifierState } from './state.js';

const MAX_ITERATIONS = 64;

/** `(callsite,…,scc)` of the outermost frame that stands in a loop, or undefined. */
function chainOf(v: Verifier, state: VerifierState): string | undefined {
  let key = '';
  for (let i = 0; i < state.frames.length; i++) {
    const insn = frameInsnIdx(state, i);
    const scc = v.aux.scc[insn]!;
    if (scc !== 0) return `${key}${scc}`;
    key += `${insn},`;
  }
  return undefined;
}

/** Called for each state that is remembered. */
export function enterScc(v: Verifier, state: VerifierState): void {
  const key = chainOf(v, state);
  if (key === undefined) return;
  let visit = v.sccVisits.get(key);
  if (visit === undefined) {
    visit = { entryState: null, backedges: [] };
    v.sccVisits.set(key, visit);
  }
  state.sccVisit = visit;
  if (visit.entryState !== null) return;
  visit.entryState = state;
  if (v.log.chatty) v.log.write(`SCC enter (${key})\n`);
}

function exitScc(v: Verifier, state: VerifierState): void {
  const visit = state.sccVisit;
  if (visit === null) {
    if (!state.remembered) expectVisit(v, state);
    return;
  }
  if (visit.entryState !== state) return;
  if (v.log.chatty) v.log.write(`SCC exit (${chainOf(v, state)})\n`);
  visit.entryState = null;
  v.backedgeCount -= visit.backedges.length;
  updatePeak(v);
  propagateBackedges(v, visit);
}

/** A path that ends in a loop came into it. */
function expectVisit(v: Verifier, state: VerifierState): void {
  const key = chainOf(v, state);
  if (key === undefined || v.sccVisits.has(key) || state.speculative) return;
  v.reject(ERRNO.EFAULT, `verifier bug: scc exit: no visit info for call chain (${key})`);
}

/** A path ended in a state equal to `state`, which is not finished: keep it. */
export function addBackedge(v: Verifier, state: VerifierState, backedge: VerifierState): void {
  const visit = state.sccVisit;
  if (visit === null) {
    v.reject(
      ERRNO.EFAULT,
      `verifier bug: add backedge: no visit info for call chain (${chainOf(v, state) ?? ''})`,
    );
  }
  if (v.log.chatty) v.log.write(`SCC backedge (${chainOf(v, state)})\n`);
  visit.backedges.push(backedge);
  v.backedgeCount++;
  updatePeak(v);
}

/** Marks of the state are not final: paths through its loop wait to be gone through again. */
export function hasIncompleteMarks({ sccVisit }: VerifierState): boolean {
  return sccVisit !== null && sccVisit.backedges.length > 0;
}

export function updatePeak(v: Verifier): void {
  v.peakStates = Math.max(v.peakStates, v.exploredSize + v.freeListSize + v.backedgeCount);
}

/** A path ended: states with nothing left to explore are final (`update_branch_counts`). */
export function finishBranch(v: Verifier, from: VerifierState): void {
  for (let state: VerifierState | null = from; state !== null; ) {
    if (--state.branches > 0) break;
    exitScc(v, state);
    const parent: VerifierState | null = state.parent;
    if (!hasIncompleteMarks(state)) forgetOrigin(state);
    maybeFree(v, state);
    state = parent;
  }
}

/** No precision is asked of what led here any more: whatever only this state held on to may go. */
export function forgetOrigin(state: VerifierState): void {
  state.parent = null;
  state.history = null;
}

/** Counts a state as gone that is no longer looked up and has no descendants. */
export function maybeFree(v: Verifier, state: VerifierState): void {
  if (!state.evicted || state.freed || state.branches !== 0 || hasIncompleteMarks(state)) return;
  state.freed = true;
  v.freeListSize--;
}

/** What `old` needs precisely, `cur`'s ancestors need, too. Returns whether any of them changed. */
export function propagatePrecision(v: Verifier, old: VerifierState, cur: VerifierState): boolean {
  const { bt } = v;
  for (let fr = old.curframe; fr >= 0; fr--) {
    const frame = old.frames[fr]!;
    const names: string[] = [];
    for (let i = 0; i < 10; i++) {
      const reg = frame.peek(i);
      if (reg.type !== SCALAR_VALUE || !reg.precise) continue;
      names.push(`r${i}`);
      bt.regs[fr]! |= 1 << i;
    }
    for (let spi = 0; spi < frame.slotCount; spi++) {
      const { reg, isSpilled } = frame.peekSlot(spi)!;
      if (!isSpilled || reg === null || reg.type !== SCALAR_VALUE || !reg.precise) continue;
      names.push(`fp${-(spi + 1) * 8}`);
      bt.setSlot(fr, spi);
    }
    if (names.length === 0) continue;
    v.log.write(v.log.chatty ? `frame ${fr}: propagating ${names.join(',')}\n` : '\n');
  }
  return markPrecisionBatch(v, cur);
}

/** The latest first, as Linux has them. */
function propagateBackedges(v: Verifier, visit: SccVisit): void {
  const backedges = visit.backedges.reverse();
  for (let i = 0, changed = true; changed; i++) {
    if (i > MAX_ITERATIONS) {
      for (const backedge of backedges) markAllScalarsPrecise(v, backedge);
      break;
    }
    changed = false;
    for (const backedge of backedges) {
      if (propagatePrecision(v, backedge.equalState!, backedge)) changed = true;
    }
  }
  visit.backedges = [];
}
