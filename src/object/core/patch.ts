/**
 * Writes a relocation's result into its instruction, as libbpf's `bpf_core_patch_insn` does: arithmetic
 * immediates, 64-bit immediates, offsets and sizes of loads and stores; or poison.
 */

import {
  BPF_ALU,
  BPF_ALU64,
  BPF_B,
  BPF_CALL,
  BPF_DW,
  BPF_H,
  BPF_JMP,
  BPF_LD,
  BPF_LDX,
  BPF_ST,
  BPF_STX,
  BPF_W,
  BPF_X,
  bpfClass,
  bpfSize,
  LD_IMM64,
} from '../../isa/constants.js';
import type { Insn } from '../../isa/insn.js';
import { fromHalves, toHalves } from '../../isa/int64.js';
import { CoreError } from './error.js';

/** "bad relo" (0xbad2310): the helper number that no kernel has, by which a poisoned instruction is known. */
export const POISON_HELPER = 195896080;

export interface CorePatch {
  /** Unsigned 64-bit. */
  readonly oldValue: bigint;
  readonly newValue: bigint;
  /** The instruction must hold `oldValue`. */
  readonly validate: boolean;
  /** Bytes moved before and after; equal where the size does not change. */
  readonly oldSize: number;
  readonly newSize: number;
  /** The size would have to change and may not: poisons a load or store. */
  readonly badSize: boolean;
}

const SHORT_MAX = 32767n;

/** Turns the instruction (both slots of a 64-bit load) into a call that the verifier refuses if reached. */
export function poison(insns: readonly Insn[], index: number): void {
  const slots = insns[index]?.code === LD_IMM64 ? 2 : 1;
  for (const insn of insns.slice(index, index + slots)) {
    insn.code = BPF_JMP | BPF_CALL;
    insn.dst = 0;
    insn.src = 0;
    insn.off = 0;
    insn.imm = POISON_HELPER;
  }
}

/** Patches `insns[index]`; returns false where the instruction had to be poisoned instead. */
export function patchInsn(insns: readonly Insn[], index: number, patch: CorePatch): boolean {
  const insn = insns[index];
  if (insn === undefined) throw new CoreError('CORE_UNEXPECTED_INSN', 'there is no such instruction');
  switch (bpfClass(insn.code)) {
    case BPF_ALU:
    case BPF_ALU64:
      if ((insn.code & BPF_X) !== 0) throw unexpected(insn, 'arithmetic without an immediate');
      check(patch, BigInt(insn.imm), 'immediate');
      insn.imm = Number(BigInt.asIntN(32, patch.newValue));
      return true;
    case BPF_LDX:
    case BPF_ST:
    case BPF_STX:
      return patchAccess(insns, index, insn, patch);
    case BPF_LD:
      patchImm64(insn, insns[index + 1], patch);
      return true;
    default:
      throw unexpected(insn, 'neither arithmetic nor a load or store');
  }
}

function patchAccess(insns: readonly Insn[], index: number, insn: Insn, patch: CorePatch): boolean {
  check(patch, BigInt(insn.off), 'offset');
  if (patch.newValue > SHORT_MAX) {
    throw new CoreError('CORE_RANGE', `new offset ${patch.newValue} does not fit 16 bits`);
  }
  if (patch.badSize) {
    poison(insns, index);
    return false;
  }
  insn.off = Number(patch.newValue);
  if (patch.newSize === patch.oldSize) return true;
  const bytes = SIZE_BYTES[bpfSize(insn.code)];
  if (bytes !== patch.oldSize) {
    throw unexpected(insn, `accesses ${bytes} bytes where the field has ${patch.oldSize}`);
  }
  const size = SIZE_CODES[patch.newSize];
  if (size === undefined) throw new CoreError('CORE_RANGE', `no load or store moves ${patch.newSize} bytes`);
  insn.code = (insn.code & ~0x18) | size;
  return true;
}

const SIZE_BYTES: Readonly<Record<number, number>> = { [BPF_B]: 1, [BPF_H]: 2, [BPF_W]: 4, [BPF_DW]: 8 };
const SIZE_CODES: Readonly<Record<number, number>> = { 1: BPF_B, 2: BPF_H, 4: BPF_W, 8: BPF_DW };

function patchImm64(insn: Insn, second: Insn | undefined, patch: CorePatch): void {
  const plain = insn.code === LD_IMM64 && insn.src === 0 && insn.off === 0;
  if (!plain || second === undefined || second.code !== 0 || second.dst !== 0 || second.src !== 0) {
    throw unexpected(insn, 'no plain 64-bit immediate load');
  }
  if (second.off !== 0) throw unexpected(second, 'second half of a load with an offset');
  check(patch, fromHalves(insn.imm, second.imm), 'immediate');
  ({ low: insn.imm, high: second.imm } = toHalves(patch.newValue));
}

function check(patch: CorePatch, found: bigint, what: string): void {
  if (!patch.validate || BigInt.asUintN(64, found) === patch.oldValue) return;
  const expected = `${patch.oldValue} -> ${patch.newValue}`;
  throw new CoreError('CORE_UNEXPECTED_INSN', `the instruction's ${what} is ${found}, expected ${expected}`);
}

function unexpected(insn: Insn, detail: string): CoreError {
  const code = `0x${insn.code.toString(16).padStart(2, '0')}`;
  return new CoreError('CORE_UNEXPECTED_INSN', `instruction ${code}: ${detail}`);
}
