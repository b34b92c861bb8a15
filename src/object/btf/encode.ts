/**
 * Types → bytes: the inverse of `Btf.parse`, for tests, for reduced BTF and for byte-order conversion.
 * Strings are shared; ids are positions, so callers keep the references between types right.
 */

import type { Endian } from '../../isa/insn.js';
import { toHalves } from '../../isa/int64.js';
import type { Btf } from './btf.js';
import { BtfError } from './error.js';
import { BTF_HEADER_SIZE, BTF_MAGIC, BTF_VERSION, KIND } from './format.js';
import type { BtfComposite, BtfEnum, BtfInt, BtfType } from './types.js';

export interface BtfEncodeOptions {
  /** Default: little, or the base's. */
  readonly endian?: Endian;
  /** Encode split BTF: ids and strings continue those of the base. */
  readonly base?: Btf;
}

/** Encodes `types`; the first gets id 1, or the next after the base's. Throws `BTF_ENCODE`. */
export function encodeBtf(types: Iterable<BtfType>, options: BtfEncodeOptions = {}): Uint8Array {
  const strings = new StringTable(options.base);
  const words = new WordWriter();
  for (const type of types) encodeType(type, words, strings);
  const little = (options.endian ?? options.base?.endian ?? 'little') === 'little';
  const text = strings.bytes();
  const bytes = new Uint8Array(BTF_HEADER_SIZE + words.size + text.length);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, BTF_MAGIC, little);
  view.setUint8(2, BTF_VERSION);
  const header = [BTF_HEADER_SIZE, 0, words.size, words.size, text.length];
  header.forEach((word, i) => {
    view.setUint32(4 + 4 * i, word, little);
  });
  words.write(view, BTF_HEADER_SIZE, little);
  bytes.set(text, BTF_HEADER_SIZE + words.size);
  return bytes;
}

class StringTable {
  readonly #start: number;
  readonly #offsets = new Map<string, number>();
  readonly #parts: Uint8Array[] = [];
  #size = 0;

  constructor(base: Btf | undefined) {
    this.#start = base?.strings.end ?? 0;
    if (base === undefined) this.#add('');
  }

  offset(text: string): number {
    if (text === '') return 0;
    const known = this.#offsets.get(text);
    return known ?? this.#add(text);
  }

  #add(text: string): number {
    const bytes = encoder.encode(text);
    if (bytes.includes(0)) throw new BtfError('BTF_ENCODE', 'a name holds a NUL byte');
    const offset = this.#start + this.#size;
    this.#offsets.set(text, offset);
    this.#parts.push(bytes, NUL);
    this.#size += bytes.length + 1;
    return offset;
  }

  bytes(): Uint8Array {
    const all = new Uint8Array(this.#size);
    let at = 0;
    for (const part of this.#parts) {
      all.set(part, at);
      at += part.length;
    }
    return all;
  }
}

const NUL = new Uint8Array(1);
const encoder = new TextEncoder();

/** A growing row of 32-bit words, whose byte order is chosen when they are written out. */
class WordWriter {
  #words = new Uint32Array(1024);
  #count = 0;

  get size(): number {
    return this.#count * 4;
  }

  push(...words: readonly number[]): void {
    for (const word of words) {
      if (this.#count === this.#words.length) {
        const grown = new Uint32Array(this.#count * 2);
        grown.set(this.#words);
        this.#words = grown;
      }
      this.#words[this.#count++] = word;
    }
  }

  write(view: DataView, offset: number, little: boolean): void {
    for (let i = 0; i < this.#count; i++) view.setUint32(offset + 4 * i, this.#words[i]!, little);
  }
}

/** The `info` word; Linux 6.18 has 16 bits for `vlen`. */
function info(kind: number, vlen: number, flag: boolean, name: string): number {
  if (vlen > 0xffff) throw new BtfError('BTF_ENCODE', `${name || 'a type'} has ${vlen} elements, over 65535`);
  return ((flag ? 0x80000000 : 0) | (kind << 24) | vlen) >>> 0;
}

function u32(value: number, what: string): number {
  if (!Number.isInteger(value) || value < 0 || value > 0xffffffff) {
    throw new BtfError('BTF_ENCODE', `${what} ${value} does not fit 32 bits`);
  }
  return value;
}

function encodeType(type: BtfType, words: WordWriter, strings: StringTable): void {
  const { name } = type;
  const head = (third: number, vlen = 0, flag = false): void =>
    words.push(strings.offset(name), info(KIND[type.kind], vlen, flag, name), u32(third, 'size or type'));
  switch (type.kind) {
    case 'void':
      throw new BtfError('BTF_ENCODE', 'void is not encoded, it is id 0');
    case 'int':
      head(type.size);
      words.push(intWord(type));
      return;
    case 'array':
      head(0);
      words.push(u32(type.type, 'type'), u32(type.indexType, 'type'), u32(type.count, 'array length'));
      return;
    case 'struct':
    case 'union':
      head(type.size, type.members.length, type.kindFlag);
      for (const member of type.members) {
        words.push(strings.offset(member.name), u32(member.type, 'type'), memberOffset(type, member));
      }
      return;
    case 'enum':
    case 'enum64':
      head(type.size, type.values.length, type.signed);
      encodeValues(type, words, strings);
      return;
    case 'fwd':
      head(0, 0, type.of === 'union');
      return;
    case 'func':
      head(type.type, type.linkage);
      return;
    case 'func_proto':
      head(type.type, type.params.length);
      for (const param of type.params) words.push(strings.offset(param.name), u32(param.type, 'type'));
      return;
    case 'var':
      head(type.type);
      words.push(u32(type.linkage, 'linkage'));
      return;
    case 'datasec':
      head(type.size, type.vars.length);
      for (const v of type.vars)
        words.push(u32(v.type, 'type'), u32(v.offset, 'offset'), u32(v.size, 'size'));
      return;
    case 'float':
      head(type.size);
      return;
    case 'decl_tag':
      head(type.type, 0, type.attribute);
      words.push(type.componentIndex >>> 0);
      return;
    case 'type_tag':
      head(type.type, 0, type.attribute);
      return;
    default:
      head(type.type);
  }
}

function intWord(type: BtfInt): number {
  return ((type.encoding << 24) | (type.bitOffset << 16) | type.bits) >>> 0;
}

function memberOffset(type: BtfComposite, member: BtfComposite['members'][number]): number {
  if (!type.kindFlag) return u32(member.bitOffset, 'member offset');
  if (member.bitOffset > 0xffffff || member.bitfieldSize > 0xff) {
    throw new BtfError(
      'BTF_ENCODE',
      `member ${member.name} of ${type.name} lies too far for a bit-field struct`,
    );
  }
  return ((member.bitfieldSize << 24) | member.bitOffset) >>> 0;
}

function encodeValues(type: BtfEnum, words: WordWriter, strings: StringTable): void {
  const bits = type.kind === 'enum' ? 32 : 64;
  for (const { name, value } of type.values) {
    const held = type.signed ? BigInt.asIntN(bits, value) : BigInt.asUintN(bits, value);
    if (held !== value)
      throw new BtfError('BTF_ENCODE', `enumerator ${name} = ${value} does not fit ${type.kind}`);
    const { low, high } = toHalves(value);
    words.push(strings.offset(name), low >>> 0);
    if (type.kind === 'enum64') words.push(high >>> 0);
  }
}
