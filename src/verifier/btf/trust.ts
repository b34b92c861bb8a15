/**
 * How far a pointer to a kernel object may be trusted: `is_trusted_reg`, `is_rcu_reg`, `in_rcu_cs` and
 * `mark_btf_ld_reg` of Linux 6.18 (kernel/bpf/verifier.c). The flags themselves are in ../reg-type.ts.
 */
import type { Btf } from '../../object/btf/btf.js';
import type { BtfTypeId } from '../../object/btf/types.js';
import type { Verifier } from '../context.js';
import { markKnownZero, type Reg } from '../reg.js';
import {
  baseType,
  CONST_PTR_TO_MAP,
  hasUnsafeModifiers,
  MEM_RCU,
  mayBeNull,
  PTR_TO_BTF_ID,
  PTR_TO_SOCK_COMMON,
  PTR_TO_SOCKET,
  PTR_TO_TCP_SOCK,
  TRUSTED_MODIFIERS,
  typeFlags,
} from '../reg-type.js';

/** Pointers of the verifier's own kinds stand for kernel structures (`reg2btf_ids`). */
const STRUCT_OF: ReadonlyMap<number, string> = new Map([
  [PTR_TO_SOCKET, 'sock'],
  [PTR_TO_SOCK_COMMON, 'sock_common'],
  [PTR_TO_TCP_SOCK, 'tcp_sock'],
  [CONST_PTR_TO_MAP, 'bpf_map'],
]);

/** The kernel structure that a register of the verifier's own kind may be taken for; undefined where there is none. */
export function structOfRegType(type: number): string | undefined {
  return STRUCT_OF.get(baseType(type));
}

/** The object is there and stays there, as long as the register holds it. */
export function isTrustedReg({ type, refObjId }: Reg): boolean {
  if (refObjId !== 0) return true;
  if (hasUnsafeModifiers(type)) return false;
  return STRUCT_OF.has(baseType(type)) || (typeFlags(type) & TRUSTED_MODIFIERS) !== 0;
}

/** The object is there until the RCU read section ends. */
export function isRcuReg({ type }: Reg): boolean {
  return (type & MEM_RCU) !== 0;
}

/** Programs that cannot sleep run in one RCU read section; others open their own, or hold a lock. */
export function inRcuSection(v: Verifier): boolean {
  const { state } = v;
  return state.activeRcuLock || state.activeLocks > 0 || !v.inSleepable;
}

/** The register becomes a pointer to type `id` of `btf`, with these flags. */
export function markBtfPointer(v: Verifier, reg: Reg, btf: Btf, id: BtfTypeId, flags: number): void {
  markKnownZero(reg);
  reg.type = PTR_TO_BTF_ID | flags;
  reg.btf = btf;
  reg.btfId = id;
  if (mayBeNull(flags)) reg.id = v.newId();
}
