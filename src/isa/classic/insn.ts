/**
 * Classic BPF on the wire: `struct sock_filter` of linux/filter.h, eight bytes, in the byte order of
 * whoever wrote it.
 */
import { IsaDecodeError, IsaEncodeError } from '../errors.js';
import type { Endian } from '../insn.js';

/** One classic instruction. All fields are unsigned. */
export interface SockFilter {
  /** 16 bits; Linux knows none past 255. */
  code: number;
  /** Slots to skip when a comparison holds, 8 bits. */
  jt: number;
  /** Slots to skip when it does not, 8 bits. */
  jf: number;
  /** Operand, 32 bits. */
  k: number;
}

/** Bytes of one instruction. */
export const SOCK_FILTER_SIZE = 8;

/** Decode a filter. @throws IsaDecodeError `ISA_TRUNCATED` when the length is no multiple of 8 bytes. */
export function decodeClassic(bytes: Uint8Array, endian: Endian = 'little'): SockFilter[] {
  const rest = bytes.length % SOCK_FILTER_SIZE;
  if (rest !== 0) {
    const insn = (bytes.length - rest) / SOCK_FILTER_SIZE;
    const problem = `${bytes.length} bytes are no whole number of 8-byte classic instructions: the last has only ${rest}`;
    throw new IsaDecodeError('ISA_TRUNCATED', problem, { insn });
  }
  const little = endian === 'little';
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const filter: SockFilter[] = [];
  for (let at = 0; at < bytes.length; at += SOCK_FILTER_SIZE) {
    filter.push({
      code: view.getUint16(at, little),
      jt: view.getUint8(at + 2),
      jf: view.getUint8(at + 3),
      k: view.getUint32(at + 4, little),
    });
  }
  return filter;
}

const LIMITS: readonly (readonly [keyof SockFilter, number])[] = [
  ['code', 0xffff],
  ['jt', 0xff],
  ['jf', 0xff],
  ['k', 0xffffffff],
];

/** Encode a filter. @throws IsaEncodeError `ISA_FIELD_RANGE` when a field is no integer of its width. */
export function encodeClassic(filter: readonly SockFilter[], endian: Endian = 'little'): Uint8Array {
  const little = endian === 'little';
  const bytes = new Uint8Array(filter.length * SOCK_FILTER_SIZE);
  const view = new DataView(bytes.buffer);
  filter.forEach((insn, i) => {
    for (const [field, max] of LIMITS) {
      const value = insn[field];
      if (Number.isInteger(value) && value >= 0 && value <= max) continue;
      const problem = `${field} ${value} does not fit the instruction: it must be an integer from 0 to ${max}`;
      throw new IsaEncodeError('ISA_FIELD_RANGE', problem, { insn: i });
    }
    const at = i * SOCK_FILTER_SIZE;
    view.setUint16(at, insn.code, little);
    view.setUint8(at + 2, insn.jt);
    view.setUint8(at + 3, insn.jf);
    view.setUint32(at + 4, insn.k, little);
  });
  return bytes;
}
