/**
 * How a value came to be: from the rejected instruction backwards along the path, through the moves, arithmetic,
 * spills, fills and calls that made it, with the branches that tested it on the way.
 */

import { jumpTarget } from '../../isa/jumps.js';
import type { VerifyRequest } from '../types.js';
import { type Definition, isConditional, registerDefinition, stackDefinition, tested } from './effects.js';
import { helperName, insnTextAt, sourceAt, subprogramOf } from './names.js';
import type { Activation, Path } from './path.js';
import { CALL, EXIT } from './path.js';
import type { Place, ValuePlace } from './place.js';
import type { ChainStep } from './types.js';
import { describeValue } from './value.js';

/** Values followed at once, and steps kept. */
const MAX_PLACES = 64;
const MAX_STEPS = 40;

const nameOf = (place: ValuePlace): string => (place.kind === 'reg' ? `R${place.regno}` : `fp${place.off}`);
const inWords = (place: ValuePlace): string =>
  place.kind === 'reg' ? `r${place.regno}` : `the stack at fp${place.off}`;

interface Followed {
  readonly place: ValuePlace;
  readonly activation: Activation;
  /** The value is the one before this step. */
  readonly step: number;
}

interface Found {
  readonly kind: ChainStep['kind'];
  readonly notes: string[];
}

/** Builds the chain of one rejection. */
export class ChainBuilder {
  readonly #request: VerifyRequest;
  readonly #path: Path;
  readonly #found = new Map<number, Found>();
  readonly #queue: Followed[] = [];
  readonly #seen = new Set<string>();

  constructor(request: VerifyRequest, path: Path) {
    this.#request = request;
    this.#path = path;
  }

  /** `places` as they are before the last step of the path. */
  build(places: readonly Place[], reason: string): ChainStep[] {
    const { steps } = this.#path;
    const last = steps.length - 1;
    if (last < 0) return [];
    for (const place of places) {
      if (place.kind === 'insn') this.#since(place.slot, place.note);
      else this.#follow(place, steps[last]!.activation, last);
    }
    for (let i = 0; i < this.#queue.length && i < MAX_PLACES; i++) this.#trace(this.#queue[i]!);
    this.#add(last, 'reject', reason);
    return this.#merge();
  }

  /** The last visit of an instruction, and which way the path went after it. */
  #since(slot: number, note: string): void {
    const { steps } = this.#path;
    const start = steps.findLastIndex((step) => step.slot === slot);
    if (start < 0) return;
    this.#add(start, 'call', note);
    for (let i = start + 1; i < steps.length - 1; i++) {
      const insn = this.#request.insns[steps[i]!.slot]!;
      if (isConditional(insn)) this.#add(i, 'branch', `${this.#direction(i)} on this path`);
    }
  }

  #direction(i: number): string {
    const { steps } = this.#path;
    const { slot } = steps[i]!;
    const target = jumpTarget(this.#request.insns[slot]!, slot);
    if (target === slot + 1) return 'either way';
    return steps[i + 1]?.slot === target ? 'taken' : 'not taken';
  }

  #follow(place: ValuePlace, activation: Activation, step: number): void {
    if (place.kind === 'reg' && place.regno >= 10) return;
    const key = `${activation.firstStep}:${activation.depth}:${nameOf(place)}:${step}`;
    if (this.#seen.has(key)) return;
    this.#seen.add(key);
    this.#queue.push({ place, activation, step });
  }

  #add(step: number, kind: ChainStep['kind'], note: string): void {
    const found = this.#found.get(step);
    if (found === undefined) this.#found.set(step, { kind, notes: [note] });
    else if (kind === 'entry') found.notes.unshift(note);
    else if (!found.notes.includes(note)) found.notes.push(note);
  }

  #trace({ place, activation, step }: Followed): void {
    const { steps } = this.#path;
    for (let i = step - 1; i >= activation.firstStep; i--) {
      const at = steps[i]!;
      if (at.activation !== activation) {
        if (this.#throughCallee(place, activation, i)) return;
        continue;
      }
      if (this.#voided(place, activation, i)) continue;
      if (this.#define(place, activation, i)) return;
      this.#branch(place, activation, i);
    }
    this.#entry(place, activation);
  }

  /** What is followed on into a callee: its result, and the caller's stack that it wrote. True where it was found there. */
  #throughCallee(place: ValuePlace, activation: Activation, i: number): boolean {
    const at = this.#path.steps[i]!;
    const insn = this.#request.insns[at.slot]!;
    if (place.kind === 'reg') {
      const returns = insn.code === EXIT && at.activation.parent === activation && !at.activation.isCallback;
      if (place.regno !== 0 || !returns) return false;
      this.#add(i, 'call', `returns r0 of ${subprogramOf(this.#request, at.slot)}`);
      this.#follow(place, at.activation, i);
      return true;
    }
    const text = this.#textBefore(i, at.activation);
    const made = stackDefinition(insn, place.off, activation.depth, at.activation.depth, text);
    if (made === undefined) return false;
    this.#add(i, 'define', made.note);
    for (const source of made.sources) this.#follow(source, at.activation, i);
    return true;
  }

  #textBefore(i: number, activation: Activation): (regno: number) => string | undefined {
    return (regno) => this.#path.before(i, activation, `R${regno}`);
  }

  #define(place: ValuePlace, activation: Activation, i: number): boolean {
    const insn = this.#request.insns[this.#path.steps[i]!.slot]!;
    const text = this.#textBefore(i, activation);
    const made: Definition | undefined =
      place.kind === 'reg'
        ? registerDefinition(insn, place.regno, text)
        : (stackDefinition(insn, place.off, activation.depth, activation.depth, text) ??
          this.#byHelper(place, activation, i));
    if (made === undefined) return false;
    const lost = made.note.startsWith('is lost');
    const after = lost ? undefined : this.#path.after(i, activation, nameOf(place));
    const now = after === undefined ? '' : `: ${inWords(place)} is ${describeValue(after)}`;
    this.#add(
      i,
      made.kind,
      made.note.startsWith('is ')
        ? `${inWords(place)} ${made.note}${now.replace(/^: .*? is/, ':')}`
        : `${made.note}${now}`,
    );
    for (const source of made.sources) this.#follow(source, activation, i);
    return true;
  }

  /** A call that made a pointer a mere number: the packet may have moved, the object is released. */
  #voided(place: ValuePlace, activation: Activation, i: number): boolean {
    const insn = this.#request.insns[this.#path.steps[i]!.slot]!;
    if (insn.code !== CALL || insn.src !== 0) return false;
    const name = nameOf(place);
    const before = this.#path.before(i, activation, name);
    if (before === undefined || !before.includes('(') || before.startsWith('scalar')) return false;
    if (this.#path.after(i, activation, name) !== 'scalar()') return false;
    const why = before.startsWith('pkt') ? 'may move the packet' : 'releases the object';
    this.#add(i, 'call', `${why}: ${inWords(place)} is no pointer any more`);
    return true;
  }

  /** A call that changed the slot was handed its address. */
  #byHelper(place: ValuePlace, activation: Activation, i: number): Definition | undefined {
    const insn = this.#request.insns[this.#path.steps[i]!.slot]!;
    if (insn.code !== CALL) return undefined;
    const name = nameOf(place);
    const before = this.#path.before(i, activation, name);
    if (before === this.#path.after(i, activation, name)) return undefined;
    const by = insn.src === 0 ? helperName(insn.imm) : 'the function called';
    return { sources: [], note: `may be written by ${by}`, kind: 'call' };
  }

  /** A conditional jump that compared the value, or changed what is known of it. */
  #branch(place: ValuePlace, activation: Activation, i: number): void {
    const { steps } = this.#path;
    const { slot } = steps[i]!;
    const insn = this.#request.insns[slot]!;
    if (!isConditional(insn)) return;
    const name = nameOf(place);
    const before = this.#path.before(i, activation, name);
    const after = this.#path.after(i, activation, name);
    const compares = place.kind === 'reg' && tested(insn).includes(place.regno);
    const isPacket = before?.startsWith('pkt') === true && this.#comparesWithEnd(activation, i, tested(insn));
    if (!compares && !isPacket && before === after) return;
    const effect =
      before === after
        ? `tells nothing about ${inWords(place)}, which stays ${describeValue(after)}`
        : `so ${inWords(place)} is ${describeValue(after)}`;
    this.#add(i, 'branch', `${this.#direction(i)}, ${effect}`);
  }

  #comparesWithEnd(activation: Activation, i: number, regs: readonly number[]): boolean {
    return regs.some(
      (regno) => this.#path.before(i, activation, `R${regno}`)?.startsWith('pkt_end') === true,
    );
  }

  /** Nothing in the function made the value: an argument, or never written. */
  #entry(place: ValuePlace, activation: Activation): void {
    const { parent, firstStep, callStep } = activation;
    if (place.kind === 'stack') {
      this.#add(firstStep, 'entry', `nothing on this path writes ${inWords(place)} before`);
      return;
    }
    const { regno } = place;
    const text = this.#path.before(firstStep, activation, `R${regno}`);
    if (parent === undefined || activation.isCallback) {
      const value = regno === 0 ? undefined : text;
      const note =
        value === undefined
          ? `r${regno} holds nothing when ${subprogramOf(this.#request, activation.entrySlot)} starts, and nothing on this path sets it`
          : `r${regno} starts as ${describeValue(value)}`;
      this.#add(firstStep, 'entry', note);
      return;
    }
    if (regno < 1 || regno > 5) {
      this.#add(firstStep, 'entry', `r${regno} holds nothing when the function starts`);
      return;
    }
    this.#add(callStep, 'call', `passes r${regno} to ${subprogramOf(this.#request, activation.entrySlot)}`);
    this.#follow(place, parent, callStep);
  }

  /** In the order of the path; visits of one instruction become one step, at the last visit. */
  #merge(): ChainStep[] {
    const { steps } = this.#path;
    const bySlot = new Map<number, { times: number; step: number; found: Found }>();
    for (const [step, found] of [...this.#found].sort((a, b) => a[0] - b[0])) {
      const { slot } = steps[step]!;
      const times = bySlot.get(slot)?.times ?? 0;
      bySlot.set(slot, { times: times + 1, step, found });
    }
    const merged = [...bySlot].sort((a, b) => a[1].step - b[1].step);
    const kept = merged.length > MAX_STEPS ? [...merged.slice(0, 4), ...merged.slice(4 - MAX_STEPS)] : merged;
    return kept.map(([slot, { times, found }]) => {
      const source = sourceAt(this.#request, slot);
      return {
        insn: slot,
        text: insnTextAt(this.#request, slot),
        kind: found.kind,
        note: found.notes.join('; '),
        times,
        subprogram: subprogramOf(this.#request, slot),
        ...(source !== undefined && { source }),
      };
    });
  }
}
