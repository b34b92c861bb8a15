/**
 * 64-bit values as the two 32-bit halves in which instructions and BTF carry them. `long` knows pairs of int32;
 * whole values are `bigint` in every public type.
 */
import Long from 'long';

/** The value of two halves: unsigned, or with `signed` in two's complement. */
export function fromHalves(low: number, high: number, signed = false): bigint {
  return Long.fromBits(low, high, !signed).toBigInt();
}

/** Low and high half of a value modulo 2^64, each as a signed 32-bit number, as immediates are. */
export function toHalves(value: bigint): { readonly low: number; readonly high: number } {
  const { low, high } = Long.fromBigInt(BigInt.asIntN(64, value));
  return { low, high };
}
