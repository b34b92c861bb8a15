/**
 * The one place that needs a platform's decompressor: everything else of the embedded BTF is plain
 * TypeScript. A browser build replaces this module.
 */
import { inflateRawSync } from 'node:zlib';

/** Base64 of a raw deflate stream → bytes; `size` is known and bounds the output. */
export function inflateBase64(text: string, size: number): Uint8Array {
  return inflateRawSync(Buffer.from(text, 'base64'), { maxOutputLength: size });
}
