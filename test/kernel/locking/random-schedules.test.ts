/** Every kind of lock under random schedules: it excludes, everybody comes to an end, and nothing is reported. */
import { describe, expect, test } from '@jest/globals';
import { Prandom } from '../../../src/kernel/lib/random.js';
import type { Locks } from '../../../src/kernel/locking/index.js';
import { type Flow, point } from '../../../src/kernel/sched/flow.js';
import type { TaskAttr } from '../../../src/kernel/sched/task.js';
import { Bench } from './bench.js';

const HERE = point('test');

/** A lock as `exclusive` and, where it has them, `shared` sections. */
interface Sections {
  exclusive(): { lock(): Flow<void>; unlock(): void };
  shared?(): { lock(): Flow<void>; unlock(): void };
}

function* errno(flow: Flow<number>): Flow<void> {
  const result = yield* flow;
  if (result !== 0) throw new Error(`lock failed with ${result}`);
}

const KINDS: Readonly<Record<string, (locks: Locks, name: string) => Sections>> = {
  raw: (locks, name) => {
    const lock = locks.raw(name);
    return { exclusive: () => ({ lock: () => lock.lock('x'), unlock: () => lock.unlock() }) };
  },
  spin: (locks, name) => {
    const lock = locks.spin(name);
    return { exclusive: () => ({ lock: () => lock.lock('x'), unlock: () => lock.unlock() }) };
  },
  mutex: (locks, name) => {
    const lock = locks.mutex(name);
    return { exclusive: () => ({ lock: () => lock.lock('x'), unlock: () => lock.unlock() }) };
  },
  rw: (locks, name) => {
    const lock = locks.rw(name);
    return {
      exclusive: () => ({ lock: () => lock.writeLock('x'), unlock: () => lock.writeUnlock() }),
      shared: () => ({ lock: () => lock.readLock('x'), unlock: () => lock.readUnlock() }),
    };
  },
  rwsem: (locks, name) => {
    const lock = locks.rwsem(name);
    return {
      exclusive: () => ({ lock: () => lock.downWrite('x'), unlock: () => lock.upWrite() }),
      shared: () => ({ lock: () => lock.downRead('x'), unlock: () => lock.upRead() }),
    };
  },
  rq: (locks, name) => {
    const lock = locks.map('rq', name);
    return { exclusive: () => ({ lock: () => errno(lock.lock('x')), unlock: () => lock.unlock() }) };
  },
  buckets: (locks) => {
    const lock = locks.buckets({ buckets: 2, prealloc: false });
    return { exclusive: () => ({ lock: () => errno(lock.lock(1, 'x')), unlock: () => lock.unlock(1) }) };
  },
};

function run(profile: string, kind: string, seed: number): string[] {
  const bench = new Bench({ profile, cpus: 2, interleaved: true, lockdep: 'always' });
  const { executor, locks, sched } = bench;
  const random = new Prandom(seed);
  executor.chooser = (choices) => random.next() % choices.length;
  executor.exploring = seed % 2 === 0;
  const outer = KINDS[kind]!(locks, 'outer');
  const inner = KINDS[kind]!(locks, 'inner');
  const inside = { writers: 0, readers: 0 };
  bench.rest();
  function* section(shared: boolean, nested: boolean): Flow<void> {
    const lock = shared && outer.shared !== undefined ? outer.shared() : outer.exclusive();
    const reads = shared && outer.shared !== undefined;
    yield* lock.lock();
    if (reads) inside.readers++;
    else inside.writers++;
    const { writers, readers } = inside;
    if (writers > 1 || (writers > 0 && readers > 0))
      throw new Error(`${writers} writers, ${readers} readers`);
    yield HERE;
    if (nested && kind !== 'buckets') {
      const other = inner.exclusive();
      yield* other.lock();
      yield HERE;
      other.unlock();
    }
    if (reads) inside.readers--;
    else inside.writers--;
    lock.unlock();
    yield* sched.resched();
  }
  const attrs: Partial<TaskAttr>[] = [
    {},
    { policy: 'fifo', rtPriority: 10 },
    {},
    { policy: 'fifo', rtPriority: 40 },
  ];
  const tasks = attrs.map((attr, i) =>
    bench.spawn(
      2 + i,
      i % 2,
      function* () {
        for (let round = 0; round < 3; round++) yield* section(random.next() % 2 === 0, round === 1);
      },
      attr,
    ),
  );
  executor.settle();
  expect(tasks.map(({ state }) => state)).toEqual(tasks.map(() => 'dead'));
  expect(tasks.map(({ prio, normalPrio }) => prio - normalPrio)).toEqual([0, 0, 0, 0]);
  for (const { preemptCount, irqsDisabled, pinned } of sched.cpus)
    expect([preemptCount, irqsDisabled, pinned]).toEqual([0, false, 0]);
  return bench.titles();
}

describe.each(['5.7-rt', '6.18', '6.18-rt'])('%s', (profile) => {
  test.each(Object.keys(KINDS))('%s', (kind) => {
    for (let seed = 1; seed <= 25; seed++) expect(run(profile, kind, seed)).toEqual([]);
  });
});
