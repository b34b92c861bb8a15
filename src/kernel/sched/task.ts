/**
 * Tasks: who they are, how they are scheduled, and what kernel code keeps of them. Models `struct task_struct`
 * (include/linux/sched.h) as far as locks, pinning and the scheduler look at it.
 */
import { HeldLocks } from '../locking/held-locks.js';
import type { Flow, Pause, Waitable } from './flow.js';
import { IDLE_WEIGHT, RR_TIMESLICE_TICKS, weightOf } from './weights.js';

export type SchedPolicy = 'normal' | 'fifo' | 'rr' | 'deadline' | 'idle';

export interface TaskAttr {
  readonly pid: number;
  readonly tgid: number;
  /** At most 15 bytes are kept. */
  readonly comm: string;
  readonly uid: number;
  readonly gid: number;
  readonly parent?: TaskAttr;
  /** Default `normal`. */
  readonly policy?: SchedPolicy;
  /** 1 to 99 for `fifo` and `rr`. */
  readonly rtPriority?: number;
  /** -20 to 19 for `normal`; default 0. */
  readonly nice?: number;
  /** For `deadline`: nanoseconds from becoming runnable to the deadline; default 1 ms. */
  readonly deadlineNs?: number;
  /** CPUs that it may run on; default all. */
  readonly affinity?: readonly number[];
  /** Has no user space: its `mm` is absent. */
  readonly kthread?: boolean;
}

/** What runs where nothing else is said. */
export const DEFAULT_TASK: TaskAttr = {
  pid: 1001,
  tgid: 1000,
  comm: 'bpflab',
  uid: 1000,
  gid: 1000,
  parent: { pid: 1, tgid: 1, comm: 'init', uid: 0, gid: 0 },
};

/** TASK_COMM_LEN, with its NUL. */
export const TASK_COMM_LEN = 16;
/** First priority of tasks that are not real-time (MAX_RT_PRIO). */
export const MAX_RT_PRIO = 100;
const DEFAULT_PRIO = 120;
const IDLE_PRIO = 140;
const DEADLINE_PRIO = -1;
const DEFAULT_DEADLINE_NS = 1_000_000;

/**
 * `new`: not started. `running`: on a CPU or waiting for one. `sleeping`: until woken; `rtlock`: the same inside a
 * sleeping spinlock, which keeps the state around it. `dead`: its flow has ended.
 */
export type TaskState = 'new' | 'running' | 'sleeping' | 'rtlock' | 'dead';

export class Task {
  private keptComm: Uint8Array | undefined;
  state: TaskState = 'new';
  /** What its sleep is for. */
  sleepsOn: Waitable | undefined;
  /** State to go back to after a sleeping spinlock; a wake-up meanwhile is kept here. */
  savedState: TaskState = 'running';
  /** Its own priority (`normal_prio`): lower is more urgent; below 0 deadline, 0 to 99 real-time, 100 to 139 normal. */
  normalPrio: number;
  /** The effective one, with what waiters of its locks lend it. */
  prio: number;
  /** CPU that it runs or last ran on. */
  cpu = 0;
  /** On a CPU now. */
  onCpu = false;
  affinity: ReadonlySet<number> | undefined;
  /** A mask that waits until migration is enabled. */
  pendingAffinity: ReadonlySet<number> | undefined;
  /** Who waits until that mask holds. */
  readonly affinityWaiters: Task[] = [];
  /** Depth of `migrate_disable` where that is a counter. */
  migrationDisabled = 0;
  /** RT: depth of BH-disabled sections (`softirq_disable_cnt`), in units of `preempt_count`. */
  softirqDisableCount = 0;
  /** Depth of `rcu_read_lock`. */
  rcuDepth = 0;
  /** Locks that it holds, interrupts on top of it included. */
  readonly held = new HeldLocks();
  /** Depth of `rcu_read_lock_trace`. */
  rcuTraceDepth = 0;
  /** Interrupts were off when it left its CPU. */
  irqsDisabled = false;
  /** Nanoseconds that it has had a CPU (`sum_exec_runtime`), interrupts on top of it included. */
  execRuntimeNs = 0;
  /** Weighted nanoseconds on a CPU, for fairness among `normal` tasks. */
  vruntime = 0;
  /** Order of arrival in its run queue; one that is preempted keeps its place. */
  queued = 0;
  /** Its turn is over: goes to the end of its run queue when it leaves its CPU. */
  yields = false;
  /** `rr`: what is left of its turn, in ticks. */
  slice = RR_TIMESLICE_TICKS;
  /** `deadline`: when it has to be done, ns since boot. */
  deadlineAt = 0;
  /** Share of CPU time among fair tasks; nice 0 has 1024. */
  readonly weight: number;
  /** Why it paused last, where it has not left its CPU by itself. */
  pause: Pause | undefined;
  /** What runs it; undefined for the idle tasks and for those that the host drives. */
  flow: Flow<void> | undefined;
  /** Sleeps for work most of the time, so that sleeping is no sign of a deadlock. */
  daemon = false;
  /** Kernel functions under way, outermost first. */
  readonly calls: string[] = [];
  /** Activations of it on the host's own stack: while there are some, the executor does not resume it. */
  driven = 0;
  /** Its `struct task_struct` as programs see it, where somebody may look. */
  image: { readonly address: bigint } | undefined;

  constructor(readonly attr: TaskAttr) {
    this.normalPrio = normalPrio(attr);
    this.prio = this.normalPrio;
    this.weight = attr.policy === 'idle' ? IDLE_WEIGHT : weightOf(attr.nice ?? 0);
    this.affinity = attr.affinity === undefined ? undefined : new Set(attr.affinity);
  }

  /** `comm` as it lies in memory: cut to 15 bytes, padded with NULs. */
  get commBytes(): Uint8Array {
    this.keptComm ??= commBytes(this.attr.comm);
    return this.keptComm;
  }

  get pid(): number {
    return this.attr.pid;
  }

  get comm(): string {
    return this.attr.comm.slice(0, TASK_COMM_LEN - 1);
  }

  /** As reports name it, e.g. `bpflab/1001`. */
  get label(): string {
    return `${this.comm}/${this.pid}`;
  }

  get policy(): SchedPolicy {
    return this.attr.policy ?? 'normal';
  }

  /** Nanoseconds from becoming runnable to its deadline. */
  get deadlineNs(): number {
    return this.attr.deadlineNs ?? DEFAULT_DEADLINE_NS;
  }

  allows(cpu: number): boolean {
    return this.affinity === undefined || this.affinity.has(cpu);
  }
}

function normalPrio({ policy = 'normal', rtPriority = 1, nice = 0 }: TaskAttr): number {
  if (policy === 'normal') return DEFAULT_PRIO + nice;
  if (policy === 'idle') return IDLE_PRIO;
  return policy === 'deadline' ? DEADLINE_PRIO : MAX_RT_PRIO - 1 - rtPriority;
}

export function commBytes(comm: string): Uint8Array {
  const bytes = new Uint8Array(TASK_COMM_LEN);
  bytes.set(new TextEncoder().encode(comm).subarray(0, TASK_COMM_LEN - 1));
  return bytes;
}
