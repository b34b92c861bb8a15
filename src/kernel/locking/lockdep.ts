/**
 * The lock validator: what is taken while what is held, and in which context, is checked against everything seen before.
 * Each step of a sequence of locks is checked once (`held-locks.ts`); after that it costs a comparison. Models
 * kernel/locking/lockdep.c (6.12 and 6.18).
 */
import { HARDIRQ_MASK, NMI_MASK, SOFTIRQ_OFFSET } from '../sched/preempt.js';
import type { Sched } from '../sched/sched.js';
import { ChainNode, type HeldLocks } from './held-locks.js';
import { type DepMap, LockClass, LockKey, type LockType } from './lock-class.js';

/** How a lock is taken: exclusively, shared, or shared where readers of the same task may come again. */
export const READ_NONE = 0;
export const READ_SHARED = 1;
export const READ_RECURSIVE = 2;
export const READ_MASK = 3;
export const TRYLOCK = 4;
/** Circumstances, which lockdep adds: interrupt contexts, what is off, whether RT would run the handler in a thread. */
export const IN_HARDIRQ = 8;
export const IN_SOFTIRQ = 16;
export const HARDIRQS_OFF = 32;
export const SOFTIRQS_OFF = 64;
export const THREADABLE = 128;
/** Steps are numbered `class index * KEY_STRIDE + flags`. */
export const KEY_STRIDE = 256;

/** `once`: off after the first report, as in Linux. */
export type LockdepMode = 'off' | 'once' | 'always';

export class Lockdep {
  /** Checks are on. */
  on: boolean;
  readonly classes: LockClass[] = [];
  private readonly root = new ChainNode(undefined, -1, undefined);
  private readonly keys = new Map<string, LockKey>();
  private readonly byKey = new Map<LockKey, LockClass[]>();
  private ids = 0;

  constructor(
    readonly sched: Sched,
    readonly mode: LockdepMode = 'once',
  ) {
    this.on = mode !== 'off';
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
    let row = this.byKey.get(key);
    if (row === undefined) {
      row = [];
      this.byKey.set(key, row);
    }
    let found = row[subclass];
    if (found === undefined) {
      const { outer, inner, type = 'normal' } = waits;
      found = new LockClass(key, subclass, this.classes.length + 1, outer, inner, type);
      this.classes.push(found);
      row[subclass] = found;
    }
    return found;
  }

  /** lock_acquire: before the lock is waited for. `how`: `READ_…` and `TRYLOCK`. */
  acquire(map: DepMap, place: string, how: number, cls: LockClass = map.cls): void {
    if (!this.on) return;
    const { here } = this.sched;
    const { current, preemptCount } = here;
    if ((preemptCount & NMI_MASK) !== 0) return;
    let key = cls.index * KEY_STRIDE + how;
    if (here.irqsDisabled) key += HARDIRQS_OFF;
    if ((preemptCount & HARDIRQ_MASK) !== 0) key += IN_HARDIRQ;
    const soft = here.softirqCount;
    if (soft !== 0) key += (soft & SOFTIRQ_OFFSET) !== 0 ? SOFTIRQS_OFF + IN_SOFTIRQ : SOFTIRQS_OFF;
    const { held } = current;
    const node = held.node ?? this.root;
    const next = node.lastKey === key ? node.lastNode : (node.child(key) ?? this.step(held, node, key, cls));
    held.locks[held.depth] = map;
    held.places[held.depth++] = place;
    held.node = next;
  }

  /** lock_release. */
  release(map: DepMap): void {
    if (!this.on) return;
    const { here } = this.sched;
    if ((here.preemptCount & NMI_MASK) !== 0) return;
    const { held } = here.current;
    const top = held.depth - 1;
    if (held.locks[top] !== map) {
      this.releaseInner(held, map);
      return;
    }
    held.depth = top;
    held.node = held.node!.parent;
  }

  /** A step not taken before: it is checked and kept. */
  private step(_held: HeldLocks, node: ChainNode, key: number, cls: LockClass): ChainNode {
    return node.add(key, cls);
  }

  /** Releases a lock that is not the innermost: the others follow on from what was before it. */
  private releaseInner(held: HeldLocks, map: DepMap): void {
    let at = held.depth - 1;
    const keys: [number, LockClass][] = [];
    let node = held.node;
    while (at >= 0 && held.locks[at] !== map) {
      keys.push([node!.key, node!.cls!]);
      node = node!.parent;
      at--;
    }
    if (at < 0) return;
    node = node!.parent!;
    for (const [key, cls] of keys.reverse()) node = node.child(key) ?? node.add(key, cls);
    held.locks.splice(at, 1);
    held.places.splice(at, 1);
    held.depth--;
    held.node = node;
  }
}
