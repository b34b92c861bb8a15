/** Special fields of values: which maps may have them, and how copies leave them alone. Errnos are Linux 6.18's. */
import { describe, expect, test } from '@jest/globals';
import { Errno } from '../../../src/abi/errno.js';
import type { MapTypeName } from '../../../src/abi/map-types.js';
import { errnoOf, ID, kernelOf, makeMap, typed, u32 } from './support.js';

const { EACCES, EINVAL, EOPNOTSUPP, ENOTSUPP } = Errno;
const LOCK = 4;

describe('creation', () => {
  test.each<[MapTypeName, number, number, object, number]>([
    ['hash', ID.locked, 16, {}, 0],
    ['array', ID.locked, 16, {}, 0],
    ['lru_hash', ID.locked, 16, {}, EOPNOTSUPP],
    ['percpu_hash', ID.locked, 16, {}, EOPNOTSUPP],
    ['hash', ID.timed, 24, {}, 0],
    ['lru_hash', ID.timed, 24, {}, 0],
    ['percpu_array', ID.timed, 24, {}, EOPNOTSUPP],
    ['lru_hash', ID.twoLocks, 8, {}, 0],
    ['lru_hash', ID.oddLock, 8, {}, 0],
    ['hash', ID.locked, 16, { mapFlags: 1 << 7 }, EACCES],
    ['hash', ID.locked, 12, {}, EINVAL],
    ['hash', ID.long, 8, { btfKeyTypeId: ID.long }, EINVAL],
    ['hash', ID.long, 8, { btfKeyTypeId: 0 }, EINVAL],
    ['array', ID.long, 8, { btfKeyTypeId: 0 }, EINVAL],
    ['stack_trace', ID.long, 8, {}, ENOTSUPP],
  ])('%s, value type %i of %i bytes, %p: errno %i', (type, id, size, more, errno) => {
    const kernel = kernelOf();
    expect(errnoOf(() => makeMap(kernel, type, { ...typed(id, size), ...more }))).toBe(errno);
  });
});

describe.each<MapTypeName>(['hash', 'array'])('values of a %s with a lock', (type) => {
  const made = () => {
    const kernel = kernelOf();
    return { kernel, map: makeMap(kernel, type, typed(ID.locked, 16)) };
  };

  test('the lock reads as zero and is not written', () => {
    const { kernel, map } = made();
    expect(kernel.bpf.mapUpdate(map, u32(1), u32(1, 2, 0xdead, 3))).toBe(0);
    expect(kernel.bpf.mapLookup(map, u32(1))).toEqual(u32(1, 2, 0, 3));
    expect(kernel.bpf.mapUpdate(map, u32(1), u32(5, 6, 7, 8), LOCK)).toBe(0);
    expect(kernel.bpf.mapLookup(map, u32(1), LOCK)).toEqual(u32(5, 6, 0, 8));
  });

  test.each([
    [LOCK | 1, Errno.EEXIST],
    [LOCK | 2, 0],
    [LOCK | 3, EINVAL],
    [LOCK | 8, EINVAL],
  ])('flags %i on an element: errno %i', (flags, errno) => {
    const { kernel, map } = made();
    kernel.bpf.mapUpdate(map, u32(1), u32(1, 2, 3, 4));
    expect(kernel.bpf.mapUpdate(map, u32(1), u32(1, 2, 3, 4), flags)).toBe(errno === 0 ? 0 : -errno);
  });

  test('it cannot be frozen', () => {
    const { kernel, map } = made();
    expect(kernel.bpf.mapFreeze(map)).toBe(-ENOTSUPP);
  });
});

test('BPF_F_LOCK is refused where values have no lock', () => {
  const kernel = kernelOf();
  const map = makeMap(kernel, 'hash');
  expect(kernel.bpf.mapUpdate(map, u32(1), u32(1, 2), LOCK)).toBe(-EINVAL);
  expect(kernel.bpf.mapLookup(map, u32(1), LOCK)).toBe(-EINVAL);
  expect(kernel.bpf.mapLookupBatch(map, undefined, 4, LOCK).errno).toBe(-EINVAL);
});

test('timers of a deleted element are let go of', () => {
  const kernel = kernelOf();
  const map = makeMap(kernel, 'hash', typed(ID.timed, 24));
  const dropped: number[] = [];
  Object.assign(kernel, { dropField: (kind: number) => dropped.push(kind) });
  kernel.bpf.mapUpdate(map, u32(1), u32(1, 2, 3, 4, 5, 6));
  expect(kernel.bpf.mapLookup(map, u32(1))).toEqual(u32(1, 2, 0, 0, 0, 0));
  kernel.bpf.mapDelete(map, u32(1));
  expect(dropped.length).toBe(1);
});
