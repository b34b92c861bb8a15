/**
 * Where the fields of a seed object lie: a tolerant reader of its own (it shares nothing with the loader
 * under test) that lists every field of the ELF header, section headers, symbols, relocations, BTF,
 * `.BTF.ext` and instructions with what a lie about it would be. Seeds are good objects; what does not parse
 * simply yields fewer fields.
 */

/** What a field means decides which wrong values are worth trying. */
export type Role = 'size' | 'offset' | 'index' | 'name' | 'enum' | 'info' | 'typeId' | 'value' | 'insn';

export interface Field {
  readonly at: number;
  readonly width: 1 | 2 | 4 | 8;
  readonly role: Role;
}

export interface SectionRange {
  readonly name: string;
  readonly type: number;
  /** Of the section's header and contents in the file. */
  readonly header: number;
  readonly offset: number;
  readonly size: number;
}

export interface Fields {
  readonly little: boolean;
  readonly sections: readonly SectionRange[];
  readonly groups: ReadonlyMap<string, readonly Field[]>;
  /** Number of BTF types, symbols and sections: the ranges of ids and indices. */
  readonly limits: { readonly types: number; readonly symbols: number; readonly sections: number };
}

type Width = Field['width'];
type Shape = readonly (readonly [at: number, width: Width, role: Role])[];

const EHDR: Shape = [
  [4, 1, 'enum'],
  [5, 1, 'enum'],
  [6, 1, 'enum'],
  [7, 1, 'enum'],
  [16, 2, 'enum'],
  [18, 2, 'enum'],
  [20, 4, 'enum'],
  [40, 8, 'offset'],
  [48, 4, 'value'],
  [52, 2, 'size'],
  [58, 2, 'size'],
  [60, 2, 'size'],
  [62, 2, 'index'],
];
const SHDR: Shape = [
  [0, 4, 'name'],
  [4, 4, 'enum'],
  [8, 8, 'value'],
  [24, 8, 'offset'],
  [32, 8, 'size'],
  [40, 4, 'index'],
  [44, 4, 'index'],
  [48, 8, 'size'],
  [56, 8, 'size'],
];
const SYM: Shape = [
  [0, 4, 'name'],
  [4, 1, 'enum'],
  [5, 1, 'enum'],
  [6, 2, 'index'],
  [8, 8, 'offset'],
  [16, 8, 'size'],
];
const BTF_HEADER: Shape = [
  [0, 2, 'enum'],
  [2, 1, 'enum'],
  [3, 1, 'enum'],
  [4, 4, 'size'],
  [8, 4, 'offset'],
  [12, 4, 'size'],
  [16, 4, 'offset'],
  [20, 4, 'size'],
];
const INSN: Shape = [
  [0, 1, 'insn'],
  [1, 1, 'insn'],
  [2, 2, 'insn'],
  [4, 4, 'insn'],
];
/** Words that follow a BTF type, by kind: fixed ones, then those of each of `vlen` records. */
const BTF_TAIL: Readonly<Record<number, { fixed?: readonly Role[]; record?: readonly Role[] }>> = {
  1: { fixed: ['value'] },
  3: { fixed: ['typeId', 'typeId', 'size'] },
  4: { record: ['name', 'typeId', 'offset'] },
  5: { record: ['name', 'typeId', 'offset'] },
  6: { record: ['name', 'value'] },
  13: { record: ['name', 'typeId'] },
  14: { fixed: ['enum'] },
  15: { record: ['typeId', 'offset', 'size'] },
  17: { fixed: ['value'] },
  19: { record: ['name', 'value', 'value'] },
};
/** Kinds whose third word is a size and not a type. */
const SIZED = new Set([1, 4, 5, 6, 15, 16, 19]);

const SHF_EXECINSTR = 4;

class Collector {
  readonly groups = new Map<string, Field[]>();

  constructor(
    readonly view: DataView,
    readonly little: boolean,
  ) {}

  u16(at: number): number {
    return at + 2 <= this.view.byteLength ? this.view.getUint16(at, this.little) : 0;
  }
  u32(at: number): number {
    return at + 4 <= this.view.byteLength ? this.view.getUint32(at, this.little) : 0;
  }
  u64(at: number): number {
    return at + 8 <= this.view.byteLength ? Number(this.view.getBigUint64(at, this.little)) : 0;
  }

  add(group: string, at: number, width: Width, role: Role): void {
    if (at < 0 || at + width > this.view.byteLength) return;
    const fields = this.groups.get(group) ?? [];
    if (fields.length === 0) this.groups.set(group, fields);
    fields.push({ at, width, role });
  }

  shape(group: string, at: number, shape: Shape): void {
    for (const [offset, width, role] of shape) this.add(group, at + offset, width, role);
  }

  string(at: number): string {
    let end = at;
    while (end < this.view.byteLength && this.view.getUint8(end) !== 0 && end - at < 200) end++;
    return String.fromCharCode(
      ...new Uint8Array(this.view.buffer, this.view.byteOffset + at, Math.max(0, end - at)),
    );
  }
}

function readSections(c: Collector): SectionRange[] {
  const table = c.u64(40);
  const count = Math.min(c.u16(60), 10_000);
  const names = c.u64(table + c.u16(62) * 64 + 24);
  return Array.from({ length: count }, (_, i) => {
    const header = table + i * 64;
    const name = c.string(Math.min(names + c.u32(header), c.view.byteLength));
    return { name, type: c.u32(header + 4), header, offset: c.u64(header + 24), size: c.u64(header + 32) };
  });
}

/** Returns the number of types. */
function btfFields(c: Collector, section: SectionRange): number {
  const start = section.offset;
  c.shape('btfHeader', start, BTF_HEADER);
  const from = start + c.u32(start + 4) + c.u32(start + 8);
  const end = Math.min(from + c.u32(start + 12), c.view.byteLength);
  let count = 0;
  for (let at = from; at + 12 <= end; count++) {
    const info = c.u32(at + 4);
    const kind = (info >>> 24) & 0x1f;
    const { fixed = [], record = [] } = BTF_TAIL[kind] ?? {};
    c.add('btfType', at, 4, 'name');
    c.add('btfType', at + 4, 4, 'info');
    c.add('btfType', at + 8, 4, SIZED.has(kind) ? 'size' : 'typeId');
    at += 12;
    const words = [...fixed, ...Array.from({ length: info & 0xffff }, () => record).flat()];
    for (const role of words) {
      c.add('btfType', at, 4, role);
      at += 4;
    }
  }
  return count;
}

function btfExtFields(c: Collector, section: SectionRange): void {
  const start = section.offset;
  const headerSize = c.u32(start + 4);
  for (let at = 4; at < Math.min(headerSize, 32); at += 4)
    c.add('extHeader', start + at, 4, at % 8 === 4 ? 'size' : 'offset');
  for (let info = 8; info + 8 <= headerSize; info += 8) {
    const from = start + headerSize + c.u32(start + info);
    const end = Math.min(from + c.u32(start + info + 4), c.view.byteLength);
    const recordSize = c.u32(from);
    c.add('extHeader', from, 4, 'size');
    if (recordSize < 8 || recordSize > 256) continue;
    for (let at = from + 4; at + 8 <= end; ) {
      c.add('extSection', at, 4, 'name');
      c.add('extSection', at + 4, 4, 'size');
      const records = c.u32(at + 4);
      at += 8;
      for (let i = 0; i < records && at + recordSize <= end; i++, at += recordSize) {
        c.add('extRecord', at, 4, 'offset');
        c.add('extRecord', at + 4, 4, info === 8 || info === 24 ? 'typeId' : 'name');
        for (let word = 8; word < recordSize; word += 4)
          c.add('extRecord', at + word, 4, word === 8 ? 'name' : 'enum');
      }
    }
  }
}

function tableFields(c: Collector, section: SectionRange, entry: number, group: string, shape: Shape): void {
  for (let at = 0; at + entry <= Math.min(section.size, 1 << 20); at += entry)
    c.shape(group, section.offset + at, shape);
}

/** Lists the fields of an ELF object. */
export function findFields(bytes: Uint8Array): Fields {
  const little = bytes[5] !== 2;
  const c = new Collector(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), little);
  c.shape('ehdr', 0, EHDR);
  const sections = readSections(c);
  let types = 0;
  let symbols = 0;
  for (const section of sections) {
    c.shape('shdr', section.header, SHDR);
    // r_info's halves swap places with the byte order
    const rel: Shape = [
      [0, 8, 'offset'],
      [little ? 8 : 12, 4, 'enum'],
      [little ? 12 : 8, 4, 'index'],
    ];
    if (section.type === 2) {
      symbols = Math.floor(section.size / 24);
      tableFields(c, section, 24, 'sym', SYM);
    } else if (section.type === 9) tableFields(c, section, 16, 'rel', rel);
    else if (section.name === '.BTF') types = btfFields(c, section);
    else if (section.name === '.BTF.ext') btfExtFields(c, section);
    else if (section.type === 1 && c.u64(section.header + 8) & SHF_EXECINSTR)
      tableFields(c, section, 8, 'insn', INSN);
    else if (section.type === 1 && /(^|\/)maps($|\/)/.test(section.name)) {
      for (let at = 0; at + 4 <= section.size; at += 4) c.add('mapDef', section.offset + at, 4, 'value');
    }
  }
  return { little, sections, groups: c.groups, limits: { types, symbols, sections: sections.length } };
}

/** The fields of a BTF blob that stands alone, as a target for CO-RE does. */
export function findBtfFields(bytes: Uint8Array): Fields {
  const little = bytes[0] === 0x9f;
  const c = new Collector(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), little);
  const whole = { name: '.BTF', type: 1, header: 0, offset: 0, size: bytes.length };
  const types = btfFields(c, whole);
  return { little, sections: [], groups: c.groups, limits: { types, symbols: 0, sections: 0 } };
}
