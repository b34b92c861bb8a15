/**
 * Objects that live on the program's stack and that only the kernel may look into: dynptrs, iterators, interrupt flags.
 * Where one is (`stack_slot_obj_get_spi` of Linux 6.18, kernel/bpf/verifier.c); what they are is said beside each.
 */
import type { Verifier } from './context.js';
import { markNotInit, Reg } from './reg.js';
import { constNumber, isConst } from './scalar/index.js';
import { type FuncState, REG_SIZE, type StackSlot } from './state.js';

/** The pointer cannot point to such an object; the log says why. */
export const NO_SLOT = -1;
/** Below what the frame has of stack so far. */
export const SLOT_OUT_OF_RANGE = -2;

/** Index of the object's first slot (the one at the lowest address), or one of the two above. */
export function objectSlot(v: Verifier, reg: Reg, kind: string, slots: number): number {
  if (!isConst(reg)) {
    v.error(`${kind} has to be at a constant offset`);
    return NO_SLOT;
  }
  const off = reg.off + constNumber(reg);
  const spi = Math.trunc((-off - 1) / REG_SIZE);
  if (off % REG_SIZE !== 0 || spi + 1 < slots) {
    v.error(`cannot pass in ${kind} at an offset=${off}`);
    return NO_SLOT;
  }
  return spi - slots + 1 >= 0 && spi < v.frameOf(reg).slotCount ? spi : SLOT_OUT_OF_RANGE;
}

/** The slot's register, made where there is none yet. */
export function slotReg(slot: StackSlot): Reg {
  slot.reg ??= new Reg();
  return slot.reg;
}

/** The slot holds nothing any more. */
export function emptySlot(slot: StackSlot): void {
  slot.types = 0;
  if (slot.reg !== null) markNotInit(slot.reg);
}

/** Slots `first` down to `first - count + 1` of a frame: an object's, from its lowest address up. */
export function slotsOf(frame: FuncState, first: number, count: number): StackSlot[] {
  return Array.from({ length: count }, (_, i) => frame.slot(first - i));
}
