/** What is done in one piece while nothing watches is what the flows do: same counts, times, worst sections and orders. */
import { describe, expect, test } from '@jest/globals';
import { Prandom } from '../../../src/kernel/lib/random.js';
import { Bench } from './bench.js';

/** A random sequence of nested lock operations on one CPU; what can be seen of it afterwards. */
function run(profile: string, interleaved: boolean, seed: number): unknown {
  const bench = new Bench({ profile, interleaved, cpus: 1, lockdep: 'always' });
  const { sched, locks, log } = bench;
  const random = new Prandom(seed);
  const pick = (n: number): number => random.next() % n;
  const raw = Array.from({ length: 4 }, (_, i) => locks.raw(`raw${i}`));
  const maps = [locks.map('raw', 'map raw'), locks.map('spin', 'map spin'), locks.map('rq', 'map rq')];
  const buckets = [
    locks.buckets({ buckets: 4, prealloc: true }),
    locks.buckets({ buckets: 4, prealloc: false }),
  ];
  const undo: (() => void)[] = [];
  for (let i = 0; i < 300; i++) {
    sched.charge(pick(50));
    const n = pick(4);
    const step = undo.length < 5 ? pick(6) : 9;
    const lock = raw[n]!;
    if (step === 0 && !lock.locked) {
      lock.lockNow(`lock ${i}`);
      undo.push(() => lock.unlock());
    } else if (step === 1 && !lock.locked) {
      const flags = lock.lockIrqsaveNow(`irqsave ${i}`);
      undo.push(() => lock.unlockIrqrestore(flags));
    } else if (step === 2 && !maps[n % 3]!.locked) {
      const map = maps[n % 3]!;
      log.push(`map ${map.lockNow(`map ${i}`)}`);
      undo.push(() => map.unlock());
    } else if (step === 3) {
      const which = buckets[n & 1]!;
      const result = which.isLocked(n) ? -1 : which.lockNow(n, `bucket ${i}`);
      log.push(`bucket ${result}`);
      if (result === 0) undo.push(() => which.unlock(n));
    } else undo.pop()?.();
    const { here, current } = sched;
    log.push(`${here.preemptCount} ${here.irqsDisabled} ${current.migrationDisabled} ${current.rcuDepth}`);
    log.push(`${sched.clock.nanos} ${locks.lockdep.held().map(({ cls, place }) => `${cls.label}@${place}`)}`);
  }
  while (undo.length > 0) undo.pop()!();
  return { log, latency: sched.latency.report(), graph: locks.lockdep.graph(), reports: bench.titles() };
}

describe('the quick way and the flows', () => {
  test.each(['5.7', '5.7-rt', '5.15', '6.1', '6.18', '6.18-rt'])('%s', (profile) => {
    for (let seed = 1; seed <= 6; seed++) expect(run(profile, false, seed)).toEqual(run(profile, true, seed));
  });
});
