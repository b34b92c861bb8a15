/** Copies within engine memory. For a few words a loop is cheaper than a call of `copyWithin`. */
import type { EngineMemory } from '../../vm/index.js';

/** Longest copy that is done word by word, in bytes. */
const SMALL = 64;

/** `size` bytes from offset `from` to offset `to`; the ranges do not overlap. */
export function copyBytes(memory: EngineMemory, to: number, from: number, size: number): void {
  if (size > SMALL || ((to | from) & 3) !== 0) {
    memory.u8.copyWithin(to, from, from + size);
    return;
  }
  const { i32, u8 } = memory;
  const words = size >> 2;
  for (let i = 0, t = to >> 2, f = from >> 2; i < words; i++) i32[t + i] = i32[f + i]!;
  for (let i = words << 2; i < size; i++) u8[to + i] = u8[from + i]!;
}
