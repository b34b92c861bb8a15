/** Resilient spin locks as arguments (`KF_ARG_PTR_TO_RES_SPIN_LOCK` of Linux 6.18, kernel/bpf/verifier.c). */
import type { Verifier } from '../context.js';
import type { Reg } from '../reg.js';
import { MEM_ALLOC, PTR_TO_BTF_ID, PTR_TO_MAP_VALUE } from '../reg-type.js';
import { processSpinLock } from '../spin-lock.js';
import { REF_RES_LOCK, REF_RES_LOCK_IRQ } from '../state.js';

export function checkLockParam(v: Verifier, name: string, index: number, reg: Reg): void {
  if (reg.type !== PTR_TO_MAP_VALUE && reg.type !== (PTR_TO_BTF_ID | MEM_ALLOC)) {
    v.invalid(`arg#${index} doesn't point to map value or allocated object`);
  }
  processSpinLock(v, reg, index + 1, {
    take: name === 'bpf_res_spin_lock' || name === 'bpf_res_spin_lock_irqsave',
    type: name.includes('irq') ? REF_RES_LOCK_IRQ : REF_RES_LOCK,
  });
}
