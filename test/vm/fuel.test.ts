/** Fuel, quanta, and exact instruction counts. */
import { describe, expect, test } from '@jest/globals';
import { Engine } from '../../src/vm/index.js';
import { LOOPS, loadText, runText } from './support.js';

const LOOP = 'r0 = 0\nr0 += 1\nif r0 != 1000000 goto -2\nexit';

describe.each(LOOPS)('%s', (_name, options) => {
  test('a loop without end is stopped', () => {
    const { fault, instructions } = runText('r0 = 1\ngoto -1', { ...options, fuel: 5_000_000 });
    expect(fault).toMatchObject({
      kind: 'out-of-fuel',
      detail: 'out of fuel, not finished after 5000000 instructions',
    });
    expect(instructions).toBe(5_000_000);
  });

  test('fuel that just suffices, and one less', () => {
    expect(runText(LOOP, { ...options, fuel: 2_000_002 })).toEqual({
      r0: 1_000_000n,
      instructions: 2_000_002,
    });
    expect(runText(LOOP, { ...options, fuel: 2_000_001 }).fault?.kind).toBe('out-of-fuel');
  });

  test('straight-line code is stopped too', () => {
    const { fault } = runText('r0 = 1\nr0 = 2\nr0 = 3\nexit', { ...options, fuel: 3 });
    expect(fault).toMatchObject({ kind: 'out-of-fuel', insn: 3 });
    expect(runText('r0 = 1\nr0 = 2\nr0 = 3\nexit', { ...options, fuel: 4 }).r0).toBe(3n);
  });

  test('local calls are charged', () => {
    const text = 'r6 = 0\ncall pc+3\nr6 += 1\nif r6 != 10 goto -3\nexit\nr0 = r1\nr0 = 5\nexit';
    expect(runText(text, options)).toEqual({ r0: 5n, instructions: 62 });
  });

  test('a run in quanta computes what it does in one', () => {
    const engine = new Engine();
    const execution = engine.execution();
    execution.start(loadText(engine, LOOP, options));
    const stops: string[] = [];
    for (;;) {
      const stop = execution.resume(300_001);
      stops.push(stop);
      if (stop !== 'slice') break;
      expect(execution.instructions).toBeGreaterThanOrEqual(stops.length * 300_001);
    }
    expect(stops).toEqual([...new Array(6).fill('slice'), 'exit']);
    expect(execution.result()).toEqual({ r0: 1_000_000n, instructions: 2_000_002 });
  });
});

test('exact fuel stops before every instruction', () => {
  const engine = new Engine();
  const execution = engine.execution();
  execution.start(loadText(engine, 'r0 = 1\nr0 += 2\nr1 = 7 ll\nr0 += r1\nexit', { exactFuel: true }));
  const seen: unknown[] = [];
  while (execution.resume(1) === 'slice') seen.push([execution.position.insn, execution.reg(0)]);
  expect(seen).toEqual([
    [1, 1n],
    [2, 3n],
    [4, 3n],
    [5, 10n],
  ]);
  expect(execution.instructions).toBe(5);
});

test('may_goto gives up after the loop budget of its frame', () => {
  const text = 'r0 = 0\nr0 += 1\nmay_goto +1\ngoto -3\nexit';
  const { r0, fault } = runText(text, { fuel: 100_000_000 });
  expect(fault).toBeUndefined();
  expect(r0).toBe(8_388_609n);
});

describe('what a host may not do', () => {
  const engine = new Engine();
  const wait = { kind: 'flow', name: 'wait', run: () => 0 } as const;
  const program = loadText(engine, 'call 1\nexit', { helpers: { 1: wait } });

  test.each([-1, Number.NaN])('%p is no fuel', (fuel) => {
    expect(() => engine.run(program, { fuel })).toThrow('is no number of instructions');
  });

  test('resume what has not begun, waits for a helper, or has ended', () => {
    const execution = engine.execution();
    expect(() => execution.resume()).toThrow('there is no run to go on with');
    execution.start(program);
    expect(() => execution.resume(0)).toThrow('0 is no number of instructions');
    expect(execution.resume()).toBe('flow');
    expect(() => execution.resume()).toThrow('helper wait has not been carried out');
    execution.setReg(0, execution.takeFlow() as number);
    expect(execution.resume()).toBe('exit');
    expect(() => execution.resume()).toThrow('there is no run to go on with');
  });

  test('start a run that is under way in the core', () => {
    const nested = engine.execution();
    const restart = loadText(engine, 'call 1\nexit', {
      helpers: {
        1: {
          kind: 'plain',
          name: 'restart',
          run: () => {
            nested.start(program);
            return 0;
          },
        },
      },
    });
    nested.start(restart);
    expect(() => nested.resume()).toThrow('the execution is running');
  });
});
