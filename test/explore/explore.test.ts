/** Known answers: how many schedules there are, which bug is found by what and how soon, and that a schedule replays. */
import { describe, expect, test } from '@jest/globals';
import {
  exhaustive,
  explore,
  minimise,
  parseSchedule,
  pct,
  randomWalk,
  replay,
  type Scenario,
  type Strategy,
  storyOf,
  storyText,
} from '../../src/explore/index.js';
import { idleSteps, lostUpdate, twoLocks } from './worlds.js';

const factorial = (n: number): number => (n <= 1 ? 1 : n * factorial(n - 1));
/** Orders of two sequences of n steps each. */
const interleavings = (n: number): number => factorial(2 * n) / factorial(n) ** 2;

describe('exhaustive', () => {
  test.each([1, 2, 3, 4, 5])('two tasks of %i steps: every order once', (steps) => {
    const report = explore({ scenario: idleSteps(steps), strategy: exhaustive(), schedules: 1e6 });
    expect(report).toMatchObject({ schedules: interleavings(steps), exhausted: true, failures: [] });
  });

  test('three tasks', () => {
    const report = explore({ scenario: idleSteps(2, 3), strategy: exhaustive(), schedules: 1e6 });
    expect(report.schedules).toBe(factorial(6) / 8);
  });

  test('with a bound, the orders with so many preemptions', () => {
    // One task is not interrupted, or is once, at one of 3 places, after which the other one runs to its end.
    const none = explore({ scenario: idleSteps(4), strategy: exhaustive({ preemptions: 0 }) });
    const one = explore({ scenario: idleSteps(4), strategy: exhaustive({ preemptions: 1 }) });
    expect([none.schedules, one.schedules]).toEqual([2, 2 + 2 * 3]);
  });

  test('independent steps in one order: one schedule is enough', () => {
    const strategy = exhaustive({ reduce: true });
    const report = explore({ scenario: idleSteps(5), strategy, schedules: 1e6 });
    expect(report).toMatchObject({ schedules: 1, exhausted: true });
  });
});

const SCENARIOS: readonly [name: string, scenario: Scenario, kind: string, preemptions: number][] = [
  ['two locks', twoLocks(), 'deadlock', 1],
  ['lost update on two CPUs', lostUpdate(2) as Scenario, 'assertion', 1],
  ['lost update by preemption', lostUpdate(1) as Scenario, 'assertion', 1],
];

const STRATEGIES: readonly [name: string, make: () => Strategy][] = [
  ['random', () => randomWalk(1)],
  ['pct', () => pct({ seed: 1, depth: 2 })],
  ['exhaustive', () => exhaustive()],
  ['reduced', () => exhaustive({ reduce: true })],
  ['bounded', () => exhaustive({ preemptions: 1 })],
];

describe.each(SCENARIOS)('%s', (_name, scenario, kind, preemptions) => {
  test.each(STRATEGIES)('is found by %s, and replays', (_strategy, make) => {
    const report = explore({ scenario, strategy: make(), schedules: 500 });
    const [failure] = report.failures;
    expect(failure?.kind).toBe(kind);
    const text = JSON.stringify(failure!.schedule);
    const again = replay(scenario, parseSchedule(text));
    expect(again?.message).toBe(failure!.message);
    expect(again?.schedule).toEqual(failure!.schedule);
  });

  test('is shown with the fewest preemptions', () => {
    const [failure] = explore({ scenario, strategy: randomWalk(7), schedules: 500 }).failures;
    const least = minimise(scenario, failure!);
    expect(least).toMatchObject({ preemptions, proven: true, kind });
    expect(replay(scenario, least.schedule)?.kind).toBe(kind);
  });

  test('reduction finds the same failures in no more runs', () => {
    const all = explore({ scenario, strategy: exhaustive(), schedules: 1e5, keepGoing: true });
    const few = explore({
      scenario,
      strategy: exhaustive({ reduce: true }),
      schedules: 1e5,
      keepGoing: true,
    });
    expect(few.failures.map((f) => f.message).sort()).toEqual(all.failures.map((f) => f.message).sort());
    expect(few.exhausted && all.exhausted).toBe(true);
    expect(few.schedules).toBeLessThanOrEqual(all.schedules);
  });
});

test('reduction leaves out what only changes the order of independent steps', () => {
  const count = (reduce: boolean) => {
    const report = explore({
      scenario: twoLocks(),
      strategy: exhaustive({ reduce }),
      schedules: 1e5,
      keepGoing: true,
    });
    return report.schedules;
  };
  expect(count(true)).toBeLessThan(count(false) / 4);
});

test('the same seed takes the same schedules', () => {
  const run = () =>
    explore({ scenario: twoLocks(), strategy: randomWalk(42), keepGoing: true, schedules: 50 });
  expect(run()).toEqual(run());
});

test.each([
  ['no JSON', '{', 'not JSON'],
  ['no steps', '{"scenario":"x","seed":1}', 'a schedule has'],
  ['null', 'null', 'a schedule has'],
])('a text that is no schedule (%s) is refused', (_name, text, message) => {
  expect(() => parseSchedule(text)).toThrow(message);
});

test('a schedule of another scenario is refused by its first step that cannot be', () => {
  const schedule = { scenario: 'two locks', seed: 0, steps: ['run nobody/7 on CPU 3'] };
  expect(() => replay(twoLocks(), schedule)).toThrow(
    /step 1 is "run nobody\/7 on CPU 3", but what can happen is/,
  );
});

test('a failure is told step by step, a column for each CPU', () => {
  const scenario = twoLocks();
  const [failure] = explore({ scenario, strategy: exhaustive() }).failures;
  const least = minimise(scenario, failure!);
  expect(storyText(storyOf(scenario, least), least, { width: 60 })).toBe(
    [
      'CPU 0                          CPU 1',
      't1/1:',
      '  starts',
      '  step',
      '                               t2/2:',
      '                                 starts',
      '                                 step',
      '                                 step',
      't1/1: step',
      '',
      'nothing can go on: t1/1 on CPU 0 spins on B, held by t2/2',
      't2/2 on CPU 1 spins on A, held by t1/1',
    ].join('\n'),
  );
});
