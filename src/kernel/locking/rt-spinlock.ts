/**
 * spinlock_t on RT: waiters sleep, interrupts and preemption stay as they are, and whoever holds it is in a read section
 * of RCU and pinned to its CPU. Whether it may sleep is checked before anything else, taken or not. Models
 * kernel/locking/spinlock_rt.c (6.12), and for the early profiles that of 5.4-rt.
 */
import { mightSleep } from '../sched/debug.js';
import { type Flow, point } from '../sched/flow.js';
import { inHardirq } from '../sched/preempt.js';
import { inFunction, type ProbePoint } from '../trace/probes.js';
import type { LockEnv } from './env.js';
import type { LockOptions } from './lock.js';
import { type LockKey, type LockType, WaitType } from './lock-class.js';
import { READ_NONE, TRYLOCK } from './lock-flags.js';
import type { SpinLockOps } from './raw-spinlock.js';
import { RtMutex } from './rtmutex.js';

const BEFORE = point('rt_spin_lock');

/** Enters and leaves what a sleeping spinlock's holder is in: a read section of RCU, pinned to the CPU. */
export function enterRtSection(env: LockEnv, place: string): void {
  env.sched.current.rcuDepth++;
  env.sched.migrateDisable(place);
}

export function leaveRcu(env: LockEnv): void {
  if (--env.sched.current.rcuDepth === 0) env.onRcuOutermost?.();
}

export class RtSpinLock extends RtMutex implements SpinLockOps {
  private readonly fnLock: ProbePoint;
  private readonly fnUnlock: ProbePoint;

  constructor(env: LockEnv, key: LockKey | string, options: LockOptions & { type?: LockType } = {}) {
    const { type = 'normal' } = options;
    super(env, key, { outer: WaitType.inv, inner: WaitType.config, type }, options);
    this.fnLock = env.fn('rt_spin_lock');
    this.fnUnlock = env.fn('rt_spin_unlock');
  }

  *lock(place: string): Flow<void> {
    if (this.fnLock.armed)
      yield* inFunction(this.sched.here.calls, this.fnLock, [], () => this.lockFlow(place));
    else yield* this.lockFlow(place);
  }

  private *lockFlow(place: string): Flow<number> {
    const { sched, env } = this;
    if (sched.interleaved) yield BEFORE;
    env.lockdep.acquire(this, place, READ_NONE);
    mightSleep(sched, sched.profile.rtSpinLockAt, true);
    const pinned = sched.profile.rtSpinLockPin === 'before';
    if (pinned) enterRtSection(env, place);
    yield* this.takeFlow(place, 'rtlock');
    if (!pinned) enterRtSection(env, place);
    return 0;
  }

  lockNow(place: string): void {
    const { sched, env } = this;
    if (this.owner !== undefined || !sched.quiet) {
      env.executor.drive(this.lock(place));
      return;
    }
    const { here } = sched;
    env.lockdep.acquire(this, place, READ_NONE);
    if (here.preemptCount !== 0 || here.irqsDisabled || here.current === here.idle)
      mightSleep(sched, sched.profile.rtSpinLockAt, true);
    this.take(here.current, place);
    enterRtSection(env, place);
  }

  tryLock(place: string): boolean {
    const { sched, env } = this;
    if (inHardirq(sched.here)) sched.console.warnOnce('kernel/locking/rtmutex.c rt_mutex_trylock');
    if (!this.tryTake(place)) return false;
    env.lockdep.acquire(this, place, TRYLOCK);
    enterRtSection(env, place);
    return true;
  }

  unlock(): void {
    const { sched, env } = this;
    if (!sched.quiet && this.fnUnlock.armed)
      env.executor.drive(inFunction(sched.here.calls, this.fnUnlock, [], nothing));
    env.lockdep.release(this);
    sched.migrateEnable();
    this.giveUp();
    leaveRcu(env);
  }

  /** Interrupts stay on. */
  *lockIrqsave(place: string): Flow<boolean> {
    yield* this.lock(place);
    return false;
  }

  lockIrqsaveNow(place: string): boolean {
    this.lockNow(place);
    return false;
  }

  tryLockIrqsave(place: string): boolean | undefined {
    return this.tryLock(place) ? false : undefined;
  }

  unlockIrqrestore(): void {
    this.unlock();
  }

  *lockIrq(place: string): Flow<void> {
    yield* this.lock(place);
  }

  unlockIrq(): void {
    this.unlock();
  }

  *lockBh(place: string): Flow<void> {
    yield* this.env.bh.disable(place);
    yield* this.lock(place);
  }

  *unlockBh(): Flow<void> {
    this.unlock();
    yield* this.env.bh.enable();
  }
}

function* nothing(): Flow<number> {
  return 0;
}
