/**
 * The form in which the series and the hazards around it are written down: what each changes, and for each the cases in
 * which it can be seen, as two kernels that run the same scenario and what must be seen in each.
 */
import type { KernelProfile } from '../kernel/profile.js';
import type { LookName } from './look.js';

export type Knobs = Partial<Omit<KernelProfile, 'name' | 'rt'>>;

/** One of the two kernels of a case. */
export interface SideSpec {
  /** What it is called in the table; default `without` and `with`. */
  readonly label?: string;
  /** Default: the case's. */
  readonly profile?: string;
  readonly knobs?: Knobs;
  /** What must be seen, line for line; empty: nothing. `*` is any text: who of equal tasks it is depends on the schedule. */
  readonly seen: readonly string[];
}

export interface CaseSpec {
  readonly name: string;
  /** In `programs/`, without `.bpf.o`. */
  readonly object: string;
  /** In `programs/scenarios/`, without `.json`. */
  readonly scenario: string;
  /** Default `rfc-rt`. */
  readonly profile?: string;
  /** Turned on both sides. */
  readonly knobs?: Knobs;
  /** What is looked at; default: reports and deadlocks. */
  readonly look?: readonly LookName[];
  /** Only lines that match count. */
  readonly wanted?: RegExp;
  /** The explorer looks for a schedule in which something is seen; else the scenario runs once, by its times. */
  readonly search?: boolean;
  /** The two sides' traces must be the same, byte for byte. */
  readonly sameTrace?: boolean;
  readonly sides: readonly [SideSpec, SideSpec];
}

export type PatchKind = 'behaviour' | 'refactoring' | 'comment' | 'definition';

export interface PatchSpec {
  readonly number: number;
  readonly title: string;
  /** Files of the series' diffstat that it touches. */
  readonly files: readonly string[];
  readonly kind: PatchKind;
  readonly does: string;
  /** What makes `rfc-rt` a kernel without it. */
  readonly knobs: Knobs;
  /** The first is the patch's own; others say more about it. */
  readonly cases: readonly CaseSpec[];
}

export interface HazardSpec {
  /** `H1` to `H9`. */
  readonly id: string;
  readonly title: string;
  readonly does: string;
  /** How it was mended, or that it was not. */
  readonly mended: string;
  readonly cases: readonly CaseSpec[];
}

/** The diffstat of the series: file and lines changed. */
export const DIFFSTAT: readonly (readonly [file: string, lines: number])[] = [
  ['include/linux/bpf.h', 8],
  ['include/linux/filter.h', 33],
  ['include/linux/kernel.h', 7],
  ['include/linux/preempt.h', 30],
  ['kernel/bpf/hashtab.c', 164],
  ['kernel/bpf/lpm_trie.c', 12],
  ['kernel/bpf/percpu_freelist.c', 20],
  ['kernel/bpf/stackmap.c', 18],
  ['kernel/bpf/syscall.c', 16],
  ['kernel/bpf/trampoline.c', 9],
  ['kernel/events/core.c', 2],
  ['kernel/seccomp.c', 4],
  ['kernel/trace/bpf_trace.c', 6],
  ['lib/test_bpf.c', 4],
  ['net/bpf/test_run.c', 8],
  ['net/core/flow_dissector.c', 4],
  ['net/core/skmsg.c', 8],
  ['net/kcm/kcmsock.c', 4],
];
