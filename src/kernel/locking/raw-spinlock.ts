/**
 * Spinning locks. `raw_spinlock_t` spins in every kernel; `spinlock_t` does where the kernel is not RT. Holding one keeps
 * preemption off. Models include/linux/spinlock_api_smp.h and kernel/locking/spinlock.c.
 */
import { type Flow, point } from '../sched/flow.js';
import { inFunction, type ProbePoint } from '../trace/probes.js';
import type { LockEnv } from './env.js';
import { LCB_SPIN, Lock, type LockOptions } from './lock.js';
import { type LockKey, WaitType } from './lock-class.js';
import { READ_NONE, TRYLOCK } from './lock-flags.js';
import { isCalm, releaseQuick, takeQuick } from './quick.js';

const BEFORE = point('raw_spin_lock');

/** The operations that raw and regular spinlocks share; what they do depends on the lock and on RT. */
export interface SpinLockOps {
  readonly name: string;
  /** `place`: where in Linux's source or in which function, for reports. */
  lock(place: string): Flow<void>;
  /** The same in plain code; drives the flow where the lock is taken or something watches. */
  lockNow(place: string): void;
  tryLock(place: string): boolean;
  unlock(): void;
  /** Gives what `unlockIrqrestore` wants back: whether interrupts were off. */
  lockIrqsave(place: string): Flow<boolean>;
  lockIrqsaveNow(place: string): boolean;
  /** Undefined where the lock is taken. */
  tryLockIrqsave(place: string): boolean | undefined;
  unlockIrqrestore(irqsBefore: boolean): void;
  lockIrq(place: string): Flow<void>;
  unlockIrq(): void;
  lockBh(place: string): Flow<void>;
  /** A flow: softirqs that came meanwhile run. */
  unlockBh(): Flow<void>;
  /** Whether somebody has it. */
  readonly locked: boolean;
}

export class RawSpinLock extends Lock implements SpinLockOps {
  readonly spins = true;
  private readonly fnLock: ProbePoint;
  private readonly fnIrqsave: ProbePoint;
  private readonly fnUnlock: ProbePoint;
  private readonly fnRestore: ProbePoint;

  constructor(env: LockEnv, key: LockKey | string, options: LockOptions & { waitType?: number } = {}) {
    const wait = options.waitType ?? WaitType.spin;
    super(env, key, { outer: WaitType.inv, inner: wait }, options);
    this.fnLock = env.fn('_raw_spin_lock');
    this.fnIrqsave = env.fn('_raw_spin_lock_irqsave');
    this.fnUnlock = env.fn('_raw_spin_unlock');
    this.fnRestore = env.fn('_raw_spin_unlock_irqrestore');
  }

  get locked(): boolean {
    return this.owner !== undefined;
  }

  *lock(place: string): Flow<void> {
    if (this.fnLock.armed)
      yield* inFunction(this.sched.here.calls, this.fnLock, [], () => this.acquireFlow(place));
    else yield* this.acquireFlow(place);
  }

  lockNow(place: string): void {
    const { sched } = this;
    if (this.owner !== undefined || !sched.quiet) {
      this.env.executor.drive(this.lock(place));
      return;
    }
    sched.preemptDisable(place);
    this.env.lockdep.acquire(this, place, READ_NONE);
    this.take(this.me, place);
  }

  tryLock(place: string): boolean {
    const { sched } = this;
    sched.preemptDisable(place);
    if (this.owner !== undefined) {
      sched.preemptEnable();
      return this.missed();
    }
    this.env.lockdep.acquire(this, place, TRYLOCK);
    this.take(this.me, place);
    return true;
  }

  unlock(): void {
    this.release(this.fnUnlock);
    this.sched.preemptEnable();
  }

  *lockIrqsave(place: string): Flow<boolean> {
    const { sched } = this;
    if (sched.interleaved) yield BEFORE;
    const before = sched.irqSave(place);
    if (this.fnIrqsave.armed)
      yield* inFunction(sched.here.calls, this.fnIrqsave, [], () => this.acquire(place));
    else yield* this.acquire(place);
    return before;
  }

  lockIrqsaveNow(place: string): boolean {
    const { sched, env } = this;
    if (this.owner !== undefined || !isCalm(sched)) return env.executor.drive(this.lockIrqsave(place));
    return takeQuick(this, sched, env.lockdep, place);
  }

  tryLockIrqsave(place: string): boolean | undefined {
    const before = this.sched.irqSave(place);
    if (this.tryLock(place)) return before;
    this.sched.irqRestore(before);
    return undefined;
  }

  unlockIrqrestore(irqsBefore: boolean): void {
    const { sched } = this;
    if (isCalm(sched) && releaseQuick(this, sched, this.env.lockdep, irqsBefore)) return;
    this.release(this.fnRestore);
    sched.irqRestore(irqsBefore);
    sched.preemptEnable();
  }

  *lockIrq(place: string): Flow<void> {
    yield* this.lockIrqsave(place);
  }

  unlockIrq(): void {
    this.unlockIrqrestore(false);
  }

  *lockBh(place: string): Flow<void> {
    if (this.sched.interleaved) yield BEFORE;
    yield* this.env.bh.disable(place);
    yield* this.acquire(place);
  }

  *unlockBh(): Flow<void> {
    this.release(this.fnUnlock);
    this.sched.preemptEnable();
    yield* this.env.bh.enable();
  }

  private *acquireFlow(place: string): Flow<number> {
    if (this.sched.interleaved) yield BEFORE;
    yield* this.acquire(place);
    return 0;
  }

  /** With preemption off from here on; the wait leaves interrupts as they are. */
  private *acquire(place: string): Flow<number> {
    const { sched, env } = this;
    sched.preemptDisable(place);
    env.lockdep.acquire(this, place, READ_NONE);
    if (this.owner === undefined) this.take(this.me, place);
    else yield* this.contend(place);
    return 0;
  }

  private *contend(place: string): Flow<void> {
    const { me } = this;
    yield* this.slowPath(me, {
      fn: 'native_queued_spin_lock_slowpath',
      flags: LCB_SPIN,
      wait: () => this.spin(),
      take: () => this.take(me, place),
    });
  }

  private *spin(): Flow<void> {
    while (this.owner !== undefined) yield { kind: 'spin', until: () => this.owner === undefined, on: this };
  }

  private release(fn: ProbePoint): void {
    if (!this.sched.quiet) this.fireUnlock(fn);
    this.env.lockdep.release(this);
    if (this.owner === undefined) alreadyUnlocked(this, this.env);
    this.drop();
  }

  private fireUnlock(fn: ProbePoint): void {
    if (fn.armed) this.env.executor.drive(inFunction(this.sched.here.calls, fn, [], nothing));
  }
}

function* nothing(): Flow<number> {
  return 0;
}

/** What a kernel with CONFIG_DEBUG_SPINLOCK prints of a spinlock that nobody holds. */
function alreadyUnlocked(lock: Lock, env: LockEnv): void {
  const { comm, pid } = env.sched.current;
  const cpu = env.sched.here.id;
  env.sched.console.splat('bug', [
    `BUG: spinlock already unlocked on CPU#${cpu}, ${comm}/${pid}`,
    ` lock: ${lock.name}, .magic: dead4ead, .owner: <none>/-1, .owner_cpu: -1`,
  ]);
}
