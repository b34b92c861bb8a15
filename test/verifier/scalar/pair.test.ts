import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import * as pair from '../../../src/verifier/scalar/pair.js';
import { value64 } from './arbitrary.js';
import { asS64, asU64 } from './concrete.js';

const high = (v: bigint): number => Number(BigInt.asIntN(32, v >> 32n));
const low = (v: bigint): number => Number(BigInt.asIntN(32, v));
const result = (): bigint => pair.toUnsignedBigInt(pair.hi, pair.lo);

describe('pairs of halves agree with bigint', () => {
  test('comparisons', () => {
    fc.assert(
      fc.property(value64, value64, (a, b) => {
        expect(pair.ult(high(a), low(a), high(b), low(b))).toBe(a < b);
        expect(pair.slt(high(a), low(a), high(b), low(b))).toBe(asS64(a) < asS64(b));
        expect(pair.ult32(low(a), low(b))).toBe((a & 0xffffffffn) < (b & 0xffffffffn));
        expect(pair.ule32(low(a), low(b))).toBe((a & 0xffffffffn) <= (b & 0xffffffffn));
        expect(pair.umin32(low(a), low(b)) >>> 0).toBe(Math.min(low(a) >>> 0, low(b) >>> 0));
        expect(pair.umax32(low(a), low(b)) >>> 0).toBe(Math.max(low(a) >>> 0, low(b) >>> 0));
      }),
    );
  });

  test('shifts by every amount', () => {
    fc.assert(
      fc.property(value64, fc.nat(63), (a, n) => {
        pair.shl(high(a), low(a), n);
        expect(result()).toBe(asU64(a << BigInt(n)));
        pair.shr(high(a), low(a), n);
        expect(result()).toBe(a >> BigInt(n));
        pair.sar(high(a), low(a), n);
        expect(result()).toBe(asU64(asS64(a) >> BigInt(n)));
      }),
    );
  });

  test('products', () => {
    fc.assert(
      fc.property(value64, value64, (a, b) => {
        pair.mul(high(a), low(a), high(b), low(b));
        expect(result()).toBe(asU64(a * b));
        pair.mulWide(low(a), low(b));
        expect(result()).toBe((a & 0xffffffffn) * (b & 0xffffffffn));
      }),
    );
  });

  test('numbers of magnitude up to 2^53, both ways', () => {
    fc.assert(
      fc.property(fc.maxSafeInteger(), (x) => {
        pair.fromNumber(x);
        expect(asS64(result())).toBe(BigInt(x));
        expect(pair.toNumber(pair.hi, pair.lo)).toBe(x);
        if (x >= 0) expect(pair.toUnsignedNumber(pair.hi, pair.lo)).toBe(x);
      }),
    );
  });

  test('bigint both ways, halves are int32', () => {
    fc.assert(
      fc.property(value64, (a) => {
        pair.fromBigInt(a);
        expect([pair.lo | 0, pair.hi | 0]).toEqual([pair.lo, pair.hi]);
        expect(result()).toBe(a);
        expect(pair.toBigInt(pair.hi, pair.lo)).toBe(asS64(a));
      }),
    );
  });

  test.each([
    [0, 0],
    [1, 1],
    [5, 7],
    [0x40000000, 0x7fffffff],
    [-1, -1],
    [-0x80000000, -1],
  ])('smear %d is %d', (x, smeared) => {
    expect(pair.smear(x)).toBe(smeared);
  });
});
