/**
 * What a program attached by BTF id hangs on, once found: everything that context access, return values and helpers
 * ask of it. Models the `attach_*` and `ctx_arg_info` fields of `struct bpf_prog_aux`, and `btf_var` of
 * `struct bpf_insn_aux_data`, Linux 6.18.
 */
import type { Btf } from '../../object/btf/btf.js';
import type { BtfFuncProto, BtfTypeId } from '../../object/btf/types.js';

/** An argument of which more is known than its type says (`struct bpf_ctx_arg_aux`). */
export interface CtxArg {
  /** Bytes from the start of the context. */
  readonly off: number;
  /** Register type that a load yields. */
  readonly regType: number;
  /** Kernel structure that it points to; 0 for plain memory. */
  readonly btfId: BtfTypeId;
  /** The program holds a reference to it from the start. */
  readonly referenced: boolean;
}

export interface AttachInfo {
  /** Types of the target: the kernel's, or those of the program that is traced or replaced. */
  readonly btf: Btf;
  /** As the request gives it: a function, a `btf_trace_*` typedef, or a struct_ops structure. */
  readonly id: BtfTypeId;
  /** For messages: function, tracepoint, or member of the structure. */
  readonly name: string;
  /** Arguments and result; null where the target's BTF cannot be relied on. */
  readonly proto: BtfFuncProto | null;
  /** The prototype begins with an argument that programs do not see (`btf_trace_*`). */
  readonly skipsFirstArg: boolean;
  readonly args: readonly CtxArg[];
  /** Pointers in the context are trusted, whatever else is known of them. */
  readonly trusted: boolean;
}

/** A kernel symbol whose address the program takes. */
export interface KernelSymbol {
  /** Register type of the address. */
  readonly regType: number;
  /** Types, and the variable's; null for memory that only has a size. */
  readonly btf: Btf | null;
  readonly btfId: BtfTypeId;
  readonly memSize: number;
}
