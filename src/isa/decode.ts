/**
 * Wire format to `Insn[]` and back-references into it (RFC 9669 section 3). Only the format is looked
 * at here: opcodes and reserved fields are `check.ts`'s. In big-endian streams `off` and `imm` are
 * big-endian and `dst` is the high nibble of the register byte.
 */

import { LD_IMM64 } from './constants.js';
import { IsaDecodeError } from './errors.js';
import { type Endian, INSN_SIZE, type Insn } from './insn.js';
import { fromHalves } from './int64.js';

/**
 * Decode a whole instruction stream, one `Insn` a slot.
 * @throws IsaDecodeError `ISA_TRUNCATED` when the length is no multiple of 8 bytes.
 */
export function decodeInsns(bytes: Uint8Array, endian: Endian = 'little'): Insn[] {
  if (bytes.length % INSN_SIZE !== 0) {
    const whole = Math.floor(bytes.length / INSN_SIZE);
    const rest = bytes.length % INSN_SIZE;
    throw new IsaDecodeError(
      'ISA_TRUNCATED',
      `${bytes.length} bytes are no whole number of ${INSN_SIZE}-byte instructions: the last has only ${rest}`,
      { insn: whole },
    );
  }
  const little = endian === 'little';
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const insns: Insn[] = new Array(bytes.length / INSN_SIZE);
  for (let i = 0, at = 0; i < insns.length; i++, at += INSN_SIZE) {
    const regs = view.getUint8(at + 1);
    insns[i] = {
      code: view.getUint8(at),
      dst: little ? regs & 0x0f : regs >> 4,
      src: little ? regs >> 4 : regs & 0x0f,
      off: view.getInt16(at + 2, little),
      imm: view.getInt32(at + 4, little),
    };
  }
  return insns;
}

/** Number of slots an instruction takes: 2 for `LD_IMM64`, else 1. */
export function insnSlots(insn: Insn): 1 | 2 {
  return insn.code === LD_IMM64 ? 2 : 1;
}

/**
 * The 64-bit immediate of the `LD_IMM64` at slot `i`, as an unsigned value.
 * @throws IsaDecodeError `ISA_NOT_LD_IMM64` or `ISA_TRUNCATED` when there is none or its second slot is missing.
 */
export function imm64(insns: readonly Insn[], i: number): bigint {
  const first = insns[i];
  const second = insns[i + 1];
  if (first === undefined || first.code !== LD_IMM64) {
    throw new IsaDecodeError('ISA_NOT_LD_IMM64', 'not a 64-bit immediate load', { insn: i });
  }
  if (second === undefined) {
    throw new IsaDecodeError('ISA_TRUNCATED', '64-bit immediate load without its second slot', { insn: i });
  }
  return fromHalves(first.imm, second.imm);
}

/**
 * Which slots begin an instruction: false for the second slot of a `LD_IMM64`. Length is that of `insns`.
 * A `LD_IMM64` in the last slot is a start without a second half; `check.ts` refuses it.
 */
export function insnStarts(insns: readonly Insn[]): boolean[] {
  const starts: boolean[] = new Array(insns.length).fill(true);
  for (let i = 0; i + 1 < insns.length; i++) {
    if (insns[i]!.code !== LD_IMM64) continue;
    starts[i + 1] = false;
    i++;
  }
  return starts;
}
