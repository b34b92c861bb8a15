/**
 * One instruction slot, as the wire format has it (RFC 9669 section 3): the unit in which every floor
 * counts. `LD_IMM64` takes two slots, the second with `code` 0 and the upper half of the immediate.
 */

/** Byte order of an object or of a raw instruction stream. It also decides which nibble `dst` lies in. */
export type Endian = 'little' | 'big';

/** Size of one slot in bytes. */
export const INSN_SIZE = 8;

export interface Insn {
  /** Opcode byte: class in the low three bits. */
  code: number;
  /** Destination register, 0–15 as encoded (the verifier refuses what is past r10). */
  dst: number;
  /** Source register or pseudo source, 0–15 as encoded. */
  src: number;
  /** Signed 16-bit offset. */
  off: number;
  /** Signed 32-bit immediate. */
  imm: number;
}
