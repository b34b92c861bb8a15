/** Batch operations: what each map type has, tokens, and -ENOSPC where a bucket does not fit. */
import { describe, expect, test } from '@jest/globals';
import { Errno } from '../../../src/abi/errno.js';
import type { MapTypeName } from '../../../src/abi/map-types.js';
import { kernelOf, makeMap, number, u32, u64 } from './support.js';

const ZERO_SEED = 1 << 6;
const NO_PREALLOC = 1;
const NOT_THERE = -Errno.ENOTSUPP;

describe('which there are', () => {
  test.each<[MapTypeName, object, number, number, number, number]>([
    ['hash', {}, -2, -2, 0, 0],
    ['lru_hash', {}, -2, -2, 0, 0],
    ['percpu_hash', {}, -2, -2, 0, 0],
    ['array', {}, 0, NOT_THERE, 0, NOT_THERE],
    ['percpu_array', {}, 0, NOT_THERE, 0, NOT_THERE],
    ['lpm_trie', { keySize: 8, mapFlags: NO_PREALLOC }, -2, NOT_THERE, 0, 0],
    ['queue', { keySize: 0 }, NOT_THERE, NOT_THERE, NOT_THERE, NOT_THERE],
    ['sockmap', {}, NOT_THERE, NOT_THERE, NOT_THERE, NOT_THERE],
    ['devmap', {}, NOT_THERE, NOT_THERE, NOT_THERE, NOT_THERE],
  ])('%s', (type, attr, lookup, lookupAndDelete, update, remove) => {
    const kernel = kernelOf();
    const map = makeMap(kernel, type, attr);
    const { bpf } = kernel;
    expect([
      bpf.mapLookupBatch(map, undefined, 1).errno,
      bpf.mapLookupAndDeleteBatch(map, undefined, 1).errno,
      bpf.mapUpdateBatch(map, [], []).errno,
      bpf.mapDeleteBatch(map, []).errno,
    ]).toEqual([lookup, lookupAndDelete, update, remove]);
  });
});

describe('a hash', () => {
  const filled = (keys: number) => {
    const kernel = kernelOf();
    const map = makeMap(kernel, 'hash', { maxEntries: 32, mapFlags: ZERO_SEED });
    const all = Array.from({ length: keys }, (_, i) => u32(i));
    const values = all.map((_, i) => u64(100 + i));
    expect(kernel.bpf.mapUpdateBatch(map, all, values)).toEqual({ errno: 0, count: keys });
    return { kernel, map };
  };

  test('is read in pieces, each key once', () => {
    const { kernel, map } = filled(20);
    const seen: number[] = [];
    let from: Uint8Array | undefined;
    for (let calls = 0; calls < 40; calls++) {
      const { errno, keys, values, next } = kernel.bpf.mapLookupBatch(map, from, 6);
      expect(values.map(number)).toEqual(
        keys.map((key) => 100 + new DataView(key.buffer).getUint32(0, true)),
      );
      seen.push(...keys.map((key) => new DataView(key.buffer).getUint32(0, true)));
      from = next;
      if (errno === -Errno.ENOENT) break;
      expect(errno).toBe(0);
    }
    expect(seen.sort((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, i) => i));
  });

  test('a bucket with more than there is room for is -ENOSPC, and stays', () => {
    const { kernel, map } = filled(32);
    let from: Uint8Array | undefined;
    let result = kernel.bpf.mapLookupAndDeleteBatch(map, from, 1);
    while (result.errno === 0) {
      from = result.next;
      result = kernel.bpf.mapLookupAndDeleteBatch(map, from, 1);
    }
    expect(result.errno).toBe(-Errno.ENOSPC);
    const again = kernel.bpf.mapLookupAndDeleteBatch(map, from, 8);
    expect(again.count).toBeGreaterThan(1);
  });

  test('reading and deleting empties it', () => {
    const { kernel, map } = filled(20);
    expect(kernel.bpf.mapLookupAndDeleteBatch(map, undefined, 64)).toMatchObject({ errno: -2, count: 20 });
    expect(kernel.bpf.mapNextKey(map)).toBe(-Errno.ENOENT);
    expect(kernel.bpf.mapLookupBatch(map, u32(32), 4)).toMatchObject({ errno: -2, count: 0 });
  });

  test('writing stops at the first that is refused', () => {
    const { kernel, map } = filled(32);
    const keys = [u32(1), u32(99), u32(2)];
    const values = keys.map(() => u64(7));
    expect(kernel.bpf.mapUpdateBatch(map, keys, values)).toEqual({ errno: -Errno.E2BIG, count: 1 });
    expect(kernel.bpf.mapDeleteBatch(map, keys)).toEqual({ errno: -Errno.ENOENT, count: 1 });
  });
});
