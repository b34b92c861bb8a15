/** fast-check generators of 64-bit values that gather where ranges break, and of small sets of them. */
import fc from 'fast-check';
import { asU64 } from './concrete.js';

const CORNERS = [
  0n,
  1n,
  -1n,
  2n ** 31n,
  -(2n ** 31n),
  2n ** 32n,
  2n ** 63n,
  2n ** 16n,
  2n ** 8n,
  0xffffffff00000000n,
];

/** Unsigned 64-bit: near a corner, small, a few bits, or anything. */
export const value64: fc.Arbitrary<bigint> = fc.oneof(
  fc.tuple(fc.constantFrom(...CORNERS), fc.bigInt({ min: -9n, max: 9n })).map(([c, d]) => asU64(c + d)),
  fc.bigInt({ min: 0n, max: 300n }),
  fc.tuple(fc.nat(63), fc.nat(63)).map(([a, b]) => (1n << BigInt(a)) | (1n << BigInt(b))),
  fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
);

/** One to four values; often near each other. */
export const values64: fc.Arbitrary<bigint[]> = fc.oneof(
  fc.array(value64, { minLength: 1, maxLength: 4 }),
  fc
    .tuple(value64, fc.array(fc.bigInt({ min: -20n, max: 20n }), { minLength: 1, maxLength: 4 }))
    .map(([base, steps]) => steps.map((step) => asU64(base + step))),
);
