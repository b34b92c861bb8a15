/** Local calls, frames, callbacks and tail calls. */
import { describe, expect, test } from '@jest/globals';
import { assemble } from '../../src/isa/asm/index.js';
import { Engine, type HelperDef, HelperFault, type Program } from '../../src/vm/index.js';
import { LOOPS, loadText, runText } from './support.js';

/** `bpf_loop(count, function, context)` as plain and as flow helper. */
const plainLoop: HelperDef = {
  kind: 'plain',
  name: 'loop',
  run: (call) => {
    // Its own arguments are still there after a callback has run.
    for (let i = 0; i < call.argU32(1); i++) {
      if (call.execution.callFunction(call.arg(2), [i, call.arg(3)]) !== 0n) return i + 1;
    }
    return call.argI32(1);
  },
};
const flowLoop: HelperDef = {
  kind: 'flow',
  name: 'loop',
  *run(caller) {
    const [count, address, context] = [Number(caller.reg(1)), caller.reg(2), caller.reg(3)];
    for (let i = 0; i < count; i++) {
      yield i;
      if ((yield* caller.driveFunction(address, [i, context])) !== 0n) return i + 1;
    }
    return count;
  },
};

const coreLoop: HelperDef = { kind: 'loop', name: 'loop', limit: 100, tooMany: -7, badFlags: -22 };

/** Sums i over the loop through the context pointer; the callback stops at i = 50. */
const SUM = `
  *(u64 *)(r10 - 8) = 0
  r6 = 6
  r9 = 9
  r1 = 100
  r2 = func ll
  r3 = r10
  r3 += -8
  r4 = 0
  call 1
  r7 = *(u64 *)(r10 - 8)
  r7 *= 1000
  r0 += r7
  r0 += r6
  r0 += r9
  exit
func:
  r6 = 1
  r9 = r2
  r3 = *(u64 *)(r9 + 0)
  r3 += r1
  *(u64 *)(r9 + 0) = r3
  *(u64 *)(r10 - 8) = 77
  r0 = 0
  if r1 != 50 goto +1
  r0 = 1
  exit`;
const SUM_RESULT = BigInt(51 + 1275 * 1000 + 15);

/** `r2 = func ll` is no syntax: patch the `LD_IMM64` to a function reference. */
function withFunction(text: string): ReturnType<typeof assemble> {
  const lines = text.trim().split('\n');
  const insns = assemble(lines.map((l) => l.replace('func ll', '0 ll')).join('\n'));
  const at = insns.findIndex((insn) => insn.code === 0x18 && insn.dst === 2);
  const entry = insns.findIndex((insn) => insn.code === 0x95) + 1;
  insns[at]!.src = 4;
  insns[at]!.imm = entry - at - 1;
  return insns;
}

describe.each(LOOPS)('%s', (_name, options) => {
  test('r6 to r9 and the frame are the caller’s again after a call', () => {
    const text = `
      r6 = 1\nr7 = 2\nr8 = 3\nr9 = 4\n*(u64 *)(r10 - 8) = 5
      call callee
      r0 += r6\nr0 += r7\nr0 += r8\nr0 += r9\nr1 = *(u64 *)(r10 - 8)\nr0 += r1
      exit
      callee:
      r6 = 100\nr7 = 100\nr8 = 100\nr9 = 100\n*(u64 *)(r10 - 8) = 100
      r0 = 1000
      exit`;
    expect(runText(text, options).r0).toBe(1015n);
  });

  test('a callee may use its caller’s frame through a pointer', () => {
    const text = 'r1 = r10\nr1 += -8\ncall pc+2\nr0 = *(u64 *)(r10 - 8)\nexit\n*(u64 *)(r1 + 0) = 9\nexit';
    expect(runText(text, options).r0).toBe(9n);
  });

  test('eight frames are allowed, nine are not', () => {
    // Recursion that counts down from r1.
    const text = 'call pc+1\nexit\nr0 = 1\nif r1 == 0 goto +2\nr1 -= 1\ncall pc-4\nexit';
    expect(runText(text, { ...options, args: [6] })).toMatchObject({ r0: 1n });
    expect(runText(text, { ...options, args: [7] }).fault).toMatchObject({ kind: 'stack-overflow', insn: 5 });
  });

  test.each([
    ['plain', plainLoop],
    ['flow', flowLoop],
    ['loop', coreLoop],
  ])('callbacks of a %s helper', (_kind, loop) => {
    const engine = new Engine();
    const program = engine.load(
      { name: 'sum', insns: withFunction(SUM) },
      { ...options, helpers: () => loop },
    );
    const execution = engine.execution();
    execution.start(program);
    const driver = execution.drive();
    let yields = 0;
    let step = driver.next();
    for (; !step.done; step = driver.next()) yields++;
    expect(step.value.r0).toBe(SUM_RESULT);
    expect(step.value.instructions).toBe(15 + 50 * 9 + 10);
    expect(yields).toBe(loop.kind === 'flow' ? 51 : 0);
  });

  test('a callback that faults stops the run where it happened', () => {
    const text = SUM.replace('r6 = 1\n', 'r3 = 0\n').replace(
      'r3 = *(u64 *)(r9 + 0)',
      'r3 = *(u64 *)(r3 + 0)',
    );
    for (const loop of [plainLoop, flowLoop, coreLoop]) {
      const engine = new Engine();
      const insns = withFunction(text);
      const program = engine.load({ name: 'sum', insns }, { ...options, helpers: () => loop });
      const execution = engine.execution();
      execution.start(program);
      const driver = execution.drive();
      let step = driver.next();
      while (!step.done) step = driver.next();
      expect(step.value.fault).toMatchObject({ kind: 'bad-access', insn: insns.length - 8, address: 0n });
    }
  });

  test.each([
    ['plain', plainLoop],
    ['loop', coreLoop],
  ])('instructions of a %s helper’s callback count towards the fuel', (_kind, loop) => {
    const engine = new Engine();
    const insns = withFunction(SUM);
    const program = engine.load({ name: 'sum', insns }, { ...options, helpers: () => loop });
    expect(engine.run(program, { fuel: 100 }).fault?.kind).toBe('out-of-fuel');
    expect(engine.run(program, { fuel: 475 }).r0).toBe(SUM_RESULT);
    expect(engine.run(program, { fuel: 474 }).fault?.kind).toBe('out-of-fuel');
  });

  test.each([
    ['plain', plainLoop],
    ['loop', coreLoop],
  ])('a callback address that is none is the %s helper’s fault', (_kind, loop) => {
    const result = runText('r1 = 1\nr2 = 5\nr4 = 0\ncall 1\nexit', { ...options, helpers: { 1: loop } });
    expect(result.fault).toMatchObject({
      kind: 'helper-fault',
      insn: 3,
      detail: '0x5 is not a function of the program',
    });
  });

  test('callx calls helpers by number and functions by address', () => {
    const identity: HelperDef = { kind: 'plain', name: 'identity', run: (call) => call.arg(1) };
    const helpers = { 5: identity };
    expect(runText('r1 = 9\nr2 = 5\ncallx r2\nexit', { ...options, helpers }).r0).toBe(9n);
    const engine = new Engine();
    const insns = withFunction('r1 = 20\nr2 = func ll\ncallx r2\nr0 += 1\nexit\nr0 = r1\nexit');
    expect(engine.run(engine.load({ name: 'x', insns }, options)).r0).toBe(21n);
  });

  test('tail calls go 33 deep and keep the registers', () => {
    const engine = new Engine();
    const programs: Program[] = [];
    const tail: HelperDef = { kind: 'tail', name: 'tail_call', run: (call) => programs[call.argU32(3)] };
    const self = 'r1 += 1\nr0 = r1\nr3 = 0\ncall 12\nexit';
    programs.push(loadText(engine, self, { ...options, helpers: { 12: tail } }));
    expect(engine.run(programs[0]!, { args: [0] })).toEqual({ r0: 34n, instructions: 34 * 4 + 1 });
    const missing = loadText(engine, 'r3 = 7\ncall 12\nr0 = 3\nexit', { ...options, helpers: { 12: tail } });
    expect(engine.run(missing)).toEqual({ r0: 3n, instructions: 4 });
  });

  test('a tail call in a function returns to the function’s caller', () => {
    const engine = new Engine();
    const target = loadText(engine, '*(u64 *)(r10 - 8) = 1\nr0 = 40\nexit', options);
    const tail: HelperDef = { kind: 'tail', name: 'tail_call', run: () => target };
    const text = 'call pc+2\nr0 += 2\nexit\ncall 12\nr0 = 0\nexit';
    expect(runText(text, { ...options, engine, helpers: { 12: tail } }).r0).toBe(42n);
  });
});

test('a fault after a tail call names the program that it happened in', () => {
  const engine = new Engine();
  const insns = assemble('r1 = 0\nr0 = *(u8 *)(r1 + 0)\nexit');
  const target = engine.load({ name: 'second', insns });
  const tail: HelperDef = { kind: 'tail', name: 'tail_call', run: () => target };
  expect(runText('call 12\nexit', { engine, helpers: { 12: tail } }).fault).toMatchObject({
    program: 'second',
    insn: 1,
  });
});

test('what a helper throws is the run’s fault only when it is a HelperFault', () => {
  const bad: HelperDef = {
    kind: 'plain',
    name: 'bad',
    run: () => {
      throw new HelperFault('r1: no socket');
    },
  };
  const bug: HelperDef = {
    kind: 'plain',
    name: 'bug',
    run: () => {
      throw new Error('a bug in the host');
    },
  };
  expect(runText('r0 = 1\ncall 1\nexit', { helpers: { 1: bad } }).fault).toEqual({
    kind: 'helper-fault',
    detail: 'r1: no socket',
    insn: 1,
    program: 'test',
  });
  expect(() => runText('call 1\nexit', { helpers: { 1: bug } })).toThrow('a bug in the host');
  expect(runText('r0 = 4\nexit').r0).toBe(4n);
});
