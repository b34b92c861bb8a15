/**
 * Searches in the order graph, along strong paths only: those on which a recursive reader is not followed by a holder that
 * shares, for such a pair never blocks each other. Breadth first, so that what is found is the shortest. Models `__bfs` and
 * the theory in Documentation/locking/lockdep-design.rst.
 */
import { Dep, type LockClass, type LockEdge } from './lock-class.js';

/** A class on a path, and how the path came to it. */
export interface PathNode {
  readonly cls: LockClass;
  readonly parent: PathNode | undefined;
  readonly edge: LockEdge | undefined;
  /** The path's last step is only possible with a recursive reader (backwards: with a sharing holder) at this end. */
  readonly weak: boolean;
}

export type Direction = 'after' | 'before';

/** Edges that may not follow a weak node; edges of which one makes a node strong. */
const AFTER_WEAK = { after: Dep.er | Dep.en, before: Dep.sn | Dep.en } as const;
const STRONG = { after: Dep.sn | Dep.en, before: Dep.er | Dep.en } as const;

/** The kind of an edge by how its ends are held: `READ_…` values. */
export function depKind(prevRead: number, nextRead: number): number {
  return 1 << (Number(prevRead === 0) + (Number(nextRead !== 2) << 1));
}

/**
 * The first node, the root included, that matches; undefined where none is reachable. Paths do not lead through nodes
 * that `skip` names.
 */
export function search(
  root: LockClass,
  weak: boolean,
  direction: Direction,
  matches: (node: PathNode) => boolean,
  skip: (node: PathNode) => boolean = () => false,
): PathNode | undefined {
  const seen = new Map<LockClass, boolean>();
  const queue: PathNode[] = [{ cls: root, parent: undefined, edge: undefined, weak }];
  for (let node = queue.shift(); node !== undefined; node = queue.shift()) {
    const seenWeak = seen.get(node.cls);
    if (seenWeak === false || (seenWeak === true && node.weak)) continue;
    seen.set(node.cls, node.weak);
    if (skip(node)) continue;
    if (matches(node)) return node;
    for (const edge of node.cls[direction]) {
      const kinds = node.weak ? edge.kinds & AFTER_WEAK[direction] : edge.kinds;
      if (kinds === 0) continue;
      const cls = direction === 'after' ? edge.to : edge.from;
      queue.push({ cls, parent: node, edge, weak: (kinds & STRONG[direction]) === 0 });
    }
  }
  return undefined;
}

/** From the root to a node. */
export function pathOf(node: PathNode): PathNode[] {
  const path: PathNode[] = [];
  for (let at: PathNode | undefined = node; at !== undefined; at = at.parent) path.unshift(at);
  return path;
}
