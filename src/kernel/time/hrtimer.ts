/**
 * High-resolution timers: hard ones expire in the timer interrupt, soft ones in the HRTIMER softirq; on RT all are soft
 * that are not asked to be hard. Models kernel/time/hrtimer.c of Linux 6.12 (one clock, that of `ktime_get`).
 */
import type { Irqs } from '../irq/index.js';
import { Softirq } from '../irq/softirq.js';
import type { Cpu } from '../sched/cpu.js';
import type { Executor, Timer } from '../sched/executor.js';
import type { Flow } from '../sched/flow.js';
import { type Sched, waitable } from '../sched/sched.js';
import { sleepUntil } from '../sched/sleep.js';
import type { Task } from '../sched/task.js';
import { firePoint, type ProbePoint } from '../trace/probes.js';

/** HRTIMER_MODE_HARD, HRTIMER_MODE_SOFT, or neither: hard, but soft on RT. */
export type HrtimerMode = 'hard' | 'soft' | 'default';

export class Hrtimer {
  /** When it expires, ns since boot. */
  expiresNs = 0;
  /** Base that it is queued on; undefined while it is not. */
  base: HrtimerBase | undefined;
  /** Its function runs. */
  running = false;
  /** Who waits for the function to end. */
  readonly waiters: Task[] = [];

  /**
   * `func` returns in how many nanoseconds it is to expire again (HRTIMER_RESTART), counted from the expiry before, or
   * undefined.
   */
  constructor(
    readonly name: string,
    readonly func: () => Flow<number | undefined>,
    readonly soft: boolean,
  ) {}

  get active(): boolean {
    return this.base !== undefined || this.running;
  }
}

/** The timers of one CPU, hard or soft, the earliest first. */
class HrtimerBase {
  readonly timers: Hrtimer[] = [];

  constructor(readonly cpu: Cpu) {}

  add(timer: Hrtimer): void {
    const at = this.timers.findIndex((other) => other.expiresNs > timer.expiresNs);
    this.timers.splice(at < 0 ? this.timers.length : at, 0, timer);
    timer.base = this;
  }

  remove(timer: Hrtimer): void {
    this.timers.splice(this.timers.indexOf(timer), 1);
    timer.base = undefined;
  }

  get next(): number {
    return this.timers[0]?.expiresNs ?? Number.POSITIVE_INFINITY;
  }
}

/** What one CPU has: its two bases, and the interrupt that it is waiting for. */
interface CpuBase {
  readonly hard: HrtimerBase;
  readonly soft: HrtimerBase;
  event: Timer | undefined;
  /** The softirq is on its way: soft timers need no interrupt until it has run. */
  softActivated: boolean;
}

export class Hrtimers {
  private readonly bases: readonly CpuBase[];
  private readonly entry: ProbePoint;
  private readonly exit: ProbePoint;

  constructor(
    private readonly sched: Sched,
    private readonly executor: Executor,
    private readonly irqs: Irqs,
  ) {
    this.bases = sched.cpus.map((cpu) => ({
      hard: new HrtimerBase(cpu),
      soft: new HrtimerBase(cpu),
      event: undefined,
      softActivated: false,
    }));
    this.entry = sched.probes.point('timer:hrtimer_expire_entry');
    this.exit = sched.probes.point('timer:hrtimer_expire_exit');
    irqs.softirq.open(Softirq.hrtimer, () => this.runSoft());
  }

  /** hrtimer_setup. */
  create(name: string, func: () => Flow<number | undefined>, mode: HrtimerMode = 'default'): Hrtimer {
    return new Hrtimer(name, func, mode === 'soft' || (mode === 'default' && this.sched.rt));
  }

  /** hrtimer_start, relative: expires `delayNs` from now, on this CPU unless another is named. */
  start(timer: Hrtimer, delayNs: number, cpu = this.sched.here.id): void {
    this.startAt(timer, this.sched.clock.nanos + Math.max(0, delayNs), cpu);
  }

  /** The same at a time in ns since boot. One that is queued is moved. */
  startAt(timer: Hrtimer, expiresNs: number, cpu = this.sched.here.id): void {
    const flags = this.sched.irqSave('hrtimer_start_range_ns');
    this.dequeue(timer);
    timer.expiresNs = expiresNs;
    const base = this.bases[cpu]!;
    (timer.soft ? base.soft : base.hard).add(timer);
    this.program(cpu);
    this.sched.irqRestore(flags);
  }

  /** hrtimer_try_to_cancel: 1 it was queued, 0 it was not, -1 its function runs. */
  tryToCancel(timer: Hrtimer): 1 | 0 | -1 {
    const flags = this.sched.irqSave('hrtimer_try_to_cancel');
    const result = timer.running ? -1 : this.dequeue(timer) ? 1 : 0;
    this.sched.irqRestore(flags);
    return result;
  }

  /** hrtimer_cancel: waits for the function where it runs; on RT for a soft one asleep. Whether it was active. */
  *cancel(timer: Hrtimer): Flow<boolean> {
    const { sched } = this;
    for (;;) {
      const result = this.tryToCancel(timer);
      if (result >= 0) return result === 1;
      const on = waitable(`the function of timer ${timer.name}`);
      if (sched.rt && timer.soft) {
        timer.waiters.push(sched.current);
        yield* sleepUntil(sched, on, () => !timer.running);
      } else yield { kind: 'spin', until: () => !timer.running, on };
    }
  }

  private dequeue(timer: Hrtimer): boolean {
    const { base } = timer;
    if (base === undefined) return false;
    base.remove(timer);
    this.program(base.cpu.id);
    return true;
  }

  /** Has the interrupt come when the earliest timer expires. */
  private program(cpu: number): void {
    const base = this.bases[cpu]!;
    const soft = base.softActivated ? Number.POSITIVE_INFINITY : base.soft.next;
    const next = Math.min(base.hard.next, soft);
    if (base.event !== undefined) {
      if (base.event.timeNs === next) return;
      this.executor.cancel(base.event);
      base.event = undefined;
    }
    if (next === Number.POSITIVE_INFINITY) return;
    const interrupt = this.irqs.interrupt('hrtimer_interrupt', () => this.interrupt(cpu));
    base.event = this.executor.at(next, this.sched.cpus[cpu]!, interrupt);
  }

  private *interrupt(cpu: number): Flow<void> {
    const base = this.bases[cpu]!;
    base.event = undefined;
    const now = this.sched.clock.nanos;
    if (base.soft.next <= now) {
      base.softActivated = true;
      this.irqs.softirq.raiseIrqoff(Softirq.hrtimer);
    }
    yield* this.expire(base.hard);
    this.program(cpu);
  }

  private *runSoft(): Flow<void> {
    const cpu = this.sched.here.id;
    const base = this.bases[cpu]!;
    yield* this.expire(base.soft);
    base.softActivated = false;
    this.program(cpu);
  }

  private *expire(base: HrtimerBase): Flow<void> {
    const now = this.sched.clock.nanos;
    for (;;) {
      const timer = base.timers[0];
      if (timer === undefined || timer.expiresNs > now) return;
      base.remove(timer);
      timer.running = true;
      if (this.entry.armed) yield* firePoint(this.entry, [timer.name, now]);
      const again = yield* timer.func();
      if (this.exit.armed) yield* firePoint(this.exit, [timer.name]);
      timer.running = false;
      // A timer that its own function has started again stays as it was started.
      if (again !== undefined && timer.base === undefined) {
        timer.expiresNs += Math.max(1, again);
        base.add(timer);
      }
      for (const waiter of timer.waiters.splice(0)) this.sched.wake(waiter);
    }
  }
}
