/**
 * What the verifier is asked and what it answers: the contract between callers (`bpflab verify`, the
 * library's users, the simulated kernel) and `verify`. A request is what `bpf(BPF_PROG_LOAD)` is
 * given, with maps and BTF in place of file descriptors. Reference: Linux 6.18.
 */
import type { Insn } from '../isa/insn.js';
import type { Btf } from '../object/btf/btf.js';
import type { PreallocPolicy } from './env/types.js';

/** A map as the verifier sees it. Sizes in bytes. */
export interface VerifyMap {
  readonly name: string;
  /** `MapType` number. */
  readonly type: number;
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
  readonly mapFlags: number;
  readonly mapExtra?: bigint;
  /** Template of the inner map of a map-in-map. */
  readonly inner?: VerifyMap;
  /** Contents, elements of `valueSize` one after the other; needed to know `.rodata` by value. */
  readonly data?: Uint8Array;
  /** No more writes from user space: with `BPF_F_RDONLY_PROG`, its contents are constants. */
  readonly frozen?: boolean;
  /** Types of key and value: special fields (spin lock, timer, …) are found through them. */
  readonly btf?: Btf;
  readonly btfKeyTypeId?: number;
  readonly btfValueTypeId?: number;
}

/** One `struct bpf_func_info`: instruction in slots, id of a `func` in the program's BTF. */
export interface VerifyFuncInfo {
  readonly insnOff: number;
  readonly typeId: number;
}

/** One line record, for the log. Instruction in slots. */
export interface VerifyLineInfo {
  readonly insnOff: number;
  readonly file: string;
  readonly text: string;
  readonly line: number;
  readonly column: number;
}

export interface VerifyPolicy {
  /** Hash maps that allocate elements at run time, in tracing programs. Default `none`: Linux 6.18. */
  readonly prealloc?: PreallocPolicy;
  /** CONFIG_PREEMPT_RT, with what Linux 6.18 forbids there. Default false. */
  readonly preemptRt?: boolean;
  /** Accepted verdicts rest on the kernel's BTF; ids of attach targets and kfuncs refer to it. */
  readonly vmlinux?: Btf;
  /** Those types are a selection: what they only declare is not judged. Default false. */
  readonly vmlinuxPartial?: boolean;
}

/**
 * What the loader may do; what is left out it may not. CAP_SYS_ADMIN includes the others. Without CAP_BPF the load is judged as
 * where `kernel.unprivileged_bpf_disabled` is 0.
 */
export interface VerifyCapabilities {
  readonly bpf?: boolean;
  readonly perfmon?: boolean;
  readonly netAdmin?: boolean;
  readonly sysAdmin?: boolean;
}

export interface VerifyRequest {
  readonly insns: readonly Insn[];
  /** `ProgType` number. */
  readonly progType: number;
  /** `AttachType` number; 0 where the type has none. */
  readonly expectedAttachType?: number;
  /** `BPF_F_*` of the load. */
  readonly progFlags?: number;
  readonly license?: string;
  readonly name?: string;
  /**
   * In `LD_IMM64` with source `BPF_PSEUDO_MAP_FD`, `_VALUE` and their `IDX` forms the first immediate is an index
   * into this list.
   */
  readonly maps?: readonly VerifyMap[];
  readonly btf?: Btf;
  readonly funcInfo?: readonly VerifyFuncInfo[];
  readonly lineInfo?: readonly VerifyLineInfo[];
  /** Id of the attach target in the kernel's BTF. */
  readonly attachBtfId?: number;
  /**
   * The program that this one is to trace or replace, as it was loaded: `attachBtfId` is then the id of one of its functions in
   * its own BTF. Linux has to accept it.
   */
  readonly attachTarget?: VerifyRequest;
  /** Bits: 1 states at branches, 2 every instruction, 4 statistics. Default 0. */
  readonly logLevel?: number;
  /** All capabilities, or none. Default true; `capabilities` says more. */
  readonly privileged?: boolean;
  readonly capabilities?: VerifyCapabilities;
  readonly policy?: VerifyPolicy;
}

/** `unsupported`: this verifier cannot judge the program; `message` names the feature. */
export type Verdict = 'accept' | 'reject' | 'unsupported';

export interface VerifyResult {
  readonly verdict: Verdict;
  /** Positive errno that `bpf()` would give; 0 unless rejected. */
  readonly errno: number;
  /** The first line of the log that says what is wrong, or the feature that is missing. Empty when accepted. */
  readonly message: string;
  /** Slot at which the verifier stopped; undefined where it accepted or never got to an instruction. */
  readonly insn: number | undefined;
  /** Instructions simulated, over all paths. */
  readonly processed: number;
  readonly maxStatesPerInsn: number;
  readonly totalStates: number;
  readonly peakStates: number;
  /** Stack bytes of each subprogram, joined by `+`, as the log shows them. */
  readonly stackDepth: string;
  readonly log: string;
  /** A byte a slot: 1 where some path came by. */
  readonly reached: Uint8Array;
  /** A register type (`reg-type.ts`) a slot: what the load or store there goes through; 0 where it is none. */
  readonly pointerTypes: Uint32Array;
  /** Bytes of the context up to the last one that some path uses: a test run has to be given as many. */
  readonly maxCtxOffset: number;
}
