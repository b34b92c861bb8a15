/**
 * The periodic tick of each CPU that is not idle: accounts for the task's time, ends turns of equal tasks, balances CPUs,
 * gives lazy irq_work its round. It stays in hard interrupt context on RT. Off unless asked for: without it a task keeps
 * its CPU until it waits or a more urgent one comes. Models kernel/time/tick-sched.c and `sched_tick` (kernel/sched/core.c).
 */
import type { Irqs } from '../irq/index.js';
import { Softirq } from '../irq/softirq.js';
import type { Cpu } from '../sched/cpu.js';
import type { Executor, Timer } from '../sched/executor.js';
import type { Flow } from '../sched/flow.js';
import type { Sched } from '../sched/sched.js';
import { RR_TIMESLICE_TICKS } from '../sched/weights.js';

/** Nanoseconds between ticks: CONFIG_HZ is 250. */
export const TICK_NS = 4_000_000;
/** Ticks between two looks at how busy the CPUs are. */
const BALANCE_TICKS = 4;

export class Tick {
  /** Ticks that each CPU has had. */
  readonly counts: number[];
  private readonly armed: (Timer | undefined)[];
  private on = false;
  /** Somebody waits for a CPU: a tick can make a difference. */
  private readonly waited = (): boolean => this.sched.cpus.some(({ queue }) => queue.length > 0);

  constructor(
    private readonly sched: Sched,
    private readonly executor: Executor,
    private readonly irqs: Irqs,
  ) {
    this.counts = sched.cpus.map(() => 0);
    this.armed = sched.cpus.map(() => undefined);
    irqs.softirq.open(Softirq.sched, () => this.balance());
  }

  start(): void {
    if (this.on) return;
    this.on = true;
    this.sched.onBusy = (cpu) => this.arm(cpu);
    for (const cpu of this.sched.cpus) if (cpu.current !== cpu.idle) this.arm(cpu);
  }

  stop(): void {
    this.on = false;
    this.sched.onBusy = undefined;
    for (const timer of this.armed) if (timer !== undefined) this.executor.cancel(timer);
    this.armed.fill(undefined);
  }

  private arm(cpu: Cpu): void {
    if (!this.on || this.armed[cpu.id] !== undefined) return;
    const next = (Math.floor(this.sched.timeOf(cpu) / TICK_NS) + 1) * TICK_NS;
    const interrupt = this.irqs.interrupt('tick_nohz_handler', () => this.handle(cpu));
    this.armed[cpu.id] = this.executor.at(next, cpu, interrupt, this.waited);
  }

  private *handle(cpu: Cpu): Flow<void> {
    this.armed[cpu.id] = undefined;
    const count = ++this.counts[cpu.id]!;
    if (cpu.current !== cpu.idle) {
      this.endTurn(cpu);
      // An idle CPU gets its next tick when it turns to a task.
      this.arm(cpu);
    }
    yield* this.irqs.work.runLazy(cpu.id);
    if (count % BALANCE_TICKS === 0) this.irqs.softirq.raiseIrqoff(Softirq.sched);
  }

  /** sched_tick. */
  private endTurn(cpu: Cpu): void {
    const { sched } = this;
    const { current } = cpu;
    sched.account(cpu);
    if (current.prio >= 100) {
      if (sched.turnIsOver(cpu, sched.timeOf(cpu) - cpu.switchedAt)) cpu.needResched = true;
      return;
    }
    if (current.policy !== 'rr' || --current.slice > 0) return;
    current.slice = RR_TIMESLICE_TICKS;
    if (!cpu.queue.some((task) => task.prio === current.prio)) return;
    current.yields = true;
    cpu.needResched = true;
  }

  /** run_rebalance_domains. */
  private *balance(): Flow<void> {
    this.sched.balance(this.sched.here);
  }
}
