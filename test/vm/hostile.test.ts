/**
 * Whatever bytes are taken for a program: the engine refuses it, or runs it to a result or a fault within
 * its fuel, and neither the host nor memory that was not opened to programs is any the worse.
 */
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { assemble, type Insn, OPCODES } from '../../src/isa/index.js';
import { Engine, type HelperDef, VmProgramError } from '../../src/vm/index.js';
import { LOOPS } from './support.js';

const helper: HelperDef = {
  kind: 'plain',
  name: 'h',
  run: (call) => call.bytes(1, call.argU32(2) & 255).length,
};

const byTable: fc.Arbitrary<Insn> = fc.record({
  code: fc.constantFrom(...OPCODES.map((row) => row.code)),
  dst: fc.nat(10),
  src: fc.oneof(fc.nat(10), fc.constant(0)),
  off: fc.oneof(fc.constant(0), fc.integer({ min: -12, max: 12 }), fc.integer({ min: -0x8000, max: 0x7fff })),
  imm: fc.oneof(fc.constantFrom(0, 1, 2, 16, 32, 64, 0xe1, 0xf1, 0x100, 0x110), fc.integer()),
});
/** The fields that rows fix, so that most of it is well formed. */
const wellFormed: fc.Arbitrary<Insn> = fc
  .record({ row: fc.constantFrom(...OPCODES), insn: byTable })
  .map(({ row, insn }) => ({
    ...insn,
    code: row.code,
    dst: typeof row.dst === 'number' ? row.dst : insn.dst % 10,
    src: typeof row.src === 'number' ? row.src : insn.src % 10,
    off: typeof row.off === 'number' ? row.off : insn.off,
    imm: typeof row.imm === 'number' ? row.imm : insn.imm,
  }));

test.each(LOOPS.filter(([, options]) => options.checked))('%s: hostile programs', (_name, options) => {
  const engine = new Engine();
  const canary = engine.alloc(4096, 'none');
  canary.bytes.fill(0xa5);
  const open = engine.alloc(64);
  const good = engine.load({ name: 'good', insns: assemble('r0 = 7\n r0 *= 6\n exit') }, options);
  let ran = 0;
  const insns = fc.array(fc.oneof({ arbitrary: wellFormed, weight: 9 }, byTable), {
    minLength: 1,
    maxLength: 12,
  });
  fc.assert(
    fc.property(insns, (list) => {
      try {
        const source = { name: 'hostile', insns: [...list, ...assemble('exit')] };
        const program = engine.load(source, { ...options, helpers: () => helper });
        const { fault, instructions } = engine.run(program, {
          args: [open.address, 64, canary.address],
          fuel: 5000,
        });
        if (fault === undefined) expect(instructions).toBeLessThanOrEqual(5000);
        engine.unload(program);
        ran++;
      } catch (error) {
        expect(error).toBeInstanceOf(VmProgramError);
      }
    }),
    { numRuns: 3000, seed: 3 },
  );
  expect(ran).toBeGreaterThan(500);
  expect(canary.bytes.every((byte) => byte === 0xa5)).toBe(true);
  expect(engine.run(good)).toEqual({ r0: 42n, instructions: 3 });
});
