/**
 * What programs as a whole need to know of their instructions: where jumps, local calls and function
 * pointers lead, and which processor version they are for. From the opcode table alone.
 */

import { insnSlots } from './decode.js';
import type { Insn } from './insn.js';
import { type CpuVersion, findOpcode } from './opcodes.js';

/**
 * Displacement of a jump or local call in slots from the next instruction, or undefined for what has
 * no fixed target.
 */
export function jumpDisplacement(insn: Insn): number | undefined {
  const row = findOpcode(insn);
  if (row === undefined) return undefined;
  if (row.off === 'jump') return insn.off;
  return row.imm === 'jump' ? insn.imm : undefined;
}

/**
 * Slot that the jump or local call at slot `i` leads to, or undefined for what has no fixed target.
 * The result may lie outside the program: the caller checks it.
 */
export function jumpTarget(insn: Insn, i: number): number | undefined {
  const displacement = jumpDisplacement(insn);
  return displacement === undefined ? undefined : i + 1 + displacement;
}

/**
 * Slot of the function that a local call calls, or that a `LD_IMM64` takes the address of; undefined for
 * all else. The result may lie outside the program.
 */
export function functionTarget(insn: Insn, i: number): number | undefined {
  const row = findOpcode(insn);
  const names =
    (row?.form === 'call' && row.kind === 'local') || (row?.form === 'ld_imm64' && row.kind === 'func');
  return names ? i + 1 + insn.imm : undefined;
}

/** The lowest `-mcpu` version that has every instruction of the program; slots that are none do not count. */
export function cpuVersionOf(insns: readonly Insn[]): CpuVersion {
  let version: CpuVersion = 1;
  for (let i = 0; i < insns.length; i += insnSlots(insns[i]!)) {
    const needs = findOpcode(insns[i]!)?.cpu ?? 1;
    if (needs > version) version = needs;
  }
  return version;
}
