/**
 * assemble(disassemble(i)) = i and decode(encode(i)) = i, for every row of the opcode table, both
 * dialects and both byte orders, and for slots that are no instruction at all.
 */
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  assemble,
  type DisasmOptions,
  decodeInsns,
  disassemble,
  type Endian,
  encodeInsns,
  type Insn,
  OPCODES,
} from '../../src/isa/index.js';
import { anyInsn, anySlot, insnOf } from './arbitrary.js';

const DIALECTS: readonly (readonly [string, DisasmOptions])[] = [
  ['llvm', { dialect: 'llvm' }],
  ['llvm, 32-bit registers', { dialect: 'llvm', alu32: true }],
  ['kernel', { dialect: 'kernel' }],
  [
    'kernel, named',
    { dialect: 'kernel', helperName: (id) => `bpf_helper${id & 7}`, kfuncName: () => 'bpf-name' },
  ],
];
const ENDIANS: readonly Endian[] = ['little', 'big'];

function textOf(insns: readonly Insn[], options: DisasmOptions): string {
  return disassemble(insns, options)
    .map((line) => line.text)
    .join('\n');
}

/** The program after a trip through bytes. */
function throughBytes(insns: readonly Insn[], endian: Endian): Insn[] {
  return decodeInsns(encodeInsns(insns, endian), endian);
}

describe.each(DIALECTS)('%s', (_name, options) => {
  test.each(OPCODES.map((row) => [row.name, row] as const))('%s reads back', (_row, row) => {
    fc.assert(
      fc.property(insnOf(row), fc.constantFrom(...ENDIANS), (insns, endian) => {
        const text = textOf(throughBytes(insns, endian), options);
        expect(text).not.toContain('.insn');
        expect(throughBytes(assemble(text), endian)).toEqual(insns);
      }),
      { numRuns: 12 },
    );
  });

  test('programs of instructions and stray slots read back', () => {
    const program = fc
      .array(fc.oneof({ weight: 4, arbitrary: anyInsn }, { weight: 1, arbitrary: anySlot.map((i) => [i]) }), {
        maxLength: 12,
      })
      .map((parts) => parts.flat());
    fc.assert(
      fc.property(program, (insns) => {
        expect(assemble(textOf(insns, options))).toEqual(insns);
      }),
      { numRuns: 200 },
    );
  });
});

test('any bytes decode and encode to themselves', () => {
  const slots = fc
    .uint8Array({ maxLength: 12 })
    .map((b) => new Uint8Array(b.length * 8).map((_, i) => b[i >> 3]! + i));
  fc.assert(
    fc.property(slots, fc.constantFrom(...ENDIANS), (bytes, endian) => {
      expect(encodeInsns(decodeInsns(bytes, endian), endian)).toEqual(bytes);
    }),
  );
});
