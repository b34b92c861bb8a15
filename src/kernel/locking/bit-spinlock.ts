/**
 * bit_spin_lock: one bit of a word as a spinlock. It spins in every kernel, keeps preemption off, and lockdep knows
 * nothing of it. Models include/linux/bit_spinlock.h.
 */
import { type Flow, point } from '../sched/flow.js';
import type { LockEnv } from './env.js';
import { LCB_SPIN, Lock } from './lock.js';
import { WaitType } from './lock-class.js';

const BEFORE = point('bit_spin_lock');

export class BitSpinLock extends Lock {
  readonly spins = true;

  constructor(env: LockEnv, name: string) {
    super(env, name, { outer: WaitType.inv, inner: WaitType.spin });
  }

  get locked(): boolean {
    return this.owner !== undefined;
  }

  *lock(place: string): Flow<void> {
    const { sched } = this;
    if (sched.interleaved) yield BEFORE;
    sched.preemptDisable(place);
    const { me } = this;
    const take = (): void => this.take(me, place);
    if (this.owner === undefined) take();
    else yield* this.slowPath(me, { fn: 'bit_spin_lock', flags: LCB_SPIN, wait: () => this.spin(), take });
  }

  private *spin(): Flow<void> {
    while (this.owner !== undefined) yield { kind: 'spin', until: () => this.owner === undefined, on: this };
  }

  tryLock(place: string): boolean {
    if (this.owner !== undefined) return this.missed();
    this.sched.preemptDisable(place);
    this.take(this.me, place);
    return true;
  }

  unlock(): void {
    this.drop();
    this.sched.preemptEnable();
  }
}
