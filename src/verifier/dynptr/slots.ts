/**
 * Dynptrs on the stack: two slots each, the first (at the lower address) with what is known of it. How they come, go, and
 * take the memory slices made from them along. Models `mark_stack_slots_dynptr` and its like of Linux 6.18
 * (kernel/bpf/verifier.c).
 */
import type { Verifier } from '../context.js';
import { ERRNO } from '../errno.js';
import { markInvalid } from '../privilege.js';
import { acquireRef, releaseRef } from '../refs.js';
import { markKnownZero, type Reg } from '../reg.js';
import {
  CONST_PTR_TO_DYNPTR,
  DYNPTR_TYPE_LOCAL,
  DYNPTR_TYPE_RINGBUF,
  DYNPTR_TYPE_SKB,
  DYNPTR_TYPE_SKB_META,
  DYNPTR_TYPE_XDP,
  PTR_MAYBE_NULL,
  PTR_TO_MEM,
} from '../reg-type.js';
import { emptySlot, objectSlot, slotReg } from '../stack-object.js';
import { ALL_DYNPTR, type FuncState, forEachReg, SLOT_DYNPTR } from '../state.js';

export const DYNPTR_SLOTS = 2;

/** `enum bpf_dynptr_type`; 0 is none. */
export const DYNPTR_LOCAL = 1;
export const DYNPTR_RINGBUF = 2;
export const DYNPTR_SKB = 3;
export const DYNPTR_XDP = 4;
export const DYNPTR_SKB_META = 5;

const NAMES = ['<invalid>', 'local', 'ringbuf', 'skb', 'xdp', 'skb_meta'] as const;
const TYPE_FLAGS = [
  0,
  DYNPTR_TYPE_LOCAL,
  DYNPTR_TYPE_RINGBUF,
  DYNPTR_TYPE_SKB,
  DYNPTR_TYPE_XDP,
  DYNPTR_TYPE_SKB_META,
] as const;

export function dynptrText(type: number): string {
  return NAMES[type] ?? '<unknown>';
}

/** The flag that slices of such a dynptr bear (`get_dynptr_type_flag`). */
export function dynptrFlag(type: number): number {
  return TYPE_FLAGS[type] ?? 0;
}

/** Has to be given back. */
function isRefcountedDynptr(type: number): boolean {
  return type === DYNPTR_RINGBUF;
}

/** Writing through it may move packet data. */
export function isPacketDynptr(type: number): boolean {
  return type === DYNPTR_SKB || type === DYNPTR_SKB_META;
}

/** The register, or the register of a slot, stands for a dynptr (`__mark_dynptr_reg`). */
export function markDynptrReg(reg: Reg, type: number, first: boolean, id: number): void {
  markKnownZero(reg);
  reg.type = CONST_PTR_TO_DYNPTR;
  reg.id = id;
  reg.extra = type;
  reg.extra2 = first ? 1 : 0;
}

export const dynptrSlot = (v: Verifier, reg: Reg): number => objectSlot(v, reg, 'dynptr', DYNPTR_SLOTS);

const isDynptrSlot = (frame: FuncState, spi: number): boolean =>
  frame.peekSlot(spi)?.typeAt(0) === SLOT_DYNPTR;

function noteWrite(v: Verifier, frame: FuncState, spi: number): void {
  v.liveness.markWrite(frame.frameno, spi);
  v.liveness.markWrite(frame.frameno, spi - 1);
}

function forget(v: Verifier, frame: FuncState, spi: number): void {
  emptySlot(frame.slot(spi));
  emptySlot(frame.slot(spi - 1));
  noteWrite(v, frame, spi);
}

/** A dynptr comes to lie where `reg` points. `cloneRef`: it shares the reference of the one it is cloned from. */
export function placeDynptr(v: Verifier, reg: Reg, type: number, insnIdx: number, cloneRef: number): void {
  const frame = v.frameOf(reg);
  const spi = dynptrSlot(v, reg);
  if (spi < 0) v.reject(ERRNO.EINVAL);
  destroyDynptrAt(v, frame, spi);
  destroyDynptrAt(v, frame, spi - 1);
  const first = frame.slot(spi);
  const second = frame.slot(spi - 1);
  first.types = ALL_DYNPTR;
  second.types = ALL_DYNPTR;
  if (type === 0) v.reject(ERRNO.EINVAL);
  const id = v.newId();
  markDynptrReg(slotReg(first), type, true, id);
  markDynptrReg(slotReg(second), type, false, id);
  if (isRefcountedDynptr(type)) {
    const ref = cloneRef !== 0 ? cloneRef : acquireRef(v, insnIdx);
    first.reg!.refObjId = ref;
    second.reg!.refObjId = ref;
  }
  noteWrite(v, frame, spi);
}

/**
 * Something else is written to the slot: a dynptr there, with its other half and its slices, is gone
 * (`destroy_if_dynptr_stack_slot`).
 */
export function destroyDynptrAt(v: Verifier, frame: FuncState, at: number): void {
  if (!isDynptrSlot(frame, at)) return;
  const spi = frame.slot(at).reg!.extra2 === 1 ? at : at + 1;
  const { extra: type, id } = frame.slot(spi).reg!;
  if (isRefcountedDynptr(type)) v.invalid('cannot overwrite referenced dynptr');
  v.markSlotScratched(spi);
  v.markSlotScratched(spi - 1);
  frame.slot(spi).types = 0;
  frame.slot(spi - 1).types = 0;
  const invalidate = markInvalid(v);
  forEachReg(v.state, (reg) => {
    if (reg.type !== PTR_TO_MEM && reg.type !== (PTR_TO_MEM | PTR_MAYBE_NULL)) return;
    if (reg.dynptrId === id) invalidate(reg);
  });
  forget(v, frame, spi);
}

/** The dynptr that `reg` points to is given back, its clones and slices with it (`unmark_stack_slots_dynptr`). */
export function releaseDynptr(v: Verifier, reg: Reg): void {
  const frame = v.frameOf(reg);
  const spi = dynptrSlot(v, reg);
  if (spi < 0) v.reject(ERRNO.EINVAL);
  const held = frame.slot(spi).reg!;
  if (!isRefcountedDynptr(held.extra)) {
    forget(v, frame, spi);
    return;
  }
  const { refObjId } = held;
  releaseRef(v, refObjId);
  for (let i = 1; i < frame.slotCount; i++) {
    const { reg: other } = frame.slot(i);
    if (!isDynptrSlot(frame, i) || other === null || other.refObjId !== refObjId) continue;
    if (other.extra2 === 1) forget(v, frame, i);
  }
}
