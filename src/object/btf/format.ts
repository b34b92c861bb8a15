/**
 * The wire format of BTF: numbers and record sizes (`include/uapi/linux/btf.h`, Linux 6.18) and the
 * header. Everything here is pure arithmetic on bytes; what types mean is `decode.ts`'s business. Read
 * with a `DataView`: loading and compiling a binary-parser takes longer than indexing a whole kernel.
 */
import type { Endian } from '../../isa/insn.js';
import { BtfError } from './error.js';

export const BTF_MAGIC = 0xeb9f;
export const BTF_VERSION = 1;
/** Bytes of the header's fields that every version has. */
export const BTF_HEADER_SIZE = 24;
/** Bytes of `struct btf_type`. */
export const BTF_TYPE_SIZE = 12;
/** Largest string section that Linux accepts (`BTF_MAX_NAME_OFFSET` + 1). */
export const BTF_MAX_STR_SIZE = 0x1000000;
/** How far a chain of modifiers, typedefs or arrays is followed; the kernel's MAX_RESOLVE_DEPTH. */
export const MAX_RESOLVE_DEPTH = 32;
/** Largest number of types that Linux accepts (`BTF_MAX_TYPE`). */
export const BTF_MAX_TYPE = 0xfffff;

export const KIND = {
  void: 0,
  int: 1,
  ptr: 2,
  array: 3,
  struct: 4,
  union: 5,
  enum: 6,
  fwd: 7,
  typedef: 8,
  volatile: 9,
  const: 10,
  restrict: 11,
  func: 12,
  func_proto: 13,
  var: 14,
  datasec: 15,
  float: 16,
  decl_tag: 17,
  type_tag: 18,
  enum64: 19,
} as const;

export const KIND_COUNT = 20;

/** Bytes that follow `struct btf_type`, by kind: once, and for each of `vlen` elements. */
//                          void int ptr arr str uni enu fwd typ vol con res fun pro var sec flo dec tag e64
export const FIXED_SIZE = [0, 4, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 4, 0, 0] as const;
export const ELEM_SIZE = [0, 0, 0, 0, 12, 12, 8, 0, 0, 0, 0, 0, 0, 8, 0, 12, 0, 0, 0, 12] as const;

/** The `info` word: bits 0–23 vlen (Linux 6.18 uses 16), 24–30 kind (6.18 uses 5), 31 kind_flag. */
export const infoKind = (info: number): number => (info >>> 24) & 0x7f;
export const infoVlen = (info: number): number => info & 0xffffff;
export const infoFlag = (info: number): boolean => info < 0 || info >= 0x80000000;

export interface BtfHeader {
  readonly endian: Endian;
  readonly version: number;
  readonly flags: number;
  readonly headerSize: number;
  /** Absolute positions in the bytes; sizes in bytes. */
  readonly typeStart: number;
  readonly typeSize: number;
  readonly strStart: number;
  readonly strSize: number;
  readonly totalSize: number;
}

/** Byte order by the magic number, undefined where there is none. */
export function detectEndian(bytes: Uint8Array): Endian | undefined {
  if (bytes[0] === 0x9f && bytes[1] === 0xeb) return 'little';
  if (bytes[0] === 0xeb && bytes[1] === 0x9f) return 'big';
  return undefined;
}

/** Reads the header and checks that both sections lie inside the bytes, in order. */
export function parseHeader(bytes: Uint8Array, file: string | undefined, endian?: Endian): BtfHeader {
  const place = file === undefined ? {} : { file };
  const fail = (detail: string): never => {
    throw new BtfError('BTF_HEADER', detail, place);
  };
  const found = detectEndian(bytes);
  if (found === undefined || bytes.length < BTF_HEADER_SIZE) {
    throw new BtfError('BTF_MAGIC', `not BTF: no header with magic 0xeb9f in ${bytes.length} bytes`, place);
  }
  if (endian !== undefined && endian !== found) fail(`BTF is ${found}-endian, expected ${endian}-endian`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const little = found === 'little';
  const u32 = (at: number): number => view.getUint32(at, little);
  const version = view.getUint8(2);
  if (version !== BTF_VERSION) fail(`BTF version ${version} is not supported`);
  const headerSize = u32(4);
  if (headerSize < BTF_HEADER_SIZE) fail(`BTF header length ${headerSize} is below ${BTF_HEADER_SIZE}`);
  if (headerSize > bytes.length)
    fail(`BTF header length ${headerSize} exceeds the ${bytes.length} bytes there are`);
  const [typeOff, typeSize, strOff, strSize] = [u32(8), u32(12), u32(16), u32(20)];
  if (typeOff % 4 !== 0) fail(`type section offset ${typeOff} is not a multiple of 4`);
  if (typeOff + typeSize > strOff) fail(`type section ${typeOff}+${typeSize} overlaps strings at ${strOff}`);
  if (headerSize + strOff + strSize > bytes.length) {
    fail(
      `string section ${strOff}+${strSize} ends past the ${bytes.length - headerSize} bytes after the header`,
    );
  }
  return {
    endian: found,
    version,
    flags: view.getUint8(3),
    headerSize,
    typeStart: headerSize + typeOff,
    typeSize,
    strStart: headerSize + strOff,
    strSize,
    totalSize: bytes.length,
  };
}
