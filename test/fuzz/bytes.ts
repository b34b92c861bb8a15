/**
 * Mutations that know nothing of a format: flips, interesting numbers, truncation, insertion, removal,
 * repetition, and pieces of another input. They also serve for what no structure-aware mutation reaches.
 */
import type { Rng } from './rng.js';

/** Mutants are kept below this, so that the fuzzer measures the reader and not its own copying. */
export const MAX_MUTANT_BYTES = 4 << 20;

/** Numbers at which parsers break. */
export const EDGES = [
  0, 1, 2, 3, 4, 7, 8, 9, 15, 16, 24, 63, 64, 127, 128, 255, 256, 512, 4095, 4096, 65_280, 65_521, 65_522,
  65_535, 65_536, 0xf_ffff, 0xff_ffff, 0x7fff_fff8, 0x7fff_ffff, 0x8000_0000, 0xffff_fff8, 0xffff_ffff,
];

export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

function flipBits(bytes: Uint8Array, rng: Rng): Uint8Array {
  for (let i = 1 + rng.below(8); i > 0 && bytes.length > 0; i--) {
    const at = rng.below(bytes.length);
    bytes[at] = bytes[at]! ^ (1 << rng.below(8));
  }
  return bytes;
}

function setBytes(bytes: Uint8Array, rng: Rng): Uint8Array {
  const from = rng.below(bytes.length);
  const value = rng.pick([0, 0xff, 0x80, rng.below(256)]);
  return bytes.fill(value, from, from + 1 + rng.below(rng.oneIn(4) ? 64 : 8));
}

function setEdge(bytes: Uint8Array, rng: Rng): Uint8Array {
  const width = rng.pick([1, 2, 4, 8]);
  if (bytes.length < width) return bytes;
  let at = rng.below(bytes.length - width + 1);
  if (!rng.oneIn(4)) at -= at % width;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const value = BigInt(rng.pick(EDGES)) * (rng.oneIn(8) ? -1n : 1n);
  const little = !rng.oneIn(4);
  if (width === 8) view.setBigUint64(at, BigInt.asUintN(64, value), little);
  else if (width === 4) view.setUint32(at, Number(BigInt.asUintN(32, value)), little);
  else if (width === 2) view.setUint16(at, Number(BigInt.asUintN(16, value)), little);
  else view.setUint8(at, Number(BigInt.asUintN(8, value)));
  return bytes;
}

function insert(bytes: Uint8Array, rng: Rng): Uint8Array {
  const at = rng.below(bytes.length + 1);
  const added = new Uint8Array(1 + rng.below(32)).map(() => rng.below(256));
  return concat(bytes.subarray(0, at), added, bytes.subarray(at));
}

function remove(bytes: Uint8Array, rng: Rng): Uint8Array {
  const at = rng.below(bytes.length);
  return concat(bytes.subarray(0, at), bytes.subarray(at + 1 + rng.below(64)));
}

function repeat(bytes: Uint8Array, rng: Rng): Uint8Array {
  const from = rng.below(bytes.length);
  const piece = bytes.slice(from, from + 1 + rng.below(256));
  const at = rng.below(bytes.length);
  if (rng.oneIn(2)) {
    bytes.set(piece.subarray(0, bytes.length - at), at);
    return bytes;
  }
  return concat(bytes.subarray(0, at), piece, bytes.subarray(at));
}

function splice(bytes: Uint8Array, other: Uint8Array, rng: Rng): Uint8Array {
  if (rng.oneIn(4))
    return concat(bytes.subarray(0, rng.below(bytes.length)), other.subarray(rng.below(other.length)));
  const from = rng.below(other.length);
  const piece = other.subarray(from, from + 1 + rng.below(1024));
  const at = rng.below(bytes.length);
  bytes.set(piece.subarray(0, bytes.length - at), at);
  return bytes;
}

const WEIGHTS = { flip: 30, set: 15, edge: 25, insert: 4, remove: 4, repeat: 6, splice: 8, truncate: 8 };

/** One mutation. May change `bytes` in place; `other` is only read. */
export function mutateBytes(bytes: Uint8Array, other: Uint8Array, rng: Rng): Uint8Array {
  if (bytes.length === 0) return insert(bytes, rng);
  switch (rng.weighted(WEIGHTS)) {
    case 'flip':
      return flipBits(bytes, rng);
    case 'set':
      return setBytes(bytes, rng);
    case 'edge':
      return setEdge(bytes, rng);
    case 'insert':
      return insert(bytes, rng);
    case 'remove':
      return remove(bytes, rng);
    case 'repeat':
      return repeat(bytes, rng);
    case 'splice':
      return other.length > 0 ? splice(bytes, other, rng) : bytes;
    case 'truncate':
      return bytes.slice(0, rng.below(bytes.length));
  }
}
