/**
 * Maps against what Linux 6.18.44 (x86-64, two CPUs, as root) answered to the same calls of bpf(): creation over a table of
 * attributes, and random sequences of operations a map type, result by result. The recordings lie in `data/`.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { MapType, type MapTypeName } from '../../src/abi/map-types.js';
import type { BpfMap } from '../../src/kernel/bpf/map.js';
import { SyscallError } from '../../src/kernel/errors.js';
import { Kernel } from '../../src/kernel/kernel.js';

type Op = readonly (string | number | null | readonly string[])[];

interface Recording {
  readonly type: MapTypeName;
  readonly key: number;
  readonly value: number;
  readonly max: number;
  readonly flags: number;
  /** Operation, its arguments, and at the end what Linux answered. */
  readonly ops: readonly Op[];
}

const CPUS = 2;
const BPF_F_NUMA_NODE = 4;
const read = (name: string) => readFileSync(new URL(`data/${name}`, import.meta.url), 'utf8');
const bytes = (hex: string) => new Uint8Array(Buffer.from(hex, 'hex'));
const hex = (data: Uint8Array) => Buffer.from(data).toString('hex');

function create(
  type: MapTypeName,
  key: number,
  value: number,
  max: number,
  flags: number,
  kernel = new Kernel({ cpus: CPUS }),
) {
  const numa = (flags & BPF_F_NUMA_NODE) === 0 ? {} : { numaNode: 0 };
  const sizes = { keySize: key, valueSize: value, maxEntries: max };
  return kernel.bpf.mapCreate({
    name: 'm',
    type: MapType[type],
    ...sizes,
    mapFlags: flags,
    mapExtra: 0n,
    ...numa,
  });
}

describe('creation', () => {
  const rows = JSON.parse(read('map-create.json')) as [MapTypeName, number, number, number, number, number][];

  test.each([...new Set(rows.map(([type]) => type))])('%s', (type) => {
    const kernel = new Kernel({ cpus: CPUS });
    for (const row of rows.filter(([name]) => name === type)) {
      const [, key, value, max, flags, expected] = row;
      let result = 0;
      try {
        create(type, key, value, max, flags, kernel).release();
      } catch (error) {
        if (!(error instanceof SyscallError)) throw error;
        result = -error.errno;
      }
      expect([...row.slice(0, 5), result]).toEqual([type, key, value, max, flags, expected]);
    }
  });
});

function perform(kernel: Kernel, map: BpfMap, op: Op): unknown {
  const [what, keyHex, valueHex, flags] = op as [string, string | null, string, number];
  const key = typeof keyHex === 'string' ? bytes(keyHex) : new Uint8Array(0);
  switch (what) {
    case 'u':
      return kernel.bpf.mapUpdate(map, key, bytes(valueHex), flags);
    case 'l':
      return kernel.bpf.mapLookup(map, key);
    case 'x':
      return kernel.bpf.mapLookupAndDelete(map, key);
    case 'd':
      return kernel.bpf.mapDelete(map, key);
    case 'n':
      return kernel.bpf.mapNextKey(map, keyHex === null ? undefined : key);
    case 'f':
      return kernel.bpf.mapFreeze(map);
    default:
      return keysOf(kernel, map);
  }
}

function keysOf(kernel: Kernel, map: BpfMap): string[] {
  const keys: string[] = [];
  for (let key = kernel.bpf.mapNextKey(map); typeof key !== 'number'; key = kernel.bpf.mapNextKey(map, key)) {
    keys.push(hex(key));
  }
  return keys;
}

describe('operations', () => {
  const recordings = read('map-ops.jsonl')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Recording);

  test.each([...new Set(recordings.map(({ type }) => type))])('%s', (type) => {
    for (const { key, value, max, flags, ops } of recordings.filter((recording) => recording.type === type)) {
      const kernel = new Kernel({ cpus: CPUS });
      const map = create(type, key, value, max, flags, kernel);
      ops.forEach((op, index) => {
        const result = perform(kernel, map, op);
        const shown = result instanceof Uint8Array ? hex(result) : result;
        expect({ index, op: op.slice(0, -1), result: shown }).toEqual({
          index,
          op: op.slice(0, -1),
          result: op.at(-1),
        });
      });
    }
  });
});
