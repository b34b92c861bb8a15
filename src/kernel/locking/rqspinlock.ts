/**
 * The resilient spinlock of BPF (kernels from 6.15 on): a spinlock that gives up rather than hang. Waiters look for
 * deadlocks of a CPU with itself and of two with each other, and have a time limit besides. Models
 * kernel/bpf/rqspinlock.c and include/asm-generic/rqspinlock.h (6.18).
 */
import { Errno } from '../../abi/errno.js';
import { type Flow, point } from '../sched/flow.js';
import { inNmi } from '../sched/preempt.js';
import { firePoint, inFunction, type ProbePoint } from '../trace/probes.js';
import type { LockEnv } from './env.js';
import { Lock, type LockOptions } from './lock.js';
import { type LockKey, WaitType } from './lock-class.js';
import { isCalm, releaseQuick, takeQuick } from './quick.js';

/** Locks that the table of a CPU has room for (RES_NR_HELD); what does not fit is not looked for. */
export const RES_NR_HELD = 31;
/** How long the pending waiter and those without a queue node wait (RES_DEF_TIMEOUT); the queue's head twice as long. */
const RES_DEF_TIMEOUT_NS = 250_000_000;
/** Waiters look for deadlocks whenever so much time has passed. */
const RES_CHECK_INTERVAL_NS = 1_000_000;
/** Queue nodes of a CPU: for a task, a softirq, a hardirq and an NMI (_Q_MAX_NODES). */
const MAX_NODES = 4;

const BEFORE = point('res_spin_lock');
const GRAB = point('res_spin_lock before its entry');

/** What a CPU holds or is about to (`rqspinlock_held_locks`), and how many of its queue nodes are in use. */
interface CpuState {
  /** In the order in which they were wanted; the last one is being taken, or was taken last. */
  readonly entries: RqSpinLock[];
  nodes: number;
}

export class RqStates {
  private readonly states: readonly CpuState[];

  constructor(cpus: number) {
    this.states = Array.from({ length: cpus }, () => ({ entries: [], nodes: 0 }));
  }

  of(cpu: number): CpuState {
    return this.states[cpu]!;
  }

  get all(): readonly CpuState[] {
    return this.states;
  }
}

interface Ticket {
  /** The head of the queue has given up, and with it all behind it. */
  flushed: boolean;
}

export class RqSpinLock extends Lock {
  readonly spins = true;
  private pending = false;
  private readonly queue: Ticket[] = [];
  private readonly fnSlow: ProbePoint;
  private readonly begin: ProbePoint;
  private readonly end: ProbePoint;

  constructor(
    env: LockEnv,
    private readonly states: RqStates,
    key: LockKey | string,
    options: LockOptions = {},
  ) {
    // Linux has no lockdep for it; the class serves the latency report.
    super(env, key, { outer: WaitType.inv, inner: WaitType.spin }, options);
    this.fnSlow = env.fn('resilient_queued_spin_lock_slowpath');
    this.begin = env.fn('lock:contention_begin');
    this.end = env.fn('lock:contention_end');
  }

  get locked(): boolean {
    return this.owner !== undefined;
  }

  /** raw_res_spin_lock: 0, -EDEADLK or -ETIMEDOUT; interrupts are left as they are. */
  *lock(place: string): Flow<number> {
    const { sched } = this;
    if (sched.interleaved) yield BEFORE;
    sched.preemptDisable(place);
    const { entries } = this.states.of(sched.here.id);
    const late = sched.profile.rqEntry === 'after';
    if (this.untouched) {
      if (!late) entries.push(this);
      this.take(this.me, place);
      // An NMI that comes now does not find the lock among those that its CPU holds.
      if (late && sched.interleaved) yield GRAB;
      if (late) entries.push(this);
      return 0;
    }
    entries.push(this);
    const result = yield* inFunction(sched.here.calls, this.fnSlow, [], () => this.wait(place));
    if (result === 0) return 0;
    entries.pop();
    sched.preemptEnable();
    return result;
  }

  /** The same in plain code. */
  lockNow(place: string): number {
    const { sched } = this;
    if (!sched.quiet || !this.untouched) return this.env.executor.drive(this.lock(place));
    sched.preemptDisable(place);
    this.states.of(sched.here.id).entries.push(this);
    this.take(this.me, place);
    return 0;
  }

  /** With interrupts saved, where that is nothing out of the ordinary: whether they were off; otherwise undefined. */
  lockIrqsaveQuick(place: string): boolean | undefined {
    const { sched } = this;
    if (!this.untouched || !isCalm(sched)) return undefined;
    this.states.of(sched.here.id).entries.push(this);
    return takeQuick(this, sched, undefined, place);
  }

  /** Undoes that; false where it is out of the ordinary, and nothing is done. */
  unlockIrqrestoreQuick(irqsBefore: boolean): boolean {
    const { sched } = this;
    if (!isCalm(sched) || !releaseQuick(this, sched, undefined, irqsBefore)) return false;
    this.states.of(sched.here.id).entries.pop();
    return true;
  }

  tryLock(place: string): boolean {
    if (!this.untouched) return this.missed();
    this.sched.preemptDisable(place);
    this.states.of(this.sched.here.id).entries.push(this);
    this.take(this.me, place);
    return true;
  }

  /** Entries go in the reverse order in which they came, whichever lock this is. */
  unlock(): void {
    const { sched } = this;
    this.states.of(sched.here.id).entries.pop();
    this.drop();
    sched.preemptEnable();
  }

  private get untouched(): boolean {
    return this.owner === undefined && !this.pending && this.queue.length === 0;
  }

  private *wait(place: string): Flow<number> {
    this.note('contended');
    if (this.pending || this.queue.length > 0) return yield* this.waitInQueue(place);
    this.pending = true;
    const result = yield* this.spin(() => this.owner === undefined, RES_DEF_TIMEOUT_NS);
    this.pending = false;
    if (result === 0) this.take(this.me, place);
    return result;
  }

  private *waitInQueue(place: string): Flow<number> {
    const { sched } = this;
    if (this.begin.armed) yield* firePoint(this.begin, [BigInt(this.id), 1]);
    const state = this.states.of(sched.here.id);
    const index = state.nodes++;
    const direct =
      index >= MAX_NODES || (inNmi(sched.here) && index > 0 && sched.profile.rqEntry === 'before');
    const result = direct
      ? yield* this.spin(() => this.untouched, RES_DEF_TIMEOUT_NS)
      : yield* this.waitAsNode();
    if (result === 0) this.take(this.me, place);
    state.nodes--;
    if (this.end.armed) yield* firePoint(this.end, [BigInt(this.id), result]);
    return result;
  }

  private *waitAsNode(): Flow<number> {
    const { queue } = this;
    const ticket: Ticket = { flushed: false };
    queue.push(ticket);
    // Behind others nobody looks for deadlocks; the head's failure is everybody's.
    const first = (): boolean => ticket.flushed || queue[0] === ticket;
    while (!first()) yield { kind: 'spin', until: first, on: this };
    const free = (): boolean => this.owner === undefined && !this.pending;
    const result = ticket.flushed ? -Errno.EDEADLK : yield* this.spin(free, 2 * RES_DEF_TIMEOUT_NS);
    queue.splice(queue.indexOf(ticket), 1);
    if (result !== 0 && queue[0] !== undefined) queue[0].flushed = true;
    return result;
  }

  private *spin(free: () => boolean, limitNs: number): Flow<number> {
    const { sched } = this;
    const cpu = sched.here.id;
    const endNs = sched.clock.nanos + limitNs;
    let checkNs = sched.clock.nanos;
    while (!free()) {
      const nowNs = sched.clock.nanos;
      if (nowNs >= endNs) return -Errno.ETIMEDOUT;
      if (nowNs >= checkNs + RES_CHECK_INTERVAL_NS) {
        if (this.deadlocks(cpu)) return -Errno.EDEADLK;
        checkNs = nowNs;
      }
      const deadlineNs = Math.min(checkNs + RES_CHECK_INTERVAL_NS, endNs);
      yield { kind: 'spin', until: free, on: this, deadlineNs };
    }
    sched.charge(sched.costs.lockHandover);
    return 0;
  }

  /** AA: this CPU has the lock already. ABBA: the CPU that has it wants one that this CPU has. */
  private deadlocks(cpu: number): boolean {
    const mine = held(this.states.of(cpu));
    if (mine.includes(this)) return true;
    const remote = this.states.all.find(
      (state, id) =>
        id !== cpu &&
        state.entries.length >= 2 &&
        state.entries.length <= RES_NR_HELD &&
        held(state).includes(this),
    );
    return remote !== undefined && this.locked && mine.includes(remote.entries.at(-1)!);
  }
}

/** All that a CPU has but for the last, which it may only want. */
function held({ entries }: CpuState): RqSpinLock[] {
  return entries.slice(0, Math.min(entries.length, RES_NR_HELD) - 1);
}
