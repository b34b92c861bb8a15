/** The lock-order graph, drawn. */
import { expect, test } from '@jest/globals';
import { Kernel } from '../../src/kernel/kernel.js';
import { lockOrderDot } from '../../src/report/lock-graph.js';

test('an order that lockdep reported is red', () => {
  const { locks } = new Kernel({ cpus: 1, lockdep: 'always' });
  const [a, b, c] = ['A', 'B', 'C'].map((name) => locks.raw(name));
  for (const [first, second] of [
    [a!, b!],
    [b!, a!],
    [b!, c!],
  ] as const) {
    first.lockNow('first');
    second.lockNow('second');
    second.unlock();
    first.unlock();
  }
  const lines = lockOrderDot(locks.lockdep.graph()).split('\n');
  const id = (name: string) => /"(c\d+)"/.exec(lines.find((line) => line.includes(`label="${name}\\l`))!)![1];
  const edge = (from: string, to: string) =>
    lines.find((line) => line.includes(`"${id(from)}" -> "${id(to)}"`));
  expect(edge('A', 'B')).not.toContain('red');
  expect(edge('B', 'A')).toContain('color="red"');
  expect(edge('B', 'C')).not.toContain('red');
  expect(edge('C', 'A')).toBeUndefined();
});
