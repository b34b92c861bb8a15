/**
 * Kernel pointers in map values: which may be stored, what a load gives, and what `bpf_kptr_xchg` takes out and puts in
 * (`map_kptr_match_type`, `check_map_kptr_access`, `process_kptr_func` of Linux 6.18, kernel/bpf/verifier.c). Types that the
 * kernel does not know are the program's own.
 */
import { BPF_LDX, BPF_MEM, BPF_ST, BPF_STX, bpfClass, bpfMode } from '../isa/constants.js';
import type { Btf } from '../object/btf/btf.js';
import type { BtfTypeId } from '../object/btf/types.js';
import { findType, isKernelBtf } from './btf/kernel-types.js';
import { structIdsMatch } from './btf/struct-walk.js';
import { inRcuSection, markBtfPointer } from './btf/trust.js';
import type { Verifier } from './context.js';
import { recordOf } from './record.js';
import { isNullScalar, markKnownZero, type Reg } from './reg.js';
import {
  baseType,
  isAlloc,
  isAllocatedObject,
  MEM_ALLOC,
  MEM_PERCPU,
  MEM_RCU,
  NON_OWN_REF,
  PTR_MAYBE_NULL,
  PTR_TO_BTF_ID,
  PTR_TO_MEM,
  PTR_TRUSTED,
  PTR_UNTRUSTED,
  regTypeText,
  typeFlags,
} from './reg-type.js';
import { checkUnmodified } from './region.js';
import { constNumber, isConst } from './scalar/index.js';
import { FIELD, GRAPH_NODES, KPTR_KINDS, type SpecialField, specialFieldsOf } from './special-fields.js';

/** What a kernel pointer points to: a structure of the kernel, or of the program. */
export interface KptrTarget {
  readonly btf: Btf;
  readonly id: BtfTypeId;
  readonly isKernel: boolean;
}

function kptrTarget(v: Verifier, field: SpecialField): KptrTarget {
  const { btf, id } = field.target!;
  const vmlinux =
    v.request.policy?.vmlinux ?? v.unsupported("kptr in a map value without the kernel's types");
  const kernelId = field.kind === FIELD.UPTR ? undefined : findType(vmlinux, btf.nameOf(id), 'struct');
  if (kernelId === undefined) return { btf, id, isKernel: false };
  return { btf: vmlinux, id: kernelId, isKernel: true };
}

/** May such a register be stored there? The log says what is wrong. */
export function kptrMatches(v: Verifier, field: SpecialField, reg: Reg, regno: number): boolean {
  const target = kptrTarget(v, field);
  let allowed = PTR_MAYBE_NULL | MEM_ALLOC;
  if (isKernelBtf(v, reg.btf)) {
    allowed = PTR_MAYBE_NULL | PTR_TRUSTED | MEM_RCU;
    if (field.kind === FIELD.KPTR_UNREF) allowed |= PTR_UNTRUSTED;
  } else if (field.kind === FIELD.KPTR_PERCPU) {
    allowed |= MEM_PERCPU;
  }
  let name = '';
  if (baseType(reg.type) === PTR_TO_BTF_ID && (typeFlags(reg.type) & ~allowed) === 0) {
    const btf = reg.btf!;
    name = btf.nameOf(reg.btfId);
    checkUnmodified(v, reg, regno, true);
    const strict = field.kind !== FIELD.KPTR_UNREF;
    const log = (line: string): void => v.error(line);
    if (structIdsMatch(btf, reg.btfId, reg.off, target.btf, target.id, strict, !isAlloc(reg.type), log)) {
      return true;
    }
  }
  const wanted = target.btf.nameOf(target.id);
  const expected = `${regTypeText(PTR_TO_BTF_ID)}${wanted}`;
  const other =
    field.kind === FIELD.KPTR_UNREF ? ` or ${regTypeText(PTR_TO_BTF_ID | PTR_UNTRUSTED)}${wanted}` : '';
  v.error(`invalid kptr access, R${regno} type=${regTypeText(reg.type)}${name} expected=${expected}${other}`);
  return false;
}

/** Objects that stay until the RCU read section ends, although somebody may put others in their place. */
const RCU_PROTECTED = new Set([
  'prog_test_ref_kfunc',
  'cgroup',
  'bpf_cpumask',
  'task_struct',
  'bpf_crypto_ctx',
]);

function loadedFlags(v: Verifier, field: SpecialField, { btf, id, isKernel }: KptrTarget): number {
  const perCpu = field.kind === FIELD.KPTR_PERCPU;
  const isRcu = perCpu || (field.kind === FIELD.KPTR_REF && (!isKernel || RCU_PROTECTED.has(btf.nameOf(id))));
  if (!isRcu || !inRcuSection(v)) return PTR_MAYBE_NULL | PTR_UNTRUSTED;
  let flags = PTR_MAYBE_NULL | MEM_RCU;
  if (perCpu) flags |= MEM_PERCPU;
  else if (!isKernel) flags |= MEM_ALLOC;
  const hasNode = !isKernel && specialFieldsOf(btf, id).some(({ kind }) => (kind & GRAPH_NODES) !== 0);
  return hasNode ? flags | NON_OWN_REF : flags;
}

/** A load or store by an instruction, at the field exactly. */
export function accessKptr(v: Verifier, insnIdx: number, field: SpecialField, valueRegno: number): void {
  const insn = v.insns[insnIdx]!;
  const cls = bpfClass(insn.code);
  if (bpfMode(insn.code) !== BPF_MEM) {
    v.denied('kptr in map can only be accessed using BPF_MEM instruction mode');
  }
  if (cls !== BPF_LDX && (field.kind === FIELD.KPTR_REF || field.kind === FIELD.KPTR_PERCPU)) {
    v.denied('store to referenced kptr disallowed');
  }
  if (cls !== BPF_LDX && field.kind === FIELD.UPTR) v.denied('store to uptr disallowed');
  if (cls === BPF_LDX) {
    load(v, field, v.reg(valueRegno));
  } else if (cls === BPF_STX) {
    const value = v.reg(valueRegno);
    if (!isNullScalar(value) && !kptrMatches(v, field, value, valueRegno)) v.reject(13);
  } else if (cls === BPF_ST) {
    if (insn.imm !== 0) v.denied(`BPF_ST imm must be 0 when storing to kptr at off=${field.offset}`);
  } else {
    v.denied('kptr in map can only be accessed using BPF_LDX/BPF_STX/BPF_ST');
  }
}

function load(v: Verifier, field: SpecialField, dst: Reg): void {
  const target = kptrTarget(v, field);
  if (field.kind !== FIELD.UPTR) {
    markBtfPointer(v, dst, target.btf, target.id, loadedFlags(v, field, target));
    return;
  }
  markKnownZero(dst);
  dst.type = PTR_TO_MEM | PTR_MAYBE_NULL;
  dst.memSize = target.btf.sizeOf(target.id);
  dst.id = v.newId();
}

/** The field that the first argument of `bpf_kptr_xchg` points to. */
export function kptrOfDest(v: Verifier, reg: Reg, regno: number): SpecialField {
  if (!isAllocatedObject(reg.type) && reg.map!.btf === undefined) {
    v.invalid(`map '${reg.map!.name}' has to have BTF in order to use bpf_kptr_xchg`);
  }
  if (!isConst(reg)) {
    v.invalid(`R${regno} doesn't have constant offset. kptr has to be at the constant offset`);
  }
  const kptrs = recordOf(reg).filter(({ kind }) => (kind & KPTR_KINDS) !== 0);
  if (kptrs.length === 0) v.invalid(`R${regno} has no valid kptr`);
  const at = reg.off + constNumber(reg);
  const field = kptrs.find(({ offset }) => offset === at);
  if (field === undefined) v.denied(`off=${at} doesn't point to kptr`);
  if (field.kind !== FIELD.KPTR_REF && field.kind !== FIELD.KPTR_PERCPU) {
    v.denied(`off=${at} kptr isn't referenced kptr`);
  }
  return field;
}

/** What was in the field is the program's now. */
export function setExchanged(v: Verifier, r0: Reg, field: SpecialField): void {
  const { btf, id, isKernel } = kptrTarget(v, field);
  markKnownZero(r0);
  r0.type = PTR_TO_BTF_ID | PTR_MAYBE_NULL;
  if (!isKernel) r0.type |= MEM_ALLOC | (field.kind === FIELD.KPTR_PERCPU ? MEM_PERCPU : 0);
  r0.btf = btf;
  r0.btfId = id;
}
