/**
 * local_lock: keeps per-CPU data to one context at a time. Where the kernel is not RT that is preemption or interrupts off
 * and no lock at all, though lockdep sees one; on RT it is a sleeping spinlock of the CPU, with the task pinned. Models
 * include/linux/local_lock_internal.h (6.12).
 */
import type { Flow } from '../sched/flow.js';
import type { LockEnv } from './env.js';
import { Lock, type LockOptions } from './lock.js';
import { type LockKey, WaitType } from './lock-class.js';
import { READ_NONE } from './lock-flags.js';
import { RtSpinLock } from './rt-spinlock.js';

/** The lock of one CPU where it only exists for lockdep. */
class LocalMap extends Lock {
  readonly spins = false;

  constructor(env: LockEnv, key: LockKey | string, options: LockOptions) {
    super(env, key, { outer: WaitType.inv, inner: WaitType.config, type: 'percpu' }, options);
  }

  enter(place: string): void {
    this.env.lockdep.acquire(this, place, READ_NONE);
    this.take(this.me, place);
  }

  leave(): void {
    this.env.lockdep.release(this);
    this.drop();
  }
}

export class LocalLock {
  private readonly maps: readonly LocalMap[];
  private readonly locks: readonly RtSpinLock[];

  constructor(
    private readonly env: LockEnv,
    key: LockKey | string,
    options: LockOptions = {},
  ) {
    const { rt, cpus } = env.sched;
    this.maps = rt ? [] : cpus.map(() => new LocalMap(env, key, options));
    this.locks = rt ? cpus.map(() => new RtSpinLock(env, key, { ...options, type: 'percpu' })) : [];
  }

  /** local_lock. */
  *lock(place: string): Flow<void> {
    const { sched } = this.env;
    if (!sched.rt) {
      sched.preemptDisable(place);
      this.maps[sched.here.id]!.enter(place);
      return;
    }
    sched.migrateDisable(place);
    yield* this.locks[sched.here.id]!.lock(place);
  }

  /** The same in plain code. */
  lockNow(place: string): void {
    const { sched, executor } = this.env;
    if (!sched.rt) {
      sched.preemptDisable(place);
      this.maps[sched.here.id]!.enter(place);
    } else if (sched.quiet) {
      sched.migrateDisable(place);
      this.locks[sched.here.id]!.lockNow(place);
    } else executor.drive(this.lock(place));
  }

  unlock(): void {
    const { sched } = this.env;
    if (!sched.rt) {
      this.maps[sched.here.id]!.leave();
      sched.preemptEnable();
      return;
    }
    this.locks[sched.here.id]!.unlock();
    sched.migrateEnable();
  }

  /** local_lock_irqsave: on RT interrupts stay on. */
  *lockIrqsave(place: string): Flow<boolean> {
    const { sched } = this.env;
    if (sched.rt) {
      yield* this.lock(place);
      return false;
    }
    return this.enterIrqsave(place);
  }

  lockIrqsaveNow(place: string): boolean {
    if (!this.env.sched.rt) return this.enterIrqsave(place);
    this.lockNow(place);
    return false;
  }

  unlockIrqrestore(irqsBefore: boolean): void {
    const { sched } = this.env;
    if (sched.rt) {
      this.unlock();
      return;
    }
    this.maps[sched.here.id]!.leave();
    sched.irqRestore(irqsBefore);
  }

  private enterIrqsave(place: string): boolean {
    const { sched } = this.env;
    const before = sched.irqSave(place);
    this.maps[sched.here.id]!.enter(place);
    return before;
  }
}
