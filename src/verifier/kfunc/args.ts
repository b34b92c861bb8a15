/**
 * Arguments of a kernel function against its prototype (`check_kfunc_args` of Linux 6.18, kernel/bpf/verifier.c): numbers
 * here, pointers by their kind here and in the files beside this one.
 */

import { KF } from '../../abi/kfuncs.js';
import { isScalarType } from '../../object/btf/layout.js';
import { kindText } from '../btf/kind-text.js';
import { isRcuReg, isTrustedReg, structOfRegType } from '../btf/trust.js';
import type { Verifier } from '../context.js';
import { ERRNO } from '../errno.js';
import { checkConstString } from '../helper-args.js';
import { checkFuncArgOffset, checkMemReg } from '../helper-mem.js';
import { checkFieldPointer } from '../map-field.js';
import { markChainPrecision } from '../precision.js';
import { isNullScalar, type Reg } from '../reg.js';
import {
  baseType,
  hasUnsafeModifiers,
  mayBeNull,
  PTR_TO_BTF_ID,
  PTR_TO_CTX,
  PTR_TO_FUNC,
  PTR_TO_MAP_VALUE,
  regTypeText,
  SCALAR_VALUE,
  TRUSTED_MODIFIERS,
  typeFlags,
} from '../reg-type.js';
import { constValue, isConst } from '../scalar/index.js';
import { FIELD } from '../special-fields.js';
import { type ArgKind, hasSuffix, pointerKind } from './arg-kind.js';
import { kernelContext } from './context-name.js';
import { checkDynptrParam } from './dynptr-param.js';
import { checkAllocated, checkGraphNode, checkGraphRoot, checkRefcounted } from './graph-args.js';
import { checkIrqFlag } from './irq-flag.js';
import { checkIterParam } from './iter-param.js';
import { checkLockParam } from './lock-param.js';
import { checkSizedMemory } from './memory-param.js';
import type { KfuncMeta } from './meta.js';
import { checkStructParam } from './struct-param.js';

const MAX_ARGS = 5;

export function checkKfuncArgs(v: Verifier, meta: KfuncMeta): void {
  const { name, params } = meta.kfunc;
  if (params.length > MAX_ARGS) {
    v.invalid(`Function ${name} has ${params.length} > ${MAX_ARGS} args`);
  }
  for (let i = 0; i < params.length; i++) {
    // The size of the memory is looked at with the memory.
    if (checkParam(v, meta, i) === 'mem_size') i++;
  }
  if (meta.has(KF.RELEASE) && meta.releaseRegno === 0) {
    v.invalid(`release kernel function ${name} expects refcounted PTR_TO_BTF_ID`);
  }
}

function checkParam(v: Verifier, meta: KfuncMeta, index: number): ArgKind | undefined {
  const param = meta.kfunc.params[index]!;
  const reg = v.reg(index + 1);
  if (hasSuffix(param, '__ign') || hasSuffix(param, '__prog')) return undefined;
  if (isScalarType(param.type)) {
    checkNumber(v, meta, index, reg);
    return undefined;
  }
  if (param.type.kind !== 'ptr') {
    v.invalid(`Unrecognized arg#${index} type ${kindText(param.type.kind)}`);
  }
  const wantsTrust = meta.has(KF.TRUSTED_ARGS | KF.RELEASE);
  if ((wantsTrust || meta.has(KF.RCU)) && !hasSuffix(param, '__nullable')) {
    if (isNullScalar(reg) || mayBeNull(reg.type)) {
      v.denied(`Possibly NULL pointer passed to trusted arg${index}`);
    }
  }
  noteReference(v, meta, index, reg);
  const kind = pointerKind(v, meta.kfunc, index);
  if (kind === 'null') return kind;
  if (kind === 'map') noteMap(v, meta, index, reg);
  if (kind === 'map' || kind === 'alloc' || kind === 'btf_id') checkTrust(v, meta, index, reg, wantsTrust);
  checkFuncArgOffset(v, reg, index + 1, meta.has(KF.RELEASE) && reg.refObjId !== 0);
  checkPointer(v, meta, index, kind, reg);
  return kind;
}

function checkNumber(v: Verifier, meta: KfuncMeta, index: number, reg: Reg): void {
  const regno = index + 1;
  const param = meta.kfunc.params[index]!;
  if (reg.type !== SCALAR_VALUE) v.invalid(`R${regno} is not a scalar`);
  if (hasSuffix(param, '__k')) {
    if (!isConst(reg)) v.invalid(`R${regno} must be a known constant`);
    markChainPrecision(v, regno);
    meta.constant = constValue(reg);
    return;
  }
  const readOnly = param.name === 'rdonly_buf_size';
  if (!readOnly && param.name !== 'rdwr_buf_size') return;
  meta.returnReadOnly ||= readOnly;
  if (meta.returnSize !== 0n) v.invalid('2 or more rdonly/rdwr_buf_size parameters for kfunc');
  if (!isConst(reg)) v.invalid(`R${regno} is not a const`);
  meta.returnSize = constValue(reg);
  markChainPrecision(v, regno);
}

function noteReference(v: Verifier, meta: KfuncMeta, index: number, reg: Reg): void {
  if (reg.refObjId === 0) return;
  const releases = meta.has(KF.RELEASE);
  if (releases && meta.refObjId !== 0) {
    v.reject(
      ERRNO.EFAULT,
      `verifier bug: more than one arg with ref_obj_id R${index + 1} ${reg.refObjId} ${meta.refObjId}`,
    );
  }
  meta.refObjId = reg.refObjId;
  if (releases) meta.releaseRegno = index + 1;
}

/** A work queue, or task work, and the map that is named with it are one. */
function noteMap(v: Verifier, meta: KfuncMeta, index: number, reg: Reg): void {
  const { map } = reg;
  // In the kernel's union anything else that the register knows passes for a map here.
  if (map === null && reg.btf === null && reg.extra === 0 && reg.extra2 === 0) {
    v.invalid(`pointer in R${index + 1} isn't map pointer`);
  }
  if (map !== null && meta.map !== null && map.has(FIELD.WORKQUEUE | FIELD.TASK_WORK)) {
    if (meta.map !== map || meta.mapUid !== reg.mapUid) {
      const [what, field, named] = map.has(FIELD.TASK_WORK)
        ? ['bpf_task_work', 'R2', 'R3']
        : ['workqueue', 'R1', 'R2'];
      v.invalid(
        `${what} pointer in ${field} map_uid=${meta.mapUid} doesn't match map pointer in ${named} map_uid=${reg.mapUid}`,
      );
    }
  }
  meta.map = map;
  meta.mapUid = reg.mapUid;
}

function checkTrust(v: Verifier, meta: KfuncMeta, index: number, reg: Reg, wantsTrust: boolean): void {
  const rcu = meta.has(KF.RCU);
  if ((!wantsTrust && !rcu) || isTrustedReg(reg)) return;
  if (!rcu) v.invalid(`R${index + 1} must be referenced or trusted`);
  if (!isRcuReg(reg)) v.invalid(`R${index + 1} must be a rcu pointer`);
}

function checkPointer(v: Verifier, meta: KfuncMeta, index: number, kind: ArgKind, reg: Reg): void {
  const regno = index + 1;
  switch (kind) {
    case 'ctx':
      checkContext(v, meta, index, reg);
      return;
    case 'dynptr':
      checkDynptrParam(v, meta, index);
      return;
    case 'iter':
      checkIterParam(v, meta, index);
      return;
    case 'alloc':
      checkAllocated(v, meta, index, reg);
      return;
    case 'refcounted_kptr':
      checkRefcounted(v, meta, index, reg);
      return;
    case 'list_head':
    case 'rb_root':
      checkGraphRoot(v, meta, index, reg, kind);
      return;
    case 'list_node':
    case 'rb_node':
      checkGraphNode(v, meta, index, reg, kind);
      return;
    case 'map':
    case 'btf_id':
      checkIsStruct(v, index, reg);
      checkStructParam(v, meta, index, reg, kind === 'map');
      return;
    case 'mem':
      checkMemReg(v, reg, regno, meta.kfunc.btf.sizeOf(meta.kfunc.params[index]!.pointee));
      return;
    case 'mem_size':
      checkSizedMemory(v, meta, index);
      return;
    case 'callback':
      if (reg.type !== PTR_TO_FUNC) v.invalid(`arg${index} expected pointer to func`);
      meta.subprog = reg.subprog;
      return;
    case 'const_str':
      if (reg.type !== PTR_TO_MAP_VALUE) v.invalid(`arg#${index} doesn't point to a const string`);
      checkConstString(v, reg, regno);
      return;
    case 'wq':
      checkField(v, meta, index, reg, FIELD.WORKQUEUE);
      return;
    case 'task_work':
      checkField(v, meta, index, reg, FIELD.TASK_WORK);
      return;
    case 'irq_flag':
      checkIrqFlag(v, meta.kfunc.name, index);
      return;
    case 'res_spin_lock':
      checkLockParam(v, meta.kfunc.name, index, reg);
      return;
    default:
  }
}

function checkContext(v: Verifier, meta: KfuncMeta, index: number, reg: Reg): void {
  if (reg.type !== PTR_TO_CTX) {
    v.invalid(`arg#${index} expected pointer to ctx, but got ${regTypeText(reg.type)}`);
  }
  if (meta.kfunc.name === 'bpf_cast_to_kern_ctx' && kernelContext(v.progType) === undefined) {
    v.unsupported('bpf_cast_to_kern_ctx of a context that is no structure');
  }
}

/** A pointer to a kernel structure, trusted or in an RCU section, or one of the verifier's own kinds that stand for one. */
function checkIsStruct(v: Verifier, index: number, reg: Reg): void {
  const isPointer = baseType(reg.type) === PTR_TO_BTF_ID && (!hasUnsafeModifiers(reg.type) || isRcuReg(reg));
  if (isPointer || structOfRegType(reg.type) !== undefined) return;
  const expected = baseType(reg.type) | (typeFlags(reg.type) & TRUSTED_MODIFIERS);
  v.invalid(`arg#${index} is ${regTypeText(reg.type)} expected ${regTypeText(expected)} or socket`);
}

function checkField(v: Verifier, meta: KfuncMeta, index: number, reg: Reg, kind: number): void {
  if (reg.type !== PTR_TO_MAP_VALUE) v.invalid(`arg#${index} doesn't point to a map value`);
  checkFieldPointer(v, reg, index + 1, kind);
  meta.map = reg.map;
  meta.mapUid = reg.mapUid;
}
