/**
 * Objects that are sound ELF and wrong inside: each ends in exactly one typed error, when it is opened or when
 * it is relocated, and the error names the place.
 */
import { describe, expect, test } from '@jest/globals';
import { BpflabError } from '../../src/errors.js';
import {
  R_BPF,
  SHF_COMPRESSED,
  SHN_COMMON,
  SHT_NOBITS,
  STT_FUNC,
  STT_NOTYPE,
  STT_OBJECT,
} from '../../src/object/elf/constants.js';
import { openObject, relocateObject } from '../../src/object/index.js';
import { patchHeader } from '../support/elf-writer.js';
import {
  call,
  exit,
  insn,
  load64,
  mov,
  sampleCode,
  sampleObject,
  text,
  words,
} from '../support/sample-object.js';

const { R_BPF_64_64, R_BPF_64_32, R_BPF_64_ABS64 } = R_BPF;
const le = (...values: number[]): Uint8Array => words('little', ...values);

/** The sample with one relocation, at the first load, for a symbol of its own. */
function relocTo(
  symbol: { section: (at: { data: number; text: number }) => number; type?: number; value?: number },
  type = R_BPF_64_64,
): Uint8Array {
  let index = 0;
  return sampleObject({
    code: [...load64(1), exit],
    relocs: () => [],
    more: (writer, at) => {
      index = writer.symbol({
        name: 'thing',
        section: symbol.section(at),
        type: symbol.type ?? STT_OBJECT,
        value: symbol.value ?? 0,
      });
      writer.relocs(at.code, [{ offset: 0, type, symbol: index }]);
    },
  });
}

const oneReloc = (offset: number, type: number, symbol: number): Uint8Array =>
  sampleObject({ relocs: () => [{ offset, type, symbol }] });

type Row = readonly [what: string, bytes: () => Uint8Array, code: string, says: RegExp];

const CONTENT: readonly Row[] = [
  [
    'an object without symbols',
    () => patchHeader(patchHeader(sampleObject(), 8, 'type', 1), 9, 'type', 1),
    'OBJECT_NO_SYMBOL_TABLE',
    /stripped/,
  ],
  [
    'compressed code',
    () => patchHeader(sampleObject(), 2, 'flags', 6 | SHF_COMPRESSED),
    'OBJECT_COMPRESSED_SECTION',
    /section xdp: compressed/,
  ],
  [
    'an empty license',
    () => sampleObject({ license: new Uint8Array(0) }),
    'OBJECT_BAD_LICENSE',
    /section license/,
  ],
  [
    'a version of 8 bytes',
    () => sampleObject({ more: (writer) => void writer.section({ name: 'version', data: le(1, 2) }) }),
    'OBJECT_BAD_VERSION',
    /section version: 8 bytes/,
  ],
  [
    'a .bss of 1 TiB',
    () => patchHeader(sampleObject(), 5, 'size', 2 ** 40),
    'OBJECT_TOO_LARGE',
    /section \.bss: 1099511627776 bytes/,
  ],
];

const PROGRAMS: readonly Row[] = [
  [
    '12 bytes of code',
    () => patchHeader(sampleObject(), 2, 'size', 44),
    'OBJECT_BAD_PROGRAM',
    /section xdp: 44 bytes/,
  ],
  [
    'a program past its section',
    () => sampleObject({ programs: [['prog', 0, 56]] }),
    'OBJECT_BAD_PROGRAM',
    /prog: .* leaves the section/,
  ],
  [
    'a program of no instructions',
    () => sampleObject({ programs: [['prog', 0, 0]] }),
    'OBJECT_BAD_PROGRAM',
    /prog: .* whole/,
  ],
  [
    'a program that starts inside an instruction',
    () => sampleObject({ programs: [['prog', 4, 8]] }),
    'OBJECT_BAD_PROGRAM',
    /prog: .* whole/,
  ],
  [
    'a program without a name',
    () => sampleObject({ programs: [['', 0, 48]] }),
    'OBJECT_BAD_PROGRAM',
    /no name/,
  ],
  [
    'two programs over each other',
    () =>
      sampleObject({
        programs: [
          ['one', 0, 32],
          ['two', 24, 24],
        ],
      }),
    'OBJECT_OVERLAPPING_FUNCTIONS',
    /section xdp, two, insn 3: overlaps function one/,
  ],
  [
    'two programs of one name',
    () =>
      sampleObject({
        programs: [
          ['twin', 0, 24],
          ['twin', 24, 24],
        ],
      }),
    'OBJECT_DUPLICATE_PROGRAM',
    /section xdp, twin: two programs/,
  ],
  [
    'half a 64-bit load at the end',
    () => sampleObject({ code: [mov(0, 0), insn(0x18, 1)], relocs: () => [] }),
    'OBJECT_BAD_PROGRAM',
    /prog, insn 1: the function ends inside/,
  ],
];

const MAPS: readonly Row[] = [
  [
    'a map definition of 12 bytes',
    () => sampleObject({ maps: le(1, 4, 8) }),
    'OBJECT_BAD_MAP',
    /a_map: a map definition of 12 bytes/,
  ],
  [
    'a map definition of type 0',
    () => sampleObject({ maps: le(0, 4, 8, 1, 0) }),
    'OBJECT_BAD_MAP',
    /a_map: .* has no type/,
  ],
  [
    'a map type of the future',
    () => sampleObject({ maps: le(999, 4, 8, 1, 0) }),
    'OBJECT_UNSUPPORTED_MAP',
    /a_map: map type 999/,
  ],
  [
    'attributes that nobody knows',
    () => sampleObject({ maps: le(1, 4, 8, 1, 0, 0, 0, 5) }),
    'OBJECT_BAD_MAP',
    /byte 28 .* not zero/,
  ],
  [
    'maps without symbols',
    () => sampleObject({ mapSymbols: [], relocs: () => [] }),
    'OBJECT_BAD_MAP',
    /no symbols/,
  ],
  [
    'two definitions in 50 bytes',
    () =>
      sampleObject({
        maps: new Uint8Array(51),
        mapSymbols: [
          ['a_map', 0],
          ['b_map', 25],
        ],
      }),
    'OBJECT_BAD_MAP',
    /51 bytes cannot be 2 definitions/,
  ],
  [
    'a definition that leaves the section',
    () => sampleObject({ maps: le(1, 4, 8, 1, 0), mapSymbols: [['a_map', 8]] }),
    'OBJECT_BAD_MAP',
    /a_map: definition at 8/,
  ],
  [
    'two maps of one name',
    () =>
      sampleObject({
        maps: le(1, 4, 8, 1, 0, 2, 4, 8, 1, 0),
        mapSymbols: [
          ['a_map', 0],
          ['a_map', 20],
        ],
      }),
    'OBJECT_DUPLICATE_MAP',
    /section maps, a_map: two maps/,
  ],
  [
    'a map of maps of maps',
    () =>
      sampleObject({
        maps: le(12, 4, 4, 1, 0, 1, 12, 4, 4, 1, 0, 0),
        mapSymbols: [
          ['a_map', 0],
          ['b_map', 24],
        ],
      }),
    'OBJECT_BAD_MAP',
    /a_map: inner map b_map is itself a map of maps/,
  ],
  [
    'a map that is its own inner map',
    () => sampleObject({ maps: le(12, 4, 4, 1, 0, 7, 0, 7, 0), mapSymbols: [['a_map', 0]] }),
    'OBJECT_BAD_MAP',
    /a_map: inner map a_map/,
  ],
];

const RELOCATIONS: readonly Row[] = [
  ['a relocation past the code', () => oneReloc(48, R_BPF_64_64, 4), 'OBJECT_BAD_RELOCATION', /#0 lies past/],
  [
    'a relocation inside an instruction',
    () => oneReloc(4, R_BPF_64_64, 4),
    'OBJECT_BAD_RELOCATION',
    /#0 lies inside/,
  ],
  [
    'a relocation for a symbol that is not there',
    () => oneReloc(0, R_BPF_64_64, 600),
    'OBJECT_BAD_RELOCATION',
    /names symbol 600/,
  ],
  ['a relocation of an unknown type', () => oneReloc(0, 77, 4), 'OBJECT_UNSUPPORTED_RELOCATION', /R_BPF_77/],
  [
    'a data relocation in code',
    () => oneReloc(0, R_BPF_64_ABS64, 4),
    'OBJECT_UNSUPPORTED_RELOCATION',
    /R_BPF_64_ABS64/,
  ],
  [
    'two relocations of one instruction',
    () =>
      sampleObject({ relocs: (at) => [0, 1].map(() => ({ offset: 0, type: R_BPF_64_64, symbol: at.map })) }),
    'OBJECT_BAD_RELOCATION',
    /#1 patches an instruction that another/,
  ],
  [
    'a relocation of an exit',
    () => sampleObject({ code: [exit], relocs: (at) => [{ offset: 0, type: R_BPF_64_64, symbol: at.map }] }),
    'OBJECT_BAD_RELOCATION',
    /insn 0: .* opcode 0x95/,
  ],
  [
    'a reference to an absolute symbol',
    () => relocTo({ section: () => 0xfff1 }),
    'OBJECT_BAD_REFERENCE',
    /thing lies in no section/,
  ],
  [
    'a reference to a common symbol',
    () => relocTo({ section: () => SHN_COMMON }),
    'OBJECT_BAD_REFERENCE',
    /without an initial value/,
  ],
  [
    'a reference into the license',
    () => relocTo({ section: () => 6 }),
    'OBJECT_BAD_REFERENCE',
    /thing in section license/,
  ],
  [
    'a reference beside a map',
    () => sampleObject({ relocs: (at) => [{ offset: 16, type: R_BPF_64_64, symbol: at.mapsSection }] }),
    'OBJECT_BAD_REFERENCE',
    /insn 2: a reference to maps in section maps/,
  ],
  [
    'an undefined symbol',
    () => sampleObject({ relocs: (at) => [{ offset: 0, type: R_BPF_64_64, symbol: at.undefinedSymbol }] }),
    'OBJECT_UNRESOLVED_EXTERN',
    /needs missing/,
  ],
  [
    'a call of an undefined function',
    () => sampleObject({ relocs: (at) => [{ offset: 32, type: R_BPF_64_32, symbol: at.undefinedSymbol }] }),
    'OBJECT_UNRESOLVED_EXTERN',
    /insn 4: needs missing/,
  ],
];

const CALLS: readonly Row[] = [
  [
    'a call of data',
    () => sampleObject({ relocs: (at) => [{ offset: 32, type: R_BPF_64_32, symbol: at.global }] }),
    'OBJECT_BAD_CALL',
    /insn 4: .*a_global/,
  ],
  [
    'a helper call with a relocation',
    () =>
      sampleObject({
        code: [call(0, 1), exit],
        relocs: (at) => [{ offset: 0, type: R_BPF_64_32, symbol: at.subprog }],
      }),
    'OBJECT_BAD_CALL',
    /a call of sub with source 0/,
  ],
  [
    'a call behind the code',
    () => sampleObject({ code: [call(1, 100), exit], relocs: () => [] }),
    'OBJECT_BAD_CALL',
    /slot 101 .* no function/,
  ],
  [
    'a call before the code',
    () => sampleObject({ code: [call(1, -50), exit], relocs: () => [] }),
    'OBJECT_BAD_CALL',
    /slot -49/,
  ],
  [
    'a call into a function',
    () => sampleObject({ code: [mov(0, 0), call(1, -1), exit], relocs: () => [] }),
    'OBJECT_BAD_CALL',
    /inside function prog/,
  ],
  [
    'a function pointer into a function',
    () =>
      sampleObject({
        code: [...load64(2, 8), exit],
        relocs: (at) => [{ offset: 0, type: R_BPF_64_64, symbol: at.textSection }],
      }),
    'OBJECT_BAD_CALL',
    /slot 1 of section \.text, inside function sub/,
  ],
  [
    'a function pointer to half an instruction',
    () =>
      sampleObject({
        code: [...load64(2, 4), exit],
        relocs: (at) => [{ offset: 0, type: R_BPF_64_64, symbol: at.textSection }],
      }),
    'OBJECT_BAD_CALL',
    /slot 0\.5/,
  ],
  [
    'a function pointer without a relocation',
    () => sampleObject({ code: [insn(0x18, 1, 4), insn(0), exit], relocs: () => [] }),
    'OBJECT_BAD_REFERENCE',
    /function pointer without/,
  ],
];

const BTF: readonly Row[] = [
  [
    'maps that need BTF',
    () => withSection('.maps', new Uint8Array(32)),
    'OBJECT_BTF_REQUIRED',
    /section \.maps/,
  ],
  [
    'struct_ops that need BTF',
    () => withSection('.struct_ops', new Uint8Array(32)),
    'OBJECT_BTF_REQUIRED',
    /section \.struct_ops/,
  ],
  ['BTF that is none', () => withSection('.BTF', text('hello')), 'BTF_MAGIC', /not BTF/],
  [
    'BTF without bytes',
    () => withSection('.BTF', undefined, SHT_NOBITS),
    'OBJECT_BAD_BTF',
    /section \.BTF: section type 8/,
  ],
];

function withSection(name: string, data: Uint8Array | undefined, type = 1): Uint8Array {
  return sampleObject({
    more: (writer) => void writer.section({ name, type, ...(data === undefined ? { size: 8 } : { data }) }),
  });
}

/** Opens and relocates; returns what it threw. */
function load(bytes: Uint8Array): unknown {
  try {
    return relocateObject(openObject(bytes, { file: 'bad.o' }));
  } catch (error) {
    return error;
  }
}

describe.each([
  ['content', CONTENT],
  ['programs', PROGRAMS],
  ['maps', MAPS],
  ['relocations', RELOCATIONS],
  ['calls', CALLS],
  ['BTF', BTF],
])('bad %s', (_area, rows) => {
  test.each(rows)('%s', (_what, bytes, code, says) => {
    const error = load(bytes());
    expect(error).toBeInstanceOf(BpflabError);
    expect(error).toMatchObject({ code, place: { file: 'bad.o' }, message: expect.stringMatching(says) });
  });
});

test('the sample itself is sound', () => {
  expect(load(sampleObject())).toMatchObject({ programs: [{ name: 'prog' }] });
  expect(sampleCode).toHaveLength(6);
  expect([STT_FUNC, STT_NOTYPE]).toEqual([2, 0]);
});
