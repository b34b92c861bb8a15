/**
 * What every lock of the simulated kernel is: a name, a class, a holder with the place where it was taken, the time
 * since. Relies on the lock environment (`env.ts`); who waits for whom is `wait-graph.ts`.
 */
import type { Flow, Waitable } from '../sched/flow.js';
import type { Sched } from '../sched/sched.js';
import { firePoint, inFunction } from '../trace/probes.js';
import type { LockEnv } from './env.js';
import { type DepMap, type LockClass, LockKey, type LockType } from './lock-class.js';
import type { Agent, Contended } from './wait-graph.js';

/** What kind of waiting the tracepoint contention_begin tells of (include/trace/events/lock.h). */
export const LCB_SPIN = 1;
export const LCB_READ = 2;
export const LCB_WRITE = 4;
export const LCB_RT = 8;
export const LCB_MUTEX = 32;

export interface LockOptions {
  /** Name of the one lock; default that of its class. */
  readonly name?: string;
  readonly subclass?: number;
}

/** How a lock is waited for and then taken. */
export interface SlowPath {
  /** Linux's function, for probes and stacks. */
  readonly fn: string;
  /** What the tracepoint contention_begin tells, a set of `LCB_…`. */
  readonly flags: number;
  readonly wait: () => Flow<void>;
  /** At once after the wait. */
  readonly take: () => void;
}

/** Wait types and kind of a lock, for its class. */
export interface LockWaits {
  readonly outer: number;
  readonly inner: number;
  readonly type?: LockType;
}

export abstract class Lock implements DepMap, Waitable, Contended {
  readonly key: LockKey;
  readonly cls: LockClass;
  readonly id: number;
  /** Who holds it alone. */
  owner: Agent | undefined;
  /** Where and when it was taken last. */
  place = '';
  sinceNs = 0;
  readonly sched: Sched;
  private readonly ownName: string | undefined;

  /** Its waiters keep their CPUs busy. */
  abstract readonly spins: boolean;

  /** `key`: its class; a text stands for one class for all locks made with that text. */
  constructor(
    protected readonly env: LockEnv,
    key: LockKey | string,
    waits: LockWaits,
    options: LockOptions = {},
  ) {
    this.sched = env.sched;
    this.key = key instanceof LockKey ? key : env.lockdep.key(key);
    this.cls = env.lockdep.classOf(this.key, options.subclass ?? 0, waits);
    this.id = env.lockdep.nextId();
    this.ownName = options.name;
  }

  get name(): string {
    return this.ownName ?? this.key.name;
  }

  /** Everybody who has to let go of it before somebody else can have it. */
  holders(): Agent[] {
    return this.owner === undefined ? [] : [this.owner];
  }

  /** Whom a waiter needs to get out of the way. */
  blockers(_waiter: Agent): Agent[] {
    return this.holders();
  }

  /** As a report names who has it. */
  holder(): string | undefined {
    const [first, ...others] = this.holders();
    if (first === undefined) return undefined;
    const more = others.length > 0 ? ` and ${others.length} more` : '';
    return `${this.env.graph.label(first)}${more}, taken at ${this.place}`;
  }

  /** spin_lock_init and its kin on memory that held this lock: nobody may hold it. */
  reinit(): void {
    this.env.lockdep.freed(this);
    this.owner = undefined;
  }

  /** An attempt found it taken: false. */
  protected missed(): false {
    this.sched.touch(this, false);
    return false;
  }

  /** Notes that whoever runs now has it. */
  protected take(owner: Agent, place: string): void {
    this.owner = owner;
    this.noteTaken(place);
  }

  protected noteTaken(place: string): void {
    const { sched } = this;
    const { clock } = sched;
    const nowNs = clock.nanos;
    this.place = place;
    this.sinceNs = nowNs;
    clock.nanos = nowNs + sched.costs.lock;
    if (sched.trace !== undefined || sched.onTouch !== undefined) this.note('acquired');
  }

  /** Tells the trace and the explorer what happens to the lock. */
  protected note(phase: 'contended' | 'acquired' | 'released'): void {
    const { sched } = this;
    sched.touch(this, true);
    if (sched.trace !== undefined)
      sched.note({ kind: 'lock', phase, lock: this.name, pid: sched.current.pid });
  }

  /** The way of somebody who has to wait. A circle of waiters ends the simulation here. */
  protected *slowPath(agent: Agent, way: SlowPath): Flow<void> {
    const { env, sched } = this;
    this.note('contended');
    env.graph.begin(agent, this);
    yield* inFunction(sched.here.calls, env.fn(way.fn), [], () => this.contention(agent, way));
  }

  private *contention(agent: Agent, { flags, wait, take }: SlowPath): Flow<number> {
    const { env, sched } = this;
    const begin = env.fn('lock:contention_begin');
    if (begin.armed) yield* firePoint(begin, [BigInt(this.id), flags]);
    yield* wait();
    env.graph.end(agent);
    sched.charge(sched.costs.lockHandover);
    take();
    const end = env.fn('lock:contention_end');
    if (end.armed) yield* firePoint(end, [BigInt(this.id), 0]);
    return 0;
  }

  /** Notes that nobody has it any more, and for how long somebody had. */
  protected drop(): void {
    this.owner = undefined;
    this.noteDropped();
  }

  protected noteDropped(): void {
    const { sched, cls } = this;
    const { clock } = sched;
    const nowNs = clock.nanos + sched.costs.lock;
    clock.nanos = nowNs;
    if (sched.trace !== undefined || sched.onTouch !== undefined) this.note('released');
    const heldNs = nowNs - this.sinceNs;
    if (heldNs <= cls.worstHeldNs && cls.measurement === sched.latency.measurement) return;
    cls.worstHeldNs = heldNs;
    cls.measurement = sched.latency.measurement;
    sched.latency.lockHeld(cls.label, heldNs, this.place, sched.here.id);
  }

  /** Whoever runs now. */
  protected get me(): Agent {
    const { here } = this.sched;
    return here.interrupts.length === 0 ? here.current : here.top!;
  }
}
