/**
 * Wire format: both byte orders, 64-bit immediates, range checks, jump targets.
 */
import { describe, expect, test } from '@jest/globals';
import {
  decodeInsns,
  encodeInsns,
  functionTarget,
  IsaDecodeError,
  IsaEncodeError,
  imm64,
  insnStarts,
  jumpTarget,
  ldImm64,
  makeInsn,
} from '../../src/isa/index.js';

const INSN = { code: 0x7b, dst: 10, src: 1, off: -8, imm: -2 };

test.each([
  ['little', '7b1af8fffeffffff'],
  ['big', '7ba1fff8fffffffe'],
] as const)('%s endian', (endian, hex) => {
  const bytes = Uint8Array.from(Buffer.from(hex, 'hex'));
  expect(decodeInsns(bytes, endian)).toEqual([INSN]);
  expect(encodeInsns([INSN], endian)).toEqual(bytes);
});

test('a view into a larger buffer decodes', () => {
  const whole = new Uint8Array(24).fill(0xff);
  whole.set(encodeInsns([INSN]), 5);
  expect(decodeInsns(whole.subarray(5, 13))).toEqual([INSN]);
});

test('no bytes are no instructions', () => {
  expect(decodeInsns(new Uint8Array(0))).toEqual([]);
  expect(encodeInsns([])).toEqual(new Uint8Array(0));
});

test.each([1, 7, 9, 4095])('%i bytes are refused', (length) => {
  const error = expect(() => decodeInsns(new Uint8Array(length)));
  error.toThrow(IsaDecodeError);
  error.toThrow(expect.objectContaining({ code: 'ISA_TRUNCATED', place: { insn: length >> 3 } }));
});

test.each([
  ['code', 256],
  ['code', -1],
  ['dst', 16],
  ['src', 1.5],
  ['off', 0x8000],
  ['off', -0x8001],
  ['imm', 0x80000000],
  ['imm', Number.NaN],
] as const)('%s %d does not encode', (field, value) => {
  const encode = (): Uint8Array => encodeInsns([INSN, { ...INSN, [field]: value }]);
  expect(encode).toThrow(IsaEncodeError);
  expect(encode).toThrow(/insn 1: /);
});

describe('64-bit immediates', () => {
  test.each([0n, 1n, 0x7fffffffn, 0x80000000n, 0x123456789abcdef0n, 0xffffffffffffffffn])('%s', (value) => {
    expect(imm64(ldImm64(3, value), 0)).toBe(value);
  });

  test('negative values wrap', () => {
    expect(imm64(ldImm64(3, -5n), 0)).toBe(2n ** 64n - 5n);
  });

  test('only LD_IMM64 has one, and it takes two slots', () => {
    expect(() => imm64([INSN, INSN], 0)).toThrow(expect.objectContaining({ code: 'ISA_NOT_LD_IMM64' }));
    expect(() => imm64([ldImm64(1, 0n)[0]], 0)).toThrow(expect.objectContaining({ code: 'ISA_TRUNCATED' }));
    expect(() => imm64([], 3)).toThrow(IsaDecodeError);
  });

  test('second slots are no starts, even where they look like LD_IMM64', () => {
    const pair = ldImm64(1, 0n);
    expect(insnStarts([...pair, INSN, ...pair])).toEqual([true, false, true, true, false]);
    expect(insnStarts([pair[0], pair[0], pair[0]])).toEqual([true, false, true]);
  });
});

test.each([
  ['ja', { off: -3 }, 3],
  ['gotol', { imm: 70000 }, 70006],
  ['may_goto', { off: 2 }, 8],
  ['jset32_reg', { off: 0 }, 6],
  ['call_local', { imm: -6 }, 0],
  ['call_helper', { imm: 1 }, undefined],
  ['callx', {}, undefined],
  ['gotox', {}, undefined],
  ['add64_imm', { imm: 4 }, undefined],
] as const)('%s %o at slot 5 leads to %s', (name, operands, target) => {
  expect(jumpTarget(makeInsn(name, operands), 5)).toBe(target);
});

test.each([
  ['call_local', { imm: 2 }, 8],
  ['ld_imm64_func', { imm: 2 }, 8],
  ['ld_imm64_map_fd', { imm: 2 }, undefined],
  ['ja', { off: 2 }, undefined],
] as const)('%s %o at slot 5 names the function at %s', (name, operands, target) => {
  expect(functionTarget(makeInsn(name, operands), 5)).toBe(target);
});

test('unknown names build nothing', () => {
  expect(() => makeInsn('add128_imm')).toThrow(expect.objectContaining({ code: 'ISA_UNKNOWN_NAME' }));
});
