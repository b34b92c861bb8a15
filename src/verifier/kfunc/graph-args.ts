/**
 * Allocated objects, list heads and nodes, tree roots and nodes as arguments of kernel functions
 * (`__process_kf_arg_ptr_to_graph_root`, `__process_kf_arg_ptr_to_graph_node` of Linux 6.18, kernel/bpf/verifier.c).
 */
import { structIdsMatch } from '../btf/struct-walk.js';
import type { Verifier } from '../context.js';
import { fieldAt, recordOf } from '../record.js';
import type { Reg } from '../reg.js';
import {
  isAllocatedObject,
  isNonOwningRef,
  MEM_ALLOC,
  MEM_PERCPU,
  PTR_TO_BTF_ID,
  PTR_TO_MAP_VALUE,
} from '../reg-type.js';
import { constNumber, isConst } from '../scalar/index.js';
import { FIELD, fieldText } from '../special-fields.js';
import { isAllocationLocked } from '../spin-lock.js';
import type { KfuncMeta } from './meta.js';
import { inTreeCallback } from './tree-callback.js';

const OBJECT = PTR_TO_BTF_ID | MEM_ALLOC;

export function checkAllocated(v: Verifier, meta: KfuncMeta, index: number, reg: Reg): void {
  const { name } = meta.kfunc;
  if (reg.type === OBJECT) {
    if (name !== 'bpf_obj_drop_impl') v.invalid(`arg#${index} expected for bpf_obj_drop_impl()`);
  } else if (reg.type === (OBJECT | MEM_PERCPU)) {
    if (name !== 'bpf_percpu_obj_drop_impl') {
      v.invalid(`arg#${index} expected for bpf_percpu_obj_drop_impl()`);
    }
  } else {
    v.invalid(`arg#${index} expected pointer to allocated object`);
  }
  if (reg.refObjId === 0) v.invalid('allocated object must be referenced');
  meta.argBtf = reg.btf;
  meta.argBtfId = reg.btfId;
}

export function checkRefcounted(v: Verifier, meta: KfuncMeta, index: number, reg: Reg): void {
  if (!isAllocatedObject(reg.type)) v.invalid(`arg#${index} is neither owning or non-owning ref`);
  meta.owningRef = !isNonOwningRef(reg.type);
  if (!recordOf(reg).some(({ kind }) => kind === FIELD.REFCOUNT)) {
    v.invalid(`arg#${index} doesn't point to a type with bpf_refcount field`);
  }
  meta.argBtf = reg.btf;
  meta.argBtfId = reg.btfId;
}

export function checkGraphRoot(
  v: Verifier,
  meta: KfuncMeta,
  index: number,
  reg: Reg,
  param: 'list_head' | 'rb_root',
): void {
  if (reg.type !== PTR_TO_MAP_VALUE && reg.type !== OBJECT) {
    v.invalid(`arg#${index} expected pointer to map value or allocated object`);
  }
  if (reg.type === OBJECT && reg.refObjId === 0) v.invalid('allocated object must be referenced');
  const kind = param === 'list_head' ? FIELD.LIST_HEAD : FIELD.RB_ROOT;
  const name = fieldText(kind);
  if (!isConst(reg)) {
    v.invalid(`R${index + 1} doesn't have constant offset. ${name} has to be at the constant offset`);
  }
  const offset = reg.off + constNumber(reg);
  const record = recordOf(reg);
  const field = fieldAt(record, offset, kind);
  if (field === undefined) v.invalid(`${name} not found at offset=${offset >>> 0}`);
  if (!isAllocationLocked(v, reg)) {
    const lock = record.find((other) => other.kind === FIELD.SPIN_LOCK);
    v.invalid(`bpf_spin_lock at off=${lock?.offset ?? -22} must be held for ${name}`);
  }
  meta.root = field;
}

export function checkGraphNode(
  v: Verifier,
  meta: KfuncMeta,
  index: number,
  reg: Reg,
  param: 'list_node' | 'rb_node',
): void {
  checkNodeOwner(v, meta, index, reg, param);
  const kind = param === 'list_node' ? FIELD.LIST_NODE : FIELD.RB_NODE;
  const name = fieldText(kind);
  if (!isConst(reg)) {
    v.invalid(`R${index + 1} doesn't have constant offset. ${name} has to be at the constant offset`);
  }
  const offset = reg.off + constNumber(reg);
  if (fieldAt(recordOf(reg), offset, kind) === undefined) {
    v.invalid(`${name} not found at offset=${offset >>> 0}`);
  }
  const root = meta.root!;
  const target = root.target!;
  const owner = target.btf.nameOf(target.id);
  const btf = reg.btf!;
  if (!structIdsMatch(btf, reg.btfId, 0, target.btf, target.id, true, true, (line) => v.error(line))) {
    v.invalid(
      `operation on ${fieldText(root.kind)} expects arg#1 ${name} at offset=${target.nodeOffset} in struct ${owner}, ` +
        `but arg is at offset=${offset} in struct ${btf.nameOf(reg.btfId)}`,
    );
  }
  meta.argBtf = btf;
  meta.argBtfId = reg.btfId;
  if (offset === target.nodeOffset) return;
  v.invalid(`arg#1 offset=${offset}, but expected ${name} at offset=${target.nodeOffset} in struct ${owner}`);
}

/** Who inserts has to own the object; who removes or walks, a tree at least, may have it lent. */
function checkNodeOwner(
  v: Verifier,
  meta: KfuncMeta,
  index: number,
  reg: Reg,
  param: 'list_node' | 'rb_node',
): void {
  const { name } = meta.kfunc;
  if (param === 'list_node' || name === 'bpf_rbtree_add_impl') {
    if (reg.type !== OBJECT) v.invalid(`arg#${index} expected pointer to allocated object`);
    if (reg.refObjId === 0) v.invalid('allocated object must be referenced');
    return;
  }
  if (!isNonOwningRef(reg.type) && reg.refObjId === 0) {
    v.invalid(`${name} can only take non-owning or refcounted bpf_rb_node pointer`);
  }
  if (inTreeCallback(v)) v.invalid(`${name} not allowed in rbtree cb`);
}
