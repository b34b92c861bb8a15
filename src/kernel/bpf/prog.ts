/** A loaded program. Models `struct bpf_prog` (include/linux/bpf.h) as far as running needs it. */
import type { AttachType } from '../../abi/attach-types.js';
import type { ProgType } from '../../abi/prog-types.js';
import type { LineInfo } from '../../object/types.js';
import type { Program } from '../../vm/index.js';
import type { BpfMap } from './map.js';
import type { ProgText } from './prog-text.js';

export interface BpfProg {
  /** Kernel-wide number, from 1. */
  readonly id: number;
  readonly name: string;
  readonly type: ProgType;
  readonly expectedAttachType: AttachType;
  /** BPF_F_XDP_HAS_FRAGS, BPF_F_SLEEPABLE, …. */
  readonly progFlags: number;
  /** The version of its code that runs now. */
  program: Program;
  /** Absent for classic programs. */
  readonly text?: ProgText;
  /** The verifier accepted it, so that its context accesses are converted. */
  readonly verified: boolean;
  /** Why the simulated kernel's verifier would not have let it pass; it runs even so where that is not enforced. */
  readonly refusal?: string;
  /** Bytes of the context up to the last one that it uses; 0 where the verifier did not say. */
  readonly maxCtxOffset?: number;
  readonly maps: readonly BpfMap[];
  readonly lineInfo: readonly LineInfo[];
  /** Section name in the object; empty where there is none. */
  readonly section: string;
  /** What the section name says that it is to be attached to. */
  readonly attachTarget?: string;
  /** It may have a function return at once (`bpf_override_return`). */
  readonly overrides?: boolean;
  /** Runs of it under way on each CPU (`prog->active`), kept where a guard looks at it. */
  readonly active: Int32Array;
  readonly stats: ProgStats;
}

/** `struct bpf_prog_stats`. */
export interface ProgStats {
  /** Runs that an event caused. */
  runs: number;
  /** Instructions that they executed. */
  instructions: number;
  /** Runs that a recursion guard suppressed (`bpf_prog_info.recursion_misses`). */
  misses: number;
  /** Runs that any guard suppressed, counted by the kernel or not. */
  skipped: number;
}

/** Whether what a descriptor stands for is a program. */
export function isProg(file: object): file is BpfProg {
  return 'program' in file && 'lineInfo' in file;
}

/** The source line that an instruction comes from, e.g. `xdp_counter.bpf.c:82`; undefined without line information. */
export function sourcePlace(lines: readonly LineInfo[], insn: number): string | undefined {
  let found: LineInfo | undefined;
  for (const line of lines) {
    if (line.insnOff > insn) break;
    found = line;
  }
  return found === undefined ? undefined : `${found.file.replace(/^(\.\/)+/, '')}:${found.line}`;
}
