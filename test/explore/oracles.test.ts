/** The oracles: histories with and without an order, and kernels in which something is left over, lost or torn. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { Errno } from '../../src/abi/errno.js';
import type { MapOp, MapOpKind } from '../../src/explore/history.js';
import { explore, randomWalk } from '../../src/explore/index.js';
import { linearizable } from '../../src/explore/linearize.js';
import { ABSENT, elementModel, type MapModel, queueModel } from '../../src/explore/map-models.js';
import { type SimWorld, simScenario } from '../../src/explore/sim-scenario.js';
import type { BpfMap } from '../../src/kernel/bpf/map.js';
import { parseScenario } from '../../src/kernel/sim/scenario.js';
import { openObject, relocateObject } from '../../src/object/index.js';

/** An operation from `begin` to `end`. */
function op(begin: number, end: number, kind: MapOpKind, value?: string, result = 0, flags = 0): MapOp {
  const map = {} as BpfMap;
  return { map, kind, by: 't', key: '', value, flags, begin, end, result, pointer: false };
}

const NOENT = -Errno.ENOENT;
const UNDER_WAY = Number.POSITIVE_INFINITY;
const element = elementModel({ initial: ABSENT, forgets: false });
const lru = elementModel({ initial: ABSENT, forgets: true });
const queue = queueModel({ initial: [], maxEntries: 2, fifo: true });
const stack = queueModel({ initial: [], maxEntries: 2, fifo: false });

const HISTORIES: readonly [string, MapModel, readonly MapOp[], 'yes' | 'no'][] = [
  ['nothing', element, [], 'yes'],
  ['write, read', element, [op(0, 1, 'update', 'aa'), op(2, 3, 'lookup', 'aa')], 'yes'],
  ['read what was never written', element, [op(0, 1, 'update', 'aa'), op(2, 3, 'lookup', 'ab')], 'no'],
  ['a write that is gone', element, [op(0, 1, 'update', 'aa'), op(2, 3, 'lookup', undefined, NOENT)], 'no'],
  ['an LRU may drop it', lru, [op(0, 1, 'update', 'aa'), op(2, 3, 'lookup', undefined, NOENT)], 'yes'],
  [
    'overlapping: either order',
    element,
    [op(0, 5, 'update', 'aa'), op(1, 2, 'lookup', undefined, NOENT)],
    'yes',
  ],
  [
    'a read between two reads of the new value sees the old',
    element,
    [op(0, 9, 'update', 'aa'), op(1, 2, 'lookup', 'aa'), op(3, 4, 'lookup', undefined, NOENT)],
    'no',
  ],
  [
    'one element deleted twice',
    element,
    [op(0, 1, 'update', 'aa'), op(2, 5, 'delete'), op(3, 4, 'delete')],
    'no',
  ],
  [
    'two that had to be the first',
    element,
    [op(0, 5, 'update', 'aa', 0, 1), op(1, 4, 'update', 'bb', 0, 1)],
    'no',
  ],
  [
    'refused is not done',
    element,
    [op(0, 1, 'update', 'aa'), op(2, 3, 'update', 'bb', -Errno.EBUSY), op(4, 5, 'lookup', 'aa')],
    'yes',
  ],
  ['still under way: done', element, [op(0, UNDER_WAY, 'update', 'aa'), op(1, 2, 'lookup', 'aa')], 'yes'],
  [
    'still under way: not done',
    element,
    [op(0, UNDER_WAY, 'update', 'aa'), op(1, 2, 'lookup', undefined, NOENT)],
    'yes',
  ],
  [
    'first in, first out',
    queue,
    [op(0, 1, 'push', 'aa'), op(2, 3, 'push', 'bb'), op(4, 5, 'pop', 'aa')],
    'yes',
  ],
  ['not first out', queue, [op(0, 1, 'push', 'aa'), op(2, 3, 'push', 'bb'), op(4, 5, 'pop', 'bb')], 'no'],
  [
    'last in, first out',
    stack,
    [op(0, 1, 'push', 'aa'), op(2, 3, 'push', 'bb'), op(4, 5, 'pop', 'bb')],
    'yes',
  ],
  ['popped twice', queue, [op(0, 1, 'push', 'aa'), op(2, 5, 'pop', 'aa'), op(3, 4, 'pop', 'aa')], 'no'],
  ['full when it is not', queue, [op(0, 1, 'push', 'aa'), op(2, 3, 'push', 'bb', -Errno.E2BIG)], 'no'],
  ['peeked', queue, [op(0, 1, 'push', 'aa'), op(2, 3, 'peek', 'aa'), op(4, 5, 'pop', 'aa')], 'yes'],
];

test.each(HISTORIES)('%s', (_name, model, ops, answer) => expect(linearizable(ops, model)).toBe(answer));

test('many that overlap are no trouble', () => {
  const many = Array.from({ length: 14 }, (_, i) => op(i, 100 + i, 'update', 'aa'));
  expect(linearizable([...many, op(200, 201, 'lookup', 'aa')], element)).toBe('yes');
  expect(linearizable([...many, op(200, 201, 'lookup', 'bb')], element)).toBe('no');
});

describe('in a kernel', () => {
  const object = relocateObject(
    openObject(readFileSync('programs/rt_maps.bpf.o'), { file: 'rt_maps.bpf.o' }),
    {},
  );
  const task = (name: string, cpu: number) => ({ name, affinity: [cpu] });
  const json = JSON.stringify({
    cpus: 2,
    attach: [],
    tasks: [task('a', 0), task('b', 1)],
    events: [
      { task: 'a', mapUpdate: { map: 'allocating', key: 1, value: 5 } },
      { task: 'a', mapLookup: { map: 'allocating', key: 1 } },
      { task: 'b', mapUpdate: { map: 'allocating', key: 1, value: 6 } },
      { task: 'b', mapDelete: { map: 'allocating', key: 1 } },
    ],
    expect: [{ map: 'allocating', elements: 0 }],
  });
  const parsed = parseScenario(json, () => new Uint8Array());

  /** What a scenario is found to do wrong where `spoil` has had its way with the kernel. */
  function found(spoil: (world: SimWorld) => void, schedules = 40): string[] {
    const scenario = simScenario(object, parsed, { name: 'spoilt' });
    const spoilt = {
      ...scenario,
      build() {
        const world = scenario.build();
        spoil(world);
        return world;
      },
    };
    const report = explore({ scenario: spoilt, strategy: randomWalk(1), schedules, keepGoing: true });
    return report.failures.map(({ kind, message }) => `${kind}: ${message}`);
  }

  test('the expectation fails where the delete comes first, and nothing else does', () => {
    const messages = found(() => {});
    expect(new Set(messages)).toEqual(new Set(['assertion: expect[0]: allocating has 1 elements, not 0']));
  });

  test('memory that is not given back', () => {
    const messages = found(({ kernel }) => {
      kernel.mm.kmallocNow(64, 0);
    }, 10);
    expect(messages).toContain('leak: 1 objects of kmalloc-64 are left');
  });

  test('a counter that is not back at zero', () => {
    const messages = found(({ kernel }) => {
      kernel.instrumentation.progActive[1] = 1;
    }, 3);
    expect(messages[0]).toBe('counters: bpf_prog_active of CPU 1 is 1');
  });

  test('a lock that is kept', () => {
    const messages = found(({ kernel }) => {
      kernel.sched.spawn({ pid: 77, tgid: 77, comm: 'keeper', uid: 0, gid: 0 }, function* () {
        yield* kernel.locks.mutex('a mutex').lock('keep');
      });
    }, 3);
    expect(messages[0]).toMatch(/^locks: keeper\/77 still holds a mutex, taken at keep$/);
  });

  test('a map that loses updates', () => {
    const messages = found(({ kernel }) => {
      const map = kernel.allMaps().find(({ name }) => name === 'allocating')!;
      // The element never comes into its bucket.
      (map as unknown as { publish: () => number }).publish = () => 0;
    }, 10);
    expect(messages.join('\n')).toMatch(
      /history: allocating\[1\]: no order explains .*a\/\d+ update 5 gives 0/,
    );
  });
});
