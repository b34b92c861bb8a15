/** What single instructions compute, on every loop of the core. */
import { describe, expect, test } from '@jest/globals';
import { LOOPS, runText } from './support.js';

const MIN64 = '0x8000000000000000 ll';

/** [program without its exit, r0, instructions executed with it] */
const ROWS: readonly (readonly [string, bigint, number])[] = [
  ['r0 = 7', 7n, 2],
  ['r0 = -1', 0xffffffffffffffffn, 2],
  ['w0 = -1', 0xffffffffn, 2],
  ['r0 = 0x123456789abcdef0 ll', 0x123456789abcdef0n, 2],
  ['r0 = 5; r0 += 3; r0 -= 10', 0xfffffffffffffffen, 4],
  ['r0 = -1; w0 += 1', 0n, 3],
  ['r0 = 6; r1 = 7; r0 *= r1', 42n, 4],
  ['r0 = -10; r1 = 3; r0 /= r1', 0x5555555555555552n, 4],
  ['r0 = -10; r1 = 3; r0 s/= r1', 0xfffffffffffffffdn, 4],
  ['r0 = -10; r1 = 3; r0 s%= r1', 0xffffffffffffffffn, 4],
  ['r0 = -10; r1 = 0; r0 /= r1', 0n, 4],
  ['r0 = -10; r1 = 0; r0 %= r1', 0xfffffffffffffff6n, 4],
  ['r0 = -10; r1 = 0; r0 s/= r1', 0n, 4],
  ['r0 = -10; r1 = 0; w0 %= w1', 0xfffffff6n, 4],
  ['r0 = -10; r1 = 0; w0 s/= w1', 0n, 4],
  [`r0 = ${MIN64}; r1 = -1; r0 s/= r1`, 0x8000000000000000n, 4],
  [`r0 = ${MIN64}; r1 = -1; r0 s%= r1`, 0n, 4],
  ['w0 = 0x80000000; w1 = -1; w0 s/= w1', 0x80000000n, 4],
  ['w0 = 0x80000000; w1 = -1; w0 s%= w1', 0n, 4],
  ['r0 = 1; r1 = 65; r0 <<= r1', 2n, 4],
  ['r0 = 1; r1 = 33; w0 <<= w1', 2n, 4],
  ['r0 = -8; r1 = 1; r0 >>= r1', 0x7ffffffffffffffcn, 4],
  ['r0 = -8; r0 s>>= 1', 0xfffffffffffffffcn, 3],
  ['r0 = -8; w0 s>>= 1', 0xfffffffcn, 3],
  ['r0 = -8; w0 >>= 1', 0x7ffffffcn, 3],
  ['r0 = 12; r0 &= 10; r0 |= 1; r0 ^= -1', 0xfffffffffffffff6n, 5],
  ['r0 = 5; r0 = -r0', 0xfffffffffffffffbn, 3],
  ['r0 = 5; w0 = -w0', 0xfffffffbn, 3],
  ['r1 = 0x80; r0 = (s8)r1', 0xffffffffffffff80n, 3],
  ['r1 = 0x8000; r0 = (s16)r1', 0xffffffffffff8000n, 3],
  ['w1 = 0x80000000; r0 = (s32)r1', 0xffffffff80000000n, 3],
  ['r1 = 0x80; w0 = (s8)w1', 0xffffff80n, 3],
  ['r1 = -1; w0 = w1', 0xffffffffn, 3],
  ['r0 = 0x1122334455667788 ll; r0 = be16 r0', 0x8877n, 3],
  ['r0 = 0x1122334455667788 ll; r0 = be32 r0', 0x88776655n, 3],
  ['r0 = 0x1122334455667788 ll; r0 = be64 r0', 0x8877665544332211n, 3],
  ['r0 = 0x1122334455667788 ll; r0 = le16 r0', 0x7788n, 3],
  ['r0 = 0x1122334455667788 ll; r0 = le64 r0', 0x1122334455667788n, 3],
  ['r0 = 0x1122334455667788 ll; r0 = bswap16 r0', 0x8877n, 3],
  ['r0 = 0x1122334455667788 ll; r0 = bswap64 r0', 0x8877665544332211n, 3],
  ['r0 = 0x1122334455667788 ll; r0 = addr_space_cast(r0, 0x1, 0x0)', 0x55667788n, 3],
  ['r1 = -2; *(u64 *)(r10 - 8) = r1; r0 = *(u8 *)(r10 - 8)', 0xfen, 4],
  ['r1 = -2; *(u64 *)(r10 - 8) = r1; r0 = *(s8 *)(r10 - 8)', 0xfffffffffffffffen, 4],
  ['r1 = -2; *(u64 *)(r10 - 8) = r1; r0 = *(u16 *)(r10 - 8)', 0xfffen, 4],
  ['r1 = -2; *(u64 *)(r10 - 8) = r1; r0 = *(s16 *)(r10 - 8)', 0xfffffffffffffffen, 4],
  ['r1 = -2; *(u64 *)(r10 - 8) = r1; r0 = *(u32 *)(r10 - 8)', 0xfffffffen, 4],
  ['r1 = -2; *(u64 *)(r10 - 8) = r1; r0 = *(s32 *)(r10 - 8)', 0xfffffffffffffffen, 4],
  ['*(u64 *)(r10 - 8) = 0; *(u8 *)(r10 - 7) = 0x1ff; r0 = *(u64 *)(r10 - 8)', 0xff00n, 4],
  ['*(u64 *)(r10 - 8) = -1; r0 = *(u64 *)(r10 - 8)', 0xffffffffffffffffn, 3],
  ['*(u64 *)(r10 - 8) = 0; *(u32 *)(r10 - 8) = -1; r0 = *(u64 *)(r10 - 8)', 0xffffffffn, 4],
  ['*(u64 *)(r10 - 8) = 0; *(u16 *)(r10 - 8) = -1; r0 = *(u64 *)(r10 - 8)', 0xffffn, 4],
  ['r0 = 1; goto +1; r0 = 2', 1n, 3],
  ['r0 = 1; gotol +1; r0 = 2', 1n, 3],
];

const COMPARISONS: readonly (readonly [string, bigint, bigint, boolean])[] = [
  ['==', 1n, 1n, true],
  ['!=', 1n, 1n, false],
  ['>', -1n, 1n, true],
  ['>=', 1n, 1n, true],
  ['<', -1n, 1n, false],
  ['<=', 1n, 2n, true],
  ['s>', -1n, 1n, false],
  ['s>=', 1n, -1n, true],
  ['s<', -1n, 1n, true],
  ['s<=', 2n, 1n, false],
  ['&', 6n, 1n, false],
  ['&', 6n, 2n, true],
];

describe.each(LOOPS)('%s', (_name, options) => {
  test.each(ROWS)('%s', (text, r0, instructions) => {
    expect(runText(`${text.replaceAll(';', '\n')}\nexit`, options)).toEqual({ r0, instructions });
  });

  test.each(COMPARISONS)('if %s of %d and %d', (op, x, y, taken) => {
    for (const w of ['r', 'w']) {
      for (const operand of [`${w}2`, `${y}`]) {
        const text = `r1 = ${x}\nr2 = ${y}\nr0 = 1\nif ${w}1 ${op} ${operand} goto +1\nr0 = 0\nexit`;
        expect(runText(text, options)).toEqual({ r0: taken ? 1n : 0n, instructions: taken ? 5 : 6 });
      }
    }
  });

  test('comparisons of w registers ignore the high half', () => {
    const head = 'r1 = 0x100000001 ll\nr0 = 0\n';
    expect(runText(`${head}if w1 == 1 goto +1\nexit\nr0 = 1\nexit`, options).r0).toBe(1n);
    expect(runText(`${head}if r1 == 1 goto +1\nexit\nr0 = 1\nexit`, options).r0).toBe(0n);
  });

  test('a loop counts every instruction', () => {
    const text = 'r0 = 0\nr1 = 1000\nr0 += r1\nr1 -= 1\nif r1 != 0 goto -3\nexit';
    expect(runText(text, options)).toEqual({ r0: 500500n, instructions: 3003 });
  });
});
