/**
 * What a loader's capabilities change for single rules. Without CAP_PERFMON (or CAP_SYS_ADMIN) a program may not learn
 * what pointers are, nor read what was never written (`allow_ptr_leaks`, `allow_uninit_stack` of Linux 6.18,
 * kernel/bpf/verifier.c); without CAP_BPF it may neither loop nor call functions (`bpf_capable`).
 */
import { markNotInit, markUnknown, type Reg } from './reg.js';
import { SCALAR_VALUE } from './reg-type.js';

/** What of a run tells what its loader may do. */
interface Loader {
  readonly perfmon: boolean;
  peek(regno: number): Readonly<Reg>;
}

/** The register must not be shown to anybody (`is_pointer_value`). */
export function isPointerValue(v: Loader, regno: number): boolean {
  return !v.perfmon && v.peek(regno).type !== SCALAR_VALUE;
}

/** What the register pointed to is gone: who may not see pointers may not read it any more (`mark_reg_invalid`). */
export function markInvalid(v: { readonly perfmon: boolean }): (reg: Reg) => void {
  return v.perfmon ? markUnknown : markNotInit;
}
