import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import * as isa from '../../../src/isa/index.js';
import * as scalar from '../../../src/verifier/scalar/index.js';
import { values64 } from './arbitrary.js';
import { asU64, boundsOf, compare, copyOf, holds, JUMP_OPS, scalarOf } from './concrete.js';

const BASES = [0n, -2n, 2n ** 31n - 2n, 2n ** 32n - 2n, 2n ** 63n - 2n];
const WIDTHS = [false, true] as const;
const OPS = Object.entries(JUMP_OPS);

/** Every non-empty set of four neighbouring values from `base` on. */
function sets(base: bigint): (readonly bigint[])[] {
  return Array.from({ length: 15 }, (_, k) =>
    [0n, 1n, 2n, 3n].filter((i) => ((k + 1) >> Number(i)) & 1).map((i) => asU64(base + i)),
  );
}

function settled(values: readonly bigint[]): scalar.Scalar {
  const s = scalarOf(values);
  scalar.syncBounds(s);
  return s;
}

/** What is wrong with our answer about `a op b`, as text. */
function mistakes(op: number, is32: boolean, xs: readonly bigint[], ys: readonly bigint[]): string[] {
  const [a, b] = [settled(xs), settled(ys)];
  const pairs = xs.flatMap((x) => ys.map((y) => ({ x, y, taken: compare(op, is32, x, y) })));
  const taken = scalar.branchTaken(op, is32, a, b);
  if (taken >= 0)
    return pairs.filter((p) => p.taken !== (taken === 1)).map((p) => `${p.x} ${p.y}: said ${taken}`);
  const [t1, t2] = [copyOf(a), copyOf(b)];
  scalar.refineBranches(op, is32, t1, t2, a, b);
  const [inTaken, inFall] = [
    [boundsOf(t1), boundsOf(t2)],
    [boundsOf(a), boundsOf(b)],
  ];
  return pairs
    .filter((p) => {
      const [left, right] = p.taken ? inTaken : inFall;
      return !holds(left!, p.x) || !holds(right!, p.y);
    })
    .map((p) => `${p.x} ${p.y}: lost where ${p.taken}`);
}

describe('branches on every pair of small sets', () => {
  test.each(OPS)('%s', (_name, op) => {
    const wrong: string[] = [];
    for (const base of BASES)
      for (const xs of sets(base))
        for (const ys of sets(base === 0n ? -2n : base))
          for (const is32 of WIDTHS) wrong.push(...mistakes(op, is32, xs, ys));
    expect(wrong).toEqual([]);
  });
});

describe('branches on random sets', () => {
  test.each(OPS)('%s', (_name, op) => {
    fc.assert(
      fc.property(values64, values64, fc.boolean(), (xs, ys, is32) => {
        expect(mistakes(op, is32, xs, ys)).toEqual([]);
      }),
      { numRuns: 300 },
    );
  });

  test.each(OPS)('constants decide %s', (_name, op) => {
    fc.assert(
      fc.property(values64, fc.boolean(), ([x, y = x], is32) => {
        const expected = compare(op, is32, x!, y!) ? 1 : 0;
        expect(scalar.branchTaken(op, is32, scalarOf([x!]), scalarOf([y!]))).toBe(expected);
      }),
    );
  });
});

describe('operators', () => {
  test.each([...OPS, ['jset false', scalar.JSET_FALSE] as const])('%s, negated and flipped', (_name, op) => {
    expect(scalar.negateOp(scalar.negateOp(op))).toBe(op);
    expect(scalar.flipOp(scalar.flipOp(op))).toBe(op);
    fc.assert(
      fc.property(values64, values64, fc.boolean(), ([x], [y], is32) => {
        const holdsHere = compare(op, is32, x!, y!);
        expect(compare(scalar.negateOp(op), is32, x!, y!)).toBe(!holdsHere);
        expect(compare(scalar.flipOp(op), is32, y!, x!)).toBe(holdsHere);
      }),
      { numRuns: 50 },
    );
  });

  test('what is no comparison is never decided and teaches nothing', () => {
    const [a, b] = [scalarOf([1n, 2n]), scalarOf([3n])];
    expect(scalar.branchTaken(isa.BPF_JA, false, a, b)).toBe(-1);
    scalar.refine(isa.BPF_EXIT, false, a, b);
    expect(scalar.equalScalar(a, scalarOf([1n, 2n]))).toBe(true);
  });
});

describe('what a branch teaches, in the words of Linux 6.18', () => {
  type Row = readonly [op: number, is32: boolean, k: number, taken: string, falls: string];
  const rows: readonly Row[] = [
    [
      isa.BPF_JGT,
      false,
      5,
      'scalar(umin=6)',
      'scalar(smin=smin32=0,smax=umax=smax32=umax32=5,var_off=(0x0; 0x7))',
    ],
    [isa.BPF_JEQ, false, 7, '7', 'scalar()'],
    [
      isa.BPF_JEQ,
      true,
      4,
      'scalar(smin=0x8000000000000004,smax=0x7fffffff00000004,umin=smin32=umin32=4,umax=0xffffffff00000004,smax32=umax32=4,var_off=(0x4; 0xffffffff00000000))',
      'scalar()',
    ],
    [isa.BPF_JNE, false, 0, 'scalar(umin=1)', '0'],
    [
      isa.BPF_JSET,
      false,
      8,
      'scalar(smin=0x8000000000000008,umin=umin32=8,smin32=0x80000008,var_off=(0x8; 0xfffffffffffffff7))',
      'scalar(smax=0x7ffffffffffffff7,umax=0xfffffffffffffff7,smax32=0x7ffffff7,umax32=0xfffffff7,var_off=(0x0; 0xfffffffffffffff7))',
    ],
    [
      isa.BPF_JSET,
      false,
      3,
      'scalar()',
      'scalar(smax=0x7ffffffffffffffc,umax=0xfffffffffffffffc,smax32=0x7ffffffc,umax32=0xfffffffc,var_off=(0x0; 0xfffffffffffffffc))',
    ],
    [
      isa.BPF_JSGE,
      false,
      0x1ffffffe,
      'scalar(smin=umin=0x1ffffffe,umax=0x7fffffffffffffff,var_off=(0x0; 0x7fffffffffffffff))',
      'scalar(smax=0x1ffffffd)',
    ],
    [
      isa.BPF_JSGT,
      true,
      -129,
      'scalar(smin32=-128)',
      'scalar(smin=0x8000000080000000,smax=0x7fffffffffffff7f,umin=umin32=0x80000000,umax=0xffffffffffffff7f,smax32=-129,umax32=0xffffff7f,var_off=(0x80000000; 0xffffffff7fffffff))',
    ],
  ];
  test.each(rows)('op %d, 32 bits: %s, constant %d', (op, is32, k, taken, falls) => {
    const make = (): scalar.Scalar => {
      const s = new scalar.Scalar();
      scalar.setUnknown(s);
      return s;
    };
    const [t1, f1] = [make(), make()];
    const [t2, f2] = [new scalar.Scalar(), new scalar.Scalar()];
    for (const s of [t2, f2]) scalar.setConst(s, k);
    expect(scalar.refineBranches(op, is32, t1, t2, f1, f2)).toBeUndefined();
    expect([scalar.scalarText(t1), scalar.scalarText(f1)]).toEqual([taken, falls]);
  });

  test('inequality moves each bound that is the constant, and no other', () => {
    const edges = [
      ['umin', 64n, false, 1n],
      ['umax', 64n, false, -1n],
      ['smin', 64n, true, 1n],
      ['smax', 64n, true, -1n],
      ['u32min', 32n, false, 1n],
      ['u32max', 32n, false, -1n],
      ['s32min', 32n, true, 1n],
      ['s32max', 32n, true, -1n],
    ] as const;
    for (const base of [...BASES, -(2n ** 32n) - 2n, 2n ** 40n - 2n]) {
      const values = [0n, 1n, 2n, 3n, 4n].map((i) => asU64(base + i));
      for (const constant of [...values, asU64(values[0]! ^ (1n << 45n)), values[4]! ^ (1n << 20n)]) {
        for (const is32 of WIDTHS) {
          const s = settled(values);
          const before = boundsOf(s);
          scalar.refine(isa.BPF_JNE, is32, s, scalarOf([constant]));
          for (const [name, bits, signed, step] of edges) {
            const at = (signed ? BigInt.asIntN : BigInt.asUintN)(Number(bits), constant);
            const moves = is32 === (bits === 32n) && before[name] === at;
            expect(boundsOf(s)[name]).toBe(before[name] + (moves ? step : 0n));
          }
        }
      }
    }
  });

  test('a dead branch is reported and its ranges forgotten', () => {
    // `if w7 s> w7` on a register whose low half is 0 or -2^31: recorded on Linux 6.18.44.
    const make = (): scalar.Scalar => {
      const s = new scalar.Scalar();
      scalar.setUnknown(s);
      scalar.setTnumBits(s, 0n, 0xffffffff80000000n);
      scalar.syncBounds(s);
      return s;
    };
    const [taken, falls] = [make(), make()];
    expect(scalar.refineBranches(isa.BPF_JSGT, true, taken, taken, falls, falls)).toEqual([
      'REG INVARIANTS VIOLATION (true_reg1): range bounds violation u64=[0x80000001, 0xffffffff80000000] s64=[0x8000000080000001, 0x7fffffff80000000] u32=[0x80000001, 0x80000000] s32=[0x80000001, 0x80000000] var_off=(0x80000000, 0xffffffff00000000)',
      'REG INVARIANTS VIOLATION (true_reg2): const subreg tnum out of sync with range bounds u64=[0x0, 0xffffffffffffffff] s64=[0x8000000000000000, 0x7fffffffffffffff] u32=[0x0, 0xffffffff] s32=[0x80000000, 0x7fffffff] var_off=(0x80000000, 0xffffffff00000000)',
    ]);
    expect(scalar.scalarText(taken)).toBe('scalar(var_off=(0x80000000; 0xffffffff00000000))');
  });
});
