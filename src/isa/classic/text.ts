/**
 * Classic programs as text, in the syntax of the kernel's bpf_asm: `ldh [12]`, `jeq #0x800, L1, L2`,
 * `ldxb 4*([14]&0xf)`. Any instruction that a checked filter can hold has a text.
 */
import { ancillaryOf } from './ancillary.js';
import type { SockFilter } from './insn.js';
import { type ClassicRow, findClassic } from './opcodes.js';

/** Names a jump's target; default `L` and the instruction's index. */
export type LabelName = (pc: number) => string;

/**
 * Text of the instruction at `pc`, without its label. Opcodes that Linux does not know print as
 * numbers: `.insn 0x0e, 0, 0, 0x1`.
 */
export function classicText(insn: SockFilter, pc: number, label: LabelName = (to) => `L${to}`): string {
  const row = findClassic(insn.code);
  if (row === undefined)
    return `.insn 0x${insn.code.toString(16).padStart(2, '0')}, ${insn.jt}, ${insn.jf}, ${hex(insn.k)}`;
  const operand = operandText(insn, pc, row, label);
  return operand === '' ? row.mnemonic : `${row.mnemonic} ${operand}`;
}

/** A whole program, a line an instruction, labels in front of the instructions that jumps lead to. */
export function classicListing(filter: readonly SockFilter[]): string[] {
  const targets = new Set<number>();
  filter.forEach((insn, pc) => {
    const form = findClassic(insn.code)?.form;
    if (form === 'ja') targets.add(pc + 1 + insn.k);
    if (form === 'jump') targets.add(pc + 1 + insn.jt).add(pc + 1 + insn.jf);
  });
  return filter.map((insn, pc) => `${targets.has(pc) ? `L${pc}: ` : ''}${classicText(insn, pc)}`);
}

function operandText({ jt, jf, k }: SockFilter, pc: number, row: ClassicRow, label: LabelName): string {
  switch (row.form) {
    case 'alu':
      return row.operand === 'x' ? 'x' : `#${k}`;
    case 'ret':
      return row.operand === 'a' ? 'a' : `#${k}`;
    case 'neg':
    case 'tax':
    case 'txa':
      return '';
    case 'imm':
      return `#${hex(k)}`;
    case 'len':
      return '#len';
    case 'mem':
    case 'st':
      return `M[${k}]`;
    case 'ld_abs': {
      const name = ancillaryOf(k);
      return name === undefined ? `[${k | 0}]` : `#${name}`;
    }
    case 'ld_ind':
      return `[x + ${k | 0}]`;
    case 'ldx_msh':
      return `4*([${k | 0}]&0xf)`;
    case 'ja':
      return label(pc + 1 + k);
    case 'jump': {
      const right = row.operand === 'x' ? 'x' : `#${hex(k)}`;
      return `${right}, ${label(pc + 1 + jt)}, ${label(pc + 1 + jf)}`;
    }
  }
}

function hex(value: number): string {
  return `0x${value.toString(16)}`;
}
