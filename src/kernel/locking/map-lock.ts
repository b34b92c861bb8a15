/**
 * Locks as BPF maps use them: taken with interrupts saved, spinning, sleeping on RT or resilient as the profile says, and
 * answering with an errno. The lock keeps the saved flags itself.
 */
import { Errno } from '../../abi/errno.js';
import type { Flow } from '../sched/flow.js';
import { inNmi } from '../sched/preempt.js';
import type { Sched } from '../sched/sched.js';
import type { SpinLockOps } from './raw-spinlock.js';
import type { RqSpinLock } from './rqspinlock.js';

/** `raw` spins, `spin` is a regular spinlock, `rq` a resilient one. */
export type MapLockKind = 'raw' | 'spin' | 'rq';

/** What is done in NMI where the lock is not resilient: wait as elsewhere, or try once and answer -EBUSY. */
export type NmiRule = 'spin' | 'try';

export interface MapLock {
  readonly kind: MapLockKind;
  readonly locked: boolean;
  /** 0 with the lock taken, or -EBUSY, -EDEADLK, -ETIMEDOUT without. */
  lock(place: string): Flow<number>;
  /** The same in plain code; drives the flow where the lock is taken or something watches. */
  lockNow(place: string): number;
  /** 0 or -EBUSY, at once. */
  tryLock(place: string): number;
  unlock(): void;
}

export class SpinMapLock implements MapLock {
  private irqsBefore = false;

  constructor(
    private readonly sched: Sched,
    private readonly spin: SpinLockOps,
    readonly kind: 'raw' | 'spin',
    private readonly nmi: NmiRule,
  ) {}

  get locked(): boolean {
    return this.spin.locked;
  }

  *lock(place: string): Flow<number> {
    if (this.nmi === 'try' && inNmi(this.sched.here)) return this.tryLock(place);
    const before = yield* this.spin.lockIrqsave(place);
    this.irqsBefore = before;
    return 0;
  }

  lockNow(place: string): number {
    if (this.nmi === 'try' && inNmi(this.sched.here)) return this.tryLock(place);
    const before = this.spin.lockIrqsaveNow(place);
    this.irqsBefore = before;
    return 0;
  }

  tryLock(place: string): number {
    const before = this.spin.tryLockIrqsave(place);
    if (before === undefined) return -Errno.EBUSY;
    this.irqsBefore = before;
    return 0;
  }

  unlock(): void {
    this.spin.unlockIrqrestore(this.irqsBefore);
  }
}

export class RqMapLock implements MapLock {
  readonly kind = 'rq';
  private irqsBefore = false;

  constructor(
    private readonly sched: Sched,
    private readonly rq: RqSpinLock,
  ) {}

  get locked(): boolean {
    return this.rq.locked;
  }

  *lock(place: string): Flow<number> {
    const before = this.sched.irqSave(place);
    return this.settle(yield* this.rq.lock(place), before);
  }

  lockNow(place: string): number {
    const quick = this.rq.lockIrqsaveQuick(place);
    if (quick !== undefined) {
      this.irqsBefore = quick;
      return 0;
    }
    const before = this.sched.irqSave(place);
    return this.settle(this.rq.lockNow(place), before);
  }

  tryLock(place: string): number {
    const before = this.sched.irqSave(place);
    return this.settle(this.rq.tryLock(place) ? 0 : -Errno.EBUSY, before);
  }

  unlock(): void {
    const before = this.irqsBefore;
    if (this.rq.unlockIrqrestoreQuick(before)) return;
    this.rq.unlock();
    this.sched.irqRestore(before);
  }

  private settle(result: number, before: boolean): number {
    if (result === 0) this.irqsBefore = before;
    else this.sched.irqRestore(before);
    return result;
  }
}
