/**
 * RCU, preemptible: read sections are a depth of the task; sections without preemption, softirqs or interrupts count as
 * read sections too. Callbacks run in the RCU softirq, on RT in the thread rcuc/N, both with BH disabled. Models
 * kernel/rcu/tree.c and kernel/rcu/tree_plugin.h of Linux 6.12 with CONFIG_PREEMPT_RCU.
 */
import type { Irqs } from '../irq/index.js';
import { Softirq } from '../irq/softirq.js';
import type { Cpu } from '../sched/cpu.js';
import { mightSleep } from '../sched/debug.js';
import type { Executor } from '../sched/executor.js';
import { type Flow, point, type Waitable } from '../sched/flow.js';
import { Kthread } from '../sched/kthread.js';
import { HARDIRQ_MASK, preemptible } from '../sched/preempt.js';
import type { Sched } from '../sched/sched.js';
import { sleepUntil } from '../sched/sleep.js';
import { type Blocker, GracePeriods } from './grace-period.js';

/** A callback. `func` may be plain, or give a flow where it takes locks. */
export interface RcuHead {
  readonly name: string;
  readonly func: () => Flow<void> | undefined;
}

/** Callbacks in a row before others get a turn (blimit). */
const BATCH_LIMIT = 10;
/** So many callbacks wait before plain code, which has nobody else to run them, does so itself. */
const QUIET_BATCH = 64;
const BETWEEN_CALLBACKS = point('rcu_do_batch');

/** Of one CPU: waiting for the next grace period, for the present one, for being invoked. */
interface CallbackLists {
  next: RcuHead[];
  wait: RcuHead[];
  done: RcuHead[];
}

export class Rcu {
  private readonly lists: readonly CallbackLists[];
  private readonly threads: readonly Kthread[];
  private readonly periods: GracePeriods;
  /** Callbacks that have not run yet. */
  private waiting = 0;

  constructor(
    private readonly sched: Sched,
    executor: Executor,
    private readonly irqs: Irqs,
  ) {
    this.lists = sched.cpus.map(() => ({ next: [], wait: [], done: [] }));
    this.periods = new GracePeriods(
      sched,
      executor,
      irqs,
      'rcu_gp_fqs',
      () => this.snapshot(),
      () => this.advance(),
      this,
    );
    this.threads = sched.cpus.map(({ id }) => {
      const attr = { comm: `rcuc/${id}`, cpu: id, policy: 'fifo', rtPriority: 1 } as const;
      const pending = (): boolean => this.lists[id]!.done.length > 0;
      return new Kthread(sched, attr, { pending, run: () => this.runThread() });
    });
    irqs.softirq.open(Softirq.rcu, () => this.doBatch());
  }

  // Readers

  readLock(): void {
    this.sched.touch(this, false);
    this.sched.current.rcuDepth++;
  }

  readUnlock(): void {
    const { current, console } = this.sched;
    this.sched.touch(this, false);
    if (current.rcuDepth === 0) console.warnOnce('kernel/rcu/tree_plugin.h __rcu_read_unlock');
    else current.rcuDepth--;
  }

  // Updaters

  /** Callbacks that have not run yet. */
  get backlog(): number {
    return this.waiting;
  }

  /** Grace periods that have ended. */
  get completed(): number {
    return this.periods.completed;
  }

  /** call_rcu, from any context. */
  call(head: RcuHead): void {
    const { sched } = this;
    const list = this.lists[sched.here.id]!;
    sched.touch(this, true);
    list.next.push(head);
    this.waiting++;
    if (!this.periods.underWay) {
      this.rotate();
      this.periods.request();
    }
    if (this.waiting >= QUIET_BATCH) this.runQuiet();
  }

  /**
   * Where nothing interleaves and nobody reads, what waits can run right away: for plain code that frees much and never
   * lets the simulation go on. Does nothing anywhere else.
   */
  runQuiet(): void {
    const { sched } = this;
    const { here, current } = sched;
    if (!sched.quiet || this.waiting === 0) return;
    if (!preemptible(here) || here.interrupts.length > 0 || current.softirqDisableCount > 0) return;
    for (const task of sched.tasks.values()) if (task.rcuDepth > 0) return;
    for (const list of this.lists) {
      for (const head of [...list.done.splice(0), ...list.wait.splice(0), ...list.next.splice(0)]) {
        this.waiting--;
        const flow = head.func();
        if (flow !== undefined) sched.driver?.drive(flow);
      }
    }
  }

  /** synchronize_rcu: sleeps for a whole grace period. */
  *synchronize(): Flow<void> {
    yield* this.waitFor('synchronize_rcu', (head) => this.call(head));
  }

  /** rcu_barrier: sleeps until every callback that is queued now has run. */
  *barrier(): Flow<void> {
    const { sched } = this;
    mightSleep(sched, 'kernel/rcu/tree.c:4571');
    let left = this.waiting;
    if (left === 0) return;
    const task = sched.current;
    for (const list of this.lists) {
      for (const heads of [list.next, list.wait, list.done]) {
        for (let i = 0; i < heads.length; i++)
          heads[i] = counting(heads[i]!, () => --left === 0 && sched.wake(task));
      }
    }
    yield* sleepUntil(sched, this.waitable('rcu_barrier'), () => left === 0);
  }

  private *waitFor(name: string, call: (head: RcuHead) => void): Flow<void> {
    const { sched } = this;
    mightSleep(sched, 'kernel/rcu/update.c:370');
    const task = sched.current;
    if (task.rcuDepth > 0)
      sched.console.warnOnce(
        'kernel/rcu/tree.c synchronize_rcu',
        'Illegal synchronize_rcu() in RCU read-side critical section',
      );
    let over = false;
    call({
      name: 'wakeme_after_rcu',
      func: () => {
        over = true;
        sched.wake(task);
        return undefined;
      },
    });
    yield* sleepUntil(sched, this.waitable(name), () => over);
  }

  private waitable(name: string): Waitable {
    return { name, holder: () => this.periods.heldBy() };
  }

  // Grace periods

  /** Tasks inside read sections, and CPUs in sections that count as one. */
  private snapshot(): Blocker {
    const tasks = [...this.sched.tasks.values()].filter(
      ({ rcuDepth, state }) => rcuDepth > 0 && state !== 'dead',
    );
    const cpus = this.sched.cpus
      .filter((cpu) => !quiescent(cpu))
      .map((cpu) => ({ cpu, switches: cpu.switchedAt, task: cpu.current }));
    return () => {
      const task = tasks.find(({ rcuDepth, state }) => rcuDepth > 0 && state !== 'dead');
      if (task !== undefined) return task.label;
      const held = cpus.find(
        ({ cpu, switches, task: ran }) =>
          cpu.switchedAt === switches && cpu.current === ran && !quiescent(cpu),
      );
      return held === undefined ? undefined : `${held.cpu.current.label} on CPU ${held.cpu.id}`;
    };
  }

  private rotate(): void {
    for (const list of this.lists) list.wait = list.next.splice(0);
  }

  /** A grace period has ended: what waited for it can be invoked. */
  private advance(): void {
    const { sched, irqs } = this;
    for (const [cpu, list] of this.lists.entries()) {
      list.done.push(...list.wait.splice(0));
      if (list.done.length === 0) continue;
      if (sched.rt) this.threads[cpu]!.wake();
      else if (cpu === sched.here.id) irqs.softirq.raiseIrqoff(Softirq.rcu);
      else irqs.raise('rcu_core', () => this.raiseHere(), cpu);
    }
    this.rotate();
    if (this.lists.some(({ wait }) => wait.length > 0)) this.periods.request();
  }

  private *raiseHere(): Flow<void> {
    this.irqs.softirq.raiseIrqoff(Softirq.rcu);
  }

  private *runThread(): Flow<void> {
    yield* this.irqs.softirq.disable('rcu_cpu_kthread');
    yield* this.doBatch();
    yield* this.irqs.softirq.enable();
  }

  /** rcu_do_batch: with BH disabled. */
  private *doBatch(): Flow<void> {
    const { sched } = this;
    const { here } = sched;
    const { done } = this.lists[here.id]!;
    let left = Math.max(BATCH_LIMIT, done.length >> 3);
    here.calls.push('rcu_do_batch');
    while (left-- > 0) {
      const head = done.shift();
      if (head === undefined) break;
      this.waiting--;
      here.calls.push(head.name);
      const flow = head.func();
      if (flow !== undefined) yield* flow;
      here.calls.pop();
      if (sched.interleaved) yield BETWEEN_CALLBACKS;
    }
    here.calls.pop();
    if (done.length > 0 && !sched.rt) this.irqs.softirq.raise(Softirq.rcu);
  }
}

/** The CPU is in nothing that counts as a read section; on RT BH-disabled sections are read sections of their task. */
function quiescent(cpu: Cpu): boolean {
  // The look itself is an interrupt on its CPU.
  const count = cpu.interrupts.length === 1 ? cpu.preemptCount & ~HARDIRQ_MASK : cpu.preemptCount;
  const looking = cpu.interrupts.length === 1 && cpu.interrupts[0]!.name === 'rcu_gp_fqs';
  if (cpu.interrupts.length > 0 && !looking) return false;
  return count === 0 && (looking || !cpu.irqsDisabled);
}

function counting(head: RcuHead, onDone: () => void): RcuHead {
  return {
    name: head.name,
    func: () => {
      const flow = head.func();
      if (flow === undefined) onDone();
      return flow === undefined ? undefined : followed(flow, onDone);
    },
  };
}

function* followed(flow: Flow<void>, onDone: () => void): Flow<void> {
  yield* flow;
  onDone();
}
