/** The lock-order graph as lockdep has seen it, drawn: an edge from what was held to what was taken then. */
import type { LockOrderGraph } from '../kernel/locking/lockdep.js';
import { dotGraph } from './dot.js';

/** Wait types by what they are called (`enum lockdep_wait_type`). */
const WAIT_TYPES = ['invalid', 'free', 'spin', 'config', 'sleep', 'max'];

/** Graphviz text. An order that lockdep reported is red. */
export function lockOrderDot({ classes, edges, refused }: LockOrderGraph): string {
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
  const wrong = { attributes: { color: 'red', penwidth: '2' } };
  return dotGraph('lock order', nodes, [
    ...edges.map(edge),
    ...refused.map((order) => ({ ...edge(order), ...wrong })),
  ]);
}
