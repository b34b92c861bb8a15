/** Bloom filters, arenas with their ranges of pages, ring buffers from user space, struct_ops, build ids. */

import { describe, expect, test } from '@jest/globals';
import { Errno } from '../../../src/abi/errno.js';
import type { ArenaMap } from '../../../src/kernel/bpf/arena.js';
import { RangeTree } from '../../../src/kernel/bpf/range-tree.js';
import type { StackMap } from '../../../src/kernel/bpf/stackmap.js';
import type { UserRingbufMap } from '../../../src/kernel/bpf/user-ringbuf.js';
import { Btf } from '../../../src/object/btf/btf.js';
import { encodeBtf } from '../../../src/object/btf/encode.js';
import { intType } from '../../support/btf-types.js';
import { errnoOf, kernelOf, makeMap, u32 } from './support.js';

const MMAPABLE = 1 << 10;
const ZERO_SEED = 1 << 6;
const PAGE = 4096n;
const NOTHING = new Uint8Array(0);

describe('bloom filter', () => {
  test('what was pushed is found', () => {
    const kernel = kernelOf();
    const map = makeMap(kernel, 'bloom_filter', { keySize: 0, maxEntries: 100, mapFlags: ZERO_SEED });
    const value = (i: number) => u32(i, i * 7);
    for (let i = 0; i < 50; i++) expect(kernel.bpf.mapUpdate(map, NOTHING, value(i))).toBe(0);
    const found = (i: number) => typeof kernel.bpf.mapLookup(map, NOTHING, 0, value(i)) !== 'number';
    for (let i = 0; i < 50; i++) expect(found(i)).toBe(true);
    expect(Array.from({ length: 500 }, (_, i) => found(1000 + i)).filter(Boolean).length).toBeLessThan(50);
  });

  test.each([
    [{}, 0],
    [{ mapExtra: 15n }, 0],
    [{ mapExtra: 16n }, Errno.EINVAL],
    [{ keySize: 4 }, Errno.EINVAL],
    [{ maxEntries: 0 }, Errno.EINVAL],
    [{ mapFlags: 1 }, Errno.EINVAL],
    [{ valueSize: 5 << 20 }, Errno.E2BIG],
  ])('created with %p: errno %i', (more, errno) => {
    const kernel = kernelOf();
    expect(errnoOf(() => makeMap(kernel, 'bloom_filter', { keySize: 0, ...more }))).toBe(errno);
  });

  test.each([
    ['update with a flag', -Errno.EINVAL],
    ['delete', -Errno.EOPNOTSUPP],
    ['next key', -Errno.EOPNOTSUPP],
    ['look up and delete', -Errno.ENOTSUPP],
  ])('%s: %i', (what, errno) => {
    const kernel = kernelOf();
    const map = makeMap(kernel, 'bloom_filter', { keySize: 0 });
    const { bpf } = kernel;
    const acts: Record<string, () => unknown> = {
      'update with a flag': () => bpf.mapUpdate(map, NOTHING, u32(1, 2), 1),
      delete: () => bpf.mapDelete(map, NOTHING),
      'next key': () => bpf.mapNextKey(map),
      'look up and delete': () => bpf.mapLookupAndDelete(map, NOTHING),
    };
    expect(acts[what]!()).toBe(errno);
  });
});

describe('range tree', () => {
  test('best fit, of equal ranges the one put back last', () => {
    const tree = new RangeTree();
    tree.set(0, 100);
    expect(tree.find(10)).toBe(0);
    tree.clear(0, 100);
    tree.set(50, 4);
    tree.set(10, 2);
    tree.set(30, 4);
    expect([tree.find(1), tree.find(2), tree.find(3), tree.find(5)]).toEqual([10, 10, 30, undefined]);
  });

  test('neighbours join', () => {
    const tree = new RangeTree();
    tree.set(0, 4);
    tree.set(8, 4);
    expect(tree.find(12)).toBeUndefined();
    tree.set(4, 4);
    expect([tree.find(12), tree.isFree(2, 8), tree.isFree(2, 11)]).toEqual([0, true, false]);
  });
});

describe('arena', () => {
  const arena = (maxEntries = 8, mapFlags = MMAPABLE) => {
    const kernel = kernelOf();
    const map = makeMap(kernel, 'arena', { keySize: 0, valueSize: 0, maxEntries, mapFlags }) as ArenaMap;
    return { kernel, map, at: (page: number) => map.userStart + BigInt(page) * PAGE };
  };

  test('pages come and go', () => {
    const { kernel, map, at } = arena();
    expect(map.userStart % PAGE).toBe(0n);
    expect(map.allocPages(0n, 2)).toBe(at(0));
    expect(map.allocPages(at(4), 1)).toBe(at(4));
    expect(map.allocPages(at(4), 1)).toBe(0n);
    expect(map.allocPages(at(7), 2)).toBe(0n);
    expect(map.allocPages(at(2) + 8n, 1)).toBe(0n);
    expect(map.allocPages(0n, 9)).toBe(0n);
    const offset = Number(at(0));
    kernel.memory.u8[offset] = 7;
    expect(kernel.memory.allows(offset, 8, true)).toBe(true);
    map.freePages(at(0), 2);
    expect(kernel.memory.allows(offset, 8, false)).toBe(false);
    expect(map.allocPages(at(0), 1)).toBe(at(0));
    expect(kernel.memory.u8[offset]).toBe(0);
  });

  test('reserved pages are nobody’s', () => {
    const { map, at } = arena(4);
    expect(map.reservePages(at(1), 2)).toBe(0);
    expect(map.reservePages(at(2), 1)).toBe(-Errno.EBUSY);
    expect(map.reservePages(at(3), 2)).toBe(-Errno.EINVAL);
    expect(map.allocPages(0n, 2)).toBe(0n);
    expect(map.fault(at(1))).toBe(false);
    expect(map.fault(at(0))).toBe(true);
  });

  test.each([
    [{}, 0],
    [{ mapFlags: 0 }, Errno.EINVAL],
    [{ mapFlags: MMAPABLE | 1 }, Errno.EINVAL],
    [{ keySize: 4 }, Errno.EINVAL],
    [{ maxEntries: 0 }, Errno.EINVAL],
    [{ mapExtra: 1n }, Errno.EINVAL],
    [{ maxEntries: (1 << 20) + 1 }, Errno.E2BIG],
    [{ maxEntries: 2, mapExtra: (1n << 32n) - PAGE }, Errno.ERANGE],
  ])('created with %p: errno %i', (more, errno) => {
    const kernel = kernelOf();
    const attr = { keySize: 0, valueSize: 0, maxEntries: 2, mapFlags: MMAPABLE, ...more };
    expect(errnoOf(() => makeMap(kernel, 'arena', attr))).toBe(errno);
  });
});

describe('user ring buffer', () => {
  const ring = () => {
    const kernel = kernelOf();
    const attr = { keySize: 0, valueSize: 0, maxEntries: 4096 };
    return { kernel, map: makeMap(kernel, 'user_ringbuf', attr) as UserRingbufMap };
  };

  test('samples arrive in order, discarded ones are passed over', () => {
    const { kernel, map } = ring();
    expect(map.nextSample()).toBe(-Errno.ENODATA);
    map.produce(Uint8Array.of(1, 2, 3));
    map.produce(Uint8Array.of(9), true);
    map.produce(Uint8Array.of(4));
    const first = map.nextSample();
    if (typeof first === 'number') throw new Error(`errno ${first}`);
    expect([...kernel.memory.u8.slice(first.offset, first.offset + first.size)]).toEqual([1, 2, 3]);
    map.takeSample(first);
    expect(map.nextSample()).toBe(-Errno.EAGAIN);
    expect(map.nextSample()).toMatchObject({ size: 1 });
    expect(map.available).toBe(16);
  });

  test.each([
    ['a position that is no multiple of 8', 8, 12, -Errno.EINVAL],
    ['a sample longer than what is published', 100, 16, -Errno.EINVAL],
    ['a sample longer than the buffer', 5000, 8192, -Errno.E2BIG],
    ['a sample still being written', 0x80000008, 16, -Errno.ENODATA],
  ])('%s', (_, header, producer, errno) => {
    const { map } = ring();
    map.publishRaw(header, producer);
    expect(map.nextSample()).toBe(errno);
  });

  test('one program drains it at a time; it fills up', () => {
    const { map } = ring();
    expect([map.startDrain(), map.startDrain()]).toEqual([true, false]);
    map.endDrain(true);
    expect([map.startDrain(), map.wakeups]).toEqual([true, 1]);
    const produced = Array.from({ length: 5 }, () => map.produce(new Uint8Array(1000)));
    expect(produced).toEqual([true, true, true, true, false]);
  });
});

describe('struct_ops', () => {
  const int = intType('u32', 4, 0);
  const member = (name: string, type: number, offset: number) => ({
    name,
    type,
    bitOffset: offset * 8,
    bitfieldSize: 0,
  });
  const btf = Btf.parse(
    encodeBtf([
      int,
      { kind: 'func_proto', name: '', type: 0, params: [] },
      { kind: 'ptr', name: '', type: 2 },
      {
        kind: 'struct',
        name: 'my_ops',
        size: 16,
        kindFlag: false,
        members: [member('init', 3, 0), member('flags', 1, 8)],
      },
      {
        kind: 'struct',
        name: 'bpf_struct_ops_my_ops',
        size: 24,
        kindFlag: false,
        members: [member('state', 1, 0), member('refcnt', 1, 4), member('data', 4, 8)],
      },
    ]),
  );
  const attr = { valueSize: 24, maxEntries: 1, btfVmlinuxValueTypeId: 5 };

  test('is stored once, read with its state, and taken back', () => {
    const kernel = kernelOf({ btf });
    const map = makeMap(kernel, 'struct_ops', attr);
    const { bpf } = kernel;
    expect(bpf.mapLookup(map, u32(0))).toEqual(new Uint8Array(24));
    expect(bpf.mapDelete(map, u32(0))).toBe(-Errno.ENOENT);
    const value = u32(0, 0, 0, 0, 5, 0);
    expect(bpf.mapUpdate(map, u32(1), value)).toBe(-Errno.E2BIG);
    expect(bpf.mapUpdate(map, u32(0), value, 1)).toBe(-Errno.EINVAL);
    expect(bpf.mapUpdate(map, u32(0), u32(1, 0, 0, 0, 5, 0))).toBe(-Errno.EINVAL);
    expect(bpf.mapUpdate(map, u32(0), u32(0, 0, 0, 0, 5, 6))).toBe(-Errno.EINVAL);
    expect(bpf.mapUpdate(map, u32(0), u32(0, 0, 9999, 0, 5, 0))).toBe(-Errno.EBADF);
    expect(bpf.mapUpdate(map, u32(0), value)).toBe(0);
    expect(bpf.mapUpdate(map, u32(0), value)).toBe(-Errno.EBUSY);
    expect(bpf.mapLookup(map, u32(0))).toEqual(u32(1, 1, 0, 0, 5, 0));
    expect(bpf.mapDelete(map, u32(0))).toBe(0);
    expect(bpf.mapDelete(map, u32(0))).toBe(-Errno.EINPROGRESS);
    expect(bpf.mapFreeze(map)).toBe(-Errno.ENOTSUPP);
  });

  test.each([
    [{}, 0],
    [{ maxEntries: 2 }, Errno.EINVAL],
    [{ btfVmlinuxValueTypeId: 4 }, Errno.ENOTSUPP],
    [{ valueSize: 16 }, Errno.EINVAL],
  ])('created with %p: errno %i', (more, errno) => {
    const kernel = kernelOf({ btf });
    expect(errnoOf(() => makeMap(kernel, 'struct_ops', { ...attr, ...more }))).toBe(errno);
  });
});

describe('stack traces by build id', () => {
  const BUILD_ID = 1 << 5;
  const USER = 1 << 8;
  const REUSE = 1 << 10;
  const IP = 0x401000n;

  const stacks = (profile: string) => {
    const kernel = kernelOf({ profile });
    const map = makeMap(kernel, 'stack_trace', { valueSize: 64, mapFlags: BUILD_ID }) as StackMap;
    map.buildIds = (ip) => ({ buildId: new Uint8Array(20).fill(0xab), offset: ip - 0x400000n });
    return { kernel, map };
  };
  const frame = (map: StackMap, kernel: ReturnType<typeof kernelOf>, id: number) => {
    const value = kernel.bpf.mapLookup(map, u32(id));
    if (typeof value === 'number') throw new Error(`errno ${value}`);
    const view = new DataView(value.buffer);
    return [view.getInt32(0, true), value[4], view.getBigUint64(24, true)];
  };

  test.each([
    ['6.18', USER, false, [1, 0xab, 0x1000n]],
    ['6.18', 0, false, [2, 0, IP]],
    ['5.7-rt', USER, false, [1, 0xab, 0x1000n]],
    ['5.7-rt', USER, true, [2, 0, IP]],
    ['5.6-rt', USER, true, [1, 0xab, 0x1000n]],
    ['5.7', USER, true, [1, 0xab, 0x1000n]],
  ])('%s, flags %i, interrupts off %p', (profile, flags, irqsOff, expected) => {
    const { kernel, map } = stacks(profile);
    const before = irqsOff ? kernel.sched.irqSave('test') : true;
    const id = map.store(BigUint64Array.of(IP), flags);
    kernel.sched.irqRestore(before);
    expect(frame(map, kernel, id)).toEqual(expected);
    expect(map.store(BigUint64Array.of(IP), flags)).toBe(irqsOff && expected[0] === 2 ? -Errno.EEXIST : id);
    expect(map.store(BigUint64Array.of(IP), flags | REUSE)).toBe(id);
  });

  test('values of half a frame are refused', () => {
    const kernel = kernelOf();
    const attr = { valueSize: 40, mapFlags: BUILD_ID };
    expect(errnoOf(() => makeMap(kernel, 'stack_trace', attr))).toBe(Errno.EINVAL);
  });
});
