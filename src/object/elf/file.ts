/**
 * Reads an ELF64 relocatable object of either byte order into sections, symbols and `SHT_REL` entries.
 * Everything is checked here once, so that what is built on it can index without fear: bounds, sizes,
 * string tables, section and symbol indices. What the numbers mean to BPF is decided elsewhere.
 */
import type { Endian } from '../../isa/insn.js';
import { ObjectError } from '../errors.js';
import type { RelocSection, Section, Sym } from '../types.js';
import * as C from './constants.js';
import { type Ehdr, parseEhdr, parseRels, parseShdrs, parseSyms, type Shdr } from './layout.js';
import { StringTable } from './strings.js';

export interface ElfFile {
  readonly endian: Endian;
  /** `EM_BPF`, or `EM_NONE` as clang wrote before it had a number. */
  readonly machine: number;
  readonly flags: number;
  readonly sections: readonly Section[];
  readonly symbols: readonly Sym[];
  /** Section index of the symbol table, -1 where there is none. */
  readonly symtabIndex: number;
  /** In section order. */
  readonly relocs: readonly RelocSection[];
}

/** Most sections and symbols taken; clang's largest BPF objects have a few thousand of each. */
const MAX_SECTIONS = 65_280;
const MAX_SYMBOLS = 1_000_000;

const fail = (code: ObjectError['code'], detail: string, place = {}): never => {
  throw new ObjectError(code, detail, place);
};

/** Parses a whole file. Throws `ObjectError`; the place has no file name yet (the caller adds it). */
export function parseElf(bytes: Uint8Array): ElfFile {
  const endian = checkIdent(bytes);
  const ehdr = parseEhdr(bytes.subarray(0, C.EHDR_SIZE), endian);
  checkEhdr(ehdr);
  const { shdrs, shstrndx } = readSectionTable(bytes, ehdr, endian);
  const datas = shdrs.map((shdr, index) => sectionData(bytes, shdr, index));
  checkOverlaps(bytes, ehdr, shdrs);
  const names = stringTable(shdrs, datas, shstrndx, 'section names');
  const sections = shdrs.map((shdr, index): Section => {
    const name = index === 0 ? '' : names.at(shdr.name, `section ${index}`);
    const { type, flags, size, link, info } = shdr;
    return { index, name, type, flags, size, link, info, data: datas[index]! };
  });
  const symtabIndex = findSymtab(sections);
  const symbols = symtabIndex < 0 ? [] : readSymbols(sections, shdrs, symtabIndex, datas, endian);
  const relocs = readRelocs(sections, shdrs, symtabIndex, endian);
  return { endian, machine: ehdr.machine, flags: ehdr.flags, sections, symbols, symtabIndex, relocs };
}

function checkIdent(bytes: Uint8Array): Endian {
  const magic = [0x7f, 0x45, 0x4c, 0x46];
  if (bytes.length === 0) fail('OBJECT_NOT_ELF', 'the file is empty');
  if (!magic.every((byte, i) => i >= bytes.length || bytes[i] === byte)) {
    fail('OBJECT_NOT_ELF', 'not an ELF file (no \\x7fELF at its start)');
  }
  if (bytes.length < C.EHDR_SIZE) {
    fail('OBJECT_TRUNCATED', `the file ends at ${bytes.length} bytes, inside the 64-byte ELF header`);
  }
  if (bytes[4] !== C.ELFCLASS64) {
    fail('OBJECT_UNSUPPORTED_ELF', `ELF class ${bytes[4]}: BPF objects are 64-bit (class 2)`);
  }
  const data = bytes[5];
  if (data !== C.ELFDATA2LSB && data !== C.ELFDATA2MSB) {
    fail('OBJECT_UNSUPPORTED_ELF', `unknown byte order ${data}`);
  }
  return data === C.ELFDATA2LSB ? 'little' : 'big';
}

function checkEhdr(ehdr: Ehdr): void {
  if (ehdr.type !== C.ET_REL) {
    fail('OBJECT_UNSUPPORTED_ELF', `ELF type ${ehdr.type}: a BPF object is relocatable (type 1)`);
  }
  if (ehdr.machine !== C.EM_BPF && ehdr.machine !== C.EM_NONE) {
    fail('OBJECT_UNSUPPORTED_ELF', `ELF machine ${ehdr.machine} is not BPF (247)`);
  }
  if (ehdr.shoff === 0) fail('OBJECT_BAD_SECTION_TABLE', 'the file has no section table');
  if (ehdr.shentsize !== C.SHDR_SIZE) {
    fail('OBJECT_BAD_SECTION_TABLE', `section headers of ${ehdr.shentsize} bytes, expected ${C.SHDR_SIZE}`);
  }
}

/** Reads the table, resolving counts too large for the header (gABI "extended section numbering"). */
function readSectionTable(
  bytes: Uint8Array,
  ehdr: Ehdr,
  endian: Endian,
): { shdrs: Shdr[]; shstrndx: number } {
  const table = (count: number): Shdr[] => {
    const end = ehdr.shoff + count * C.SHDR_SIZE;
    if (end > bytes.length) {
      fail(
        'OBJECT_TRUNCATED',
        `the section table (${count} headers) ends at ${end}, past the end of the file`,
        {
          offset: ehdr.shoff,
        },
      );
    }
    return parseShdrs(bytes.subarray(ehdr.shoff, end), endian);
  };
  const first = table(1)[0]!;
  const count = ehdr.shnum === 0 ? first.size : ehdr.shnum;
  if (count > MAX_SECTIONS) fail('OBJECT_TOO_LARGE', `${count} sections, at most ${MAX_SECTIONS} are read`);
  if (count < 2) fail('OBJECT_BAD_SECTION_TABLE', 'the section table is empty');
  if (first.type !== C.SHT_NULL) {
    fail('OBJECT_BAD_SECTION_TABLE', `section 0 has type ${first.type}, it must be the null section`);
  }
  const shstrndx = ehdr.shstrndx === C.SHN_XINDEX ? first.link : ehdr.shstrndx;
  return { shdrs: table(count), shstrndx };
}

function sectionData(bytes: Uint8Array, shdr: Shdr, index: number): Uint8Array {
  if (shdr.type === C.SHT_NOBITS || shdr.type === C.SHT_NULL) return new Uint8Array(0);
  const end = shdr.offset + shdr.size;
  if (end > bytes.length) {
    fail(
      'OBJECT_BAD_SECTION',
      `section ${index} claims bytes ${shdr.offset}..${end}, the file has ${bytes.length}`,
      { offset: shdr.offset },
    );
  }
  return bytes.subarray(shdr.offset, end);
}

/** No two sections may share bytes, nor lie over the header or the section table. */
function checkOverlaps(bytes: Uint8Array, ehdr: Ehdr, shdrs: readonly Shdr[]): void {
  const ranges = [
    { from: 0, to: C.EHDR_SIZE, what: 'the ELF header' },
    { from: ehdr.shoff, to: ehdr.shoff + shdrs.length * C.SHDR_SIZE, what: 'the section table' },
  ];
  for (const [index, shdr] of shdrs.entries()) {
    if (shdr.type === C.SHT_NOBITS || shdr.type === C.SHT_NULL || shdr.size === 0) continue;
    ranges.push({ from: shdr.offset, to: shdr.offset + shdr.size, what: `section ${index}` });
  }
  ranges.sort((a, b) => a.from - b.from || a.to - b.to);
  for (let i = 1; i < ranges.length; i++) {
    const before = ranges[i - 1]!;
    const range = ranges[i]!;
    if (range.from < before.to) {
      fail(
        'OBJECT_OVERLAPPING_SECTIONS',
        `${range.what} (from byte ${range.from} of ${bytes.length}) overlaps ${before.what} (to ${before.to})`,
        { offset: range.from },
      );
    }
  }
}

function stringTable(
  shdrs: readonly Shdr[],
  datas: readonly Uint8Array[],
  index: number,
  what: string,
): StringTable {
  const shdr = shdrs[index];
  if (index === 0 || shdr === undefined) {
    throw new ObjectError(
      'OBJECT_BAD_STRING_TABLE',
      `string table of the ${what} is section ${index}, which does not exist`,
    );
  }
  if (shdr.type !== C.SHT_STRTAB) {
    throw new ObjectError(
      'OBJECT_BAD_STRING_TABLE',
      `section ${index} holds the ${what} but has type ${shdr.type}, not SHT_STRTAB`,
    );
  }
  return new StringTable(datas[index]!, `#${index} (${what})`);
}

function findSymtab(sections: readonly Section[]): number {
  const found = sections.filter((section) => section.type === C.SHT_SYMTAB);
  if (found.length > 1) {
    const names = found.map((section) => section.name).join(', ');
    fail('OBJECT_MULTIPLE_SYMBOL_TABLES', `${found.length} symbol tables (${names}), expected one`);
  }
  return found[0]?.index ?? -1;
}

function checkTable(section: Section, entsize: number, expected: number, code: ObjectError['code']): void {
  const place = { section: section.name };
  if (entsize !== expected) fail(code, `entries of ${entsize} bytes, expected ${expected}`, place);
  if (section.size % expected !== 0) {
    fail(code, `size ${section.size} is not a multiple of its ${expected}-byte entries`, place);
  }
}

function readSymbols(
  sections: readonly Section[],
  shdrs: readonly Shdr[],
  symtabIndex: number,
  datas: readonly Uint8Array[],
  endian: Endian,
): Sym[] {
  const symtab = sections[symtabIndex]!;
  checkTable(symtab, shdrs[symtabIndex]!.entsize, C.SYM_SIZE, 'OBJECT_BAD_SYMBOL');
  const count = symtab.size / C.SYM_SIZE;
  if (count > MAX_SYMBOLS) fail('OBJECT_TOO_LARGE', `${count} symbols, at most ${MAX_SYMBOLS} are read`);
  const names = stringTable(shdrs, datas, symtab.link, 'symbol names');
  return parseSyms(symtab.data, endian).map((record, index): Sym => {
    const name = names.at(record.name, `symbol ${index}`);
    const { value, size, shndx, info, other } = record;
    if (shndx < C.SHN_LORESERVE && shndx >= sections.length) {
      fail('OBJECT_BAD_SYMBOL', `symbol ${index} lies in section ${shndx} of ${sections.length}`, {
        section: symtab.name,
        symbol: name || `#${index}`,
      });
    }
    return {
      index,
      name,
      value,
      size,
      type: info & 0xf,
      binding: info >> 4,
      visibility: other & 3,
      sectionIndex: shndx,
    };
  });
}

function readRelocs(
  sections: readonly Section[],
  shdrs: readonly Shdr[],
  symtabIndex: number,
  endian: Endian,
): RelocSection[] {
  const tables: RelocSection[] = [];
  for (const section of sections) {
    const target = sections[section.info];
    if (section.type === C.SHT_RELA) refuseRela(section, target);
    if (section.type !== C.SHT_REL || section.size === 0) continue;
    const place = { section: section.name };
    checkTable(section, shdrs[section.index]!.entsize, C.REL_SIZE, 'OBJECT_BAD_RELOCATION');
    if (target === undefined || target.index === 0) {
      fail('OBJECT_BAD_RELOCATION', `patches section ${section.info} of ${sections.length}`, place);
    }
    if (section.link !== symtabIndex) {
      fail(
        'OBJECT_BAD_RELOCATION',
        `refers to section ${section.link}, which is not the symbol table`,
        place,
      );
    }
    tables.push({
      index: section.index,
      name: section.name,
      target: section.info,
      relocs: parseRels(section.data, endian),
    });
  }
  return tables;
}

/** Explicit addends are nothing that LLVM's BPF back end writes; only debug information may carry them. */
function refuseRela(section: Section, target: Section | undefined): void {
  if (target === undefined || target.name.startsWith('.debug_') || section.size === 0) return;
  fail(
    'OBJECT_UNSUPPORTED_RELOCATION',
    `SHT_RELA relocations of section ${target.name} (BPF objects use SHT_REL)`,
    {
      section: section.name,
    },
  );
}
