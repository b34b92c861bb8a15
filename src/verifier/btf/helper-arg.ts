/**
 * Pointers to kernel objects as arguments and results of helpers: the second half of `check_reg_type` and the
 * `RET_PTR_TO_BTF_ID` cases of `check_helper_call`, Linux 6.18 (kernel/bpf/verifier.c).
 */

import type { HelperArg, HelperProto } from '../../abi/helper-protos.js';
import { helperById, helperText } from '../../abi/helpers.js';
import type { Btf } from '../../object/btf/btf.js';
import { isComposite } from '../../object/btf/layout.js';
import type { BtfTypeId } from '../../object/btf/types.js';
import type { Verifier } from '../context.js';
import { ERRNO } from '../errno.js';
import { FUNC_SPIN_LOCK, FUNC_SPIN_UNLOCK } from '../helper-ids.js';
import { markKnownZero, type Reg } from '../reg.js';
import {
  isAlloc,
  MEM_ALLOC,
  MEM_PERCPU,
  MEM_RCU,
  MEM_RDONLY,
  mayBeNull,
  PTR_MAYBE_NULL,
  PTR_TO_BTF_ID,
  PTR_TO_MEM,
  PTR_TRUSTED,
  regTypeText,
} from '../reg-type.js';
import { kernelBtf, kernelStruct } from './kernel-types.js';
import { sizeOf } from './ksym.js';
import { structIdsMatch } from './struct-walk.js';

/** What a call's arguments have shown of a per-CPU variable. */
export interface PerCpuArg {
  readonly btf: Btf;
  readonly btfId: BtfTypeId;
  /** An object that the program allocated. */
  readonly allocated: boolean;
}

/** A `PTR_TO_BTF_ID` register, of a type that the argument takes, against what the helper wants it to point to. */
export function checkBtfArg(
  v: Verifier,
  proto: HelperProto,
  kind: string,
  arg: HelperArg,
  reg: Reg,
  regno: number,
): void {
  if (kind === 'mem' || kind === 'map_key' || kind === 'map_value') {
    if (arg.readOnly) return;
    const name = helperById(proto.id)?.name ?? '';
    v.denied(`bpf_${name}() may write into memory pointed by R${regno} type=${regTypeText(reg.type)}`);
  }
  switch (reg.type) {
    case PTR_TO_BTF_ID:
    case PTR_TO_BTF_ID | PTR_TRUSTED:
    case PTR_TO_BTF_ID | PTR_TRUSTED | PTR_MAYBE_NULL:
    case PTR_TO_BTF_ID | MEM_RCU:
    case PTR_TO_BTF_ID | PTR_MAYBE_NULL:
    case PTR_TO_BTF_ID | PTR_MAYBE_NULL | MEM_RCU:
      checkStruct(v, proto, arg, reg, regno);
      return;
    case PTR_TO_BTF_ID | MEM_ALLOC:
    case PTR_TO_BTF_ID | MEM_PERCPU | MEM_ALLOC:
      if (proto.id !== FUNC_SPIN_LOCK && proto.id !== FUNC_SPIN_UNLOCK && proto.name !== 'kptr_xchg') {
        v.reject(ERRNO.EFAULT, 'verifier bug: unimplemented handling of MEM_ALLOC');
      }
      return;
    case PTR_TO_BTF_ID | MEM_PERCPU:
    case PTR_TO_BTF_ID | MEM_PERCPU | MEM_RCU:
    case PTR_TO_BTF_ID | MEM_PERCPU | PTR_TRUSTED:
      return;
    default:
      v.reject(ERRNO.EFAULT, 'verifier bug: invalid PTR_TO_BTF_ID register for type match');
  }
}

function checkStruct(v: Verifier, proto: HelperProto, arg: HelperArg, reg: Reg, regno: number): void {
  // any socket may be released: the first member tells them apart
  const strict = arg.release && proto.name !== 'sk_release';
  if (mayBeNull(reg.type) && (!arg.nullable || arg.release)) {
    v.denied(`Possibly NULL pointer passed to helper arg${regno}`);
  }
  if (proto.name === 'kptr_xchg') return;
  matchStruct(v, reg, regno, kernelStruct(v, arg.struct ?? 'sock_common'), strict);
}

/** A pointer to kernel structure `need`, or to one that begins with it unless `strict`. */
export function matchStruct(v: Verifier, reg: Reg, regno: number, need: BtfTypeId, strict: boolean): void {
  const kernel = kernelBtf(v, 'pointer to a kernel structure as an argument');
  const btf = reg.btf!;
  const log = (line: string): void => v.error(line);
  if (structIdsMatch(btf, reg.btfId, reg.off, kernel, need, strict, !isAlloc(reg.type), log)) return;
  v.denied(`R${regno} is of type ${btf.nameOf(reg.btfId)} but ${kernel.nameOf(need)} is expected`);
}

/** R0 points to the kernel structure that the prototype names. */
export function setStructResult(v: Verifier, proto: HelperProto, r0: Reg, flags: number): void {
  const struct =
    proto.ret.struct ?? v.unsupported(`pointer to a kernel structure from ${helperText(proto.id)}`);
  markKnownZero(r0);
  r0.type = PTR_TO_BTF_ID | flags;
  r0.btf = kernelBtf(v, `struct ${struct}`);
  r0.btfId = kernelStruct(v, struct);
}

/** R0 points to one CPU's copy of a per-CPU variable: a structure, or memory of the variable's size. */
export function setPerCpuResult(
  v: Verifier,
  r0: Reg,
  flags: number,
  { btf, btfId, allocated }: PerCpuArg,
): void {
  markKnownZero(r0);
  if (!isComposite(btf.underlying(btfId))) {
    r0.type = PTR_TO_MEM | flags;
    r0.memSize = sizeOf(v, btf, btfId, '');
    return;
  }
  r0.type = PTR_TO_BTF_ID | (allocated ? MEM_ALLOC | MEM_RCU : flags & ~MEM_RDONLY);
  r0.btf = btf;
  r0.btfId = btfId;
}
