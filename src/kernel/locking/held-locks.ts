/**
 * The locks that a task holds, interrupts on top of it included (`task_struct::held_locks`), and the node of the chain
 * cache that says that they may be held in this order. Relies on nothing but lock classes.
 */
import type { ChainNode, DepMap } from './lock-class.js';

/** Locks that one task can hold (MAX_LOCK_DEPTH). */
export const MAX_LOCK_DEPTH = 48;

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
