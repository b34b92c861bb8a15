/**
 * The path that ended in a rejection, read back from the verifier's own log at level 1: that log is cut back whenever
 * a path turns out fine, so what is left at the end is one path from the entry, each instruction with the registers and stack
 * slots that it changed. Calls are followed so that every step knows the activation of the function it ran in.
 */
import { functionTarget } from '../../isa/jumps.js';
import type { VerifyRequest } from '../types.js';

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
  readonly text: string;
}

const INSN_LINE = /^(\d+): \([0-9a-f]{2}\) ([^;]*)(?:;(.*))?$/;
const STATE_LINE = /^\d+: (?:frame\d+: )?(?:R\d|fp-)/;
const ASSIGNMENT = /\b(R\d+|fp-\d+)=((?:[^ (]|\((?:[^()]|\([^()]*\))*\))*)/g;
/** What a log holds besides reasons. */
const NOISE =
  /^(?:; |\s*$|from \d+ to|Func#|Validating |caller:|callee:|returning from|to caller at|stack depth|processed |mark_precise|old state:|cur state:| ?(?:frame\d+:)? ?R\d+=| fp-|REG INVARIANTS)/;

const BPF_CALL = 0x85;
const BPF_EXIT = 0x95;

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
      if (insn !== null) this.#step(Number(insn[1]), insn[3]);
      else if (STATE_LINE.test(line)) this.#pending = line.slice(line.indexOf(':') + 1);
      else if (line === 'caller:' || line === 'returning from callee:') i++;
      else if (line === 'callee:' || line.startsWith('to caller at ')) this.#pending = lines[++i];
      else if (line === 'old state:' || line === 'cur state:') i++;
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
    if (state !== undefined) this.#note(state, activation, index);
  }

  #note(text: string, activation: Activation, step: number): void {
    let names = this.#changes.get(activation);
    if (names === undefined) {
      names = new Map();
      this.#changes.set(activation, names);
    }
    for (const [, name, value] of text.matchAll(ASSIGNMENT)) {
      const list = names.get(name!);
      if (list === undefined) names.set(name!, [{ step, text: value! }]);
      else if (list[list.length - 1]!.text !== value) list.push({ step, text: value! });
    }
  }

  #enter(slot: number, index: number): Activation {
    const previous = this.steps[index - 1];
    const entry = { firstStep: index, entrySlot: slot, isCallback: false };
    const root: Activation = { ...entry, depth: 0, parent: undefined, callStep: -1 };
    if (previous === undefined) return root;
    const insn = this.#request.insns[previous.slot];
    const { activation } = previous;
    const depth = this.#pending === undefined ? undefined : depthOf(this.#pending);
    if (insn?.code === BPF_EXIT) return activation.parent ?? root;
    if (insn?.code !== BPF_CALL) return activation;
    const isCallback = insn.src !== 1;
    const entered = isCallback ? slot !== previous.slot + 1 : slot === functionTarget(insn, previous.slot);
    if (!entered) return activation;
    // A function that runs later, from a timer for one, has a stack of its own.
    if (depth !== undefined && depth <= activation.depth) return root;
    return { ...entry, depth: activation.depth + 1, parent: activation, callStep: index - 1, isCallback };
  }
}

function depthOf(state: string): number {
  return Number(/^ ?frame(\d+):/.exec(state)?.[1] ?? 0);
}
