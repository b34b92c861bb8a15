/** Pointers that may be null, until they are compared with 0 (`mark_ptr_or_null_regs` and its like, Linux 6.18). */
import { MapType } from '../abi/map-types.js';
import type { Verifier } from './context.js';
import { mayPointToSpinLock } from './record.js';
import { releaseRefQuietly } from './refs.js';
import type { Reg } from './reg.js';
import {
  baseType,
  CONST_PTR_TO_MAP,
  isAllocatedObject,
  mayBeNull,
  PTR_MAYBE_NULL,
  PTR_TO_MAP_VALUE,
  PTR_TO_SOCKET,
  PTR_TO_XDP_SOCK,
  SCALAR_VALUE,
} from './reg-type.js';
import { isZero } from './scalar/index.js';
import { FIELD } from './special-fields.js';
import { updateRegs, type VerifierState } from './state.js';

/** What a look-up in these maps gives is no plain value. */
export function markNotNull(reg: Reg): void {
  const { map } = reg;
  if (baseType(reg.type) !== PTR_TO_MAP_VALUE || map === null) {
    reg.type &= ~PTR_MAYBE_NULL;
    return;
  }
  if (map.inner !== undefined) {
    reg.type = CONST_PTR_TO_MAP;
    reg.map = map.inner;
    if (map.inner.has(FIELD.TIMER | FIELD.WORKQUEUE | FIELD.TASK_WORK)) reg.mapUid = reg.id;
  } else if (map.type === MapType.xskmap) {
    reg.type = PTR_TO_XDP_SOCK;
  } else if (map.type === MapType.sockmap || map.type === MapType.sockhash) {
    reg.type = PTR_TO_SOCKET;
  } else {
    reg.type = PTR_TO_MAP_VALUE;
  }
}

function markOne(reg: Reg, isNull: boolean): void {
  if (isNull) {
    reg.type = SCALAR_VALUE;
    reg.id = 0;
    reg.refObjId = 0;
    return;
  }
  markNotNull(reg);
  if (!mayPointToSpinLock(reg)) reg.id = 0;
}

/** In `state` the pointer in `regno` is null, or is not; all its copies with it. */
export function markPointerOrNull(v: Verifier, state: VerifierState, regno: number, isNull: boolean): void {
  const { id, refObjId } = state.frame.peek(regno);
  if (refObjId !== 0 && refObjId === id && isNull) releaseRefQuietly(v, state, id);
  updateRegs(
    state,
    (reg) =>
      mayBeNull(reg.type) &&
      reg.id === id &&
      // Pointers to nodes lie somewhere in their object.
      (isAllocatedObject(reg.type) || (reg.off === 0 && isZero(reg))),
    (reg) => markOne(reg, isNull),
  );
}
