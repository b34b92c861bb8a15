/** References that a program holds and has to give back, and locks it holds (`acquire_reference` and its like, Linux 6.18). */
import type { Verifier } from './context.js';
import { ERRNO } from './errno.js';
import { markInvalid } from './privilege.js';
import { REF_ANY_LOCK, REF_IRQ, REF_PTR, updateRegs, type VerifierState } from './state.js';

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
  updateRegs(v.state, (reg) => reg.refObjId === id, markInvalid(v));
  return true;
}

/** `type`: of the lock, a `REF_*`. */
export function acquireLock(v: Verifier, type: number, id: number, ptr: object): void {
  const { state } = v;
  state.refs = [...state.refs, { type, id, insnIdx: v.insnIdx, ptr }];
  state.activeLocks++;
  state.activeLockId = id;
  state.activeLockPtr = ptr;
}

/** `types`: of locks that count, as bits. */
export function holdsLock(state: VerifierState, types: number, id: number, ptr: object): boolean {
  return state.refs.some((ref) => (ref.type & types) !== 0 && ref.id === id && ref.ptr === ptr);
}

/** The lock before it, if any, is the innermost then. */
export function releaseLock(state: VerifierState, type: number, id: number, ptr: object): void {
  const index = state.refs.findIndex((ref) => ref.type === type && ref.id === id && ref.ptr === ptr);
  const outer = state.refs.slice(0, index).findLast((ref) => (ref.type & REF_ANY_LOCK) !== 0);
  state.refs = state.refs.filter((_, i) => i !== index);
  state.activeLocks--;
  state.activeLockId = outer?.id ?? 0;
  state.activeLockPtr = outer?.ptr ?? null;
}

/** Interrupts are off from here on, until the flags saved under the new id are restored. */
export function acquireIrq(v: Verifier, insnIdx: number): number {
  const id = v.newId();
  const { state } = v;
  state.refs = [...state.refs, { type: REF_IRQ, id, insnIdx, ptr: null }];
  state.activeIrqId = id;
  return id;
}

/** False where others were saved later. */
export function releaseIrq(state: VerifierState, id: number): boolean {
  if (id !== state.activeIrqId) return false;
  const index = state.refs.findIndex((ref) => ref.type === REF_IRQ && ref.id === id);
  const outer = state.refs.slice(0, index).findLast((ref) => ref.type === REF_IRQ);
  state.refs = state.refs.filter((_, i) => i !== index);
  state.activeIrqId = outer?.id ?? 0;
  return true;
}

/** What must not be held where `what` happens (`check_resource_leak`); `throws`: no caller gets its references back. */
export function checkResourceLeak(v: Verifier, checkLock: boolean, what: string, throws = false): void {
  const { state } = v;
  if (checkLock && state.activeLocks > 0) {
    v.invalid(`${what} cannot be used inside bpf_spin_lock-ed region`);
  }
  if (throws || v.frame.frameno === 0) {
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
