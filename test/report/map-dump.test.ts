/** Contents of maps as data and as text: what is shown, in which order, and where it ends. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { loadLab } from '../../src/kernel/lab.js';
import { openObject, relocateObject } from '../../src/object/index.js';
import type { MapDef } from '../../src/object/types.js';
import { dumpMaps, type MapDump, mapText } from '../../src/report/map-dump.js';

const COUNTER = relocateObject(
  openObject(readFileSync(new URL('../../programs/xdp_counter.bpf.o', import.meta.url))),
);

/** The counter's only map, defined otherwise, and what the dump shows of it after some writing. */
function dumpOf(change: Partial<MapDef>, write: (update: (key: number, ...value: number[]) => void) => void) {
  const [counters] = COUNTER.maps;
  const lab = loadLab({ ...COUNTER, programs: [], maps: [{ ...counters!, ...change }] }, { cpus: 1 });
  write((key, ...value) => {
    const [keyBytes, bytes] = [new Uint8Array(4), new Uint8Array(16)];
    new DataView(keyBytes.buffer).setUint32(0, key, true);
    bytes.set(value);
    expect(lab.kernel.bpf.mapUpdate(lab.maps[0]!, keyBytes, bytes)).toBe(0);
  });
  return dumpMaps(lab)[0]!;
}

describe('maps', () => {
  test('hashes come by key', () => {
    const dump = dumpOf({ type: 1, maxEntries: 300 }, (update) => {
      for (const key of [200, 9, 31, 100]) update(key, key);
    });
    expect(dump.entries.map(({ key }) => key)).toEqual([9, 31, 100, 200]);
    expect(dump.entries[0]).toEqual({ key: 9, value: { packets: 9, bytes: 0 }, zero: false });
  });

  test('no more entries than anyone reads, and a note that says so', () => {
    const dump = dumpOf({ type: 2, maxEntries: 65537 }, () => {});
    expect(dump.entries).toHaveLength(65536);
    expect(dump.note).toBe('only 65536 entries are shown');
    expect(dumpOf({ type: 2, maxEntries: 65536 }, () => {}).note).toBeUndefined();
  });
});

describe('text', () => {
  const dump = (change: Partial<MapDump>): MapDump => ({
    name: 'm',
    type: 'array',
    maxEntries: 3,
    entries: [
      { key: 0, value: 0, zero: true },
      { key: 1, value: 7, zero: false },
      { key: 2, value: 8, zero: false },
    ],
    ...change,
  });

  test.each([
    [
      'zero elements of arrays are counted',
      dump({}),
      9,
      ['m (array, 3 of 3)', '  1: 7', '  2: 8', '  1 more zero'],
    ],
    [
      'those of hashes are shown',
      dump({ type: 'hash' }),
      9,
      ['m (hash, 3 of 3)', '  0: 0', '  1: 7', '  2: 8'],
    ],
    [
      'what is past the limit is counted',
      dump({}),
      1,
      ['m (array, 3 of 3)', '  1: 7', '  … 1 more', '  1 more zero'],
    ],
    ['a note stands in the first line', dump({ entries: [], note: 'why' }), 9, ['m (array): why']],
  ])('%s', (_, given, limit, lines) => {
    expect(mapText(given, limit)).toEqual(lines);
  });

  test('values by CPU: those on which something happened', () => {
    const values = [0, 5, 0, 6];
    const entries = [{ key: 1, values, zero: false }];
    expect(mapText(dump({ type: 'percpu_hash', entries }), 9).slice(1)).toEqual([
      '  1: cpu1 5',
      '     cpu3 6',
    ]);
  });

  test('a long value is cut', () => {
    const [, line] = mapText(dump({ entries: [{ key: 0, value: 'x'.repeat(5000), zero: false }] }), 9);
    expect(line).toMatch(/^ {2}0: "x{1999} … \(--json has more\)$/);
  });
});
