/** Look-ups that the engine's core does by itself: they find what the map finds, and probes see every one. */
import { describe, expect, test } from '@jest/globals';
import { helperId } from '../../../src/abi/helpers.js';
import type { MapTypeName } from '../../../src/abi/map-types.js';
import { ProgType } from '../../../src/abi/prog-types.js';
import { assemble } from '../../../src/isa/index.js';
import type { BpfMap } from '../../../src/kernel/bpf/map.js';
import { testRun } from '../../../src/kernel/bpf/test-run.js';
import type { Kernel } from '../../../src/kernel/kernel.js';
import { kernelOf, makeMap, u64 } from './support.js';

const NO_PREALLOC = 1;
const CPUS = 2;
/** More than the nodes that a table begins with, in few buckets' worth of collisions. */
const ENTRIES = 700;
const KEYS = 900;

/** Looks the packet's first bytes up; the result is the value's first four bytes, 0 for none. */
const TEXT = (moved: number): string => `
  r2 = *(u32 *)(r1 + 76)
  r2 += ${14 + moved}
  r1 = map[fd:0]
  call bpf_map_lookup_elem
  if r0 == 0 goto out
  r0 = *(u32 *)(r0 + 0)
  out: exit`;

function lookUp(kernel: Kernel, map: BpfMap, moved = 0): (key: Uint8Array) => number {
  const insns = assemble(TEXT(moved), { helperId });
  const prog = kernel.bpf.progLoad(
    {
      name: 'look_up',
      section: '',
      type: ProgType.sched_cls,
      expectedAttachType: 0,
      progFlags: 0,
      autoload: true,
      subProgs: [],
      funcInfo: [],
      lineInfo: [],
      insns,
    },
    [map],
  );
  return (key) => {
    const dataIn = new Uint8Array(64);
    dataIn.set(key, 14 + moved);
    return Number(testRun(kernel, prog, { dataIn }).retval);
  };
}

/** A key of any size for a number: alike but for three bytes, the last one included. */
function keyOf(size: number, i: number): Uint8Array {
  const key = new Uint8Array(size).fill(0xa5);
  key[0] = i;
  key[size >> 1] = i >> 8;
  key[size - 1] = key[size - 1]! ^ (i & 3);
  return key;
}

describe.each<[MapTypeName, number, number, number]>([
  ['hash', 4, 0, 0],
  ['hash', 16, 0, 2],
  ['hash', 16, NO_PREALLOC, 1],
  ['hash', 20, NO_PREALLOC, 0],
  ['hash', 28, 0, 3],
  ['hash', 6, 0, 0],
  ['lru_hash', 12, 0, 0],
  ['percpu_hash', 8, 0, 0],
])('%s, keys of %i bytes, flags %i, packet moved by %i', (type, keySize, mapFlags, moved) => {
  test('finds what a system call finds, whatever came and went', () => {
    const kernel = kernelOf({ cpus: CPUS, checked: false, verify: 'never' });
    const map = makeMap(kernel, type, { keySize, mapFlags, maxEntries: ENTRIES * 2 });
    const find = lookUp(kernel, map, moved);
    const value = (i: number) =>
      new Uint8Array([...u64(i + 1), ...(type === 'percpu_hash' ? u64(i + 100_001) : [])]);
    for (let i = 0; i < ENTRIES; i++) kernel.bpf.mapUpdate(map, keyOf(keySize, i), value(i));
    for (let i = 0; i < ENTRIES; i += 3) kernel.bpf.mapDelete(map, keyOf(keySize, i));
    for (let i = 0; i < ENTRIES; i += 5) kernel.bpf.mapUpdate(map, keyOf(keySize, i), value(i));
    for (const cpu of type === 'percpu_hash' ? [0, 1] : [0]) {
      kernel.cpu = cpu;
      const expected = Array.from({ length: KEYS }, (_, i) => {
        const there = i < ENTRIES && (i % 3 !== 0 || i % 5 === 0);
        return there ? i + 1 + 100_000 * cpu : 0;
      });
      expect(expected.map((_, i) => find(keyOf(keySize, i)))).toEqual(expected);
    }
  });
});

test('while a probe is attached anywhere, the way leads through the kernel’s functions', () => {
  const kernel = kernelOf({ checked: false, verify: 'never' });
  const map = makeMap(kernel, 'hash', { keySize: 8 });
  kernel.bpf.mapUpdate(map, u64(7), u64(9));
  const find = lookUp(kernel, map);
  let seen = 0;
  const detach = kernel.sched.probes.point('htab_map_lookup_elem').attach('entry', function* () {
    seen++;
  });
  expect([find(u64(7)), find(u64(8)), seen]).toEqual([9, 0, 2]);
  detach();
  expect([find(u64(7)), find(u64(8)), seen]).toEqual([9, 0, 2]);
});
