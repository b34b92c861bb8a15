/**
 * Locks, drawn: the lock-order graph as lockdep has seen it, an edge from what was held to what was taken then; and who waits
 * for whom, an edge from a waiter to what it needs.
 */
import type { LockOrderGraph } from '../kernel/locking/lockdep.js';
import type { WaitEdge } from '../kernel/locking/wait-graph.js';
import { type DotEdge, type DotNode, dotGraph } from './dot.js';

/** Wait types by what they are called (`enum lockdep_wait_type`). */
const WAIT_TYPES = ['invalid', 'free', 'spin', 'config', 'sleep', 'max'];

const WRONG = { attributes: { color: 'red', penwidth: '2' } };

/** Graphviz text. An order that lockdep reported is red, and so is a circle of waiters. */
export function lockOrderDot(order: LockOrderGraph, waits: readonly WaitEdge[] = []): string {
  const locks = orderOf(order);
  const waiters = waitsOf(waits);
  // Names of the two parts only where there are both.
  const framed = (nodes: readonly DotNode[], group: string): DotNode[] =>
    nodes.map((node) => (waits.length === 0 ? node : { ...node, group }));
  return dotGraph(
    waits.length === 0 ? 'lock order' : 'locks',
    [...framed(locks.nodes, 'lock order'), ...framed(waiters.nodes, 'who waits for whom')],
    [...locks.edges, ...waiters.edges],
  );
}

interface Part {
  readonly nodes: readonly DotNode[];
  readonly edges: readonly DotEdge[];
}

function waitsOf(waits: readonly WaitEdge[]): Part {
  const names = [...new Set(waits.flatMap(({ from, to }) => [from, to]))];
  const id = (name: string): string => `w${names.indexOf(name)}`;
  const reaches = (from: string, to: string, seen = new Set<string>()): boolean =>
    waits.some((wait) => {
      if (wait.from !== from || seen.has(wait.to)) return false;
      seen.add(wait.to);
      return wait.to === to || reaches(wait.to, to, seen);
    });
  const nodes = names.map((name) => ({ id: id(name), lines: [name] }));
  const edges = waits.map(({ from, to, why }) => ({
    from: id(from),
    to: id(to),
    label: why,
    ...(reaches(to, from) && WRONG),
  }));
  return { nodes, edges };
}

function orderOf({ classes, edges, refused }: LockOrderGraph): Part {
  const used = new Set([...edges, ...refused].flatMap(({ from, to }) => [from, to]));
  const nodes = classes
    .filter(({ index, usage }) => used.has(index) || usage.length > 0)
    .map(({ index, name, waitType, usage }) => ({
      id: `c${index}`,
      lines: [name, `wait type ${WAIT_TYPES[waitType] ?? waitType}`, ...usage],
    }));
  const edge = ({ from, to, place }: (typeof edges)[number]) => ({
    from: `c${from}`,
    to: `c${to}`,
    label: place,
  });
  return { nodes, edges: [...edges.map(edge), ...refused.map((each) => ({ ...edge(each), ...WRONG }))] };
}
