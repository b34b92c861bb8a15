/** A pre-decoded instruction before it is written to memory: see `translate.ts`. */

/** `target` of cells that lead nowhere. */
export const NO_TARGET = -1;

export interface Cell {
  op: number;
  dst: number;
  src: number;
  off: number;
  imm: bigint;
  /** Slot of the instruction. */
  slot: number;
  /** For jumps and local calls: index of the target cell. */
  target: number;
}
