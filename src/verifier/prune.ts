/**
 * Remembering states and giving up paths that add nothing: at prune points the current state is compared
 * with those seen there before, found to loop, or remembered. Models `is_state_visited` of Linux 6.18
 * (kernel/bpf/verifier.c), whose order and thresholds decide what `processed N insns` says.
 */
import { BPF_JCOND, BPF_JMP, MAX_BPF_REG } from '../isa/constants.js';
import type { Verifier } from './context.js';
import { CALLS_CALLBACK, FORCE_CHECKPOINT, ITER_NEXT, JMP_POINT } from './insn-facts.js';
import { ITER_ACTIVE, iterDepthsDiffer, iterState } from './iter/slots.js';
import { markAllScalarsImprecise } from './precision.js';
import { writeLine, writeState } from './print-state.js';
import { markUnknown, type Reg } from './reg.js';
import { SCALAR_VALUE } from './reg-type.js';
import { constNumber } from './scalar/index.js';
import {
  addBackedge,
  enterScc,
  forgetOrigin,
  hasIncompleteMarks,
  maybeFree,
  propagatePrecision,
  updatePeak,
} from './scc.js';
import { frameInsnIdx, sameCallsites, shareState, type VerifierState } from './state.js';
import {
  EXACT,
  maybeLooping,
  NOT_EXACT,
  RANGE_WITHIN,
  regsExact,
  resetIds,
  statesEqual,
} from './states-equal.js';

const MAX_HISTORY = 40;
/** States that are kept an instruction, and one, for programs loaded without CAP_BPF. */
const MAX_STATES_INCAPABLE = 64;

const NO_STATES: VerifierState[] = [];

function bucketIndex(v: Verifier, insn: number): number {
  return ((insn ^ v.state.frame.callsite) >>> 0) % v.insns.length;
}

const bucketOf = (v: Verifier, insn: number): VerifierState[] =>
  v.explored.get(bucketIndex(v, insn)) ?? NO_STATES;

/** Registers and slots that are never read again are forgotten (`clean_verifier_state`). */
function cleanState(v: Verifier, state: VerifierState): void {
  v.liveness.startQuery(state);
  state.cleaned = true;
  forgetOrigin(state);
  state.frames.forEach((frame, i) => {
    const liveRegs = v.aux.liveRegs[frameInsnIdx(state, i)]!;
    for (let r = 0; r < 10; r++) if ((liveRegs & (1 << r)) === 0) frame.forget(r);
    for (let spi = 0; spi < frame.slotCount; spi++) {
      if (!v.liveness.isAlive(frame.frameno, spi)) frame.forgetSlot(spi);
    }
  });
}

function cleanLiveStates(v: Verifier, bucket: readonly VerifierState[], insn: number): void {
  for (let i = bucket.length - 1; i >= 0; i--) {
    const state = bucket[i]!;
    if (state.cleaned || state.branches !== 0 || state.insnIdx !== insn) continue;
    if (hasIncompleteMarks(state) || !sameCallsites(state, v.state)) continue;
    cleanState(v, state);
  }
}

const MISS = 0;
const HIT = 1;
const HIT_LOOP = 2;

/**
 * True where the path may end here: a state that was found safe, or a loop that converged, covers it. Otherwise the
 * current state may be remembered.
 */
export function isStateVisited(v: Verifier, insn: number): boolean {
  const cur = v.state;
  const forced = v.aux.has(insn, FORCE_CHECKPOINT);
  const force = v.testStateFreq || forced || (cur.history?.count ?? 0) > MAX_HISTORY;
  let add =
    force || (v.jmpsProcessed - v.prevJmpsProcessed >= 2 && v.insnProcessed - v.prevInsnProcessed >= 8);
  const rare = !force && !longSinceLast(v);
  const bucket = bucketOf(v, insn);
  cleanLiveStates(v, bucket, insn);
  let count = 0;
  // As in Linux, the last finished state's answer stays for the unfinished ones that follow it.
  let loop = false;
  for (let i = bucket.length - 1; i >= 0; i--) {
    const state = bucket[i]!;
    count++;
    if (state.insnIdx !== insn) continue;
    let result = MISS;
    if (state.branches !== 0) {
      result = compareUnfinished(v, state, insn, forced);
      if (result === MISS && rare) add = false;
    } else {
      loop = hasIncompleteMarks(state);
      if (statesEqual(v, state, cur, loop ? RANGE_WITHIN : NOT_EXACT)) result = HIT;
    }
    if (result !== MISS) {
      state.hitCount++;
      takeHit(v, state, insn, loop || result === HIT_LOOP);
      return true;
    }
    if (add) state.missCount++;
    const patience = forced && state.branches > 0 ? 64 : 3;
    if (state.missCount > state.hitCount * patience + patience) evict(v, bucket, i);
  }
  if (v.maxStatesPerInsn < count) v.maxStatesPerInsn = count;
  if (add && (v.capable || count <= MAX_STATES_INCAPABLE)) remember(v, insn);
  return false;
}

/** In a loop, states are not remembered too often. */
function longSinceLast(v: Verifier): boolean {
  return v.jmpsProcessed - v.prevJmpsProcessed >= 20 || v.insnProcessed - v.prevInsnProcessed >= 100;
}

/** Against a state that this very path may have come from. */
function compareUnfinished(v: Verifier, state: VerifierState, insn: number, forced: boolean): number {
  const cur = v.state;
  const { frame } = state;
  if (frame.inAsyncCallback && frame.asyncEntryCount !== cur.frame.asyncEntryCount) return MISS;
  if (forced) {
    if (v.aux.has(insn, ITER_NEXT)) return compareIterating(v, state);
    const code = v.insns[insn]!;
    if (code.code === (BPF_JMP | BPF_JCOND) && code.src === 0) {
      if (state.mayGotoDepth !== cur.mayGotoDepth && statesEqual(v, state, cur, RANGE_WITHIN))
        return HIT_LOOP;
    }
    if (v.aux.has(insn, CALLS_CALLBACK)) return statesEqual(v, state, cur, RANGE_WITHIN) ? HIT : MISS;
  }
  if (
    state.mayGotoDepth === cur.mayGotoDepth &&
    state.callbackUnrollDepth === cur.callbackUnrollDepth &&
    maybeLooping(state, cur) &&
    statesEqual(v, state, cur, EXACT) &&
    !iterDepthsDiffer(state, cur)
  ) {
    writeLine(v, insn);
    v.error(`infinite loop detected at insn ${insn}`);
    v.log.write('cur state:');
    writeState(v, cur, cur.curframe, true);
    v.log.write('old state:');
    writeState(v, state, cur.curframe, true);
    v.reject(22);
  }
  return MISS;
}

/** At an iterator's `_next`: as long as it is not drained, the same state again is a loop that converged. */
function compareIterating(v: Verifier, state: VerifierState): number {
  const cur = v.state;
  if (!statesEqual(v, state, cur, RANGE_WITHIN)) return MISS;
  const pointer = cur.frame.peek(1);
  const spi = (-(pointer.off + constNumber(pointer)) - 1) >> 3;
  const held = cur.frames[pointer.frameno]?.peekSlot(spi)?.reg ?? null;
  return held !== null && iterState(held) === ITER_ACTIVE ? HIT_LOOP : MISS;
}

function takeHit(v: Verifier, state: VerifierState, insn: number, loop: boolean): void {
  const cur = v.state;
  if (v.aux.has(v.insnIdx, JMP_POINT)) v.pushHistory(cur, 0, null);
  propagatePrecision(v, state, cur);
  if (!loop) return;
  const backedge = shareState(cur);
  backedge.equalState = state;
  backedge.insnIdx = insn;
  addBackedge(v, state, backedge);
}

function evict(v: Verifier, bucket: VerifierState[], index: number): void {
  const state = bucket[index]!;
  state.evicted = true;
  bucket.splice(index, 1);
  v.freeListSize++;
  v.exploredSize--;
  maybeFree(v, state);
}

function remember(v: Verifier, insn: number): void {
  const cur = v.state;
  v.totalStates++;
  v.exploredSize++;
  updatePeak(v);
  v.prevJmpsProcessed = v.jmpsProcessed;
  v.prevInsnProcessed = v.insnProcessed;
  if (v.capable) markAllScalarsImprecise(cur);
  const state = shareState(cur);
  state.insnIdx = insn;
  state.remembered = true;
  enterScc(v, state);
  cur.parent = state;
  cur.firstInsnIdx = insn;
  cur.dfsDepth = state.dfsDepth + 1;
  cur.history = null;
  const index = bucketIndex(v, insn);
  const bucket = v.explored.get(index);
  if (bucket === undefined) v.explored.set(index, [state]);
  else bucket.push(state);
}

/** The last time this path was at `insn`, among unfinished states (`find_prev_entry`). */
export function findPrevEntry(v: Verifier, cur: VerifierState, insn: number): VerifierState | undefined {
  const bucket = bucketOf(v, insn);
  for (let i = bucket.length - 1; i >= 0; i--) {
    const state = bucket[i]!;
    if (state.insnIdx !== insn || state.branches === 0) continue;
    if (sameCallsites(state, cur) && state.dfsDepth < cur.dfsDepth) return state;
  }
  return undefined;
}

function isWidened(old: Readonly<Reg>, cur: Readonly<Reg>): boolean {
  if (old.type !== SCALAR_VALUE || cur.type !== SCALAR_VALUE) return false;
  return !old.precise && !cur.precise && !regsExact(old, cur);
}

/** Scalars that changed since the last round, and that nobody needs, may be anything (`widen_imprecise_scalars`). */
export function widenImpreciseScalars(v: Verifier, old: VerifierState, cur: VerifierState): void {
  resetIds(v);
  for (let fr = old.curframe; fr >= 0; fr--) {
    const before = old.frames[fr]!;
    const now = cur.frames[fr];
    if (now === undefined) continue;
    for (let i = 0; i < MAX_BPF_REG; i++) {
      if (isWidened(before.peek(i), now.peek(i))) markUnknown(now.reg(i));
    }
    const slots = Math.min(before.slotCount, now.slotCount);
    for (let spi = 0; spi < slots; spi++) {
      const a = before.peekSlot(spi)!;
      const b = now.peekSlot(spi)!;
      if (!a.isSpilled || !b.isSpilled || a.reg === null || b.reg === null) continue;
      if (isWidened(a.reg, b.reg)) markUnknown(now.slot(spi).reg!);
    }
  }
}
