/** Pairs of 32-bit halves: a table, and the round trip. */
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { fromHalves, toHalves } from '../../src/isa/int64.js';

describe('halves', () => {
  test.each([
    [0, 0, 0n, 0n],
    [-1, 0, 0xffffffffn, 0xffffffffn],
    [0, 1, 0x100000000n, 0x100000000n],
    [0, -0x80000000, 0x8000000000000000n, -0x8000000000000000n],
    [-1, -1, 0xffffffffffffffffn, -1n],
  ])('%i, %i', (low, high, unsigned, signed) => {
    expect(fromHalves(low, high)).toBe(unsigned);
    expect(fromHalves(low, high, true)).toBe(signed);
    expect(toHalves(unsigned)).toEqual({ low, high });
    expect(toHalves(signed)).toEqual({ low, high });
  });

  test('a value survives the round trip modulo 2^64', () => {
    fc.assert(
      fc.property(fc.bigInt(), (value) => {
        const { low, high } = toHalves(value);
        expect(fromHalves(low, high)).toBe(BigInt.asUintN(64, value));
        expect(fromHalves(low, high, true)).toBe(BigInt.asIntN(64, value));
      }),
    );
  });
});
