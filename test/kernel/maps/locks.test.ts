/** Maps under their locks: several CPUs at once, recursion from inside an operation, RT, failing allocations. */
import { describe, expect, test } from '@jest/globals';
import { Errno } from '../../../src/abi/errno.js';
import type { MapTypeName } from '../../../src/abi/map-types.js';
import type { LocalStorageMap, StorageOwner } from '../../../src/kernel/bpf/local-storage.js';
import type { MapAttr } from '../../../src/kernel/bpf/map.js';
import type { QueueStackMap } from '../../../src/kernel/bpf/queue-stack-maps.js';
import { Cgroup } from '../../../src/kernel/cgroup/cgroup.js';
import { SimulationError } from '../../../src/kernel/errors.js';
import type { Kernel } from '../../../src/kernel/kernel.js';
import { Sock } from '../../../src/kernel/net/sock.js';
import type { Flow } from '../../../src/kernel/sched/flow.js';
import { DEFAULT_TASK, Task } from '../../../src/kernel/sched/task.js';
import { ID, kernelOf, makeMap, number, typed, u32, u64 } from './support.js';

const NO_PREALLOC = 1;
const LPM: Partial<MapAttr> = { keySize: 8, mapFlags: NO_PREALLOC };
/** A task bound to a CPU. */
const task = (cpu: number) => ({
  pid: 100 + cpu,
  tgid: 100 + cpu,
  comm: `task${cpu}`,
  uid: 0,
  gid: 0,
  affinity: [cpu],
});

function onEachCpu(kernel: Kernel, body: (cpu: number) => Flow<void>): void {
  for (const { id } of kernel.sched.cpus) kernel.sched.spawn(task(id), () => body(id));
  kernel.executor.settle();
}

describe('two CPUs at once', () => {
  const PROFILES = ['5.6', '5.7-rt', '5.15', '6.1-rt', '6.18'];
  const each = PROFILES.flatMap((profile) =>
    (
      [
        ['hash', {}],
        ['hash', { mapFlags: NO_PREALLOC }],
        ['percpu_hash', {}],
        ['lru_hash', {}],
        ['lpm_trie', LPM],
      ] as [MapTypeName, Partial<MapAttr>][]
    ).map((row) => [profile, ...row] as const),
  );

  test.each(each)('%s: %s %p', (profile, type, attr) => {
    const kernel = kernelOf({ profile, interleaved: true });
    const map = makeMap(kernel, type, { maxEntries: 64, ...attr });
    const key = (i: number) => (type === 'lpm_trie' ? u32(32, i) : u32(i));
    const value = new Uint8Array(map.syscallValueSize).fill(1);
    const results: number[] = [];
    onEachCpu(kernel, function* (cpu) {
      for (let i = 0; i < 8; i++) {
        results.push(yield* kernel.bpf.mapUpdateFlow(map, key(cpu * 8 + i), value));
        results.push(yield* kernel.bpf.mapUpdateFlow(map, key(cpu * 8 + i), value, 2));
        if (i % 2 === 0) results.push(yield* kernel.bpf.mapDeleteFlow(map, key(cpu * 8 + i)));
      }
    });
    expect(results.length).toBe(40);
    expect(results.every((result) => result === 0)).toBe(true);
    expect([...kernel.bpf.mapEntries(map)].length).toBe(8);
    expect(kernel.sched.console.splats).toEqual([]);
    const { here } = kernel.sched;
    expect([here.preemptCount, here.irqsDisabled, kernel.sched.current.migrationDisabled]).toEqual([
      0,
      false,
      0,
    ]);
  });

  test('a full LRU map evicts under both', () => {
    const kernel = kernelOf({ interleaved: true });
    const map = makeMap(kernel, 'lru_hash', { maxEntries: 8 });
    const results: number[] = [];
    onEachCpu(kernel, function* (cpu) {
      for (let i = 0; i < 30; i++) {
        results.push(yield* kernel.bpf.mapUpdateFlow(map, u32(cpu * 100 + i), u64(i)));
      }
    });
    expect(results.every((result) => result === 0)).toBe(true);
    const left = [...kernel.bpf.mapEntries(map)];
    expect(left.length).toBeGreaterThan(0);
    expect(left.length).toBeLessThanOrEqual(8);
    expect(kernel.sched.console.splats).toEqual([]);
  });

  test('a queue keeps what was pushed', () => {
    const kernel = kernelOf({ interleaved: true });
    const map = makeMap(kernel, 'queue', { keySize: 0, maxEntries: 64 }) as QueueStackMap;
    onEachCpu(kernel, function* (cpu) {
      for (let i = 0; i < 10; i++) {
        yield* kernel.bpf.mapUpdateFlow(map, new Uint8Array(0), u64(cpu * 100 + i));
      }
    });
    const values = [...map.values()].map(number);
    expect(values.length).toBe(20);
    // Each CPU's in its order.
    expect(values.filter((value) => value < 100)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  test('per-CPU free lists: an element freed on a CPU is taken there again', () => {
    const kernel = kernelOf();
    const map = makeMap(kernel, 'hash', { maxEntries: 8 });
    const at = (key: number): number => {
      const staged = kernel.memory.alloc(4);
      staged.bytes.set(u32(key));
      return map.lookup(staged.address32);
    };
    kernel.bpf.mapUpdate(map, u32(1), u64(1));
    const place = at(1);
    kernel.bpf.mapDelete(map, u32(1));
    kernel.cpu = 1;
    kernel.bpf.mapUpdate(map, u32(2), u64(2));
    expect(at(2)).not.toBe(place);
    kernel.cpu = 0;
    kernel.bpf.mapUpdate(map, u32(3), u64(3));
    expect(at(3)).toBe(place);
  });
});

describe('memory of a deleted element that was allocated alone', () => {
  test.each([
    ['5.7', false],
    ['6.18', true],
  ])('%s: is given out again at once: %p', (profile, again) => {
    const kernel = kernelOf({ profile });
    const map = makeMap(kernel, 'hash', { mapFlags: NO_PREALLOC });
    const staged = kernel.memory.alloc(4);
    const at = (key: number): number => {
      staged.bytes.set(u32(key));
      return map.lookup(staged.address32);
    };
    kernel.bpf.mapUpdate(map, u32(1), u64(5));
    const place = at(1);
    kernel.bpf.mapDelete(map, u32(1));
    // Who still holds a pointer reads the old value.
    expect(kernel.memory.u8[place]).toBe(5);
    kernel.bpf.mapUpdate(map, u32(2), u64(6));
    expect(at(2) === place).toBe(again);
    kernel.executor.settle();
    kernel.rcu.runQuiet();
    kernel.bpf.mapUpdate(map, u32(3), u64(7));
    expect([at(2), at(3)].includes(place)).toBe(true);
  });
});

describe('an update from inside an update, in the same bucket', () => {
  const reenter = (profile: string): number => {
    const kernel = kernelOf({ profile });
    const map = makeMap(kernel, 'hash', { maxEntries: 1 });
    const staged = kernel.memory.alloc(16);
    const [key, value] = [staged.address32, staged.address32 + 8];
    let inner = 1;
    kernel.sched.probes.point('lookup_elem_raw').attach('entry', function* () {
      if (inner !== 1) return;
      inner = 0;
      inner = yield* map.updateFlow(key, value, 0);
    });
    expect(map.update(key, value, 0)).toBe(0);
    return inner;
  };

  test.each([
    ['5.15', -Errno.EBUSY],
    ['6.1', -Errno.EBUSY],
    ['6.12-rt', -Errno.EBUSY],
    ['6.18', -Errno.EDEADLK],
    ['6.18-rt', -Errno.EDEADLK],
  ])('%s: %i', (profile, errno) => {
    expect(reenter(profile)).toBe(errno);
  });

  test.each(['5.6', '5.7', '5.7-rt'])('%s: never ends', (profile) => {
    expect(() => reenter(profile)).toThrow(SimulationError);
  });
});

describe('a storage made from inside the making of one', () => {
  test.each<[MapTypeName, boolean]>([
    ['task_storage', false],
    ['cgrp_storage', false],
    ['sk_storage', true],
  ])('%s: %p', (type, made) => {
    const kernel = kernelOf();
    const attr = { ...typed(ID.long, 8), maxEntries: 0, mapFlags: NO_PREALLOC };
    const [outer, inner] = [0, 1].map(() => makeMap(kernel, type, attr) as LocalStorageMap);
    const owner: Record<string, () => StorageOwner> = {
      task_storage: () => new Task(DEFAULT_TASK),
      cgrp_storage: () => new Cgroup(kernel, 1n),
      sk_storage: () => new Sock(kernel, { family: 2, type: 1, protocol: 6 }, 1n),
    };
    const on = owner[type]!();
    let nested: number | undefined;
    kernel.sched.probes.point('bpf_local_storage_update').attach('entry', function* () {
      if (nested !== undefined) return;
      nested = 0;
      nested = yield* inner!.getOrCreateFlow(on, 0, true);
    });
    expect(outer!.getOrCreate(on, 0, true)).not.toBe(0);
    expect(nested !== 0).toBe(made);
    expect(inner!.find(on) !== 0).toBe(made);
    expect(outer!.remove(on)).toBe(0);
    expect(kernel.sched.current.migrationDisabled).toBe(0);
  });
});

describe('with preemption off on RT', () => {
  test.each<[string, MapTypeName, Partial<MapAttr>, boolean]>([
    ['5.7-rt', 'hash', {}, false],
    ['5.7-rt', 'hash', { mapFlags: NO_PREALLOC }, true],
    ['5.7-rt', 'lpm_trie', LPM, true],
    ['5.7-rt', 'lru_hash', {}, false],
    ['5.7-rt', 'queue', { keySize: 0 }, false],
    ['6.18-rt', 'hash', { mapFlags: NO_PREALLOC }, false],
    ['6.18-rt', 'lpm_trie', LPM, false],
  ])('%s: %s %p: a splat is %p', (profile, type, attr, expected) => {
    const kernel = kernelOf({ profile });
    const map = makeMap(kernel, type, attr);
    const staged = kernel.memory.alloc(32);
    const [key, value] = [staged.address32, staged.address32 + 16];
    kernel.sched.preemptDisable('test');
    const result = type === 'queue' ? map.push(value, 0) : map.update(key, value, 0);
    kernel.sched.preemptEnable();
    expect(result).toBe(0);
    const texts = kernel.sched.console.splats.map(({ lines }) => lines[0] ?? '');
    expect(texts.some((text) => text.includes('sleeping function called from invalid context'))).toBe(
      expected,
    );
  });
});

describe('in NMI, with the lock taken by whom it interrupts', () => {
  test.each([
    ['6.1', -Errno.EBUSY],
    ['6.18', -Errno.EBUSY],
  ])('%s: a queue answers %i', (profile, errno) => {
    const kernel = kernelOf({ profile });
    const map = makeMap(kernel, 'queue', { keySize: 0 });
    const staged = kernel.memory.alloc(8);
    let inner = 0;
    const point = kernel.sched.probes.point('_raw_spin_unlock');
    const nested = function* (): Flow<void> {
      inner = yield* map.pushFlow(staged.address32, 0);
    };
    const lock = (map as unknown as { lock: { lockNow(place: string): number; unlock(): void } }).lock;
    expect(point.armed).toBe(false);
    expect(lock.lockNow('test')).toBe(0);
    kernel.nmi(nested);
    lock.unlock();
    expect(inner).toBe(errno);
  });
});

describe('allocating under the lock of a bucket on RT', () => {
  test.each<[string, MapTypeName, boolean]>([
    // The slab's and the per-CPU allocator's locks sleep there, the bucket's spins.
    ['5.6-rt', 'hash', true],
    ['5.6-rt', 'percpu_hash', true],
    ['5.7-rt', 'hash', false],
    ['5.7-rt', 'percpu_hash', false],
    ['6.1-rt', 'hash', false],
    ['6.18-rt', 'percpu_hash', false],
  ])('%s: %s without preallocation: a splat is %p', (profile, type, expected) => {
    const kernel = kernelOf({ profile });
    const map = makeMap(kernel, type, { mapFlags: NO_PREALLOC, maxEntries: 300 });
    const value = new Uint8Array(map.syscallValueSize);
    for (let i = 0; i < 300; i++) kernel.bpf.mapUpdate(map, u32(i), value);
    expect(kernel.sched.console.splats.length > 0).toBe(expected);
  });
});

describe('without memory', () => {
  test.each<[string, MapTypeName, Partial<MapAttr>]>([
    ['5.7', 'hash', { mapFlags: NO_PREALLOC }],
    ['5.7', 'percpu_hash', { mapFlags: NO_PREALLOC }],
    ['5.7', 'lpm_trie', LPM],
  ])('%s: %s %p answers -ENOMEM, and works again', (profile, type, attr) => {
    const kernel = kernelOf({ profile });
    const map = makeMap(kernel, type, attr);
    const key = type === 'lpm_trie' ? u32(8, 1) : u32(1);
    const value = new Uint8Array(map.syscallValueSize);
    kernel.mm.failNext(1);
    expect(kernel.bpf.mapUpdate(map, key, value)).toBe(-Errno.ENOMEM);
    expect(kernel.bpf.mapUpdate(map, key, value)).toBe(0);
    expect([...kernel.bpf.mapEntries(map)].length).toBe(1);
  });

  test('what a released map had is free again', () => {
    const kernel = kernelOf({ profile: '5.7' });
    const before = kernel.mm.usage();
    const map = makeMap(kernel, 'percpu_hash', { mapFlags: NO_PREALLOC });
    for (let i = 0; i < 4; i++) kernel.bpf.mapUpdate(map, u32(i), new Uint8Array(16));
    // Empty slabs keep their pages.
    const used = () => ({ ...kernel.mm.usage(), pages: 0 });
    expect(used()).not.toEqual(before);
    map.release();
    expect(used()).toEqual(before);
  });
});
