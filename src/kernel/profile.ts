/**
 * Which kernel is simulated: a set of named knobs, one for each behaviour that differs between the kernels of interest.
 * Nothing else in `src/kernel` compares versions. Facts: the series "bpf: Make BPF and PREEMPT_RT co-exist" (RFC of
 * February 2020, merged for 5.7) and the trees 5.4-rt, 5.7, 6.1, 6.12, 6.18; docs/kernel.md describes each knob.
 */
import { KernelProfileError } from './errors.js';

/** What keeps a task where it is while a program runs: preemption off, migration off, nothing. */
export type Pin = 'preempt' | 'migrate' | 'none';

export interface KernelProfile {
  readonly name: string;
  /** PREEMPT_RT. */
  readonly rt: boolean;
  /** `migrate_disable`: preemption off, or a counter of the task that leaves it preemptible. */
  readonly migrateDisable: 'preempt' | 'counter';
  /** `cant_migrate`: no check, that of `cant_sleep`, or one that knows migrate-disabled tasks. */
  readonly cantMigrate: 'off' | 'sleep' | 'real';
  /** What `__BPF_PROG_RUN` checks: `cant_sleep` everywhere, or `cant_migrate`. */
  readonly progRunCheck: 'cantSleep' | 'cantMigrate';
  /** What pins the task for programs of seccomp, flow dissectors, messages and stream parsers. */
  readonly pinSimple: Pin;
  /** The same for test runs. */
  readonly pinTestRun: Pin;
  /** The same for arrays of programs: control groups, infrared decoders, socket filters. */
  readonly pinArray: Pin;
  /** The same for batches of hash maps. */
  readonly pinHtab: Pin;
  /** The same for map operations of system calls. */
  readonly pinSysBpf: Pin;
  /** How a pin that is no disabled preemption is made: `migrate_disable`, or a CPU mask that others can change. */
  readonly pinBy: 'migrate' | 'affinity';
  /** `bpf_prog_active` on RT: a read-modify-write that preemption may split, or one step. */
  readonly thisCpuRmw: 'plain' | 'atomic';
  /** Which tracing programs may use hash maps that allocate at run time. */
  readonly preallocRule: 'perfOnly' | 'v57' | 'none';
  /** Lock of a hash bucket: raw; regular; by allocation kind and RT; that or raw with `map_locked`; resilient. */
  readonly bucketLock: 'raw' | 'regular' | 'union' | 'union+mapLocked' | 'raw+mapLocked' | 'rq';
  /** `map_locked` counters that buckets share: 8, or not more than there are buckets. */
  readonly mapLockedMask: '8' | 'min';
  /** What precedes the increment of `map_locked`. */
  readonly mapLockedGuard: 'migrate' | 'preempt' | 'irq';
  /** A lock class of its own for each hash map. */
  readonly perMapLockClass: boolean;
  /** Raw tracepoint programs are kept from recursing. */
  readonly guardRawTp: boolean;
  /** Trampoline programs are kept from recursing. */
  readonly guardTramp: boolean;
  /** Of those, who is let in again. */
  readonly guardTrampExcept: 'none' | 'structOps' | 'structOpsLsm';
  /** Kprobes are hit through a breakpoint that counts as NMI, not through ftrace. */
  readonly kprobeNmi: boolean;
  /** The hash map's RCU callback takes `bpf_prog_active`. */
  readonly guardRcuCb: boolean;
  /** `trace_call_bpf` lets events in NMI pass without running programs. */
  readonly inNmiReturn1: boolean;
  /** What `trace_call_bpf` itself disables, beside its callers. */
  readonly traceCallPreempt: 'preempt' | 'migrate' | 'none';
  /** `__bpf_trace_run` disables preemption itself, beside the tracepoint. */
  readonly rawTpPreempt: boolean;
  /** `bpf_overflow_handler` disables preemption itself, beside perf. */
  readonly overflowPreempt: boolean;
  /** `cant_sleep` in `trace_call_bpf`. */
  readonly traceCallCantSleep: boolean;
  /** Runs that recursion guards suppressed in `trace_call_bpf` are counted. */
  readonly countMissed: boolean;
  /** Free list in NMI: spin, or try each CPU's list and then the extra one. */
  readonly freelistNmi: 'spin' | 'try';
  /** Lock of the free list. */
  readonly freelistLock: 'raw' | 'rq';
  /** Filling the free list: interrupts off throughout, or no lock at all. */
  readonly freelistPopulate: 'irqsOff' | 'plain';
  /** Queue and stack maps in NMI. */
  readonly queueNmi: 'spin' | 'try';
  readonly queueLock: 'raw' | 'rq';
  /** Lock of a ring buffer: sleeping on RT, raw, resilient. */
  readonly ringLock: 'sl' | 'raw' | 'rq';
  /** Lock of a trie, and where its nodes come from. */
  readonly lpmLock: 'raw' | 'sl' | 'raw+ma' | 'rq';
  /** Where hash elements come from that are not preallocated. */
  readonly alloc: 'kmalloc' | 'ma';
  /** Build ids in a stack map with interrupts off on RT: trylock even so, or addresses only. */
  readonly stackBuildIdRt: 'naive' | 'fallback';
  /** Preemption off around programs of uprobes. */
  readonly uprobePreempt: 'preempt' | 'none' | 'sleepable';
  /** Context of tracepoint programs: preemption off, or SRCU and preemptible. */
  readonly tpCtx: 'preempt' | 'srcu';
  /** seccomp: the whole list of filters without preemption, or each filter pinned. */
  readonly seccompPin: 'list' | 'filter';
  /** Trampolines: preemption off, or pinned. */
  readonly trampPin: 'preempt' | 'migrate';
  /** BH sections on RT exclude each other on a CPU. */
  readonly bhLock: boolean;
  /** RCU depth forbids sleeping locks' `might_sleep` from complaining; the 5.7 texts are shorter. */
  readonly mightSleepText: 'short' | 'long';
  /** `kmalloc_node` has a tracepoint of its own. */
  readonly kmallocNodeEvent: boolean;
  /** Lock class of an address space's semaphore. */
  readonly mmapLockName: string;
  /** `bpf_timer` is refused on RT. */
  readonly timerBan: boolean;
  /** Lockdep checks wait types ("Invalid wait context"). */
  readonly lockdepWaitTypes: boolean;
  /** CONFIG_PROVE_RAW_LOCK_NESTING: a spinlock inside a raw one is wrong although it spins where the kernel is not RT. */
  readonly proveRawLockNesting: boolean;
  /** Lockdep refuses locks in NMI that are used elsewhere. */
  readonly lockdepNmi: boolean;
  /**
   * Resilient spinlocks: whether a CPU notes that it takes one after it has it, so that an NMI in between misses the
   * deadlock, or before (6.18.2); with the latter, NMIs on top of a waiter do not queue.
   */
  readonly rqEntry: 'after' | 'before';
  /** Where a sleeping spinlock on RT asks whether it may sleep, as its splats name it. */
  readonly rtSpinLockAt: string;
  /** A sleeping spinlock on RT pins the task before it waits, or once it has the lock. */
  readonly rtSpinLockPin: 'before' | 'after';
}

/** Names of the presets that are not RT; each has a twin with `-rt`. */
export const KERNEL_RELEASES = ['5.6', 'rfc', '5.7', '5.15', '6.1', '6.12', '6.18'] as const;

export type KernelRelease = (typeof KERNEL_RELEASES)[number];

type Knobs = Omit<KernelProfile, 'name' | 'rt'>;

const V5_6: Knobs = {
  migrateDisable: 'preempt',
  cantMigrate: 'sleep',
  progRunCheck: 'cantSleep',
  pinSimple: 'preempt',
  pinTestRun: 'preempt',
  pinArray: 'preempt',
  pinHtab: 'preempt',
  pinSysBpf: 'preempt',
  pinBy: 'migrate',
  thisCpuRmw: 'plain',
  preallocRule: 'perfOnly',
  bucketLock: 'raw',
  mapLockedMask: '8',
  mapLockedGuard: 'migrate',
  perMapLockClass: false,
  guardRawTp: false,
  guardTramp: false,
  guardTrampExcept: 'none',
  kprobeNmi: false,
  guardRcuCb: true,
  inNmiReturn1: true,
  traceCallPreempt: 'preempt',
  rawTpPreempt: true,
  overflowPreempt: true,
  traceCallCantSleep: false,
  countMissed: false,
  freelistNmi: 'spin',
  freelistLock: 'raw',
  freelistPopulate: 'irqsOff',
  queueNmi: 'spin',
  queueLock: 'raw',
  ringLock: 'sl',
  lpmLock: 'raw',
  alloc: 'kmalloc',
  stackBuildIdRt: 'naive',
  uprobePreempt: 'none',
  tpCtx: 'preempt',
  seccompPin: 'list',
  trampPin: 'preempt',
  bhLock: true,
  mightSleepText: 'short',
  kmallocNodeEvent: true,
  mmapLockName: '&mm->mmap_sem',
  timerBan: false,
  lockdepWaitTypes: false,
  proveRawLockNesting: false,
  lockdepNmi: false,
  rqEntry: 'after',
  rtSpinLockAt: 'kernel/locking/rtmutex.c:973',
  rtSpinLockPin: 'before',
};

/** The series as posted: pins instead of preemption off, the union of locks; counters still plain. */
const RFC: Knobs = {
  ...V5_6,
  progRunCheck: 'cantMigrate',
  pinSimple: 'migrate',
  pinTestRun: 'migrate',
  pinArray: 'migrate',
  pinHtab: 'migrate',
  pinSysBpf: 'migrate',
  bucketLock: 'union',
  traceCallPreempt: 'migrate',
  rawTpPreempt: false,
  overflowPreempt: false,
  freelistPopulate: 'plain',
  lpmLock: 'sl',
  stackBuildIdRt: 'fallback',
  seccompPin: 'filter',
  trampPin: 'migrate',
};

const V5_7: Knobs = {
  ...RFC,
  thisCpuRmw: 'atomic',
  preallocRule: 'v57',
  guardRcuCb: false,
  traceCallPreempt: 'none',
  traceCallCantSleep: true,
  uprobePreempt: 'preempt',
  lockdepWaitTypes: true,
};

const V5_15: Knobs = {
  ...V5_7,
  migrateDisable: 'counter',
  cantMigrate: 'real',
  bucketLock: 'union+mapLocked',
  perMapLockClass: true,
  guardTramp: true,
  inNmiReturn1: false,
  freelistNmi: 'try',
  mightSleepText: 'long',
  lockdepNmi: true,
  rtSpinLockAt: 'kernel/locking/spinlock_rt.c:46',
  rtSpinLockPin: 'after',
  mmapLockName: '&mm->mmap_lock',
};

const V6_1: Knobs = {
  ...V5_15,
  preallocRule: 'none',
  bucketLock: 'raw+mapLocked',
  mapLockedMask: 'min',
  mapLockedGuard: 'irq',
  guardRawTp: true,
  alloc: 'ma',
  guardTrampExcept: 'structOps',
  queueNmi: 'try',
  uprobePreempt: 'sleepable',
  kmallocNodeEvent: false,
};

const V6_12: Knobs = {
  ...V6_1,
  countMissed: true,
  guardTrampExcept: 'structOpsLsm',
  ringLock: 'raw',
  timerBan: true,
  rtSpinLockAt: 'kernel/locking/spinlock_rt.c:48',
};

const V6_18: Knobs = {
  ...V6_12,
  bucketLock: 'rq',
  freelistLock: 'rq',
  queueLock: 'rq',
  ringLock: 'rq',
  lpmLock: 'rq',
  bhLock: false,
  proveRawLockNesting: true,
  rqEntry: 'before',
};

const KNOBS: Readonly<Record<KernelRelease, Knobs>> = {
  '5.6': V5_6,
  rfc: RFC,
  '5.7': V5_7,
  '5.15': V5_15,
  '6.1': V6_1,
  '6.12': V6_12,
  '6.18': V6_18,
};

/** What out-of-tree RT patches of the time had before mainline: a `migrate_disable` that leaves the task preemptible. */
const RT_EARLY: Partial<Knobs> = { migrateDisable: 'counter', cantMigrate: 'off' };
/** Whoever debugs an RT kernel has the nesting of locks checked. */
const RT_ALL: Partial<Knobs> = { proveRawLockNesting: true };
const EARLY: readonly KernelRelease[] = ['5.6', 'rfc', '5.7'];

export const DEFAULT_KERNEL_PROFILE = '6.18';

export function kernelProfileNames(): string[] {
  return KERNEL_RELEASES.flatMap((release) => [release, `${release}-rt`]);
}

/**
 * The preset of a name such as `5.7` or `5.7-rt`, with some knobs turned another way.
 * @throws KernelProfileError `KERNEL_PROFILE` for a name that is none.
 */
export function kernelProfile(
  name: string,
  overrides: Partial<Omit<KernelProfile, 'name'>> = {},
): KernelProfile {
  const rt = name.endsWith('-rt');
  const release = KERNEL_RELEASES.find((known) => known === (rt ? name.slice(0, -3) : name));
  if (release === undefined) {
    const known = kernelProfileNames().join(', ');
    throw new KernelProfileError(
      'KERNEL_PROFILE',
      `"${name}" names no simulated kernel; there are: ${known}`,
    );
  }
  const early = rt && EARLY.includes(release) ? RT_EARLY : {};
  return { name, rt, ...KNOBS[release], ...(rt ? RT_ALL : {}), ...early, ...overrides };
}
