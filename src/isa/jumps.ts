/**
 * Where jumps and local calls lead, from the opcode table's `jump` rules alone.
 */
import type { Insn } from './insn.js';
import { findOpcode } from './opcodes.js';

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
