import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import * as scalar from '../../../src/verifier/scalar/index.js';
import { value64, values64 } from './arbitrary.js';
import { asS64, asU64, boundsOf, copyOf, holds, scalarOf } from './concrete.js';

describe("a pointer's variable offset", () => {
  type Step = (dst: scalar.Scalar, ptr: scalar.Scalar, off: scalar.Scalar) => void;
  const steps: readonly (readonly [string, Step, (a: bigint, b: bigint) => bigint])[] = [
    ['plus', scalar.addPointerOffset, (a, b) => a + b],
    ['minus', scalar.subPointerOffset, (a, b) => a - b],
  ];
  test.each(steps)('%s an offset holds every concrete result', (_name, step, concrete) => {
    fc.assert(
      fc.property(values64, values64, fc.nat(2), (xs, ys, into) => {
        const [ptr, off] = [scalarOf(xs), scalarOf(ys)];
        const dst = [new scalar.Scalar(), ptr, off][into]!;
        step(dst, ptr, off);
        const bounds = boundsOf(dst);
        for (const x of xs) for (const y of ys) expect(holds(bounds, asU64(concrete(x, y)))).toBe(true);
      }),
      { numRuns: 500 },
    );
  });

  test.each([
    ['a fixed one', [8n], (s: scalar.Scalar) => s, false],
    ['a range', [8n, 9n], (s: scalar.Scalar) => s, false],
    ['a constant out of step with its range', [8n], (s: scalar.Scalar) => scalar.setUmax(s, 9), true],
    ['a signed range upside down', [8n, 9n], (s: scalar.Scalar) => scalar.setSmin(s, 10), true],
    ['an unsigned range upside down', [8n, 9n], (s: scalar.Scalar) => scalar.setUmin(s, 10), true],
  ])('offset: %s', (_name, values, spoil, invalid) => {
    const off = scalarOf(values);
    spoil(off);
    expect(scalar.hasInvalidOffset(off)).toBe(invalid);
  });
});

describe('bounds as numbers', () => {
  test('are exact up to 2^53 and on the right side beyond', () => {
    fc.assert(
      fc.property(value64, value64, (a, b) => {
        const s = scalarOf([a, b]);
        expect(scalar.sminNumber(s)).toBe(Number(scalar.smin(s)));
        expect(scalar.smaxNumber(s)).toBe(Number(scalar.smax(s)));
        expect(scalar.uminNumber(s)).toBe(Number(scalar.umin(s)));
        expect(scalar.umaxNumber(s)).toBe(Number(scalar.umax(s)));
        expect(scalar.bitWidth(s)).toBe(scalar.umax(s) === 0n ? 0 : scalar.umax(s).toString(2).length);
        expect(scalar.fitsIn(s, -4096, 4096)).toBe(scalar.smin(s) >= -4096n && scalar.smax(s) <= 4096n);
        const c = scalarOf([a]);
        expect(scalar.constNumber(c)).toBe(Number(asS64(a)));
        expect(scalar.constUnsignedNumber(c)).toBe(Number(a));
      }),
    );
  });
});

describe('setting values by hand', () => {
  test.each([
    [5, 5n],
    [-1, 2n ** 64n - 1n],
    [-0x80000000, 0xffffffff80000000n],
    [2n ** 64n - 2n, 2n ** 64n - 2n],
    [-2n, 2n ** 64n - 2n],
  ])('constant %d', (value, expected) => {
    const s = new scalar.Scalar();
    scalar.setConst(s, value);
    expect(scalar.equalScalar(s, scalarOf([expected]))).toBe(true);
    expect(scalar.isConst(s) && scalar.isSubregConst(s)).toBe(true);
    expect(scalar.isZero(s)).toBe(false);
    expect(scalar.constValue(s)).toBe(expected);
    expect(scalar.constValue(s, true)).toBe(expected & 0xffffffffn);
  });

  test('32-bit constants are zero-extended', () => {
    const s = new scalar.Scalar();
    scalar.setConst32(s, -1);
    expect(scalar.constValue(s)).toBe(0xffffffffn);
    expect(scalar.isConstEqual(s, -1)).toBe(false);
    scalar.setConst(s, -1);
    expect(scalar.isConstEqual(s, -1)).toBe(true);
    scalar.setSubregConst(s, 7);
    expect(scalar.constValue(s)).toBe(0xffffffff00000007n);
  });

  test.each([
    [-4095, 0],
    [0, 64],
    [-1, 1],
    [-0x80000000, 0x7fffffff],
  ])('signed range %d … %d', (min, max) => {
    const s = new scalar.Scalar();
    scalar.setSignedRange(s, min, max);
    expect([scalar.smin(s), scalar.smax(s)]).toEqual([BigInt(min), BigInt(max)]);
    expect([scalar.s32min(s), scalar.s32max(s)]).toEqual([min, max]);
    expect(scalar.boundsViolation(s)).toBeUndefined();
    for (const v of [min, max]) expect(holds(boundsOf(s), asU64(BigInt(v)))).toBe(true);
  });

  test('a copy is apart from its source', () => {
    const s = scalarOf([1n, 4n]);
    const copy = copyOf(s);
    scalar.setConst(s, 9);
    expect(scalar.equalScalar(copy, scalarOf([1n, 4n]))).toBe(true);
  });
});
