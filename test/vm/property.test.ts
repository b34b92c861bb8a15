/**
 * Random programs against the reference interpreter of `reference.ts`: straight-line arithmetic, stack
 * accesses, forward jumps, and a counted loop around it all, so that every fused operation has its turn.
 */
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type Insn, makeInsn, OPCODES, type OpcodeRow } from '../../src/isa/index.js';
import { Engine } from '../../src/vm/index.js';
import { interpret } from './reference.js';
import { LOOPS } from './support.js';

const FORMS = ['alu', 'neg', 'movsx', 'ldx', 'st', 'stx', 'jump', 'ja'];
const ROWS = OPCODES.filter((row) => FORMS.includes(row.form));
const VALUES = [0, 1, 2, -1, -2, 31, 32, 63, 64, 127, 128, 255, 0x7fffffff, -0x80000000, 0x12345678];
/** Registers that programs compute with; r9 counts the loop. Few, so that neighbours depend on each other. */
const REGISTERS = [0, 1, 2, 3];
const COUNTER = 9;
/** Holds the frame pointer, so that accesses through it take the checked way. */
const POINTER = 6;
const ROUNDS = 5;

interface Pick {
  readonly row: OpcodeRow;
  readonly dst: number;
  readonly src: number;
  readonly imm: number;
  readonly slot: number;
  readonly base: number;
}

const pick: fc.Arbitrary<Pick> = fc.record({
  row: fc.oneof(fc.constantFrom(...ROWS), fc.constantFrom(...ROWS.filter((row) => row.cpu === 1))),
  dst: fc.constantFrom(...REGISTERS),
  src: fc.constantFrom(...REGISTERS),
  imm: fc.oneof(fc.constantFrom(...VALUES), fc.integer({ min: -0x80000000, max: 0x7fffffff })),
  slot: fc.nat(63),
  base: fc.constantFrom(10, POINTER),
});

/** The instruction that a pick means; `left` instructions follow it within the loop's body. */
function build({ row, dst, src, imm, slot, base }: Pick, left: number): Insn {
  const off = -8 * (slot + 1);
  switch (row.form) {
    case 'alu':
      return makeInsn(row.name, row.operand === 'imm' ? { dst, imm } : { dst, src });
    case 'neg':
      return makeInsn(row.name, { dst });
    case 'movsx':
      return makeInsn(row.name, { dst, src });
    case 'ldx':
      return makeInsn(row.name, { dst, src: base, off });
    case 'st':
      return makeInsn(row.name, { dst: base, off, imm });
    case 'stx':
      return makeInsn(row.name, { dst: base, src, off });
    case 'ja':
      return makeInsn(row.name, { off: Math.min(left, slot % 4) });
    default: {
      const jump = { dst, off: Math.min(left, slot % 4) };
      return makeInsn(
        row.name,
        row.form === 'jump' && row.operand === 'reg' ? { ...jump, src } : { ...jump, imm },
      );
    }
  }
}

function program(picks: readonly Pick[], start: readonly number[]): Insn[] {
  const head = REGISTERS.map((dst, i) => makeInsn('mov64_imm', { dst, imm: start[i]! }));
  const body = picks.map((p, i) => build(p, picks.length - 1 - i));
  return [
    ...head,
    makeInsn('mov64_reg', { dst: POINTER, src: 10 }),
    makeInsn('mov64_imm', { dst: COUNTER, imm: ROUNDS }),
    ...body,
    makeInsn('sub64_imm', { dst: COUNTER, imm: 1 }),
    makeInsn('jne64_imm', { dst: COUNTER, off: -(body.length + 2), imm: 0 }),
    makeInsn('exit'),
  ];
}

test.each(LOOPS)('%s: random programs compute what the reference says', (_name, options) => {
  const engine = new Engine();
  const execution = engine.execution();
  const registers = fc.tuple(...REGISTERS.map(() => fc.constantFrom(...VALUES)));
  fc.assert(
    fc.property(fc.array(pick, { minLength: 1, maxLength: 24 }), registers, (picks, start) => {
      const insns = program(picks, start);
      const expected = interpret(insns, 10_000);
      const loaded = engine.load({ name: 'random', insns }, options);
      execution.start(loaded);
      expect(execution.resume()).toBe('exit');
      expect(REGISTERS.map((n) => execution.reg(n))).toEqual(REGISTERS.map((n) => expected.registers[n]));
      expect(execution.instructions).toBe(expected.instructions);
      const top = Number(execution.reg(10) & 0xffffffffn);
      expect(Buffer.compare(engine.memory.u8.subarray(top - 512, top), expected.stack)).toBe(0);
      engine.unload(loaded);
    }),
    { numRuns: 400, seed: 7 },
  );
});
