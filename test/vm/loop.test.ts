/** Loops that the core drives: `bpf_loop`'s rules, nesting, stops in the middle, faults, tail calls. */
import { describe, expect, test } from '@jest/globals';
import { Engine, type HelperDef, type LoadOptions, type Program } from '../../src/vm/index.js';
import { assembleFunctions, LOOPS, loadText } from './support.js';

const LIMIT = 1000;
const loop: HelperDef = { kind: 'loop', name: 'loop', limit: LIMIT, tooMany: -7, badFlags: -22 };
const LOOP = 1;
const OTHER = 2;

function load(
  engine: Engine,
  text: string,
  options: Omit<LoadOptions, 'helpers'>,
  other?: HelperDef,
): Program {
  const helpers = (_kind: string, id: number) => (id === LOOP ? loop : other);
  return engine.load({ name: 'looping', insns: assembleFunctions(text) }, { ...options, helpers });
}

/** r1 iterations; the callback stops at r2, adds up what it was given and leaves traces in its registers and frame. */
const COUNT = `
  *(u64 *)(r10 - 8) = 0
  *(u64 *)(r10 - 16) = r2
  r6 = 6
  r9 = 9
  r4 = r3
  r2 = func body
  r3 = r10
  r3 += -16
  r5 = 55
  call ${LOOP}
  r1 = *(u64 *)(r10 - 8)
  r1 *= 10000
  r0 += r1
  r6 += r9
  if r6 == 15 goto fine
  r0 = -1
fine:
  exit
body:
  r0 = r3
  r0 += r4
  r0 += r5
  r3 = *(u64 *)(r2 + 8)
  r3 += r1
  r3 += r0
  *(u64 *)(r2 + 8) = r3
  r6 = 100
  r9 = 100
  *(u64 *)(r10 - 8) = 77
  r3 = *(u64 *)(r2 + 0)
  r0 = 1
  if r1 == r3 goto out
  r0 = 0
out:
  exit`;

describe.each(LOOPS)('%s', (_name, options) => {
  test.each([
    ['nothing', 0, 99, 0, 0n],
    ['once', 1, 99, 0, 1n],
    ['to the end', 100, 100, 0, BigInt(100 + 10000 * 4950)],
    ['until the callback says so', 100, 50, 0, BigInt(51 + 10000 * 1275)],
    ['until the last', 100, 99, 0, BigInt(100 + 10000 * 4950)],
    ['as often as the limit', LIMIT, LIMIT, 0, BigInt(LIMIT + 10000 * 499500)],
    ['more often than the limit', LIMIT + 1, 99, 0, -7n],
    ['with flags', 10, 99, 1, -22n],
    ['with flags in the high half', 10, 99, 2 ** 32, -22n],
    ['flags come before the count', LIMIT + 1, 99, 1, -22n],
    ['32 bits of a count', 2 ** 32 + 3, 99, 0, BigInt(3 + 10000 * 3)],
  ])('%s', (_what, count, stopAt, flags, r0) => {
    const engine = new Engine();
    const program = load(engine, COUNT, options);
    const result = engine.run(program, { args: [count, stopAt, flags] });
    expect(result).toMatchObject({ r0: BigInt.asUintN(64, r0) });
    expect(result.fault).toBeUndefined();
  });

  test('loops nest as deep as calls', () => {
    // Each level loops ten times over the next; the context says how many levels are left.
    const text = `
      r3 = r1
      r1 = 3\nr2 = func body\nr4 = 0\ncall ${LOOP}
      r0 = r6
      exit
    body:
      if r2 == 0 goto out
      r3 = r2\nr3 += -1
      r1 = 3\nr2 = func body\nr4 = 0\ncall ${LOOP}
    out:
      r0 = 0
      exit`;
    const engine = new Engine();
    const program = load(engine, text, options);
    const levels = engine.run(program, { args: [6] });
    expect(levels.fault).toBeUndefined();
    // 7 levels of calls, the last of which calls nothing.
    const calls = [...Array(7).keys()].map((level) => 3 ** (level + 1));
    const inner = calls.slice(0, -1).reduce((sum, n) => sum + n * 9, 0);
    expect(levels.instructions).toBe(7 + inner + calls.at(-1)! * 3);
    expect(engine.run(program, { args: [7] }).fault).toMatchObject({ kind: 'stack-overflow', insn: 15 });
  });

  test('goes on where a slice ended, whatever ran in between', () => {
    const engine = new Engine();
    const program = load(engine, COUNT, options);
    const runs = [7, 11].map((quantum) => {
      const execution = engine.execution();
      execution.start(program, { args: [200, 150, 0] });
      return { execution, quantum, slices: 0, stop: 'slice' };
    });
    while (runs.some(({ stop }) => stop === 'slice')) {
      for (const run of runs.filter(({ stop }) => stop === 'slice')) {
        run.stop = run.execution.resume(run.quantum);
        run.slices++;
      }
    }
    const whole = engine.run(program, { args: [200, 150, 0] });
    expect(whole.r0).toBe(BigInt(151 + 10000 * 11325));
    for (const { execution, stop, slices } of runs) {
      expect(stop).toBe('exit');
      expect(slices).toBeGreaterThan(100);
      expect(execution.result()).toEqual(whole);
    }
  });

  test('an endless callback and a long loop both use up the fuel', () => {
    const engine = new Engine();
    const endless = `r1 = 9\nr2 = func body\nr4 = 0\ncall ${LOOP}\nexit\nbody:\nagain: goto again\nexit`;
    expect(engine.run(load(engine, endless, options), { fuel: 1000 }).fault).toMatchObject({
      kind: 'out-of-fuel',
      insn: 6,
    });
    const program = load(engine, COUNT, options);
    const { instructions } = engine.run(program, { args: [LIMIT, LIMIT, 0] });
    const fuelled = (fuel: number) => engine.run(program, { args: [LIMIT, LIMIT, 0], fuel }).fault?.kind;
    expect(fuelled(instructions)).toBeUndefined();
    expect(fuelled(instructions - 1)).toBe('out-of-fuel');
    expect(fuelled(instructions >> 1)).toBe('out-of-fuel');
  });

  test('a fault in a later iteration names its instruction', () => {
    const text = COUNT.replace('r0 = 1\n', 'r0 = 1\nif r1 != 5 goto good\nr0 = *(u8 *)(r1 + 0)\ngood:\n');
    const engine = new Engine();
    const insns = assembleFunctions(text);
    const insn = insns.findIndex(({ code, src }) => code === 0x71 && src === 1);
    const program = load(engine, text, options);
    for (let i = 0; i < 2; i++) {
      expect(engine.run(program, { args: [10, 99, 0] }).fault).toMatchObject({
        kind: 'bad-access',
        insn,
        address: 5n,
      });
    }
    expect(engine.run(program, { args: [5, 99, 0] }).r0).toBe(BigInt(5 + 10000 * 10));
  });

  test('a tail call in a callback ends that call alone', () => {
    const engine = new Engine();
    const target = loadText(engine, 'r0 = 0\nif r1 != 40 goto +1\nr0 = 1\nexit', options);
    const tail: HelperDef = { kind: 'tail', name: 'tail_call', run: () => target };
    const text = `
      r1 = 100\nr2 = func body\nr4 = 0\ncall ${LOOP}
      exit
    body:
      call ${OTHER}
      r0 = 0
      exit`;
    // 33 iterations make the call; the others find it used up and go on.
    const program = load(engine, text, options, tail);
    expect(engine.run(program)).toEqual({ r0: 100n, instructions: 5 + 33 * 4 + 67 * 3 });
    const stopping = load(engine, text.replace('call 2', 'r1 += 20\n call 2'), options, tail);
    expect(engine.run(stopping).r0).toBe(21n);
  });

  test('a packet load out of bounds ends the iteration', () => {
    const engine = new Engine();
    const region = engine.alloc(8);
    const text = `
      r1 = 12\nr6 = 1\nr2 = func body\nr4 = 0\ncall ${LOOP}
      r0 += r6
      exit
    body:
      r6 = r1
      r7 = r1
      r0 = 0
      .ld
      r0 = 1
      if r7 == 100 goto out
      r0 = 0
    out:
      exit`;
    const insns = assembleFunctions(text.replace('.ld', 'r0 = *(u8 *)skb[r7]'));
    const program = engine.load({ name: 'packet', insns }, { ...options, helpers: () => loop });
    const result = engine.run(program, { packet: { region } });
    expect(result).toEqual({ r0: 13n, instructions: 7 + 8 * 8 + 4 * 4 });
  });

  test('callbacks may wait, and run other programs', () => {
    const engine = new Engine();
    const inner = load(engine, COUNT, options);
    const text = `
      r1 = 4\nr2 = func body\nr3 = 0\nr4 = 0\ncall ${LOOP}
      exit
    body:
      r6 = r1
      call ${OTHER}
      if r0 != r6 goto wrong
      r0 = 0
      exit
    wrong:
      r0 = 1
      exit`;
    const waiting: HelperDef = {
      kind: 'flow',
      name: 'waiting',
      *run(caller) {
        const index = caller.reg(1);
        yield index;
        expect(engine.run(inner, { args: [100, 50, 0] }).r0).toBe(BigInt(51 + 10000 * 1275));
        return index;
      },
    };
    const nested: HelperDef = {
      kind: 'plain',
      name: 'nested',
      run: (call) => {
        const index = call.argU32(1);
        expect(engine.run(inner, { args: [100, 50, 0] }).r0).toBe(BigInt(51 + 10000 * 1275));
        return index;
      },
    };
    const execution = engine.execution();
    execution.start(load(engine, text, options, waiting));
    const driver = execution.drive();
    const seen: unknown[] = [];
    let step = driver.next();
    for (; !step.done; step = driver.next()) seen.push(step.value);
    expect(seen).toEqual([0n, 1n, 2n, 3n]);
    expect(step.value).toEqual({ r0: 4n, instructions: 6 + 4 * 5 });
    expect(engine.run(load(engine, text, options, nested))).toEqual({ r0: 4n, instructions: 6 + 4 * 5 });
  });

  test('callx reaches the loop too', () => {
    const engine = new Engine();
    const program = load(engine, COUNT.replace(`call ${LOOP}`, `r8 = ${LOOP}\ncallx r8`), options);
    expect(engine.run(program, { args: [100, 50, 0] }).r0).toBe(BigInt(51 + 10000 * 1275));
    const args = [LIMIT + 1, 0, 0];
    expect(engine.run(program, { args }).r0).toBe(BigInt.asUintN(64, -7n));
  });
});

describe.each(LOOPS.filter(([, { checked }]) => checked))('%s', (_name, options) => {
  test('a callback’s frame is zero at the start of every iteration, and nobody’s after the loop', () => {
    const engine = new Engine();
    const text = `
      r1 = 5\nr2 = func body\nr3 = 0\nr4 = 0\ncall ${LOOP}
      if r0 != 5 goto out
      r1 = *(u64 *)(r10 - 584)
    out:
      exit
    body:
      r0 = *(u64 *)(r10 - 8)
      r0 |= *(u64 *)(r10 - 512)
      *(u64 *)(r10 - 8) = 77
      *(u64 *)(r10 - 512) = 77
      exit`.replace('r0 |= *(u64 *)(r10 - 512)', 'r3 = *(u64 *)(r10 - 512)\nr0 |= r3');
    expect(engine.run(load(engine, text, options))).toMatchObject({
      r0: 5n,
      fault: { kind: 'bad-access', insn: 7 },
    });
  });
});
