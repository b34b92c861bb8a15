/**
 * Reserved fields and unknown opcodes, in the words of Linux 6.18 (recorded from the running kernel by
 * test/oracle/isa-sweep.ts, which compares 20,000 programs).
 */
import { describe, expect, test } from '@jest/globals';
import {
  assemble,
  assertEncoding,
  checkInsn,
  checkOperands,
  checkRegisters,
  checkReserved,
  checkStatic,
  type Insn,
  IsaInsnError,
  makeInsn,
  OPCODES,
} from '../../src/isa/index.js';

const ZERO: Insn = { code: 0, dst: 0, src: 0, off: 0, imm: 0 };

function insn(code: number, fields: Partial<Insn> = {}): Insn {
  return { ...ZERO, code, ...fields };
}

const STATIC: readonly (readonly [string, Insn[], string | undefined])[] = [
  ['zero opcode', [ZERO], 'unknown opcode 00'],
  ['0xff', [insn(0xff)], 'unknown opcode ff'],
  ['indirect jump (later kernels)', [insn(0x0d)], 'unknown opcode 0d'],
  ['indirect call (LLVM)', [insn(0x8d)], 'unknown opcode 8d'],
  ['ALU64 byte swap to big endian', [insn(0xdf)], 'unknown opcode df'],
  ['sign-extending 64-bit load', [insn(0x99)], 'unknown opcode 99'],
  ['LDX of another mode', [insn(0xa1)], 'BPF_LDX uses reserved fields'],
  ['LDX with imm', [insn(0x61, { imm: 1 })], 'BPF_LDX uses reserved fields'],
  ['LD_IMM64 cut off', [insn(0x18)], 'invalid bpf_ld_imm64 insn'],
  ['LD_IMM64 before an instruction', [insn(0x18), insn(0x95)], 'invalid bpf_ld_imm64 insn'],
  [
    'LD_IMM64 with a register in its second slot',
    [insn(0x18), insn(0, { dst: 1 })],
    'invalid bpf_ld_imm64 insn',
  ],
  ['LD_IMM64 with off in its second slot', [insn(0x18), insn(0, { off: 1 })], 'invalid bpf_ld_imm64 insn'],
  ['LD_IMM64 source 7', [insn(0x18, { src: 7 }), ZERO], 'unrecognized bpf_ld_imm64 insn'],
  [
    'map fd with an upper half',
    [insn(0x18, { src: 1 }), insn(0, { imm: 1 })],
    'unrecognized bpf_ld_imm64 insn',
  ],
  ['map value with an offset', [insn(0x18, { src: 2 }), insn(0, { imm: 8 })], undefined],
  ['function with an upper half', [insn(0x18, { src: 4 }), insn(0, { imm: 8 })], undefined],
  ['plain value', [insn(0x18), insn(0, { imm: -1 })], undefined],
  ['8-bit load-acquire', [insn(0xd3, { imm: 0x100 })], undefined],
];

test.each(STATIC)('static: %s', (_what, insns, message) => {
  expect(checkStatic(insns, 0)).toBe(message);
});

const RESERVED: readonly (readonly [string, Insn, string | undefined])[] = [
  ['add with off', insn(0x07, { off: 1 }), 'BPF_ALU uses reserved fields'],
  ['add imm with src', insn(0x07, { src: 1 }), 'BPF_ALU uses reserved fields'],
  ['add reg with imm', insn(0x0f, { imm: 1 }), 'BPF_ALU uses reserved fields'],
  ['sdiv', insn(0x37, { off: 1, imm: 3 }), undefined],
  ['div with off 2', insn(0x37, { off: 2, imm: 3 }), 'BPF_ALU uses reserved fields'],
  ['mov with off 1, 32 bits', insn(0xbc, { off: 1 }), 'BPF_MOV uses reserved fields'],
  ['mov with off 32, 32 bits', insn(0xbc, { off: 32 }), 'BPF_MOV uses reserved fields'],
  ['mov with off 32, 64 bits', insn(0xbf, { off: 32 }), undefined],
  ['mov imm with src', insn(0xb7, { src: 1 }), 'BPF_MOV uses reserved fields'],
  [
    'cast to and from 0',
    insn(0xbf, { off: 1 }),
    'addr_space_cast insn can only convert between address space 1 and 0',
  ],
  ['neg with imm', insn(0x87, { imm: 1 }), 'BPF_NEG uses reserved fields'],
  ['swap of 8 bits', insn(0xd4, { imm: 8 }), 'BPF_END uses reserved fields'],
  ['bswap with src', insn(0xd7, { imm: 16, src: 1 }), 'BPF_END uses reserved fields'],
  ['st with src', insn(0x7a, { src: 1 }), 'BPF_ST uses reserved fields'],
  ['stx with imm', insn(0x7b, { imm: 1 }), 'BPF_STX uses reserved fields'],
  ['atomic sub', insn(0xdb, { imm: 0x10 }), 'BPF_ATOMIC uses invalid atomic opcode 10'],
  ['atomic -1', insn(0xdb, { imm: -1 }), 'BPF_ATOMIC uses invalid atomic opcode ffffffff'],
  ['8-bit atomic add', insn(0xd3), 'invalid atomic operand size'],
  ['LD_IMM64 with off', insn(0x18, { off: 1 }), 'BPF_LD_IMM64 uses reserved fields'],
  ['LD_ABS with src', insn(0x30, { src: 1 }), 'BPF_LD_[ABS|IND] uses reserved fields'],
  ['LD_IND with off', insn(0x50, { off: 1 }), 'BPF_LD_[ABS|IND] uses reserved fields'],
  ['goto with imm', insn(0x05, { imm: 1 }), 'BPF_JA uses reserved fields'],
  ['gotol with off', insn(0x06, { off: 1 }), 'BPF_JA uses reserved fields'],
  ['may_goto with dst', insn(0xe5, { dst: 1, imm: 3 }), 'invalid may_goto imm 3'],
  ['JCOND source 1', insn(0xe5, { src: 1 }), 'invalid may_goto imm 0'],
  ['jeq imm with src', insn(0x15, { src: 1 }), 'BPF_JMP/JMP32 uses reserved fields'],
  ['jeq32 reg with imm', insn(0x1e, { imm: 1 }), 'BPF_JMP/JMP32 uses reserved fields'],
  ['helper call with off', insn(0x85, { off: 1 }), 'BPF_CALL uses reserved fields'],
  ['kfunc call with off', insn(0x85, { src: 2, off: 1 }), undefined],
  ['call source 3', insn(0x85, { src: 3 }), 'BPF_CALL uses reserved fields'],
  ['exit with imm', insn(0x95, { imm: 1 }), 'BPF_EXIT uses reserved fields'],
  ['exit with off, which Linux does not look at', insn(0x95, { off: 1 }), undefined],
];

test.each(RESERVED)('reserved: %s', (_what, slot, message) => {
  expect(checkReserved(slot)).toBe(message);
});

test('every row of the table passes with its own fixed values', () => {
  const refused = OPCODES.filter((row) => {
    const imm = Array.isArray(row.imm) ? (row.imm[0] as number) : 0;
    return checkReserved(makeInsn(row, { imm })) !== undefined;
  });
  expect(refused).toEqual([]);
});

test.each([
  ['r1 /= 0', 'div by zero'],
  ['w1 s%= 0', 'div by zero'],
  ['r1 <<= 64', 'invalid shift 64'],
  ['w1 s>>= 32', 'invalid shift 32'],
  ['r1 >>= -1', 'invalid shift -1'],
  ['r1 >>= 63', undefined],
  ['r1 *= 0', undefined],
  ['r1 /= r0', undefined],
])('operands: %s', (text, message) => {
  expect(checkOperands(assemble(text)[0]!)).toBe(message);
});

test.each([
  ['r11 = 1', 'R11 is invalid'],
  ['r11 = r12', 'R12 is invalid'],
  ['r10 += 1', 'frame pointer is read only'],
  ['*(u64 *)(r10 - 8) = r10', undefined],
  ['r10 = *(u64 *)(r10 - 8)', 'frame pointer is read only'],
  ['r10 = atomic_fetch_add((u64 *)(r1 + 0), r10)', 'frame pointer is read only'],
  ['r10 = 1 ll', 'frame pointer is read only'],
])('registers: %s', (text, message) => {
  expect(checkRegisters(assemble(text)[0]!)).toBe(message);
});

test.each([
  ['dst of a conditional jump before its reserved fields', insn(0x15, { dst: 11, src: 1 }), 'R11 is invalid'],
  ['dst of a conditional jump before src', insn(0x1d, { dst: 11, src: 12 }), 'R11 is invalid'],
  [
    'src of a conditional jump after its reserved fields',
    insn(0x1d, { src: 12, imm: 1 }),
    'BPF_JMP/JMP32 uses reserved fields',
  ],
  [
    'reserved fields before registers elsewhere',
    insn(0x0f, { dst: 11, imm: 1 }),
    'BPF_ALU uses reserved fields',
  ],
  ['registers before operands', insn(0x37, { dst: 11 }), 'R11 is invalid'],
  ['operands before the written register', insn(0x67, { dst: 10, imm: 64 }), 'invalid shift 64'],
] as const)('order: %s', (_what, slot, message) => {
  expect(checkInsn(slot)).toBe(message);
});

describe('assertEncoding', () => {
  test.each([
    ['r0 = 0\nexit', undefined],
    ['r0 /= 0\nexit', undefined],
    ['call pc+1\nexit\nexit', undefined],
    ['.insn 0xff, 0, 0, 0, 0', 'insn 0: unknown opcode ff'],
    ['r0 = 0\nr0 = 1 ll\n.insn 0x07, 0, 1, 0, 0', 'insn 3: BPF_ALU uses reserved fields'],
    ['goto +1\nexit', 'insn 0: jump out of range from insn 0 to 2'],
    ['goto -2', 'insn 0: jump out of range from insn 0 to -1'],
    ['goto +1\nr0 = 1 ll\nexit', 'insn 0: jump into the middle of ldimm64 insn 2'],
    ['call pc+5\nexit', 'insn 0: jump out of range from insn 0 to 6'],
    ['r1 = subprog[+5]\nexit', 'insn 0: jump out of range from insn 0 to 6'],
    ['gotol -0x80000000', 'insn 0: jump out of range from insn 0 to -2147483647'],
    ['r11 = 0', 'insn 0: R11 is invalid'],
  ])('%j', (text, message) => {
    const check = (): void => assertEncoding(assemble(text));
    if (message === undefined) expect(check).not.toThrow();
    else expect(check).toThrow(new IsaInsnError('ISA_BAD_INSN', message));
  });
});
