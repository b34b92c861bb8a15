/** What all locks of a kernel share: its scheduler and executor, lockdep, the graph of waiters, and BH disabling. */

import type { Executor } from '../sched/executor.js';
import type { Flow } from '../sched/flow.js';
import { SOFTIRQ_DISABLE_OFFSET } from '../sched/preempt.js';
import type { Sched } from '../sched/sched.js';
import type { ProbePoint } from '../trace/probes.js';
import type { Lockdep } from './lockdep.js';
import type { WaitGraph } from './wait-graph.js';

/** local_bh_disable and local_bh_enable; enabling runs pending softirqs. */
export interface BhControl {
  disable(place: string): Flow<void>;
  enable(): Flow<void>;
}

export interface LockEnv {
  readonly sched: Sched;
  readonly executor: Executor;
  readonly lockdep: Lockdep;
  readonly graph: WaitGraph;
  readonly bh: BhControl;
  /** Called where a sleeping spinlock's unlock leaves the outermost read section of RCU. */
  readonly onRcuOutermost: (() => void) | undefined;
  /** Readers of every rwlock may come again, also past writers that wait (Linux's `force_read_lock_recursive`). */
  readonly recursiveReaders: boolean;
  /** The kernel function of a name, for probes; the same object each time. */
  fn(name: string): ProbePoint;
}

/** Counts BH-disabled sections; nothing is ever pending. What a kernel without softirqs has. */
export class CountingBh implements BhControl {
  constructor(private readonly sched: Sched) {}

  *disable(place: string): Flow<void> {
    const { sched } = this;
    if (!sched.rt) sched.countAdd(SOFTIRQ_DISABLE_OFFSET, place);
    else {
      sched.current.softirqDisableCount += SOFTIRQ_DISABLE_OFFSET;
      sched.migrateDisable(place);
    }
  }

  *enable(): Flow<void> {
    const { sched } = this;
    if (!sched.rt) sched.countSub(SOFTIRQ_DISABLE_OFFSET);
    else {
      sched.migrateEnable();
      sched.current.softirqDisableCount -= SOFTIRQ_DISABLE_OFFSET;
    }
  }
}
