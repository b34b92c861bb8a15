/**
 * The path that ended in a rejection, read back from the verifier's own log at level 1: that log is cut back whenever
 * a path turns out fine, so what is left at the end is one path from the entry, each instruction with the registers and stack
 * slots that it changed. Calls are followed so that every step knows the activation of the function it ran in.
 */

import { helperProtoOf } from '../../abi/helper-protos.js';
import { BPF_CALL, BPF_EXIT, BPF_JMP } from '../../isa/constants.js';
import type { Insn } from '../../isa/insn.js';
import { functionTarget } from '../../isa/jumps.js';
import type { VerifyRequest } from '../types.js';
import { isConditional } from './effects.js';

/** One run of a function on the path. */
export interface Activation {
  readonly depth: number;
  readonly parent: Activation | undefined;
  /** Index of the step that called it; -1 at an entry. */
  readonly callStep: number;
  readonly isCallback: boolean;
  /** Index of its first step. */
  readonly firstStep: number;
  readonly entrySlot: number;
}

export interface PathStep {
  readonly slot: number;
  readonly activation: Activation;
}

interface Change {
  readonly step: number;
  /** Undefined: holds nothing any more. */
  readonly text: string | undefined;
}

/** A path that was taken up again has its state behind the jump, on the same line. */
const INSN_LINE = /^(\d+): \([0-9a-f]{2}\) [^;]*?(?:;(.*)| (\d+: (?:frame\d+: )?(?:R\d|fp-).*))?$/;
const STATE_LINE = /^\d+: (?:frame\d+: )?(?:R\d|fp-)/;
const ASSIGNMENT = /\b(R\d+|fp-\d+)=((?:[^ (]|\((?:[^()]|\([^()]*\))*\))*)/g;
/** What a log holds besides reasons. */
const NOISE =
  /^(?:; |\s*$|from \d+ to|Func#|Validating |caller:|callee:|returning from|to caller at|stack depth|processed |mark_precise|old state:|cur state:| ?(?:frame\d+:)? ?R\d+=| fp-|REG INVARIANTS)/;

/** Opcode bytes of calls and exits. */
export const CALL = BPF_JMP | BPF_CALL;
export const EXIT = BPF_JMP | BPF_EXIT;

export class Path {
  readonly steps: PathStep[] = [];
  /** The lines that say why, the first one first. */
  readonly errors: string[] = [];
  readonly #changes = new Map<Activation, Map<string, Change[]>>();
  readonly #request: VerifyRequest;
  #pending: string | undefined;

  constructor(request: VerifyRequest, log: string) {
    this.#request = request;
    const lines = log.split('\n');
    for (let i = 0; i < lines.length; i++) {
      const line = lines[i]!;
      const insn = INSN_LINE.exec(line);
      if (insn !== null) {
        this.#step(Number(insn[1]), insn[2]);
        if (insn[3] !== undefined) this.#pending = stateOf(insn[3]);
      } else if (STATE_LINE.test(line)) this.#pending = stateOf(line);
      else if (line === 'caller:' || line === 'returning from callee:') i++;
      else if (line === 'callee:' || line.startsWith('to caller at ')) this.#pending = lines[++i];
      else if (line.startsWith('cur state:')) this.#pending = line.slice('cur state:'.length);
      else if (!NOISE.test(line)) this.errors.push(line);
    }
  }

  /** Text of a register (`R3`) or slot (`fp-16`) of an activation before a step; undefined where it holds nothing. */
  before(step: number, activation: Activation, name: string): string | undefined {
    return this.#at(step - 1, activation, name);
  }

  after(step: number, activation: Activation, name: string): string | undefined {
    return this.#at(step, activation, name);
  }

  /** The path came to one more instruction, which was refused before it was looked at. */
  arrive(slot: number): void {
    const lines = [...this.errors];
    this.#step(slot, undefined);
    this.errors.push(...lines);
  }

  #at(step: number, activation: Activation, name: string): string | undefined {
    const list = this.#changes.get(activation)?.get(name);
    if (list === undefined) return undefined;
    let low = 0;
    let high = list.length;
    while (low < high) {
      const mid = (low + high) >> 1;
      if (list[mid]!.step <= step) low = mid + 1;
      else high = mid;
    }
    return list[low - 1]?.text;
  }

  #step(slot: number, state: string | undefined): void {
    this.errors.length = 0;
    const index = this.steps.length;
    const activation = this.#enter(slot, index);
    if (this.#pending !== undefined) this.#note(this.#pending, activation, index - 1);
    this.#pending = undefined;
    this.steps.push({ slot, activation });
    const insn = this.#request.insns[slot];
    if (insn?.code === CALL) this.#clobber(insn, activation, index);
    if (state !== undefined) this.#note(state, activation, index);
  }

  #note(text: string, activation: Activation, step: number): void {
    const at = this.steps[step];
    const insn = at === undefined ? undefined : this.#request.insns[at.slot];
    const branch = insn !== undefined && isConditional(insn);
    for (const [, name, value] of text.matchAll(ASSIGNMENT)) {
      const before = this.#at(step - 1, activation, name!);
      this.#set(activation, name!, step, value!);
      if (branch && before !== undefined && before !== value) this.#spread(activation, step, before, value!);
    }
  }

  #set(activation: Activation, name: string, step: number, text: string | undefined): void {
    let names = this.#changes.get(activation);
    if (names === undefined) {
      names = new Map();
      this.#changes.set(activation, names);
    }
    const list = names.get(name);
    const last = list?.[list.length - 1];
    if (list === undefined) names.set(name, [{ step, text }]);
    else if (last!.text === text) return;
    else if (last!.step === step) list[list.length - 1] = { step, text };
    else list.push({ step, text });
  }

  /** The log shows what an instruction names; what a branch says of one value it says of its copies too. */
  #spread(activation: Activation, step: number, before: string, after: string): void {
    const id = idOf(before);
    const isPacket = before.startsWith('pkt(') && after.startsWith('pkt(');
    if (id === undefined && !isPacket) return;
    const range = /\br=(?:0x[0-9a-f]+|\d+)/.exec(after)?.[0];
    this.#rewrite(activation, step, (text) => {
      if (text === before) return after;
      if (!isPacket || range === undefined || !text.startsWith('pkt(') || idOf(text) !== id) return text;
      return text.replace(/\br=(?:0x[0-9a-f]+|\d+)/, range);
    });
  }

  #rewrite(activation: Activation, step: number, change: (text: string) => string): void {
    for (let at: Activation | undefined = activation; at !== undefined; at = at.parent) {
      for (const [name, list] of this.#changes.get(at) ?? []) {
        const text = list[list.length - 1]!.text;
        if (text === undefined) continue;
        const changed = change(text);
        if (changed !== text) this.#set(at, name, step, changed);
      }
    }
  }

  /** What a call takes away without a word in the log: r1 to r5, packet pointers, what is released. */
  #clobber(insn: Insn, activation: Activation, step: number): void {
    const effect = insn.src === 0 ? helperProtoOf(insn.imm) : undefined;
    if (effect?.changesPacket === true) {
      this.#rewrite(activation, step, (text) => (/^pkt(?:_meta|_end)?\(/.test(text) ? 'scalar()' : text));
    }
    const released = effect?.args.findIndex(({ release }) => release) ?? -1;
    const text = released < 0 ? undefined : this.#at(step - 1, activation, `R${released + 1}`);
    const ref = text === undefined ? undefined : /\bref_obj_id=(\d+)/.exec(text)?.[1];
    if (ref !== undefined) {
      const held = new RegExp(`\\bref_obj_id=${ref}\\b`);
      this.#rewrite(activation, step, (other) => (held.test(other) ? 'scalar()' : other));
    }
    for (let regno = 0; regno <= 5; regno++) this.#set(activation, `R${regno}`, step, undefined);
  }

  #enter(slot: number, index: number): Activation {
    const previous = this.steps[index - 1];
    const entry = { firstStep: index, entrySlot: slot, isCallback: false };
    const root: Activation = { ...entry, depth: 0, parent: undefined, callStep: -1 };
    if (previous === undefined) return root;
    const insn = this.#request.insns[previous.slot];
    const { activation } = previous;
    const depth = this.#pending === undefined ? undefined : depthOf(this.#pending);
    if (insn?.code === EXIT) return activation.parent ?? root;
    if (insn?.code !== CALL) return activation;
    const isCallback = insn.src !== 1;
    const entered = isCallback ? slot !== previous.slot + 1 : slot === functionTarget(insn, previous.slot);
    if (!entered) return activation;
    // A function that runs later, from a timer for one, has a stack of its own.
    if (depth !== undefined && depth <= activation.depth) return root;
    return { ...entry, depth: activation.depth + 1, parent: activation, callStep: index - 1, isCallback };
  }
}

/** What stands behind the slot number. */
const stateOf = (line: string): string => line.slice(line.indexOf(':') + 1);

const idOf = (text: string): string | undefined => /\bid=(\d+)/.exec(text)?.[1];

function depthOf(state: string): number {
  return Number(/^ ?frame(\d+):/.exec(state)?.[1] ?? 0);
}
