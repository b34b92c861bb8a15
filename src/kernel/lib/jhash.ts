/**
 * Bob Jenkins' hash as the kernel has it, over memory of the engine. Models include/linux/jhash.h, so that a
 * map with BPF_F_ZERO_SEED walks its keys in the same order as on Linux.
 */

const INITVAL = 0xdeadbeef | 0;

// The mixing steps are written out twice below: a function that returns three words would allocate.

/** `jhash2`: `count` 32-bit words from word index `at`. */
export function jhash2(words: Int32Array, at: number, count: number, seed: number): number {
  let a = (INITVAL + (count << 2) + seed) | 0;
  let b = a;
  let c = a;
  let left = count;
  let i = at;
  for (; left > 3; left -= 3, i += 3) {
    a = (a + words[i]!) | 0;
    b = (b + words[i + 1]!) | 0;
    c = (c + words[i + 2]!) | 0;
    a = (a - c) ^ ((c << 4) | (c >>> 28));
    c = (c + b) | 0;
    b = (b - a) ^ ((a << 6) | (a >>> 26));
    a = (a + c) | 0;
    c = (c - b) ^ ((b << 8) | (b >>> 24));
    b = (b + a) | 0;
    a = (a - c) ^ ((c << 16) | (c >>> 16));
    c = (c + b) | 0;
    b = (b - a) ^ ((a << 19) | (a >>> 13));
    a = (a + c) | 0;
    c = (c - b) ^ ((b << 4) | (b >>> 28));
    b = (b + a) | 0;
  }
  if (left === 0) return c;
  if (left > 2) c = (c + words[i + 2]!) | 0;
  if (left > 1) b = (b + words[i + 1]!) | 0;
  a = (a + words[i]!) | 0;
  return finish(a, b, c);
}

/** `jhash`: `length` bytes from byte index `at`. */
export function jhash(bytes: Uint8Array, at: number, length: number, seed: number): number {
  let a = (INITVAL + length + seed) | 0;
  let b = a;
  let c = a;
  let left = length;
  let i = at;
  for (; left > 12; left -= 12, i += 12) {
    a = (a + word(bytes, i, 4)) | 0;
    b = (b + word(bytes, i + 4, 4)) | 0;
    c = (c + word(bytes, i + 8, 4)) | 0;
    a = (a - c) ^ ((c << 4) | (c >>> 28));
    c = (c + b) | 0;
    b = (b - a) ^ ((a << 6) | (a >>> 26));
    a = (a + c) | 0;
    c = (c - b) ^ ((b << 8) | (b >>> 24));
    b = (b + a) | 0;
    a = (a - c) ^ ((c << 16) | (c >>> 16));
    c = (c + b) | 0;
    b = (b - a) ^ ((a << 19) | (a >>> 13));
    a = (a + c) | 0;
    c = (c - b) ^ ((b << 4) | (b >>> 28));
    b = (b + a) | 0;
  }
  if (left === 0) return c;
  a = (a + word(bytes, i, Math.min(left, 4))) | 0;
  if (left > 4) b = (b + word(bytes, i + 4, Math.min(left - 4, 4))) | 0;
  if (left > 8) c = (c + word(bytes, i + 8, left - 8)) | 0;
  return finish(a, b, c);
}

/** Up to four bytes as a little-endian word. */
function word(bytes: Uint8Array, at: number, count: number): number {
  let value = bytes[at]!;
  if (count > 1) value |= bytes[at + 1]! << 8;
  if (count > 2) value |= bytes[at + 2]! << 16;
  if (count > 3) value |= bytes[at + 3]! << 24;
  return value;
}

function finish(a: number, b: number, c: number): number {
  c = (c ^ b) - ((b << 14) | (b >>> 18));
  a = (a ^ c) - ((c << 11) | (c >>> 21));
  b = (b ^ a) - ((a << 25) | (a >>> 7));
  c = (c ^ b) - ((b << 16) | (b >>> 16));
  a = (a ^ c) - ((c << 4) | (c >>> 28));
  b = (b ^ a) - ((a << 14) | (a >>> 18));
  return ((c ^ b) - ((b << 24) | (b >>> 8))) | 0;
}
