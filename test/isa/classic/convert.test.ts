/**
 * Conversion of classic BPF: what each instruction becomes, and that what comes out computes the same.
 */
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  ANCILLARY,
  assertEncoding,
  CLASSIC_OPCODES,
  ClassicError,
  checkClassic,
  classicCallId,
  classicCallOf,
  convertClassic,
  decodeClassic,
  disassemble,
  SKB_OFFSETS,
  SKF_AD_OFF,
  type SockFilter,
} from '../../../src/isa/index.js';
import { runClassic, runConverted, type World } from './machine.js';

function stmt(code: number, k = 0, jt = 0, jf = 0): SockFilter {
  return { code, jt, jf, k };
}

const RET = stmt(0x16);

function textOf(filter: readonly SockFilter[], context?: 'socket' | 'seccomp'): string[] {
  const { insns } = convertClassic(filter, context === undefined ? {} : { context });
  assertEncoding(insns);
  return disassemble(insns, { dialect: 'kernel' }).map((line) => line.text.slice(5));
}

test('the prologue clears A and X and keeps the context', () => {
  expect(textOf([stmt(0x06, 7)])).toEqual(['w0 = 0', 'w7 = 0', 'r6 = r1', 'w0 = 7', 'exit']);
});

/** [what, the instruction, what becomes of it]; a `ret a` follows. */
const BECOMES: readonly (readonly [string, SockFilter, readonly string[]])[] = [
  ['ld #imm', stmt(0x00, 0xffffffff), ['w0 = -1']],
  ['ldx #imm', stmt(0x01, 5), ['w7 = 5']],
  ['ld M[3]', stmt(0x60, 3), ['r0 = *(u32 *)(r10 -16)']],
  ['stx M[15]', stmt(0x03, 15), ['*(u32 *)(r10 -64) = r7']],
  ['add #k', stmt(0x04, 0x80000000), ['w0 += -2147483648']],
  ['sub x', stmt(0x1c, 99), ['w0 -= w7']],
  ['neg', stmt(0x84, 99), ['w0 = -w0']],
  ['div x', stmt(0x3c), ['if r7 != 0x0 goto pc+2', 'w0 = 0', 'exit', 'w0 /= w7']],
  ['mod #k', stmt(0x94, 10), ['w0 %= 10']],
  ['ld [12]', stmt(0x20, 12), ['r0 = *(u32 *)skb[12]']],
  ['ldh [-2]: link layer', stmt(0x28, 0xffeffffe), ['r0 = *(u16 *)skb[-1048578]']],
  ['ldb [x + 4]', stmt(0x50, 4), ['r0 = *(u8 *)skb[r7 + 4]']],
  [
    'ldxb 4*([14]&0xf)',
    stmt(0xb1, 14),
    ['r7 = r0', 'r0 = *(u8 *)skb[14]', 'w0 &= 15', 'w0 <<= 2', 'r2 = r7', 'r7 = r0', 'r0 = r2'],
  ],
  ['ld #len', stmt(0x80), ['r0 = *(u32 *)(r6 +0)']],
  ['ldx #len', stmt(0x81), ['r7 = *(u32 *)(r6 +0)']],
  ['tax', stmt(0x07), ['r7 = r0']],
  ['txa', stmt(0x87), ['r0 = r7']],
  ['jeq #5, next, next', stmt(0x15, 5), ['if r0 == 0x5 goto pc+0']],
  ['proto', stmt(0x28, SKF_AD_OFF), ['r0 = *(u32 *)(r6 +16)', 'r0 = be16 r0']],
  ['mark', stmt(0x20, SKF_AD_OFF + 20), ['r0 = *(u32 *)(r6 +8)']],
  ['xor x', stmt(0x20, SKF_AD_OFF + 40), ['w0 ^= w7']],
  [
    'ifidx',
    stmt(0x20, SKF_AD_OFF + 8),
    ['r2 = *(u32 *)(r6 +40)', 'if r2 != 0x0 goto pc+1', 'exit', 'r0 = r2'],
  ],
  [
    'cpu',
    stmt(0x20, SKF_AD_OFF + 36),
    ['r1 = r6', 'r2 = r0', 'r3 = r7', `call unknown#${classicCallId('cpu')}`],
  ],
];

test.each(BECOMES)('%s', (_what, insn, becomes) => {
  // A scratch word must have been written before it is read.
  const filter = insn.code === 0x60 ? [stmt(0x02, insn.k), insn, RET] : [insn, RET];
  const text = textOf(filter).slice(3, -1);
  expect(insn.code === 0x60 ? text.slice(1) : text).toEqual(becomes);
});

/** [what, comparison in front of three returns, what becomes of it]. */
const JUMPS: readonly (readonly [string, SockFilter, readonly string[]])[] = [
  ['jf 0', stmt(0x25, 5, 2, 0), ['if r0 > 0x5 goto pc+4']],
  ['jt 0, inverted', stmt(0x15, 5, 0, 1), ['if r0 != 0x5 goto pc+2']],
  ['jt 0, jgt inverted', stmt(0x25, 5, 0, 1), ['if r0 <= 0x5 goto pc+2']],
  ['jt 0, jge inverted', stmt(0x3d, 5, 0, 1), ['if r0 < r7 goto pc+2']],
  ['jt 0, jset has no inverse', stmt(0x45, 5, 0, 1), ['if r0 & 0x5 goto pc+1', 'goto pc+2']],
  ['both ways', stmt(0x35, 5, 1, 2), ['if r0 >= 0x5 goto pc+3', 'goto pc+4']],
  ['unsigned operand', stmt(0x15, 0x80000000, 1, 0), ['w2 = -2147483648', 'if r0 == r2 goto pc+2']],
  ['ja', stmt(0x05, 2), ['goto pc+4']],
];

test.each(JUMPS)('jump: %s', (_what, insn, becomes) => {
  const filter = [insn, stmt(0x06, 1), stmt(0x06, 2), stmt(0x06, 3)];
  expect(textOf(filter).slice(3, -6)).toEqual(becomes);
});

test('seccomp filters read struct seccomp_data', () => {
  const filter = [
    stmt(0x20, 4),
    stmt(0x15, 0xc000003e, 0, 1),
    stmt(0x80),
    stmt(0x81),
    stmt(0x06, 0x7fff0000),
  ];
  expect(textOf(filter, 'seccomp').slice(3)).toEqual([
    'r0 = *(u32 *)(r6 +4)',
    'w2 = -1073741762',
    'if r0 != r2 goto pc+1',
    'w0 = 64',
    'w7 = 64',
    'w0 = 2147418112',
    'exit',
  ]);
});

test('slots, calls and call numbers are reported', () => {
  const filter = [stmt(0x20, SKF_AD_OFF + 56), stmt(0x20, SKF_AD_OFF + 12), stmt(0x06, 0)];
  const { slots, calls, insns } = convertClassic(filter, { callId: (name) => (name === 'rand' ? 7 : 1000) });
  expect(slots).toEqual([3, 7, 11]);
  expect([...calls]).toEqual(['rand', 'nla']);
  expect(insns.filter((insn) => insn.code === 0x85).map((insn) => insn.imm)).toEqual([7, 1000]);
  expect(classicCallOf(classicCallId('hatype'))).toBe('hatype');
  expect(classicCallOf(7)).toBeUndefined();
});

test('a filter whose jumps Linux cannot encode is refused', () => {
  const filter = [stmt(0x05, 4000), ...new Array(4000).fill(stmt(0x30, 0)), RET];
  expect(() => convertClassic(filter)).toThrow(/insn 0: jump by 4000 is \d+ instructions/);
  expect(() => convertClassic([stmt(0x05, 2500), ...filter.slice(1501)])).not.toThrow();
});

describe('converted filters compute what the classic ones do', () => {
  const world: World = {
    packet: Uint8Array.from({ length: 40 }, (_, i) => (i * 37 + 11) & 0xff),
    skb: {
      [SKB_OFFSETS.len]: 40,
      [SKB_OFFSETS.pktType]: 3,
      [SKB_OFFSETS.mark]: 0x9234aaaa,
      [SKB_OFFSETS.queueMapping]: 123,
      [SKB_OFFSETS.protocol]: 0x0008,
      [SKB_OFFSETS.vlanPresent]: 1,
      [SKB_OFFSETS.vlanTci]: 0xffff,
      [SKB_OFFSETS.vlanProto]: 0x0081,
      [SKB_OFFSETS.ifindex]: 577,
      [SKB_OFFSETS.hash]: 0xfffffff0,
    },
    call: (name, a, x) => (a * 3 + x * 5 + name.length * 0x11111111) >>> 0,
  };
  const noDevice: World = { ...world, skb: { ...world.skb, [SKB_OFFSETS.ifindex]: 0 } };
  const operand = fc.oneof(
    fc.nat(45),
    fc.constantFrom(0xffffffff, 0x80000000, 0x7fffffff),
    fc.constantFrom(...ANCILLARY.map((_, i) => SKF_AD_OFF + 4 * i)),
  );
  const anyStmt: fc.Arbitrary<SockFilter> = fc.record({
    code: fc.constantFrom(...CLASSIC_OPCODES.map((row) => row.code)),
    jt: fc.nat(4),
    jf: fc.nat(4),
    k: operand,
  });
  const mends: readonly (readonly [number[], number])[] = [
    [[0x02, 0x03, 0x60, 0x61], 16],
    [[0x05], 3],
    [[0x64, 0x74], 32],
  ];
  /** Every scratch word is written first; operands are cut down to what the checks allow. */
  const filters = fc.array(anyStmt, { maxLength: 20 }).map((body) => {
    const mended = body.map((insn) => {
      const limit = mends.find(([codes]) => codes.includes(insn.code))?.[1];
      const strayAncillary = [0x20, 0x28, 0x30].includes(insn.code) && insn.k > SKF_AD_OFF + 60;
      const k = limit === undefined ? (strayAncillary ? insn.k % 46 : insn.k) : insn.k % limit;
      return { ...insn, k: [0x34, 0x94].includes(insn.code) ? (k | 1) >>> 0 : k };
    });
    const stores = Array.from({ length: 16 }, (_, k) => stmt(0x02, k));
    return [...stores, ...mended, RET, RET, RET, RET, RET];
  });

  test.each([
    ['with a device', world],
    ['without', noDevice],
  ])('%s', (_name, seen) => {
    fc.assert(
      fc.property(filters, (filter) => {
        const { insns } = convertClassic(filter);
        assertEncoding(insns);
        expect(runConverted(insns, seen)).toBe(runClassic(filter, seen));
      }),
      { numRuns: 1500 },
    );
  });
});

test('any bytes are refused with a ClassicError or converted to a sound program', () => {
  let converted = 0;
  const code = fc.constantFrom(...CLASSIC_OPCODES.map((row) => row.code), 0x0e, 0x1ff);
  const insn = fc.record({ code, jt: fc.nat(3), jf: fc.nat(3), k: fc.oneof(fc.nat(20), fc.nat(0xffffffff)) });
  fc.assert(
    fc.property(fc.array(insn, { maxLength: 6 }), fc.boolean(), (body, seccomp) => {
      try {
        assertEncoding(convertClassic([...body, RET], { context: seccomp ? 'seccomp' : 'socket' }).insns);
        converted++;
      } catch (error) {
        expect(error).toBeInstanceOf(ClassicError);
      }
    }),
    { numRuns: 1000 },
  );
  expect(converted).toBeGreaterThan(50);
  expect(() => checkClassic(decodeClassic(new Uint8Array(4097 * 8)))).toThrow(ClassicError);
});
