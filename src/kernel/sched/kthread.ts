/**
 * Threads of the kernel's own that sleep until there is work: ksoftirqd, interrupt threads, irq_work, RCU's, workers of
 * work queues. Models kernel/smpboot.c and kernel/workqueue.c (one worker a CPU, in the order of queueing).
 */
import { type Flow, point, type Waitable } from './flow.js';
import { type Sched, waitable } from './sched.js';
import { sleepUntil } from './sleep.js';
import type { Task, TaskAttr } from './task.js';

const ROUND = point('a kernel thread between two rounds');

export interface KthreadAttr extends Pick<TaskAttr, 'policy' | 'rtPriority' | 'nice'> {
  /** E.g. `ksoftirqd/0`. */
  readonly comm: string;
  /** The only CPU that it runs on; absent: any. */
  readonly cpu?: number;
}

export interface Work {
  /** Whether there is something to do. */
  readonly pending: () => boolean;
  /** Does it. */
  readonly run: () => Flow<void>;
}

/** A thread that is made when it is first woken. */
export class Kthread {
  task: Task | undefined;
  private readonly on: Waitable;

  constructor(
    private readonly sched: Sched,
    private readonly attr: KthreadAttr,
    private readonly work: Work,
  ) {
    this.on = waitable(`work for ${attr.comm}`);
  }

  wake(): void {
    if (this.task === undefined || this.task.state === 'dead') this.task = this.start();
    else this.sched.wake(this.task);
  }

  private start(): Task {
    const { sched, attr } = this;
    const { comm, cpu, policy, rtPriority, nice } = attr;
    const pid = sched.kthreadPid();
    return sched.spawn(
      {
        pid,
        tgid: pid,
        comm,
        uid: 0,
        gid: 0,
        kthread: true,
        ...(policy !== undefined && { policy }),
        ...(rtPriority !== undefined && { rtPriority }),
        ...(nice !== undefined && { nice }),
        ...(cpu !== undefined && { affinity: [cpu] }),
      },
      () => this.loop(),
      { daemon: true },
    );
  }

  private *loop(): Flow<void> {
    const { sched, work } = this;
    for (;;) {
      yield* sleepUntil(sched, this.on, work.pending);
      yield* work.run();
      yield* sched.point(ROUND);
    }
  }
}

/** A piece of work for a work queue; it is queued once until it begins. */
export interface WorkItem {
  readonly name: string;
  readonly func: () => Flow<void>;
}

/** The bound work queue of the machine (`system_wq`): each CPU's worker does what was queued there. */
export class WorkQueue {
  private readonly items: WorkItem[][];
  private readonly workers: Kthread[];

  constructor(private readonly sched: Sched) {
    this.items = sched.cpus.map(() => []);
    this.workers = sched.cpus.map(({ id }) => {
      const queue = this.items[id]!;
      const work: Work = { pending: () => queue.length > 0, run: () => queue.shift()!.func() };
      return new Kthread(sched, { comm: `kworker/${id}:0`, cpu: id }, work);
    });
  }

  /** queue_work_on: false where it is queued already. */
  queue(item: WorkItem, cpu = this.sched.here.id): boolean {
    if (this.items.some((queue) => queue.includes(item))) return false;
    this.items[cpu]!.push(item);
    this.workers[cpu]!.wake();
    return true;
  }
}
