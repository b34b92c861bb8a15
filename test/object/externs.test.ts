/** `.kconfig` and `.ksyms`: layout and values, what a target resolves, what it lacks, and the BTF that results. */
import { describe, expect, test } from '@jest/globals';
import { encodeInsns } from '../../src/isa/encode.js';
import type { Endian } from '../../src/isa/insn.js';
import { Btf } from '../../src/object/btf/btf.js';
import {
  R_BPF,
  STB_GLOBAL,
  STB_WEAK,
  STT_NOTYPE,
  STT_OBJECT,
  STV_HIDDEN,
} from '../../src/object/elf/constants.js';
import {
  type BpfObject,
  openObject,
  POISON_KFUNC,
  type RelocateOptions,
  relocateObject,
} from '../../src/object/index.js';
import { Types } from '../support/btf-object.js';
import { ElfWriter } from '../support/elf-writer.js';
import { call, exit, insn, load64, mov } from '../support/sample-object.js';

const { R_BPF_64_64, R_BPF_64_32 } = R_BPF;

interface ExternSpec {
  readonly name: string;
  readonly type: (types: Types) => number;
  readonly weak?: boolean;
  readonly call?: boolean;
}

/** An object whose program loads or calls each extern, in order. */
function withExterns(
  section: '.kconfig' | '.ksyms',
  specs: readonly ExternSpec[],
  endian: Endian = 'little',
): BpfObject {
  const types = new Types();
  const writer = new ElfWriter(endian);
  const refs = specs.map((spec) => (spec.call === true ? [call(1, -1)] : load64(1)));
  const code = writer.code('tc', encodeInsns([...refs.flat(), exit], endian));
  writer.symbol({ name: 'prog', section: code, size: refs.flat().length * 8 + 8 });
  const vars = specs.map((spec) => {
    const target = spec.type(types);
    const type = spec.call === true ? types.func(spec.name, target, 2) : types.variable(spec.name, target, 2);
    return { type, offset: 0, size: 0 };
  });
  types.datasec(section, vars);
  let offset = 0;
  const relocs = specs.map((spec, i) => {
    const binding = spec.weak === true ? STB_WEAK : STB_GLOBAL;
    const symbol = writer.symbol({ name: spec.name, section: 0, type: STT_NOTYPE, binding });
    const reloc = { offset, type: spec.call === true ? R_BPF_64_32 : R_BPF_64_64, symbol };
    offset += refs[i]!.length * 8;
    return reloc;
  });
  writer.relocs(code, relocs);
  writer.section({ name: '.BTF', data: types.bytes(endian) });
  return openObject(writer.bytes(), { file: 'k.o' });
}

const bool = (types: Types): number => types.int('_Bool', 1, 4);
const char = (types: Types): number => types.int('char', 1, 1);
const int = (types: Types): number => types.int('int', 4, 1);
const u64 = (types: Types): number => types.int('u64', 8, 0);
const string = (types: Types): number => types.array(char(types), 8);
const tristate = (types: Types): number =>
  types.add({
    kind: 'enum',
    name: 'libbpf_tristate',
    size: 4,
    signed: false,
    values: [{ name: 'TRI_NO', value: 0n }],
  });

/** Contents of the `.kconfig` map of one variable, or the error's code. */
function kconfigOf(type: ExternSpec['type'], value: string, endian: Endian = 'little'): string {
  const object = withExterns('.kconfig', [{ name: 'CONFIG_X', type }], endian);
  try {
    const { maps } = relocateObject(object, { kconfig: { CONFIG_X: value } });
    return Buffer.from(maps[0]!.initialData!).toString('hex');
  } catch (error) {
    return (error as { code: string }).code;
  }
}

describe('values of configuration variables', () => {
  test.each<[string, ExternSpec['type'], string, string]>([
    ['bool', bool, 'y', '01'],
    ['bool', bool, 'n', '00'],
    ['bool', bool, 'm', 'OBJECT_BAD_KCONFIG'],
    ['bool', bool, '1', 'OBJECT_BAD_KCONFIG'],
    ['tristate', tristate, 'y', '01000000'],
    ['tristate', tristate, 'm', '02000000'],
    ['tristate', tristate, 'n', '00000000'],
    ['tristate', tristate, '7', 'OBJECT_BAD_KCONFIG'],
    ['char', char, 'm', '6d'],
    ['char', char, '65', '41'],
    ['char', char, '300', 'OBJECT_BAD_KCONFIG'],
    ['int', int, '1000', 'e8030000'],
    ['int', int, '0x10', '10000000'],
    ['int', int, '010', '08000000'],
    ['int', int, '-2', 'feffffff'],
    ['int', int, '4294967296', 'OBJECT_BAD_KCONFIG'],
    ['int', int, 'y', 'OBJECT_BAD_KCONFIG'],
    ['int', int, '12abc', 'OBJECT_BAD_KCONFIG'],
    ['u64', u64, '0xffffffffffffffff', 'ffffffffffffffff'],
    ['string', string, '"abc"', '6162630000000000'],
    ['string', string, '"much too long"', '6d75636820746f00'],
    ['string', string, '"open', 'OBJECT_BAD_KCONFIG'],
    ['string', string, 'y', 'OBJECT_BAD_KCONFIG'],
    ['int', int, '"abc"', 'OBJECT_BAD_KCONFIG'],
  ])('%s: %s %s', (_what, type, value, expected) => {
    expect(kconfigOf(type, value)).toBe(expected);
  });

  test('in the other byte order', () => {
    expect(kconfigOf(int, '1000', 'big')).toBe('000003e8');
    expect(kconfigOf(tristate, 'm', 'big')).toBe('00000002');
  });

  test.each<[string, ExternSpec['type']]>([
    ['a struct', (types) => types.struct('s', [['x', types.intId, 4]])],
    ['another enum', (types) => types.add({ kind: 'enum', name: 'e', size: 4, signed: false, values: [] })],
    ['an array of int', (types) => types.array(types.intId, 4)],
    ['a 16-byte integer', (types) => types.int('big', 16)],
  ])('%s is no configuration variable', (_what, type) => {
    expect(withExterns('.kconfig', [{ name: 'CONFIG_X', type }]).problems).toMatchObject([
      { code: 'OBJECT_BAD_EXTERN', place: { file: 'k.o', symbol: 'CONFIG_X' } },
    ]);
  });
});

describe('the .kconfig map', () => {
  const object = withExterns('.kconfig', [
    { name: 'CONFIG_B', type: bool },
    { name: 'LINUX_KERNEL_VERSION', type: int },
    { name: 'CONFIG_S', type: string, weak: true },
    { name: 'CONFIG_A', type: bool },
    { name: 'CONFIG_L', type: u64 },
  ]);
  const config = 'CONFIG_A=y\n# CONFIG_S is not set\nCONFIG_B=y\nCONFIG_L=0x1122\nCONFIG_OTHER=m\n';

  test('is laid out by alignment, size and name', () => {
    expect(object.externs.map(({ name, kconfig }) => [name, kconfig!.offset, kconfig!.size])).toEqual([
      ['CONFIG_L', 0, 8],
      ['LINUX_KERNEL_VERSION', 8, 4],
      ['CONFIG_A', 12, 1],
      ['CONFIG_B', 13, 1],
      ['CONFIG_S', 14, 8],
    ]);
  });

  test('is filled from a configuration', () => {
    const { maps, programs } = relocateObject(object, { kconfig: config });
    expect(maps[0]).toMatchObject({
      name: 'k.kconfig',
      section: '.kconfig',
      type: 2,
      valueSize: 22,
      mapFlags: 128 | 1024,
      frozen: true,
    });
    expect(Buffer.from(maps[0]!.initialData!).toString('hex')).toBe(
      `2211000000000000001206000101${'00'.repeat(8)}`,
    );
    expect(
      programs[0]!.insns.filter(({ code }) => code === 0 || code === 0x18).map(({ src, imm }) => [src, imm]),
    ).toEqual(
      [13, 8, 14, 12, 0].flatMap((offset) => [
        [2, 0],
        [0, offset],
      ]),
    );
  });

  test('names a variable without a value', () => {
    expect(() => relocateObject(object, { kconfig: { CONFIG_A: 'y', CONFIG_L: '1' } })).toThrow(
      expect.objectContaining({
        code: 'OBJECT_UNRESOLVED_EXTERN',
        place: { file: 'k.o', section: '.kconfig', symbol: 'CONFIG_B' },
      }),
    );
    const { failed } = relocateObject(object, { keepGoing: true });
    expect(failed).toMatchObject([{ name: 'prog', error: { code: 'OBJECT_UNRESOLVED_EXTERN' } }]);
  });

  test('knows the kernel version and what kernels can', () => {
    const known = withExterns('.kconfig', [
      { name: 'LINUX_KERNEL_VERSION', type: int },
      { name: 'LINUX_HAS_BPF_COOKIE', type: bool },
      { name: 'LINUX_UNHEARD_OF', type: bool, weak: true },
    ]);
    const { maps } = relocateObject(known, { kernelVersion: 0x50701 });
    expect(Buffer.from(maps[0]!.initialData!).toString('hex')).toBe('010705000100');
    const unknown = withExterns('.kconfig', [{ name: 'LINUX_UNHEARD_OF', type: bool }]);
    expect(() => relocateObject(unknown)).toThrow(
      expect.objectContaining({ code: 'OBJECT_UNRESOLVED_EXTERN' }),
    );
  });

  test('refuses a configuration line without a value', () => {
    expect(() => relocateObject(object, { kconfig: 'CONFIG_A=\n' })).toThrow(
      expect.objectContaining({ code: 'OBJECT_BAD_KCONFIG' }),
    );
  });
});

/** A kernel that has one function, one variable and what they need. */
function target(): Btf {
  const types = new Types();
  const proto = types.proto(types.intId, [['x', types.intId]]);
  types.func('bpf_kfunc', proto);
  types.variable('runqueues', types.struct('rq', [['nr', types.intId, 4]]));
  return Btf.parse(types.bytes());
}

const kfuncType = (types: Types): number => types.proto(types.intId, [['', types.intId]]);

describe('kernel symbols', () => {
  const firstInsns = (specs: readonly ExternSpec[], options: RelocateOptions = {}) =>
    relocateObject(withExterns('.ksyms', specs), options).programs[0]!.insns.slice(0, 2);

  test('a function is called by its BTF id', () => {
    const spec: ExternSpec = { name: 'bpf_kfunc', type: kfuncType, call: true };
    expect(firstInsns([spec], { targetBtf: target() })[0]).toEqual(insn(0x85, 0, 2, 0, 3));
    expect(firstInsns([{ ...spec, name: 'bpf_kfunc___mine' }], { targetBtf: target() })[0]).toMatchObject({
      imm: 3,
    });
  });

  test('a variable is loaded by its BTF id', () => {
    const type = (types: Types): number => types.struct('rq', []);
    expect(firstInsns([{ name: 'runqueues', type }], { targetBtf: target() })).toEqual([
      insn(0x18, 1, 3, 0, 5),
      insn(0),
    ]);
  });

  test('an untyped symbol is loaded by its address', () => {
    const ksyms = { init_task: 0xffffffff81234567n };
    expect(firstInsns([{ name: 'init_task', type: () => 0 }], { ksyms })).toMatchObject([
      { src: 0, imm: 0x81234567 | 0 },
      { imm: -1 },
    ]);
  });

  test('weak ones may be missing', () => {
    const options = { targetBtf: target() };
    expect(firstInsns([{ name: 'none', type: kfuncType, call: true, weak: true }], options)[0]).toEqual(
      call(0, POISON_KFUNC),
    );
    expect(firstInsns([{ name: 'none', type: int, weak: true }], options)).toEqual([insn(0x18, 1), insn(0)]);
    expect(firstInsns([{ name: 'none', type: () => 0, weak: true }], options)).toEqual([
      insn(0x18, 1),
      insn(0),
    ]);
  });

  test.each<[string, ExternSpec, RelocateOptions, string, RegExp]>([
    [
      'a function without a target',
      { name: 'bpf_kfunc', type: kfuncType, call: true },
      {},
      'OBJECT_NO_TARGET_BTF',
      /bpf_kfunc: .*give the kernel's BTF/,
    ],
    [
      'a missing function',
      { name: 'none', type: kfuncType, call: true },
      { targetBtf: target() },
      'OBJECT_UNRESOLVED_EXTERN',
      /none: .*no such function/,
    ],
    [
      'a missing variable',
      { name: 'none', type: int },
      { targetBtf: target() },
      'OBJECT_UNRESOLVED_EXTERN',
      /none: .*no such variable/,
    ],
    [
      'another prototype',
      { name: 'bpf_kfunc', type: (t) => t.proto(t.intId), call: true },
      { targetBtf: target() },
      'OBJECT_BAD_EXTERN',
      /prototype .* does not agree/,
    ],
    [
      'another type',
      { name: 'runqueues', type: int },
      { targetBtf: target() },
      'OBJECT_BAD_EXTERN',
      /type .* does not agree/,
    ],
    [
      'an unknown address',
      { name: 'init_task', type: () => 0 },
      {},
      'OBJECT_UNRESOLVED_EXTERN',
      /init_task: .*no known address/,
    ],
  ])('%s', (_what, spec, options, code, says) => {
    const load = (): unknown => relocateObject(withExterns('.ksyms', [spec]), options);
    expect(load).toThrow(expect.objectContaining({ code, message: expect.stringMatching(says) }));
  });

  test('the BTF lists them as variables, functions behind a dummy', () => {
    const { btf } = withExterns('.ksyms', [
      { name: 'bpf_kfunc', type: kfuncType, call: true },
      { name: 'init_task', type: () => 0 },
    ]);
    const section = btf!.type(btf!.findByName('.ksyms')!);
    const dummy = btf!.findByName('dummy_ksym', 'var')!;
    const variable = btf!.findByName('init_task')!;
    expect(section).toMatchObject({
      size: 8,
      vars: [
        { type: dummy, offset: 0, size: 4 },
        { type: variable, offset: 4, size: 4 },
      ],
    });
    expect(dummy).toBe(btf!.typeCount - 1);
    expect(btf!.type(variable)).toMatchObject({ linkage: 1, type: 1 });
    const func = btf!.type(btf!.findByName('bpf_kfunc')!);
    expect(func).toMatchObject({ kind: 'func', linkage: 1 });
    expect(func.kind === 'func' && btf!.type(func.type)).toMatchObject({ params: [{ name: 'dummy_ksym' }] });
  });
});

describe('the BTF of data sections', () => {
  function withData(more: (types: Types, writer: ElfWriter, section: number) => void): BpfObject {
    const types = new Types();
    const writer = new ElfWriter();
    const code = writer.code('tc', encodeInsns([mov(0, 0), exit]));
    writer.symbol({ name: 'prog', section: code, size: 16 });
    const section = writer.section({ name: '.data', data: new Uint8Array(24), flags: 3 });
    more(types, writer, section);
    writer.section({ name: '.BTF', data: types.bytes() });
    return openObject(writer.bytes(), { file: 'd.o' });
  }
  const pair = (visibility: number) => (types: Types, writer: ElfWriter, section: number) => {
    const late = types.variable('late', types.intId);
    const early = types.variable('early', types.intId);
    types.datasec('.data', [
      { type: late, offset: 0, size: 4 },
      { type: early, offset: 0, size: 4 },
    ]);
    writer.symbol({ name: 'late', section, value: 16, size: 4, type: STT_OBJECT, visibility });
    writer.symbol({ name: 'early', section, value: 4, size: 4, type: STT_OBJECT, visibility });
  };

  test('gets sizes, offsets and order from the symbols', () => {
    const { btf, maps } = withData(pair(0));
    const id = btf!.findByName('.data')!;
    expect(btf!.type(id)).toMatchObject({ size: 24, vars: [{ offset: 4 }, { offset: 16 }] });
    expect(maps[0]!.def).toMatchObject({ btfValueTypeId: id, mapFlags: 1024 });
  });

  test('hidden variables count as static, so that the map need not be mapped', () => {
    const { btf, maps } = withData(pair(STV_HIDDEN));
    expect(btf!.type(btf!.findByName('late')!)).toMatchObject({ linkage: 0 });
    expect(maps[0]!.def.mapFlags).toBe(0);
  });

  test.each<[string, Parameters<typeof withData>[0], RegExp]>([
    [
      'a variable without a symbol',
      (t) => void t.datasec('.data', [{ type: t.variable('ghost', t.intId), offset: 0, size: 4 }]),
      /describes ghost/,
    ],
    ['a section that is not there', (t) => void t.datasec('.data.ghost', []), /section \.data\.ghost/],
    [
      'an entry that is no variable',
      (t) => void t.datasec('.data', [{ type: t.intId, offset: 0, size: 4 }]),
      /entry 0 is a int/,
    ],
  ])('%s', (_what, more, says) => {
    expect(withData(more).problems).toMatchObject([
      { code: 'OBJECT_BAD_BTF', message: expect.stringMatching(says) },
    ]);
  });

  test('hidden subprograms become static', () => {
    const { btf } = withData((types, writer) => {
      const proto = types.proto(0);
      for (const name of ['shown', 'hidden']) types.func(name, proto);
      const code = writer.code('.text', encodeInsns([exit, exit]));
      writer.symbol({ name: 'shown', section: code, size: 8 });
      writer.symbol({ name: 'hidden', section: code, value: 8, size: 8, visibility: STV_HIDDEN });
    });
    expect(['shown', 'hidden'].map((name) => btf!.vlenOf(btf!.findByName(name)!))).toEqual([1, 0]);
  });
});
