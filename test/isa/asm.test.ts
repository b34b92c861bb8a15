/**
 * Assembler: labels, comments, listings of other tools, and errors with line and column.
 */
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { AsmError, assemble, assembleProgram, type Insn, makeInsn } from '../../src/isa/index.js';

const helperId = (name: string): number | undefined => (name === 'bpf_ktime_get_ns' ? 5 : undefined);

/** Spellings that the disassembler does not print but people write. */
const SPELLINGS: readonly (readonly [string, Insn])[] = [
  ['r1 = 0xFFFFFFFFFFFFFFFF ll', makeInsn('ld_imm64_value', { dst: 1, imm: -1 })],
  ['w1 = 0xffffffff', makeInsn('mov32_imm', { dst: 1, imm: -1 })],
  ['w1 = 4294967295', makeInsn('mov32_imm', { dst: 1, imm: -1 })],
  ['  r1=+5 ; comment', makeInsn('mov64_imm', { dst: 1, imm: 5 })],
  ['r1 = 5 // comment', makeInsn('mov64_imm', { dst: 1, imm: 5 })],
  ['(18) r1 = 0x7', makeInsn('ld_imm64_value', { dst: 1, imm: 7 })],
  ['(b7) r1 = 0x7', makeInsn('mov64_imm', { dst: 1, imm: 7 })],
  ['w1 = *(u8 *)(r2)', makeInsn('ldx_u8', { dst: 1, src: 2 })],
  ['*(u16 *)(r2+4) = w3', makeInsn('stx16', { dst: 2, src: 3, off: 4 })],
  ['if w1 > 0xfffffff0 goto +1', makeInsn('jgt32_imm', { dst: 1, imm: -16, off: 1 })],
  ['call bpf_ktime_get_ns', makeInsn('call_helper', { imm: 5 })],
  ['call bpf_ktime_get_ns#5', makeInsn('call_helper', { imm: 5 })],
  ['call unknown#195896080', makeInsn('call_helper', { imm: 195896080 })],
  ['call pc+2', makeInsn('call_local', { imm: 2 })],
  ['r0 = *(u8 *)skb[r1 + -4]', makeInsn('ld_ind8', { src: 1, imm: -4 })],
  ['goto pc-1', makeInsn('ja', { off: -1 })],
  ['goto +0x4 <.text+0x100>', makeInsn('ja', { off: 4 })],
  ['r2 = map[idx:1][0]', makeInsn('ld_imm64_map_idx_value', { dst: 2, imm: 1 })],
];

test.each(SPELLINGS)('%j', (text, insn) => {
  expect(assemble(text, { helperId })[0]).toEqual(insn);
});

test('labels before and behind, several on a slot, and calls to them', () => {
  const { insns, labels, lines } = assembleProgram(
    `# head comment
     entry: begin:
       r1 = 1 ll
       if r1 != 0 goto done   ; forwards
       call helper
       goto entry
     done: exit
     helper:
       gotol begin
       may_goto done`,
  );
  expect(insns).toEqual([
    makeInsn('ld_imm64_value', { dst: 1, imm: 1 }),
    { code: 0, dst: 0, src: 0, off: 0, imm: 0 },
    makeInsn('jne64_imm', { dst: 1, off: 2 }),
    makeInsn('call_local', { imm: 2 }),
    makeInsn('ja', { off: -5 }),
    makeInsn('exit'),
    makeInsn('gotol', { imm: -7 }),
    makeInsn('may_goto', { off: -3 }),
  ]);
  expect(Object.fromEntries(labels)).toEqual({ entry: 0, begin: 0, done: 5, helper: 6 });
  expect(lines).toEqual([3, 3, 4, 5, 6, 7, 9, 10]);
});

test('a listing of llvm-objdump reads back', () => {
  const listing = `
0000000000000000 <entry>:
       0:\t18 01 00 00 05 00 00 00 00 00 00 00 00 00 00 00\tr1 = 0x5 ll
       2:\tbf 12 00 00 00 00 00 00\tr2 = r1
       3:\t05 00 fe ff 00 00 00 00\tgoto -0x2 <entry+0x10>
`;
  expect(assemble(listing)).toEqual(assemble('entry:\nr1 = 5 ll\nback: r2 = r1\ngoto back'));
});

test('a verifier log reads back', () => {
  const log = `
0: (b7) r0 = 0                        ; R0_w=0
1: (15) if r1 == 0x0 goto pc+1        ; R1=ctx()
2: (85) call bpf_ktime_get_ns#5       ; R0_w=scalar()
3: (95) exit`;
  expect(assemble(log)).toEqual(assemble('r0 = 0\nif r1 == 0 goto +1\ncall 5\nexit'));
});

/** [text, code, line, column, part of the message]. */
const ERRORS: readonly (readonly [string, string, number, number, string])[] = [
  ['frob r1', 'ASM_SYNTAX', 1, 1, 'expected a statement, found "frob"'],
  ['r1 = 5\n  r1 ?= 5', 'ASM_SYNTAX', 2, 6, 'unexpected character "?"'],
  ['r1 = 5 6', 'ASM_SYNTAX', 1, 8, 'expected the end of the line, found "6"'],
  ['r16 = 5', 'ASM_SYNTAX', 1, 1, 'expected a statement'],
  ['r1 =', 'ASM_SYNTAX', 1, 5, 'expected a value, found the end of the line'],
  ['r1 == 5', 'ASM_SYNTAX', 1, 4, 'expected an operator'],
  ['r1 = w2', 'ASM_SYNTAX', 1, 6, 'operands differ in width'],
  ['w1 += r2', 'ASM_SYNTAX', 1, 7, 'operands differ in width'],
  ['r1 = -r2', 'ASM_SYNTAX', 1, 7, 'must be the register that is assigned to, number 1'],
  ['r1 = be16 r2', 'ASM_SYNTAX', 1, 11, 'must be the register'],
  ['w1 = be16 w1', 'ASM_SYNTAX', 1, 1, 'byte swaps take r registers'],
  ['r1 = 0x80000000', 'ASM_RANGE', 1, 6, 'immediate 2147483648 is out of range'],
  ['w1 = 0x100000000', 'ASM_RANGE', 1, 6, 'out of range'],
  ['r1 = 0x10000000000000000 ll', 'ASM_RANGE', 1, 6, 'out of range'],
  [`r1 = ${'9'.repeat(50)}`, 'ASM_RANGE', 1, 6, 'number of 50 characters'],
  ['w1 = 5 ll', 'ASM_SYNTAX', 1, 1, '64-bit immediates go to r registers'],
  ['r1 = *(u64 *)(r2 + 32768)', 'ASM_RANGE', 1, 18, 'offset 32768 is out of range'],
  ['r1 = *(u128 *)(r2 + 0)', 'ASM_SYNTAX', 1, 8, 'expected a type such as u32, found "u128"'],
  ['r1 = *(s64 *)(r2 + 0)', 'ASM_SYNTAX', 1, 7, 'no sign-extending 64-bit load'],
  ['w1 = *(s8 *)(r2 + 0)', 'ASM_SYNTAX', 1, 1, 'takes an r register'],
  ['w1 = *(u64 *)(r2 + 0)', 'ASM_SYNTAX', 1, 1, 'takes an r register'],
  ['r1 = *(u8 *)skb[0]', 'ASM_SYNTAX', 1, 1, 'packet loads go to r0'],
  ['r0 = *(u64 *)skb[0]', 'ASM_SYNTAX', 1, 7, 'packet loads take u8, u16 or u32'],
  ['r1 = (s32)w2', 'ASM_SYNTAX', 1, 11, 'operands differ in width'],
  ['w1 = (s32)w2', 'ASM_SYNTAX', 1, 7, 'expected a narrower signed type (s8, s16)'],
  ['*(s8 *)(r1 + 0) = 1', 'ASM_SYNTAX', 1, 2, 'stores take unsigned types'],
  ['*(u64 *)(r1 + 0) = 0xffffffff', 'ASM_RANGE', 1, 20, 'out of range'],
  ['lock *(u8 *)(r1 + 0) += r2', 'ASM_SYNTAX', 1, 7, 'atomic operations take u32 or u64'],
  ['lock *(u64 *)(r1 + 0) -= r2', 'ASM_SYNTAX', 1, 23, 'expected "+=", "|=", "&=" or "^="'],
  ['r1 = atomic_fetch_add((u64 *)(r2 + 0), r3)', 'ASM_SYNTAX', 1, 40, 'must be the register'],
  ['r1 = cmpxchg_64(r2 + 0, r0, r1)', 'ASM_SYNTAX', 1, 25, 'register 0'],
  ['if r1 = 5 goto +1', 'ASM_SYNTAX', 1, 7, 'expected a comparison'],
  ['if r1 == 5 call +1', 'ASM_SYNTAX', 1, 12, 'expected "goto"'],
  ['goto 5', 'ASM_SYNTAX', 1, 6, 'expected a label or a signed displacement'],
  ['goto +40000', 'ASM_RANGE', 1, 6, 'displacement 40000 is out of range'],
  ['goto nowhere', 'ASM_LABEL', 1, 6, 'label nowhere is not defined'],
  ['call bpf_no_such_helper', 'ASM_LABEL', 1, 6, 'label bpf_no_such_helper is not defined'],
  ['L: exit\n L: exit', 'ASM_LABEL', 2, 2, 'label L is defined twice'],
  ['(07) r1 -= 5', 'ASM_OPCODE', 1, 1, 'the statement has opcode 17, not 07'],
  ['1: exit', 'ASM_SLOT', 1, 1, 'the line is numbered 1, but the next slot is 0'],
  ['.insn 256, 0, 0, 0, 0', 'ASM_RANGE', 1, 7, 'opcode 256 is out of range'],
  ['.insn 1, 2, 3', 'ASM_SYNTAX', 1, 14, 'expected ",", found the end of the line'],
];

test.each(ERRORS)('%j: %s at %i:%i', (text, code, line, column, message) => {
  const run = (): Insn[] => assemble(text);
  expect(run).toThrow(AsmError);
  expect(run).toThrow(expect.objectContaining({ code, line, column }));
  expect(run).toThrow(message);
});

test('a jump too far for 16 bits names the way out', () => {
  const far = `goto end\n${'r0 = 0\n'.repeat(0x8000)}end: exit`;
  expect(() => assemble(far)).toThrow(/32768 slots away, too far for a 16-bit offset: use gotol/);
  expect(assemble(far.replace('goto', 'gotol'))[0]).toEqual(makeInsn('gotol', { imm: 0x8000 }));
});

describe('any text', () => {
  const piece = fc.constantFrom(
    ...'r0 r1 w2 = += s>= ( ) *( u8 u64 *) + - 5 0xff goto if call lock skb [ ] , # ll map fd : exit kfunc pc'.split(
      ' ',
    ),
  );
  const soup = fc
    .array(fc.oneof(piece, fc.string({ maxLength: 4 })), { maxLength: 12 })
    .map((p) => p.join(' '));

  test('assembles or is refused with an AsmError', () => {
    fc.assert(
      fc.property(fc.oneof(soup, fc.string()), (text) => {
        try {
          expect(Array.isArray(assemble(text))).toBe(true);
        } catch (error) {
          expect(error).toBeInstanceOf(AsmError);
        }
      }),
      { numRuns: 600 },
    );
  });
});
