/**
 * Classic BPF as text, both ways.
 */
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  AsmError,
  assembleClassic,
  CLASSIC_OPCODES,
  classicListing,
  SKF_AD_OFF,
  type SockFilter,
} from '../../../src/isa/index.js';

function stmt(code: number, k = 0, jt = 0, jf = 0): SockFilter {
  return { code, jt, jf, k };
}

test('the examples of the kernel documentation assemble', () => {
  const ipv4Tcp = `
            ldh [12]
            jne #0x800, drop
            ldb [23]
            jneq #6, drop
            ret #-1
            drop: ret #0`;
  expect(assembleClassic(ipv4Tcp)).toEqual([
    stmt(0x28, 12),
    stmt(0x15, 0x800, 0, 3),
    stmt(0x30, 23),
    stmt(0x15, 6, 0, 1),
    stmt(0x06, 0xffffffff),
    stmt(0x06, 0),
  ]);
  const seccomp = `
            ld [4]                  ; offsetof(struct seccomp_data, arch)
            jne #0xc000003e, bad
            ld [0]
            jeq #15, good
            jle #3, good, bad
            bad: ret #0
            good: ret #0x7fff0000`;
  expect(assembleClassic(seccomp).slice(3, 5)).toEqual([stmt(0x15, 15, 2, 0), stmt(0x25, 3, 0, 1)]);
});

test.each([
  ['ld vlan_tci', stmt(0x20, SKF_AD_OFF + 44)],
  ['ld #rand', stmt(0x20, SKF_AD_OFF + 56)],
  ['ldx len', stmt(0x81)],
  ['ldx 4*([14]&0xf)', stmt(0xb1, 14)],
  ['ldb [%x + 2]', stmt(0x50, 2)],
  ['ldb [x]', stmt(0x50)],
  ['add %x', stmt(0x0c)],
  ['ret a', stmt(0x16)],
  ['.insn 0x1ff, 1, 2, 0xffffffff', stmt(0x1ff, 0xffffffff, 1, 2)],
])('%j', (text, insn) => {
  expect(assembleClassic(text)).toEqual([insn]);
});

test('listings read back', () => {
  const operand = fc.oneof(fc.nat(0xffffffff), fc.constantFrom(0, SKF_AD_OFF, SKF_AD_OFF + 60, 0xffffffff));
  const anyInsn = fc
    .record({ row: fc.constantFrom(...CLASSIC_OPCODES), k: operand, jt: fc.nat(2), jf: fc.nat(2) })
    .map(({ row, k, jt, jf }) => {
      if (row.form === 'jump') return stmt(row.code, row.operand === 'k' ? k : 0, jt, jf);
      if (row.form === 'ja') return stmt(row.code, jt);
      const takes =
        !['neg', 'tax', 'txa', 'len'].includes(row.form) && !('operand' in row && row.operand !== 'k');
      return stmt(row.code, takes ? k : 0);
    });
  fc.assert(
    fc.property(fc.array(anyInsn, { maxLength: 10 }), (body) => {
      const filter = [...body, stmt(0x16), stmt(0x16), stmt(0x16)];
      expect(assembleClassic(classicListing(filter).join('\n'))).toEqual(filter);
    }),
    { numRuns: 500 },
  );
});

test.each([
  ['frob #1', 'ASM_SYNTAX', 1, 1, 'unknown mnemonic "frob"'],
  ['ret x', 'ASM_SYNTAX', 1, 5, 'ret does not take this operand'],
  ['add [4]', 'ASM_SYNTAX', 1, 5, 'add does not take this operand'],
  ['ld #nonsense', 'ASM_SYNTAX', 1, 5, 'an extension such as #proto'],
  ['ld #0x100000000', 'ASM_RANGE', 1, 5, 'out of range'],
  ['tax x', 'ASM_SYNTAX', 1, 5, 'expected the end of the line'],
  ['jeq #1', 'ASM_SYNTAX', 1, 7, 'expected ","'],
  ['jeq #1, L', 'ASM_LABEL', 1, 9, 'label L is not defined'],
  ['L: ret a\njmp L', 'ASM_RANGE', 2, 5, 'label L is -2 instructions away'],
  ['L: ret a\nL: ret a', 'ASM_LABEL', 2, 1, 'label L is defined twice'],
  [`jeq #1, L\n${'tax\n'.repeat(256)}L: ret a`, 'ASM_RANGE', 1, 9, 'by at most 255'],
  ['ldx 4*([14]&0xff)', 'ASM_SYNTAX', 1, 13, 'masked with 0xf'],
])('%#: refused', (text, code, line, column, message) => {
  const run = (): SockFilter[] => assembleClassic(text);
  expect(run).toThrow(AsmError);
  expect(run).toThrow(expect.objectContaining({ code, line, column }));
  expect(run).toThrow(message);
});
