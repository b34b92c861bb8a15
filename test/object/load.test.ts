/** Opening and relocating whole objects: what programs, maps and instructions come out. */
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { encodeInsns } from '../../src/isa/encode.js';
import type { Endian, Insn } from '../../src/isa/insn.js';
import { R_BPF, STB_LOCAL, STT_NOTYPE, STT_SECTION } from '../../src/object/elf/constants.js';
import {
  funcInsns,
  type LoadableProgram,
  openObject,
  relocateObject,
  requireProgramType,
} from '../../src/object/index.js';
import { ElfWriter } from '../support/elf-writer.js';
import {
  call,
  exit,
  insn,
  load64,
  mov,
  SAMPLE_SUBPROG,
  sampleCode,
  sampleObject,
  text,
  words,
} from '../support/sample-object.js';

const { R_BPF_64_64, R_BPF_64_32 } = R_BPF;
const LINKED: readonly Insn[] = [
  insn(0x18, 1, 1, 0, 0), // map 0
  insn(0),
  insn(0x18, 2, 2, 0, 1), // value of map 1, 4 bytes into the global at 8
  insn(0, 0, 0, 0, 12),
  call(1, 1),
  exit,
  ...SAMPLE_SUBPROG,
];

describe.each<Endian>(['little', 'big'])('the %s-endian sample', (endian) => {
  const object = openObject(sampleObject({ endian }), { file: '/tmp/sample.bpf.o' });
  const loadable = relocateObject(object);

  test('opens', () => {
    expect(object).toMatchObject({
      file: '/tmp/sample.bpf.o',
      name: 'sample',
      endian,
      license: 'GPL',
      kernVersion: 0,
      problems: [],
    });
    expect(
      object.funcs.map(({ name, section, entry, insnCount }) => [name, section, entry, insnCount]),
    ).toEqual([
      ['sub', '.text', false, 2],
      ['prog', 'xdp', true, 6],
    ]);
    expect(funcInsns(object, object.funcs[1]!)).toEqual(sampleCode);
  });

  test('has one linked program', () => {
    expect(loadable.programs).toEqual([
      {
        name: 'prog',
        section: 'xdp',
        type: 6,
        expectedAttachType: 37,
        progFlags: 0,
        autoload: true,
        insns: LINKED,
        subProgs: [
          { name: 'prog', insnOff: 0 },
          { name: 'sub', insnOff: 6 },
        ],
        funcInfo: [],
        lineInfo: [],
      },
    ]);
    expect(loadable.failed).toBeUndefined();
  });

  test('has a legacy map and its global data', () => {
    expect(loadable.maps).toMatchObject([
      {
        name: 'a_map',
        section: 'maps',
        origin: 'legacy',
        type: 1,
        keySize: 4,
        valueSize: 8,
        maxEntries: 16,
        mapFlags: 0,
        frozen: false,
      },
      {
        name: 'sample.data',
        section: '.data',
        type: 2,
        keySize: 4,
        valueSize: 16,
        maxEntries: 1,
        initialData: words(endian, 1, 2, 3, 4),
      },
      { name: 'sample.bss', section: '.bss', origin: 'bss', valueSize: 12, initialData: new Uint8Array(12) },
    ]);
  });

  test('can be relocated again, and its object is left as it was', () => {
    expect(relocateObject(object)).toEqual(loadable);
    expect(funcInsns(object, object.funcs[1]!)).toEqual(sampleCode);
  });
});

test('the version section, and a license that is cut', () => {
  const long = 'L'.repeat(100);
  const bytes = sampleObject({
    endian: 'big',
    license: text(long),
    more: (writer) => void writer.section({ name: 'version', data: words('big', 0x61200) }),
  });
  expect(openObject(bytes)).toMatchObject({ license: long.slice(0, 63), kernVersion: 0x61200 });
  expect(openObject(sampleObject({ license: null })).license).toBe('');
});

/** Bytes given to the loader may be reused at once. */
test('nothing of the input is kept', () => {
  const bytes = sampleObject();
  const object = openObject(bytes);
  bytes.fill(0xff);
  expect(relocateObject(object).programs[0]!.insns).toEqual(LINKED);
});

describe('which programs', () => {
  const two = (sectionName: string): Uint8Array =>
    sampleObject({
      sectionName,
      code: [mov(0, 1), exit, mov(0, 2), exit],
      programs: [
        ['one', 0, 16],
        ['two', 16, 16],
      ],
      relocs: () => [],
    });

  test('several in a section, in order', () => {
    const { programs } = relocateObject(openObject(two('tc')));
    expect(programs.map(({ name, insns }) => [name, insns[0]!.imm])).toEqual([
      ['one', 1],
      ['two', 2],
    ]);
  });

  test('by name', () => {
    const object = openObject(two('tc'));
    expect(relocateObject(object, { programs: ['two'] }).programs.map(({ name }) => name)).toEqual(['two']);
    expect(relocateObject(object, { programs: ['sub'] }).programs).toMatchObject([
      { name: 'sub', section: '.text', type: 0 },
    ]);
    expect(() => relocateObject(object, { programs: ['three'] })).toThrow(
      expect.objectContaining({
        code: 'OBJECT_NO_SUCH_PROGRAM',
        message: expect.stringContaining('one, two'),
      }),
    );
  });

  test('a section name that says nothing', () => {
    const [program] = relocateObject(openObject(two('strange'))).programs;
    expect(program).toMatchObject({ type: 0, section: 'strange' });
    expect(() => requireProgramType(program!, 'x.o')).toThrow(
      expect.objectContaining({
        code: 'OBJECT_NO_PROGRAM_TYPE',
        place: { file: 'x.o', section: 'strange', symbol: 'one' },
      }),
    );
    expect(() => requireProgramType(relocateObject(openObject(two('tc'))).programs[0]!)).not.toThrow();
  });
});

describe('when one of two programs is wrong', () => {
  const half = (sectionName: string): Uint8Array =>
    sampleObject({
      sectionName,
      code: [mov(0, 1), exit, call(1, 99), exit],
      programs: [
        ['good', 0, 16],
        ['bad', 16, 16],
      ],
      relocs: () => [],
    });

  test('the object is refused', () => {
    expect(() => relocateObject(openObject(half('xdp')))).toThrow(
      expect.objectContaining({ code: 'OBJECT_BAD_CALL' }),
    );
  });

  test('the other one is had by keeping going', () => {
    const loadable = relocateObject(openObject(half('xdp'), { file: 'f.o' }), { keepGoing: true });
    expect(loadable.programs.map(({ name }) => name)).toEqual(['good']);
    expect(loadable.failed).toMatchObject([
      {
        name: 'bad',
        section: 'xdp',
        error: { code: 'OBJECT_BAD_CALL', place: { file: 'f.o', section: 'xdp', symbol: 'bad', insn: 0 } },
      },
    ]);
  });

  test('or by asking for it', () => {
    expect(relocateObject(openObject(half('xdp')), { programs: ['good'] }).programs).toHaveLength(1);
  });

  test('programs that load on demand do not stand in the way', () => {
    const object = openObject(half('?xdp'));
    expect(relocateObject(object)).toMatchObject({
      programs: [{ name: 'good', autoload: false }],
      failed: [{ name: 'bad' }],
    });
    expect(() => relocateObject(object, { programs: ['bad'] })).toThrow(
      expect.objectContaining({ code: 'OBJECT_BAD_CALL' }),
    );
  });

  test('a bad map concerns the programs that use it', () => {
    const bytes = sampleObject({ maps: words('little', 999, 4, 8, 1, 0) });
    const loadable = relocateObject(openObject(bytes), { keepGoing: true });
    expect(loadable.programs).toEqual([]);
    expect(loadable.failed).toMatchObject([
      {
        name: 'prog',
        error: { code: 'OBJECT_BAD_REFERENCE', message: expect.stringContaining('map type 999') },
      },
    ]);
  });
});

/** `.text` with functions a–d of two instructions each; the program's calls are given by symbol name. */
function withSubprogs(calls: { prog: readonly string[]; a?: string; b?: string; c?: string }): Insn[] {
  const writer = new ElfWriter();
  const body = (target: string | undefined): Insn[] => [target === undefined ? mov(0, 0) : call(1, -1), exit];
  const subs = encodeInsns([...body(calls.a), ...body(calls.b), ...body(calls.c)]);
  const textIndex = writer.code('.text', subs);
  const progIndex = writer.code('tc', encodeInsns([...calls.prog.map(() => call(1, -1)), exit]));
  const symbols = Object.fromEntries(
    ['a', 'b', 'c'].map((name, i) => [
      name,
      writer.symbol({ name, section: textIndex, value: i * 16, size: 16 }),
    ]),
  );
  writer.symbol({ name: 'prog', section: progIndex, size: (calls.prog.length + 1) * 8 });
  writer.relocs(
    progIndex,
    calls.prog.map((name, i) => ({ offset: i * 8, type: R_BPF_64_32, symbol: symbols[name]! })),
  );
  const inner = (['a', 'b', 'c'] as const).flatMap((name, i) => {
    const target = calls[name];
    return target === undefined ? [] : [{ offset: i * 16, type: R_BPF_64_32, symbol: symbols[target]! }];
  });
  if (inner.length > 0) writer.relocs(textIndex, inner);
  const [program] = relocateObject(openObject(writer.bytes())).programs;
  return [
    ...program!.insns.map((each, i) => ({ ...each, imm: each.code === 0x85 ? each.imm + i + 1 : each.imm })),
  ];
}

/** Function i calls `callees[i]` in order; the program calls function 0. */
function linkGraph(callees: readonly (readonly number[])[]): LoadableProgram {
  const writer = new ElfWriter();
  const bodies = callees.map((calls) => [...calls.map(() => call(1, -1)), exit]);
  const offsets = bodies.map((_, i) => bodies.slice(0, i).flat().length * 8);
  const textIndex = writer.code('.text', encodeInsns(bodies.flat()));
  const progIndex = writer.code('tc', encodeInsns([call(1, -1), exit]));
  const symbols = bodies.map((body, i) =>
    writer.symbol({ name: `${i}`, section: textIndex, value: offsets[i]!, size: body.length * 8 }),
  );
  writer.symbol({ name: 'prog', section: progIndex, size: 16 });
  writer.relocs(progIndex, [{ offset: 0, type: R_BPF_64_32, symbol: symbols[0]! }]);
  writer.relocs(
    textIndex,
    callees.flatMap((calls, i) =>
      calls.map((target, j) => ({
        offset: offsets[i]! + j * 8,
        type: R_BPF_64_32,
        symbol: symbols[target]!,
      })),
    ),
  );
  return relocateObject(openObject(writer.bytes())).programs[0]!;
}

/** Absolute targets of all calls, in order. */
const targets = (insns: readonly Insn[]): number[] =>
  insns.filter(({ code }) => code === 0x85).map(({ imm }) => imm);

describe('subprograms are appended depth first, at the first call', () => {
  test.each<[string, Parameters<typeof withSubprogs>[0], number, number[]]>([
    ['none', { prog: [] }, 1, []],
    ['one, twice', { prog: ['a', 'a'] }, 5, [3, 3]],
    ['two, in the order of the calls', { prog: ['b', 'a'] }, 7, [3, 5]],
    ['a chain', { prog: ['a'], a: 'b', b: 'c' }, 8, [2, 4, 6]],
    ['a chain before the second call', { prog: ['a', 'b'], a: 'c' }, 9, [3, 7, 5]],
    ['one that calls itself', { prog: ['a'], a: 'a' }, 4, [2, 2]],
    ['two that call each other', { prog: ['a'], a: 'b', b: 'a' }, 6, [2, 4, 2]],
  ])('%s', (_what, calls, length, expected) => {
    const insns = withSubprogs(calls);
    expect(insns).toHaveLength(length);
    expect(targets(insns)).toEqual(expected);
  });

  test('whatever calls whatever', () => {
    const graph = fc.integer({ min: 1, max: 12 }).chain((count) =>
      fc.array(fc.array(fc.nat({ max: count - 1 }), { maxLength: 4 }), {
        minLength: count,
        maxLength: count,
      }),
    );
    fc.assert(
      fc.property(graph, (callees) => {
        const { subProgs, insns } = linkGraph(callees);
        const nameAt = new Map(subProgs.map(({ name, insnOff }) => [insnOff, name]));
        for (const { name, insnOff } of subProgs) {
          const targets = (name === 'prog' ? [0] : callees[Number(name)]!).map((_, i) =>
            nameAt.get(insnOff + i + insns[insnOff + i]!.imm + 1),
          );
          expect(targets).toEqual(name === 'prog' ? ['0'] : callees[Number(name)]!.map(String));
        }
        expect(new Set(subProgs.map(({ name }) => name)).size).toBe(subProgs.length);
      }),
    );
  });

  test('five thousand deep', () => {
    const depth = 5000;
    const writer = new ElfWriter();
    const code = Array.from({ length: depth }, (_, i) => [
      i + 1 < depth ? call(1, 1) : mov(0, 0),
      exit,
    ]).flat();
    const textIndex = writer.code('.text', encodeInsns(code));
    const progIndex = writer.code('tc', encodeInsns([call(1, -1), exit]));
    const symbols = Array.from({ length: depth }, (_, i) =>
      writer.symbol({ name: `f${i}`, section: textIndex, value: i * 16, size: 16 }),
    );
    writer.symbol({ name: 'prog', section: progIndex, size: 16 });
    writer.relocs(progIndex, [{ offset: 0, type: R_BPF_64_32, symbol: symbols[0]! }]);
    expect(relocateObject(openObject(writer.bytes())).programs[0]!.insns).toHaveLength(depth * 2 + 2);
  });
});

describe('other ways to refer to a function', () => {
  test('a static function by section and distance', () => {
    const [program] = relocateObject(
      openObject(
        sampleObject({
          code: [call(1, 0), exit],
          subprogs: [
            ['first', 0, 8, STB_LOCAL],
            ['second', 8, 8, STB_LOCAL],
          ],
          relocs: (at) => [{ offset: 0, type: R_BPF_64_32, symbol: at.textSection }],
        }),
      ),
    ).programs;
    expect(program!.subProgs).toEqual([
      { name: 'prog', insnOff: 0 },
      { name: 'second', insnOff: 2 },
    ]);
  });

  test('a callback by address', () => {
    const [program] = relocateObject(
      openObject(
        sampleObject({
          code: [...load64(2), exit],
          relocs: (at) => [{ offset: 0, type: R_BPF_64_64, symbol: at.textSection }],
        }),
      ),
    ).programs;
    expect(program!.insns).toEqual([insn(0x18, 2, 4, 0, 2), insn(0), exit, ...SAMPLE_SUBPROG]);
  });

  test('a static function in the section of its caller', () => {
    const [program, ...others] = relocateObject(
      openObject(
        sampleObject({
          code: [call(1, 1), exit, mov(0, 3), exit],
          programs: [
            ['prog', 0, 16],
            ['helper', 16, 16, STB_LOCAL],
          ],
          relocs: () => [],
        }),
      ),
    ).programs;
    expect(others).toEqual([]);
    expect(program!.insns).toEqual([call(1, 1), exit, mov(0, 3), exit]);
  });

  test('a function of another section', () => {
    const writer = new ElfWriter();
    const other = writer.code('other', encodeInsns([mov(0, 5), exit]));
    const code = writer.code('xdp', encodeInsns([call(1, -1), exit]));
    const callee = writer.symbol({ name: 'callee', section: other, size: 16 });
    writer.symbol({ name: 'prog', section: code, size: 16 });
    writer.relocs(code, [{ offset: 0, type: R_BPF_64_32, symbol: callee }]);
    const { programs } = relocateObject(openObject(writer.bytes()));
    expect(programs.map(({ name, type, insns }) => [name, type, insns.length])).toEqual([
      ['callee', 0, 2],
      ['prog', 6, 4],
    ]);
  });
});

test('aliases cannot make an object large', () => {
  const writer = new ElfWriter();
  const size = 150_000;
  const code = writer.code('tc', encodeInsns(Array.from({ length: size }, () => exit)));
  for (let i = 0; i < 8; i++) writer.symbol({ name: `alias${i}`, section: code, size: size * 8 });
  const { programs, failed } = relocateObject(openObject(writer.bytes()), { keepGoing: true });
  expect(programs).toHaveLength(6);
  expect(failed!.map(({ error }) => error.code)).toEqual(['OBJECT_TOO_LARGE', 'OBJECT_TOO_LARGE']);
});

describe('objects of old compilers', () => {
  /** Labels without type and size, as clang 7 wrote them. */
  function untyped(
    labels: readonly (readonly [string, number, number?])[],
    sectionName = 'kprobe/x',
  ): string[][] {
    const writer = new ElfWriter();
    const code = writer.code(sectionName, encodeInsns([mov(0, 0), mov(0, 0), mov(0, 0), exit]));
    writer.symbol({ name: '', section: code, type: STT_SECTION, binding: STB_LOCAL });
    for (const [name, value, binding] of labels) {
      writer.symbol({
        name,
        section: code,
        value,
        type: STT_NOTYPE,
        ...(binding === undefined ? {} : { binding }),
      });
    }
    return openObject(writer.bytes()).funcs.map(({ name, insnOff, insnCount, entry }) => [
      name,
      `${insnOff}+${insnCount}`,
      `${entry}`,
    ]);
  }

  test.each<[string, Parameters<typeof untyped>[0], string[][]]>([
    ['no label', [], [['kprobe/x', '0+4', 'true']]],
    ['one label', [['prog', 0]], [['prog', '0+4', 'true']]],
    [
      'two',
      [
        ['one', 0],
        ['two', 16],
      ],
      [
        ['one', '0+2', 'true'],
        ['two', '2+2', 'true'],
      ],
    ],
    [
      'a static one',
      [
        ['one', 0],
        ['two', 16, STB_LOCAL],
      ],
      [
        ['one', '0+2', 'true'],
        ['two', '2+2', 'false'],
      ],
    ],
    [
      'branch targets',
      [
        ['prog', 0],
        ['LBB0_1', 8, STB_LOCAL],
        ['.L1', 16, STB_LOCAL],
      ],
      [['prog', '0+4', 'true']],
    ],
    [
      'only a later one',
      [['two', 16]],
      [
        ['kprobe/x', '0+2', 'true'],
        ['two', '2+2', 'true'],
      ],
    ],
  ])('a section with %s', (_what, labels, funcs) => {
    expect(untyped(labels)).toEqual(funcs);
  });
});
