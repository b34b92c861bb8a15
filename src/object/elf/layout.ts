/**
 * The fixed-size records of an ELF64 file as binary-parser parsers, one set a byte order. Sizes and offsets
 * are clamped to numbers (nothing that large fits a file, so bounds checks refuse it). The parsers' own
 * errors say little, so every call goes through `parseRecord` / `parseRecords`, which wrap them.
 */
import { Parser } from 'binary-parser';
import type { Endian } from '../../isa/insn.js';
import { ObjectError } from '../errors.js';
import type { Reloc } from '../types.js';

export interface Ehdr {
  readonly type: number;
  readonly machine: number;
  readonly shoff: number;
  readonly flags: number;
  readonly ehsize: number;
  readonly shentsize: number;
  readonly shnum: number;
  readonly shstrndx: number;
}

export interface Shdr {
  readonly name: number;
  readonly type: number;
  readonly flags: number;
  readonly offset: number;
  readonly size: number;
  readonly link: number;
  readonly info: number;
  readonly entsize: number;
}

export interface SymRecord {
  readonly name: number;
  readonly info: number;
  readonly other: number;
  readonly shndx: number;
  readonly value: number;
  readonly size: number;
}

const toNumber = (value: bigint): number =>
  value > BigInt(Number.MAX_SAFE_INTEGER) ? Number.MAX_SAFE_INTEGER : Number(value);
const size = { formatter: toNumber };

const start = (endian: Endian): Parser => new Parser().endianness(endian);

const ehdrParser = (endian: Endian): Parser =>
  start(endian)
    .skip(16) // e_ident, checked before the byte order is known
    .uint16('type')
    .uint16('machine')
    .uint32('version')
    .uint64('entry', size)
    .uint64('phoff', size)
    .uint64('shoff', size)
    .uint32('flags')
    .uint16('ehsize')
    .uint16('phentsize')
    .uint16('phnum')
    .uint16('shentsize')
    .uint16('shnum')
    .uint16('shstrndx');

const shdrParser = (endian: Endian): Parser =>
  start(endian)
    .uint32('name')
    .uint32('type')
    .uint64('flags', size)
    .uint64('addr', size)
    .uint64('offset', size)
    .uint64('size', size)
    .uint32('link')
    .uint32('info')
    .uint64('addralign', size)
    .uint64('entsize', size);

const symParser = (endian: Endian): Parser =>
  start(endian)
    .uint32('name')
    .uint8('info')
    .uint8('other')
    .uint16('shndx')
    .uint64('value', size)
    .uint64('size', size);

// r_info is one 64-bit word, symbol above type, so the halves swap places with the byte order
const relParser = (endian: Endian): Parser => {
  const p = start(endian).uint64('offset', size);
  return endian === 'little' ? p.uint32('type').uint32('symIndex') : p.uint32('symIndex').uint32('type');
};

const many = (endian: Endian, item: Parser): Parser =>
  start(endian).array('items', { type: item, readUntil: 'eof' });

interface Layout {
  readonly ehdr: Parser;
  readonly shdrs: Parser;
  readonly syms: Parser;
  readonly rels: Parser;
}

const build = (endian: Endian): Layout => ({
  ehdr: ehdrParser(endian),
  shdrs: many(endian, shdrParser(endian)),
  syms: many(endian, symParser(endian)),
  rels: many(endian, relParser(endian)),
});

const layouts: { little?: Layout; big?: Layout } = {};

function layoutOf(endian: Endian): Layout {
  layouts[endian] ??= build(endian);
  return layouts[endian];
}

/** Runs a parser over exactly `bytes`; anything that binary-parser throws comes out as `OBJECT_INTERNAL`. */
function run(parser: Parser, bytes: Uint8Array, what: string): unknown {
  try {
    return parser.parse(bytes);
  } catch (error) {
    throw new ObjectError('OBJECT_INTERNAL', `cannot parse ${what}: ${String(error)}`);
  }
}

const items = <T>(result: unknown): T[] => (result as { items: T[] }).items;

/** The file header; `bytes` holds at least its 64 bytes. */
export function parseEhdr(bytes: Uint8Array, endian: Endian): Ehdr {
  return run(layoutOf(endian).ehdr, bytes, 'the ELF header') as Ehdr;
}

/** Section headers; the length of `bytes` is a multiple of 64. */
export function parseShdrs(bytes: Uint8Array, endian: Endian): Shdr[] {
  return items(run(layoutOf(endian).shdrs, bytes, 'the section table'));
}

/** Symbols; the length of `bytes` is a multiple of 24. */
export function parseSyms(bytes: Uint8Array, endian: Endian): SymRecord[] {
  return items(run(layoutOf(endian).syms, bytes, 'the symbol table'));
}

/** `SHT_REL` entries; the length of `bytes` is a multiple of 16. */
export function parseRels(bytes: Uint8Array, endian: Endian): Reloc[] {
  return items(run(layoutOf(endian).rels, bytes, 'a relocation table'));
}
