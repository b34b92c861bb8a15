/**
 * irq_work: what NMIs and other places without rights leave to a later interrupt. Items that are not marked hard run on RT
 * in the thread irq_work/N, preemptible. Items of one round run in reverse order of queueing, as Linux's list gives them.
 * Models kernel/irq_work.c of Linux 6.12.
 */

import type { PendingInterrupt } from '../sched/cpu.js';
import { mightSleep } from '../sched/debug.js';
import type { Executor } from '../sched/executor.js';
import type { Flow } from '../sched/flow.js';
import { Kthread } from '../sched/kthread.js';
import { inNmi } from '../sched/preempt.js';
import { type Sched, waitable } from '../sched/sched.js';

export interface IrqWorkOptions {
  /** In a hardware interrupt on RT too (IRQ_WORK_HARD_IRQ). */
  readonly hard?: boolean;
  /** Waits for the next tick or round (IRQ_WORK_LAZY). */
  readonly lazy?: boolean;
}

export class IrqWork {
  /** Queued and not begun: it cannot be queued again. */
  pending = false;
  /** Queued or running. */
  busy = false;
  readonly hard: boolean;
  readonly lazy: boolean;

  constructor(
    readonly name: string,
    readonly func: () => Flow<void>,
    options: IrqWorkOptions = {},
  ) {
    this.hard = options.hard ?? false;
    this.lazy = options.lazy ?? false;
  }
}

/** What the machine does for it: raises the interrupt that runs the lists. */
export type InterruptMaker = (name: string, body: () => Flow<void>) => PendingInterrupt;

export class IrqWorks {
  /** Of each CPU: for the interrupt, and for the thread or the tick. */
  private readonly raised: IrqWork[][];
  private readonly lazy: IrqWork[][];
  private readonly threads: readonly Kthread[];
  /** CPUs whose interrupt is on its way. */
  private readonly underWay = new Set<number>();

  constructor(
    private readonly sched: Sched,
    private readonly executor: Executor,
    private readonly interrupt: InterruptMaker,
  ) {
    this.raised = sched.cpus.map(() => []);
    this.lazy = sched.cpus.map(() => []);
    this.threads = sched.cpus.map(({ id }) => {
      const list = this.lazy[id]!;
      return new Kthread(
        sched,
        { comm: `irq_work/${id}`, cpu: id, policy: 'fifo', rtPriority: 1 },
        { pending: () => list.length > 0, run: () => this.runThread(list) },
      );
    });
  }

  /** irq_work_queue: on this CPU, from any context; false where it is queued already. */
  queue(work: IrqWork): boolean {
    return this.queueOn(work, this.sched.here.id);
  }

  /** irq_work_queue_on: not from NMI for another CPU. */
  queueOn(work: IrqWork, cpu: number): boolean {
    const { sched } = this;
    if (work.pending) return false;
    work.pending = true;
    work.busy = true;
    if (cpu !== sched.here.id && inNmi(sched.here)) {
      sched.console.warnOnce('kernel/irq_work.c irq_work_queue_on', 'WARN_ON_ONCE(in_nmi())');
    }
    const toThread = sched.rt && !work.hard;
    const list = (work.lazy || toThread ? this.lazy : this.raised)[cpu]!;
    list.push(work);
    if (list.length === 1 && !(work.lazy && cpu === sched.here.id)) this.raise(cpu);
    return true;
  }

  private raise(cpu: number): void {
    if (this.underWay.has(cpu)) return;
    this.underWay.add(cpu);
    this.executor.raise(
      this.sched.cpus[cpu]!,
      this.interrupt('irq_work', () => this.runInterrupt(cpu)),
    );
  }

  /** irq_work_run, in the interrupt. */
  private *runInterrupt(cpu: number): Flow<void> {
    this.underWay.delete(cpu);
    yield* this.runList(this.raised[cpu]!);
    yield* this.runLazy(cpu);
  }

  /** What the tick does about lazy items too (irq_work_tick). */
  *runLazy(cpu: number): Flow<void> {
    const list = this.lazy[cpu]!;
    if (list.length === 0) return;
    if (this.sched.rt) this.threads[cpu]!.wake();
    else yield* this.runList(list);
  }

  private *runThread(list: IrqWork[]): Flow<void> {
    const { current } = this.sched;
    current.rcuDepth++;
    yield* this.runList(list);
    current.rcuDepth--;
  }

  private *runList(list: IrqWork[]): Flow<void> {
    const { here } = this.sched;
    const { calls } = here;
    for (const work of list.splice(0).reverse()) {
      work.pending = false;
      calls.push('irq_work_single', work.name);
      // What RT would run in a thread may take the locks that sleep there (lockdep_irq_work_enter).
      const threadable = here.irqThreadable;
      here.irqThreadable = !work.hard;
      yield* work.func();
      here.irqThreadable = threadable;
      calls.length -= 2;
      // Queued again meanwhile, it stays busy.
      if (!work.pending) work.busy = false;
    }
  }

  /** irq_work_sync: waits until it is neither queued nor running. */
  *sync(work: IrqWork): Flow<void> {
    mightSleep(this.sched, 'kernel/irq_work.c:302');
    if (work.busy) yield { kind: 'spin', until: () => !work.busy, on: waitable(`irq_work ${work.name}`) };
  }
}
