/**
 * Strings of a BTF string section, decoded on demand, and an index from a name's bytes to the types
 * that bear it, built on first use without decoding any string.
 */
import { BtfError } from './error.js';

const decoder = new TextDecoder('utf-8');
const encoder = new TextEncoder();
const { imul } = Math;
const { fromCharCode } = String;

/** How many times its own size a section's strings may come to, once all have been decoded. */
const MAX_SHARING = 8;

export class StringSection {
  /** The first offset that lies here and not in the base's strings. */
  readonly start: number;
  readonly bytes: Uint8Array;
  readonly #base: StringSection | undefined;
  readonly #cache = new Map<number, string>();
  readonly #file: string | undefined;
  /** Bytes that may still be decoded. Strings may share tails, but not so that they multiply the section. */
  #left: number;

  /** `bytes` is the section; it ends in NUL, or is empty where there is a base. */
  constructor(bytes: Uint8Array, file: string | undefined, base?: StringSection) {
    this.bytes = bytes;
    this.start = base === undefined ? 0 : base.end;
    this.#base = base;
    this.#file = file;
    this.#left = MAX_SHARING * (bytes.length + 1024);
  }

  /** One past the last offset. */
  get end(): number {
    return this.start + this.bytes.length;
  }

  /** The section, of this BTF or of a base, in which `offset` lies; undefined past the end. */
  sectionOf(offset: number): StringSection | undefined {
    let section: StringSection = this;
    while (offset < section.start && section.#base !== undefined) section = section.#base;
    return offset < section.end ? section : undefined;
  }

  at(offset: number): string {
    if (offset < this.start && this.#base !== undefined) return this.#base.at(offset);
    const known = this.#cache.get(offset);
    if (known !== undefined) return known;
    if (offset >= this.end) {
      throw this.#error(`string offset ${offset} is past the strings, which end at ${this.end}`);
    }
    const text = this.#decode(offset - this.start);
    this.#left -= text.length;
    if (this.#left < 0)
      throw this.#error(`strings overlap so much that they exceed ${MAX_SHARING} times their section`);
    this.#cache.set(offset, text);
    return text;
  }

  #error(detail: string): BtfError {
    return new BtfError('BTF_STRING', detail, this.#file === undefined ? {} : { file: this.#file });
  }

  #decode(at: number): string {
    const bytes = this.bytes;
    let text = '';
    for (let i = at; ; i++) {
      const byte = bytes[i] ?? 0;
      if (byte === 0) return text;
      if (byte >= 0x80 || i - at > 64) break;
      text += fromCharCode(byte);
    }
    const end = bytes.indexOf(0, at);
    return decoder.decode(bytes.subarray(at, end < 0 ? bytes.length : end));
  }
}

/** Length of `name` without its flavour: what precedes the last `___` that has something on both sides. */
function essentialNameLength(name: string): number {
  for (let i = name.length - 5; i >= 0; i--) {
    if (name.startsWith('___', i + 1) && name[i] !== '_' && name[i + 4] !== '_') return i + 1;
  }
  return name.length;
}

/** `task_struct` for `task_struct___v5`: the name that CO-RE compares. */
export function essentialName(name: string): string {
  return name.slice(0, essentialNameLength(name));
}

/**
 * Chained hash from *essential* names (names without `___flavour`) to type numbers. Numbers of a chain
 * ascend, so the first match is the lowest id.
 */
export class NameIndex {
  readonly #strings: StringSection;
  readonly #nameOffsets: Uint32Array;
  readonly #mask: number;
  readonly #heads: Int32Array;
  readonly #next: Int32Array;

  /** `nameOffsets[i]` is type i's name; 0 or out of range: it has none. */
  constructor(strings: StringSection, nameOffsets: Uint32Array) {
    let size = 16;
    while (size < nameOffsets.length) size *= 2;
    const mask = size - 1;
    const heads = new Int32Array(size).fill(-1);
    const next = new Int32Array(nameOffsets.length);
    for (let i = nameOffsets.length - 1; i >= 0; i--) {
      const offset = nameOffsets[i]!;
      if (offset === 0) continue;
      const section = offset >= strings.start && offset < strings.end ? strings : strings.sectionOf(offset);
      if (section === undefined) continue;
      const slot = hashEssential(section.bytes, offset - section.start) & mask;
      next[i] = heads[slot]!;
      heads[slot] = i;
    }
    this.#strings = strings;
    this.#nameOffsets = nameOffsets;
    this.#mask = mask;
    this.#heads = heads;
    this.#next = next;
  }

  /** Numbers, ascending, of the types whose essential name is that of `name`. */
  find(name: string): number[] {
    const bytes = encoder.encode(`${name}\0`);
    const found: number[] = [];
    let i = this.#heads[hashEssential(bytes, 0) & this.#mask]!;
    for (; i >= 0; i = this.#next[i]!) {
      const offset = this.#nameOffsets[i]!;
      const section = this.#strings.sectionOf(offset);
      if (section !== undefined && sameEssential(section.bytes, offset - section.start, bytes)) found.push(i);
    }
    return found;
  }
}

const UNDERSCORE = 0x5f;

/** Longest name that can be looked up, in bytes; Linux has 512. */
const MAX_NAME = 2048;

/** FNV-1a over the bytes up to NUL or to the last flavour separator, in one pass. */
function hashEssential(bytes: Uint8Array, offset: number): number {
  let hash = 0x811c9dc5;
  let essential = hash;
  let flavoured = false;
  let beforeRun = hash;
  let run = 0; // underscores in a row
  const end = Math.min(bytes.length, offset + MAX_NAME);
  for (let i = offset; i < end; i++) {
    const byte = bytes[i]!;
    if (byte === 0) break;
    if (byte === UNDERSCORE) {
      if (run === 0) beforeRun = hash;
      run++;
    } else {
      if (run === 3 && i - 3 > offset) {
        essential = beforeRun;
        flavoured = true;
      }
      run = 0;
    }
    hash = imul(hash ^ byte, 0x01000193);
  }
  const result = flavoured ? essential : hash;
  return (result ^ (result >>> 15)) >>> 0;
}

/** Where the essential part ends: at the last separator of exactly three underscores, or at NUL. */
function essentialEnd(bytes: Uint8Array, offset: number): number {
  let flavour = -1;
  let run = 0;
  const end = Math.min(bytes.length, offset + MAX_NAME);
  for (let i = offset; i < end; i++) {
    const byte = bytes[i]!;
    if (byte === 0) return flavour < 0 ? i : flavour;
    if (byte === UNDERSCORE) {
      run++;
    } else {
      if (run === 3 && i - 3 > offset) flavour = i - 3;
      run = 0;
    }
  }
  return flavour < 0 ? end : flavour;
}

/** Whether the essential parts agree; `name` ends in NUL. */
function sameEssential(strings: Uint8Array, offset: number, name: Uint8Array): boolean {
  const length = essentialEnd(name, 0);
  if (essentialEnd(strings, offset) - offset !== length) return false;
  for (let i = 0; i < length; i++) if (strings[offset + i] !== name[i]) return false;
  return true;
}
