/**
 * One rejection as the rules see it: the message's captures, the instruction, the registers before it in words.
 */
import { type ProgType, progTypeName } from '../../abi/prog-types.js';
import * as C from '../../isa/constants.js';
import type { Insn } from '../../isa/insn.js';
import type { VerifyRequest, VerifyResult } from '../types.js';
import { isConditional, tested } from './effects.js';
import { helperName, sourceAt, sourceNote } from './names.js';
import type { Path, PathStep } from './path.js';
import { type Place, reg } from './place.js';
import { describeValue, parseValue, type ValueText } from './value.js';

export class Finding {
  readonly request: VerifyRequest;
  readonly result: VerifyResult;
  readonly path: Path;
  readonly #groups: Readonly<Record<string, string | undefined>>;

  constructor(
    request: VerifyRequest,
    result: VerifyResult,
    path: Path,
    groups: Readonly<Record<string, string>>,
  ) {
    this.request = request;
    this.result = result;
    this.path = path;
    this.#groups = groups;
  }

  get programType(): string {
    return progTypeName(this.request.progType as ProgType);
  }

  /** A capture of the rule's pattern; empty where it did not take part. */
  text(name: string): string {
    return this.#groups[name] ?? '';
  }

  number(name: string): number {
    return Number(this.text(name));
  }

  get #last(): PathStep | undefined {
    return this.path.steps[this.path.steps.length - 1];
  }

  /** Slot of the rejected instruction; undefined where no path was simulated. */
  get slot(): number | undefined {
    return this.#last?.slot;
  }

  get insn(): Insn | undefined {
    return this.slot === undefined ? undefined : this.request.insns[this.slot];
  }

  /** Register at fault: named by the message, by a later line, or by the instruction. */
  get regno(): number | undefined {
    const named = this.#groups.reg;
    if (named !== undefined) return Number(named);
    for (const line of [this.result.message, ...this.path.errors]) {
      const match = /\bR(\d+)\b/.exec(line);
      if (match !== null) return Number(match[1]);
    }
    return this.#operands()[0];
  }

  #operands(): number[] {
    const { insn } = this;
    if (insn === undefined) return [];
    switch (C.bpfClass(insn.code)) {
      case C.BPF_LDX:
        return [insn.src];
      case C.BPF_ST:
      case C.BPF_STX:
        return [insn.dst];
      case C.BPF_ALU:
      case C.BPF_ALU64:
        return C.bpfSrc(insn.code) === C.BPF_X ? [insn.dst, insn.src] : [insn.dst];
      case C.BPF_JMP:
      case C.BPF_JMP32:
        if (isConditional(insn)) return tested(insn);
        return C.bpfOp(insn.code) === C.BPF_EXIT ? [0] : [];
      default:
        return [];
    }
  }

  /** `r2`, or `the pointer`. */
  get regName(): string {
    return this.regno === undefined ? 'the pointer' : `r${this.regno}`;
  }

  /** Text of a register before the rejected instruction, as the log spells it. */
  raw(regno: number | undefined = this.regno): string | undefined {
    const last = this.#last;
    if (regno === undefined || last === undefined) return undefined;
    return this.path.before(this.path.steps.length - 1, last.activation, `R${regno}`);
  }

  value(regno: number | undefined = this.regno): ValueText | undefined {
    const text = this.raw(regno);
    return text === undefined ? undefined : parseValue(text);
  }

  /** `r2 is a pointer to …`. */
  is(regno: number | undefined = this.regno): string {
    return regno === undefined ? 'the value is unknown' : `r${regno} is ${describeValue(this.raw(regno))}`;
  }

  /** Name of the helper that is called, where the instruction calls one. */
  get helper(): string {
    const { insn } = this;
    if (insn?.code !== (C.BPF_JMP | C.BPF_CALL)) return '';
    return insn.src === 0 ? helperName(insn.imm) : 'the function';
  }

  /** `the access`, or `bpf_x's access`. */
  get access(): string {
    return this.helper === '' ? 'the access' : `the access by ${this.helper}`;
  }

  /** Register behind a memory argument that the size in the message comes from. */
  #sizeRegister(): number | undefined {
    const { regno } = this;
    const size = /\bsize=(\d+)/.exec(this.result.message)?.[1];
    if (this.helper === '' || regno === undefined || size === undefined) return undefined;
    const value = this.value(regno + 1);
    if (value?.type === 'const') return `${value.constant}` === size ? regno + 1 : undefined;
    return value?.type === 'scalar' && Number(value.attributes.get('umax')) === Number(size)
      ? regno + 1
      : undefined;
  }

  /** ` The size comes from r2, …`, where a size argument set how much is accessed. */
  get sizeNote(): string {
    const size = this.#sizeRegister();
    return size === undefined ? '' : ` The size is in r${size}, ${describeValue(this.raw(size))}.`;
  }

  /** `insn 7 (line 31: …)`. */
  at(slot: number): string {
    return `insn ${slot}${sourceNote(sourceAt(this.request, slot))}`;
  }

  /** Slot of the first instruction of the program that is so; the second slots of `LD_IMM64` are passed over. */
  firstInsn(test: (insn: Insn, slot: number) => boolean): number | undefined {
    const { insns } = this.request;
    for (let i = 0; i < insns.length; i += insns[i]!.code === C.LD_IMM64 ? 2 : 1) {
      if (test(insns[i]!, i)) return i;
    }
    return undefined;
  }

  /** Slot of the last call of one of these helpers on the path. */
  lastCall(ids: readonly number[]): number | undefined {
    return this.path.steps.findLast(({ slot }) => {
      const insn = this.request.insns[slot];
      return insn?.code === (C.BPF_JMP | C.BPF_CALL) && insn.src === 0 && ids.includes(insn.imm);
    })?.slot;
  }

  /** Arguments of the call whose texts begin so. */
  argumentsOf(type: string): number[] {
    return [1, 2, 3, 4, 5].filter((regno) => this.raw(regno)?.startsWith(type));
  }

  /** Conditional jumps of the path that compare with the end of the packet. */
  packetChecks(): readonly number[] {
    const slots = new Set<number>();
    this.path.steps.forEach(({ slot, activation }, i) => {
      const insn = this.request.insns[slot];
      if (insn === undefined || !isConditional(insn)) return;
      const texts = tested(insn).map((regno) => this.path.before(i, activation, `R${regno}`));
      if (texts.some((text) => text?.startsWith('pkt_end'))) slots.add(slot);
    });
    return [...slots];
  }

  /** Registers that the conditional jumps of the last round test, of a path that is back where it was. */
  loopTests(): Place[] {
    const { steps } = this.path;
    const places = new Map<number, Place>();
    for (let i = steps.length - 2; i >= 0; i--) {
      const { slot } = steps[i]!;
      const insn = this.request.insns[slot];
      if (insn !== undefined && isConditional(insn)) {
        for (const regno of tested(insn)) places.set(regno, reg(regno));
      }
      if (slot === this.slot) break;
    }
    return [...places.values()];
  }

  /** What a chain is followed from unless the rule says otherwise. */
  defaultPlaces(): Place[] {
    const { regno } = this;
    const operands = this.#operands();
    const regs = regno === undefined || operands.includes(regno) ? operands : [regno];
    const size = this.#sizeRegister();
    return (size === undefined ? regs : [...regs, size]).map(reg);
  }
}
