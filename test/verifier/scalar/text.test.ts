import { describe, expect, test } from '@jest/globals';
import * as scalar from '../../../src/verifier/scalar/index.js';
import { scalarOf } from './concrete.js';

describe('numbers', () => {
  test.each([
    [0n, '0'],
    [0xffffn, '65535'],
    [0x10000n, '0x10000'],
    [2n ** 64n - 1n, '0xffffffffffffffff'],
  ])('unsigned %d is %s', (x, text) => {
    expect(scalar.unumText(x)).toBe(text);
  });

  test.each([
    [0n, '0'],
    [32767n, '32767'],
    [32768n, '0x8000'],
    [-32768n, '-32768'],
    [-32769n, '0xffffffffffff7fff'],
  ])('signed %d is %s', (x, text) => {
    expect(scalar.snumText(x)).toBe(text);
  });

  test.each([
    [5n, 0n, '5'],
    [0x12345n, 0n, '0x12345'],
    [0n, 0xffn, '(0x0; 0xff)'],
    [0xf0n, 2n ** 64n - 0x100n, '(0xf0; 0xffffffffffffff00)'],
  ])('tnum %d, %d is %s', (value, mask, text) => {
    const s = new scalar.Scalar();
    scalar.setTnumBits(s, value, mask);
    expect(scalar.tnumText(s)).toBe(text);
  });
});

describe('registers', () => {
  test.each([
    [[5n], '5'],
    [[2n ** 64n - 5n], '-5'],
    [[0xfffffffbn], '0xfffffffb'],
    [[0n, 1n], 'scalar(smin=smin32=0,smax=umax=smax32=umax32=1,var_off=(0x0; 0x1))'],
    [[16n, 31n], 'scalar(smin=umin=smin32=umin32=16,smax=umax=smax32=umax32=31,var_off=(0x10; 0xf))'],
  ])('%s', (values, text) => {
    expect(scalar.scalarText(scalarOf(values))).toBe(text);
  });

  test('attributes come first', () => {
    const s = new scalar.Scalar();
    scalar.setUnknown(s);
    expect(scalar.scalarText(s)).toBe('scalar()');
    expect(scalar.scalarText(s, 'id=1+2')).toBe('scalar(id=1+2)');
    scalar.coerceToSize(s, 1);
    expect(scalar.scalarText(s, 'id=3')).toBe(
      'scalar(id=3,smin=smin32=0,smax=umax=smax32=umax32=255,var_off=(0x0; 0xff))',
    );
  });

  test('a bound is left out where it says nothing, negative and positive do not share a number', () => {
    const s = new scalar.Scalar();
    scalar.setUnknown(s);
    scalar.setSmin(s, -16);
    scalar.setSmax(s, -9);
    expect(scalar.rangesText(s)).toBe('smin=-16,smax=-9');
    scalar.syncBounds(s);
    expect(scalar.variableText(s)).toBe(
      'smin=smin32=-16,smax=smax32=-9,umin=0xfffffffffffffff0,umax=0xfffffffffffffff7,umin32=0xfffffff0,umax32=0xfffffff7,var_off=(0xfffffffffffffff0; 0x7)',
    );
  });

  test('tnum alone', () => {
    const s = new scalar.Scalar();
    scalar.setUnbounded(s);
    scalar.setTnumBits(s, 0x10n, 0xfn);
    expect(scalar.variableText(s)).toBe('var_off=(0x10; 0xf)');
  });
});
