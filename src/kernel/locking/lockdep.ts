/**
 * The lock validator: what is taken while what is held, and in which context, is checked against everything seen before.
 * Each step of a sequence of locks is checked once (`held-locks.ts`); after that it costs a comparison. Models
 * kernel/locking/lockdep.c (6.12 and 6.18).
 */
import { ANY_CONTEXT, HARDIRQ_MASK, NMI_MASK, SOFTIRQ_OFFSET } from '../sched/preempt.js';
import type { Sched } from '../sched/sched.js';
import type { Task } from '../sched/task.js';
import { type HeldLocks, MAX_LOCK_DEPTH } from './held-locks.js';
import {
  ChainNode,
  type DepMap,
  LockClass,
  LockKey,
  type LockType,
  WaitType,
  waitTypeIn,
} from './lock-class.js';
import { HARDIRQS_OFF, IN_HARDIRQ, IN_SOFTIRQ, NESTED, SOFTIRQS_OFF, THREADABLE } from './lock-flags.js';
import { LockdepChecks } from './lockdep-checks.js';
import {
  freedReport,
  imbalanceReport,
  notNestedReport,
  type Report,
  userReturnReport,
} from './lockdep-reports.js';
import { type HeldView, heldLines, viewOf, viewsOf } from './lockdep-text.js';
import { usageText } from './lockdep-usage.js';

/** `once`: off after the first report, as in Linux. */
export type LockdepMode = 'off' | 'once' | 'always';

/** A class and its edges as data, e.g. to draw them. */
export interface LockOrderGraph {
  readonly classes: readonly {
    readonly index: number;
    readonly name: string;
    /** A value of `WaitType`. */
    readonly waitType: number;
    /** E.g. `IN-HARDIRQ-W`. */
    readonly usage: readonly string[];
  }[];
  /** By class index: `to` was taken while `from` was held, first at `place`. */
  readonly edges: readonly { readonly from: number; readonly to: number; readonly place: string }[];
  /** Orders that were reported as wrong. */
  readonly refused: readonly { readonly from: number; readonly to: number; readonly place: string }[];
}

export class Lockdep {
  /** Checks are on. */
  on: boolean;
  readonly classes: LockClass[] = [];
  private readonly root = new ChainNode(undefined, -1, undefined);
  private readonly keys = new Map<string, LockKey>();
  private readonly byKey = new Map<LockKey, LockClass[]>();
  private readonly checks: LockdepChecks;
  private readonly rt: boolean;
  private ids = 0;
  /** Classes made so far. */
  private made = 0;

  constructor(
    private readonly sched: Sched,
    readonly mode: LockdepMode = 'once',
  ) {
    this.on = mode !== 'off';
    this.rt = sched.rt;
    this.checks = new LockdepChecks(sched);
  }

  /** The key of a name: one for all who ask with the same text. */
  key(name: string): LockKey {
    let key = this.keys.get(name);
    if (key === undefined) {
      key = new LockKey(name);
      this.keys.set(name, key);
    }
    return key;
  }

  nextId(): number {
    return ++this.ids;
  }

  classOf(
    key: LockKey,
    subclass: number,
    waits: { outer: number; inner: number; type?: LockType },
  ): LockClass {
    return this.classAt(key, subclass, () => {
      const { profile } = this.sched;
      const [outer, inner] = [waitTypeIn(profile, waits.outer), waitTypeIn(profile, waits.inner)];
      return new LockClass(key, subclass, ++this.made, outer, inner, waits.type ?? 'normal');
    });
  }

  /** lockdep_unregister_key: no lock with this key is left, e.g. because its map is gone. */
  forget(key: LockKey): void {
    for (const cls of this.byKey.get(key) ?? []) {
      if (cls === undefined) continue;
      for (const edge of cls.before) remove(edge.from.after, edge);
      for (const edge of cls.after) remove(edge.to.before, edge);
      remove(this.classes, cls);
      this.root.forget(cls);
    }
    this.byKey.delete(key);
  }

  private classAt(key: LockKey, subclass: number, make: () => LockClass): LockClass {
    let row = this.byKey.get(key);
    if (row === undefined) {
      row = [];
      this.byKey.set(key, row);
    }
    let found = row[subclass];
    if (found === undefined) {
      found = make();
      this.classes.push(found);
      row[subclass] = found;
    }
    return found;
  }

  /** The class of a lock at another subclass (`…_nested`), for `acquire`. */
  nested(map: DepMap, subclass: number): LockClass {
    const { waitOuter, waitInner, type } = map.cls;
    return this.classAt(map.key, subclass, () => {
      return new LockClass(map.key, subclass, ++this.made, waitOuter, waitInner, type);
    });
  }

  /** lock_acquire: before the lock is waited for. `how`: `READ_…` and `TRYLOCK`. */
  acquire(map: DepMap, place: string, how: number, cls: LockClass = map.cls): void {
    if (!this.on) return;
    const { here } = this.sched;
    const { current, preemptCount } = here;
    let key = cls.firstKey + how;
    if ((preemptCount & ANY_CONTEXT) !== 0 || current.softirqDisableCount !== 0) {
      key += this.circumstances();
      if ((preemptCount & NMI_MASK) !== 0) {
        this.acquireInNmi(viewOf(map, cls, place, key));
        return;
      }
    } else if (here.irqsDisabled) key += HARDIRQS_OFF;
    const { held } = current;
    const node = held.node ?? this.root;
    // The class remembers its last step: nearly always the next one, too, and nothing has to be loaded for it.
    const next =
      cls.lastFrom === node && cls.lastKey === key ? cls.lastTo! : this.stepTo(held, map, place, key, cls);
    const { depth } = held;
    held.locks[depth] = map;
    held.places[depth] = place;
    held.depth = depth + 1;
    held.node = next;
  }

  /** lock_acquire with a `nest_lock`, which has to be held and keeps locks of the class apart. */
  acquireNested(map: DepMap, place: string, how: number, nest: DepMap): void {
    if (!this.on) return;
    const { held } = this.sched.current;
    if (!held.locks.slice(0, held.depth).includes(nest)) {
      const key = map.cls.firstKey + how;
      this.emit(notNestedReport(this.sched.here, viewOf(map, map.cls, place, key), nest));
    } else this.acquire(map, place, how + NESTED);
  }

  /** lock_release. */
  release(map: DepMap, place?: string): void {
    if (!this.on) return;
    const { here } = this.sched;
    if ((here.preemptCount & NMI_MASK) !== 0) return;
    const { held } = here.current;
    const top = held.depth - 1;
    if (top >= 0 && held.locks[top] === map) {
      held.depth = top;
      const { cls } = map;
      held.node = cls.lastTo === held.node ? cls.lastFrom : held.node!.parent;
    } else this.releaseInner(held, map, place);
  }

  /** Interrupts (`softirq`: softirqs) go on again; what is held is then held with them on. */
  irqsOn(softirq = false): void {
    const { held } = this.sched.current;
    if (!this.on || held.depth === 0 || (!softirq && held.marked === held.node)) return;
    if (!softirq) held.marked = held.node;
    const views = viewsOf(held);
    const report = this.checks.enabled(views, softirq);
    if (report !== undefined) this.emit(report);
    else if (!softirq && this.sched.here.softirqCount === 0) this.irqsOn(true);
  }

  /** lockdep_sys_exit: a task returns to user space. */
  returnToUser(): void {
    if (this.on && this.sched.current.held.depth > 0) this.emit(userReturnReport(this.sched.here));
  }

  /** debug_check_no_locks_freed: the memory of a lock is freed or initialised again. */
  freed(map: DepMap): void {
    if (!this.on) return;
    const lock = this.held().find((view) => view.map === map);
    if (lock !== undefined) this.emit(freedReport(this.sched.here, lock));
  }

  /** What a task holds, interrupts on top of it included; the innermost last. */
  held(task: Task = this.sched.current): HeldView[] {
    return viewsOf(task.held);
  }

  /** lock_is_held. */
  isHeld(map: DepMap): boolean {
    const { held } = this.sched.current;
    return held.locks.slice(0, held.depth).includes(map);
  }

  /** The order graph as it has been seen so far. */
  graph(): LockOrderGraph {
    const prove = this.sched.profile.proveRawLockNesting;
    return {
      classes: this.classes.map(({ index, label, waitInner, usage }) => ({
        index,
        name: label,
        waitType: prove || waitInner <= WaitType.spin ? waitInner : waitInner + 1,
        usage: [...Array(10).keys()].filter((bit) => (usage & (1 << bit)) !== 0).map(usageText),
      })),
      edges: this.classes.flatMap(({ after }) =>
        after.map(({ from, to, trace }) => ({ from: from.index, to: to.index, place: trace[0] ?? '' })),
      ),
      refused: this.checks.refused,
    };
  }

  /** Bits of the context that runs. */
  private circumstances(): number {
    const { here } = this.sched;
    let bits = here.irqsDisabled ? HARDIRQS_OFF : 0;
    if ((here.preemptCount & HARDIRQ_MASK) !== 0)
      bits += here.irqThreadable ? IN_HARDIRQ + THREADABLE : IN_HARDIRQ;
    const soft = here.softirqCount;
    if (soft === 0) return bits;
    // On RT softirqs are served by threads, which are no interrupts to lockdep.
    return bits + ((soft & SOFTIRQ_OFFSET) !== 0 && !this.rt ? SOFTIRQS_OFF + IN_SOFTIRQ : SOFTIRQS_OFF);
  }

  private stepTo(held: HeldLocks, map: DepMap, place: string, key: number, cls: LockClass): ChainNode {
    const node = held.node ?? this.root;
    const next = node.child(key) ?? this.step(held, viewOf(map, cls, place, key));
    cls.lastFrom = node;
    cls.lastKey = key;
    cls.lastTo = next;
    return next;
  }

  /** A step not taken before: it is checked and kept. */
  private step(held: HeldLocks, next: HeldView): ChainNode {
    const node = held.node ?? this.root;
    if (held.depth >= MAX_LOCK_DEPTH - 1) this.emit(this.tooDeep(held.depth + 1));
    else {
      const report = this.checks.acquire(viewsOf(held), next);
      if (report !== undefined) this.emit(report);
    }
    return node.add(next.key, next.cls);
  }

  private tooDeep(depth: number): Report {
    return {
      title: 'BUG: MAX_LOCK_DEPTH too low!',
      body: [
        'turning off the locking correctness validator.',
        `depth: ${depth}  max: ${MAX_LOCK_DEPTH}!`,
        ...heldLines(this.sched.here),
      ],
    };
  }

  /** Nothing that is taken in NMI is kept; what is taken elsewhere, too, is refused. */
  private acquireInNmi(next: HeldView): void {
    if (next.trylock || !this.sched.profile.lockdepNmi) return;
    const report = this.checks.nmi(next);
    if (report !== undefined) this.emit(report);
  }

  /** Releases a lock that is not the innermost: the others follow on from what was before it. */
  private releaseInner(held: HeldLocks, map: DepMap, place: string | undefined): void {
    const views = viewsOf(held);
    const at = views.findLastIndex((view) => view.map === map);
    if (at < 0) {
      this.emit(imbalanceReport(this.sched.here, map, place ?? this.sched.here.stack()[0] ?? map.name));
      return;
    }
    held.depth = at;
    held.node = this.ancestor(held.node!, views.length - at);
    for (const { map: other, place: where, key, cls } of views.slice(at + 1)) {
      const node = held.node ?? this.root;
      const next = node.child(key) ?? this.step(held, viewOf(other, cls, where, key));
      held.locks[held.depth] = other;
      held.places[held.depth++] = where;
      held.node = next;
    }
  }

  private ancestor(node: ChainNode, generations: number): ChainNode | undefined {
    let found: ChainNode | undefined = node;
    for (let i = 0; i < generations; i++) found = found?.parent;
    return found;
  }

  private emit({ title, body }: Report): void {
    const { console, profile } = this.sched;
    if (this.mode === 'once') this.on = false;
    console.print(`\n${'='.repeat(title.length)}`);
    const ident = `${profile.name} Not tainted`;
    console.splat('lockdep', [title, ident, '-'.repeat(title.length), ...body, '', 'stack backtrace:']);
  }
}

function remove<T>(list: T[], item: T): void {
  const at = list.indexOf(item);
  if (at >= 0) list.splice(at, 1);
}
