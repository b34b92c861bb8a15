/** struct_ops: what is read of the object alone, and what the target's types add. */
import { describe, expect, test } from '@jest/globals';
import { encodeInsns } from '../../src/isa/encode.js';
import { Btf } from '../../src/object/btf/btf.js';
import { R_BPF, STT_OBJECT } from '../../src/object/elf/constants.js';
import { type BpfObject, openObject, relocateObject } from '../../src/object/index.js';
import { Types } from '../support/btf-object.js';
import { ElfWriter } from '../support/elf-writer.js';
import { exit, load64, mov, words } from '../support/sample-object.js';

interface Shape {
  readonly section?: string;
  readonly programSection?: string;
  /** Where the relocation points, in bytes of the variable. */
  readonly at?: number;
  readonly typeName?: string;
  /** Lets a second program refer to the map. */
  readonly user?: boolean;
}

/** `struct my_ops { int flags; void (*init)(void); int tail; }` with `init` set. */
function opsObject({
  section = '.struct_ops',
  programSection = 'struct_ops/init',
  at = 8,
  typeName = 'my_ops',
  user = false,
}: Shape = {}): BpfObject {
  const types = new Types();
  const pointer = types.ptr(types.proto(0));
  const struct = types.add({
    kind: 'struct',
    name: typeName,
    size: 24,
    kindFlag: false,
    members: [
      { name: 'flags', type: types.intId, bitOffset: 0, bitfieldSize: 0 },
      { name: 'init', type: pointer, bitOffset: 64, bitfieldSize: 0 },
      { name: 'tail', type: types.intId, bitOffset: 128, bitfieldSize: 0 },
    ],
  });
  types.datasec(section, [{ type: types.variable('ops', struct), offset: 0, size: 24 }]);
  const writer = new ElfWriter();
  const code = writer.code(programSection, encodeInsns([mov(0, 0), exit]));
  const program = writer.symbol({ name: 'my_init', section: code, size: 16 });
  const data = writer.section({ name: section, data: words('little', 3, 0, 0, 0, 9, 0), flags: 3 });
  const ops = writer.symbol({ name: 'ops', section: data, size: 24, type: STT_OBJECT });
  writer.relocs(data, [{ offset: at, type: R_BPF.R_BPF_64_ABS64, symbol: program }]);
  writer.section({ name: '.BTF', data: types.bytes() });
  if (user) {
    const other = writer.code('tc', encodeInsns([...load64(1), exit]));
    writer.symbol({ name: 'user', section: other, size: 24 });
    writer.relocs(other, [{ offset: 0, type: R_BPF.R_BPF_64_64, symbol: ops }]);
  }
  return openObject(writer.bytes(), { file: 's.o' });
}

/** A kernel whose `my_ops` has a member before `init`, wrapped as kernels wrap it. */
function kernel(): Btf {
  const types = new Types();
  const pointer = types.ptr(types.proto(0));
  const ops = types.struct('my_ops', [
    ['new_one', pointer, 8],
    ['init', pointer, 8],
    ['flags', types.intId, 8],
  ]);
  types.struct('bpf_struct_ops_my_ops', [
    ['common', types.intId, 64],
    ['data', ops, 24],
  ]);
  return Btf.parse(types.bytes());
}

test('the variable is listed as a map, its programs by member', () => {
  const object = opsObject();
  expect(object.problems).toEqual([]);
  expect(object.maps).toMatchObject([
    {
      def: {
        name: 'ops',
        section: '.struct_ops',
        origin: 'struct_ops',
        type: 26,
        keySize: 4,
        valueSize: 24,
        maxEntries: 1,
        mapFlags: 0,
        structOps: {
          typeName: 'my_ops',
          typeId: 4,
          funcs: [{ member: 'init', offset: 8, program: 'my_init' }],
          data: words('little', 3, 0, 0, 0, 9, 0),
        },
      },
    },
  ]);
  expect(object.programs).toMatchObject([
    { name: 'my_init', type: 27, attachTarget: 'init', autoload: true },
  ]);
});

test('a link section sets the flag', () => {
  expect(opsObject({ section: '.struct_ops.link' }).maps[0]!.def.mapFlags).toBe(1 << 13);
});

test('without a target the program has no place yet', () => {
  expect(relocateObject(opsObject())).toMatchObject({
    programs: [{ expectedAttachType: 0 }],
    maps: [{ valueSize: 24 }],
  });
});

test.each(['my_ops', 'my_ops___flavour'])('a target tells where the programs of %s belong', (typeName) => {
  const { programs, maps } = relocateObject(opsObject({ typeName }), { targetBtf: kernel() });
  expect(programs).toMatchObject([{ attachBtfId: 4, expectedAttachType: 1 }]);
  expect(maps).toMatchObject([{ valueSize: 88, structOps: { kernelValueTypeId: 5 } }]);
});

test('a map that is not created by default loads no programs', () => {
  const { programs, maps } = relocateObject(opsObject({ section: '?.struct_ops' }), { targetBtf: kernel() });
  expect(maps).toMatchObject([{ autocreate: false, valueSize: 24 }]);
  expect(programs).toMatchObject([{ name: 'my_init', autoload: false }]);
});

test('code cannot refer to the variable', () => {
  expect(() => relocateObject(opsObject({ user: true }))).toThrow(
    expect.objectContaining({
      code: 'OBJECT_BAD_REFERENCE',
      place: expect.objectContaining({ symbol: 'user' }),
    }),
  );
});

test('a map that is created loads its programs, even those on demand', () => {
  expect(relocateObject(opsObject({ programSection: '?struct_ops/init' })).programs).toMatchObject([
    { autoload: true },
  ]);
});

describe('a variable that is wrong', () => {
  test.each<[string, Shape, RegExp]>([
    ['a relocation that hits no member', { at: 12 }, /hits no member/],
    ['a relocation of a number', { at: 16 }, /tail is no pointer to a function/],
    [
      'a program of another type',
      { programSection: 'xdp' },
      /init points to my_init, which is no struct_ops program/,
    ],
  ])('%s', (_what, shape, says) => {
    expect(opsObject(shape).problems).toMatchObject([
      {
        code: 'OBJECT_BAD_STRUCT_OPS',
        place: { file: 's.o', section: '.struct_ops' },
        message: expect.stringMatching(says),
      },
    ]);
  });

  test('a type that the target does not have', () => {
    const object = opsObject({ typeName: 'your_ops' });
    expect(() => relocateObject(object, { targetBtf: kernel() })).toThrow(
      expect.objectContaining({
        code: 'OBJECT_BAD_STRUCT_OPS',
        message: expect.stringContaining('no struct_ops type your_ops'),
      }),
    );
    expect(relocateObject(object, { targetBtf: kernel(), keepGoing: true }).failed).toMatchObject([
      { name: 'my_init' },
    ]);
  });
});
