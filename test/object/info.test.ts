/** What travels with the code: function and line records, CO-RE relocations, exception callbacks, notes. */
import { describe, expect, test } from '@jest/globals';
import { encodeInsns } from '../../src/isa/encode.js';
import { Btf } from '../../src/object/btf/btf.js';
import { R_BPF, STB_LOCAL, STV_HIDDEN } from '../../src/object/elf/constants.js';
import { type BpfObject, openObject, relocateObject } from '../../src/object/index.js';
import { Types } from '../support/btf-object.js';
import { ElfWriter } from '../support/elf-writer.js';
import { call, exit, mov, sampleObject, words } from '../support/sample-object.js';

/** `.BTF.ext` from records per section; strings are offsets into the BTF's. */
function btfExt(
  string: (text: string) => number,
  infos: {
    readonly func?: Readonly<Record<string, readonly (readonly [offset: number, type: number])[]>>;
    readonly line?: Readonly<Record<string, readonly (readonly [offset: number, line: number])[]>>;
    readonly core?: Readonly<
      Record<string, readonly (readonly [offset: number, type: number, access: string, kind: number])[]>
    >;
  },
): Uint8Array {
  const block = (
    size: number,
    sections: Readonly<Record<string, readonly (readonly number[])[]>> | undefined,
  ): number[] => {
    const entries = Object.entries(sections ?? {});
    if (entries.length === 0) return [];
    return [size, ...entries.flatMap(([name, records]) => [string(name), records.length, ...records.flat()])];
  };
  const mapped = <T, R>(
    sections: Readonly<Record<string, readonly T[]>> | undefined,
    map: (record: T) => R,
  ): Record<string, R[]> =>
    Object.fromEntries(Object.entries(sections ?? {}).map(([name, records]) => [name, records.map(map)]));
  const func = block(8, infos.func);
  const line = block(
    16,
    mapped(infos.line, ([offset, number]) => [offset, string('f.c'), string('text'), (number << 10) | 5]),
  );
  const core = block(
    16,
    mapped(infos.core, ([offset, type, access, kind]) => [offset, type, string(access), kind]),
  );
  const [funcSize, lineSize, coreSize] = [func.length * 4, line.length * 4, core.length * 4];
  const header = [0x0001eb9f, 32, 0, funcSize, funcSize, lineSize, funcSize + lineSize, coreSize];
  return words('little', ...header, ...func, ...line, ...core);
}

type Infos = Parameters<typeof btfExt>[1];

/** `prog` calls `sub`; `.text` also has `unused` and `thrown`. */
function withInfo(
  infos: Infos,
  more: (types: Types, funcs: Readonly<Record<string, number>>) => void = () => {},
  thrown: { visibility?: number; binding?: number } = {},
): BpfObject {
  const types = new Types();
  const proto = types.proto(types.intId);
  const names = ['prog', 'sub', 'unused', 'thrown'];
  const funcs = Object.fromEntries(names.map((name) => [name, types.func(name, proto)]));
  more(types, funcs);
  // strings that only .BTF.ext uses have to be in the BTF, too
  for (const text of ['tc', '.text', 'f.c', 'text', '0', '0:0'])
    types.add({ kind: 'typedef', name: text, type: types.intId });
  const btfBytes = types.bytes();
  const btf = Btf.parse(btfBytes);
  const offsets = new Map<string, number>();
  for (let at = 0; at < btf.strings.end; at += btf.strings.at(at).length + 1)
    offsets.set(btf.strings.at(at), at);
  const writer = new ElfWriter();
  const text = writer.code('.text', encodeInsns([mov(0, 1), exit, mov(0, 2), exit, mov(0, 3), exit]));
  const code = writer.code('tc', encodeInsns([mov(1, 4), call(1, -1), exit]));
  const sub = writer.symbol({ name: 'sub', section: text, size: 16 });
  writer.symbol({ name: 'unused', section: text, value: 16, size: 16 });
  writer.symbol({ name: 'thrown', section: text, value: 32, size: 16, ...thrown });
  writer.symbol({ name: 'prog', section: code, size: 24 });
  writer.relocs(code, [{ offset: 8, type: R_BPF.R_BPF_64_32, symbol: sub }]);
  writer.section({ name: '.BTF', data: btfBytes });
  writer.section({ name: '.BTF.ext', data: btfExt((value) => offsets.get(value) ?? 0, infos) });
  return openObject(writer.bytes(), { file: 'i.o' });
}

const FUNC = {
  tc: [[0, 3]],
  '.text': [
    [0, 4],
    [16, 5],
    [32, 6],
  ],
} as const;
const LINE = {
  tc: [
    [0, 10],
    [16, 11],
  ],
  '.text': [
    [0, 20],
    [8, 21],
    [16, 30],
    [32, 40],
  ],
} as const;

describe('function and line records', () => {
  test('are moved with their functions', () => {
    const [program] = relocateObject(withInfo({ func: FUNC, line: LINE })).programs;
    expect(program!.subProgs.map(({ name }) => name)).toEqual(['prog', 'sub']);
    expect(program!.funcInfo).toEqual([
      { insnOff: 0, typeId: 3 },
      { insnOff: 3, typeId: 4 },
    ]);
    expect(program!.lineInfo.map(({ insnOff, line }) => [insnOff, line])).toEqual([
      [0, 10],
      [2, 11],
      [3, 20],
      [4, 21],
    ]);
    expect(program!.lineInfo[0]).toEqual({ insnOff: 0, file: 'f.c', text: 'text', line: 10, column: 5 });
  });

  test('are left out altogether where the program itself has none', () => {
    const [program] = relocateObject(withInfo({ func: { '.text': FUNC['.text'] }, line: LINE })).programs;
    expect(program!.funcInfo).toEqual([]);
    expect(program!.lineInfo).toHaveLength(4);
  });

  test.each<[string, Infos, RegExp]>([
    [
      'a subprogram without function records',
      { func: { tc: FUNC.tc }, line: LINE },
      /sub: .*no function information/,
    ],
    [
      'a subprogram without line records',
      { func: FUNC, line: { tc: LINE.tc } },
      /sub: .*no line information/,
    ],
    [
      'two records of one instruction',
      {
        func: {
          tc: [
            [0, 3],
            [0, 4],
          ],
        },
      },
      /prog: two records of \.BTF\.ext name byte 0/,
    ],
    [
      'a record inside an instruction',
      { func: { tc: [[4, 3]] } },
      /prog: record 0 of \.BTF\.ext names byte 4/,
    ],
  ])('%s', (_what, infos, says) => {
    expect(() => relocateObject(withInfo(infos))).toThrow(
      expect.objectContaining({ code: 'OBJECT_BAD_BTF', message: expect.stringMatching(says) }),
    );
  });
});

describe('CO-RE relocations', () => {
  const LOCAL_ID = 6;
  const EXISTS = 8;

  test('about local types need no target', () => {
    const object = withInfo({ core: { tc: [[0, 3, '0', LOCAL_ID]] } }, (types) => types.struct('s', []));
    expect(relocateObject(object).programs[0]!.insns[0]).toEqual(mov(1, 3));
    const struct = withInfo({ core: { tc: [[0, 7, '0', EXISTS]] } }, (types) => types.struct('s', []));
    expect(() => relocateObject(struct)).toThrow(
      expect.objectContaining({
        code: 'OBJECT_NO_TARGET_BTF',
        message: expect.stringMatching(
          /i\.o, section tc, prog, insn 0: CO-RE relocation #0 \(type_exists, type \[7\], 0\)/,
        ),
      }),
    );
  });

  test('are applied to the functions that are linked', () => {
    const target = new Types();
    target.struct('s', [['x', target.intId, 4]]);
    const targetBtf = Btf.parse(target.bytes());
    const object = withInfo(
      {
        core: {
          '.text': [
            [0, 7, '0', EXISTS],
            [16, 7, '0', EXISTS],
          ],
        },
      },
      (types) => types.struct('s', []),
    );
    const [program] = relocateObject(object, { targetBtf }).programs;
    expect(program!.insns[3]).toEqual(mov(0, 1));
    const none = Btf.parse(new Types().bytes());
    expect(relocateObject(object, { targetBtf: none }).programs[0]!.insns[3]).toEqual(mov(0, 0));
  });
});

describe('an exception callback', () => {
  const tag = (name: string) => (types: Types, funcs: Readonly<Record<string, number>>) => {
    types.add({
      kind: 'decl_tag',
      name: `exception_callback:${name}`,
      type: funcs.prog!,
      componentIndex: -1,
      attribute: false,
    });
  };

  test('is appended last', () => {
    const [program] = relocateObject(withInfo({ func: FUNC }, tag('thrown'))).programs;
    expect(program!.subProgs).toEqual([
      { name: 'prog', insnOff: 0 },
      { name: 'sub', insnOff: 3 },
      { name: 'thrown', insnOff: 5 },
    ]);
    expect(program!.funcInfo).toHaveLength(3);
  });

  test('that is called anyway is appended once', () => {
    expect(relocateObject(withInfo({}, tag('sub'))).programs[0]!.subProgs).toHaveLength(2);
  });

  test('is left to the verifier where there are two', () => {
    const object = withInfo({}, (types, funcs) => {
      tag('thrown')(types, funcs);
      tag('unused')(types, funcs);
    });
    expect(relocateObject(object).programs[0]!.subProgs).toHaveLength(2);
  });

  test.each<[string, BpfObject, RegExp]>([
    ['that is nowhere', withInfo({}, tag('ghost')), /callback ghost is no function/],
    [
      'that is static',
      withInfo({}, tag('thrown'), { binding: STB_LOCAL }),
      /callback thrown must be a global/,
    ],
    [
      'that is hidden',
      withInfo({}, tag('thrown'), { visibility: STV_HIDDEN }),
      /callback thrown must be a global/,
    ],
  ])('%s', (_what, object, says) => {
    expect(() => relocateObject(object)).toThrow(
      expect.objectContaining({
        code: 'OBJECT_BAD_CALL',
        place: { file: 'i.o', section: 'tc', symbol: 'prog' },
        message: expect.stringMatching(says),
      }),
    );
  });
});

test('a .BTF.ext that is all header counts as none', () => {
  const object = withInfo({});
  expect(object.problems).toEqual([]);
  expect(object.btfExt).toBeUndefined();
});

test('pointers in global data are noted', () => {
  const bytes = sampleObject({
    more: (writer, at) =>
      writer.relocs(at.data, [{ offset: 0, type: R_BPF.R_BPF_64_ABS64, symbol: at.global }]),
  });
  expect(openObject(bytes).notes).toEqual([
    expect.stringMatching(/^1 relocations of section \.data are not applied/),
  ]);
  expect(openObject(sampleObject()).notes).toEqual([]);
});
