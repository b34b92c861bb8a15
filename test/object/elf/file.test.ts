/** The ELF reader: what it reads of a sound file, and one typed error for each way a container can be broken. */
import { describe, expect, test } from '@jest/globals';
import type { Endian } from '../../../src/isa/insn.js';
import { R_BPF, relocTypeName } from '../../../src/object/elf/constants.js';
import { parseElf } from '../../../src/object/elf/file.js';
import { ObjectError } from '../../../src/object/errors.js';
import { patchHeader } from '../../support/elf-writer.js';
import { sampleObject } from '../../support/sample-object.js';

/** Section indexes of the sample. */
const TEXT = 1;
const CODE = 2;
const DATA = 4;
const BSS = 5;
const STRTAB = 7;
const SYMTAB = 8;
const REL = 9;

describe.each<Endian>(['little', 'big'])('a sound %s-endian object', (endian) => {
  const elf = parseElf(sampleObject({ endian }));

  test('sections', () => {
    expect(elf.endian).toBe(endian);
    expect(elf.machine).toBe(247);
    expect(elf.sections.map(({ name, size }) => [name, size])).toEqual([
      ['', 0],
      ['.text', 16],
      ['xdp', 48],
      ['maps', 20],
      ['.data', 16],
      ['.bss', 12],
      ['license', 4],
      ['.strtab', expect.any(Number)],
      ['.symtab', 8 * 24],
      ['.relxdp', 48],
    ]);
    expect(elf.sections[BSS]!.data).toHaveLength(0);
    expect(elf.symtabIndex).toBe(SYMTAB);
  });

  test('symbols', () => {
    expect(
      elf.symbols.map(({ name, value, size, type, binding }) => [name, value, size, type, binding]),
    ).toEqual([
      ['', 0, 0, 0, 0],
      ['', 0, 0, 3, 0],
      ['sub', 0, 16, 2, 1],
      ['prog', 0, 48, 2, 1],
      ['a_map', 0, 20, 1, 1],
      ['a_global', 8, 4, 1, 1],
      ['missing', 0, 0, 0, 1],
      ['', 0, 0, 3, 0],
    ]);
  });

  test('relocations', () => {
    expect(elf.relocs).toEqual([
      {
        index: REL,
        name: '.relxdp',
        target: CODE,
        relocs: [
          { offset: 0, type: R_BPF.R_BPF_64_64, symIndex: 4 },
          { offset: 16, type: R_BPF.R_BPF_64_64, symIndex: 5 },
          { offset: 32, type: R_BPF.R_BPF_64_32, symIndex: 2 },
        ],
      },
    ]);
  });
});

/** Overwrites bytes from `at` on. */
function poke(at: number, ...values: readonly number[]): Uint8Array {
  const bytes = sampleObject();
  bytes.set(values, at);
  return bytes;
}

const header = (index: number, field: Parameters<typeof patchHeader>[2], value: number): Uint8Array =>
  patchHeader(sampleObject(), index, field, value);

/** Offset of a symbol's record in the file. */
function symbolAt(bytes: Uint8Array, index: number): number {
  const view = new DataView(bytes.buffer);
  const shdr = Number(view.getBigUint64(40, true)) + SYMTAB * 64;
  return Number(view.getBigUint64(shdr + 24, true)) + index * 24;
}

function pokeSymbol(index: number, offset: number, ...values: readonly number[]): Uint8Array {
  const bytes = sampleObject();
  bytes.set(values, symbolAt(bytes, index) + offset);
  return bytes;
}

function unterminated(): Uint8Array {
  const bytes = sampleObject();
  const view = new DataView(bytes.buffer);
  const shdr = Number(view.getBigUint64(40, true)) + STRTAB * 64;
  const at = Number(view.getBigUint64(shdr + 24, true));
  const size = Number(view.getBigUint64(shdr + 32, true));
  bytes.fill(0x61, at + size - 1, at + size);
  return bytes;
}

const size = sampleObject().length;
const LIES: readonly (readonly [what: string, bytes: () => Uint8Array, code: string, says: RegExp])[] = [
  ['nothing', () => new Uint8Array(0), 'OBJECT_NOT_ELF', /empty/],
  ['a text file', () => new TextEncoder().encode('int main(void)'), 'OBJECT_NOT_ELF', /no \\x7fELF/],
  ['one newline', () => new TextEncoder().encode('\n'), 'OBJECT_NOT_ELF', /no \\x7fELF/],
  ['only the magic', () => sampleObject().slice(0, 4), 'OBJECT_TRUNCATED', /ends at 4 bytes/],
  ['half a header', () => sampleObject().slice(0, 40), 'OBJECT_TRUNCATED', /inside the 64-byte ELF header/],
  ['a 32-bit file', () => poke(4, 1), 'OBJECT_UNSUPPORTED_ELF', /class 1/],
  ['an unknown byte order', () => poke(5, 3), 'OBJECT_UNSUPPORTED_ELF', /byte order 3/],
  ['an executable', () => poke(16, 2), 'OBJECT_UNSUPPORTED_ELF', /type 2/],
  ['an x86-64 object', () => poke(18, 62), 'OBJECT_UNSUPPORTED_ELF', /machine 62/],
  [
    'no section table',
    () => poke(40, 0, 0, 0, 0, 0, 0, 0, 0),
    'OBJECT_BAD_SECTION_TABLE',
    /no section table/,
  ],
  ['section headers of 40 bytes', () => poke(58, 40), 'OBJECT_BAD_SECTION_TABLE', /headers of 40 bytes/],
  ['an empty section table', () => poke(60, 1), 'OBJECT_BAD_SECTION_TABLE', /is empty/],
  ['a table past the end', () => sampleObject().slice(0, size - 64), 'OBJECT_TRUNCATED', /10 headers/],
  [
    'a table at the end of the world',
    () => poke(40, 255, 255, 255, 255, 255, 255, 255, 255),
    'OBJECT_TRUNCATED',
    /section table/,
  ],
  [
    'a first section that is not null',
    () => header(0, 'type', 1),
    'OBJECT_BAD_SECTION_TABLE',
    /section 0 has type 1/,
  ],
  ['more sections than there are', () => poke(60, 200), 'OBJECT_TRUNCATED', /200 headers/],
  ['a section past the end', () => header(DATA, 'size', size), 'OBJECT_BAD_SECTION', /section 4 claims/],
  ['a section of 2^63 bytes', () => header(DATA, 'size', 2 ** 63), 'OBJECT_BAD_SECTION', /section 4 claims/],
  [
    'a section over another',
    () => header(TEXT, 'size', 24),
    'OBJECT_OVERLAPPING_SECTIONS',
    /section 2 .* overlaps section 1/,
  ],
  ['a section over the header', () => header(TEXT, 'offset', 0), 'OBJECT_OVERLAPPING_SECTIONS', /overlaps/],
  ['no such string table', () => poke(62, 99), 'OBJECT_BAD_STRING_TABLE', /section 99/],
  ['a string table that is code', () => poke(62, CODE), 'OBJECT_BAD_STRING_TABLE', /type 1, not SHT_STRTAB/],
  [
    'a section name past the strings',
    () => header(CODE, 'name', 5000),
    'OBJECT_BAD_STRING_TABLE',
    /section 2 lies at 5000/,
  ],
  ['a name without its end', unterminated, 'OBJECT_BAD_STRING_TABLE', /not terminated/],
  ['two symbol tables', () => header(REL, 'type', 2), 'OBJECT_MULTIPLE_SYMBOL_TABLES', /\.symtab, \.relxdp/],
  ['symbols of 16 bytes', () => header(SYMTAB, 'entsize', 16), 'OBJECT_BAD_SYMBOL', /entries of 16 bytes/],
  ['half a symbol', () => header(SYMTAB, 'size', 8 * 24 - 8), 'OBJECT_BAD_SYMBOL', /not a multiple/],
  [
    'a symbol in no section',
    () => pokeSymbol(3, 6, 77),
    'OBJECT_BAD_SYMBOL',
    /symbol 3 lies in section 77 of 10/,
  ],
  ['a symbol name past the strings', () => pokeSymbol(3, 0, 255, 255), 'OBJECT_BAD_STRING_TABLE', /symbol 3/],
  [
    'symbol names that are code',
    () => header(SYMTAB, 'link', CODE),
    'OBJECT_BAD_STRING_TABLE',
    /symbol names/,
  ],
  [
    'relocations of 24 bytes',
    () => header(REL, 'entsize', 24),
    'OBJECT_BAD_RELOCATION',
    /entries of 24 bytes/,
  ],
  ['half a relocation', () => header(REL, 'size', 40), 'OBJECT_BAD_RELOCATION', /not a multiple/],
  ['relocations of no section', () => header(REL, 'info', 50), 'OBJECT_BAD_RELOCATION', /patches section 50/],
  [
    'relocations of the null section',
    () => header(REL, 'info', 0),
    'OBJECT_BAD_RELOCATION',
    /patches section 0/,
  ],
  [
    'relocations without symbols',
    () => header(REL, 'link', 3),
    'OBJECT_BAD_RELOCATION',
    /not the symbol table/,
  ],
  [
    'relocations with addends',
    () => header(REL, 'type', 4),
    'OBJECT_UNSUPPORTED_RELOCATION',
    /SHT_RELA relocations of section xdp/,
  ],
];

describe('a broken container ends in one error that names it', () => {
  test.each(LIES)('%s', (_what, bytes, code, says) => {
    let error: unknown;
    try {
      parseElf(bytes());
    } catch (caught) {
      error = caught;
    }
    expect(error).toBeInstanceOf(ObjectError);
    expect(error).toMatchObject({ code, message: expect.stringMatching(says) });
  });

  test('every truncation of a sound file', () => {
    const whole = sampleObject();
    for (let length = 0; length < whole.length; length++) {
      expect(() => parseElf(whole.slice(0, length))).toThrow(ObjectError);
    }
  });
});

test('what old clang wrote as machine is taken for BPF', () => {
  expect(parseElf(poke(18, 0)).machine).toBe(0);
});

test('names of relocation types', () => {
  expect([1, 10, 4, 99].map(relocTypeName)).toEqual([
    'R_BPF_64_64',
    'R_BPF_64_32',
    'R_BPF_64_NODYLD32',
    'R_BPF_99',
  ]);
});
