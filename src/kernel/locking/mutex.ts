/**
 * mutex: sleeps in every kernel. Where the kernel is not RT, waiters stand in line and the first one that was passed over
 * is handed the lock; on RT it is an rtmutex. Models kernel/locking/mutex.c and rtmutex_api.c (6.12).
 */
import { mightSleep } from '../sched/debug.js';
import { type Flow, point } from '../sched/flow.js';
import { inTask } from '../sched/preempt.js';
import { schedule } from '../sched/sleep.js';
import type { Task } from '../sched/task.js';
import { inFunction } from '../trace/probes.js';
import type { LockEnv } from './env.js';
import { LCB_MUTEX, Lock, type LockOptions } from './lock.js';
import { type LockKey, WaitType } from './lock-class.js';
import { READ_NONE, TRYLOCK } from './lock-flags.js';
import { RtMutex } from './rtmutex.js';

const WAITS = { outer: WaitType.inv, inner: WaitType.sleep };
const BEFORE = point('mutex_lock');
const AT = 'kernel/locking/mutex.c:283';
const RT_AT = 'kernel/locking/rtmutex_api.c:518';

export interface MutexOps {
  readonly name: string;
  readonly locked: boolean;
  lock(place: string): Flow<void>;
  /** The same in plain code. */
  lockNow(place: string): void;
  tryLock(place: string): boolean;
  unlock(): void;
}

interface Waiter {
  readonly task: Task;
  /** Was woken once and found the lock taken again. */
  handoff: boolean;
}

export class FairMutex extends Lock implements MutexOps {
  readonly spins = false;
  declare owner: Task | undefined;
  private readonly waiters: Waiter[] = [];

  constructor(env: LockEnv, key: LockKey | string, options: LockOptions = {}) {
    super(env, key, WAITS, options);
  }

  get locked(): boolean {
    return this.owner !== undefined;
  }

  lock(place: string): Flow<void> {
    return probed(this.env, () => this.lockFlow(place));
  }

  private *lockFlow(place: string): Flow<number> {
    const { sched, env } = this;
    if (sched.interleaved) yield BEFORE;
    mightSleep(sched, AT);
    env.lockdep.acquire(this, place, READ_NONE);
    const { current } = sched;
    const take = (): void => this.take(current, place);
    if (this.owner === undefined) take();
    else
      yield* this.slowPath(current, { fn: '__mutex_lock', flags: LCB_MUTEX, wait: () => this.wait(), take });
    return 0;
  }

  lockNow(place: string): void {
    this.env.executor.drive(this.lock(place));
  }

  tryLock(place: string): boolean {
    if (this.owner !== undefined) return this.missed();
    this.env.lockdep.acquire(this, place, TRYLOCK);
    this.take(this.sched.current, place);
    return true;
  }

  unlock(): void {
    this.env.lockdep.release(this);
    this.drop();
    const first = this.waiters[0];
    if (first === undefined) return;
    if (first.handoff) this.owner = first.task;
    this.sched.wake(first.task);
  }

  private *wait(): Flow<void> {
    const { sched } = this;
    const { current } = sched;
    const waiter: Waiter = { task: current, handoff: false };
    while (this.owner !== undefined && this.owner !== current) {
      if (!this.waiters.includes(waiter)) this.waiters.push(waiter);
      current.state = 'sleeping';
      yield* schedule(sched, this);
      if (this.waiters[0] === waiter) waiter.handoff = true;
    }
    current.state = 'running';
    this.waiters.splice(this.waiters.indexOf(waiter), 1);
  }
}

export class RtSleepingMutex extends RtMutex implements MutexOps {
  constructor(env: LockEnv, key: LockKey | string, options: LockOptions = {}) {
    super(env, key, WAITS, options);
  }

  lock(place: string): Flow<void> {
    return probed(this.env, () => this.lockFlow(place));
  }

  private *lockFlow(place: string): Flow<number> {
    const { sched, env } = this;
    if (sched.interleaved) yield BEFORE;
    mightSleep(sched, RT_AT);
    env.lockdep.acquire(this, place, READ_NONE);
    yield* this.takeFlow(place, 'sleeping');
    return 0;
  }

  lockNow(place: string): void {
    this.env.executor.drive(this.lock(place));
  }

  tryLock(place: string): boolean {
    const { sched } = this;
    if (!inTask(sched.here)) {
      sched.console.warnOnce('kernel/locking/rtmutex_api.c mutex_trylock');
      return false;
    }
    if (!this.tryTake(place)) return false;
    this.env.lockdep.acquire(this, place, TRYLOCK);
    return true;
  }

  unlock(): void {
    this.env.lockdep.release(this);
    this.giveUp();
  }
}

/** Between the probes of mutex_lock. */
function* probed(env: LockEnv, body: () => Flow<number>): Flow<void> {
  const fn = env.fn('mutex_lock');
  if (fn.armed) yield* inFunction(env.sched.here.calls, fn, [], body);
  else yield* body();
}
