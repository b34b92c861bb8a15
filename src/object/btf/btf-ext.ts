/**
 * `.BTF.ext`: what a compiler says about instructions of named sections: which function type starts
 * where, which source line, and what CO-RE has to patch. Format as `Documentation/bpf/btf.rst` section 4
 * has it; limits as libbpf checks them (`btf_ext_parse`).
 */
import type { Endian } from '../../isa/insn.js';
import type { Btf } from './btf.js';
import { BtfError } from './error.js';
import { BTF_VERSION, detectEndian } from './format.js';

/** Names by number, of `enum bpf_core_relo_kind`. */
export const CORE_RELO_KINDS = [
  'byte_off',
  'byte_sz',
  'field_exists',
  'signed',
  'lshift_u64',
  'rshift_u64',
  'local_type_id',
  'target_type_id',
  'type_exists',
  'type_size',
  'enumval_exists',
  'enumval_value',
  'type_matches',
] as const;

export type CoreReloKind = (typeof CORE_RELO_KINDS)[number];

export interface FuncInfoRecord {
  /** Bytes from the start of the section. */
  readonly insnOff: number;
  /** A `func`. */
  readonly typeId: number;
}

export interface LineInfoRecord {
  /** Bytes from the start of the section. */
  readonly insnOff: number;
  readonly file: string;
  /** The source line's text; empty where the compiler did not embed it. */
  readonly text: string;
  /** Both count from 1; 0 is unknown. */
  readonly line: number;
  readonly column: number;
}

export interface CoreRelo {
  /** Bytes from the start of the section. */
  readonly insnOff: number;
  /** The local root type. */
  readonly typeId: number;
  /** E.g. `0:1:2`; one number for type and enum relocations. */
  readonly accessStr: string;
  readonly kind: CoreReloKind;
}

export type InfoBySection<T> = ReadonlyMap<string, readonly T[]>;

export interface BtfExtParseOptions {
  /** Names the input in errors. */
  readonly file?: string;
  /** Refuse any other byte order than this. */
  readonly endian?: Endian;
}

/** Smallest header: up to the line info; the CO-RE fields came later. */
const MIN_HEADER_SIZE = 24;
const CORE_HEADER_SIZE = 32;
const FUNC_INFO_SIZE = 8;
const LINE_INFO_SIZE = 16;
const CORE_RELO_SIZE = 16;

export class BtfExt {
  readonly endian: Endian;
  readonly funcInfo: InfoBySection<FuncInfoRecord>;
  readonly lineInfo: InfoBySection<LineInfoRecord>;
  readonly coreRelos: InfoBySection<CoreRelo>;

  private constructor(reader: ExtReader) {
    this.endian = reader.endian;
    this.funcInfo = reader.records('func_info', 8, FUNC_INFO_SIZE, (u32) => ({
      insnOff: u32(0),
      typeId: u32(4),
    }));
    this.lineInfo = reader.records('line_info', 16, LINE_INFO_SIZE, (u32, text) => {
      const lineCol = u32(12);
      return {
        insnOff: u32(0),
        file: text(u32(4)),
        text: text(u32(8)),
        line: lineCol >>> 10,
        column: lineCol & 0x3ff,
      };
    });
    this.coreRelos = reader.hasCore
      ? reader.records('core_relo', 24, CORE_RELO_SIZE, (u32, text) => ({
          insnOff: u32(0),
          typeId: u32(4),
          accessStr: text(u32(8)),
          kind: reader.coreKind(u32(12)),
        }))
      : new Map();
  }

  /** Reads the whole section. `btf` is the object's own, where names lie. Throws `BtfError`. */
  static parse(bytes: Uint8Array, btf: Btf, options: BtfExtParseOptions = {}): BtfExt {
    return new BtfExt(new ExtReader(bytes, btf, options));
  }
}

type ReadU32 = (offset: number) => number;
type ReadText = (offset: number) => string;

class ExtReader {
  readonly endian: Endian;
  readonly hasCore: boolean;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #btf: Btf;
  readonly #file: string | undefined;
  readonly #headerSize: number;

  constructor(bytes: Uint8Array, btf: Btf, options: BtfExtParseOptions) {
    this.#file = options.file;
    const endian = detectEndian(bytes);
    if (endian === undefined || bytes.length < 8) throw this.#error('no header with magic 0xeb9f');
    const expected = options.endian ?? btf.endian;
    if (endian !== expected) throw this.#error(`header is ${endian}-endian, expected ${expected}-endian`);
    this.endian = endian;
    this.#bytes = bytes;
    this.#btf = btf;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (bytes[2] !== BTF_VERSION) throw this.#error(`version ${bytes[2]} is not supported`);
    if (bytes[3] !== 0) throw this.#error(`flags ${bytes[3]} are not supported`);
    this.#headerSize = this.#u32(4);
    if (this.#headerSize < MIN_HEADER_SIZE)
      throw this.#error(`header length ${this.#headerSize} is too short`);
    if (this.#headerSize >= bytes.length) throw this.#error('there is nothing behind the header');
    this.hasCore = this.#headerSize >= CORE_HEADER_SIZE;
  }

  /** All records of the info section whose offset and length stand at `headerAt`, by code section. */
  records<T>(
    what: string,
    headerAt: number,
    minSize: number,
    decode: (u32: ReadU32, text: ReadText) => T,
  ): Map<string, T[]> {
    const found = new Map<string, T[]>();
    const length = this.#u32(headerAt + 4);
    if (length === 0) return found;
    const start = this.#headerSize + this.#u32(headerAt);
    const end = start + length;
    if (start % 4 !== 0) throw this.#error(`${what} is not aligned to 4 bytes`);
    if (end > this.#bytes.length) throw this.#error(`${what} ends past the section`);
    if (length < 4) throw this.#error(`${what} holds no record size`);
    const recordSize = this.#u32(start);
    if (recordSize < minSize || recordSize % 4 !== 0) {
      throw this.#error(`${what} has invalid record size ${recordSize}`);
    }
    if (length === 4) throw this.#error(`${what} has no records`);
    for (let at = start + 4; at < end; ) {
      if (at + 8 > end) throw this.#error(`${what} is cut off in a section header`);
      const name = this.#text(this.#u32(at), what);
      const count = this.#u32(at + 4);
      if (count === 0) throw this.#error(`${what} has no records for section ${name}`);
      at += 8;
      if (at + count * recordSize > end) throw this.#error(`${what} of section ${name} is cut off`);
      const records = found.get(name) ?? [];
      found.set(name, records);
      for (let i = 0; i < count; i++, at += recordSize) {
        const base = at;
        records.push(
          decode(
            (offset) => this.#u32(base + offset),
            (offset) => this.#text(offset, what),
          ),
        );
      }
    }
    return found;
  }

  coreKind(number: number): CoreReloKind {
    const kind = CORE_RELO_KINDS[number];
    if (kind === undefined) throw this.#error(`core_relo has unknown kind ${number}`);
    return kind;
  }

  #u32(at: number): number {
    return this.#view.getUint32(at, this.endian === 'little');
  }

  #text(offset: number, what: string): string {
    if (this.#btf.strings.sectionOf(offset) === undefined) {
      throw this.#error(`${what} names string ${offset}, which is past the strings of .BTF`);
    }
    return this.#btf.strings.at(offset);
  }

  #error(detail: string): BtfError {
    const place = { ...(this.#file === undefined ? {} : { file: this.#file }), section: '.BTF.ext' };
    return new BtfError('BTF_EXT', detail, place);
  }
}
