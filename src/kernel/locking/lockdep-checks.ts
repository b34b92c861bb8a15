/**
 * What lockdep checks when a lock is taken in a way not seen before, in Linux's order: the wait context, the uses in
 * interrupts and with them on, recursion, then for each new edge of the order graph whether it closes a circle or joins
 * an irq-safe lock to an unsafe one. Each check gives a report or nothing. Models `__lock_acquire` (6.12).
 */
import type { Sched } from '../sched/sched.js';
import { type LockClass, type LockEdge, Usage, WaitType, waitTypeIn } from './lock-class.js';
import { HARDIRQS_OFF, IN_HARDIRQ, IN_SOFTIRQ, NESTED, SOFTIRQS_OFF, THREADABLE } from './lock-flags.js';
import {
  badOrderReport,
  circleReport,
  inversionReport,
  type Report,
  recursionReport,
  usageReport,
  waitContextReport,
} from './lockdep-reports.js';
import { depKind, search } from './lockdep-search.js';
import type { HeldView } from './lockdep-text.js';
import {
  conflictingPair,
  ENABLED_ALL,
  exclusiveBit,
  exclusiveMask,
  isEnabledBit,
  isLocal,
  READ_BIT,
  USED_IN_ALL,
  usageAt,
  usageText,
} from './lockdep-usage.js';

export class LockdepChecks {
  /** Orders that were reported and are no edges of the graph. */
  readonly refused: { readonly from: number; readonly to: number; readonly place: string }[] = [];

  constructor(private readonly sched: Sched) {}

  /** `held`: what is held, the innermost last; `next`: what is to be taken. */
  acquire(held: readonly HeldView[], next: HeldView): Report | undefined {
    return this.waitContext(held, next) ?? this.usage(next) ?? this.order(held, next);
  }

  /** Interrupts (`softirq`: softirqs) are about to be on while locks are held. */
  enabled(held: readonly HeldView[], softirq: boolean): Report | undefined {
    const bit = softirq ? Usage.enabledSoftirq : Usage.enabledHardirq;
    for (const lock of held) {
      const report = this.mark(lock, lock.read === 0 ? bit : bit + READ_BIT);
      if (report !== undefined) return report;
    }
    return undefined;
  }

  /** verify_lock_unused: in NMI only locks that nobody else takes. */
  nmi(next: HeldView): Report | undefined {
    const mask = (1 << Usage.used) | (next.read === 0 ? 1 << Usage.usedRead : 0);
    if ((next.cls.usage & mask) === 0) return undefined;
    const bit = (next.cls.usage & (1 << Usage.used)) !== 0 ? Usage.used : Usage.usedRead;
    return usageReport(this.sched.here, next, bit, 'IN-NMI');
  }

  /** The place and the functions under way, innermost first. */
  private trace(place: string): string[] {
    const stack = this.sched.here.stack();
    return stack[0] === place ? stack : [place, ...stack];
  }

  private waitContext(held: readonly HeldView[], next: HeldView): Report | undefined {
    if (!this.sched.profile.lockdepWaitTypes || next.trylock || next.cls.waitInner === 0) return undefined;
    const outer = next.cls.waitOuter === 0 ? next.cls.waitInner : next.cls.waitOuter;
    const context = waitTypeIn(this.sched.profile, taskWaitContext(next.key));
    let inner = context;
    for (let i = held.length - 1; i >= 0 && held[i]!.irqContext === next.irqContext; i--) {
      const type = held[i]!.cls.waitInner;
      if (type !== 0) inner = Math.min(inner, type);
    }
    return outer > inner ? waitContextReport(this.sched.here, next, context) : undefined;
  }

  private usage(next: HeldView): Report | undefined {
    const { key, trylock } = next;
    const read = next.read === 0 ? 0 : READ_BIT;
    const found: number[] = [];
    if (!trylock && (key & IN_HARDIRQ) !== 0) found.push(Usage.usedInHardirq + read);
    if (!trylock && (key & IN_SOFTIRQ) !== 0) found.push(Usage.usedInSoftirq + read);
    if ((key & HARDIRQS_OFF) === 0) {
      found.push(Usage.enabledHardirq + read);
      if ((key & SOFTIRQS_OFF) === 0) found.push(Usage.enabledSoftirq + read);
    }
    found.push(read === 0 ? Usage.used : Usage.usedRead);
    for (const bit of found) {
      const report = this.mark(next, bit);
      if (report !== undefined) return report;
    }
    return undefined;
  }

  /** mark_lock. */
  private mark(lock: HeldView, bit: number): Report | undefined {
    const { cls } = lock;
    if ((cls.usage & (1 << bit)) !== 0) return undefined;
    cls.usage |= 1 << bit;
    cls.usageTraces[bit] = this.trace(lock.place);
    return bit < Usage.used ? (this.ownConflict(lock, bit) ?? this.inversion(lock, bit)) : undefined;
  }

  /** valid_state: the class itself is used in a way that excludes the new one. */
  private ownConflict(lock: HeldView, bit: number): Report | undefined {
    const excl = exclusiveBit(bit);
    const excluded = (bit & READ_BIT) === 0 ? [excl, excl | READ_BIT] : [excl];
    const bad = excluded.find((other) => (lock.cls.usage & (1 << other)) !== 0);
    return bad === undefined ? undefined : usageReport(this.sched.here, lock, bad, usageText(bit));
  }

  /** check_usage_forwards and check_usage_backwards. */
  private inversion(lock: HeldView, bit: number): Report | undefined {
    const excl = exclusiveBit(bit);
    const mask = (1 << excl) | (1 << (excl | READ_BIT));
    const forwards = !isEnabledBit(bit);
    const weak = forwards ? lock.read === 2 : lock.read !== 0;
    const direction = forwards ? 'after' : 'before';
    const other = search(lock.cls, weak, direction, (node) => (usageAt(node) & mask) !== 0, isLocal);
    if (other === undefined) return undefined;
    const found = (other.cls.usage & (1 << excl)) !== 0 ? excl : excl | READ_BIT;
    return inversionReport(this.sched.here, lock, other, found, forwards, this.trace(lock.place));
  }

  /** validate_chain: for a lock that is waited for. */
  private order(held: readonly HeldView[], next: HeldView): Report | undefined {
    if (next.trylock) return undefined;
    for (const prev of held) {
      if (prev.cls !== next.cls || (next.read === 2 && prev.read !== 0)) continue;
      return (next.key & NESTED) !== 0 ? undefined : recursionReport(this.sched.here, prev, next);
    }
    // Up to the first that was waited for: what lies further out has its own edge to that one.
    for (let i = held.length - 1; i >= 0 && held[i]!.irqContext === next.irqContext; i--) {
      const prev = held[i]!;
      const report = this.addEdge(prev, next);
      if (report !== undefined) {
        this.refused.push({ from: prev.cls.index, to: next.cls.index, place: next.place });
        return report;
      }
      if (!prev.trylock) break;
    }
    return undefined;
  }

  /** check_prev_add. */
  private addEdge(prev: HeldView, next: HeldView): Report | undefined {
    const { here } = this.sched;
    const circle = search(
      next.cls,
      next.read === 2,
      'after',
      ({ cls, weak }) => cls === prev.cls && (prev.read === 0 || !weak),
    );
    const trace = this.trace(next.place);
    if (circle !== undefined)
      return prev.cls === next.cls
        ? recursionReport(here, prev, next)
        : circleReport(here, prev, next, circle, trace);
    const bad = this.badOrder(prev, next, trace);
    if (bad !== undefined) return bad;
    const kind = depKind(prev.read, next.read);
    const known = prev.cls.after.find(({ to }) => to === next.cls);
    if (known !== undefined) known.kinds |= kind;
    else connect({ from: prev.cls, to: next.cls, kinds: kind, trace });
    return undefined;
  }

  /** check_irq_usage. */
  private badOrder(prev: HeldView, next: HeldView, trace: readonly string[]): Report | undefined {
    let safeUses = 0;
    const gather = (node: Parameters<typeof usageAt>[0]): boolean => {
      safeUses |= usageAt(node);
      return false;
    };
    search(prev.cls, prev.read !== 0, 'before', gather, isLocal);
    const forward = exclusiveMask(safeUses & USED_IN_ALL);
    if (forward === 0) return undefined;
    const unsafe = search(
      next.cls,
      next.read === 2,
      'after',
      (node) => (usageAt(node) & forward) !== 0,
      isLocal,
    );
    if (unsafe === undefined) return undefined;
    const backward = exclusiveMask(unsafe.cls.usage & ENABLED_ALL);
    const safe = search(
      prev.cls,
      prev.read !== 0,
      'before',
      (node) => (usageAt(node) & backward) !== 0,
      isLocal,
    );
    if (safe === undefined) return undefined;
    const [safeBit, unsafeBit] = conflictingPair(safe.cls.usage, unsafe.cls.usage);
    return badOrderReport(this.sched.here, { prev, next, safe, unsafe, safeBit, unsafeBit }, trace);
  }
}

function connect(edge: LockEdge): void {
  edge.from.after.push(edge);
  edge.to.before.push(edge);
}

/** task_wait_context. */
function taskWaitContext(key: number): number {
  if ((key & IN_HARDIRQ) !== 0) return (key & THREADABLE) !== 0 ? WaitType.config : WaitType.spin;
  return (key & IN_SOFTIRQ) !== 0 ? WaitType.config : WaitType.max;
}

/** Classes that can be reached from one, for data about the graph. */
export function reachable(from: LockClass): LockClass[] {
  const found: LockClass[] = [];
  search(from, false, 'after', ({ cls }) => {
    if (cls !== from) found.push(cls);
    return false;
  });
  return found;
}
