/** References that a program holds and has to give back, and locks it holds (`acquire_reference` and its like, Linux 6.18). */
import type { Verifier } from './context.js';
import { ERRNO } from './errno.js';
import { markUnknown } from './reg.js';
import { REF_LOCK, REF_PTR, updateRegs, type VerifierState } from './state.js';

/** The new reference's id. */
export function acquireRef(v: Verifier, insnIdx: number): number {
  const id = v.newId();
  v.state.refs = [...v.state.refs, { type: REF_PTR, id, insnIdx, ptr: null }];
  return id;
}

/** Drops a reference whose pointer turned out null, or returns false where it is not held. */
export function releaseRefQuietly(_v: Verifier, state: VerifierState, id: number): boolean {
  const index = state.refs.findIndex((ref) => ref.type === REF_PTR && ref.id === id);
  if (index < 0) return false;
  state.refs = state.refs.filter((_, i) => i !== index);
  return true;
}

/** Gives a reference back: every pointer to the object becomes void. */
export function releaseRef(v: Verifier, id: number): boolean {
  if (!releaseRefQuietly(v, v.state, id)) return false;
  updateRegs(v.state, (reg) => reg.refObjId === id, markUnknown);
  return true;
}

export function acquireLock(v: Verifier, id: number, ptr: object): void {
  const { state } = v;
  state.refs = [...state.refs, { type: REF_LOCK, id, insnIdx: v.insnIdx, ptr }];
  state.activeLocks++;
  state.activeLockId = id;
  state.activeLockPtr = ptr;
}

export function holdsLock(state: VerifierState, id: number, ptr: object): boolean {
  return state.refs.some((ref) => ref.type === REF_LOCK && ref.id === id && ref.ptr === ptr);
}

/** The lock before it, if any, is the innermost then. */
export function releaseLock(state: VerifierState, id: number, ptr: object): void {
  const index = state.refs.findIndex((ref) => ref.type === REF_LOCK && ref.id === id && ref.ptr === ptr);
  const outer = state.refs.slice(0, index).findLast((ref) => ref.type === REF_LOCK);
  state.refs = state.refs.filter((_, i) => i !== index);
  state.activeLocks--;
  state.activeLockId = outer?.id ?? 0;
  state.activeLockPtr = outer?.ptr ?? null;
}

/** What must not be held where `what` happens (`check_resource_leak`). */
export function checkResourceLeak(v: Verifier, checkLock: boolean, what: string): void {
  const { state } = v;
  if (checkLock && state.activeLocks > 0) {
    v.invalid(`${what} cannot be used inside bpf_spin_lock-ed region`);
  }
  if (v.frame.frameno === 0) {
    const held = state.refs.filter(({ type }) => type === REF_PTR);
    for (const { id, insnIdx } of held) v.error(`Unreleased reference id=${id} alloc_insn=${insnIdx}`);
    if (held.length > 0) v.reject(ERRNO.EINVAL, `${what} would lead to reference leak`);
  }
  if (checkLock && state.activeIrqId !== 0) {
    v.invalid(`${what} cannot be used inside bpf_local_irq_save-ed region`);
  }
  if (checkLock && state.activeRcuLock) {
    v.invalid(`${what} cannot be used inside bpf_rcu_read_lock-ed region`);
  }
  if (checkLock && state.activePreemptLocks > 0) {
    v.invalid(`${what} cannot be used inside bpf_preempt_disable-ed region`);
  }
}
