/**
 * The locks that a task holds, interrupts on top of it included (`task_struct::held_locks`), and the node of the chain
 * cache that says that they may be held in this order. Relies on nothing but lock classes.
 */
import type { DepMap, LockClass } from './lock-class.js';

/** Locks that one task can hold (MAX_LOCK_DEPTH). */
export const MAX_LOCK_DEPTH = 48;

/**
 * A sequence of held locks that was checked, as a path from the root: the chain cache as a tree. What lockdep says of a
 * further lock depends only on the node and the key of the step, so that each step is checked once.
 */
export class ChainNode {
  /** The step taken last, and where it led: nearly always the next one too. */
  lastKey = -1;
  lastNode: ChainNode = this;
  private readonly children = new Map<number, ChainNode>();

  constructor(
    readonly parent: ChainNode | undefined,
    /** The step that leads here from its parent. */
    readonly key: number,
    readonly cls: LockClass | undefined,
  ) {}

  child(key: number): ChainNode | undefined {
    const found = this.children.get(key);
    if (found !== undefined) this.remember(key, found);
    return found;
  }

  add(key: number, cls: LockClass): ChainNode {
    const node = new ChainNode(this, key, cls);
    this.children.set(key, node);
    this.remember(key, node);
    return node;
  }

  private remember(key: number, node: ChainNode): void {
    this.lastKey = key;
    this.lastNode = node;
  }
}

export class HeldLocks {
  depth = 0;
  /** The first `depth` entries count, the innermost last. */
  readonly locks: DepMap[] = [];
  /** Where each was taken. */
  readonly places: string[] = [];
  /** Undefined before the first lock. */
  node: ChainNode | undefined;
  /** Node for which usage with interrupts on has been noted. */
  marked: ChainNode | undefined;
}
