/**
 * Softirqs, and sections in which they do not run (BH disabled). Where the kernel is not RT they run at the end of a
 * hardware interrupt and when they are enabled again, without preemption; on RT in the task that enables them again or in
 * ksoftirqd, preemptible, and the sections of one CPU exclude each other by a sleeping lock (knob `bhLock`). Models
 * kernel/softirq.c of Linux 6.12 and 6.18.
 */
import type { Locks } from '../locking/index.js';
import type { LocalLock } from '../locking/local-lock.js';
import { type Flow, point } from '../sched/flow.js';
import { Kthread } from '../sched/kthread.js';
import {
  inHardirq,
  inInterrupt,
  preemptible,
  SOFTIRQ_DISABLE_OFFSET,
  SOFTIRQ_MASK,
  SOFTIRQ_OFFSET,
} from '../sched/preempt.js';
import type { Sched } from '../sched/sched.js';
import { firePoint, type ProbePoint } from '../trace/probes.js';

/** Vectors, the most urgent first. */
export const Softirq = {
  hi: 0,
  timer: 1,
  netTx: 2,
  netRx: 3,
  block: 4,
  irqPoll: 5,
  tasklet: 6,
  sched: 7,
  hrtimer: 8,
  rcu: 9,
} as const;

export type SoftirqVector = (typeof Softirq)[keyof typeof Softirq];

const SOFTIRQ_NAMES: readonly string[] = [
  'HI',
  'TIMER',
  'NET_TX',
  'NET_RX',
  'BLOCK',
  'IRQ_POLL',
  'TASKLET',
  'SCHED',
  'HRTIMER',
  'RCU',
];

/** After so long, or so many rounds, the rest is left to ksoftirqd (MAX_SOFTIRQ_TIME, MAX_SOFTIRQ_RESTART). */
const MAX_SOFTIRQ_NS = 2_000_000;
export const MAX_SOFTIRQ_RESTART = 10;

const SERVE = point('handle_softirqs');

export class Softirqs {
  private readonly actions: ((() => Flow<void>) | undefined)[] = [];
  /** RT: depth of BH-disabled sections of each CPU (`softirq_ctrl.cnt`). */
  private readonly depth: Int32Array;
  /** RT with `bhLock`: `softirq_ctrl.lock` of each CPU. */
  private readonly bhLock: LocalLock | undefined;
  private readonly daemons: readonly Kthread[];
  private readonly entry: ProbePoint;
  private readonly exit: ProbePoint;

  constructor(
    private readonly sched: Sched,
    locks: Locks,
  ) {
    this.depth = new Int32Array(sched.cpus.length);
    this.bhLock = sched.rt && sched.profile.bhLock ? locks.local('softirq_ctrl.lock') : undefined;
    this.daemons = sched.cpus.map(
      (cpu) =>
        new Kthread(
          sched,
          { comm: `ksoftirqd/${cpu.id}`, cpu: cpu.id },
          { pending: () => cpu.softirqPending !== 0, run: () => this.runKsoftirqd() },
        ),
    );
    this.entry = sched.probes.point('irq:softirq_entry');
    this.exit = sched.probes.point('irq:softirq_exit');
    locks.bh = this;
  }

  /** open_softirq. */
  open(vector: SoftirqVector, action: () => Flow<void>): void {
    this.actions[vector] = action;
  }

  /** raise_softirq: on this CPU. */
  raise(vector: SoftirqVector): void {
    const flags = this.sched.irqSave('raise_softirq');
    this.raiseIrqoff(vector);
    this.sched.irqRestore(flags);
  }

  /** raise_softirq_irqoff: in an interrupt it runs when that ends; from a task, ksoftirqd runs it. */
  raiseIrqoff(vector: SoftirqVector): void {
    const { here } = this.sched;
    here.softirqPending |= 1 << vector;
    if (!inInterrupt(here) && this.shouldWake()) this.wakeDaemon();
  }

  private shouldWake(): boolean {
    return !this.sched.rt || this.depth[this.sched.here.id] === 0;
  }

  private wakeDaemon(): void {
    this.daemons[this.sched.here.id]!.wake();
  }

  /** What the end of a hardware interrupt does about pending softirqs; interrupts are off. `threaded`: see `Irqs`. */
  *atIrqExit(threaded: boolean): Flow<void> {
    const { here, rt } = this.sched;
    if (inInterrupt(here) || here.softirqPending === 0) return;
    if (!rt && !threaded) yield* this.handle();
    else if (this.shouldWake()) this.wakeDaemon();
  }

  // BH-disabled sections

  /** local_bh_disable: a flow, because on RT it takes a sleeping lock. */
  *disable(place: string): Flow<void> {
    this.warnInHardirq('disable');
    if (this.sched.rt) yield* this.disableRt(place, SOFTIRQ_DISABLE_OFFSET);
    else this.sched.countAdd(SOFTIRQ_DISABLE_OFFSET, place);
  }

  /** local_bh_enable: pending softirqs run where that ends the outermost section. */
  *enable(): Flow<void> {
    const { sched } = this;
    this.warnInHardirq('enable');
    if (sched.here.irqsDisabled) sched.console.warnOnce('kernel/softirq.c __local_bh_enable_ip');
    if (sched.here.softirqCount === SOFTIRQ_DISABLE_OFFSET && sched.current.held.depth > 0)
      sched.onIrqsOn?.(true);
    if (sched.rt) {
      yield* this.enableRt();
      return;
    }
    // Preemption stays off until the softirqs have run.
    sched.countSub(SOFTIRQ_DISABLE_OFFSET - 1);
    if (!inInterrupt(sched.here) && sched.here.softirqPending !== 0) yield* this.doSoftirq();
    sched.preemptEnable();
    yield* sched.resched();
  }

  /** The two in plain code; they drive their flows where there is something to wait for or to run. */
  disableNow(place: string): void {
    const { sched } = this;
    if (inHardirq(sched.here) || !(sched.quiet || !sched.rt)) sched.driver?.drive(this.disable(place));
    else if (sched.rt) this.disableRtNow(place);
    else sched.countAdd(SOFTIRQ_DISABLE_OFFSET, place);
  }

  enableNow(): void {
    const { sched } = this;
    const { here } = sched;
    if (here.softirqPending !== 0 || here.needResched || here.irqsDisabled || inHardirq(here))
      sched.driver?.drive(this.enable());
    else if (sched.rt) this.leaveRt(SOFTIRQ_DISABLE_OFFSET, preemptible(here));
    else sched.countSub(SOFTIRQ_DISABLE_OFFSET);
  }

  /** do_softirq: runs what is pending now, in the current task. */
  private *doSoftirq(): Flow<void> {
    const { sched } = this;
    const flags = sched.irqSave('do_softirq');
    if (sched.here.softirqPending !== 0) yield* this.handle();
    sched.irqRestore(flags);
  }

  private warnInHardirq(what: string): void {
    const { sched } = this;
    if (inHardirq(sched.here)) sched.console.warnOnce(`kernel/softirq.c __local_bh_${what}_ip`);
  }

  private *disableRt(place: string, count: number): Flow<void> {
    const { sched, bhLock } = this;
    if (this.isFirst()) {
      if (bhLock === undefined) sched.migrateDisable(place);
      else yield* bhLock.lock(place);
      sched.current.rcuDepth++;
    }
    this.enterRt(count);
  }

  private disableRtNow(place: string): void {
    const { sched, bhLock } = this;
    if (this.isFirst()) {
      if (bhLock === undefined) sched.migrateDisable(place);
      else bhLock.lockNow(place);
      sched.current.rcuDepth++;
    }
    this.enterRt(SOFTIRQ_DISABLE_OFFSET);
  }

  /** Whether the task begins its outermost section, and can wait for the lock. */
  private isFirst(): boolean {
    const { here, current, console } = this.sched;
    if (current.softirqDisableCount !== 0) return false;
    if (preemptible(here)) return true;
    if (this.depth[here.id] !== 0)
      console.warnOnce('kernel/softirq.c __local_bh_disable_ip', 'DEBUG_LOCKS_WARN_ON(softirq_ctrl.cnt)');
    return false;
  }

  private enterRt(count: number): void {
    const { current, here } = this.sched;
    this.depth[here.id]! += count;
    const depth = this.depth[here.id]!;
    current.softirqDisableCount = this.bhLock === undefined ? current.softirqDisableCount + count : depth;
  }

  private *enableRt(): Flow<void> {
    const { sched } = this;
    const preemptOn = preemptible(sched.here);
    const flags = sched.irqSave('__local_bh_enable_ip');
    let count = SOFTIRQ_DISABLE_OFFSET;
    if (sched.current.softirqDisableCount === count && sched.here.softirqPending !== 0) {
      if (!preemptOn) this.wakeDaemon();
      else {
        // From here on the task serves softirqs.
        count = SOFTIRQ_OFFSET;
        this.leaveRt(count, false);
        yield* this.handle();
      }
    }
    this.leaveRt(count, preemptOn);
    sched.irqRestore(flags);
    yield* sched.resched();
  }

  /** __local_bh_enable. */
  private leaveRt(count: number, unlock: boolean): void {
    const { current, here } = this.sched;
    this.depth[here.id]! -= count;
    current.softirqDisableCount -= count;
    if (current.softirqDisableCount > 0 || !unlock) return;
    current.rcuDepth--;
    if (this.bhLock === undefined) this.sched.migrateEnable();
    else this.bhLock.unlock();
  }

  // Running them

  private *runKsoftirqd(): Flow<void> {
    const { sched } = this;
    if (sched.rt) yield* this.disableRt('ksoftirqd_run_begin', SOFTIRQ_OFFSET);
    const flags = sched.irqSave('run_ksoftirqd');
    if (sched.here.softirqPending !== 0) yield* this.handle();
    if (sched.rt) this.leaveRt(SOFTIRQ_OFFSET, true);
    sched.irqRestore(flags);
    yield* sched.resched();
  }

  /** handle_softirqs: begins and ends with interrupts off. */
  private *handle(): Flow<void> {
    const { sched } = this;
    const { here, rt } = sched;
    here.calls.push('handle_softirqs');
    if (!rt) sched.countAdd(SOFTIRQ_OFFSET, 'handle_softirqs');
    try {
      yield* this.rounds();
    } finally {
      if (!rt) sched.countSub(SOFTIRQ_OFFSET);
      here.calls.pop();
    }
  }

  private *rounds(): Flow<void> {
    const { sched } = this;
    const { here } = sched;
    const endNs = sched.clock.nanos + MAX_SOFTIRQ_NS;
    for (let round = 1; ; round++) {
      const pending = here.softirqPending;
      here.softirqPending = 0;
      sched.irqRestore(false);
      for (let vector = 0; pending >> vector !== 0; vector++) {
        if (((pending >> vector) & 1) !== 0) yield* this.serve(vector);
      }
      sched.irqSave('handle_softirqs');
      if (here.softirqPending === 0) return;
      if (sched.clock.nanos < endNs && !here.needResched && round < MAX_SOFTIRQ_RESTART) continue;
      this.wakeDaemon();
      return;
    }
  }

  private *serve(vector: number): Flow<void> {
    const { sched } = this;
    const { here } = sched;
    const name = SOFTIRQ_NAMES[vector]!;
    if (sched.interleaved) yield SERVE;
    const before = here.preemptCount;
    sched.note({ kind: 'irq', phase: 'entry', context: 'softirq', name });
    if (this.entry.armed) yield* firePoint(this.entry, [vector, name]);
    const action = this.actions[vector];
    if (action !== undefined) yield* action();
    if (this.exit.armed) yield* firePoint(this.exit, [vector, name]);
    sched.note({ kind: 'irq', phase: 'exit', context: 'softirq', name });
    if (here.preemptCount === before) return;
    const [was, is] = [before, here.preemptCount].map((count) => count.toString(16).padStart(8, '0'));
    sched.console.print(
      `softirq: huh, entered softirq ${vector} ${name} with preempt_count ${was}, exited with ${is}?`,
    );
    here.preemptCount = before;
  }

  /** Softirq bits of the current context, for whoever prints them. */
  get count(): number {
    return this.sched.here.softirqCount & SOFTIRQ_MASK;
  }
}
