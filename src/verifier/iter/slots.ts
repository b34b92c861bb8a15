/**
 * Open-coded iterators on the stack: as many slots as the kernel's structure has words, the first (at the lowest address)
 * holding the reference. Models `mark_stack_slots_iter` and its like of Linux 6.18 (kernel/bpf/verifier.c).
 */
import type { Btf } from '../../object/btf/btf.js';
import type { BtfTypeId } from '../../object/btf/types.js';
import { inRcuSection } from '../btf/trust.js';
import type { Verifier } from '../context.js';
import { ERRNO } from '../errno.js';
import { acquireRef, releaseRef } from '../refs.js';
import { markKnownZero, type Reg } from '../reg.js';
import { MEM_RCU, PTR_TO_STACK, PTR_UNTRUSTED } from '../reg-type.js';
import { emptySlot, NO_SLOT, objectSlot, SLOT_OUT_OF_RANGE, slotReg, slotsOf } from '../stack-object.js';
import { ALL_ITER, SLOT_ITER, type VerifierState } from '../state.js';

/** `enum bpf_iter_state`. */
export const ITER_ACTIVE = 1;
export const ITER_DRAINED = 2;

const DEPTH_SHIFT = 2;

/** What is left of it: `ITER_ACTIVE`, or `ITER_DRAINED`. */
export const iterState = (reg: Reg): number => reg.extra2 & 3;
/** Times that it went round on this path. */
export const iterDepth = (reg: Reg): number => reg.extra2 >>> DEPTH_SHIFT;

export function setIterState(reg: Reg, state: number, depth: number): void {
  reg.extra2 = state | (depth << DEPTH_SHIFT);
}

const PREFIX = 'bpf_iter_';

/** `num` of `struct bpf_iter_num`. */
export function iterText(btf: Btf, id: BtfTypeId): string {
  return btf.nameOf(id).slice(PREFIX.length);
}

export const iterSlot = (v: Verifier, reg: Reg, slots: number): number => objectSlot(v, reg, 'iter', slots);

/** A new iterator where `reg` points; `rcuProtected`: what it walks is there as long as the RCU section lasts. */
export function placeIter(
  v: Verifier,
  reg: Reg,
  btf: Btf,
  id: BtfTypeId,
  slots: number,
  rcuProtected: boolean,
): void {
  const frame = v.frameOf(reg);
  const spi = iterSlot(v, reg, slots);
  if (spi < 0) v.reject(ERRNO.EINVAL);
  const ref = acquireRef(v, v.insnIdx);
  slotsOf(frame, spi, slots).forEach((slot, i) => {
    const held = slotReg(slot);
    markKnownZero(held);
    held.type = PTR_TO_STACK;
    if (rcuProtected) held.type |= inRcuSection(v) ? MEM_RCU : PTR_UNTRUSTED;
    held.refObjId = i === 0 ? ref : 0;
    held.btf = btf;
    held.btfId = id;
    setIterState(held, ITER_ACTIVE, 0);
    slot.types = ALL_ITER;
    v.liveness.markWrite(frame.frameno, spi - i);
    v.markSlotScratched(spi - i);
  });
}

export function removeIter(v: Verifier, reg: Reg, slots: number): void {
  const frame = v.frameOf(reg);
  const spi = iterSlot(v, reg, slots);
  if (spi < 0) v.reject(ERRNO.EINVAL);
  releaseRef(v, frame.slot(spi).reg!.refObjId);
  slotsOf(frame, spi, slots).forEach((slot, i) => {
    emptySlot(slot);
    v.liveness.markWrite(frame.frameno, spi - i);
    v.markSlotScratched(spi - i);
  });
}

/** May a new iterator be placed there? */
export function isFreeForIter(v: Verifier, reg: Reg, slots: number): boolean {
  const spi = iterSlot(v, reg, slots);
  if (spi === SLOT_OUT_OF_RANGE) return true;
  if (spi === NO_SLOT) return false;
  return slotsOf(v.frameOf(reg), spi, slots).every((slot) => {
    for (let byte = 0; byte < 8; byte++) if (slot.typeAt(byte) === SLOT_ITER) return false;
    return true;
  });
}

/** Is there an iterator of this type? `outside`: there is, but its RCU section is over. */
export function findIter(
  v: Verifier,
  reg: Reg,
  btf: Btf,
  id: BtfTypeId,
  slots: number,
): 'there' | 'none' | 'outside' {
  const spi = iterSlot(v, reg, slots);
  if (spi < 0) return 'none';
  const all = slotsOf(v.frameOf(reg), spi, slots);
  for (let i = 0; i < slots; i++) {
    const held = all[i]!.reg;
    if (held === null) return 'none';
    if ((held.type & PTR_UNTRUSTED) !== 0) return 'outside';
    if ((i === 0) !== (held.refObjId !== 0)) return 'none';
    if (held.btf !== btf || held.btfId !== id || all[i]!.types !== ALL_ITER) return 'none';
  }
  return 'there';
}

/** Some active iterator went round more often in one state than in the other (`iter_active_depths_differ`). */
export function iterDepthsDiffer(old: VerifierState, cur: VerifierState): boolean {
  return old.frames.some((frame, i) => {
    for (let spi = 0; spi < frame.slotCount; spi++) {
      const slot = frame.peekSlot(spi)!;
      if (slot.typeAt(0) !== SLOT_ITER || slot.reg === null) continue;
      if (iterState(slot.reg) !== ITER_ACTIVE) continue;
      const other = cur.frames[i]?.peekSlot(spi)?.reg ?? null;
      if (other !== null && iterDepth(other) !== iterDepth(slot.reg)) return true;
    }
    return false;
  });
}
