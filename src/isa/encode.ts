/**
 * `Insn[]` to wire format (RFC 9669 section 3), and constructors for instructions that code generators
 * (classic conversion, tests) build. Field values are range-checked; opcodes are not: any slot that
 * decodes also encodes.
 */

import { LD_IMM64 } from './constants.js';
import { IsaEncodeError } from './errors.js';
import { type Endian, INSN_SIZE, type Insn } from './insn.js';
import { toHalves } from './int64.js';
import { type OpcodeRow, rowByName } from './opcodes.js';

const LIMITS: readonly (readonly [keyof Insn, number, number])[] = [
  ['code', 0, 0xff],
  ['dst', 0, 0x0f],
  ['src', 0, 0x0f],
  ['off', -0x8000, 0x7fff],
  ['imm', -0x80000000, 0x7fffffff],
];

/**
 * Encode a whole instruction stream: 8 bytes a slot.
 * @throws IsaEncodeError `ISA_FIELD_RANGE` when a field is no integer of its width.
 */
export function encodeInsns(insns: readonly Insn[], endian: Endian = 'little'): Uint8Array {
  const little = endian === 'little';
  const bytes = new Uint8Array(insns.length * INSN_SIZE);
  const view = new DataView(bytes.buffer);
  for (let i = 0, at = 0; i < insns.length; i++, at += INSN_SIZE) {
    const insn = insns[i]!;
    checkFields(insn, i);
    view.setUint8(at, insn.code);
    view.setUint8(at + 1, little ? (insn.src << 4) | insn.dst : (insn.dst << 4) | insn.src);
    view.setInt16(at + 2, insn.off, little);
    view.setInt32(at + 4, insn.imm, little);
  }
  return bytes;
}

function checkFields(insn: Insn, i: number): void {
  for (const [field, min, max] of LIMITS) {
    const value = insn[field];
    if (Number.isInteger(value) && value >= min && value <= max) continue;
    const problem = `${field} ${value} does not fit the instruction: it must be an integer from ${min} to ${max}`;
    throw new IsaEncodeError('ISA_FIELD_RANGE', problem, { insn: i });
  }
}

/** The two slots of a 64-bit immediate load. `value` is taken modulo 2^64; `src` is a `BPF_PSEUDO_*`. */
export function ldImm64(dst: number, value: bigint, src = 0): [Insn, Insn] {
  const { low, high } = toHalves(value);
  return [
    { code: LD_IMM64, dst, src, off: 0, imm: low },
    { code: 0, dst: 0, src: 0, off: 0, imm: high },
  ];
}

/** Operands of an instruction to be built; what the row fixes may be left out, the rest defaults to 0. */
export type Operands = Partial<Pick<Insn, 'dst' | 'src' | 'off' | 'imm'>>;

/**
 * One slot of the instruction `row` (a row of the opcode table or its name) with these operands; fields
 * that the row fixes get their value.
 * @throws IsaEncodeError `ISA_UNKNOWN_NAME` for a name that the table does not have.
 */
export function makeInsn(row: OpcodeRow | string, operands: Operands = {}): Insn {
  const known = typeof row === 'string' ? rowByName(row) : row;
  if (known === undefined)
    throw new IsaEncodeError('ISA_UNKNOWN_NAME', `no instruction is named ${String(row)}`);
  const { dst, src, off, imm } = known;
  return {
    code: known.code,
    dst: typeof dst === 'number' ? dst : (operands.dst ?? 0),
    src: typeof src === 'number' ? src : (operands.src ?? 0),
    off: typeof off === 'number' ? off : (operands.off ?? 0),
    imm: typeof imm === 'number' ? imm : (operands.imm ?? 0),
  };
}
