/**
 * What lockdep knows of locks: the key that an initialisation site gives its locks, the class made of it for each
 * subclass, and where a class stands in the order graph. Models `struct lock_class` (include/linux/lockdep_types.h).
 */

import { KEY_STRIDE } from './lock-flags.js';

/** How a lock may wait, from never to asleep (`enum lockdep_wait_type`). */
export const WaitType = {
  inv: 0,
  /** Does not wait at all: rcu_read_lock. */
  free: 1,
  /** Spins: raw_spinlock_t. */
  spin: 2,
  /** Spins, or sleeps on RT: spinlock_t. */
  config: 3,
  /** Sleeps: mutex, rw_semaphore. */
  sleep: 4,
  max: 5,
} as const;

/** A wait type as a kernel numbers it: where the nesting of raw locks is not proven, `config` is `spin`. */
export function waitTypeIn(knobs: { readonly proveRawLockNesting: boolean }, type: number): number {
  return knobs.proveRawLockNesting || type <= WaitType.spin ? type : type - 1;
}

/** Identity of a class of locks: all locks initialised with it follow the same rules. */
export class LockKey {
  constructor(
    /** As Linux's reports print it, e.g. `&htab->lockdep_key`. */
    readonly name: string,
  ) {}
}

/** How a class was used, or is being used; each bit is also the index of where that happened first. */
export const Usage = {
  usedInHardirq: 0,
  usedInHardirqRead: 1,
  enabledHardirq: 2,
  enabledHardirqRead: 3,
  usedInSoftirq: 4,
  usedInSoftirqRead: 5,
  enabledSoftirq: 6,
  enabledSoftirqRead: 7,
  used: 8,
  usedRead: 9,
} as const;

/** Dependency kinds by how the two ends are held: shared or exclusive, recursive reader or not (DEP_*_MASK). */
export const Dep = { sr: 1, er: 2, sn: 4, en: 8 } as const;

/** An edge of the order graph: `to` was taken while `from` was held. */
export interface LockEdge {
  readonly from: LockClass;
  readonly to: LockClass;
  /** Kinds seen, a set of `Dep` bits. */
  kinds: number;
  /** Where `to` was taken when the edge was first seen: the place, then the functions around it. */
  readonly trace: readonly string[];
}

export type LockType = 'normal' | 'percpu';

/**
 * A sequence of held locks that was checked, as a path from the root: the chain cache as a tree. What lockdep says of a
 * further lock depends only on the node and the key of the step, so that each step is checked once.
 */
export class ChainNode {
  private readonly children = new Map<number, ChainNode>();

  constructor(
    readonly parent: ChainNode | undefined,
    /** The step that leads here from its parent. */
    readonly key: number,
    readonly cls: LockClass | undefined,
  ) {}

  child(key: number): ChainNode | undefined {
    return this.children.get(key);
  }

  /** Drops all sequences with a lock of a class. */
  forget(cls: LockClass): void {
    for (const [key, node] of this.children) {
      if (node.cls === cls) this.children.delete(key);
      else node.forget(cls);
    }
  }

  add(key: number, cls: LockClass): ChainNode {
    const node = new ChainNode(this, key, cls);
    this.children.set(key, node);
    return node;
  }
}

export class LockClass {
  /** Set of `Usage` bits. */
  usage = 0;
  /** Where each bit was set, by bit: the place, then the functions around it, innermost first. */
  readonly usageTraces: (readonly string[])[] = [];
  /** Steps that take a lock of the class are numbered from here. */
  readonly firstKey: number;
  readonly after: LockEdge[] = [];
  readonly before: LockEdge[] = [];
  /** The step that took a lock of the class last: where it began and led. */
  lastFrom: ChainNode | undefined;
  lastKey = -1;
  lastTo: ChainNode | undefined;
  /** Longest time that a lock of the class was held, in simulated ns; -1 before the first. */
  worstHeldNs = -1;
  /** Which measurement of latencies that belongs to. */
  measurement = 0;

  constructor(
    readonly key: LockKey,
    readonly subclass: number,
    /** Number within its kernel; from 1. */
    readonly index: number,
    readonly waitOuter: number,
    readonly waitInner: number,
    readonly type: LockType,
  ) {
    this.firstKey = index * KEY_STRIDE;
  }

  get name(): string {
    return this.key.name;
  }

  /** With the subclass, e.g. `&rq->__lock/1`. */
  get label(): string {
    return this.subclass === 0 ? this.name : `${this.name}/${this.subclass}`;
  }
}

/** What lockdep looks at in a lock (`struct lockdep_map`). */
export interface DepMap {
  /** Name of this lock, for reports about it. */
  readonly name: string;
  readonly key: LockKey;
  /** Class at subclass 0. */
  readonly cls: LockClass;
  /** Number of the lock within its kernel; stands for its address. */
  readonly id: number;
}
