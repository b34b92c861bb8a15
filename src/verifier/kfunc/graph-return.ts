/**
 * Objects in lists and trees: what insertion makes of the program's own reference, and pointers to nodes that come back
 * (`ref_convert_owning_non_owning`, `mark_reg_graph_node` of Linux 6.18, kernel/bpf/verifier.c).
 */
import type { Verifier } from '../context.js';
import { ERRNO } from '../errno.js';
import { recordOf } from '../record.js';
import { releaseRefQuietly } from '../refs.js';
import { markKnownZero, type Reg } from '../reg.js';
import { MEM_ALLOC, MEM_RCU, NON_OWN_REF, PTR_TO_BTF_ID } from '../reg-type.js';
import { FIELD, type FieldTarget } from '../special-fields.js';
import { updateRegs } from '../state.js';
import type { Kfunc } from './types.js';

/** Points to the node of an object that the root holds. */
export function markGraphNode(reg: Reg, target: FieldTarget): void {
  markKnownZero(reg);
  reg.type = PTR_TO_BTF_ID | MEM_ALLOC;
  reg.btf = target.btf;
  reg.btfId = target.id;
  reg.off = target.nodeOffset;
}

/** The object is another's: good while the lock is held. */
export function setNonOwning(v: Verifier, reg: Reg): void {
  if (v.state.activeLocks === 0) {
    v.reject(ERRNO.EFAULT, 'verifier bug: ref_set_non_owning w/o active lock');
  }
  reg.type |= NON_OWN_REF;
  if (recordOf(reg).some(({ kind }) => kind === FIELD.REFCOUNT)) reg.type |= MEM_RCU;
}

/** The object in r2 goes into a list or tree; the program's pointers to it stay good until the lock is given back. */
export function lendObject(v: Verifier, kfunc: Kfunc): void {
  const { refObjId } = v.reg(2);
  updateRegs(
    v.state,
    (reg) => reg.refObjId === refObjId,
    (reg) => {
      reg.refObjId = 0;
      setNonOwning(v, reg);
    },
  );
  if (releaseRefQuietly(v, v.state, refObjId)) return;
  v.invalid(`kfunc ${kfunc.name}#${kfunc.id} reference has not been acquired before`);
}
