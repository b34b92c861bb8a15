import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import * as scalar from '../../../src/verifier/scalar/index.js';
import { values64 } from './arbitrary.js';
import { asU64, boundsOf, holds, scalarOf } from './concrete.js';

type Change = readonly [name: string, change: (s: scalar.Scalar) => void, concrete: (v: bigint) => bigint];

const zext = (v: bigint, bits: number): bigint => BigInt.asUintN(bits, v);
const sext = (v: bigint, bits: number): bigint => asU64(BigInt.asIntN(bits, v));
const swap = (v: bigint, bits: number): bigint => {
  const bytes = zext(v, bits)
    .toString(16)
    .padStart(bits / 4, '0')
    .match(/../g)!;
  return BigInt(`0x${bytes.reverse().join('')}`);
};

const CHANGES: readonly Change[] = [
  ['mov32', scalar.mov32, (v) => zext(v, 32)],
  ['load of 1 byte', (s) => scalar.coerceToSize(s, 1), (v) => zext(v, 8)],
  ['load of 2 bytes', (s) => scalar.coerceToSize(s, 2), (v) => zext(v, 16)],
  ['load of 4 bytes', (s) => scalar.coerceToSize(s, 4), (v) => zext(v, 32)],
  ['movsx64 of 1 byte', (s) => scalar.movsx64(s, 1), (v) => sext(v, 8)],
  ['movsx64 of 2 bytes', (s) => scalar.movsx64(s, 2), (v) => sext(v, 16)],
  ['movsx64 of 4 bytes', (s) => scalar.movsx64(s, 4), (v) => sext(v, 32)],
  ['movsx32 of 1 byte', (s) => scalar.movsx32(s, 1), (v) => zext(sext(v, 8), 32)],
  ['movsx32 of 2 bytes', (s) => scalar.movsx32(s, 2), (v) => zext(sext(v, 16), 32)],
  ['swap of 16 bits', (s) => scalar.byteSwap(s, true, 16), (v) => swap(v, 16)],
  ['swap of 32 bits', (s) => scalar.byteSwap(s, true, 32), (v) => swap(v, 32)],
  ['swap of 64 bits', (s) => scalar.byteSwap(s, true, 64), (v) => swap(v, 64)],
  ['16 bits without a swap', (s) => scalar.byteSwap(s, false, 16), (v) => zext(v, 16)],
  ['32 bits without a swap', (s) => scalar.byteSwap(s, false, 32), (v) => zext(v, 32)],
  ['64 bits without a swap', (s) => scalar.byteSwap(s, false, 64), (v) => v],
];

describe('changes of width and byte order', () => {
  test.each(CHANGES)('%s holds every concrete result', (_name, change, concrete) => {
    fc.assert(
      fc.property(values64, fc.boolean(), (values, settle) => {
        const s = scalarOf(values);
        if (settle) scalar.syncBounds(s);
        change(s);
        const bounds = boundsOf(s);
        expect(values.filter((v) => !holds(bounds, concrete(v)))).toEqual([]);
      }),
      { numRuns: 500 },
    );
  });

  test.each(CHANGES)('%s of a constant is a constant', (_name, change, concrete) => {
    fc.assert(
      fc.property(values64, ([v]) => {
        const s = scalarOf([v!]);
        change(s);
        expect(scalar.isConst(s)).toBe(true);
        expect(scalar.constValue(s)).toBe(concrete(v!));
        expect(scalar.boundsViolation(s)).toBeUndefined();
      }),
      { numRuns: 50 },
    );
  });

  test.each([
    ['movsx64 of 1 byte', 'scalar(smin=smin32=-128,smax=smax32=127)'],
    ['movsx64 of 4 bytes', 'scalar(smin=0xffffffff80000000,smax=0x7fffffff)'],
    [
      'movsx32 of 2 bytes',
      'scalar(smin=0,smax=umax=0xffffffff,smin32=-32768,smax32=32767,var_off=(0x0; 0xffffffff))',
    ],
    ['load of 1 byte', 'scalar(smin=smin32=0,smax=umax=smax32=umax32=255,var_off=(0x0; 0xff))'],
    ['mov32', 'scalar(smin=0,smax=umax=0xffffffff,var_off=(0x0; 0xffffffff))'],
    ['swap of 16 bits', 'scalar(smin=smin32=0,smax=umax=smax32=umax32=0xffff,var_off=(0x0; 0xffff))'],
    ['swap of 64 bits', 'scalar()'],
  ])('%s of the unknown, as Linux 6.18 prints it', (name, text) => {
    const s = new scalar.Scalar();
    scalar.setUnknown(s);
    CHANGES.find(([other]) => other === name)![1](s);
    expect(scalar.scalarText(s)).toBe(text);
  });
});
