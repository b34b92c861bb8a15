/** Programs with known bugs: found by each strategy within its bound, and not below it; numbers of schedules by formula. */
import { describe, expect, test } from '@jest/globals';
import {
  type ExploreReport,
  exhaustive,
  explore,
  minimise,
  pct,
  randomWalk,
  type Scenario,
  type Strategy,
} from '../../src/explore/index.js';
import { nmiOnBucket } from './kernel-bugs.js';
import { abaOnFreelist, flickeringFlag, migration, missedWakeUp, tornValue } from './known-bugs.js';
import { idleSteps, lostUpdate, twoLocks } from './worlds.js';

const BUGS: readonly [scenario: Scenario, kind: string, preemptions: number][] = [
  [twoLocks(), 'deadlock', 1],
  [lostUpdate(2) as Scenario, 'assertion', 1],
  [abaOnFreelist() as Scenario, 'assertion', 1],
  [migration() as Scenario, 'assertion', 2],
  [tornValue() as Scenario, 'assertion', 1],
  [missedWakeUp(), 'deadlock', 1],
  [flickeringFlag() as Scenario, 'assertion', 2],
];

/** Runs so many schedules of a strategy, and counts those that fail. */
function hits(scenario: Scenario, strategy: Strategy, schedules: number): [number, ExploreReport] {
  let failing = 0;
  const counting: Strategy = {
    name: strategy.name,
    get seed() {
      return strategy.seed;
    },
    get exhausted() {
      return strategy.exhausted;
    },
    get note() {
      return strategy.note ?? '';
    },
    next: () => strategy.next(),
    learn(outcome) {
      if (outcome.verdict !== undefined) failing++;
      return strategy.learn(outcome);
    },
  };
  const report = explore({ scenario, strategy: counting, schedules, keepGoing: true });
  return [failing, report];
}

describe.each(BUGS.map(([scenario, ...rest]) => [scenario.name, scenario, ...rest] as const))(
  '%s',
  (_name, scenario, kind, preemptions) => {
    test('no schedule with fewer preemptions fails, one with as many does', () => {
      const below = exhaustive({ preemptions: preemptions - 1 });
      const clean = explore({ scenario, strategy: below, schedules: 1e5 });
      expect(clean).toMatchObject({ exhausted: true, failures: [] });
      const strategy = exhaustive({ preemptions });
      const found = explore({ scenario, strategy, schedules: 1e5 });
      expect(found.failures[0]).toMatchObject({ kind, preemptions });
    });

    test('a random walk finds it, and what it finds is made that simple', () => {
      const report = explore({ scenario, strategy: randomWalk(1), schedules: 1000 });
      expect(minimise(scenario, report.failures[0]!)).toMatchObject({ kind, preemptions, proven: true });
    });

    test.each([1, 1000, 77_777])('PCT finds it at least as often as it promises, from seed %i', (seed) => {
      // A bug that needs p preemptions has p + 1 ordering constraints.
      const depth = preemptions + 1;
      const runs = 500;
      const [failing, { note = '' }] = hits(scenario, pct({ seed, depth }), runs);
      const promised = Number(/at least ([\d.e+-]+) %/.exec(note)![1]) / 100;
      const deviation = Math.sqrt((promised * (1 - promised)) / runs);
      expect(failing / runs).toBeGreaterThanOrEqual(promised - 3 * deviation);
      expect(failing).toBeGreaterThan(0);
    });
  },
);

const binomial = (n: number, k: number): number =>
  k < 0 ? 0 : k === 0 ? 1 : (binomial(n - 1, k - 1) * n) / k;

/**
 * Orders of two sequences of n steps with at most p preemptions: m blocks in turn, of which all ends but that of one
 * sequence and that of the whole are preemptions, and compositions of n into each one's number of blocks.
 */
function boundedOrders(n: number, p: number): number {
  let sum = 0;
  for (let m = 2; m <= p + 2; m++) {
    sum += 2 * binomial(n - 1, Math.ceil(m / 2) - 1) * binomial(n - 1, Math.floor(m / 2) - 1);
  }
  return sum;
}

describe.each([2, 3, 4, 5, 6])('two tasks of %i steps', (steps) => {
  test.each([0, 1, 2, 3, 4])(
    'at most %i preemptions: as many schedules as the formula says',
    (preemptions) => {
      const strategy = exhaustive({ preemptions });
      const report = explore({ scenario: idleSteps(steps), strategy, schedules: 1e6 });
      expect(report).toMatchObject({ schedules: boundedOrders(steps, preemptions), exhausted: true });
    },
  );

  test('unbounded: all of them', () => {
    const bound = 2 * steps;
    const report = explore({ scenario: idleSteps(steps), strategy: exhaustive(), schedules: 1e6 });
    expect(report.schedules).toBe(binomial(2 * steps, steps));
    expect(boundedOrders(steps, bound)).toBe(binomial(2 * steps, steps));
  });
});

test('a lost update: 12 of 20 orders', () => {
  // Start, load, store each. An order is good where one stores before the other loads: 4 places for the other's start.
  const [failing, report] = hits(lostUpdate(2) as Scenario, exhaustive(), 1e5);
  expect([failing, report.schedules]).toEqual([12, 20]);
});

describe.each([1, 2, 3, 7])('an exhaustive search in %i parts', (count) => {
  const parts = (steps: number, preemptions?: number) =>
    Array.from({ length: count }, (_, index) => {
      const strategy = exhaustive({
        part: { index, count },
        ...(preemptions !== undefined && { preemptions }),
      });
      return explore({ scenario: idleSteps(steps), strategy, schedules: 1e6 });
    });
  const sum = (reports: readonly ExploreReport[]): number =>
    reports.reduce((all, { schedules }) => all + schedules, 0);

  test.each([2, 3, 4, 5])('each of the orders of two tasks of %i steps once', (steps) => {
    const reports = parts(steps);
    expect(sum(reports)).toBe(binomial(2 * steps, steps));
    expect(reports.every(({ exhausted }) => exhausted)).toBe(true);
    expect(sum(parts(steps, 2))).toBe(boundedOrders(steps, 2));
  });
});

describe('an NMI on a bucket that the task below it has locked, with the maps of a kernel', () => {
  const strategies: readonly [string, () => Strategy][] = [
    ['random', () => randomWalk(1)],
    ['PCT', () => pct({ depth: 2 })],
    ['one preemption', () => exhaustive({ preemptions: 1 })],
  ];
  test.each(strategies)('5.7 deadlocks: found by %s', (_name, make) => {
    const report = explore({ scenario: nmiOnBucket('5.7'), strategy: make(), schedules: 60 });
    expect(report.failures[0]).toMatchObject({ kind: 'deadlock' });
  });

  test('no schedule of 6.18 fails', () => {
    const report = explore({ scenario: nmiOnBucket('6.18'), strategy: exhaustive(), schedules: 200 });
    expect(report).toMatchObject({ exhausted: true, failures: [] });
  });
});
