/** Resilient spinlocks: what they give up on, after how long, and what they miss. */
import { describe, expect, test } from '@jest/globals';
import { Errno } from '../../../src/abi/errno.js';
import { RES_NR_HELD } from '../../../src/kernel/locking/rqspinlock.js';
import { type Flow, point } from '../../../src/kernel/sched/flow.js';
import { Bench } from './bench.js';

const HERE = point('test');
const MS = 1_000_000;

describe('rqspinlock', () => {
  test('a lock that its own CPU holds: -EDEADLK at the first check, a millisecond later', () => {
    const { sched, locks } = new Bench();
    const lock = locks.rq('&l');
    expect(lock.lockNow('outer')).toBe(0);
    const start = sched.clock.nanos;
    expect(lock.lockNow('inner')).toBe(-Errno.EDEADLK);
    expect(sched.clock.nanos - start).toBe(MS);
    expect(sched.here.preemptCount).toBe(1);
    lock.unlock();
    expect(sched.here.preemptCount).toBe(0);
    expect(lock.lockNow('again')).toBe(0);
  });

  test('two CPUs with two locks: one gives up, the other gets both', () => {
    const bench = new Bench({ interleaved: true });
    const { executor, locks, log } = bench;
    const [a, b] = [locks.rq('a'), locks.rq('b')];
    bench.rest();
    function* both(name: string, first: typeof a, second: typeof a): Flow<void> {
      expect(yield* first.lock(name)).toBe(0);
      yield HERE;
      const result = yield* second.lock(name);
      log.push(`${name} ${result}`);
      if (result === 0) second.unlock();
      first.unlock();
    }
    bench.spawn(2, 0, () => both('x', a, b));
    bench.spawn(3, 1, () => both('y', b, a));
    executor.settle();
    expect(log.map((line) => line.slice(2)).sort()).toEqual([String(-Errno.EDEADLK), '0'].sort());
  });

  test.each([
    ['the pending waiter', 1, 250],
    ['the head of the queue', 2, 500],
  ])('a lock that is not given up: %s has its own limit', (_, waiters, limitMs) => {
    const bench = new Bench({ cpus: 4, interleaved: true });
    const { executor, locks, sched, log } = bench;
    const lock = locks.rq('&l');
    bench.rest();
    bench.spawn(2, 0, function* () {
      yield* lock.lock('holder');
      yield { kind: 'spin', until: () => false, on: lock, deadlineNs: sched.clock.nanos + 2000 * MS };
      lock.unlock();
    });
    const results: number[] = [];
    for (let i = 0; i < waiters; i++) {
      bench.spawn(3 + i, 1 + i, function* () {
        sched.charge(100 * (i + 1));
        yield HERE;
        const start = sched.clock.nanos;
        results.push(yield* lock.lock(`waiter ${i}`));
        log.push(`${i} ${Math.round((sched.clock.nanos - start) / MS)}`);
      });
    }
    executor.settle();
    expect(results).toEqual(Array(waiters).fill(-Errno.ETIMEDOUT));
    expect(log.at(-1)).toBe(`${waiters - 1} ${limitMs}`);
  });

  test('who waits behind the head of the queue gives up with it', () => {
    const bench = new Bench({ cpus: 5, interleaved: true });
    const { executor, locks, sched, log } = bench;
    const lock = locks.rq('&l');
    bench.rest();
    bench.spawn(2, 0, function* () {
      yield* lock.lock('holder');
      yield { kind: 'spin', until: () => false, on: lock, deadlineNs: sched.clock.nanos + 2000 * MS };
      lock.unlock();
    });
    for (let i = 0; i < 4; i++) {
      bench.spawn(3 + i, 1 + i, function* () {
        sched.charge(100 * (i + 1));
        yield HERE;
        log.push(`${i} ${yield* lock.lock('waiter')}`);
      });
    }
    executor.settle();
    const [late, dead] = [-Errno.ETIMEDOUT, -Errno.EDEADLK];
    expect(log.sort()).toEqual([`0 ${late}`, `1 ${late}`, `2 ${dead}`, `3 ${dead}`]);
  });

  test('waiters are served in the order in which they came', () => {
    const bench = new Bench({ cpus: 4, interleaved: true });
    const { executor, locks, sched, log } = bench;
    const lock = locks.rq('&l');
    bench.rest();
    for (let i = 0; i < 4; i++) {
      bench.spawn(2 + i, i, function* () {
        sched.charge(10 * (i + 1));
        yield HERE;
        expect(yield* lock.lock('test')).toBe(0);
        sched.charge(5_000);
        yield HERE;
        log.push(String(i));
        lock.unlock();
      });
    }
    executor.settle();
    expect(log).toEqual(['0', '1', '2', '3']);
  });

  test.each([
    ['before', 1],
    ['after', 250],
  ] as const)('an NMI right after the lock was taken, entry noted %s: %d ms', (rqEntry, ms) => {
    const bench = new Bench({ interleaved: true, overrides: { rqEntry } });
    const { executor, locks, sched, log } = bench;
    const lock = locks.rq('&rb->spinlock');
    bench.rest();
    bench.spawn(2, 0, function* () {
      bench.executor.chooser = (choices) => {
        const at = choices.findIndex(({ kind }) => kind === 'interrupt');
        return lock.locked && at >= 0
          ? at
          : Math.max(
              choices.findIndex(({ kind }) => kind !== 'interrupt'),
              0,
            );
      };
      bench.interrupt('nmi', sched.here, function* () {
        const start = sched.clock.nanos;
        log.push(`${yield* lock.lock('nmi')} ${Math.round((sched.clock.nanos - start) / MS)}`);
      });
      expect(yield* lock.lock('task')).toBe(0);
      yield HERE;
      lock.unlock();
    });
    executor.settle();
    expect(log).toEqual([`${ms === 1 ? -Errno.EDEADLK : -Errno.ETIMEDOUT} ${ms}`]);
  });

  test('a deadlock on a lock beyond the table is only ended by the limit', () => {
    const { sched, locks } = new Bench();
    const held = Array.from({ length: RES_NR_HELD }, (_, i) => locks.rq(`l${i}`));
    for (const lock of held) expect(lock.lockNow('test')).toBe(0);
    const extra = locks.rq('extra');
    expect(extra.lockNow('test')).toBe(0);
    const start = sched.clock.nanos;
    expect(extra.lockNow('again')).toBe(-Errno.ETIMEDOUT);
    expect(sched.clock.nanos - start).toBe(250 * MS);
    expect(held[3]!.lockNow('again')).toBe(-Errno.EDEADLK);
  });
});
