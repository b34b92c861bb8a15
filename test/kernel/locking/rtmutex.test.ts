/** Sleeping locks on RT: priority inheritance along chains, what is given back when, the order of waiters, task states. */
import { describe, expect, test } from '@jest/globals';
import { SimulationError } from '../../../src/kernel/errors.js';
import { type Flow, point } from '../../../src/kernel/sched/flow.js';
import { waitable } from '../../../src/kernel/sched/sched.js';
import { schedule } from '../../../src/kernel/sched/sleep.js';
import type { Task, TaskAttr } from '../../../src/kernel/sched/task.js';
import { Bench } from './bench.js';

const HERE = point('test');
const fifo = (rtPriority: number): Partial<TaskAttr> => ({ policy: 'fifo', rtPriority });
/** The effective priority of a real-time task. */
const prioOf = (rtPriority: number): number => 99 - rtPriority;

function rt(cpus = 4): Bench {
  const bench = new Bench({ profile: '6.18-rt', cpus, interleaved: true });
  bench.rest();
  return bench;
}

/** Keeps the CPU for some simulated time, in steps. */
function* busy(bench: Bench, ns: number): Flow<void> {
  for (let t = 0; t < ns; t += 100) {
    bench.sched.charge(100);
    yield HERE;
  }
}

describe('priority inheritance', () => {
  test('along a chain of three, and back step by step', () => {
    const bench = rt();
    const { executor, locks, log } = bench;
    const [a, b, c] = [locks.spin('a'), locks.spin('b'), locks.mutex('c')];
    const prios = (when: string): void => {
      log.push(`${when}: ${[low, mid, high].map(({ prio }) => prio).join(' ')}`);
    };
    const low: Task = bench.spawn(2, 0, function* () {
      yield* a.lock('low');
      yield* busy(bench, 20_000);
      prios('low has a');
      a.unlock();
      prios('low gave a');
    });
    const mid: Task = bench.spawn(
      3,
      1,
      function* () {
        yield* busy(bench, 2_000);
        yield* b.lock('mid');
        yield* a.lock('mid');
        prios('mid has a');
        a.unlock();
        b.unlock();
        prios('mid gave b');
      },
      fifo(10),
    );
    const high: Task = bench.spawn(
      4,
      2,
      function* () {
        yield* c.lock('high');
        yield* busy(bench, 5_000);
        yield* b.lock('high');
        b.unlock();
        c.unlock();
      },
      fifo(50),
    );
    const top: Task = bench.spawn(
      5,
      3,
      function* () {
        yield* busy(bench, 9_000);
        yield* c.lock('top');
        c.unlock();
      },
      fifo(90),
    );
    executor.settle();
    expect(top.prio).toBe(prioOf(90));
    const lent = prioOf(90);
    expect(log).toEqual([
      `low has a: ${lent} ${lent} ${lent}`,
      `low gave a: 120 ${lent} ${lent}`,
      `mid has a: 120 ${lent} ${lent}`,
      `mid gave b: 120 ${prioOf(10)} ${lent}`,
    ]);
    expect(high.prio).toBe(prioOf(50));
    expect(bench.titles()).toEqual([]);
  });

  test('an owner of several locks keeps the highest priority that is lent to it', () => {
    const bench = rt();
    const { executor, locks } = bench;
    const [a, b] = [locks.spin('a'), locks.spin('b')];
    const seen: number[] = [];
    const owner: Task = bench.spawn(2, 0, function* () {
      yield* a.lock('owner');
      yield* b.lock('owner');
      yield* busy(bench, 20_000);
      seen.push(owner.prio);
      b.unlock();
      seen.push(owner.prio);
      a.unlock();
      seen.push(owner.prio);
    });
    for (const [pid, lock, rtPriority] of [
      [3, a, 20],
      [4, b, 40],
    ] as const) {
      bench.spawn(
        pid,
        pid - 2,
        function* () {
          yield* busy(bench, 3_000);
          yield* lock.lock('waiter');
          lock.unlock();
        },
        fifo(rtPriority),
      );
    }
    executor.settle();
    expect(seen).toEqual([prioOf(40), prioOf(20), 120]);
  });

  test('waiters get the lock by priority, those without one in the order in which they came', () => {
    const bench = rt(8);
    const { executor, locks, log } = bench;
    const lock = locks.mutex('m');
    bench.spawn(2, 0, function* () {
      yield* lock.lock('owner');
      yield* busy(bench, 30_000);
      lock.unlock();
    });
    const waiters: readonly (readonly [string, Partial<TaskAttr>])[] = [
      ['nice 0', {}],
      ['nice -10', { nice: -10 }],
      ['fifo 10', fifo(10)],
      ['fifo 60', fifo(60)],
      ['fifo 10 again', fifo(10)],
      ['deadline', { policy: 'deadline' }],
    ];
    for (const [i, [name, attr]] of waiters.entries()) {
      bench.spawn(
        3 + i,
        1 + i,
        function* () {
          yield* busy(bench, 2_000 * (i + 1));
          yield* lock.lock(name);
          log.push(name);
          lock.unlock();
        },
        attr,
      );
    }
    executor.settle();
    expect(log).toEqual(['deadline', 'fifo 60', 'fifo 10', 'fifo 10 again', 'nice 0', 'nice -10']);
  });

  test('a waiter whose own priority is changed lends the new one', () => {
    const bench = rt();
    const { executor, locks } = bench;
    const lock = locks.mutex('m');
    const seen: number[] = [];
    const owner: Task = bench.spawn(2, 0, function* () {
      yield* lock.lock('owner');
      yield* busy(bench, 10_000);
      seen.push(owner.prio);
      for (const prio of [prioOf(70), 120, prioOf(5)]) {
        waiter.normalPrio = prio;
        locks.adjustPi(waiter);
        seen.push(owner.prio);
      }
      lock.unlock();
      seen.push(owner.prio);
    });
    const waiter: Task = bench.spawn(
      3,
      1,
      function* () {
        yield* busy(bench, 2_000);
        yield* lock.lock('waiter');
        lock.unlock();
      },
      fifo(20),
    );
    executor.settle();
    expect(seen).toEqual([prioOf(20), prioOf(70), 120, prioOf(5), 120]);
  });

  test('without it, on a kernel that is not RT, a mutex lends nothing', () => {
    const bench = new Bench({ profile: '6.18', interleaved: true });
    bench.rest();
    const { executor, locks } = bench;
    const lock = locks.mutex('m');
    let seen = 0;
    const owner: Task = bench.spawn(2, 0, function* () {
      yield* lock.lock('owner');
      yield* busy(bench, 10_000);
      seen = owner.prio;
      lock.unlock();
    });
    bench.spawn(
      3,
      1,
      function* () {
        yield* busy(bench, 2_000);
        yield* lock.lock('waiter');
        lock.unlock();
      },
      fifo(90),
    );
    executor.settle();
    expect(seen).toBe(120);
  });

  test('a medium task does not keep the owner from the CPU: bounded inversion', () => {
    const bench = rt(2);
    const { executor, locks, log, sched } = bench;
    const lock = locks.spin('l');
    bench.spawn(2, 0, function* () {
      yield* lock.lock('low');
      bench.spawn(
        3,
        1,
        function* () {
          yield* lock.lock('high');
          log.push('high');
          lock.unlock();
        },
        fifo(80),
      );
      yield* busy(bench, 5_000);
      bench.spawn(
        4,
        0,
        function* () {
          yield* busy(bench, 50_000);
          log.push('medium');
        },
        fifo(40),
      );
      yield* busy(bench, 5_000);
      log.push('low');
      lock.unlock();
      yield* sched.resched();
    });
    executor.settle();
    expect(log).toEqual(['low', 'high', 'medium']);
  });
});

describe('spinlock on RT', () => {
  test('what it does to the task: no preemption off, but pinned and in a read section of RCU', () => {
    const { locks, sched } = new Bench({ profile: '6.18-rt' });
    const lock = locks.spin('l');
    const flags = lock.lockIrqsaveNow('test');
    const { here, current } = sched;
    expect([here.preemptCount, here.irqsDisabled]).toEqual([0, false]);
    expect([current.migrationDisabled, current.rcuDepth]).toEqual([1, 1]);
    lock.unlockIrqrestore(flags);
    expect([current.migrationDisabled, current.rcuDepth]).toEqual([0, 0]);
  });

  test('RCU is told where the outermost read section ends', () => {
    const { locks } = new Bench({ profile: '6.18-rt' });
    const ends: string[] = [];
    locks.onRcuOutermost = () => ends.push('end');
    const [a, b] = [locks.spin('a'), locks.spin('b')];
    a.lockNow('test');
    b.lockNow('test');
    b.unlock();
    expect(ends).toEqual([]);
    a.unlock();
    expect(ends).toEqual(['end']);
  });

  test('a wake-up while it waits for the lock is kept for the sleep around it', () => {
    const bench = rt(2);
    const { executor, locks, log, sched } = bench;
    const lock = locks.spin('l');
    const waiter: Task = bench.spawn(3, 1, function* () {
      yield* busy(bench, 1_000);
      waiter.state = 'sleeping';
      yield* lock.lock('waiter');
      log.push(waiter.state);
      lock.unlock();
      if (waiter.state === 'sleeping') yield* schedule(sched, waitable('event'));
      log.push('woken');
    });
    bench.spawn(2, 0, function* () {
      yield* lock.lock('owner');
      yield* busy(bench, 5_000);
      expect(waiter.state).toBe('rtlock');
      expect(sched.wake(waiter)).toBe(true);
      lock.unlock();
    });
    executor.settle();
    expect(log).toEqual(['running', 'woken']);
  });

  test('the same lock twice is reported at once', () => {
    const bench = new Bench({ profile: '6.18-rt', lockdep: 'off' });
    const lock = bench.locks.spin('l');
    lock.lockNow('outer');
    expect(() => lock.lockNow('inner')).toThrow(SimulationError);
    expect(bench.sched.console.splats.at(-1)!.lines).toEqual([
      'bpflab: deadlock: a circle of waiters',
      'bpflab/1001 on CPU 0 waits for l, which bpflab/1001 on CPU 0 took at outer',
    ]);
  });

  test.each([
    ['5.7-rt', 'kernel/locking/rtmutex.c:973'],
    ['6.1-rt', 'kernel/locking/spinlock_rt.c:46'],
    ['6.18-rt', 'kernel/locking/spinlock_rt.c:48'],
  ])('%s: taken with preemption off it complains even if nobody has it', (profile, at) => {
    const bench = new Bench({ profile, lockdep: 'off' });
    bench.sched.preemptDisable('test');
    bench.locks.spin('l').lockNow('test');
    expect(bench.titles()).toEqual([`BUG: sleeping function called from invalid context at ${at}`]);
  });

  test('inside rcu_read_lock it is fine, a mutex is not', () => {
    const bench = new Bench({ profile: '6.18-rt', lockdep: 'off' });
    bench.sched.current.rcuDepth = 1;
    bench.locks.spin('l').lockNow('test');
    expect(bench.titles()).toEqual([]);
    bench.locks.mutex('m').lockNow('test');
    expect(bench.titles()).toEqual([
      'BUG: sleeping function called from invalid context at kernel/locking/rtmutex_api.c:518',
    ]);
  });

  test('a trylock in an interrupt warns', () => {
    const bench = new Bench({ profile: '6.18-rt', interleaved: true, lockdep: 'off' });
    bench.rest();
    const lock = bench.locks.spin('l');
    bench.interrupt('hardirq', bench.sched.cpus[1]!, function* () {
      expect(lock.tryLock('irq')).toBe(true);
      lock.unlock();
    });
    bench.executor.settle();
    expect(bench.titles('warning')).toHaveLength(1);
  });
});
