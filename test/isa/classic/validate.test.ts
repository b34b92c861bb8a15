/**
 * Wire format, checks and text of classic BPF.
 */
import { describe, expect, test } from '@jest/globals';
import {
  CLASSIC_OPCODES,
  ClassicError,
  checkClassic,
  checkSeccomp,
  classicListing,
  decodeClassic,
  encodeClassic,
  IsaDecodeError,
  IsaEncodeError,
  SKF_AD_OFF,
  type SockFilter,
} from '../../../src/isa/index.js';

function stmt(code: number, k = 0, jt = 0, jf = 0): SockFilter {
  return { code, jt, jf, k };
}

const RET = stmt(0x06, 0);

describe('wire format', () => {
  test.each([
    ['little', '1500010200080000'],
    ['big', '0015010200000800'],
  ] as const)('%s endian', (endian, hex) => {
    const bytes = Uint8Array.from(Buffer.from(hex, 'hex'));
    expect(decodeClassic(bytes, endian)).toEqual([stmt(0x15, 0x800, 1, 2)]);
    expect(encodeClassic([stmt(0x15, 0x800, 1, 2)], endian)).toEqual(bytes);
  });

  test('half instructions and oversized fields are refused', () => {
    expect(() => decodeClassic(new Uint8Array(12))).toThrow(IsaDecodeError);
    expect(() => encodeClassic([stmt(0x10000)])).toThrow(IsaEncodeError);
    expect(() => encodeClassic([stmt(0x15, 0, 256)])).toThrow(/jt 256/);
    expect(() => encodeClassic([stmt(0x06, -1)])).toThrow(/k -1/);
  });
});

/** [what, filter, code of the error, instruction at fault]. */
const REFUSED: readonly (readonly [string, SockFilter[], string, number | undefined])[] = [
  ['nothing', [], 'CLASSIC_LENGTH', undefined],
  ['4097 instructions', new Array(4097).fill(RET), 'CLASSIC_LENGTH', undefined],
  ['no ret', [stmt(0x00, 1)], 'CLASSIC_NO_RET', 0],
  ['ret x', [stmt(0x0e)], 'CLASSIC_OPCODE', 0],
  ['an opcode past 255', [stmt(0x106), RET], 'CLASSIC_OPCODE', 0],
  ['an opcode that only seccomp has inside', [stmt(0x21), RET], 'CLASSIC_OPCODE', 0],
  ['div #0', [stmt(0x34, 0), RET], 'CLASSIC_OPERAND', 0],
  ['mod #0', [stmt(0x94, 0), RET], 'CLASSIC_OPERAND', 0],
  ['lsh #32', [stmt(0x64, 32), RET], 'CLASSIC_OPERAND', 0],
  ['st M[16]', [RET, stmt(0x02, 16), RET], 'CLASSIC_OPERAND', 1],
  ['ja out', [stmt(0x05, 1), RET], 'CLASSIC_JUMP', 0],
  ['ja far out', [stmt(0x05, 0xffffffff), RET], 'CLASSIC_JUMP', 0],
  ['jt out', [stmt(0x15, 0, 1, 0), RET], 'CLASSIC_JUMP', 0],
  ['jf out', [stmt(0x15, 0, 0, 1), RET], 'CLASSIC_JUMP', 0],
  ['unknown ancillary', [stmt(0x20, SKF_AD_OFF + 64), RET], 'CLASSIC_OPERAND', 0],
  ['unaligned ancillary', [stmt(0x20, SKF_AD_OFF + 1), RET], 'CLASSIC_OPERAND', 0],
  ['M[0] read before it is written', [stmt(0x60, 0), RET], 'CLASSIC_UNINIT', 0],
  ['M[1] read where M[0] was written', [stmt(0x02, 0), stmt(0x61, 1), RET], 'CLASSIC_UNINIT', 1],
  [
    'M[0] written on one way only',
    [stmt(0x15, 0, 0, 1), stmt(0x02, 0), stmt(0x60, 0), RET],
    'CLASSIC_UNINIT',
    2,
  ],
  ['M[0] written on the way past', [stmt(0x05, 1), stmt(0x02, 0), stmt(0x60, 0), RET], 'CLASSIC_UNINIT', 2],
];

test.each(REFUSED)('refused: %s', (_what, filter, code, insn) => {
  const place = insn === undefined ? {} : { insn };
  expect(() => checkClassic(filter)).toThrow(expect.objectContaining({ code, place }));
  expect(() => checkSeccomp(filter)).toThrow(ClassicError);
});

const ACCEPTED: readonly (readonly [string, SockFilter[]])[] = [
  ['ret alone', [RET]],
  ['4096 instructions', new Array(4096).fill(RET)],
  ['lsh #31', [stmt(0x64, 31), RET]],
  ['negative packet offset', [stmt(0x20, 0xffe00000), RET]],
  ['header length at an ancillary offset', [stmt(0xb1, 0xffffffff), RET]],
  ['ja to the end', [stmt(0x05, 0), RET]],
  ['M[0] written on both ways', [stmt(0x02, 0), stmt(0x15, 0, 0, 1), stmt(0x02, 0), stmt(0x60, 0), RET]],
  ['a read that nothing reaches', [stmt(0x05, 1), stmt(0x60, 3), RET]],
];

test.each(ACCEPTED)('accepted: %s', (_what, filter) => {
  expect(() => checkClassic(filter)).not.toThrow();
});

/** [what, filter, whether seccomp takes it]. */
const SECCOMP: readonly (readonly [string, SockFilter, boolean])[] = [
  ['ld [0]', stmt(0x20, 0), true],
  ['ld [60]', stmt(0x20, 60), true],
  ['ld [64]', stmt(0x20, 64), false],
  ['ld [2]', stmt(0x20, 2), false],
  ['ld cpu', stmt(0x20, SKF_AD_OFF + 36), false],
  ['ldh [0]', stmt(0x28, 0), false],
  ['ld [x + 0]', stmt(0x40, 0), false],
  ['ldxb', stmt(0xb1, 0), false],
  ['mod #3', stmt(0x94, 3), false],
  ['div #3', stmt(0x34, 3), true],
  ['ld #len', stmt(0x80), true],
];

test.each(SECCOMP)('seccomp: %s', (_what, insn, ok) => {
  expect(() => checkClassic([insn, RET])).not.toThrow();
  if (ok) expect(() => checkSeccomp([insn, RET])).not.toThrow();
  else expect(() => checkSeccomp([insn, RET])).toThrow(expect.objectContaining({ code: 'CLASSIC_SECCOMP' }));
});

test('the table has as many opcodes as chk_code_allowed and seccomp_check_filter', () => {
  expect(new Set(CLASSIC_OPCODES.map((row) => row.code)).size).toBe(49);
  expect(CLASSIC_OPCODES).toHaveLength(49);
  expect(CLASSIC_OPCODES.filter((row) => row.seccomp)).toHaveLength(41);
});

test('text of bpf_asm', () => {
  const filter = [
    stmt(0x28, 12),
    stmt(0x15, 0x800, 0, 3),
    stmt(0xb1, 14),
    stmt(0x48, 16),
    stmt(0x1d, 0, 1, 0),
    stmt(0x30, SKF_AD_OFF + 4),
    stmt(0x80),
    stmt(0x01, 10),
    stmt(0x03, 2),
    stmt(0x60, 2),
    stmt(0x84),
    stmt(0x0c),
    stmt(0x54, 255),
    stmt(0x05, 0),
    stmt(0x16),
    stmt(0x06, 0xffff),
    stmt(0x1ff, 1),
  ];
  expect(classicListing(filter)).toEqual([
    'ldh [12]',
    'jeq #0x800, L2, L5',
    'L2: ldxb 4*([14]&0xf)',
    'ldh [x + 16]',
    'jeq x, L6, L5',
    'L5: ldb #type',
    'L6: ld #len',
    'ldx #0xa',
    'stx M[2]',
    'ld M[2]',
    'neg',
    'add x',
    'and #255',
    'jmp L14',
    'L14: ret a',
    'ret #65535',
    '.insn 0x1ff, 0, 0, 0x1',
  ]);
});
