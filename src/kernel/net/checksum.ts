/** The Internet checksum (RFC 1071) as the kernel computes it on little-endian machines. Models include/net/checksum.h. */

/** Folds a 32-bit sum to 16 bits without the final complement (`csum_from32to16`). */
export function csumFold32(sum: number): number {
  let folded = (sum & 0xffff) + (sum >>> 16);
  folded = (folded & 0xffff) + (folded >>> 16);
  return folded & 0xffff;
}

/** Ones' complement sum of two 32-bit sums. */
export function csumAdd(a: number, b: number): number {
  const sum = (a >>> 0) + (b >>> 0);
  return (sum > 0xffffffff ? sum + 1 : sum) >>> 0;
}

export function csumSub(a: number, b: number): number {
  return csumAdd(a, ~b >>> 0);
}

/** Sum over bytes taken as little-endian 16-bit words, folded into `seed`. */
export function csumPartial(bytes: Uint8Array, seed: number): number {
  let sum = 0;
  const even = bytes.length & ~1;
  for (let i = 0; i < even; i += 2) sum += bytes[i]! | (bytes[i + 1]! << 8);
  if (even < bytes.length) sum += bytes[even]!;
  // Fits a double for any packet; reduce to 32 bits with end-around carry.
  return csumAdd(csumFold32(sum >>> 0) + (sum > 0xffffffff ? 1 : 0), seed);
}

/** Complement of the folded sum: what stands in a header's checksum field, as a little-endian number. */
export function csumFold(sum: number): number {
  return ~csumFold32(sum) & 0xffff;
}

/** `csum_replace4`: a checksum field after a 32-bit word changed. */
export function csumReplace4(field: number, from: number, to: number): number {
  const sum = csumSub(~field & 0xffff, from >>> 0);
  return csumFold(csumAdd(sum, to >>> 0));
}

/** `csum_replace2`: after a 16-bit word changed. */
export function csumReplace2(field: number, from: number, to: number): number {
  let sum = (~field & 0xffff) + (~from & 0xffff) + (to & 0xffff);
  sum = (sum & 0xffff) + (sum >>> 16);
  sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

/** `csum_replace_by_diff`: after words whose sums differ by `diff` changed. */
export function csumReplaceByDiff(field: number, diff: number): number {
  return csumFold(csumAdd(diff >>> 0, ~field & 0xffff));
}
