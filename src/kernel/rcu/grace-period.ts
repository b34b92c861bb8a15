/**
 * Grace periods: those who asked wait until everybody who could still see the old state has let go of it. One is under
 * way at a time; what asks meanwhile waits for the next. Whether one is over is looked at once a tick, as Linux's grace
 * period thread does when it forces quiescent states (kernel/rcu/tree.c).
 */
import type { Irqs } from '../irq/index.js';
import type { Executor } from '../sched/executor.js';
import type { Flow } from '../sched/flow.js';
import type { Sched } from '../sched/sched.js';
import { TICK_NS } from '../time/tick.js';

/** Who still holds a grace period up, as a report names them; undefined when nobody does. */
export type Blocker = () => string | undefined;

export class GracePeriods {
  /** Grace periods that have ended. */
  completed = 0;
  private blocker: Blocker | undefined;

  /**
   * @param snapshot notes the readers that there are now
   * @param owner the RCU whose readers and callers these are, as steps say that they use it
   * @param onEnd told when a grace period has ended, before the next begins, in a hardware interrupt
   */
  constructor(
    private readonly sched: Sched,
    private readonly executor: Executor,
    private readonly irqs: Irqs,
    private readonly name: string,
    private readonly snapshot: () => Blocker,
    private readonly onEnd: () => void,
    private readonly owner: object,
  ) {}

  get underWay(): boolean {
    return this.blocker !== undefined;
  }

  /** Who holds the present one up. */
  heldBy(): string | undefined {
    return this.blocker?.();
  }

  /** Begins one; while one is under way, nothing: when that ends, `onEnd` sees who still waits. */
  request(): void {
    if (this.underWay) return;
    this.blocker = this.snapshot();
    this.poll();
  }

  private poll(): void {
    const { sched } = this;
    const interrupt = this.irqs.interrupt(this.name, () => this.look());
    const latest = Math.max(...sched.cpus.map((cpu) => sched.timeOf(cpu)));
    this.executor.at(latest + TICK_NS, sched.cpus[0]!, interrupt, () => true);
  }

  private *look(): Flow<void> {
    this.sched.touch(this.owner, true);
    if (this.blocker?.() !== undefined) {
      this.poll();
      return;
    }
    this.blocker = undefined;
    this.completed++;
    this.onEnd();
  }
}
