/** R0 after a kernel function (second half of `check_kfunc_call`, `check_special_kfunc`, Linux 6.18, kernel/bpf/verifier.c). */
import { KF } from '../../abi/kfuncs.js';
import type { Btf } from '../../object/btf/btf.js';
import { BtfError } from '../../object/btf/error.js';
import { isScalarType } from '../../object/btf/layout.js';
import type { BtfTypeId } from '../../object/btf/types.js';
import { kernelStruct } from '../btf/kernel-types.js';
import { kindText } from '../btf/kind-text.js';
import type { Verifier } from '../context.js';
import { dynptrFlag } from '../dynptr/slots.js';
import { mayAccessPacket } from '../env/index.js';
import { ERRNO } from '../errno.js';
import { iterReg } from '../iter/args.js';
import { mayPointToSpinLock } from '../record.js';
import { acquireRef } from '../refs.js';
import { markConstZero, markKnownZero, markUnknown, type Reg } from '../reg.js';
import {
  MEM_ALLOC,
  MEM_PERCPU,
  MEM_RCU,
  MEM_RDONLY,
  PTR_MAYBE_NULL,
  PTR_TO_BTF_ID,
  PTR_TO_MEM,
  PTR_TRUSTED,
  PTR_UNTRUSTED,
} from '../reg-type.js';
import { specialFieldsOf } from '../special-fields.js';
import { isScalarStruct } from './arg-kind.js';
import { kernelContext } from './context-name.js';
import { markGraphNode, setNonOwning } from './graph-return.js';
import type { KfuncMeta } from './meta.js';

/** Greatest object that exists once for each processor (`BPF_GLOBAL_PERCPU_MA_MAX_SIZE`). */
const MAX_PERCPU_OBJECT = 512;
const U32_MAX = 0xffffffffn;

const MAKES_OBJECT = new Set(['bpf_obj_new_impl', 'bpf_percpu_obj_new_impl', 'bpf_refcount_acquire_impl']);

export function setKfuncResult(v: Verifier, meta: KfuncMeta, insnIdx: number): void {
  const { kfunc } = meta;
  const { ret, btf, name } = kfunc;
  const r0 = v.reg(0);
  const target = btf.type(kfunc.retPointee);
  const isStruct = target.kind === 'struct' || target.kind === 'union';
  if (meta.has(KF.ACQUIRE) && !(ret.kind === 'ptr' && isStruct) && !MAKES_OBJECT.has(name)) {
    v.invalid('acquire kernel function does not return PTR_TO_BTF_ID');
  }
  if (isScalarType(ret)) {
    if (name === 'bpf_res_spin_lock' || name === 'bpf_res_spin_lock_irqsave') markConstZero(r0);
    else markUnknown(r0);
    return;
  }
  if (ret.kind !== 'ptr') return;
  if (!setSpecial(v, meta, r0, target.name)) {
    if (target.kind === 'void') markUnknown(r0);
    else if (isStruct) setStruct(v, meta, r0);
    else setMemory(v, meta, r0);
  }
  noteReference(v, meta, r0, target.name, insnIdx);
}

function noteReference(v: Verifier, meta: KfuncMeta, r0: Reg, struct: string, insnIdx: number): void {
  const nullable =
    meta.has(KF.RET_NULL) && !(meta.kfunc.name === 'bpf_refcount_acquire_impl' && meta.owningRef);
  if (nullable) {
    r0.type |= PTR_MAYBE_NULL;
    r0.id = v.newId();
  }
  if (meta.has(KF.ACQUIRE)) {
    const id = acquireRef(v, insnIdx);
    if (nullable) r0.id = id;
    r0.refObjId = id;
  } else if (struct === 'bpf_rb_node' || struct === 'bpf_list_node') {
    setNonOwning(v, r0);
  }
  if (r0.id === 0 && mayPointToSpinLock(r0)) r0.id = v.newId();
}

function setPointer(reg: Reg, type: number, btf: Btf | null, extra: number): void {
  markKnownZero(reg);
  reg.type = type;
  reg.btf = btf;
  reg.extra = extra;
}

/** Functions whose result their prototype does not tell. False for all others. */
function setSpecial(v: Verifier, meta: KfuncMeta, r0: Reg, struct: string): boolean {
  const { name, btf } = meta.kfunc;
  switch (name) {
    case 'bpf_obj_new_impl':
    case 'bpf_percpu_obj_new_impl':
      setObject(v, meta, r0, name === 'bpf_percpu_obj_new_impl');
      return true;
    case 'bpf_refcount_acquire_impl':
      setPointer(r0, PTR_TO_BTF_ID | MEM_ALLOC, meta.argBtf, meta.argBtfId);
      return true;
    case 'bpf_cast_to_kern_ctx':
      setPointer(r0, PTR_TO_BTF_ID | PTR_TRUSTED, btf, kernelStruct(v, kernelContext(v.progType)!));
      return true;
    case 'bpf_rdonly_cast':
      setCast(v, meta, r0);
      return true;
    case 'bpf_dynptr_slice':
    case 'bpf_dynptr_slice_rdwr':
      setSlice(v, meta, r0, name === 'bpf_dynptr_slice');
      return true;
    default:
  }
  if (struct !== 'bpf_rb_node' && struct !== 'bpf_list_node') return false;
  markGraphNode(r0, meta.root!.target!);
  return true;
}

/** A new object of a structure of the program's. */
function setObject(v: Verifier, meta: KfuncMeta, r0: Reg, perCpu: boolean): void {
  const constant = meta.constant ?? 0n;
  if (constant > U32_MAX) v.invalid('local type ID argument must be in range [0, U32_MAX]');
  const { btf } = v;
  if (btf === undefined) v.invalid('bpf_obj_new/bpf_percpu_obj_new requires prog BTF');
  const id: BtfTypeId = Number(constant);
  const type = btf.has(id) ? btf.type(id) : undefined;
  if (type?.kind !== 'struct') {
    v.invalid('bpf_obj_new/bpf_percpu_obj_new type ID argument must be of a struct');
  }
  if (perCpu) {
    if (type.size > MAX_PERCPU_OBJECT) {
      v.invalid(`bpf_percpu_obj_new type size (${type.size}) is greater than ${MAX_PERCPU_OBJECT}`);
    }
    if (!isScalarStruct(v, btf, id, 0)) {
      v.invalid('bpf_percpu_obj_new type ID argument must be of a struct of scalars');
    }
    if (specialFieldsOf(btf, id).length > 0) {
      v.invalid('bpf_percpu_obj_new type ID argument must not contain special fields');
    }
  }
  setPointer(r0, PTR_TO_BTF_ID | MEM_ALLOC | (perCpu ? MEM_PERCPU : 0), btf, id);
}

function setCast(v: Verifier, meta: KfuncMeta, r0: Reg): void {
  const { btf } = meta.kfunc;
  const constant = meta.constant ?? 0n;
  const id = Number(BigInt.asUintN(32, constant));
  if (!btf.has(id)) v.invalid(`Unknown type ID ${constant} passed to kfunc bpf_rdonly_cast`);
  const { kind } = btf.type(id);
  if (kind === 'struct' || kind === 'union') {
    setPointer(r0, PTR_TO_BTF_ID | PTR_UNTRUSTED, btf, id);
  } else if (kind === 'void') {
    setPointer(r0, PTR_TO_MEM | MEM_RDONLY | PTR_UNTRUSTED, null, 0);
  } else {
    v.invalid('kfunc bpf_rdonly_cast type ID argument must be of a struct or void');
  }
}

/** Memory of a dynptr, as long as the dynptr and the packet stay. */
function setSlice(v: Verifier, meta: KfuncMeta, r0: Reg, readOnly: boolean): void {
  const size = Number(BigInt.asUintN(32, meta.constant ?? 0n));
  setPointer(r0, PTR_TO_MEM | dynptrFlag(meta.dynptrType), null, size);
  if (readOnly) r0.type |= MEM_RDONLY;
  else if (!mayAccessPacket(v.env, true)) v.invalid('the prog does not allow writes to packet data');
  r0.dynptrId = meta.dynptrId;
}

/** Bytes; 0 for what has no size. */
function sizeOf(btf: Btf, id: BtfTypeId): number {
  try {
    return btf.sizeOf(id);
  } catch (error) {
    if (error instanceof BtfError) return 0;
    throw error;
  }
}

function setMemory(v: Verifier, meta: KfuncMeta, r0: Reg): void {
  const { btf, retPointee, name } = meta.kfunc;
  if (meta.returnSize === 0n) {
    meta.returnSize = BigInt(sizeOf(btf, retPointee));
    meta.returnReadOnly ||= meta.returnSize !== 0n;
  }
  if (meta.returnSize === 0n) {
    const target = btf.type(retPointee);
    v.invalid(
      `kernel function ${name} returns pointer type ${kindText(target.kind)} ${target.name} is not supported`,
    );
  }
  if (meta.returnSize > U32_MAX) v.reject(ERRNO.EINVAL);
  setPointer(r0, PTR_TO_MEM, null, Number(meta.returnSize));
  if (meta.returnReadOnly) r0.type |= MEM_RDONLY;
  if (meta.refObjId !== 0) r0.refObjId = meta.refObjId;
}

function setStruct(v: Verifier, meta: KfuncMeta, r0: Reg): void {
  const { btf, retPointee, name } = meta.kfunc;
  let flag = 0;
  if (name === 'bpf_get_kmem_cache') flag = PTR_UNTRUSTED;
  else if (meta.has(KF.RCU_PROTECTED)) flag = MEM_RCU;
  if (meta.iter !== undefined && meta.has(KF.ITER_NEXT)) {
    flag |= (iterReg(v.state, meta.iter).type & MEM_RCU) !== 0 ? MEM_RCU : PTR_TRUSTED;
  }
  setPointer(r0, PTR_TO_BTF_ID | flag, btf, retPointee);
}
