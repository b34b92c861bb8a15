/**
 * What one instruction does to one register or stack slot, for walking a path backwards: whether it defines it, out of
 * what, and how to say so. Only the register conventions are needed, no values beyond what the log shows.
 */
import * as C from '../../isa/constants.js';
import type { Insn } from '../../isa/insn.js';
import { helperName } from './names.js';
import { reg, stackSlot, type ValuePlace } from './place.js';
import { describeValue, parseValue } from './value.js';

/** An instruction that defines the place; `sources` are what it was made of. */
export interface Definition {
  readonly sources: readonly ValuePlace[];
  readonly note: string;
  readonly kind: 'define' | 'call';
}

/** Texts of registers before the instruction. */
export type RegText = (regno: number) => string | undefined;

const SIZES: Readonly<Record<number, number>> = { [C.BPF_B]: 1, [C.BPF_H]: 2, [C.BPF_W]: 4, [C.BPF_DW]: 8 };
const OPERATIONS: Readonly<Record<number, string>> = {
  [C.BPF_ADD]: 'adds',
  [C.BPF_SUB]: 'subtracts',
  [C.BPF_MUL]: 'multiplies by',
  [C.BPF_DIV]: 'divides by',
  [C.BPF_MOD]: 'takes the remainder by',
  [C.BPF_OR]: 'sets bits of',
  [C.BPF_AND]: 'masks with',
  [C.BPF_XOR]: 'flips bits of',
  [C.BPF_LSH]: 'shifts left by',
  [C.BPF_RSH]: 'shifts right by',
  [C.BPF_ARSH]: 'shifts right, with sign, by',
};

export const accessSize = (insn: Insn): number => SIZES[C.bpfSize(insn.code)] ?? 8;

/** Offset from its frame pointer that a register points to, and the frame where the log names one. */
function stackTarget(text: string | undefined): { off: number; frame: number | undefined } | undefined {
  if (text === undefined) return undefined;
  const value = parseValue(text);
  if (value.type !== 'fp' || value.constant === undefined) return undefined;
  const frame = /^fp\[(\d+)\]/.exec(text)?.[1];
  return { off: Number(value.constant), frame: frame === undefined ? undefined : Number(frame) };
}

function aluDefinition(insn: Insn, regText: RegText): Definition {
  const isX = C.bpfSrc(insn.code) === C.BPF_X;
  const op = C.bpfOp(insn.code);
  const is32 = C.bpfClass(insn.code) === C.BPF_ALU;
  const width = is32 ? ', 32 bits wide' : '';
  if (op === C.BPF_MOV) {
    if (!isX) return { sources: [], note: `sets a constant${width}`, kind: 'define' };
    return { sources: [reg(insn.src)], note: `copies r${insn.src}${width}`, kind: 'define' };
  }
  const itself = reg(insn.dst);
  const name = OPERATIONS[op];
  if (name === undefined) {
    return { sources: [itself], note: op === C.BPF_NEG ? 'negates it' : 'swaps its bytes', kind: 'define' };
  }
  if (!isX) return { sources: [itself], note: `${name} ${insn.imm}${width}`, kind: 'define' };
  const operand = `r${insn.src}, ${describeValue(regText(insn.src))}`;
  return { sources: [itself, reg(insn.src)], note: `${name} ${operand}${width}`, kind: 'define' };
}

function loadDefinition(insn: Insn, regText: RegText): Definition {
  const base = regText(insn.src);
  const target = stackTarget(base);
  if (target !== undefined && target.frame === undefined) {
    const at = target.off + insn.off;
    return { sources: [stackSlot(at)], note: `reads it back from the stack at fp${at}`, kind: 'define' };
  }
  const bytes = accessSize(insn);
  const from = `${describeValue(base)}${insn.off === 0 ? '' : ` (${insn.off > 0 ? '+' : ''}${insn.off})`}`;
  return {
    sources: [],
    note: `loads ${bytes} byte${bytes === 1 ? '' : 's'} through r${insn.src}, ${from}`,
    kind: 'define',
  };
}

function callDefinition(insn: Insn, regno: number): Definition | undefined {
  const name =
    insn.src === 0 ? helperName(insn.imm) : insn.src === 1 ? 'the function' : 'the kernel function';
  if (regno === 0) return { sources: [], note: `is what ${name} returned`, kind: 'call' };
  if (regno <= 5) return { sources: [], note: `is lost: calls do not preserve r1 to r5`, kind: 'call' };
  return undefined;
}

function atomicDefinition(insn: Insn, regno: number, regText: RegText): Definition | undefined {
  if (insn.imm === C.BPF_LOAD_ACQ) return regno === insn.dst ? loadDefinition(insn, regText) : undefined;
  if ((insn.imm & C.BPF_FETCH) === 0) return undefined;
  const written = insn.imm === C.BPF_CMPXCHG ? 0 : insn.src;
  return regno === written
    ? { sources: [], note: 'is the old value of the memory', kind: 'define' }
    : undefined;
}

/** How the instruction defines a register; undefined where it leaves it alone. */
export function registerDefinition(insn: Insn, regno: number, regText: RegText): Definition | undefined {
  switch (C.bpfClass(insn.code)) {
    case C.BPF_ALU:
    case C.BPF_ALU64:
      return insn.dst === regno ? aluDefinition(insn, regText) : undefined;
    case C.BPF_LDX:
      return insn.dst === regno ? loadDefinition(insn, regText) : undefined;
    case C.BPF_LD:
      if (C.bpfMode(insn.code) !== C.BPF_IMM) {
        if (regno === 0) return { sources: [], note: 'loads from the packet', kind: 'define' };
        return regno <= 5
          ? { sources: [], note: 'is lost: packet loads do not preserve r1 to r5', kind: 'call' }
          : undefined;
      }
      return insn.dst === regno
        ? { sources: [], note: 'loads an address or constant', kind: 'define' }
        : undefined;
    case C.BPF_STX:
      return C.bpfMode(insn.code) === C.BPF_ATOMIC ? atomicDefinition(insn, regno, regText) : undefined;
    case C.BPF_JMP:
      return C.bpfOp(insn.code) === C.BPF_CALL && insn.code === (C.BPF_JMP | C.BPF_CALL)
        ? callDefinition(insn, regno)
        : undefined;
    default:
      return undefined;
  }
}

/** A store that covers part of the eight stack bytes at `off` of frame `depth`; `own` is the frame the instruction runs in. */
export function stackDefinition(
  insn: Insn,
  off: number,
  depth: number,
  own: number,
  regText: RegText,
): Definition | undefined {
  const cls = C.bpfClass(insn.code);
  if (cls !== C.BPF_ST && cls !== C.BPF_STX) return undefined;
  const target = stackTarget(regText(insn.dst));
  if (target === undefined || (target.frame ?? own) !== depth) return undefined;
  const at = target.off + insn.off;
  const size = accessSize(insn);
  if (at >= off + 8 || at + size <= off) return undefined;
  const where = `writes ${size} byte${size === 1 ? '' : 's'} of the stack at fp${at}`;
  if (cls === C.BPF_ST) return { sources: [], note: `${where}: ${insn.imm}`, kind: 'define' };
  return { sources: [reg(insn.src)], note: `${where}: r${insn.src}`, kind: 'define' };
}

/** The instruction is a conditional jump. */
export function isConditional(insn: Insn): boolean {
  const cls = C.bpfClass(insn.code);
  if (cls !== C.BPF_JMP && cls !== C.BPF_JMP32) return false;
  const op = C.bpfOp(insn.code);
  return op !== C.BPF_JA && op !== C.BPF_CALL && op !== C.BPF_EXIT;
}

/** Registers that a conditional jump compares. */
export function tested(insn: Insn): number[] {
  return C.bpfSrc(insn.code) === C.BPF_X ? [insn.dst, insn.src] : [insn.dst];
}
