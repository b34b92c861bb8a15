/**
 * Writes ELF64 relocatable objects for tests, sound ones and, where a test says so, unsound ones: every field
 * can be given by hand. Layout: header, section contents in order, section table at the end.
 */
import type { Endian } from '../../src/isa/insn.js';
import {
  EHDR_SIZE,
  EM_BPF,
  REL_SIZE,
  SHDR_SIZE,
  SHF_ALLOC,
  SHF_EXECINSTR,
  SHT_NOBITS,
  SHT_NULL,
  SHT_PROGBITS,
  SHT_REL,
  SHT_STRTAB,
  SHT_SYMTAB,
  STB_GLOBAL,
  STT_FUNC,
  SYM_SIZE,
} from '../../src/object/elf/constants.js';

export interface SectionSpec {
  readonly name: string;
  readonly data?: Uint8Array;
  readonly type?: number;
  readonly flags?: number;
  /** Of a `SHT_NOBITS` section; otherwise the data's length. */
  readonly size?: number;
  readonly link?: number;
  readonly info?: number;
  readonly entsize?: number;
}

export interface SymbolSpec {
  readonly name: string;
  readonly section: number;
  readonly value?: number;
  readonly size?: number;
  readonly type?: number;
  readonly binding?: number;
  readonly visibility?: number;
}

export interface RelocSpec {
  readonly offset: number;
  readonly type: number;
  readonly symbol: number;
}

/** Byte offsets of fields in a section header. */
export const SHDR = {
  name: 0,
  type: 4,
  flags: 8,
  offset: 24,
  size: 32,
  link: 40,
  info: 44,
  entsize: 56,
} as const;

const encoder = new TextEncoder();

class Strings {
  readonly #offsets = new Map<string, number>([['', 0]]);
  bytes: number[] = [0];

  add(text: string): number {
    const known = this.#offsets.get(text);
    if (known !== undefined) return known;
    const offset = this.bytes.length;
    this.bytes.push(...encoder.encode(text), 0);
    this.#offsets.set(text, offset);
    return offset;
  }
}

export class ElfWriter {
  readonly endian: Endian;
  readonly #sections: SectionSpec[] = [{ name: '', type: SHT_NULL }];
  readonly #symbols: SymbolSpec[] = [{ name: '', section: 0, type: 0, binding: 0 }];
  readonly #relocs: { target: number; entries: readonly RelocSpec[] }[] = [];

  constructor(endian: Endian = 'little') {
    this.endian = endian;
  }

  /** Adds a section and returns its index. */
  section(spec: SectionSpec): number {
    return this.#sections.push(spec) - 1;
  }

  code(name: string, data: Uint8Array): number {
    return this.section({ name, data, flags: SHF_ALLOC | SHF_EXECINSTR });
  }

  /** Adds a symbol and returns its index; a global function unless it says otherwise. */
  symbol(spec: SymbolSpec): number {
    return this.#symbols.push(spec) - 1;
  }

  /** Adds relocations of a section; they become sections of their own behind all others. */
  relocs(target: number, entries: readonly RelocSpec[]): void {
    this.#relocs.push({ target, entries });
  }

  /** Index that the symbol table will have. */
  get symtabIndex(): number {
    return this.#sections.length + 1;
  }

  bytes(header: { type?: number; machine?: number } = {}): Uint8Array {
    const strings = new Strings();
    const little = this.endian === 'little';
    const symtab = this.symtabIndex;
    const strtab = symtab - 1;
    const symbolData = this.#encodeSymbols(strings, little);
    const relocSections = this.#relocs.map(({ target, entries }): SectionSpec => {
      const name = `.rel${this.#sections[target]?.name ?? ''}`;
      const data = encodeRelocs(entries, little);
      return { name, type: SHT_REL, data, link: symtab, info: target, entsize: REL_SIZE };
    });
    const all: SectionSpec[] = [
      ...this.#sections,
      { name: '.strtab', type: SHT_STRTAB },
      { name: '.symtab', type: SHT_SYMTAB, data: symbolData, link: strtab, info: 1, entsize: SYM_SIZE },
      ...relocSections,
    ];
    const names = all.map(({ name }) => strings.add(name));
    all[strtab] = { name: '.strtab', type: SHT_STRTAB, data: Uint8Array.from(strings.bytes) };
    return layOut(all, names, strtab, little, header);
  }

  #encodeSymbols(strings: Strings, little: boolean): Uint8Array {
    const data = new Uint8Array(this.#symbols.length * SYM_SIZE);
    const view = new DataView(data.buffer);
    for (const [i, sym] of this.#symbols.entries()) {
      const at = i * SYM_SIZE;
      const { type = STT_FUNC, binding = STB_GLOBAL } = sym;
      view.setUint32(at, strings.add(sym.name), little);
      view.setUint8(at + 4, (binding << 4) | type);
      view.setUint8(at + 5, sym.visibility ?? 0);
      view.setUint16(at + 6, sym.section, little);
      view.setBigUint64(at + 8, BigInt(sym.value ?? 0), little);
      view.setBigUint64(at + 16, BigInt(sym.size ?? 0), little);
    }
    return data;
  }
}

function encodeRelocs(entries: readonly RelocSpec[], little: boolean): Uint8Array {
  const data = new Uint8Array(entries.length * REL_SIZE);
  const view = new DataView(data.buffer);
  for (const [i, entry] of entries.entries()) {
    view.setBigUint64(i * REL_SIZE, BigInt(entry.offset), little);
    view.setBigUint64(i * REL_SIZE + 8, (BigInt(entry.symbol) << 32n) | BigInt(entry.type), little);
  }
  return data;
}

function layOut(
  sections: readonly SectionSpec[],
  names: readonly number[],
  shstrndx: number,
  little: boolean,
  header: { type?: number; machine?: number },
): Uint8Array {
  const offsets: number[] = [];
  let end = EHDR_SIZE;
  for (const { data } of sections) {
    offsets.push(end);
    end += Math.ceil((data?.length ?? 0) / 8) * 8;
  }
  const bytes = new Uint8Array(end + sections.length * SHDR_SIZE);
  const view = new DataView(bytes.buffer);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 2, little ? 1 : 2, 1]);
  view.setUint16(16, header.type ?? 1, little);
  view.setUint16(18, header.machine ?? EM_BPF, little);
  view.setUint32(20, 1, little);
  view.setBigUint64(40, BigInt(end), little);
  view.setUint16(52, EHDR_SIZE, little);
  view.setUint16(58, SHDR_SIZE, little);
  view.setUint16(60, sections.length, little);
  view.setUint16(62, shstrndx, little);
  for (const [i, section] of sections.entries()) {
    const at = end + i * SHDR_SIZE;
    const { data, type = SHT_PROGBITS } = section;
    if (data !== undefined) bytes.set(data, offsets[i]!);
    view.setUint32(at, names[i]!, little);
    view.setUint32(at + SHDR.type, type, little);
    view.setBigUint64(at + SHDR.flags, BigInt(section.flags ?? 0), little);
    view.setBigUint64(at + SHDR.offset, BigInt(type === SHT_NULL ? 0 : offsets[i]!), little);
    const size = section.size ?? (type === SHT_NOBITS ? 0 : (data?.length ?? 0));
    view.setBigUint64(at + SHDR.size, BigInt(size), little);
    view.setUint32(at + SHDR.link, section.link ?? 0, little);
    view.setUint32(at + SHDR.info, section.info ?? 0, little);
    view.setBigUint64(at + SHDR.entsize, BigInt(section.entsize ?? 0), little);
  }
  return bytes;
}

/** Overwrites one field of section `index`'s header; `width` in bytes. */
export function patchHeader(
  bytes: Uint8Array,
  index: number,
  field: keyof typeof SHDR,
  value: number,
): Uint8Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const little = bytes[5] === 1;
  const at = Number(view.getBigUint64(40, little)) + index * SHDR_SIZE + SHDR[field];
  const narrow = field === 'name' || field === 'type' || field === 'link' || field === 'info';
  if (narrow) view.setUint32(at, value, little);
  else view.setBigUint64(at, BigInt(value), little);
  return bytes;
}
