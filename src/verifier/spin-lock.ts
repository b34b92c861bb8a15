/**
 * Spin locks, plain and resilient, in map values and allocated objects: taken and given back
 * (`process_spin_lock` of Linux 6.18, kernel/bpf/verifier.c).
 */
import type { Verifier } from './context.js';
import { markInvalid } from './privilege.js';
import { recordOf } from './record.js';
import { acquireLock, holdsLock, releaseLock } from './refs.js';
import type { Reg } from './reg.js';
import { baseType, isNonOwningRef, PTR_TO_MAP_VALUE } from './reg-type.js';
import { constNumber, isConst } from './scalar/index.js';
import { FIELD } from './special-fields.js';
import { REF_ANY_LOCK, REF_LOCK, REF_RES_LOCK, REF_RES_LOCK_IRQ, updateRegs } from './state.js';

/** What is done, to which kind of lock. */
export interface LockAction {
  readonly take: boolean;
  /** `REF_LOCK`, `REF_RES_LOCK` or `REF_RES_LOCK_IRQ`. */
  readonly type: number;
}

export const PLAIN_LOCK: LockAction = { take: true, type: REF_LOCK };
export const PLAIN_UNLOCK: LockAction = { take: false, type: REF_LOCK };

/** The lock that register `regno` points to. */
export function processSpinLock(v: Verifier, reg: Reg, regno: number, action: LockAction): void {
  const resilient = action.type !== REF_LOCK;
  const name = resilient ? 'bpf_res_spin' : 'bpf_spin';
  if (!isConst(reg)) {
    v.invalid(`R${regno} doesn't have constant offset. ${name}_lock has to be at the constant offset`);
  }
  const map = baseType(reg.type) === PTR_TO_MAP_VALUE ? reg.map : null;
  if (map !== null && map.btf === undefined) {
    v.invalid(`map '${map.name}' has to have BTF in order to use ${name}_lock`);
  }
  const kind = resilient ? FIELD.RES_SPIN_LOCK : FIELD.SPIN_LOCK;
  const field = recordOf(reg).find((candidate) => candidate.kind === kind);
  if (field === undefined) {
    v.invalid(
      `${map !== null ? 'map' : 'local'} '${map !== null ? map.name : 'kptr'}' has no valid ${name}_lock`,
    );
  }
  const at = constNumber(reg) + reg.off;
  if (field.offset !== at) {
    v.invalid(`off ${at} doesn't point to 'struct ${name}_lock' that is at ${field.offset}`);
  }
  const where: object = map ?? reg.btf!;
  if (action.take) take(v, reg.id, where, action.type);
  else giveBack(v, reg.id, where, action.type, name);
}

function take(v: Verifier, id: number, where: object, type: number): void {
  const { state } = v;
  if (state.activeLocks > 0) {
    // Resilient locks nest, but not in themselves.
    if (type === REF_LOCK) v.invalid('Locking two bpf_spin_locks are not allowed');
    if (holdsLock(state, REF_RES_LOCK | REF_RES_LOCK_IRQ, id, where)) {
      v.invalid('Acquiring the same lock again, AA deadlock detected');
    }
  }
  acquireLock(v, type, id, where);
}

function giveBack(v: Verifier, id: number, where: object, type: number, name: string): void {
  const { state } = v;
  if (state.activeLocks === 0) v.invalid(`${name}_unlock without taking a lock`);
  if (!holdsLock(state, type, id, where)) v.invalid(`${name}_unlock of different lock`);
  if (id !== state.activeLockId || where !== state.activeLockPtr) {
    v.invalid(`${name}_unlock cannot be out of order`);
  }
  releaseLock(state, type, id, where);
  invalidateNonOwningRefs(v);
}

/** What was only lent under the lock is lost with it. */
function invalidateNonOwningRefs(v: Verifier): void {
  updateRegs(v.state, (reg) => isNonOwningRef(reg.type), markInvalid(v));
}

/** Is the lock of the allocation that `reg` points into held? The log says when it is another's. */
export function isAllocationLocked(v: Verifier, reg: Reg): boolean {
  if (v.state.activeLocks === 0) return false;
  const where: object | null = baseType(reg.type) === PTR_TO_MAP_VALUE ? reg.map : reg.btf;
  if (where !== null && holdsLock(v.state, REF_ANY_LOCK, reg.id, where)) return true;
  v.error('held lock and object are not in the same allocation');
  return false;
}
