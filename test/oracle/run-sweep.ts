/**
 * Random arithmetic and jumps, run by our engine in all its modes and by the running kernel: the results must be
 * equal. Needs bpf(2) and the reference tools beside the project; says so and skips where they are missing.
 *
 *   npx tsx test/oracle/run-sweep.ts [SEED] [COUNT]
 */
import { encodeInsns, type Insn, ldImm64, makeInsn, OPCODES, type OpcodeRow } from '../../src/isa/index.js';
import { Engine } from '../../src/vm/index.js';
import { Rng } from '../fuzz/rng.js';
import { ask, kernelRefusal } from './lib/kernel.js';

const REGISTERS = 10;
const FORMS = new Set(['alu', 'movsx', 'neg', 'end', 'jump']);
const ROWS = OPCODES.filter((row) => row.inLinux && FORMS.has(row.form));
const EDGES64 = [
  0n,
  1n,
  -1n,
  1n << 63n,
  (1n << 63n) - 1n,
  0xffff_ffffn,
  0x8000_0000n,
  0x7fff_ffffn,
  1n << 32n,
  0x8000n,
  0x80n,
];
const EDGES32 = [0, 1, -1, 2, 7, 31, 32, 63, 255, 0x7fff_ffff, -0x8000_0000];
const MODES = [true, false].flatMap((exactFuel) => [true, false].map((checked) => ({ exactFuel, checked })));

function immediate({ imm, ...row }: OpcodeRow, rng: Rng): number {
  const width = 'width' in row ? row.width : 64;
  if (imm === 'shift') return rng.below(width);
  if (typeof imm === 'object') return rng.pick(imm);
  const value = rng.oneIn(3) ? rng.u32() | 0 : rng.pick(EDGES32);
  return imm === 'divisor' ? value || 3 : value;
}

/** All registers set, 10 to 40 instructions with forward jumps, and the registers folded into the low half of r0. */
function randomProgram(rng: Rng): Insn[] {
  const insns: Insn[] = [];
  for (let reg = 0; reg < REGISTERS; reg++) {
    const value = rng.oneIn(2) ? rng.pick(EDGES64) : (BigInt(rng.u32()) << 32n) | BigInt(rng.u32());
    insns.push(...ldImm64(reg, BigInt.asUintN(64, value)));
  }
  const count = 10 + rng.below(30);
  for (let i = 0; i < count; i++) {
    const row = rng.pick(ROWS);
    const off = row.off === 'jump' ? rng.below(Math.min(6, count - i)) : 0;
    insns.push(
      makeInsn(row, { dst: rng.below(REGISTERS), src: rng.below(REGISTERS), off, imm: immediate(row, rng) }),
    );
  }
  for (let reg = 1; reg < REGISTERS; reg++) {
    insns.push(makeInsn('mul64_imm', { imm: 31 }), makeInsn('xor64_reg', { src: reg }));
  }
  insns.push(
    makeInsn('mov64_reg', { dst: 1, src: 0 }),
    makeInsn('rsh64_imm', { dst: 1, imm: 32 }),
    makeInsn('xor64_reg', { dst: 0, src: 1 }),
    makeInsn('exit'),
  );
  return insns;
}

/** What our engine gives in each mode: low halves of r0, or what stopped it. */
function ourResults(engine: Engine, insns: readonly Insn[]): string[] {
  return MODES.map((mode) => {
    const program = engine.load({ name: 'sweep', insns }, mode);
    const { r0, fault } = engine.run(program, {});
    engine.unload(program);
    return fault === undefined ? String(r0 & 0xffff_ffffn) : fault.detail;
  });
}

function main(): void {
  const refused = kernelRefusal();
  if (refused !== undefined) {
    console.log(`skipped: running against the kernel: ${refused}`);
    return;
  }
  const [seed = 1, count = 1000] = process.argv.slice(2).map(Number);
  const programs = Array.from({ length: count }, (_, n) => randomProgram(new Rng(seed, n)));
  const answers = ask(
    programs.map((insns) => ({
      prog_type: 'socket_filter',
      insns: Buffer.from(encodeInsns(insns)).toString('hex'),
      runs: [{ data_in: '00'.repeat(64) }],
    })),
  );
  const engine = new Engine();
  let passed = 0;
  let failed = 0;
  for (const [n, insns] of programs.entries()) {
    const run = answers[n]?.runs?.[0];
    const theirs =
      run?.retval === undefined ? `no result: ${answers[n]?.log ?? 'no answer'}` : String(run.retval);
    const ours = ourResults(engine, insns);
    if (ours.every((result) => result === theirs)) passed++;
    else {
      failed++;
      console.log(`program ${n} of seed ${seed}: kernel ${theirs}, ours ${ours.join(' / ')}`);
    }
  }
  console.log(`${passed} passed, ${failed} failed`);
  if (failed > 0) process.exitCode = 1;
}

main();
