/** Bucket locks: which lock a map takes in which kernel, and how `map_locked` answers recursion. */
import { describe, expect, test } from '@jest/globals';
import { Errno } from '../../../src/abi/errno.js';
import { point } from '../../../src/kernel/sched/flow.js';
import { Bench } from './bench.js';

const HERE = point('test');

describe('bucket locks', () => {
  test.each([
    ['5.6', true, 'raw'],
    ['5.6', false, 'raw'],
    ['5.6-rt', false, 'raw'],
    ['5.7', false, 'raw'],
    ['5.7-rt', true, 'raw'],
    ['5.7-rt', false, 'spin'],
    ['rfc-rt', false, 'spin'],
    ['5.15-rt', false, 'spin'],
    ['5.15-rt', true, 'raw'],
    ['6.1-rt', false, 'raw'],
    ['6.12', false, 'raw'],
    ['6.18', true, 'rq'],
    ['6.18-rt', false, 'rq'],
  ] as const)('%s, preallocated %s: %s', (profile, prealloc, kind) => {
    const { locks, sched } = new Bench({ profile });
    const buckets = locks.buckets({ buckets: 8, prealloc });
    expect(buckets.kind).toBe(kind);
    expect(buckets.lockNow(3, 'test')).toBe(0);
    expect(buckets.isLocked(3)).toBe(true);
    expect(buckets.isLocked(4)).toBe(false);
    const atomic = kind !== 'spin';
    expect([sched.here.irqsDisabled, sched.here.preemptCount > 0]).toEqual([atomic, atomic]);
    buckets.unlock(3);
    expect([sched.here.irqsDisabled, sched.here.preemptCount]).toEqual([false, 0]);
    expect(sched.current.migrationDisabled).toBe(0);
    expect(buckets.isLocked(3)).toBe(false);
  });

  test.each(['5.15', '5.15-rt', '6.1', '6.1-rt', '6.12'])('%s: recursion is -EBUSY', (profile) => {
    const { locks, sched } = new Bench({ profile });
    const buckets = locks.buckets({ buckets: 1, prealloc: true });
    expect(buckets.lockNow(5, 'outer')).toBe(0);
    expect(buckets.lockNow(5, 'inner')).toBe(-Errno.EBUSY);
    buckets.unlock(5);
    expect(buckets.lockNow(5, 'again')).toBe(0);
    buckets.unlock(5);
    expect([sched.here.irqsDisabled, sched.here.preemptCount]).toEqual([false, 0]);
  });

  test('6.18: recursion is -EDEADLK', () => {
    const { locks } = new Bench();
    const buckets = locks.buckets({ buckets: 1, prealloc: true });
    expect(buckets.lockNow(5, 'outer')).toBe(0);
    expect(buckets.lockNow(5, 'inner')).toBe(-Errno.EDEADLK);
    buckets.unlock(5);
  });

  test.each([
    ['8', 0],
    ['min', -Errno.EBUSY],
  ] as const)('mask %s: one bucket, two counters or one', (mapLockedMask, expected) => {
    const { locks } = new Bench({ profile: '5.15', overrides: { mapLockedMask }, lockdep: 'off' });
    const buckets = locks.buckets({ buckets: 1, prealloc: true });
    expect(buckets.lockNow(1, 'outer')).toBe(0);
    const inner = (): number => buckets.lockNow(2, 'inner');
    // With a counter of its own the inner one goes on to the lock, and spins.
    if (expected === 0) expect(inner).toThrow(/nobody in a circle can go on/);
    else expect(inner()).toBe(expected);
  });

  test('RT, 5.15: a task that preempts another inside gets -EBUSY although it could wait', () => {
    const bench = new Bench({ profile: '5.15-rt', cpus: 1, interleaved: true });
    const { executor, locks, log } = bench;
    const buckets = locks.buckets({ buckets: 1, prealloc: false });
    bench.rest();
    bench.spawn(2, 0, function* () {
      expect(yield* buckets.lock(0, 'low')).toBe(0);
      bench.spawn(
        3,
        0,
        function* () {
          log.push(String(yield* buckets.lock(0, 'high')));
        },
        { policy: 'fifo', rtPriority: 50 },
      );
      yield HERE;
      buckets.unlock(0);
    });
    executor.settle();
    expect(log).toEqual([String(-Errno.EBUSY)]);
  });

  test('a million buckets cost no lock objects, and different ones do not exclude each other', () => {
    const { locks } = new Bench({ profile: '5.7' });
    const buckets = locks.buckets({ buckets: 1 << 20, prealloc: true });
    for (const hash of [1, 2, 3]) expect(buckets.lockNow(hash, 'test')).toBe(0);
    buckets.unlock(2);
    expect([1, 2, 3].map((hash) => buckets.isLocked(hash))).toEqual([true, false, true]);
    buckets.unlock(3);
    buckets.unlock(1);
  });

  test('classes: one for each map from 5.11 on, one for all before', () => {
    const names = (profile: string): number => {
      const { locks } = new Bench({ profile });
      for (let i = 0; i < 2; i++) {
        const buckets = locks.buckets({ buckets: 1, prealloc: true });
        buckets.lockNow(0, 'test');
        buckets.unlock(0);
      }
      return locks.lockdep.graph().classes.length;
    };
    expect([names('5.7'), names('5.15')]).toEqual([1, 2]);
  });

  test('a map that is gone takes its class with it', () => {
    const { locks } = new Bench({ profile: '6.18' });
    for (let i = 0; i < 3; i++) {
      const buckets = locks.buckets({ buckets: 1, prealloc: true });
      buckets.lockNow(0, 'test');
      buckets.unlock(0);
      buckets.free();
    }
    expect(locks.lockdep.graph().classes).toEqual([]);
  });
});

describe('map locks', () => {
  test.each([
    ['raw', 'try', -Errno.EBUSY],
    ['rq', 'spin', -Errno.EDEADLK],
  ] as const)('%s, %s in NMI', (kind, rule, expected) => {
    const bench = new Bench({ interleaved: true });
    const { executor, locks, sched, log } = bench;
    const lock = locks.map(kind, '&qs->lock', rule);
    bench.rest();
    bench.spawn(2, 0, function* () {
      expect(yield* lock.lock('task')).toBe(0);
      bench.interrupt('nmi', sched.here, function* () {
        log.push(String(yield* lock.lock('nmi')));
      });
      yield HERE;
      yield HERE;
      lock.unlock();
      expect(sched.here.irqsDisabled).toBe(false);
    });
    executor.settle();
    expect(log).toEqual([String(expected)]);
  });
});
