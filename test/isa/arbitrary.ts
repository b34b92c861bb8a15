/**
 * fast-check generators of instructions, from the opcode table alone.
 */
import fc from 'fast-check';
import { type Insn, makeInsn, OPCODES, type OpcodeRow } from '../../src/isa/index.js';

const reg = fc.integer({ min: 0, max: 15 });
const s16 = fc.oneof(fc.integer({ min: -0x8000, max: 0x7fff }), fc.constantFrom(-0x8000, -1, 0, 1, 0x7fff));
const s32 = fc.oneof(
  fc.integer({ min: -0x80000000, max: 0x7fffffff }),
  fc.constantFrom(-0x80000000, -1, 0, 1, 0x7fffffff),
);

/** Any field values at all, legal or not. */
export const anySlot: fc.Arbitrary<Insn> = fc.record({
  code: fc.integer({ min: 0, max: 255 }),
  dst: reg,
  src: reg,
  off: s16,
  imm: s32,
});

/** A well-formed instruction of this row: one slot, or two for `LD_IMM64`. */
export function insnOf(row: OpcodeRow): fc.Arbitrary<Insn[]> {
  return fc.tuple(reg, reg, s16, s32, s32).map(([dst, src, off, imm, upper]) => {
    const listed = Array.isArray(row.imm) ? (row.imm[Math.abs(imm) % row.imm.length] as number) : imm;
    const first = makeInsn(row, { dst, src, off: row.off === 'ignored' ? 0 : off, imm: listed });
    if (row.form !== 'ld_imm64') return [first];
    const free = row.nextImm === 'value' || row.nextImm === 'id';
    return [first, { code: 0, dst: 0, src: 0, off: 0, imm: free ? upper : 0 }];
  });
}

/** A well-formed instruction of any row. */
export const anyInsn: fc.Arbitrary<Insn[]> = fc.constantFrom(...OPCODES).chain(insnOf);
