/**
 * The hot path of every map operation: a spinning lock that nobody has is taken with interrupts saved, and released, while
 * nothing watches. It does what `irqSave`, `preemptDisable`, `lock_acquire` and the lock do, in one piece, which is more
 * than twice as fast; whatever is out of the ordinary is left to them.
 */
import { ANY_CONTEXT } from '../sched/preempt.js';
import type { Sched } from '../sched/sched.js';
import type { DepMap } from './lock-class.js';
import { HARDIRQS_OFF, READ_NONE } from './lock-flags.js';
import type { Lockdep } from './lockdep.js';
import type { Agent } from './wait-graph.js';

/** What it needs of a lock. */
export interface QuickLock extends DepMap {
  owner: Agent | undefined;
  place: string;
  sinceNs: number;
}

/** Nothing can observe the inside of an operation, not even a trace. */
export function isCalm(sched: Sched): boolean {
  return sched.quiet && sched.trace === undefined && sched.onTouch === undefined;
}

/** Takes a lock that is free; whether interrupts were off. `lockdep`: undefined for locks that it does not know. */
export function takeQuick(
  lock: QuickLock,
  sched: Sched,
  lockdep: Lockdep | undefined,
  place: string,
): boolean {
  const { clock, here } = sched;
  const nowNs = clock.nanos;
  const before = here.irqsDisabled;
  if (!before) {
    here.irqsDisabled = true;
    here.irqsOffSince = nowNs;
    here.irqsOffPlace = place;
  }
  const count = here.preemptCount;
  if (count === 0) {
    here.preemptOffSince = nowNs;
    here.preemptOffPlace = place;
  }
  here.preemptCount = count + 1;
  const { current } = here;
  if (lockdep !== undefined) {
    const { held } = current;
    const { cls } = lock;
    const plain = (count & ANY_CONTEXT) === 0 && current.softirqDisableCount === 0 && lockdep.on;
    if (plain && cls.lastFrom === held.node && cls.lastKey === cls.firstKey + HARDIRQS_OFF) {
      const { depth } = held;
      held.locks[depth] = lock;
      held.places[depth] = place;
      held.depth = depth + 1;
      held.node = cls.lastTo;
    } else lockdep.acquire(lock, place, READ_NONE);
  }
  lock.owner = here.interrupts.length === 0 ? current : here.top;
  lock.place = place;
  lock.sinceNs = nowNs;
  clock.nanos = nowNs + sched.costs.lock;
  return before;
}

/**
 * Releases a lock that was taken with interrupts saved, or does nothing and says so where that is out of the ordinary:
 * it is not the innermost, other locks are held, an interrupt or a more urgent task waits, a latency is the worst so far.
 */
export function releaseQuick(
  lock: QuickLock,
  sched: Sched,
  lockdep: Lockdep | undefined,
  irqsBefore: boolean,
): boolean {
  const { clock, here, latency } = sched;
  const { held } = here.current;
  const { cls } = lock;
  const nowNs = clock.nanos + sched.costs.lock;
  if (nowNs - lock.sinceNs > cls.worstHeldNs || cls.measurement !== latency.measurement) return false;
  if (lock.owner === undefined || here.preemptCount === 0 || here.needResched) return false;
  if (!irqsBefore) {
    if (here.pending.length > 0 || nowNs - here.irqsOffSince > latency.irqsoffNs) return false;
  }
  const count = here.preemptCount - 1;
  if (count === 0 && nowNs - here.preemptOffSince > latency.preemptoffNs) return false;
  const seen = lockdep?.on === true;
  const left = seen ? held.depth - 1 : held.depth;
  // What is still held will be held with interrupts on, which lockdep has to know.
  if (left > 0 && !irqsBefore) return false;
  if (seen) {
    if (left < 0 || held.locks[left] !== lock || cls.lastTo !== held.node) return false;
    held.depth = left;
    held.node = cls.lastFrom;
  }
  clock.nanos = nowNs;
  lock.owner = undefined;
  if (!irqsBefore) here.irqsDisabled = false;
  here.preemptCount = count;
  return true;
}
