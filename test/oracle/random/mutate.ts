/** Small changes to a finished program: the kind of mistake that a verifier is there for. */
import type { Rng } from '../verdicts-rng.js';
import { CALL, EXIT, LD_IMM64, type Slot } from './builder.js';

const cls = (slot: Slot): number => slot.code & 7;
const isJump = (slot: Slot): boolean =>
  (cls(slot) === 5 || cls(slot) === 6) && slot.code !== CALL && slot.code !== EXIT;
const isMemory = (slot: Slot): boolean => cls(slot) >= 1 && cls(slot) <= 3;

/** Whether a jump may lead to this slot: one of the program, and not the second half of a load. */
function isTarget(slots: readonly Slot[], at: number): boolean {
  const slot = slots[at];
  return slot !== undefined && slot.code !== 0;
}

function change(rng: Rng, slots: readonly Slot[], at: number): void {
  const slot = slots[at]!;
  if (slot.code === LD_IMM64 || slot.code === 0 || slot.code === EXIT) return;
  if (isMemory(slot)) {
    const way = rng.range(0, 4);
    if (way < 2) slot.off += rng.pick([1, -1, 2, 4, -4, 8, -8]);
    else if (way === 2) slot.code = (slot.code & ~0x18) | rng.pick([0x00, 0x08, 0x10, 0x18]);
    else if (way === 3) slot.src = rng.range(0, 9);
    else slot.dst = rng.range(0, 10);
    return;
  }
  if (isJump(slot)) {
    const way = rng.range(0, 4);
    const off = slot.off + rng.pick([1, 2, -1, 3]);
    if (way === 0 && isTarget(slots, at + 1 + off)) slot.off = off;
    else if (way === 1 && slot.code !== 0x05)
      slot.code =
        (slot.code & 0x0f) | rng.pick([0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0xa0, 0xb0, 0xc0, 0xd0]);
    else if (way === 2 && slot.code !== 0x05 && slot.code !== 0xe5) slot.code ^= 3;
    else if ((slot.code & 8) === 0 && slot.code !== 0x05 && slot.code !== 0xe5)
      slot.imm += rng.pick([1, -1, 2, 8, 64]);
    else if (slot.code !== 0x05 && slot.code !== 0xe5) slot.dst = rng.range(0, 9);
    return;
  }
  if (slot.code === CALL) {
    if (slot.src === 0 && rng.chance(0.3)) slot.imm = rng.pick([1, 2, 3, 5, 7, 8, 14, 26, 28, 118]);
    return;
  }
  const way = rng.range(0, 4);
  if (way === 0) slot.dst = rng.range(0, 9);
  else if (way === 1 && (slot.code & 8) !== 0) slot.src = rng.range(0, 10);
  else if (way === 2 && (slot.code & 0xf0) < 0x80)
    slot.code = (slot.code & 0x0f) | rng.pick([0x00, 0x10, 0x20, 0x40, 0x50, 0xa0]);
  else if (way === 3 && (slot.code & 0xf0) < 0x80) slot.code ^= 3;
  else if ((slot.code & 8) === 0 && (slot.code & 0xf0) !== 0xd0) slot.imm += rng.pick([1, -1, 4, -4, 8]);
}

/** Changes one to three instructions, or takes one out. */
export function mutate(rng: Rng, slots: Slot[]): void {
  for (let left = rng.pick([1, 1, 2, 3]); left > 0; left--) {
    const at = rng.range(0, slots.length - 2);
    if (rng.chance(0.12)) {
      const slot = slots[at]!;
      // a jump to the next instruction: what was here is missing
      if (slot.code !== LD_IMM64 && slot.code !== 0 && slot.code !== EXIT && slot.src !== 1)
        Object.assign(slot, { code: 0x05, dst: 0, src: 0, off: 0, imm: 0 });
    } else change(rng, slots, at);
  }
}
