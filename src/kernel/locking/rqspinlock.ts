/**
 * The resilient spinlock of BPF (kernels from 6.15 on): a spinlock that gives up rather than hang. Waiters look for
 * deadlocks of one CPU with itself and of two with each other, and have a time limit besides. Models
 * kernel/bpf/rqspinlock.c and include/asm-generic/rqspinlock.h (6.18).
 */
import { Errno } from '../../abi/errno.js';
import { type Flow, point } from '../sched/flow.js';
import { inNmi } from '../sched/preempt.js';
import { firePoint, type ProbePoint } from '../trace/probes.js';
import type { LockEnv } from './env.js';
import { Lock, type LockOptions } from './lock.js';
import { type LockKey, WaitType } from './lock-class.js';

/** Locks that the table of a CPU has room for (RES_NR_HELD); what does not fit is not looked for. */
export const RES_NR_HELD = 31;
/** How long a waiter without a place in the queue, or next in line, waits; and how long the queue's head. */
export const RES_DEF_TIMEOUT_NS = 250_000_000;
export const RES_HEAD_TIMEOUT_NS = 2 * RES_DEF_TIMEOUT_NS;
/** Waiters look for deadlocks at first and then this often. */
const CHECK_INTERVAL_NS = 1_000_000;

const BEFORE = point('res_spin_lock');

/** What each CPU holds or is about to (`rqspinlock_held_locks`). */
export class HeldTables {
  private readonly tables: RqSpinLock[][];

  constructor(cpus: number) {
    this.tables = Array.from({ length: cpus }, () => []);
  }

  of(cpu: number): RqSpinLock[] {
    return this.tables[cpu]!;
  }
}

export class RqSpinLock extends Lock {
  readonly spins = true;
  /** Waiters in the order in which they came; the first is the pending one or the queue's head. */
  private readonly queue: object[] = [];
  private readonly begin: ProbePoint;
  private readonly end: ProbePoint;

  constructor(
    env: LockEnv,
    private readonly tables: HeldTables,
    key: LockKey | string,
    options: LockOptions = {},
  ) {
    // Linux has no lockdep for it; the class serves the latency report.
    super(env, key, { outer: WaitType.inv, inner: WaitType.spin }, options);
    this.begin = env.sched.probes.point('lock:contention_begin');
    this.end = env.sched.probes.point('lock:contention_end');
  }

  get locked(): boolean {
    return this.owner !== undefined;
  }

  /** 0, -EDEADLK or -ETIMEDOUT; interrupts are left as they are. */
  *lock(place: string): Flow<number> {
    const { sched } = this;
    if (sched.interleaved) yield BEFORE;
    sched.preemptDisable(place);
    const table = this.tables.of(sched.here.id);
    table.push(this);
    const result = this.owner === undefined && this.queue.length === 0 ? 0 : yield* this.wait();
    if (result === 0) this.take(this.me, place);
    else {
      this.forget(table);
      sched.preemptEnable();
    }
    return result;
  }

  /** The same in plain code. */
  lockNow(place: string): number {
    const { sched } = this;
    if (this.owner !== undefined || !sched.quiet) return this.env.executor.drive(this.lock(place));
    sched.preemptDisable(place);
    this.tables.of(sched.here.id).push(this);
    this.take(this.me, place);
    return 0;
  }

  tryLock(place: string): boolean {
    const { sched } = this;
    if (this.owner !== undefined || this.queue.length > 0) return false;
    sched.preemptDisable(place);
    this.tables.of(sched.here.id).push(this);
    this.take(this.me, place);
    return true;
  }

  unlock(): void {
    const { sched } = this;
    this.forget(this.tables.of(sched.here.id));
    this.drop();
    sched.preemptEnable();
  }

  private forget(table: RqSpinLock[]): void {
    const at = table.lastIndexOf(this);
    if (at >= 0) table.splice(at, 1);
  }

  private *wait(): Flow<number> {
    if (this.begin.armed) yield* firePoint(this.begin, [BigInt(this.id), 0]);
    const result = yield* this.waitInLine();
    if (this.end.armed) yield* firePoint(this.end, [BigInt(this.id), result]);
    return result;
  }

  private *waitInLine(): Flow<number> {
    const { sched, queue } = this;
    const ticket = {};
    const { here } = sched;
    // In NMI a waiter does not queue, it tries again and again.
    const queued = !inNmi(here);
    if (queued) queue.push(ticket);
    const start = sched.clock.nanos;
    const free = (): boolean => this.owner === undefined && (!queued || queue[0] === ticket);
    const limit = (): number =>
      start + (queued && queue.length > 1 && queue[0] === ticket ? RES_HEAD_TIMEOUT_NS : RES_DEF_TIMEOUT_NS);
    let result = 0;
    while (!free()) {
      if (this.deadlocks(here.id)) result = -Errno.EDEADLK;
      else if (sched.clock.nanos >= limit()) result = -Errno.ETIMEDOUT;
      if (result !== 0) break;
      const deadlineNs = Math.min(sched.clock.nanos + CHECK_INTERVAL_NS, limit());
      yield { kind: 'spin', until: free, on: this, deadlineNs };
    }
    const at = queue.indexOf(ticket);
    if (at >= 0) queue.splice(at, 1);
    if (result === 0) sched.charge(sched.costs.lockHandover);
    return result;
  }

  /** AA: this CPU has the lock already. ABBA: who has it wants one that this CPU has. */
  private deadlocks(cpu: number): boolean {
    const own = this.tables.of(cpu).slice(0, RES_NR_HELD);
    const mine = own.slice(0, -1);
    if (mine.includes(this)) return true;
    return this.sched.cpus.some(({ id }) => {
      if (id === cpu) return false;
      const table = this.tables.of(id).slice(0, RES_NR_HELD);
      const wanted = table.at(-1);
      return wanted !== undefined && wanted !== this && mine.includes(wanted) && table.includes(this);
    });
  }
}
