import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import * as scalar from '../../../src/verifier/scalar/index.js';
import { values64 } from './arbitrary.js';
import { boundsOf, copyOf, holds, scalarOf } from './concrete.js';

/** Unknown but for what `set` says, then deduced. */
function deduced(set: (s: scalar.Scalar) => void): string {
  const s = new scalar.Scalar();
  scalar.setUnknown(s);
  set(s);
  scalar.syncBounds(s);
  return scalar.scalarText(s);
}

describe('deductions', () => {
  test('keep every member and never loosen a bound', () => {
    fc.assert(
      fc.property(values64, fc.nat(9), (values, drop) => {
        const s = scalarOf(values);
        // Forget one or two domains, so that there is something to deduce.
        if (drop % 3 === 0) scalar.unbound64(s);
        if (drop % 3 === 1) scalar.unbound32(s);
        if (drop > 5) scalar.setTnumBits(s, 0n, 2n ** 64n - 1n);
        const before = boundsOf(s);
        scalar.syncBounds(s);
        const after = boundsOf(s);
        for (const v of values) expect(holds(after, v)).toBe(true);
        expect(after.umin >= before.umin && after.umax <= before.umax).toBe(true);
        expect(after.smin >= before.smin && after.smax <= before.smax).toBe(true);
        expect(after.u32min >= before.u32min && after.u32max <= before.u32max).toBe(true);
        expect(after.s32min >= before.s32min && after.s32max <= before.s32max).toBe(true);
        expect(after.mask & ~before.mask).toBe(0n);
        expect(scalar.boundsViolation(s)).toBeUndefined();
      }),
      { numRuns: 1000 },
    );
  });

  test('a single value settles every domain', () => {
    fc.assert(
      fc.property(values64, ([v]) => {
        const s = new scalar.Scalar();
        scalar.setUnknown(s);
        scalar.setUmin(s, v!);
        scalar.setUmax(s, v!);
        scalar.syncBounds(s);
        expect(scalar.isConst(s)).toBe(true);
        expect(scalar.constValue(s)).toBe(v);
        expect(scalar.boundsViolation(s)).toBeUndefined();
      }),
    );
  });

  const cases: readonly (readonly [string, (s: scalar.Scalar) => void, string])[] = [
    ['nothing', () => undefined, 'scalar()'],
    [
      'umax small',
      (s) => scalar.setUmax(s, 51),
      'scalar(smin=smin32=0,smax=umax=smax32=umax32=51,var_off=(0x0; 0x3f))',
    ],
    ['umin', (s) => scalar.setUmin(s, 52), 'scalar(umin=52)'],
    [
      'signed range across zero',
      (s) => {
        scalar.setSmin(s, -128);
        scalar.setSmax(s, 127);
      },
      'scalar(smin=smin32=-128,smax=smax32=127)',
    ],
    [
      'signed range across zero met from above only (6.17)',
      (s) => {
        scalar.setSmin(s, -16);
        scalar.setSmax(s, 100);
        scalar.setUmax(s, 0xfffffffffffffff0n - 1n);
      },
      'scalar(smin=smin32=0,smax=umax=smax32=umax32=100,var_off=(0x0; 0x7f))',
    ],
    [
      'signed range across zero met from below only (6.17)',
      (s) => {
        scalar.setSmin(s, -16);
        scalar.setSmax(s, 100);
        scalar.setUmin(s, 101);
      },
      'scalar(smin=smin32=-16,smax=smax32=-1,umin=0xfffffffffffffff0,umin32=0xfffffff0,var_off=(0xfffffffffffffff0; 0xf))',
    ],
    [
      'the same at 32 bits',
      (s) => {
        scalar.setS32Range(s, -16, 100);
        scalar.setU32Range(s, 0, 0xfffffff0 - 1);
      },
      'scalar(smax=0x7fffffff00000064,umax=0xffffffff00000064,smin32=0,smax32=umax32=100,var_off=(0x0; 0xffffffff0000007f))',
    ],
    [
      'tnum and range with one value in common',
      (s) => {
        scalar.setTnumBits(s, 0n, 8n);
        scalar.setUmin(s, 1);
      },
      '8',
    ],
    [
      'tnum and range with one value in common, in between',
      (s) => {
        scalar.setTnumBits(s, 0n, 0xf0n);
        scalar.setUmin(s, 17);
        scalar.setUmax(s, 47);
      },
      '32',
    ],
    [
      'sign-extended and not negative',
      (s) => {
        scalar.setSmin(s, -0x80000000);
        scalar.setSmax(s, 0x7fffffff);
        scalar.setS32Range(s, 0, 0x7fffffff);
      },
      'scalar(smin=smin32=0,smax=umax=umax32=0x7fffffff,var_off=(0x0; 0x7fffffff))',
    ],
  ];
  test.each(cases)('from %s', (_name, set, text) => {
    expect(deduced(set)).toBe(text);
  });
});

describe('contradictions', () => {
  const cases: readonly (readonly [string, (s: scalar.Scalar) => void])[] = [
    ['range bounds violation', (s) => scalar.setUmin(s, 9)],
    ['range bounds violation', (s) => scalar.setSmin(s, 9)],
    ['range bounds violation', (s) => scalar.setU32Range(s, 9, 8)],
    ['range bounds violation', (s) => scalar.setS32Range(s, 9, 8)],
    ['const tnum out of sync with range bounds', (s) => scalar.setUmin(s, 7)],
    [
      'const subreg tnum out of sync with range bounds',
      (s) => {
        scalar.unbound64(s);
        scalar.setTnumBits(s, 8n, 0xff00000000n);
        scalar.setU32Range(s, 8, 9);
      },
    ],
  ];
  test.each(cases)('%s', (message, spoil) => {
    const s = new scalar.Scalar();
    scalar.setConst(s, 8);
    expect(scalar.boundsViolation(s)).toBeUndefined();
    spoil(s);
    expect(scalar.boundsViolation(s)).toBe(message);
    const tnum = scalar.tnumText(s);
    expect(scalar.checkBounds(s, 'alu')).toMatch(
      /^REG INVARIANTS VIOLATION \(alu\): .* u64=\[0x.*, 0x.*\] s64=/,
    );
    expect(scalar.rangesText(s)).toBe('');
    expect(scalar.tnumText(s)).toBe(tnum);
  });
});

describe('comparisons of two scalars', () => {
  test('within is inclusion, equality is of every field', () => {
    fc.assert(
      fc.property(values64, values64, (values, more) => {
        const cur = scalarOf(values);
        const old = scalarOf([...values, ...more]);
        expect(scalar.within(old, cur)).toBe(true);
        expect(scalar.rangeWithin(old, cur)).toBe(true);
        expect(scalar.equalScalar(cur, copyOf(cur))).toBe(true);
        const outside = more.filter((v) => !holds(boundsOf(cur), v));
        if (outside.length === 0) return;
        expect(scalar.within(cur, old)).toBe(false);
        expect(scalar.equalScalar(cur, old)).toBe(false);
      }),
      { numRuns: 500 },
    );
  });

  test('each field counts', () => {
    const base = scalarOf([3n, 2n ** 40n, 2n ** 64n - 9n]);
    for (const field of Object.keys(base) as (keyof scalar.Scalar)[]) {
      const other = copyOf(base);
      other[field] ^= 1 << 20;
      expect(scalar.equalScalar(base, other)).toBe(false);
    }
  });
});
