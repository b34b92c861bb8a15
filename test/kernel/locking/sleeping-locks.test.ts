/** Mutexes, semaphores, rwlocks and local locks, on kernels with RT and without. */
import { describe, expect, test } from '@jest/globals';
import { SimulationError } from '../../../src/kernel/errors.js';
import { type Flow, point } from '../../../src/kernel/sched/flow.js';
import { Bench } from './bench.js';

const HERE = point('test');
const BOTH = ['6.18', '6.18-rt'] as const;

function* busy(bench: Bench, ns: number): Flow<void> {
  for (let t = 0; t < ns; t += 100) {
    bench.sched.charge(100);
    yield HERE;
  }
}

function interleaved(profile: string, cpus = 4): Bench {
  const bench = new Bench({ profile, cpus, interleaved: true });
  bench.rest();
  return bench;
}

describe.each(BOTH)('%s', (profile) => {
  test('a mutex excludes, and gives its waiters their turn', () => {
    const bench = interleaved(profile);
    const { executor, locks, log } = bench;
    const lock = locks.mutex('m');
    let inside = 0;
    for (let i = 0; i < 4; i++) {
      bench.spawn(2 + i, i, function* () {
        for (let round = 0; round < 3; round++) {
          yield* lock.lock('test');
          expect(++inside).toBe(1);
          yield* busy(bench, 500);
          inside--;
          log.push(String(i));
          lock.unlock();
          yield* busy(bench, 100);
        }
      });
    }
    executor.settle();
    expect(log.sort().join('')).toBe('000111222333');
    expect(lock.locked).toBe(false);
  });

  test('readers share a semaphore, a writer has it alone', () => {
    const bench = interleaved(profile);
    const { executor, locks, log } = bench;
    const sem = locks.rwsem('s');
    for (const [pid, at] of [
      [2, 0],
      [3, 500],
    ] as const) {
      bench.spawn(pid, pid - 2, function* () {
        yield* busy(bench, at);
        yield* sem.downRead('reader');
        log.push(`${pid} in`);
        yield* busy(bench, 5_000);
        log.push(`${pid} out`);
        sem.upRead();
      });
    }
    bench.spawn(4, 2, function* () {
      yield* busy(bench, 2_000);
      expect(sem.downWriteTrylock('writer')).toBe(false);
      yield* sem.downWrite('writer');
      log.push('writer');
      expect(sem.downReadTrylock('writer')).toBe(false);
      sem.downgradeWrite('writer');
      expect(sem.downReadTrylock('writer again')).toBe(true);
      sem.upRead();
      sem.upRead();
    });
    executor.settle();
    expect(log).toEqual(['2 in', '3 in', '2 out', '3 out', 'writer']);
    expect(sem.locked).toBe(false);
  });

  test('a reader that comes after a waiting writer waits, too', () => {
    const bench = interleaved(profile);
    const { executor, locks, log } = bench;
    const sem = locks.rwsem('s');
    bench.spawn(2, 0, function* () {
      yield* sem.downRead('first');
      yield* busy(bench, 10_000);
      sem.upRead();
    });
    bench.spawn(3, 1, function* () {
      yield* busy(bench, 2_000);
      yield* sem.downWrite('writer');
      log.push('writer');
      yield* busy(bench, 1_000);
      sem.upWrite();
    });
    bench.spawn(4, 2, function* () {
      yield* busy(bench, 4_000);
      yield* sem.downRead('second');
      log.push('reader');
      sem.upRead();
    });
    executor.settle();
    expect(log).toEqual(['writer', 'reader']);
  });

  test('two tasks with two mutexes in different orders are reported at once', () => {
    const bench = interleaved(profile);
    const { executor, locks } = bench;
    const [a, b] = [locks.mutex('a'), locks.mutex('b')];
    function* both(first: typeof a, second: typeof a): Flow<void> {
      yield* first.lock('outer');
      yield* busy(bench, 1_000);
      yield* second.lock('inner');
    }
    bench.spawn(2, 0, () => both(a, b));
    bench.spawn(3, 1, () => both(b, a));
    bench.spawn(4, 2, () => busy(bench, 1_000_000_000));
    expect(() => executor.settle()).toThrow(SimulationError);
    const { lines } = bench.sched.console.splats.find(({ kind }) => kind === 'deadlock')!;
    expect([...lines.slice(1)].sort()).toEqual([
      't2/2 on CPU 0 waits for b, which t3/3 on CPU 1 took at outer',
      't3/3 on CPU 1 waits for a, which t2/2 on CPU 0 took at outer',
    ]);
  });

  test('a semaphore that is released by somebody else', () => {
    const bench = new Bench({ profile });
    const sem = bench.locks.rwsem('&mm->mmap_lock');
    expect(sem.downReadTrylock('stack_map_get_build_id_offset')).toBe(true);
    sem.disownRead();
    const refused = profile.endsWith('-rt');
    expect(sem.upReadNonOwner()).toBe(!refused);
    expect(sem.locked).toBe(refused);
    expect(bench.titles('warning')).toHaveLength(refused ? 1 : 0);
    expect(bench.titles('lockdep')).toEqual([]);
  });

  test('writers of an rwlock wait for its readers', () => {
    const bench = interleaved(profile);
    const { executor, locks, log } = bench;
    const lock = locks.rw('&rw');
    bench.spawn(2, 0, function* () {
      yield* lock.readLock('reader');
      yield* busy(bench, 5_000);
      log.push('reader out');
      lock.readUnlock();
    });
    bench.spawn(3, 1, function* () {
      yield* busy(bench, 1_000);
      expect(lock.writeTryLock('writer')).toBe(false);
      const flags = yield* lock.writeLockIrqsave('writer');
      log.push('writer');
      expect(lock.readTryLock('writer')).toBe(false);
      lock.writeUnlockIrqrestore(flags);
    });
    executor.settle();
    expect(log).toEqual(['reader out', 'writer']);
    const { here } = bench.sched;
    expect([here.preemptCount, here.irqsDisabled, lock.locked]).toEqual([0, false, false]);
  });

  test('a local lock keeps two tasks of one CPU apart', () => {
    const bench = interleaved(profile, 1);
    const { executor, locks, log, sched } = bench;
    const lock = locks.local('&c->lock');
    bench.spawn(2, 0, function* () {
      const flags = yield* lock.lockIrqsave('low');
      bench.spawn(
        3,
        0,
        function* () {
          yield* lock.lock('high');
          log.push('high');
          lock.unlock();
        },
        { policy: 'fifo', rtPriority: 50 },
      );
      yield* busy(bench, 1_000);
      log.push('low');
      lock.unlockIrqrestore(flags);
      yield* sched.resched();
    });
    executor.settle();
    expect(log).toEqual(['low', 'high']);
  });

  test('a mutex in an interrupt or with preemption off', () => {
    const bench = new Bench({ profile, lockdep: 'off' });
    bench.sched.preemptDisable('test');
    bench.locks.mutex('m').lockNow('test');
    const at = profile.endsWith('-rt') ? 'rtmutex_api.c:518' : 'mutex.c:283';
    expect(bench.titles()).toEqual([
      `BUG: sleeping function called from invalid context at kernel/locking/${at}`,
    ]);
  });
});

test('where the kernel is not RT, a waiter that was passed over is handed the mutex', () => {
  const bench = interleaved('6.18', 2);
  const { executor, locks, log, sched } = bench;
  const lock = locks.mutex('m');
  // It takes the mutex again before who waits for it has come to its CPU.
  bench.spawn(2, 0, function* () {
    for (let i = 0; i < 6; i++) {
      yield* lock.lock('greedy');
      yield* busy(bench, 3_000);
      log.push('greedy');
      lock.unlock();
    }
  });
  bench.spawn(3, 1, function* () {
    sched.charge(100);
    yield* lock.lock('waiter');
    log.push('waiter');
    lock.unlock();
  });
  executor.settle();
  expect(log.indexOf('waiter')).toBe(2);
});

describe('spinlock where the kernel is not RT', () => {
  test('preemption and, with irqsave, interrupts off; no complaint in atomic context', () => {
    const bench = new Bench({ profile: '6.18' });
    const { locks, sched } = bench;
    sched.preemptDisable('test');
    const lock = locks.spin('l');
    const flags = lock.lockIrqsaveNow('test');
    expect([sched.here.preemptCount, sched.here.irqsDisabled]).toEqual([2, true]);
    lock.unlockIrqrestore(flags);
    sched.preemptEnable();
    expect(bench.titles()).toEqual([]);
  });
});
