/**
 * Sections that kernel functions open and close: RCU read sections, without preemption, with interrupts off; and what may
 * not happen inside. Models the middle of `check_kfunc_call` of Linux 6.18 (kernel/bpf/verifier.c).
 */
import { KF } from '../../abi/kfuncs.js';
import { inRcuSection } from '../btf/trust.js';
import type { Verifier } from '../context.js';
import type { Reg } from '../reg.js';
import { MEM_RCU, PTR_MAYBE_NULL, PTR_UNTRUSTED } from '../reg-type.js';
import { SLOT_ITER, updateRegs, type VerifierState } from '../state.js';
import type { KfuncMeta } from './meta.js';
import { inTreeCallback } from './tree-callback.js';

export function enterOrLeaveSections(v: Verifier, meta: KfuncMeta): void {
  const { name } = meta.kfunc;
  const sleeps = meta.has(KF.SLEEPABLE);
  rcuSection(v, name, sleeps);
  preemptSection(v, name, sleeps);
  if (v.state.activeIrqId !== 0 && sleeps) {
    v.denied(`kernel func ${name} is sleepable within IRQ-disabled region`);
  }
  if (meta.has(KF.RCU_PROTECTED) && !inRcuSection(v)) {
    v.denied(`kernel func ${name} requires RCU critical section protection`);
  }
}

function rcuSection(v: Verifier, name: string, sleeps: boolean): void {
  const { state } = v;
  const opens = name === 'bpf_rcu_read_lock';
  const closes = name === 'bpf_rcu_read_unlock';
  if (!state.activeRcuLock) {
    if (opens) state.activeRcuLock = true;
    else if (closes) v.invalid(`unmatched rcu read unlock (kernel function ${name})`);
    return;
  }
  if ((opens || closes) && inTreeCallback(v)) {
    v.denied('Calling bpf_rcu_read_{lock,unlock} in unnecessary rbtree callback');
  }
  if (opens) v.invalid(`nested rcu read lock (kernel function ${name})`);
  if (closes) {
    distrustRcuPointers(state);
    state.activeRcuLock = false;
  } else if (sleeps) {
    v.denied(`kernel func ${name} is sleepable within rcu_read_lock region`);
  }
}

/** What RCU protected may be gone. */
function distrustRcuPointers(state: VerifierState): void {
  updateRegs(state, (reg) => (reg.type & MEM_RCU) !== 0, distrust);
  for (const frame of state.frames) {
    for (let spi = 0; spi < frame.slotCount; spi++) {
      const slot = frame.peekSlot(spi)!;
      if (slot.typeAt(7) !== SLOT_ITER || slot.reg === null) continue;
      if ((slot.reg.type & MEM_RCU) !== 0) distrust(frame.slot(spi).reg!);
    }
  }
}

function distrust(reg: Reg): void {
  reg.type = (reg.type & ~(MEM_RCU | PTR_MAYBE_NULL)) | PTR_UNTRUSTED;
}

function preemptSection(v: Verifier, name: string, sleeps: boolean): void {
  const { state } = v;
  if (name === 'bpf_preempt_disable') {
    state.activePreemptLocks++;
  } else if (name === 'bpf_preempt_enable') {
    if (state.activePreemptLocks === 0) {
      v.invalid(`unmatched attempt to enable preemption (kernel function ${name})`);
    }
    state.activePreemptLocks--;
  } else if (sleeps && state.activePreemptLocks > 0) {
    v.denied(`kernel func ${name} is sleepable within non-preemptible region`);
  }
}
