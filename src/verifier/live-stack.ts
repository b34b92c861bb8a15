/**
 * Which stack slots may still be read, before each instruction: gathered while paths are simulated, per
 * chain of calls, and brought to a fixed point when a path ends. Models kernel/bpf/liveness.c of Linux 6.18.
 */
import type { VerifierLog } from './log.js';
import { frameInsnIdx, MAX_CALL_FRAMES, type VerifierState } from './state.js';
import type { Successors } from './successors.js';

/** Words of one instruction in one frame: each mask is a low and a high word, a bit a slot. */
const STRIDE = 8;
const READ = 0;
const WRITE = 2;
const WRITE_ACC = 4;
const LIVE = 6;

/** A function as called through one chain of calls; marks for its own frame and all outer ones. */
class FuncInstance {
  /** Call sites from the outermost frame on; the last entry is the function's own start. */
  readonly callsites: readonly number[];
  readonly starts: readonly number[];
  readonly start: number;
  readonly length: number;
  readonly frames: (Int32Array | null)[];
  readonly writeSet: Uint8Array;
  updated = false;
  writeDropped = false;

  constructor(callsites: readonly number[], starts: readonly number[], length: number) {
    this.callsites = callsites;
    this.starts = starts;
    this.start = starts[starts.length - 1]!;
    this.length = length;
    this.frames = new Array<Int32Array | null>(starts.length).fill(null);
    this.writeSet = new Uint8Array(length);
  }

  get depth(): number {
    return this.starts.length - 1;
  }

  /** Masks of a frame, made when first written to. */
  masks(frame: number): Int32Array {
    let masks = this.frames[frame];
    if (masks === null || masks === undefined) {
      masks = new Int32Array(this.length * STRIDE);
      this.frames[frame] = masks;
    }
    return masks;
  }
}

/** What of the program and its current state is looked at. */
export interface LivenessHost {
  readonly state: VerifierState;
  readonly log: VerifierLog;
  readonly aux: readonly { readonly callsCallback: boolean; readonly prunePoint: boolean }[];
  readonly subprogs: readonly { readonly start: number; readonly postorderStart: number }[];
  readonly postorder: Int32Array;
  readonly postorderCount: number;
  readonly successors: Successors;
  subprogEnd(index: number): number;
  findSubprog(start: number): number;
}

export class StackLiveness {
  readonly #v: LivenessHost;
  readonly #instances = new Map<string, FuncInstance>();
  #current: FuncInstance | null = null;
  readonly #writeLo = new Int32Array(MAX_CALL_FRAMES);
  readonly #writeHi = new Int32Array(MAX_CALL_FRAMES);
  #writeInsn = 0;
  #query: FuncInstance[] = [];
  #queryInsn = 0;

  constructor(v: LivenessHost) {
    this.#v = v;
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
    if (spi < 32) markRead(this.#current, frame, insn, 1 << spi, 0);
    else markRead(this.#current, frame, insn, 0, 1 << (spi - 32));
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
    for (let frame = state.curframe; frame >= 0; frame--) {
      const instance = this.#lookup(state, frame);
      if (!instance.updated) continue;
      this.#updateInstance(instance);
      instance.updated = false;
      instance.writeDropped = false;
    }
  }

  /** Prepares `isAlive` for a state. */
  startQuery(state: VerifierState): void {
    this.#query = state.frames.map((_, frame) => this.#lookup(state, frame));
    this.#queryInsn = state.insnIdx;
  }

  /** May the slot be read from the queried state on? */
  isAlive(frame: number, spi: number): boolean {
    const top = this.#query[this.#query.length - 1]!;
    if (isLiveBefore(top, this.#queryInsn, frame, spi)) return true;
    for (let i = frame; i < this.#query.length - 1; i++) {
      const callsite = top.callsites[i]!;
      const at = this.#v.aux[callsite]!.callsCallback ? callsite : callsite + 1;
      if (isLiveBefore(this.#query[i]!, at, frame, spi)) return true;
    }
    return false;
  }

  #lookup(state: VerifierState, frameno: number): FuncInstance {
    const callsites: number[] = [];
    const starts: number[] = [];
    for (let i = 0; i <= frameno; i++) {
      starts.push(this.#v.subprogs[state.frames[i]!.subprog]!.start);
      callsites.push(i < frameno ? frameInsnIdx(state, i) : starts[i]!);
    }
    return this.#instance(callsites, starts);
  }

  #instance(callsites: readonly number[], starts: readonly number[]): FuncInstance {
    const key = callsites.join(',');
    let instance = this.#instances.get(key);
    if (instance === undefined) {
      const start = starts[starts.length - 1]!;
      const length = this.#v.subprogEnd(this.#v.findSubprog(start)) - start;
      instance = new FuncInstance(callsites, starts, length);
      this.#instances.set(key, instance);
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
      if (low === 0 && high === 0 && !seen) continue;
      const masks = instance.masks(frame);
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
      }
      if ((oldLow & ~low) !== 0 || (oldHigh & ~high) !== 0) instance.writeDropped = true;
    }
    instance.writeSet[idx] = 1;
    this.#writeInsn = 0;
  }

  #updateInstance(instance: FuncInstance): void {
    if (instance.writeDropped) {
      for (const masks of instance.frames) {
        if (masks === null) continue;
        for (let at = WRITE_ACC; at < masks.length; at += STRIDE) {
          masks[at] = 0;
          masks[at + 1] = 0;
        }
      }
    }
    const v = this.#v;
    const subprog = v.findSubprog(instance.start);
    const from = v.subprogs[subprog]!.postorderStart;
    const to = v.subprogs[subprog + 1]?.postorderStart ?? v.postorderCount;
    let iterations = 0;
    for (let changed = true; changed; ) {
      changed = false;
      iterations++;
      for (let frame = 0; frame <= instance.depth; frame++) {
        const masks = instance.frames[frame]!;
        if (masks === null) continue;
        for (let i = from; i < to; i++) {
          if (this.#updateInsn(instance, frame, masks, v.postorder[i]!)) changed = true;
        }
      }
    }
    if (v.log.chatty) {
      v.log.write(`(${instance.callsites.join(',')}) live stack update done in ${iterations} iterations\n`);
    }
    if (instance.depth > 0) this.#propagateOut(instance);
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
    if (!touches && insn !== instance.start && !this.#v.aux[insn]!.prunePoint) return;
    const where = `(${instance.callsites.join(',')}) frame ${frame} insn ${insn} `;
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
  #propagateOut(instance: FuncInstance): void {
    const depth = instance.depth;
    const starts = instance.starts.slice(0, depth);
    const callsites = [...instance.callsites.slice(0, depth - 1), starts[depth - 1]!];
    const outer = this.#instance(callsites, starts);
    const callsite = instance.callsites[depth - 1]!;
    this.#resetWrites(outer, callsite);
    for (let frame = 0; frame < depth; frame++) {
      const masks = instance.frames[frame];
      if (masks === null || masks === undefined) continue;
      this.#writeLo[frame]! |= masks[WRITE_ACC]!;
      this.#writeHi[frame]! |= masks[WRITE_ACC + 1]!;
      markRead(outer, frame, callsite, masks[LIVE]!, masks[LIVE + 1]!);
    }
    this.#commit(outer);
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

function markRead(instance: FuncInstance, frame: number, insn: number, low: number, high: number): void {
  const masks = instance.masks(frame);
  const at = (insn - instance.start) * STRIDE;
  const newLow = masks[at + READ]! | low;
  const newHigh = masks[at + READ + 1]! | high;
  const liveLow = masks[at + LIVE]!;
  const liveHigh = masks[at + LIVE + 1]!;
  const isNew = newLow !== masks[at + READ] || newHigh !== masks[at + READ + 1];
  if (isNew && ((newLow & ~liveLow) !== 0 || (newHigh & ~liveHigh) !== 0)) instance.updated = true;
  masks[at + READ] = newLow;
  masks[at + READ + 1] = newHigh;
}

function isLiveBefore(instance: FuncInstance, insn: number, frame: number, spi: number): boolean {
  const masks = instance.frames[frame];
  if (masks === null || masks === undefined) return false;
  const at = (insn - instance.start) * STRIDE + LIVE;
  return spi < 32 ? (masks[at]! & (1 << spi)) !== 0 : (masks[at + 1]! & (1 << (spi - 32))) !== 0;
}
