/** Maps defined as C structs: every length that loaders have taken, and what lies behind the known fields. */
import { describe, expect, test } from '@jest/globals';
import type { Endian } from '../../src/isa/insn.js';
import { parseElf } from '../../src/object/elf/file.js';
import { openObject } from '../../src/object/index.js';
import { isLegacyMaps } from '../../src/object/legacy-maps.js';
import { sampleObject, words } from '../support/sample-object.js';

type Def = readonly number[];

/** Reads definitions of one length each; names are a, b, c. */
function read(defs: readonly Def[], endian: Endian = 'little') {
  const size = defs[0]!.length * 4;
  const object = openObject(
    sampleObject({
      endian,
      maps: words(endian, ...defs.flat()),
      mapSymbols: defs.map((_, i) => ['abc'[i]!, i * size] as const),
    }),
  );
  expect(object.problems).toEqual([]);
  return object.maps.map(({ def }) => def).filter(({ origin }) => origin === 'legacy');
}

describe.each<Endian>(['little', 'big'])('%s-endian definitions', (endian) => {
  test.each<[string, Def, object]>([
    [
      '16 bytes, before there were flags',
      [2, 4, 8, 16],
      { type: 2, keySize: 4, valueSize: 8, maxEntries: 16, mapFlags: 0 },
    ],
    ['20 bytes', [5, 4, 8, 16, 1], { type: 5, mapFlags: 1 }],
    ['24 bytes', [1, 4, 8, 16, 1, 0], { type: 1, mapFlags: 1, numaNode: 0 }],
    ["28 bytes, the samples' NUMA node", [1, 4, 8, 16, 4, 0, 3], { mapFlags: 4, numaNode: 3 }],
    ['32 bytes of which the last are zero', [1, 4, 8, 16, 0, 0, 0, 0], { type: 1 }],
    ['36 bytes, iproute2', [1, 4, 8, 2, 0, 0, 2, 0, 0], { type: 1, maxEntries: 2, pinning: 'byName' }],
    ['36 bytes, iproute2, not pinned', [1, 4, 8, 2, 0, 5, 0, 0, 0], { pinning: 'none' }],
    ['60 bytes', [1, 4, 8, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], { maxEntries: 16 }],
  ])('%s', (_what, def, expected) => {
    expect(read([def], endian)).toMatchObject([
      { name: 'a', kernelName: 'a', section: 'maps', pinning: 'none', btfKeyTypeId: 0, ...expected },
    ]);
  });
});

describe('inner maps', () => {
  test("by the samples' index", () => {
    const [outer, inner] = read([
      [12, 4, 4, 8, 0, 1],
      [1, 4, 8, 16, 0, 0],
    ]);
    expect(outer!.inner).toEqual(inner);
  });

  test("by iproute2's id", () => {
    const maps = read([
      [1, 4, 8, 1, 0, 7, 0, 0, 0],
      [13, 4, 4, 8, 0, 0, 0, 9, 0],
      [2, 4, 64, 1, 0, 9, 0, 0, 0],
    ]);
    expect(maps[1]!.inner).toEqual(maps[2]);
    expect(maps[0]!.inner).toBeUndefined();
  });

  test("into the outer map's elements by iproute2's inner_idx", () => {
    const outer = [12, 4, 4, 8, 0, 0, 0, 9, 0];
    const inner = (slot: number) => [2, 4, 64, 1, 0, 9, 0, 0, slot];
    const slots = (defs: Def[]) => read(defs)[0]!.initialSlots;
    expect(slots([outer, inner(3)])).toEqual([{ index: 3, target: 'b' }]);
    expect(slots([outer, inner(0), inner(5)])).toEqual([
      { index: 0, target: 'b' },
      { index: 5, target: 'c' },
    ]);
    expect(slots([outer, inner(0xffffffff)])).toBeUndefined();
    expect(read([[12, 4, 4, 8, 0, 0, 0, 0, 1], inner(0)])[0]!.inner).toBeUndefined();
  });

  test('are not made up', () => {
    expect(read([[12, 4, 4, 8, 0]])[0]!.inner).toBeUndefined();
    expect(read([[12, 4, 4, 8, 0, 0]])[0]!.inner).toBeUndefined();
  });
});

test('symbols need not be in order', () => {
  const object = openObject(
    sampleObject({
      maps: words('little', 1, 4, 8, 1, 0, 2, 4, 8, 2, 0),
      mapSymbols: [
        ['late', 20],
        ['early', 0],
      ],
    }),
  );
  expect(
    object.maps.slice(0, 2).map(({ def, sectionOffset }) => [def.name, def.type, sectionOffset]),
  ).toEqual([
    ['early', 1, 0],
    ['late', 2, 20],
  ]);
});

test.each([
  ['maps', true],
  ['maps/global', true],
  ['lirc_mode2/maps', true],
  ['.maps', false],
  ['.rel/maps', false],
  ['mapsx', false],
])('section %s holds legacy maps: %s', (name, expected) => {
  const section = parseElf(sampleObject()).sections[3]!;
  expect(isLegacyMaps({ ...section, name })).toBe(expected);
  expect(isLegacyMaps({ ...section, name, size: 0 })).toBe(false);
});
