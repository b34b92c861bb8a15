import { describe, expect, test } from '@jest/globals';
import {
  Scalar,
  setTnumBits,
  Tnum,
  tnumIn,
  tnumMask,
  tnumText,
  tnumValue,
} from '../../../src/verifier/scalar/index.js';
import { hi, lo, toUnsignedBigInt } from '../../../src/verifier/scalar/pair.js';
import * as ops from '../../../src/verifier/scalar/tnum.js';
import { asS64, asU64 } from './concrete.js';

interface Known {
  readonly tnum: Scalar;
  readonly members: readonly bigint[];
}

const M64 = 2n ** 64n - 1n;

function make(value: bigint, mask: bigint): Scalar {
  const t = new Scalar();
  setTnumBits(t, value, mask);
  return t;
}

/** All 27 tnums of three bits, moved up by `shift` with the bits above repeated from `fill`. */
function allTnums(shift: bigint, fill: bigint): Known[] {
  const found: Known[] = [];
  for (let value = 0n; value < 8n; value++) {
    for (let mask = 0n; mask < 8n; mask++) {
      if ((value & mask) !== 0n) continue;
      const members: bigint[] = [];
      for (let bits = 0n; bits < 8n; bits++)
        if ((bits & ~mask) === 0n) members.push(asU64(fill + ((value | bits) << shift)));
      found.push({ tnum: make(asU64(fill + (value << shift)), asU64(mask << shift)), members });
    }
  }
  return found;
}

const member = (t: Tnum, v: bigint): boolean => (v & (M64 ^ tnumMask(t))) === tnumValue(t);
const PLACES: readonly (readonly [bigint, bigint])[] = [
  [0n, 0n],
  [30n, 0n],
  [31n, 0xffffffff00000000n & ~(7n << 31n)],
  [61n, 5n],
];

type Binary = (out: Tnum, a: Tnum, b: Tnum) => void;
const BINARY: readonly (readonly [string, Binary, (a: bigint, b: bigint) => bigint])[] = [
  ['add', ops.tnumAdd, (a, b) => a + b],
  ['sub', ops.tnumSub, (a, b) => a - b],
  ['mul', ops.tnumMul, (a, b) => a * b],
  ['and', ops.tnumAnd, (a, b) => a & b],
  ['or', ops.tnumOr, (a, b) => a | b],
  ['xor', ops.tnumXor, (a, b) => a ^ b],
];

describe('every pair of three-bit tnums, in four places', () => {
  const pairs = PLACES.flatMap((p) => [p, PLACES[0]!].map((q) => [allTnums(...p), allTnums(...q)] as const));

  test.each(BINARY)('%s holds every concrete result', (_name, abstract, concrete) => {
    let checked = 0;
    const wrong: string[] = [];
    for (const [left, right] of pairs) {
      for (const a of left) {
        for (const b of right) {
          const out = new Tnum();
          abstract(out, a.tnum, b.tnum);
          if ((tnumValue(out) & tnumMask(out)) !== 0n) wrong.push(`${tnumText(out)} is no tnum`);
          for (const x of a.members) {
            for (const y of b.members) {
              checked++;
              if (!member(out, asU64(concrete(x, y)))) wrong.push(`${x} ${y} not in ${tnumText(out)}`);
            }
          }
        }
      }
    }
    expect(wrong).toEqual([]);
    expect(checked).toBeGreaterThan(20_000);
  });

  test('the result may be an operand', () => {
    for (const [, abstract] of BINARY) {
      for (const a of allTnums(0n, 0n)) {
        for (const b of allTnums(30n, 0n)) {
          const apart = new Tnum();
          abstract(apart, a.tnum, b.tnum);
          for (const target of ['left', 'right']) {
            const [x, y] = [
              make(tnumValue(a.tnum), tnumMask(a.tnum)),
              make(tnumValue(b.tnum), tnumMask(b.tnum)),
            ];
            const out = target === 'left' ? x : y;
            abstract(out, x, y);
            expect([tnumValue(out), tnumMask(out)]).toEqual([tnumValue(apart), tnumMask(apart)]);
          }
        }
      }
    }
  });

  test('union, intersection, overlap and inclusion are those of the sets', () => {
    const all = allTnums(31n, 0n);
    const out = new Tnum();
    for (const a of all) {
      for (const b of all) {
        ops.tnumUnion(out, a.tnum, b.tnum);
        expect([...a.members, ...b.members].every((v) => member(out, v))).toBe(true);
        const common = a.members.filter((v) => b.members.includes(v));
        expect(ops.tnumOverlap(a.tnum, b.tnum)).toBe(common.length > 0);
        expect(tnumIn(a.tnum, b.tnum)).toBe(common.length === b.members.length);
        if (common.length === 0) continue;
        ops.tnumIntersect(out, a.tnum, b.tnum);
        expect(a.members.filter((v) => member(out, v))).toEqual(common);
      }
    }
  });
});

describe('shifts and casts of tnums', () => {
  test.each([0, 1, 5, 31, 32, 33, 63])('by %d', (n) => {
    for (const place of PLACES) {
      for (const { tnum, members } of allTnums(...place)) {
        const out = new Tnum();
        const check = (concrete: (v: bigint) => bigint): void => {
          expect(members.filter((v) => !member(out, asU64(concrete(v))))).toEqual([]);
        };
        ops.tnumShl(out, tnum, n);
        check((v) => v << BigInt(n));
        ops.tnumShr(out, tnum, n);
        check((v) => v >> BigInt(n));
        ops.tnumSar(out, tnum, n);
        check((v) => asS64(v) >> BigInt(n));
        if (n > 31) continue;
        ops.tnumSar32(out, tnum, n);
        check((v) => BigInt.asUintN(32, BigInt.asIntN(32, v) >> BigInt(n)));
      }
    }
  });

  test.each([1, 2, 4])('to %d bytes', (size) => {
    const out = new Tnum();
    ops.tnumCast(out, make(0x1122334455667700n, 0x80000000000000ffn), size);
    const bits = size * 8;
    expect(tnumValue(out)).toBe(BigInt.asUintN(bits, 0x1122334455667700n));
    expect(tnumMask(out)).toBe(BigInt.asUintN(bits, 0xffn));
  });
});

describe('ranges and steps', () => {
  test('tnumRange holds the range and no more bits than it needs', () => {
    const out = new Tnum();
    for (const base of [0n, 0xfffffff0n, 2n ** 63n - 8n, M64 - 15n]) {
      for (let a = 0n; a < 16n; a++) {
        for (let b = a; b < 16n; b++) {
          const [min, max] = [base + a, base + b];
          ops.tnumRange(
            out,
            Number(BigInt.asIntN(32, min >> 32n)),
            Number(BigInt.asIntN(32, min)),
            Number(BigInt.asIntN(32, max >> 32n)),
            Number(BigInt.asIntN(32, max)),
          );
          for (let v = min; v <= max; v++) expect(member(out, v)).toBe(true);
          const width = (min ^ max).toString(2).length;
          expect(tnumMask(out)).toBe(min === max ? 0n : 2n ** BigInt(width) - 1n);
        }
      }
    }
  });

  test('tnumStep finds the next member', () => {
    for (const place of PLACES) {
      for (const { tnum, members } of allTnums(...place)) {
        const sorted = [...members].sort((a, b) => (a < b ? -1 : 1));
        const probes = sorted.flatMap((v) => [asU64(v - 1n), v, asU64(v + 1n)]);
        for (const z of [0n, M64, 1n << 33n, ...probes]) {
          ops.tnumStep(tnum, Number(BigInt.asIntN(32, z >> 32n)), Number(BigInt.asIntN(32, z)));
          const next = sorted.find((v) => v > z) ?? sorted[sorted.length - 1];
          expect(toUnsignedBigInt(hi, lo)).toBe(next);
        }
      }
    }
  });

  test.each([
    [0n, 0n, 0, 8, true],
    [0n, 7n, 0, 8, false],
    [0n, 0xf8n, 0, 8, true],
    [2n, 0xf8n, -2, 8, true],
    [2n, 0xf8n, 2, 8, false],
    [1n, 0n, 0, 0, true],
    [3n, 0n, 1, 4, true],
    [0xffffffffn, 0n, 1, 4, true],
  ])('(%d; %d) + %d is a multiple of %d: %s', (value, mask, offset, size, aligned) => {
    expect(ops.tnumAligned(make(value, mask), offset, size)).toBe(aligned);
  });
});
