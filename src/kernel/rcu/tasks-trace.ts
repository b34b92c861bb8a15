/**
 * RCU Tasks Trace, which sleepable programs read under: its sections may sleep, so its grace periods wait for tasks only.
 * Callbacks run in a thread. Models kernel/rcu/tasks.h of Linux 6.12.
 */
import type { Irqs } from '../irq/index.js';
import type { Executor } from '../sched/executor.js';
import type { Flow } from '../sched/flow.js';
import { Kthread } from '../sched/kthread.js';
import type { Sched } from '../sched/sched.js';
import { type Blocker, GracePeriods } from './grace-period.js';
import type { RcuHead } from './rcu.js';

export class RcuTasksTrace {
  private next: RcuHead[] = [];
  private wait: RcuHead[] = [];
  private readonly done: RcuHead[] = [];
  private readonly periods: GracePeriods;
  private readonly thread: Kthread;

  constructor(
    private readonly sched: Sched,
    executor: Executor,
    irqs: Irqs,
  ) {
    this.periods = new GracePeriods(
      sched,
      executor,
      irqs,
      'rcu_tasks_trace_gp',
      () => this.snapshot(),
      () => this.advance(),
      this,
    );
    this.thread = new Kthread(
      sched,
      { comm: 'rcu_tasks_trace_kthread' },
      { pending: () => this.done.length > 0, run: () => this.invoke() },
    );
  }

  /** rcu_read_lock_trace. */
  readLock(): void {
    this.sched.touch(this, false);
    this.sched.current.rcuTraceDepth++;
  }

  readUnlock(): void {
    const { current, console } = this.sched;
    this.sched.touch(this, false);
    if (current.rcuTraceDepth === 0) console.warnOnce('include/linux/rcupdate_trace.h rcu_read_unlock_trace');
    else current.rcuTraceDepth--;
  }

  get backlog(): number {
    return this.next.length + this.wait.length + this.done.length;
  }

  /** call_rcu_tasks_trace. */
  call(head: RcuHead): void {
    this.sched.touch(this, true);
    this.next.push(head);
    if (this.periods.underWay) return;
    this.wait = this.next;
    this.next = [];
    this.periods.request();
  }

  private snapshot(): Blocker {
    const readers = [...this.sched.tasks.values()].filter(({ rcuTraceDepth }) => rcuTraceDepth > 0);
    return () => readers.find(({ rcuTraceDepth, state }) => rcuTraceDepth > 0 && state !== 'dead')?.label;
  }

  private advance(): void {
    this.done.push(...this.wait);
    this.wait = this.next;
    this.next = [];
    if (this.done.length > 0) this.thread.wake();
    if (this.wait.length > 0) this.periods.request();
  }

  private *invoke(): Flow<void> {
    for (let head = this.done.shift(); head !== undefined; head = this.done.shift()) {
      const flow = head.func();
      if (flow !== undefined) yield* flow;
      yield* this.sched.resched();
    }
  }
}
