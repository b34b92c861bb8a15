/** What the latencies of map operations depend on, and on what they do not. */
import { describe, expect, test } from '@jest/globals';
import { LATENCY_OPS, type LatencyOp, type LatencyPoint, measureLatency } from '../../src/rfc/latency.js';

function op(map: string, name: string): LatencyOp {
  return LATENCY_OPS.find((each) => each.map.name === map && each.name === name)!;
}

function at(map: string, name: string, profile: string, entries = 256, cpus = 4, busy = 1): LatencyPoint {
  return measureLatency(op(map, name), { profile, entries, cpus, busy });
}

describe('creating a map', () => {
  test.each([1000, 10_000, 100_000])(
    'before the series interrupts are off for each of %i elements',
    (entries) => {
      expect(at('hash, preallocated', 'creation', '5.6-rt', entries).irqsoffNs).toBe(5 * entries);
      expect(at('hash, preallocated', 'creation', 'rfc-rt', entries).irqsoffNs).toBe(0);
    },
  );
});

describe('updating a hash that allocates', () => {
  const without = at('hash, allocating', 'update, new', '5.6-rt');
  const withSeries = at('hash, allocating', 'update, new', 'rfc-rt');

  test('before the series the allocator works with interrupts off', () => {
    expect(without.irqsoffAt).toBe('htab_map_update_elem');
    expect(without.irqsoffNs).toBeGreaterThan(500);
  });

  test('on RT with it nothing is off, and the lock that is held sleeps', () => {
    expect(withSeries).toMatchObject({ preemptoffNs: 0, irqsoffNs: 0, lock: '&htab->buckets[i].lock' });
    expect(withSeries.heldNs).toBeGreaterThan(500);
  });

  test('where the kernel is not RT it changes nothing', () => {
    const sections = ({ preemptoffNs, irqsoffNs, heldNs }: LatencyPoint) => [preemptoffNs, irqsoffNs, heldNs];
    const [before, after] = ['5.6', 'rfc'].map((profile) => at('hash, allocating', 'update, new', profile));
    expect(sections(after!)).toEqual(sections(before!));
  });
});

describe('eviction', () => {
  const evicting = (map: string, entries: number, cpus: number, busy: number) =>
    at(map, 'update, evicting', 'rfc-rt', entries, cpus, busy).irqsoffNs;
  const COMMON = 'LRU hash, common lists';

  test('from common lists it takes longer the more elements a CPU may keep, up to 128', () => {
    const sizes = [32, 128, 256, 512].map((entries) => evicting(COMMON, entries, 1, 1));
    expect(sizes).toEqual(sizes.toSorted((a, b) => a - b));
    expect(sizes[0]).toBeLessThan(sizes[2]!);
    expect(sizes[2]).toBe(sizes[3]);
  });

  test('from common lists it takes longer the more CPUs want some, from lists of their own it does not', () => {
    expect(evicting(COMMON, 1024, 4, 4)).toBeGreaterThan(2 * evicting(COMMON, 1024, 4, 1));
    const [alone, together] = [1, 4].map((busy) => evicting('LRU hash, per-CPU lists', 1024, 4, busy));
    expect(together).toBe(alone);
  });
});

test('waiting for a spinning lock is n-1 times holding it and handing it over', () => {
  const [alone, four] = [1, 4].map((busy) => at('queue', 'push', 'rfc-rt', 256, 4, busy).irqsoffNs);
  expect(four! - alone!).toBe(3 * (alone! + 60));
});

test.each(LATENCY_OPS.map((each) => [`${each.map.name}: ${each.name}`, each] as const))(
  '%s: measured twice, the same twice',
  (_name, each) => {
    const setting = { profile: 'rfc-rt', entries: 64, cpus: 2, busy: 2 };
    const [first, second] = [measureLatency(each, setting), measureLatency(each, setting)];
    expect(second).toEqual(first);
    expect(Math.max(first.preemptoffNs, first.irqsoffNs, first.heldNs)).toBeLessThan(1e6);
  },
);
