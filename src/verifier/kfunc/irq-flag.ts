/**
 * Interrupt flags on the stack: saved by `bpf_local_irq_save` and `bpf_res_spin_lock_irqsave`, restored in reverse order
 * (`process_irq_flag`, `mark_stack_slot_irq_flag` and its like of Linux 6.18, kernel/bpf/verifier.c).
 */
import type { Verifier } from '../context.js';
import { ERRNO } from '../errno.js';
import { checkMemAccess } from '../mem-access.js';
import { acquireIrq, releaseIrq } from '../refs.js';
import { markKnownZero, type Reg } from '../reg.js';
import { PTR_TO_STACK } from '../reg-type.js';
import { emptySlot, NO_SLOT, objectSlot, SLOT_OUT_OF_RANGE, slotReg } from '../stack-object.js';
import { ALL_IRQ_FLAG, SLOT_IRQ_FLAG } from '../state.js';

/** Which functions saved the flags; the same have to restore them. */
const NATIVE = 0;
const LOCK = 1;
const CLASS_TEXT = ['native', 'lock'] as const;

export function checkIrqFlag(v: Verifier, name: string, index: number): void {
  const reg = v.reg(index + 1);
  if (reg.type !== PTR_TO_STACK) v.invalid(`arg#${index} doesn't point to an irq flag on stack`);
  const kind = name.includes('spin') ? LOCK : NATIVE;
  if (name.endsWith('save')) save(v, reg, index, kind);
  else restore(v, reg, index, kind);
}

const flagSlot = (v: Verifier, reg: Reg): number => objectSlot(v, reg, 'irq_flag', 1);

function save(v: Verifier, reg: Reg, index: number, kind: number): void {
  if (!isFree(v, reg)) v.invalid(`expected uninitialized irq flag as arg#${index}`);
  checkMemAccess(v, v.insnIdx, index + 1, 0, 8, true, -1, false, false);
  const spi = flagSlot(v, reg);
  if (spi < 0) v.reject(ERRNO.EINVAL);
  const slot = v.frameOf(reg).slot(spi);
  const held = slotReg(slot);
  v.liveness.markWrite(reg.frameno, spi);
  const id = acquireIrq(v, v.insnIdx);
  markKnownZero(held);
  held.type = PTR_TO_STACK;
  held.refObjId = id;
  held.extra = kind;
  slot.types = ALL_IRQ_FLAG;
  v.markSlotScratched(spi);
}

function isFree(v: Verifier, reg: Reg): boolean {
  const spi = flagSlot(v, reg);
  if (spi === SLOT_OUT_OF_RANGE) return true;
  if (spi === NO_SLOT) return false;
  const slot = v.frameOf(reg).peekSlot(spi)!;
  for (let byte = 0; byte < 8; byte++) if (slot.typeAt(byte) === SLOT_IRQ_FLAG) return false;
  return true;
}

function restore(v: Verifier, reg: Reg, index: number, kind: number): void {
  const spi = flagSlot(v, reg);
  const slot = spi < 0 ? null : v.frameOf(reg).slot(spi);
  if (slot === null || slot.types !== ALL_IRQ_FLAG || (slot.reg?.refObjId ?? 0) === 0) {
    v.invalid(`expected an initialized irq flag as arg#${index}`);
  }
  v.liveness.markRead(reg.frameno, v.insnIdx, spi);
  v.markSlotScratched(spi);
  const held = slot.reg!;
  if (held.extra !== kind) {
    v.invalid(
      `irq flag acquired by ${CLASS_TEXT[held.extra]} kfuncs cannot be restored with ${CLASS_TEXT[kind]} kfuncs`,
    );
  }
  const { state } = v;
  if (!releaseIrq(state, held.refObjId)) {
    const active = state.refs.find(({ id }) => id === state.activeIrqId);
    v.denied(
      `cannot restore irq state out of order, expected id=${state.activeIrqId} acquired at insn_idx=${active?.insnIdx ?? 0}`,
    );
  }
  emptySlot(slot);
  v.liveness.markWrite(reg.frameno, spi);
}
