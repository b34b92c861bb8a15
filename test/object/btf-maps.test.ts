/** Maps defined by BTF: every attribute, what libbpf adjusts, initial slots, and one error for each mistake. */
import { describe, expect, test } from '@jest/globals';
import { MapType } from '../../src/abi/map-types.js';
import { encodeInsns } from '../../src/isa/encode.js';
import { R_BPF, STT_OBJECT } from '../../src/object/elf/constants.js';
import { type MapDef, openObject, relocateObject } from '../../src/object/index.js';
import { type MapAttributes, mapStruct, Types } from '../support/btf-object.js';
import { ElfWriter } from '../support/elf-writer.js';
import { exit, load64, mov } from '../support/sample-object.js';

interface MapSpec {
  readonly name: string;
  readonly attributes: (types: Types) => MapAttributes;
  readonly linkage?: number;
  /** Slots behind the definition, for `values`. */
  readonly slots?: number;
}

interface Built {
  readonly writer: ElfWriter;
  readonly types: Types;
  readonly mapsSection: number;
  readonly symbols: ReadonlyMap<string, number>;
}

/** An object with these maps and one program that loads the last of them. */
function build(specs: readonly MapSpec[], more?: (built: Built) => void): Uint8Array {
  const types = new Types();
  const writer = new ElfWriter();
  const layout = specs.map((spec) => {
    const attributes = spec.attributes(types);
    const size =
      Object.keys(attributes).filter((name) => name !== 'values').length * 8 + (spec.slots ?? 0) * 8;
    return { spec, struct: mapStruct(types, attributes), size };
  });
  const total = layout.reduce((sum, { size }) => sum + size, 0);
  const mapsSection = writer.section({ name: '.maps', data: new Uint8Array(total), flags: 3 });
  const code = writer.code('socket', encodeInsns([...load64(1), mov(0, 0), exit]));
  writer.symbol({ name: 'prog', section: code, size: 32 });
  const symbols = new Map<string, number>();
  let offset = 0;
  const vars = layout.map(({ spec, struct, size }) => {
    const type = types.variable(spec.name, struct, spec.linkage ?? 1);
    symbols.set(
      spec.name,
      writer.symbol({ name: spec.name, section: mapsSection, value: offset, size, type: STT_OBJECT }),
    );
    offset += size;
    return { type, offset: 0, size };
  });
  types.datasec('.maps', vars);
  writer.relocs(code, [
    { offset: 0, type: R_BPF.R_BPF_64_64, symbol: symbols.get(specs[specs.length - 1]!.name)! },
  ]);
  more?.({ writer, types, mapsSection, symbols });
  writer.section({ name: '.BTF', data: types.bytes() });
  return writer.bytes();
}

const open = (specs: readonly MapSpec[], more?: (built: Built) => void) =>
  openObject(build(specs, more), { file: 'm.o' });

const mapOf = (attributes: (types: Types) => MapAttributes): MapDef => {
  const loadable = relocateObject(open([{ name: 'm', attributes }]));
  expect(loadable.programs[0]!.insns[0]).toMatchObject({ src: 1, imm: 0 });
  return loadable.maps[0]!;
};

describe('attributes', () => {
  test('types of key and value', () => {
    const def = mapOf((types) => ({
      type: MapType.hash,
      max_entries: 10,
      key: { type: types.int('u32', 4, 0) },
      value: { type: types.int('u64', 8, 0) },
    }));
    expect(def).toMatchObject({
      name: 'm',
      section: '.maps',
      origin: 'btf',
      type: 1,
      keySize: 4,
      valueSize: 8,
      maxEntries: 10,
      btfKeyTypeId: 1,
      btfValueTypeId: 2,
    });
    expect(def).toMatchObject({ mapFlags: 0, mapExtra: 0n, numaNode: 0, pinning: 'none', frozen: false });
  });

  test('plain sizes, flags, NUMA node, pinning', () => {
    expect(
      mapOf(() => ({
        type: MapType.array,
        key_size: 4,
        value_size: 24,
        max_entries: 3,
        map_flags: 5,
        numa_node: 2,
        pinning: 1,
      })),
    ).toMatchObject({
      keySize: 4,
      valueSize: 24,
      maxEntries: 3,
      mapFlags: 5,
      numaNode: 2,
      pinning: 'byName',
      btfKeyTypeId: 0,
      btfValueTypeId: 0,
    });
  });

  test.each<[string, number | bigint, bigint]>([
    ['a small', 5, 5n],
    ['a 64-bit', 1n << 44n, 1n << 44n],
  ])('%s map_extra', (_what, value, expected) => {
    expect(mapOf(() => ({ type: MapType.arena, max_entries: 1, map_extra: value })).mapExtra).toBe(expected);
  });

  test.each([
    [0, 0],
    [1, 4096],
    [4096, 4096],
    [4097, 8192],
    [12288, 16384],
    [65536, 65536],
    [0xffffffff, 0xffffffff],
  ])('a ring buffer of %d bytes gets %d', (asked, given) => {
    expect(mapOf(() => ({ type: MapType.ringbuf, max_entries: asked })).maxEntries).toBe(given);
  });

  test('types that the kernel takes no BTF for lose their ids', () => {
    const attributes = (type: number) => (types: Types) => ({
      type,
      max_entries: 1,
      value: { type: types.intId },
    });
    expect(mapOf(attributes(MapType.queue)).btfValueTypeId).toBe(0);
    expect(mapOf(attributes(MapType.bloom_filter)).btfValueTypeId).toBe(1);
  });

  test('perf event arrays without a size get one entry a CPU', () => {
    const object = open([
      { name: 'm', attributes: () => ({ type: MapType.perf_event_array, key_size: 4, value_size: 4 }) },
    ]);
    expect(relocateObject(object).maps[0]!.maxEntries).toBe(0);
    expect(relocateObject(object, { cpus: 6 }).maps[0]!.maxEntries).toBe(6);
  });

  test('inner perf event arrays, too', () => {
    const perf = (types: Types): number =>
      mapStruct(types, { type: MapType.perf_event_array, key_size: 4, value_size: 4 });
    const attributes = (types: Types): MapAttributes => ({
      type: 12,
      key_size: 4,
      max_entries: 1,
      values: valuesOf(types, perf(types)),
    });
    const object = open([{ name: 'm', attributes }]);
    expect(relocateObject(object, { cpus: 6 }).maps[0]!.inner!.maxEntries).toBe(6);
    expect(object.maps[0]!.def.inner!.maxEntries).toBe(0);
  });
});

const innerArray = (types: Types, name = ''): number =>
  mapStruct(types, { type: MapType.array, key_size: 4, value_size: 8, max_entries: 2 }, name);
const valuesOf = (types: Types, target: number): { raw: number } => ({
  raw: types.array(types.ptr(target), 0),
});
const arrayOfMaps = (types: Types): MapAttributes => ({
  type: MapType.array_of_maps,
  key_size: 4,
  max_entries: 4,
  values: valuesOf(types, innerArray(types)),
});
const plainArray = (): MapAttributes => ({ type: MapType.array, key_size: 4, value_size: 8, max_entries: 2 });
const progArray = (types: Types): MapAttributes => ({
  type: MapType.prog_array,
  key_size: 4,
  max_entries: 4,
  values: valuesOf(types, types.proto(types.intId)),
});

describe('maps of maps and program arrays', () => {
  test('the inner map', () => {
    const def = mapOf(arrayOfMaps);
    expect(def).toMatchObject({
      type: 12,
      valueSize: 4,
      btfKeyTypeId: 0,
      inner: { name: 'm.inner', type: 2, keySize: 4, valueSize: 8, maxEntries: 2 },
    });
    expect(def.initialSlots).toBeUndefined();
  });

  test('initial slots of maps', () => {
    const specs: MapSpec[] = [
      { name: 'in1', attributes: plainArray },
      { name: 'in2', attributes: plainArray },
      { name: 'outer', attributes: arrayOfMaps, slots: 3 },
    ];
    const object = open(specs, ({ writer, mapsSection, symbols }) => {
      const values = 2 * 32 + 24;
      writer.relocs(mapsSection, [
        { offset: values + 16, type: R_BPF.R_BPF_64_ABS64, symbol: symbols.get('in1')! },
        { offset: values, type: R_BPF.R_BPF_64_ABS64, symbol: symbols.get('in2')! },
      ]);
    });
    expect(object.problems).toEqual([]);
    expect(object.maps[2]!.def.initialSlots).toEqual([
      { index: 0, target: 'in2' },
      { index: 2, target: 'in1' },
    ]);
  });

  test('initial slots of programs', () => {
    const object = open([{ name: 'jump', attributes: progArray, slots: 2 }], ({ writer, mapsSection }) => {
      const program = 1; // the first symbol that `build` adds
      writer.relocs(mapsSection, [{ offset: 32, type: R_BPF.R_BPF_64_ABS64, symbol: program }]);
    });
    expect(object.maps[0]!.def).toMatchObject({ valueSize: 4, initialSlots: [{ index: 1, target: 'prog' }] });
  });
});

type Mistake = readonly [
  what: string,
  attributes: (types: Types) => MapAttributes,
  code: string,
  says: RegExp,
];

const MISTAKES: readonly Mistake[] = [
  ['no type', () => ({ max_entries: 1 }), 'OBJECT_BAD_MAP', /m: .*no type/],
  ['a type of the future', () => ({ type: 77 }), 'OBJECT_UNSUPPORTED_MAP', /map type 77/],
  [
    'an unknown attribute',
    () => ({ type: 1, colour: 3 }),
    'OBJECT_UNSUPPORTED_MAP',
    /unknown attribute "colour"/,
  ],
  [
    'an attribute that is no pointer',
    (t) => ({ type: { raw: t.intId } }),
    'OBJECT_BAD_MAP',
    /type: expected a pointer, got int/,
  ],
  [
    'an attribute that points to no array',
    (t) => ({ type: { type: t.intId } }),
    'OBJECT_BAD_MAP',
    /type: expected an array, got int/,
  ],
  [
    'two key sizes',
    (t) => ({ type: 1, key_size: 8, key: { type: t.intId } }),
    'OBJECT_BAD_MAP',
    /conflicting key sizes 8 and 4/,
  ],
  [
    'two value sizes',
    (t) => ({ type: 1, value: { type: t.intId }, value_size: 8 }),
    'OBJECT_BAD_MAP',
    /conflicting value sizes 4 and 8/,
  ],
  [
    'a key that is no pointer',
    (t) => ({ type: 1, key: { raw: t.intId } }),
    'OBJECT_BAD_MAP',
    /key: expected a pointer/,
  ],
  ['a value without a size', (t) => ({ type: 1, value: { type: t.proto(0) } }), 'BTF_NO_SIZE', /no size/],
  ['a wrong pinning', () => ({ type: 1, pinning: 2 }), 'OBJECT_BAD_MAP', /pinning 2/],
  [
    'a map_extra that is a struct',
    (t) => ({ type: 1, map_extra: { raw: t.struct('s', [['x', t.intId, 8]]) } }),
    'OBJECT_BAD_MAP',
    /map_extra: expected an enum/,
  ],
  [
    'values of a hash',
    (t) => ({ type: 1, values: valuesOf(t, innerArray(t)) }),
    'OBJECT_UNSUPPORTED_MAP',
    /"values" belongs to/,
  ],
  [
    'values before the end',
    (t) => ({ type: 12, values: valuesOf(t, innerArray(t)), max_entries: 1 }),
    'OBJECT_BAD_MAP',
    /must be the last/,
  ],
  [
    'values of fixed length',
    (t) => ({ type: 12, values: { raw: t.array(t.ptr(innerArray(t)), 3) } }),
    'OBJECT_BAD_MAP',
    /zero-length array/,
  ],
  [
    'values that are numbers',
    (t) => ({ type: 12, values: { raw: t.array(t.intId, 0) } }),
    'OBJECT_BAD_MAP',
    /"values" holds int/,
  ],
  [
    'inner maps that are numbers',
    (t) => ({ type: 12, values: valuesOf(t, t.intId) }),
    'OBJECT_BAD_MAP',
    /points to a int/,
  ],
  [
    'programs that are maps',
    (t) => ({ type: 3, values: valuesOf(t, innerArray(t)) }),
    'OBJECT_BAD_MAP',
    /points to a struct, expected a function/,
  ],
  [
    'an inner map of maps',
    (t) => ({ type: 12, values: valuesOf(t, mapStruct(t, arrayOfMaps(t))) }),
    'OBJECT_UNSUPPORTED_MAP',
    /m\.inner: .*itself a map of maps/,
  ],
  [
    'a pinned inner map',
    (t) => ({ type: 12, values: valuesOf(t, mapStruct(t, { type: 2, pinning: 1 })) }),
    'OBJECT_BAD_MAP',
    /m\.inner: .*pinned/,
  ],
  [
    'an inner map without a type',
    (t) => ({ type: 12, values: valuesOf(t, mapStruct(t, { max_entries: 2 })) }),
    'OBJECT_BAD_MAP',
    /m\.inner: .*no type/,
  ],
  [
    'an inner map that contains itself',
    selfContained,
    'OBJECT_UNSUPPORTED_MAP',
    /m\.inner: .*itself a map of maps/,
  ],
];

/** `struct m { …; struct m *values[]; }`. */
function selfContained(types: Types): MapAttributes {
  const type = types.uint(12);
  const self = types.list.length + 3;
  const values = types.array(types.ptr(self), 0);
  types.struct('m', [
    ['type', type, 8],
    ['values', values, 0],
  ]);
  return { type: 12, values: { raw: values } };
}

describe('a definition that is wrong', () => {
  test.each(MISTAKES)('%s', (_what, attributes, code, says) => {
    const object = open([
      { name: 'good', attributes: plainArray },
      { name: 'm', attributes },
    ]);
    expect(object.maps.map(({ def }) => def.name)).toEqual(['good']);
    expect(object.problems).toMatchObject([
      { code, place: { file: 'm.o', section: '.maps' }, message: expect.stringMatching(says) },
    ]);
    expect(() => relocateObject(object)).toThrow(object.problems[0]!);
  });

  test.each([
    ['static', 0],
    ['extern', 2],
  ])('a %s map', (_what, linkage) => {
    expect(open([{ name: 'm', attributes: plainArray, linkage }]).problems).toMatchObject([
      { code: 'OBJECT_UNSUPPORTED_MAP' },
    ]);
  });

  test('two maps of one name', () => {
    const twice: MapSpec = { name: 'm', attributes: plainArray };
    expect(open([twice, twice]).problems).toMatchObject([
      { code: 'OBJECT_DUPLICATE_MAP', place: { symbol: 'm' } },
    ]);
  });

  test('a section that the BTF does not describe', () => {
    const object = open([{ name: 'm', attributes: plainArray }], ({ types }) => {
      types.list.pop();
      types.datasec('.other', []);
    });
    expect(object.problems.map(({ code }) => code)).toContain('OBJECT_BTF_REQUIRED');
  });
});

describe('a slot that is wrong', () => {
  const specs: MapSpec[] = [
    { name: 'plain', attributes: plainArray },
    { name: 'outer', attributes: arrayOfMaps, slots: 1 },
    { name: 'jump', attributes: progArray, slots: 1 },
  ];
  const OUTER = 32 + 24;
  const JUMP = OUTER + 8 + 24;

  test.each([
    ['a symbol that is not there', OUTER, 99, /names symbol 99/],
    ['outside of every map', JUMP + 8, 2, /lies in no map/],
    ['in an attribute', OUTER - 8, 2, /no slot of "values"/],
    ['in a map without slots', 8, 2, /no slot of "values"/],
    ['a program in a map of maps', OUTER, 1, /refers to prog, which is no map/],
    ['a map in a program array', JUMP, 2, /refers to plain, which is no entry program/],
  ])('%s', (_what, offset, symbol, says) => {
    const object = open(specs, ({ writer, mapsSection }) =>
      writer.relocs(mapsSection, [{ offset, type: 2, symbol }]),
    );
    expect(object.problems).toMatchObject([
      { code: 'OBJECT_BAD_RELOCATION', message: expect.stringMatching(says) },
    ]);
  });
});

describe('an arena', () => {
  const arena: MapSpec = {
    name: 'arena',
    attributes: () => ({ type: MapType.arena, map_flags: 1024, max_entries: 2 }),
  };
  const globals =
    (size: number) =>
    ({ writer }: Built) => {
      const section = writer.section({ name: '.addr_space.1', data: new Uint8Array(size).fill(7), flags: 3 });
      writer.symbol({ name: 'in_arena', section, value: 16, size: 8, type: STT_OBJECT });
    };

  test('holds its globals', () => {
    const object = open([arena], globals(32));
    expect(object.problems).toEqual([]);
    expect(object.maps[0]!.def.initialData).toEqual(new Uint8Array(32).fill(7));
  });

  test('is addressed like other global data', () => {
    const bytes = build([{ name: 'm', attributes: plainArray }, arena], (built) => {
      globals(32)(built);
      const code = built.writer.code('tc', encodeInsns([...load64(1, 4), exit]));
      built.writer.symbol({ name: 'second', section: code, size: 24 });
      built.writer.relocs(code, [{ offset: 0, type: R_BPF.R_BPF_64_64, symbol: 4 }]);
    });
    const second = relocateObject(openObject(bytes)).programs.find(({ name }) => name === 'second');
    expect(second!.insns.slice(0, 2)).toMatchObject([{ src: 2, imm: 1 }, { imm: 20 }]);
  });

  test.each([
    ['too small', [arena], 3 * 4096, /do not fit the arena's 2 pages/],
    ['missing', [{ name: 'm', attributes: plainArray }], 8, /need an arena map/],
    ['twofold', [arena, { ...arena, name: 'other' }], 8, /only one arena/],
  ] as [string, MapSpec[], number, RegExp][])('%s', (_what, specs, size, says) => {
    expect(open(specs, globals(size)).problems).toMatchObject([
      { code: 'OBJECT_BAD_MAP', message: expect.stringMatching(says) },
    ]);
  });
});
