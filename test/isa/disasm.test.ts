/**
 * Text of instructions: the LLVM column is what llvm-objdump-19 prints for the bytes, the kernel column
 * what Linux 6.18 prints in its log (both were run over these and thousands more).
 */
import { describe, expect, test } from '@jest/globals';
import {
  assemble,
  type DisasmOptions,
  decodeInsns,
  disasmInsn,
  disassemble,
  jumpTargets,
} from '../../src/isa/index.js';

/** [bytes, llvm-objdump -d, llvm-objdump -d --mcpu=v4 where it differs, kernel log]. */
const TEXTS: readonly (readonly [string, string, string | undefined, string])[] = [
  ['b700000001000000', 'r0 = 0x1', undefined, '(b7) r0 = 1'],
  ['b7000000ffffffff', 'r0 = -0x1', undefined, '(b7) r0 = -1'],
  ['bc10000000000000', 'w0 = w1', undefined, '(bc) w0 = w1'],
  ['07000000ffffff7f', 'r0 += 0x7fffffff', undefined, '(07) r0 += 2147483647'],
  ['3f10010000000000', 'r0 s/= r1', undefined, '(3f) r0 s/= r1'],
  ['9400010005000000', 'w0 s%= 0x5', undefined, '(94) w0 s%= 5'],
  ['bf21080000000000', 'r1 = (s8)r2', undefined, '(bf) r1 = (s8)r2'],
  ['bc21100000000000', 'w1 = (s16)w2', undefined, '(bc) w1 = (s16)w2'],
  ['d701000010000000', 'r1 = bswap16 r1', undefined, '(d7) r1 = bswap16 r1'],
  ['dc01000010000000', 'r1 = be16 r1', undefined, '(dc) r1 = be16 r1'],
  ['d401000040000000', 'r1 = le64 r1', undefined, '(d4) r1 = le64 r1'],
  ['8401000000000000', 'w1 = -w1', undefined, '(84) w1 = -w1'],
  ['c400000004000000', 'w0 s>>= 0x4', undefined, '(c4) w0 s>>= 4'],
  ['0500fcff00000000', 'goto -0x4', undefined, '(05) goto pc-4'],
  ['0600000004000000', 'gotol +0x4', undefined, '(06) gotol pc+4'],
  ['e500050000000000', 'may_goto +0x5', undefined, '(e5) may_goto pc+5'],
  ['1501030005000000', 'if r1 == 0x5 goto +0x3', undefined, '(15) if r1 == 0x5 goto pc+3'],
  ['6501fdfffbffffff', 'if r1 s> -0x5 goto -0x3', undefined, '(65) if r1 s> 0xfffffffb goto pc-3'],
  ['de51fdff00000000', 'if w1 s<= w5 goto -0x3', undefined, '(de) if w1 s<= w5 goto pc-3'],
  ['4501030005000000', 'if r1 & 0x5 goto +0x3', undefined, '(45) if r1 & 0x5 goto pc+3'],
  ['7121000000000000', 'r1 = *(u8 *)(r2 + 0x0)', 'w1 = *(u8 *)(r2 + 0x0)', '(71) r1 = *(u8 *)(r2 +0)'],
  ['7921fbff00000000', 'r1 = *(u64 *)(r2 - 0x5)', undefined, '(79) r1 = *(u64 *)(r2 -5)'],
  ['8921000000000000', 'r1 = *(s16 *)(r2 + 0x0)', undefined, '(89) r1 = *(s16 *)(r2 +0)'],
  ['7312000000000000', '*(u8 *)(r2 + 0x0) = r1', '*(u8 *)(r2 + 0x0) = w1', '(73) *(u8 *)(r2 +0) = r1'],
  ['7a02f8fffbffffff', '*(u64 *)(r2 - 0x8) = -0x5', undefined, '(7a) *(u64 *)(r2 -8) = -5'],
  ['db12000050000000', 'lock *(u64 *)(r2 + 0x0) &= r1', undefined, '(db) lock *(u64 *)(r2 +0) &= r1'],
  [
    'c312000000000000',
    'lock *(u32 *)(r2 + 0x0) += r1',
    'lock *(u32 *)(r2 + 0x0) += w1',
    '(c3) lock *(u32 *)(r2 +0) += r1',
  ],
  [
    'db12000001000000',
    'r1 = atomic_fetch_add((u64 *)(r2 + 0x0), r1)',
    undefined,
    '(db) r1 = atomic64_fetch_add((u64 *)(r2 +0), r1)',
  ],
  [
    'c312f8ff41000000',
    '<unknown>',
    'w1 = atomic_fetch_or((u32 *)(r2 - 0x8), w1)',
    '(c3) r1 = atomic_fetch_or((u32 *)(r2 -8), r1)',
  ],
  [
    'db120800e1000000',
    'r1 = xchg_64(r2 + 0x8, r1)',
    undefined,
    '(db) r1 = atomic64_xchg((u64 *)(r2 +8), r1)',
  ],
  [
    'c3120800f1000000',
    '<unknown>',
    'w0 = cmpxchg32_32(r2 + 0x8, w0, w1)',
    '(c3) r0 = atomic_cmpxchg((u32 *)(r2 +8), r0, r1)',
  ],
  [
    'bf21010001000000',
    'r1 = addr_space_cast(r2, 0x0, 0x1)',
    undefined,
    '(bf) r1 = addr_space_cast(r2, 0, 1)',
  ],
  ['1801000005000000 0000000000000000', 'r1 = 0x5 ll', undefined, '(18) r1 = 0x5'],
  ['18010000fbffffff 00000000ffffffff', 'r1 = -0x5 ll', undefined, '(18) r1 = 0xfffffffffffffffb'],
  ['1811000005000000 0000000000000000', 'ld_pseudo\tr1, 0x1, 0x5', undefined, '(18) r1 = 0x5'],
  ['1861000005000000 0000000007000000', 'ld_pseudo\tr1, 0x6, 0x5', undefined, '(18) r1 = 0x700000005'],
  ['3000000005000000', 'r0 = *(u8 *)skb[0x5]', undefined, '(30) r0 = *(u8 *)skb[5]'],
  ['4050000004000000', 'r0 = *(u32 *)skb[r5]', undefined, '(40) r0 = *(u32 *)skb[r5 + 4]'],
  ['8500000005000000', 'call 0x5', undefined, '(85) call bpf_ktime_get_ns#5'],
  ['8510000002000000', 'call 0x2', undefined, '(85) call pc+2'],
  ['85200300d2040000', 'call 0x4d2', undefined, '(85) call kernel-function#1234'],
  ['8d03000000000000', 'callx r3', undefined, '(8d) callx r3'],
  ['9500000000000000', 'exit', undefined, '(95) exit'],
  ['ff00000000000000', '<unknown>', undefined, 'BUG_ff'],
  ['070c000001000000', '<unknown>', undefined, '(07) r12 += 1'],
];

const helperName = (id: number): string | undefined => (id === 5 ? 'bpf_ktime_get_ns' : undefined);

function textOf(hex: string, options: DisasmOptions): string {
  return disasmInsn(decodeInsns(Buffer.from(hex.replace(' ', ''), 'hex')), 0, options);
}

describe.each(TEXTS)('%s', (hex, llvm, alu32, kernel) => {
  test('as llvm-objdump', () => expect(textOf(hex, { literal: true })).toBe(llvm));
  test('as llvm-objdump --mcpu=v4', () => {
    expect(textOf(hex, { literal: true, alu32: true })).toBe(alu32 ?? llvm);
  });
  test('as the kernel', () => {
    expect(textOf(hex, { dialect: 'kernel', literal: true, helperName })).toBe(kernel);
  });
});

/** Where neither tool's words would do: [bytes, llvm dialect, kernel dialect]. */
const OWN_WORDS: readonly (readonly [string, string, string])[] = [
  ['8510000002000000', 'call pc+0x2', '(85) call pc+2'],
  ['85200000d2040000', 'call kfunc 0x4d2', '(85) call kfunc kernel-function#1234'],
  ['85200300d2040000', 'call kfunc 0x4d2, fd 0x3', '(85) call kfunc kernel-function#1234, fd 3'],
  ['4050000004000000', 'r0 = *(u32 *)skb[r5 + 0x4]', '(40) r0 = *(u32 *)skb[r5 + 4]'],
  ['1811000005000000 0000000000000000', 'ld_pseudo\tr1, 0x1, 0x5', '(18) r1 = map[fd:5]'],
  ['1821000005000000 0000000008000000', 'ld_pseudo\tr1, 0x2, 0x5, 0x8', '(18) r1 = map[fd:5][0]+8'],
  ['1831000005000000 0000000003000000', 'ld_pseudo\tr1, 0x3, 0x5, 0x3', '(18) r1 = btf_id[5, fd 3]'],
  ['1841000005000000 0000000000000000', 'ld_pseudo\tr1, 0x4, 0x5', '(18) r1 = subprog[+5]'],
  ['1851000005000000 0000000000000000', 'ld_pseudo\tr1, 0x5, 0x5', '(18) r1 = map[idx:5]'],
  ['1861000005000000 0000000008000000', 'ld_pseudo\tr1, 0x6, 0x5, 0x8', '(18) r1 = map[idx:5][0]+8'],
  ['9500010000000000', '.insn 0x95, 0, 0, 1, 0', '.insn 0x95, 0, 0, 1, 0'],
  ['db21000000010000', 'r1 = load_acquire((u64 *)(r2 + 0x0))', '(db) r1 = load_acquire((u64 *)(r2 +0))'],
  ['d321000010010000', 'store_release((u8 *)(r1 + 0x0), w2)', '(d3) store_release((u8 *)(r1 +0), r2)'],
];

test.each(OWN_WORDS)('%s in words of our own', (hex, llvm, kernel) => {
  expect(textOf(hex, {})).toBe(llvm);
  expect(textOf(hex, { dialect: 'kernel' })).toBe(kernel);
});

test('names come from the caller', () => {
  const insns = assemble('goto +1\nr0 = 0\nr1 = map[fd:2]\ncall kfunc 7\nexit');
  const options: DisasmOptions = {
    targetName: (slot) => `slot${slot}`,
    immName: (_, slot) => (slot === 2 ? 'events' : undefined),
    kfuncName: () => 'bpf_obj_new',
  };
  expect(disassemble(insns, options)[0]!.text).toBe('goto +0x1 <slot2>');
  expect(disassemble(insns, options)[2]!.text).toBe('r1 = events ll');
  expect(disassemble(insns, { ...options, dialect: 'kernel' }).map((line) => line.text)).toEqual([
    '(05) goto pc+1',
    '(b7) r0 = 0',
    '(18) r1 = events',
    '(85) call kfunc bpf_obj_new#7',
    '(95) exit',
  ]);
});

test('LD_IMM64 takes two slots, and one where it is cut off', () => {
  const insns = assemble('r1 = 5 ll\nexit\nr1 = 5 ll');
  const slots = (upTo: number): number[][] => disassemble(insns.slice(0, upTo)).map((l) => [l.slot, l.slots]);
  expect(slots(5)).toEqual([
    [0, 2],
    [2, 1],
    [3, 2],
  ]);
  expect(slots(4)).toEqual([
    [0, 2],
    [2, 1],
    [3, 1],
  ]);
  expect(disasmInsn(insns.slice(0, 4), 3, { literal: true })).toBe('<unknown>');
});

test('targets of jumps and calls', () => {
  expect(jumpTargets(assemble('L:\nif r1 == 1 goto M\nr1 = 1 ll\ncall M\ngoto L\nM:\nexit'))).toEqual([0, 5]);
});
