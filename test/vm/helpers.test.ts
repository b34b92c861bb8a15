/** Helper kinds, runs within runs, and runs that wait. */
import { describe, expect, test } from '@jest/globals';
import { Engine, type HelperDef, type RegValue } from '../../src/vm/index.js';
import { LOOPS, loadText, runText } from './support.js';

const plain = (run: Extract<HelperDef, { kind: 'plain' }>['run']): HelperDef => ({
  kind: 'plain',
  name: 'h',
  run,
});

const RETURNS: readonly (readonly [RegValue, bigint])[] = [
  [7, 7n],
  [-22, 0xffffffffffffffean],
  [0x80000000, 0x80000000n],
  [2 ** 40 + 5, 0x10000000005n],
  [-(2 ** 40), 0xffffff0000000000n],
  [0xffffffffffffffffn, 0xffffffffffffffffn],
  [-1n, 0xffffffffffffffffn],
];

describe.each(LOOPS)('%s', (_name, options) => {
  test.each(RETURNS)('a helper that gives %p', (value, r0) => {
    const kinds: HelperDef[] = [
      plain(() => value),
      { kind: 'flow', name: 'h', run: () => value },
      { kind: 'const', name: 'h', value },
    ];
    for (const helper of kinds) {
      expect(runText('r0 = 1\ncall 1\nexit', { ...options, helpers: { 1: helper } })).toEqual({
        r0,
        instructions: 3,
      });
    }
  });

  test('arguments', () => {
    let seen: unknown[] = [];
    const helper = plain((call) => {
      seen = [call.arg(1), call.argI32(2), call.argU32(2), call.arg(3), call.i64[4], call.arg(5)];
      call.setR0(11);
      return undefined;
    });
    const text = 'r1 = -1\nr2 = -2\nr3 = 3\nr4 = -4\nr5 = 0x500000000 ll\ncall 1\nexit';
    expect(runText(text, { ...options, helpers: { 1: helper } }).r0).toBe(11n);
    expect(seen).toEqual([0xffffffffffffffffn, -2, 0xfffffffe, 3n, -4n, 0x500000000n]);
  });

  test('slots of memory serve without leaving the core', () => {
    const engine = new Engine();
    const memory = engine.alloc(16);
    const view = new DataView(memory.bytes.buffer, memory.address32, 16);
    view.setBigUint64(0, 0xfedcba9876543210n, true);
    const helpers: Record<number, HelperDef> = {
      1: { kind: 'slot', name: 'whole', offset: memory.address32, size: 8 },
      2: { kind: 'slot', name: 'half', offset: memory.address32 + 4, size: 4 },
    };
    expect(runText('call 1\nexit', { ...options, engine, helpers }).r0).toBe(0xfedcba9876543210n);
    expect(runText('call 2\nexit', { ...options, engine, helpers }).r0).toBe(0xfedcba98n);
    for (const [id, r0] of [
      [1, 0xfedcba9876543210n],
      [2, 0xfedcba98n],
      [3, 7n],
    ] as const) {
      helpers[3] = { kind: 'const', name: 'seven', value: 7 };
      expect(runText(`r6 = ${id}\ncallx r6\nexit`, { ...options, engine, helpers }).r0).toBe(r0);
    }
  });

  test('instructions are exact inside helpers', () => {
    const seen: number[] = [];
    const helpers: Record<number, HelperDef> = {
      1: plain((call) => {
        seen.push(call.execution.instructions);
        return 0;
      }),
      2: {
        kind: 'flow',
        name: 'f',
        run: (caller) => {
          seen.push(caller.instructions);
          return 0;
        },
      },
    };
    runText('r6 = 0\ncall 1\ncall 2\nr6 += 1\nif r6 != 2 goto -4\nexit', { ...options, helpers });
    expect(seen).toEqual([2, 3, 6, 7]);
  });

  test('a run within a run leaves the outer one as it was', () => {
    const engine = new Engine();
    const inner = loadText(
      engine,
      'r6 = 60\nr7 = 70\n*(u64 *)(r10 - 8) = 1\ncall pc+1\nexit\nr0 = r6\nexit',
      options,
    );
    const nest = plain((call) => {
      const before = call.i64.slice();
      const r0 = engine.run(inner).r0;
      expect(call.i64.slice(1)).toEqual(before.slice(1));
      return r0;
    });
    const text =
      'r6 = 6\nr7 = 7\n*(u64 *)(r10 - 8) = 8\ncall 1\nr0 += r6\nr0 += r7\nr1 = *(u64 *)(r10 - 8)\nr0 += r1\nexit';
    expect(runText(text, { ...options, engine, helpers: { 1: nest } })).toEqual({ r0: 81n, instructions: 9 });
  });

  test('two runs that wait for each other’s steps', () => {
    const engine = new Engine();
    const log: string[] = [];
    const wait = (name: string): HelperDef => ({
      kind: 'flow',
      name,
      *run(caller) {
        log.push(`${name} ${caller.reg(6)}`);
        yield name;
        return caller.reg(6) * 2n;
      },
    });
    const text = 'r6 = r1\ncall 1\nr6 += r0\ncall 1\nr0 += r6\nexit';
    const drivers = [1, 10].map((arg) => {
      const execution = engine.execution();
      execution.start(loadText(engine, text, { ...options, helpers: { 1: wait(`run${arg}`) } }), {
        args: [arg],
      });
      return execution.drive();
    });
    const results: (bigint | undefined)[] = [];
    for (let round = 0; round < 3; round++) {
      for (const driver of drivers) {
        const step = driver.next();
        if (step.done) results.push(step.value.r0);
      }
    }
    expect(results).toEqual([9n, 90n]);
    expect(log).toEqual(['run1 1', 'run10 10', 'run1 3', 'run10 30']);
  });

  test('a plain helper can ask for control', () => {
    const engine = new Engine();
    const helper = plain(() => {
      engine.requestStop();
      return 5;
    });
    const execution = engine.execution();
    execution.start(loadText(engine, 'call 1\nr0 += 1\nexit', { ...options, helpers: { 1: helper } }));
    expect(execution.resume()).toBe('yield');
    expect(execution.position.insn).toBe(1);
    expect(execution.resume()).toBe('exit');
    expect(execution.reg(0)).toBe(6n);
  });

  test('waiting where nothing else can run is an error', () => {
    const helper: HelperDef = {
      kind: 'flow',
      name: 'sleep',
      *run() {
        yield 'sleep';
        return 0;
      },
    };
    expect(() => runText('call 1\nexit', { ...options, helpers: { 1: helper } })).toThrow(
      'nothing else can run here',
    );
  });

  test('memory that grows inside a helper stays usable', () => {
    const engine = new Engine();
    const helper = plain((call) => {
      const region = engine.alloc(8 << 20);
      region.bytes[0] = 42;
      call.setR0(region.address);
      return undefined;
    });
    const text = 'r6 = 3\ncall 1\nr0 = *(u8 *)(r0 + 0)\nr0 += r6\nexit';
    expect(runText(text, { ...options, engine, helpers: { 1: helper } }).r0).toBe(45n);
  });
});

test('pointers that helpers get are held to the caller’s memory', () => {
  const sum = plain((call) => call.bytes(1, call.argI32(2)).reduce((a, b) => a + b, 0));
  const fill = plain((call) => {
    call.bytes(1, call.argI32(2), true).fill(1);
    return 0;
  });
  const helpers = { 1: sum, 2: fill };
  const engine = new Engine();
  const memory = engine.alloc(13, 'read');
  memory.bytes.fill(2);
  const args = [memory.address];
  expect(runText('r2 = 13\ncall 1\nexit', { engine, helpers, args }).r0).toBe(26n);
  expect(runText('r2 = 14\ncall 1\nexit', { engine, helpers, args }).fault).toMatchObject({
    kind: 'bad-access',
    insn: 1,
    address: memory.address,
    size: 14,
  });
  expect(runText('r2 = 13\ncall 2\nexit', { engine, helpers, args }).fault?.kind).toBe('bad-access');
  expect(
    runText('r1 = r10\nr1 += -16\nr2 = 16\ncall 2\nr0 = *(u64 *)(r10 - 16)\nexit', { engine, helpers }).r0,
  ).toBe(0x0101010101010101n);
  expect(runText('r1 = 64\nr2 = 1\ncall 1\nexit', { engine, helpers, checked: false }).fault?.kind).toBe(
    'bad-access',
  );
});
