/** Spinning locks: contention between CPUs, and deadlocks, each reported as soon as its circle is closed. */
import { describe, expect, test } from '@jest/globals';
import { SimulationError } from '../../../src/kernel/errors.js';
import { type Flow, point } from '../../../src/kernel/sched/flow.js';
import { Bench } from './bench.js';

const HERE = point('test');

function deadlock(bench: Bench, run: () => void): readonly string[] {
  expect(run).toThrow(SimulationError);
  const splat = bench.sched.console.splats.find(({ kind }) => kind === 'deadlock');
  return splat!.lines;
}

describe('raw_spinlock', () => {
  test('a waiter gets the lock when it is given up, at that time', () => {
    const bench = new Bench({ interleaved: true });
    const { sched, executor, locks, log } = bench;
    const lock = locks.raw('&l');
    bench.rest();
    bench.spawn(2, 0, function* () {
      yield* lock.lock('first');
      sched.charge(5_000);
      yield HERE;
      log.push('first');
      lock.unlock();
    });
    bench.spawn(3, 1, function* () {
      sched.charge(100);
      yield* lock.lock('second');
      log.push('second');
      expect(sched.clock.nanos).toBeGreaterThan(1_000_005_000);
      expect(sched.here.preemptCount).toBe(1);
      lock.unlock();
    });
    executor.settle();
    expect(log).toEqual(['first', 'second']);
    expect(sched.latency.worstHeld().get('&l')!.ns).toBeGreaterThanOrEqual(5_000);
    expect(bench.titles()).toEqual([]);
  });

  test('taking it twice is reported at once, as CONFIG_DEBUG_SPINLOCK does', () => {
    const bench = new Bench({ lockdep: 'off' });
    const lock = bench.locks.raw('&l');
    lock.lockNow('outer');
    expect(deadlock(bench, () => lock.lockNow('inner'))).toEqual([
      'BUG: spinlock recursion on CPU#0, bpflab/1001',
      'bpflab: deadlock: a circle of waiters',
      'bpflab/1001 on CPU 0 waits for &l, which bpflab/1001 on CPU 0 took at outer',
    ]);
  });

  test.each(['nmi', 'hardirq'] as const)('a %s that wants what its task holds', (kind) => {
    const bench = new Bench({ interleaved: true, lockdep: 'off' });
    const { sched, executor, locks } = bench;
    const lock = locks.raw('&b->raw_lock');
    bench.rest();
    bench.spawn(2, 1, function* () {
      yield* lock.lock('htab_map_update_elem');
      bench.interrupt(kind, sched.here, () => lock.lock('bpf_overflow_handler'));
      yield HERE;
      yield HERE;
      lock.unlock();
    });
    // Another CPU could go on for ever.
    bench.spawn(3, 0, function* () {
      for (;;) {
        sched.charge(100);
        yield HERE;
      }
    });
    const name = kind === 'nmi' ? 'nmi perf' : 'hardirq timer';
    const held = 't2/2 on CPU 1 took at htab_map_update_elem';
    expect(deadlock(bench, () => executor.settle())).toEqual([
      'bpflab: deadlock: a circle of waiters',
      `${name} on CPU 1 waits for &b->raw_lock, which ${held}`,
      `t2/2 on CPU 1 is interrupted by ${name} on CPU 1`,
    ]);
  });

  test('two CPUs that take two locks in different orders', () => {
    const bench = new Bench({ interleaved: true, lockdep: 'off' });
    const { executor, locks } = bench;
    const [a, b] = [locks.raw('a'), locks.raw('b')];
    bench.rest();
    function* both(first: typeof a, second: typeof a): Flow<void> {
      yield* first.lock('outer');
      yield HERE;
      yield* second.lock('inner');
      second.unlock();
      first.unlock();
    }
    bench.spawn(2, 0, () => both(a, b));
    bench.spawn(3, 1, () => both(b, a));
    expect(deadlock(bench, () => executor.settle())).toEqual([
      'bpflab: deadlock: a circle of waiters',
      't3/3 on CPU 1 waits for a, which t2/2 on CPU 0 took at outer',
      't2/2 on CPU 0 waits for b, which t3/3 on CPU 1 took at outer',
    ]);
  });

  test('a circle through an interrupt and another CPU', () => {
    const bench = new Bench({ interleaved: true, lockdep: 'off' });
    const { sched, executor, locks } = bench;
    const [a, b] = [locks.raw('a'), locks.raw('b')];
    bench.rest();
    bench.spawn(2, 0, function* () {
      yield* a.lock('task');
      bench.interrupt('hardirq', sched.here, () => b.lock('irq'));
      sched.charge(1_000);
      yield HERE;
      yield HERE;
      a.unlock();
    });
    bench.spawn(3, 1, function* () {
      const flags = yield* b.lockIrqsave('other');
      yield* a.lock('other');
      a.unlock();
      b.unlockIrqrestore(flags);
    });
    expect(deadlock(bench, () => executor.settle())).toHaveLength(4);
  });

  test('probes of lock functions, and the tracepoints of contention', () => {
    const bench = new Bench({ interleaved: true });
    const { sched, executor, locks, log } = bench;
    const lock = locks.raw('&l');
    const names = [
      '_raw_spin_lock_irqsave',
      '_raw_spin_unlock_irqrestore',
      'native_queued_spin_lock_slowpath',
      'lock:contention_begin',
      'lock:contention_end',
    ];
    for (const name of names) {
      sched.probes.point(name).attach('entry', function* (args) {
        log.push([sched.current.pid, name, ...args.slice(1)].join(' '));
        yield HERE;
        sched.charge(50);
      });
    }
    bench.rest();
    for (const pid of [2, 3]) {
      bench.spawn(pid, pid - 2, function* () {
        const flags = yield* lock.lockIrqsave('test');
        sched.charge(4_000);
        yield HERE;
        expect(lock.owner).toBe(sched.current);
        lock.unlockIrqrestore(flags);
      });
    }
    executor.settle();
    const of = (pid: number): string[] => log.filter((line) => line.startsWith(String(pid)));
    expect(of(2)).toEqual(['2 _raw_spin_lock_irqsave', '2 _raw_spin_unlock_irqrestore']);
    expect(of(3)).toEqual([
      '3 _raw_spin_lock_irqsave',
      '3 native_queued_spin_lock_slowpath',
      '3 lock:contention_begin 1',
      '3 lock:contention_end 0',
      '3 _raw_spin_unlock_irqrestore',
    ]);
  });

  test('an unlock that nobody locked', () => {
    const bench = new Bench({ lockdep: 'once' });
    bench.locks.raw('&l').unlock();
    expect(bench.titles()).toEqual([
      'WARNING: bad unlock balance detected!',
      'BUG: spinlock already unlocked on CPU#0, bpflab/1001',
      'DEBUG_LOCKS_WARN_ON(val > preempt_count())',
    ]);
  });

  test('tryLock, and what each variant does to preemption and interrupts', () => {
    const { sched, locks } = new Bench();
    const lock = locks.raw('&l');
    expect(lock.tryLock('test')).toBe(true);
    expect(lock.tryLock('test')).toBe(false);
    expect(sched.here.preemptCount).toBe(1);
    lock.unlock();
    const flags = lock.lockIrqsaveNow('test');
    expect([flags, sched.here.irqsDisabled, sched.here.preemptCount]).toEqual([false, true, 1]);
    expect(lock.tryLockIrqsave('test')).toBeUndefined();
    lock.unlockIrqrestore(flags);
    expect([sched.here.irqsDisabled, sched.here.preemptCount]).toEqual([false, 0]);
  });
});

describe('bit spinlock and sequence count', () => {
  test('a bit spinlock spins on RT, too, and lockdep knows nothing of it', () => {
    const bench = new Bench({ profile: '6.18-rt' });
    const lock = bench.locks.bit('bit');
    bench.run(() => lock.lock('test'));
    expect(bench.sched.here.preemptCount).toBe(1);
    expect(bench.locks.lockdep.held()).toEqual([]);
    expect(deadlock(bench, () => bench.run(() => lock.lock('again')))[0]).toMatch(/^BUG: spinlock recursion/);
  });

  test('a reader waits for the writer, and looks again when one came meanwhile', () => {
    const bench = new Bench({ interleaved: true });
    const { executor, locks, log, sched } = bench;
    const count = locks.seqcount('seq');
    bench.rest();
    bench.spawn(2, 0, function* () {
      for (let i = 0; i < 20; i++) {
        yield* count.writeBegin('write');
        sched.charge(100);
        yield HERE;
        count.writeEnd();
        yield HERE;
        sched.charge(50);
        yield HERE;
      }
    });
    bench.spawn(3, 1, function* () {
      let start = yield* count.begin('read');
      sched.charge(350);
      yield HERE;
      while (count.retry(start)) {
        log.push('again');
        start = yield* count.begin('read');
      }
      expect(start % 2).toBe(0);
      log.push('read');
    });
    executor.settle();
    expect(log.at(-1)).toBe('read');
    expect(log).toContain('again');
  });
});

describe('rwlock where the kernel is not RT', () => {
  function trio(irqReader: boolean): string[] {
    const bench = new Bench({ cpus: 3, interleaved: true });
    const { sched, executor, locks, log } = bench;
    const lock = locks.rw('&rw');
    bench.rest();
    bench.spawn(2, 0, function* () {
      yield* lock.readLock('reader 1');
      sched.charge(10_000);
      yield HERE;
      log.push('reader 1 leaves');
      lock.readUnlock();
    });
    bench.spawn(3, 1, function* () {
      sched.charge(100);
      yield HERE;
      yield* lock.writeLock('writer');
      log.push('writer');
      lock.writeUnlock();
    });
    bench.spawn(4, 2, function* () {
      sched.charge(200);
      yield HERE;
      const read = function* (): Flow<void> {
        yield* lock.readLock('reader 2');
        log.push('reader 2');
        lock.readUnlock();
      };
      if (irqReader) bench.interrupt('hardirq', sched.here, read);
      else yield* read();
    });
    executor.settle();
    return log;
  }

  test('a reader does not pass a writer that waits', () => {
    expect(trio(false)).toEqual(['reader 1 leaves', 'writer', 'reader 2']);
  });

  test('a reader in an interrupt does', () => {
    expect(trio(true)).toEqual(['reader 2', 'reader 1 leaves', 'writer']);
  });
});
