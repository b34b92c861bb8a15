/**
 * A program in the engine: its cells in memory, and the way back from a cell to the instruction slot.
 */
import { CELL, TEXT_LOW } from './core/layout.js';
import type { HelperResolver } from './helpers.js';
import type { LoadedProgram } from './types.js';

/** Function addresses look like Linux's module text; the low half less this is the function's cell. */
const TEXT_BASE = 0xffffffffc0000000n;

/** Address that `BPF_PSEUDO_FUNC` gives for the function at memory offset `cell`. */
export function functionAddress(cell: number): bigint {
  return TEXT_BASE + BigInt(cell);
}

/** Memory offset of the cell that a function address names, or −1. */
export function cellOfFunction(address: bigint): number {
  return BigInt.asUintN(64, address) >> 25n === TEXT_BASE >> 25n
    ? Number(address & 0xffffffffn) - TEXT_LOW
    : -1;
}

/** The same for an address in two 32-bit halves, without bigints. */
export function cellOfHalves(low: number, high: number): number {
  const cell = (low >>> 0) - TEXT_LOW;
  return high === -1 && cell >= 0 && cell < 1 << 25 ? cell : -1;
}

export class Program implements LoadedProgram {
  /** False once unloaded. */
  loaded = true;

  constructor(
    readonly name: string,
    /** Memory offset of the first cell. */
    readonly start: number,
    /** Slot of every cell, and one past the last for the end marker. */
    readonly slots: Int32Array,
    /** Slots where functions start: targets of local calls and `BPF_PSEUDO_FUNC`; ascending, with 0. */
    readonly functions: readonly number[],
    readonly checked: boolean,
    readonly exactFuel: boolean,
    readonly helpers: HelperResolver | undefined,
  ) {}

  /** Memory offset one past the last cell. */
  get end(): number {
    return this.start + this.slots.length * CELL;
  }

  /** Instruction slot of the cell at a memory offset. */
  slotOf(cell: number): number {
    return this.slots[(cell - this.start) / CELL] ?? -1;
  }

  /** Memory offset of the cell of a slot, or −1 where no instruction starts. */
  cellOf(slot: number): number {
    let low = 0;
    let high = this.slots.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.slots[middle]! < slot) low = middle + 1;
      else high = middle;
    }
    return this.slots[low] === slot ? this.start + low * CELL : -1;
  }

  /** Address of the function that starts at `slot`: what a callback argument holds. */
  functionAddress(slot: number): bigint {
    return functionAddress(this.cellOf(slot));
  }
}
