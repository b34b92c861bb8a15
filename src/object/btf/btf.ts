/**
 * BTF, opened leniently: the header and the bounds of every record are checked and indexed, types are
 * decoded when they are asked for. `validate()` applies the rules of the kernel's `btf_parse`
 * (`kernel/bpf/btf.c`, Linux 6.18). Split BTF names its base; ids and string offsets continue it.
 */
import type { Endian } from '../../isa/insn.js';
import { decodeType, type RecordSource } from './decode.js';
import { BtfError } from './error.js';
import { type BtfHeader, infoKind, infoVlen, KIND, parseHeader } from './format.js';
import { alignOf, type FoundMember, findMember, sizeOf, skipModifiers } from './layout.js';
import { indexRecords } from './record-index.js';
import { NameIndex, StringSection } from './strings.js';
import { BTF_KINDS, type BtfKind, type BtfType, type BtfTypeId } from './types.js';
import { validateBtf } from './validate.js';

export interface BtfParseOptions {
  /** Names the input in errors. */
  readonly file?: string;
  /** Refuse any other byte order than this; by default the magic number decides. */
  readonly endian?: Endian;
  /** What split BTF builds on. */
  readonly base?: Btf;
}

const VOID: BtfType = { kind: 'void', name: '' };

/** What compilers call `long` and `unsigned long`. */
const LONG_NAMES = new Set([
  'long int',
  'long unsigned int',
  'unsigned long int',
  'unsigned long',
  'long',
  'long unsigned',
  'int long',
  'int long unsigned',
]);

export class Btf {
  readonly file: string | undefined;
  readonly endian: Endian;
  readonly base: Btf | undefined;
  /** Id of the first type of this BTF itself: 1, or with a base the number of types up to there. */
  readonly firstId: BtfTypeId;
  /** One past the last id; counts `void` and the base's types (libbpf's `btf__type_cnt`). */
  readonly typeCount: number;
  /** The encoded bytes, as given. */
  readonly bytes: Uint8Array;
  readonly header: BtfHeader;
  readonly #source: RecordSource;
  readonly #starts: Uint32Array;
  readonly #decoded = new Map<number, BtfType>();
  #names: NameIndex | undefined;
  #pointerSize: number | undefined;

  private constructor(bytes: Uint8Array, options: BtfParseOptions) {
    const { file, base } = options;
    const header = parseHeader(bytes, file, options.endian);
    if (base !== undefined && base.endian !== header.endian) {
      throw new BtfError(
        'BTF_HEADER',
        'split BTF is of another byte order than its base',
        file ? { file } : {},
      );
    }
    const text = bytes.subarray(header.strStart, header.strStart + header.strSize);
    const strings = new StringSection(text, file, base?.strings);
    checkStrings(text, base !== undefined, file);
    this.file = file;
    this.header = header;
    this.endian = header.endian;
    this.base = base;
    this.bytes = bytes;
    this.firstId = base?.typeCount ?? 1;
    const view = new DataView(bytes.buffer, bytes.byteOffset + header.typeStart, header.typeSize);
    this.#source = { view, little: header.endian === 'little', strings };
    this.#starts = indexRecords(view, this.#source.little, this.firstId, file);
    this.typeCount = this.firstId + this.#starts.length;
  }

  /** Opens encoded BTF. Throws `BtfError`; a BTF whose references are wrong opens, and fails where they are used. */
  static parse(bytes: Uint8Array, options: BtfParseOptions = {}): Btf {
    return new Btf(bytes, options);
  }

  get strings(): StringSection {
    return this.#source.strings;
  }

  /** Bytes of a pointer in the machine that these types describe: the size of its `long`, else 8. */
  get pointerSize(): number {
    this.#pointerSize ??= this.base?.pointerSize ?? this.#longSize() ?? 8;
    return this.#pointerSize;
  }

  /** The type with this id. Throws `BTF_ID` where there is none. */
  type(id: BtfTypeId): BtfType {
    if (id === 0) return VOID;
    if (id < this.firstId && this.base !== undefined) return this.base.type(id);
    const known = this.#decoded.get(id);
    if (known !== undefined) return known;
    const type = decodeType(this.#source, this.#start(id));
    this.#decoded.set(id, type);
    return type;
  }

  /** The kind alone, without decoding. */
  kindOf(id: BtfTypeId): BtfKind {
    if (id === 0) return 'void';
    if (id < this.firstId && this.base !== undefined) return this.base.kindOf(id);
    const info = this.#source.view.getUint32(this.#start(id) + 4, this.#source.little);
    return BTF_KINDS[infoKind(info)] ?? 'void';
  }

  /** The name alone, without decoding; empty for anonymous types. */
  nameOf(id: BtfTypeId): string {
    if (id === 0) return '';
    if (id < this.firstId && this.base !== undefined) return this.base.nameOf(id);
    return this.strings.at(this.#source.view.getUint32(this.#start(id), this.#source.little));
  }

  /** Number of members, values, parameters or variables, without decoding. */
  vlenOf(id: BtfTypeId): number {
    if (id === 0) return 0;
    if (id < this.firstId && this.base !== undefined) return this.base.vlenOf(id);
    return infoVlen(this.#source.view.getUint32(this.#start(id) + 4, this.#source.little));
  }

  /** A word of the record as encoded: 0 name, 1 info, 2 size or type, then what the kind adds. */
  word(id: BtfTypeId, index: number): number {
    if (id < this.firstId && this.base !== undefined) return this.base.word(id, index);
    return this.#source.view.getUint32(this.#start(id) + 4 * index, this.#source.little);
  }

  has(id: BtfTypeId): boolean {
    return Number.isInteger(id) && id >= 0 && id < this.typeCount;
  }

  /** Lowest id with this name (and kind), the base's types first; undefined where there is none. */
  findByName(name: string, kind?: BtfKind): BtfTypeId | undefined {
    const inBase = this.base?.findByName(name, kind);
    if (inBase !== undefined) return inBase;
    for (const i of this.#nameIndex().find(name)) {
      const id = this.firstId + i;
      if (this.nameOf(id) === name && (kind === undefined || this.kindOf(id) === kind)) return id;
    }
    return undefined;
  }

  /** All ids with exactly this name, ascending. */
  idsByName(name: string): BtfTypeId[] {
    return this.idsByEssentialName(name).filter((id) => this.nameOf(id) === name);
  }

  /** All ids, ascending, whose names agree with `name` up to a `___flavour` on either side. */
  idsByEssentialName(name: string): BtfTypeId[] {
    const own = this.#nameIndex()
      .find(name)
      .map((i) => this.firstId + i);
    return this.base === undefined ? own : [...this.base.idsByEssentialName(name), ...own];
  }

  /** Checks everything that the kernel checks of BTF it is given. Throws `BtfError`, naming the type. */
  validate(): void {
    validateBtf(this);
  }

  /** Every type with its id, ascending, from `from` (default: this BTF's own) on. */
  *types(from: BtfTypeId = this.firstId): Generator<[id: BtfTypeId, type: BtfType]> {
    for (let id = from; id < this.typeCount; id++) yield [id, this.type(id)];
  }

  /** The id past all qualifiers and type tags. */
  skipModifiers(id: BtfTypeId): BtfTypeId {
    return skipModifiers(this, id, false);
  }

  /** The id past all qualifiers, type tags and typedefs. */
  skipModifiersAndTypedefs(id: BtfTypeId): BtfTypeId {
    return skipModifiers(this, id, true);
  }

  /** The type past all qualifiers, type tags and typedefs. */
  underlying(id: BtfTypeId): BtfType {
    return this.type(skipModifiers(this, id, true));
  }

  /** Bytes. Throws `BTF_NO_SIZE` for `void`, functions, prototypes and forward declarations. */
  sizeOf(id: BtfTypeId): number {
    return sizeOf(this, id);
  }

  /** Bytes; 1 for a packed struct or union. Throws as `sizeOf` does. */
  alignOf(id: BtfTypeId): number {
    return alignOf(this, id);
  }

  /** A member of a struct or union by name, anonymous members looked through. */
  findMember(id: BtfTypeId, name: string): FoundMember | undefined {
    return findMember(this, id, name);
  }

  #longSize(): number | undefined {
    const { view, little } = this.#source;
    for (let i = 0; i < this.#starts.length; i++) {
      const at = this.#starts[i]!;
      if (infoKind(view.getUint32(at + 4, little)) !== KIND.int) continue;
      if (!LONG_NAMES.has(this.nameOf(this.firstId + i))) continue;
      const size = view.getUint32(at + 8, little);
      if (size === 4 || size === 8) return size;
    }
    return undefined;
  }

  #start(id: BtfTypeId): number {
    const start = this.#starts[id - this.firstId];
    if (start === undefined) {
      const place = this.file === undefined ? {} : { file: this.file };
      throw new BtfError('BTF_ID', `type id ${id} does not exist, the last is ${this.typeCount - 1}`, place);
    }
    return start;
  }

  #nameIndex(): NameIndex {
    if (this.#names !== undefined) return this.#names;
    const { view, little, strings } = this.#source;
    const starts = this.#starts;
    const offsets = new Uint32Array(starts.length);
    for (let i = 0; i < offsets.length; i++) offsets[i] = view.getUint32(starts[i]!, little);
    this.#names = new NameIndex(strings, offsets);
    return this.#names;
  }
}

function checkStrings(text: Uint8Array, split: boolean, file: string | undefined): void {
  const place = file === undefined ? {} : { file };
  if (split && text.length === 0) return;
  if (text.length === 0 || text[text.length - 1] !== 0) {
    throw new BtfError('BTF_STRING', 'string section is empty or does not end in NUL', place);
  }
  if (!split && text[0] !== 0) {
    throw new BtfError(
      'BTF_STRING',
      'string section does not start with an empty string (split BTF without its base?)',
      place,
    );
  }
}
