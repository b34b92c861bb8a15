import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import * as isa from '../../../src/isa/index.js';
import * as scalar from '../../../src/verifier/scalar/index.js';
import { value64, values64 } from './arbitrary.js';
import { ALU_OPS, asU64, boundsOf, compute, copyOf, holds, scalarOf } from './concrete.js';

const WIDTHS = [true, false] as const;
const BASES = [0n, -4n, 2n ** 31n - 4n, 2n ** 32n - 4n, 2n ** 63n - 4n];
const SHIFTS = [isa.BPF_LSH, isa.BPF_RSH, isa.BPF_ARSH];

interface Members {
  readonly abstract: scalar.Scalar;
  readonly members: readonly bigint[];
}

/** Every range of up to eight neighbouring values from `base` on. */
function ranges(base: bigint): Members[] {
  const found: Members[] = [];
  for (let from = 0n; from < 8n; from++) {
    for (let to = from; to < 8n; to++) {
      const members: bigint[] = [];
      for (let v = from; v <= to; v++) members.push(asU64(base + v));
      const abstract = scalarOf(members);
      scalar.syncBounds(abstract);
      found.push({ abstract, members });
    }
  }
  return found;
}

/** What is missing from `dst op src`, as text. */
function missing(op: number, is64: boolean, a: Members, b: Members): string[] {
  const out = copyOf(a.abstract);
  scalar.aluScalar(op, is64, out, b.abstract);
  const bounds = boundsOf(out);
  const wrong: string[] = [];
  for (const x of a.members)
    for (const y of b.members)
      if (!holds(bounds, compute(op, is64, x, y))) wrong.push(`${x} ${y}: not in ${scalar.scalarText(out)}`);
  if (scalar.boundsViolation(out) !== undefined) wrong.push(`${scalar.scalarText(out)} contradicts itself`);
  return wrong;
}

describe('every pair of small ranges', () => {
  const left = BASES.flatMap(ranges);
  const right = [0n, -4n].flatMap(ranges).filter((_, i) => i % 3 === 0);
  const exact = ['add', 'sub', 'mul', 'and', 'or', 'xor', 'neg'] as const;
  test.each(exact)('%s holds every concrete result at both widths', (name) => {
    const op = ALU_OPS[name]!;
    const others = name === 'neg' ? right.slice(0, 1) : right;
    expect(left.flatMap((a) => others.flatMap((b) => WIDTHS.flatMap((w) => missing(op, w, a, b))))).toEqual(
      [],
    );
  });

  test.each(['lsh', 'rsh', 'arsh'])('%s by every amount', (name) => {
    const op = ALU_OPS[name]!;
    for (const is64 of WIDTHS) {
      for (let n = 0n; n < (is64 ? 64n : 32n); n++) {
        const amount = { abstract: scalarOf([n]), members: [n] };
        expect(left.filter((_, i) => i % 5 === 0).flatMap((a) => missing(op, is64, a, amount))).toEqual([]);
      }
    }
  });
});

describe('random sets of values', () => {
  test.each(Object.entries(ALU_OPS))('%s', (_name, op) => {
    fc.assert(
      fc.property(values64, values64, fc.boolean(), fc.boolean(), (xs, ys, is64, settled) => {
        // Linux gives shifts by what is past the width no meaning; neither do we.
        const amounts = SHIFTS.includes(op) ? [ys[0]! % (is64 ? 64n : 32n)] : ys;
        const a = { abstract: scalarOf(xs), members: xs };
        const b = { abstract: scalarOf(amounts), members: amounts };
        if (settled) scalar.syncBounds(a.abstract);
        expect(missing(op, is64, a, b)).toEqual([]);
      }),
      { numRuns: 400 },
    );
  });

  test.each(Object.entries(ALU_OPS).filter(([name]) => !['div', 'mod'].includes(name)))(
    'constants under %s',
    (_name, op) => {
      fc.assert(
        fc.property(value64, value64, fc.boolean(), (x, y, is64) => {
          const amount = SHIFTS.includes(op) ? y % (is64 ? 64n : 32n) : y;
          const a = scalarOf([x]);
          scalar.aluScalar(op, is64, a, scalarOf([amount]));
          expect(scalar.isConst(a)).toBe(true);
          expect(scalar.constValue(a)).toBe(compute(op, is64, x, amount));
        }),
      );
    },
  );

  test('a register with itself', () => {
    fc.assert(
      fc.property(values64, fc.constantFrom(...Object.values(ALU_OPS)), fc.boolean(), (xs, op, is64) => {
        const together = scalarOf(xs);
        const apart = copyOf(together);
        scalar.aluScalar(op, is64, together, together);
        scalar.aluScalar(op, is64, apart, scalarOf(xs));
        expect(scalar.equalScalar(together, apart)).toBe(true);
      }),
    );
  });
});

describe('what makes a result unknown', () => {
  const unknown = (op: number, is64: boolean, src: (s: scalar.Scalar) => void): boolean => {
    const [dst, amount] = [scalarOf([5n]), scalarOf([1n])];
    src(amount);
    scalar.aluScalar(op, is64, dst, amount);
    return scalar.isTnumUnknown(dst) && scalar.rangesText(dst) === '';
  };

  test.each([
    ['division', isa.BPF_DIV, true, 3, true],
    ['modulo', isa.BPF_MOD, false, 3, true],
    ['a shift below the width', isa.BPF_LSH, true, 63, false],
    ['a shift by the width', isa.BPF_LSH, true, 64, true],
    ['a 32-bit shift below the width', isa.BPF_RSH, false, 31, false],
    ['a 32-bit shift by the width', isa.BPF_RSH, false, 32, true],
    ['a shift by a negative number', isa.BPF_ARSH, true, -1, true],
    ['an operation that there is not', 0xf0, true, 1, true],
  ])('%s', (_name, op, is64, amount, expected) => {
    expect(unknown(op, is64, (s) => scalar.setConst(s, amount))).toBe(expected);
  });

  test('a shift by a range', () => {
    expect(unknown(isa.BPF_LSH, true, (s) => scalar.setSignedRange(s, 1, 2))).toBe(true);
  });

  test('a 32-bit shift whose amount has upper bits', () => {
    expect(unknown(isa.BPF_LSH, false, (s) => scalar.setConst(s, 2n ** 32n + 1n))).toBe(true);
  });
});

describe('the split before & and | with a constant', () => {
  const cases: readonly (readonly [string, number, number, number, number, 0 | 32 | 64])[] = [
    ['-1 … 0', isa.BPF_AND, -1, 0, 7, 64],
    ['-1 … 0 under or', isa.BPF_OR, -1, 0, 7, 64],
    ['-1 … 0 under xor', isa.BPF_XOR, -1, 0, 7, 0],
    ['-1 … 1', isa.BPF_AND, -1, 1, 7, 0],
    ['-2 … 0', isa.BPF_AND, -2, 0, 7, 0],
  ];
  test.each(cases)('%s', (_name, op, min, max, by, width) => {
    const [dst, src] = [new scalar.Scalar(), scalarOf([BigInt(by)])];
    scalar.setSignedRange(dst, min, max);
    expect(scalar.forkWidth(op, dst, src)).toBe(width);
    scalar.setUnknown(src);
    expect(scalar.forkWidth(op, dst, src)).toBe(0);
  });

  test('at 32 bits', () => {
    const dst = new scalar.Scalar();
    scalar.setUnknown(dst);
    scalar.setS32Range(dst, -1, 0);
    expect(scalar.forkWidth(isa.BPF_AND, dst, scalarOf([7n]))).toBe(32);
    scalar.assume(dst, 32, -1);
    scalar.syncBounds(dst);
    expect(scalar.scalarText(dst)).toBe(
      'scalar(smin=0x80000000ffffffff,umin=umin32=0xffffffff,smin32=-1,smax32=-1,var_off=(0xffffffff; 0xffffffff00000000))',
    );
    scalar.assume(dst, 64, 0);
    expect(scalar.scalarText(dst)).toBe('0');
  });
});
