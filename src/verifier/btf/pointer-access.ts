/**
 * Loads and stores through pointers to kernel objects and through map pointers: `check_ptr_to_btf_access` and
 * `check_ptr_to_map_access` of Linux 6.18 (kernel/bpf/verifier.c). A load that finds a pointer gives one, with as much trust
 * as its way deserves.
 */
import type { Verifier } from '../context.js';
import { ERRNO } from '../errno.js';
import { markKnownZero, markUnknown, type Reg } from '../reg.js';
import {
  isAlloc,
  isAllocatedObject,
  isNonOwningRef,
  MEM_PERCPU,
  MEM_RCU,
  MEM_RDONLY,
  MEM_USER,
  mayBeNull,
  PTR_MAYBE_NULL,
  PTR_TO_MEM,
  PTR_TRUSTED,
  PTR_UNTRUSTED,
  TRUSTED_MODIFIERS,
} from '../reg-type.js';
import { constNumber, isConst, tnumText } from '../scalar/index.js';
import { fieldText, specialFieldsOf } from '../special-fields.js';
import { isKernelBtf, kernelBtf, kernelStruct } from './kernel-types.js';
import { mapStruct } from './map-structs.js';
import { isSafeField } from './safe-fields.js';
import { structAccess, type Walk } from './struct-walk.js';
import { inRcuSection, isRcuReg, isTrustedReg, markBtfPointer } from './trust.js';
import { checkKernelWrite, hasWriteRule } from './write-rules.js';

function requirePerfmon(v: Verifier, name: string): void {
  if (v.perfmon) return;
  v.reject(ERRNO.EPERM, `'struct ${name}' access is allowed only to CAP_PERFMON and CAP_SYS_ADMIN`);
}

/**
 * `size` bytes at `off` (fixed parts of instruction and pointer) of the object that `reg` points to. `dst`: the register
 * that is loaded, null for stores and for what goes nowhere.
 */
export function checkBtfAccess(
  v: Verifier,
  reg: Reg,
  regno: number,
  off: number,
  size: number,
  write: boolean,
  dst: Reg | null,
): void {
  const btf = reg.btf!;
  const name = btf.nameOf(reg.btfId);
  requirePerfmon(v, name);
  if (!v.gplCompatible && isKernelBtf(v, btf)) {
    v.invalid(`Cannot access kernel 'struct ${name}' from non-GPL compatible program`);
  }
  const at = accessOffset(v, reg, regno, off, name);
  if ((reg.type & MEM_USER) !== 0) v.denied(`R${regno} is ptr_${name} access user memory: off=${at}`);
  if ((reg.type & MEM_PERCPU) !== 0) v.denied(`R${regno} is ptr_${name} access percpu memory: off=${at}`);
  if (write && (reg.type & PTR_UNTRUSTED) !== 0) v.denied('only read is supported');
  if (write && !isAlloc(reg.type) && hasWriteRule(v)) {
    checkKernelWrite(v, reg, at, size);
    return;
  }
  if (write && !isAllocatedObject(reg.type)) v.denied('only read is supported');
  if (isAlloc(reg.type)) checkAllocated(v, reg, at, size);
  const found = structAccess(btf, reg.btfId, at, size, !isAlloc(reg.type));
  checkFound(v, found);
  if (dst !== null) load(v, reg, dst, found);
}

/** Refuses what cannot be accessed, and does not judge what the types at hand leave out. */
function checkFound(v: Verifier, found: Walk): void {
  if (found.kind === 'error') v.reject(found.errno, found.line);
  if (found.kind === 'opaque' && found.declared !== undefined && v.request.policy?.vmlinuxPartial === true) {
    v.unsupported(`struct ${found.declared}, which the kernel's types at hand only declare`);
  }
}

function accessOffset(v: Verifier, reg: Reg, regno: number, off: number, name: string): number {
  if (!isConst(reg)) {
    v.denied(`R${regno} is ptr_${name} invalid variable offset: off=${off}, var_off=${tnumText(reg)}`);
  }
  const at = off + constNumber(reg);
  if (at < 0) v.denied(`R${regno} is ptr_${name} invalid negative access: off=${at}`);
  return at;
}

/** Objects of the program's own: held, and their special fields out of reach. */
function checkAllocated(v: Verifier, reg: Reg, at: number, size: number): void {
  if (!isNonOwningRef(reg.type) && !isRcuReg(reg) && reg.refObjId === 0) {
    v.reject(ERRNO.EFAULT, 'verifier bug: ref_obj_id for allocated object must be non-zero');
  }
  for (const field of specialFieldsOf(reg.btf!, reg.btfId)) {
    if (at < field.offset + field.size && field.offset < at + size) {
      v.denied(`direct access to ${fieldText(field.kind)} is disallowed`);
    }
  }
}

/** The loaded register; `src`, which may be the same, is asked before it is overwritten. */
function load(v: Verifier, src: Reg, dst: Reg, found: Walk): void {
  if (found.kind === 'opaque') {
    markOpaque(dst);
  } else if (found.kind === 'pointer' && !isAlloc(src.type)) {
    const btf = src.btf!;
    const flags = flagsOfWalked(v, src, found.id, found.field, found.flags);
    markBtfPointer(v, dst, btf, found.id, flags);
  } else {
    markUnknown(dst);
  }
}

/** Memory of unknown size: loads are made so that they cannot fault. */
function markOpaque(dst: Reg): void {
  markKnownZero(dst);
  dst.type = PTR_TO_MEM | MEM_RDONLY | PTR_UNTRUSTED;
  dst.memSize = 0;
}

/** How much trust a pointer deserves that was found by walking `src`. */
function flagsOfWalked(v: Verifier, src: Reg, pointee: number, field: string, found: number): number {
  if ((src.type & PTR_UNTRUSTED) !== 0) return PTR_UNTRUSTED;
  const plain = found & ~(TRUSTED_MODIFIERS | MEM_RCU);
  if (!isTrustedReg(src) && !isRcuReg(src)) return plain;
  const isSafe = (list: Parameters<typeof isSafeField>[4]): boolean =>
    isSafeField(src.btf!, src.btfId, field, pointee, list);
  if (isSafe('__safe_trusted')) return found | PTR_TRUSTED;
  if (isSafe('__safe_trusted_or_null')) return found | PTR_TRUSTED | PTR_MAYBE_NULL;
  if (!inRcuSection(v) || mayBeNull(src.type)) return PTR_UNTRUSTED;
  if (isSafe('__safe_rcu')) return found | MEM_RCU;
  const rcuOrNull = isSafe('__safe_rcu_or_null');
  if ((found & MEM_RCU) !== 0 || rcuOrNull) {
    const flags = found | MEM_RCU | PTR_MAYBE_NULL;
    return rcuOrNull ? flags & ~PTR_UNTRUSTED : flags;
  }
  return (found & (MEM_PERCPU | MEM_USER)) !== 0 ? found : plain;
}

/** Fields of the kernel's map structure, read through a map pointer. */
export function checkMapPointerAccess(
  v: Verifier,
  reg: Reg,
  regno: number,
  off: number,
  size: number,
  write: boolean,
  dst: Reg | null,
): void {
  const name = mapStruct(reg.map!.type);
  if (name === undefined) {
    v.reject(ERRNO.ENOTSUPP, `map_ptr access not supported for map type ${reg.map!.type}`);
  }
  requirePerfmon(v, name);
  if (off < 0) v.denied(`R${regno} is ${name} invalid negative access: off=${off}`);
  if (write) v.denied(`only read from ${name} is supported`);
  const btf = kernelBtf(v, 'access through a map pointer');
  const found = structAccess(btf, kernelStruct(v, name), off, size, true);
  checkFound(v, found);
  if (dst === null) return;
  if (found.kind === 'opaque') markOpaque(dst);
  else if (found.kind === 'pointer') markBtfPointer(v, dst, btf, found.id, found.flags);
  else markUnknown(dst);
}
