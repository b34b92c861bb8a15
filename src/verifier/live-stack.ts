/**
 * Which stack slots may still be read, before each instruction: gathered while paths are simulated, per
 * chain of calls, and brought to a fixed point when a path ends. Models kernel/bpf/liveness.c of Linux 6.18.
 */

import { CALLS_CALLBACK, type InsnFacts, PRUNE_POINT } from './insn-facts.js';
import type { VerifierLog } from './log.js';
import { MAX_CALL_FRAMES, MAX_SUBPROGS, type VerifierState } from './state.js';
import type { Successors } from './successors.js';

/** Words of one instruction in one frame: each mask is a low and a high word, a bit a slot. */
const STRIDE = 8;
const READ = 0;
const WRITE = 2;
const WRITE_ACC = 4;
const LIVE = 6;

const { clz32 } = Math;

/** What is known of one frame's slots before each instruction of a function. */
class FrameMarks {
  readonly masks: Int32Array;
  /** Instructions to look at again, a bit each in postorder: their marks changed, or what follows them. */
  readonly #dirty: Int32Array;

  constructor(length: number) {
    this.masks = new Int32Array(length * STRIDE);
    this.#dirty = new Int32Array((length + 31) >> 5);
  }

  touch(position: number): void {
    this.#dirty[position >> 5]! |= 1 << (position & 31);
  }

  /** The first position from `from` on that is to be looked at, which is forgotten with that; -1: none. */
  take(from: number): number {
    const dirty = this.#dirty;
    let mask = -1 << (from & 31);
    for (let word = from >> 5; word < dirty.length; word++, mask = -1) {
      const bits = dirty[word]! & mask;
      if (bits === 0) continue;
      const bit = 31 - clz32(bits & -bits);
      dirty[word]! ^= 1 << bit;
      return (word << 5) | bit;
    }
    return -1;
  }

  /** A write is no longer certain: what follows from writes is found anew. */
  forgetWrites(): void {
    const { masks } = this;
    for (let at = WRITE_ACC; at < masks.length; at += STRIDE) {
      masks[at] = 0;
      masks[at + 1] = 0;
    }
    this.#dirty.fill(-1);
  }
}

/** A function as called through one chain of calls; marks for its own frame and all outer ones. */
class FuncInstance {
  readonly parent: FuncInstance | null;
  /** Where `parent` calls it; its own start in the outermost frame. */
  readonly callsite: number;
  readonly start: number;
  readonly length: number;
  /** Where the function begins and ends in the program's postorder. */
  readonly postorderStart: number;
  readonly postorderEnd: number;
  readonly depth: number;
  readonly frames: (FrameMarks | null)[];
  readonly writeSet: Uint8Array;
  readonly callees = new Map<number, FuncInstance>();
  updated = false;
  writeDropped = false;

  constructor(parent: FuncInstance | null, callsite: number, v: LivenessHost, subprog: number) {
    const { start, postorderStart } = v.subprogs[subprog]!;
    this.parent = parent;
    this.callsite = callsite;
    this.start = start;
    this.length = v.subprogEnd(subprog) - start;
    this.postorderStart = postorderStart;
    this.postorderEnd = v.subprogs[subprog + 1]?.postorderStart ?? v.postorderCount;
    this.depth = parent === null ? 0 : parent.depth + 1;
    this.frames = new Array<FrameMarks | null>(this.depth + 1).fill(null);
    this.writeSet = new Uint8Array(this.length);
  }

  /** Marks of a frame, made when first written to. */
  marks(frame: number): FrameMarks {
    let marks = this.frames[frame];
    if (marks === null || marks === undefined) {
      marks = new FrameMarks(this.length);
      this.frames[frame] = marks;
    }
    return marks;
  }

  /** Call sites from the outermost frame on, and the function's own start. */
  get chainText(): string {
    let text = `${this.start}`;
    for (let at: FuncInstance = this; at.parent !== null; at = at.parent) text = `${at.callsite},${text}`;
    return text;
  }
}

/** What of the program and its current state is looked at. */
export interface LivenessHost {
  readonly state: VerifierState;
  readonly log: VerifierLog;
  readonly aux: InsnFacts;
  readonly subprogs: readonly { readonly start: number; readonly postorderStart: number }[];
  readonly postorder: Int32Array;
  readonly postorderCount: number;
  readonly successors: Successors;
  subprogEnd(index: number): number;
}

/** The program's postorder turned round, and what precedes each instruction. */
interface Order {
  /** Of each instruction in the postorder. */
  readonly position: Int32Array;
  /** Those of instruction `i` lie in `preds` from `predStart[i]` up to `predStart[i + 1]`. */
  readonly predStart: Int32Array;
  readonly preds: Int32Array;
}

function orderOf({ postorder, postorderCount, successors: { count, at } }: LivenessHost): Order {
  const position = new Int32Array(count.length);
  const predStart = new Int32Array(count.length + 1);
  for (let i = 0; i < postorderCount; i++) {
    const insn = postorder[i]!;
    position[insn] = i;
    for (let s = 0; s < count[insn]!; s++) predStart[at[2 * insn + s]! + 1]!++;
  }
  for (let i = 0; i < count.length; i++) predStart[i + 1]! += predStart[i]!;
  const preds = new Int32Array(predStart[count.length]!);
  const next = predStart.slice();
  for (let i = 0; i < postorderCount; i++) {
    const insn = postorder[i]!;
    for (let s = 0; s < count[insn]!; s++) preds[next[at[2 * insn + s]!]!++] = insn;
  }
  return { position, predStart, preds };
}

export class StackLiveness {
  readonly #v: LivenessHost;
  /** Of outermost frames, by subprogram. */
  readonly #roots = new Map<number, FuncInstance>();
  readonly #order: Order;
  #current: FuncInstance | null = null;
  readonly #writeLo = new Int32Array(MAX_CALL_FRAMES);
  readonly #writeHi = new Int32Array(MAX_CALL_FRAMES);
  #writeInsn = 0;
  #query: FuncInstance | null = null;
  #queryInsn = 0;

  constructor(v: LivenessHost) {
    this.#v = v;
    this.#order = orderOf(v);
  }

  /** The chain of calls changed. */
  forgetCurrent(): void {
    this.#current = null;
  }

  beginInsn(insn: number): void {
    this.#current ??= this.#lookup(this.#v.state, this.#v.state.curframe);
    this.#resetWrites(this.#current, insn);
  }

  markRead(frame: number, insn: number, spi: number): void {
    this.#current ??= this.#lookup(this.#v.state, this.#v.state.curframe);
    if (spi < 32) this.#markRead(this.#current, frame, insn, 1 << spi, 0);
    else this.#markRead(this.#current, frame, insn, 0, 1 << (spi - 32));
  }

  markWrite(frame: number, spi: number): void {
    if (spi < 32) this.#writeLo[frame]! |= 1 << spi;
    else this.#writeHi[frame]! |= 1 << (spi - 32);
  }

  commitInsn(): void {
    if (this.#current !== null) this.#commit(this.#current);
  }

  /** A path or a function ended: bring what it marked into force (`bpf_update_live_stack`). */
  update(): void {
    const { state } = this.#v;
    this.#current = null;
    let instance: FuncInstance | null = this.#lookup(state, state.curframe);
    for (; instance !== null; instance = instance.parent) {
      if (!instance.updated) continue;
      this.#updateInstance(instance);
      instance.updated = false;
      instance.writeDropped = false;
    }
  }

  /** Prepares `isAlive` for a state. */
  startQuery(state: VerifierState): void {
    this.#query = this.#lookup(state, state.curframe);
    this.#queryInsn = state.insnIdx;
  }

  /** May the slot be read from the queried state on? */
  isAlive(frame: number, spi: number): boolean {
    let instance = this.#query!;
    if (isLiveBefore(instance, this.#queryInsn, frame, spi)) return true;
    for (; instance.depth > frame; instance = instance.parent!) {
      const { callsite, parent } = instance;
      const at = this.#v.aux.has(callsite, CALLS_CALLBACK) ? callsite : callsite + 1;
      if (isLiveBefore(parent!, at, frame, spi)) return true;
    }
    return false;
  }

  #lookup(state: VerifierState, frameno: number): FuncInstance {
    const { subprogs } = this.#v;
    const { subprog } = state.frames[0]!;
    let instance = this.#roots.get(subprog);
    if (instance === undefined) {
      instance = new FuncInstance(null, subprogs[subprog]!.start, this.#v, subprog);
      this.#roots.set(subprog, instance);
    }
    for (let i = 1; i <= frameno; i++) {
      const frame = state.frames[i]!;
      instance = this.#callee(instance, frame.callsite, frame.subprog);
    }
    return instance;
  }

  #callee(caller: FuncInstance, callsite: number, subprog: number): FuncInstance {
    const key = callsite * MAX_SUBPROGS + subprog;
    let instance = caller.callees.get(key);
    if (instance === undefined) {
      instance = new FuncInstance(caller, callsite, this.#v, subprog);
      caller.callees.set(key, instance);
    }
    return instance;
  }

  #resetWrites(instance: FuncInstance, insn: number): void {
    this.#writeInsn = insn;
    for (let i = 0; i <= instance.depth; i++) {
      this.#writeLo[i] = 0;
      this.#writeHi[i] = 0;
    }
  }

  #commit(instance: FuncInstance): void {
    const idx = this.#writeInsn - instance.start;
    const seen = instance.writeSet[idx] !== 0;
    for (let frame = 0; frame <= instance.depth; frame++) {
      let low = this.#writeLo[frame]!;
      let high = this.#writeHi[frame]!;
      if (low === 0 && high === 0 && (!seen || instance.frames[frame] === null)) continue;
      const marks = instance.marks(frame);
      const { masks } = marks;
      const at = idx * STRIDE + WRITE;
      const oldLow = masks[at]!;
      const oldHigh = masks[at + 1]!;
      if (seen) {
        low &= oldLow;
        high &= oldHigh;
      }
      if (oldLow !== low || oldHigh !== high) {
        masks[at] = low;
        masks[at + 1] = high;
        instance.updated = true;
        marks.touch(this.#positionOf(instance, this.#writeInsn));
      }
      if ((oldLow & ~low) !== 0 || (oldHigh & ~high) !== 0) instance.writeDropped = true;
    }
    instance.writeSet[idx] = 1;
    this.#writeInsn = 0;
  }

  #positionOf(instance: FuncInstance, insn: number): number {
    return this.#order.position[insn]! - instance.postorderStart;
  }

  /**
   * To the fixed point in Linux's order: sweeps over the function in postorder until one changes nothing. What cannot have
   * changed is passed over.
   */
  #updateInstance(instance: FuncInstance): void {
    const { log } = this.#v;
    if (instance.writeDropped) for (const marks of instance.frames) marks?.forgetWrites();
    let iterations = 0;
    for (let changed = true; changed; ) {
      changed = false;
      iterations++;
      for (let frame = 0; frame <= instance.depth; frame++) {
        const marks = instance.frames[frame]!;
        if (marks !== null && this.#sweep(instance, frame, marks)) changed = true;
      }
    }
    if (log.chatty) log.write(`(${instance.chainText}) live stack update done in ${iterations} iterations\n`);
    if (instance.parent !== null) this.#propagateOut(instance, instance.parent);
  }

  /** Whether anything changed. */
  #sweep(instance: FuncInstance, frame: number, marks: FrameMarks): boolean {
    const { postorderStart, postorderEnd } = instance;
    const { postorder } = this.#v;
    const count = postorderEnd - postorderStart;
    const { position, predStart, preds } = this.#order;
    let changed = false;
    for (let at = marks.take(0); at >= 0 && at < count; at = marks.take(at + 1)) {
      const insn = postorder[postorderStart + at]!;
      if (!this.#updateInsn(instance, frame, marks.masks, insn)) continue;
      changed = true;
      const end = predStart[insn + 1]!;
      for (let p = predStart[insn]!; p < end; p++) marks.touch(position[preds[p]!]! - postorderStart);
    }
    return changed;
  }

  #updateInsn(instance: FuncInstance, frame: number, masks: Int32Array, insn: number): boolean {
    const { start } = instance;
    const { count, at: targets } = this.#v.successors;
    const n = count[insn]!;
    if (n === 0) return false;
    let afterLo = 0;
    let afterHi = 0;
    let accLo = -1;
    let accHi = -1;
    for (let s = 0; s < n; s++) {
      const next = (targets[2 * insn + s]! - start) * STRIDE;
      afterLo |= masks[next + LIVE]!;
      afterHi |= masks[next + LIVE + 1]!;
      accLo &= masks[next + WRITE_ACC]!;
      accHi &= masks[next + WRITE_ACC + 1]!;
    }
    const at = (insn - start) * STRIDE;
    const writeLo = masks[at + WRITE]!;
    const writeHi = masks[at + WRITE + 1]!;
    accLo |= writeLo;
    accHi |= writeHi;
    const beforeLo = (afterLo & ~writeLo) | masks[at + READ]!;
    const beforeHi = (afterHi & ~writeHi) | masks[at + READ + 1]!;
    if (
      beforeLo === masks[at + LIVE] &&
      beforeHi === masks[at + LIVE + 1] &&
      accLo === masks[at + WRITE_ACC] &&
      accHi === masks[at + WRITE_ACC + 1]
    ) {
      return false;
    }
    if (this.#v.log.chatty) {
      this.#writeChange(instance, frame, insn, masks, [beforeLo, beforeHi, accLo, accHi]);
    }
    masks[at + LIVE] = beforeLo;
    masks[at + LIVE + 1] = beforeHi;
    masks[at + WRITE_ACC] = accLo;
    masks[at + WRITE_ACC + 1] = accHi;
    return true;
  }

  /** Changes of what is live and written, at the places that Linux shows. */
  #writeChange(
    instance: FuncInstance,
    frame: number,
    insn: number,
    masks: Int32Array,
    next: readonly [number, number, number, number],
  ): void {
    const at = (insn - instance.start) * STRIDE;
    const touches =
      (masks[at + READ]! | masks[at + READ + 1]! | masks[at + WRITE]! | masks[at + WRITE + 1]!) !== 0;
    if (!touches && insn !== instance.start && !this.#v.aux.has(insn, PRUNE_POINT)) return;
    const where = `(${instance.chainText}) frame ${frame} insn ${insn} `;
    const change = (what: string, word: number, low: number, high: number): void => {
      const oldLow = masks[at + word]!;
      const oldHigh = masks[at + word + 1]!;
      if (oldLow === low && oldHigh === high) return;
      const added = slotsText(low & ~oldLow, high & ~oldHigh);
      const dropped = slotsText(oldLow & ~low, oldHigh & ~high);
      const plus = added === '' ? '' : `+${what} ${added} `;
      const minus = dropped === '' ? '' : `-${what} ${dropped}`;
      this.#v.log.write(`${where}${plus}${minus}\n`);
    };
    change('live', LIVE, next[0], next[1]);
    change('written', WRITE_ACC, next[2], next[3]);
  }

  /** What the function does to outer frames becomes what its call instruction does. */
  #propagateOut(instance: FuncInstance, caller: FuncInstance): void {
    const { callsite } = instance;
    this.#resetWrites(caller, callsite);
    for (let frame = 0; frame <= caller.depth; frame++) {
      const masks = instance.frames[frame]?.masks;
      if (masks === undefined) continue;
      this.#writeLo[frame]! |= masks[WRITE_ACC]!;
      this.#writeHi[frame]! |= masks[WRITE_ACC + 1]!;
      this.#markRead(caller, frame, callsite, masks[LIVE]!, masks[LIVE + 1]!);
    }
    this.#commit(caller);
  }

  #markRead(instance: FuncInstance, frame: number, insn: number, low: number, high: number): void {
    const marks = instance.marks(frame);
    const { masks } = marks;
    const at = (insn - instance.start) * STRIDE;
    const newLow = masks[at + READ]! | low;
    const newHigh = masks[at + READ + 1]! | high;
    if (newLow === masks[at + READ] && newHigh === masks[at + READ + 1]) return;
    if ((newLow & ~masks[at + LIVE]!) !== 0 || (newHigh & ~masks[at + LIVE + 1]!) !== 0)
      instance.updated = true;
    masks[at + READ] = newLow;
    masks[at + READ + 1] = newHigh;
    marks.touch(this.#positionOf(instance, insn));
  }
}

/** Slots of a mask by their offsets: `-8,-24`. */
function slotsText(low: number, high: number): string {
  const parts: number[] = [];
  for (let i = 0; i < 64; i++) {
    const bit = i < 32 ? low & (1 << i) : high & (1 << (i - 32));
    if (bit !== 0) parts.push(-(i + 1) * 8);
  }
  return parts.join(',');
}

function isLiveBefore(instance: FuncInstance, insn: number, frame: number, spi: number): boolean {
  const masks = instance.frames[frame]?.masks;
  if (masks === undefined) return false;
  const at = (insn - instance.start) * STRIDE + LIVE;
  return spi < 32 ? (masks[at]! & (1 << spi)) !== 0 : (masks[at + 1]! & (1 << (spi - 32))) !== 0;
}
