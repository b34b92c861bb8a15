/**
 * The whole of a file, pipe or device, with an end to it: what has none (`/dev/zero`, a writer that never stops) is
 * refused instead of filling memory. Throws what `node:fs` throws, with `EFBIG` for what is too large.
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

/** A kernel image with debug information has some 800 MiB. */
const MAX_FILE_BYTES = 2 ** 30;
/** What is no regular file does not say how long it is. */
const MAX_STREAM_BYTES = 2 ** 28;
const FIRST_CHUNK = 2 ** 16;
/** How long to wait for a non-blocking standard input that has nothing yet, in milliseconds. */
const WAIT_MS = 5;

/** `file` is a path or a descriptor; a descriptor stays open. */
export function readWholeFile(file: string | number): Uint8Array<ArrayBuffer> {
  if (typeof file === 'number') return readDescriptor(file);
  const descriptor = openSync(file, 'r');
  try {
    return readDescriptor(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

function readDescriptor(descriptor: number): Uint8Array<ArrayBuffer> {
  const stat = fstatSync(descriptor);
  const limit = stat.isFile() ? MAX_FILE_BYTES : MAX_STREAM_BYTES;
  if (stat.size > limit) throw tooLarge(limit);
  let bytes = new Uint8Array(stat.isFile() ? stat.size : 0);
  let length = 0;
  for (;;) {
    if (length === bytes.length) {
      // Nothing more: most regular files end here, in a buffer of just their size.
      const next = new Uint8Array(FIRST_CHUNK);
      const got = readSome(descriptor, next, 0);
      if (got === 0) return bytes;
      const grown = new Uint8Array(Math.max(2 * length, length + FIRST_CHUNK));
      grown.set(bytes);
      grown.set(next.subarray(0, got), length);
      bytes = grown;
      length += got;
    } else {
      const got = readSome(descriptor, bytes, length);
      if (got === 0) return bytes.slice(0, length);
      length += got;
    }
    if (length > limit) throw tooLarge(limit);
  }
}

/** Bytes read into `into` from `at` on; 0 at the end. */
function readSome(descriptor: number, into: Uint8Array, at: number): number {
  for (;;) {
    try {
      return readSync(descriptor, into, at, into.length - at, null);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      // Windows ends a pipe so.
      if (code === 'EOF') return 0;
      if (code !== 'EAGAIN') throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, WAIT_MS);
    }
  }
}

function tooLarge(limit: number): Error {
  return Object.assign(new Error(`more than ${limit / 2 ** 20} MiB`), { code: 'EFBIG' });
}
