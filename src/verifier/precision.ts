/**
 * Precision: where a scalar's exact value mattered, walk back over the instructions and states that led
 * here and mark what that value was made from, so that pruning compares it. Models `mark_chain_precision` of
 * Linux 6.18 (kernel/bpf/verifier.c).
 */

import { ARG_REGS, backtrackInsn } from './backtrack.js';
import type { Verifier } from './context.js';
import { ERRNO } from './errno.js';
import { insnText } from './insn-text.js';
import { writeState } from './print-state.js';
import type { Reg } from './reg.js';
import { SCALAR_VALUE } from './reg-type.js';
import {
  type FuncState,
  type HistoryEntry,
  MAIN_CALLSITE,
  MAX_BPF_STACK,
  REG_SIZE,
  type VerifierState,
} from './state.js';

const NO_ENTRY = -1;
const MAX_SLOTS = MAX_BPF_STACK / REG_SIZE;

/** The register of the current frame holds a scalar whose exact value mattered. */
export function markChainPrecision(v: Verifier, regno: number): void {
  const { state, bt } = v;
  if (!v.capable) return;
  if (v.reg(regno).type !== SCALAR_VALUE) v.reject(ERRNO.EFAULT, 'verifier bug: backtracking misuse');
  bt.frame = state.curframe;
  bt.setReg(regno);
  backtrack(v, state);
}

/** The same for what the caller already set in `v.bt`. Returns whether a parent state was changed. */
export function markPrecisionBatch(v: Verifier, start: VerifierState): boolean {
  v.bt.frame = start.curframe;
  if (!v.capable) {
    v.bt.reset();
    return false;
  }
  return backtrack(v, start);
}

function backtrack(v: Verifier, start: VerifierState): boolean {
  const { bt } = v;
  let state = start;
  let firstIdx = state.firstInsnIdx;
  let lastIdx = start.insnIdx;
  let subseqIdx = -1;
  let skipFirst = true;
  let changed = false;
  if (bt.isEmpty) return false;
  for (;;) {
    if (v.log.chatty) {
      v.log.write(
        `mark_precise: frame${bt.frame}: last_idx ${lastIdx} first_idx ${firstIdx} subseq_idx ${subseqIdx} \n`,
      );
    }
    if (lastIdx < 0) return markEntryArgs(v, state) || changed;
    let { history } = state;
    for (let i = lastIdx; ; ) {
      if (skipFirst) skipFirst = false;
      else if (!step(v, i, subseqIdx, entryAt(history, i))) {
        markAllScalarsPrecise(v, start);
        bt.reset();
        return changed;
      }
      if (bt.isEmpty) return changed;
      subseqIdx = i;
      const entry = entryAt(history, i);
      if (i === state.firstInsnIdx && (history === null || (history.count === 1 && entry !== null))) break;
      if (entry === null) {
        i--;
      } else {
        i = entry.prevIdx;
        history = entry.before;
      }
      if (i >= v.insns.length || i < NO_ENTRY) v.reject(ERRNO.EFAULT, `verifier bug: backtracking idx ${i}`);
    }
    if (state.parent === null) break;
    state = state.parent;
    if (markStatePrecise(v, state)) changed = true;
    if (bt.isEmpty) return changed;
    subseqIdx = firstIdx;
    lastIdx = state.lastInsnIdx;
    firstIdx = state.firstInsnIdx;
  }
  if (!bt.isEmpty) {
    markAllScalarsPrecise(v, start);
    bt.reset();
  }
  return changed;
}

const entryAt = (history: HistoryEntry | null, insn: number): HistoryEntry | null =>
  history !== null && history.idx === insn ? history : null;

/** False where back-tracking has to give up. */
function step(v: Verifier, insn: number, subseq: number, entry: HistoryEntry | null): boolean {
  if (v.log.chatty && v.insns[insn]!.code !== 0) {
    const { bt } = v;
    v.log.write(
      `mark_precise: frame${bt.frame}: regs=${bt.regsText()} stack=${bt.slotsText()} before ${insn}: ${insnText(v, insn)}\n`,
    );
  }
  return backtrackInsn(v, insn, subseq, entry);
}

/** Back at the entry of a global function: its arguments are what is asked for. */
function markEntryArgs(v: Verifier, state: VerifierState): boolean {
  const { bt } = v;
  const frame = state.frames[0]!;
  const isEntry = state.curframe === 0 && frame.subprog > 0 && frame.callsite === MAIN_CALLSITE;
  if (!isEntry || bt.slotsText(0) !== '' || (bt.regs[0]! & ~ARG_REGS) !== 0) {
    const masks = `reg_mask ${bt.regs[bt.frame]!.toString(16)} stack_mask ${bt.slotMask.toString(16)}`;
    v.reject(ERRNO.EFAULT, `verifier bug: backtracking func entry subprog ${frame.subprog} ${masks}`);
  }
  let changed = false;
  for (let i = 1; i <= 5; i++) {
    if (!bt.hasReg(i)) continue;
    bt.clearReg(i);
    if (frame.peek(i).type !== SCALAR_VALUE) continue;
    frame.reg(i).precise = true;
    changed = true;
  }
  return changed;
}

/** Marks what is asked for in a remembered state; what was marked already needs no more. */
function markStatePrecise(v: Verifier, state: VerifierState): boolean {
  const { bt } = v;
  let changed = false;
  for (let fr = bt.frame; fr >= 0; fr--) {
    const frame = state.frames[fr];
    if (frame === undefined) v.reject(ERRNO.EFAULT, `verifier bug: backtracking frame ${fr}`);
    for (let i = 0, mask = bt.regs[fr]!; mask !== 0; i++, mask >>>= 1) {
      if ((mask & 1) === 0) continue;
      if (markReg(frame, i)) changed = true;
      else bt.regs[fr]! &= ~(1 << i);
    }
    const slots = bt.slotsLo[fr]! | bt.slotsHi[fr]!;
    for (let spi = 0; slots !== 0 && spi < MAX_SLOTS; spi++) {
      if (!bt.hasSlot(fr, spi)) continue;
      if (spi >= frame.slotCount) {
        v.reject(ERRNO.EFAULT, `verifier bug: stack slot ${spi}, total slots ${frame.slotCount}`);
      }
      if (markSlot(frame, spi)) changed = true;
      else bt.clearSlot(fr, spi);
    }
    if (v.log.chatty) {
      v.log.write(
        `mark_precise: frame${fr}: parent state regs=${bt.regsText(fr)} stack=${bt.slotsText(fr)}: `,
      );
      writeState(v, state, fr, true);
    }
  }
  return changed;
}

/** True where the mark is new. */
function markReg(frame: FuncState, i: number): boolean {
  if (!isImprecise(frame.peek(i))) return false;
  frame.reg(i).precise = true;
  return true;
}

function markSlot(frame: FuncState, spi: number): boolean {
  const { reg, isSpilled } = frame.peekSlot(spi)!;
  if (!isSpilled || reg === null || !isImprecise(reg)) return false;
  frame.slot(spi).reg!.precise = true;
  return true;
}

const isImprecise = (reg: Readonly<Reg>): boolean => reg.type === SCALAR_VALUE && !reg.precise;

/** Gives up: every scalar of every state that led here counts. */
export function markAllScalarsPrecise(v: Verifier, start: VerifierState): void {
  if (v.log.chatty) {
    v.log.write(`mark_precise: frame${start.curframe}: falling back to forcing all scalars precise\n`);
  }
  for (let state = start.parent; state !== null; state = state.parent) {
    state.frames.forEach((frame, fr) => {
      for (let i = 0; i < 10; i++) {
        if (markReg(frame, i) && v.log.chatty) {
          v.log.write(`force_precise: frame${fr}: forcing r${i} to be precise\n`);
        }
      }
      for (let spi = 0; spi < frame.slotCount; spi++) {
        if (markSlot(frame, spi) && v.log.chatty) {
          v.log.write(`force_precise: frame${fr}: forcing fp${-(spi + 1) * 8} to be precise\n`);
        }
      }
    });
  }
}

const isPrecise = (reg: Readonly<Reg>): boolean => reg.type === SCALAR_VALUE && reg.precise;

/** A state about to be remembered forgets what its ancestors needed (`mark_all_scalars_imprecise`). */
export function markAllScalarsImprecise(state: VerifierState): void {
  for (const frame of state.frames) {
    for (let i = 0; i < 10; i++) if (isPrecise(frame.peek(i))) frame.reg(i).precise = false;
    for (let spi = 0; spi < frame.slotCount; spi++) {
      const { reg, isSpilled } = frame.peekSlot(spi)!;
      if (isSpilled && reg !== null && isPrecise(reg)) frame.slot(spi).reg!.precise = false;
    }
  }
}
