/** RCU: what holds a grace period up and what does not, where callbacks run, waiting for them. */
import { describe, expect, test } from '@jest/globals';
import { Kernel, type KernelOptions } from '../../../src/kernel/kernel.js';
import { type Flow, point } from '../../../src/kernel/sched/flow.js';
import { inServingSoftirq, inSoftirq, preemptible } from '../../../src/kernel/sched/preempt.js';
import { waitable } from '../../../src/kernel/sched/sched.js';
import { sleepUntil } from '../../../src/kernel/sched/sleep.js';
import type { TaskAttr } from '../../../src/kernel/sched/task.js';

const HERE = point('test');
const MS = 1_000_000;
const attr = (pid: number, cpu: number): TaskAttr => ({
  pid,
  tgid: pid,
  comm: `t${pid}`,
  uid: 0,
  gid: 0,
  affinity: [cpu],
});

const kernelWith = (profile: string, more: KernelOptions = {}): Kernel =>
  new Kernel({ cpus: 3, profile, interleaved: true, lockdep: 'off', ...more });

const titles = (kernel: Kernel): (string | undefined)[] =>
  kernel.sched.console.splats.map(({ lines }) => lines[0]);

/** Sections of a task on CPU 1 that last a second, by name. */
const SECTIONS: Record<
  string,
  (kernel: Kernel) => readonly [enter: () => Flow<void>, leave: () => Flow<void>]
> = {
  rcu: ({ rcu }) => [plain(() => rcu.readLock()), plain(() => rcu.readUnlock())],
  'preempt off': ({ sched }) => [
    plain(() => sched.preemptDisable('test')),
    plain(() => sched.preemptEnable()),
  ],
  'bh off': ({ irq }) => [() => irq.softirq.disable('test'), () => irq.softirq.enable()],
  'irqs off': ({ sched }) => [plain(() => void sched.irqSave('test')), plain(() => sched.irqRestore(false))],
  pinned: ({ sched }) => [plain(() => sched.migrateDisable('test')), plain(() => sched.migrateEnable())],
  trace: ({ rcuTasksTrace }) => [
    plain(() => rcuTasksTrace.readLock()),
    plain(() => rcuTasksTrace.readUnlock()),
  ],
  nothing: () => [plain(() => {}), plain(() => {})],
};

function plain(body: () => void): () => Flow<void> {
  return function* () {
    body();
  };
}

describe('grace periods', () => {
  const cases: [string, string, boolean][] = ['6.12', '6.12-rt'].flatMap((profile) =>
    Object.keys(SECTIONS).map((section): [string, string, boolean] => [
      profile,
      section,
      !['pinned', 'trace', 'nothing'].includes(section),
    ]),
  );
  test.each(cases)('%s: a section of "%s" holds it up: %s', (profile, section, holds) => {
    const kernel = kernelWith(profile);
    const { sched, rcu, executor } = kernel;
    const [enter, leave] = SECTIONS[section]!(kernel);
    const order: string[] = [];
    let entered = false;
    sched.spawn(attr(2, 1), function* () {
      yield* enter();
      entered = true;
      for (let i = 0; i < 100; i++) {
        sched.charge(MS);
        yield HERE;
      }
      order.push('leaves');
      yield* leave();
    });
    sched.spawn(attr(3, 2), function* () {
      while (!entered) yield HERE;
      yield* rcu.synchronize();
      order.push('grace period');
    });
    executor.settle();
    expect(order).toEqual(holds ? ['leaves', 'grace period'] : ['grace period', 'leaves']);
    expect(titles(kernel)).toEqual([]);
  });

  test('a reader that begins later does not hold it up', () => {
    const kernel = kernelWith('6.12');
    const { sched, rcu, executor } = kernel;
    const order: string[] = [];
    let entered = false;
    sched.spawn(attr(2, 1), function* () {
      rcu.readLock();
      entered = true;
      for (let i = 0; i < 20; i++) {
        sched.charge(MS);
        yield HERE;
      }
      rcu.readUnlock();
      order.push('first reader');
    });
    sched.spawn(attr(3, 2), function* () {
      sched.charge(10 * MS);
      yield HERE;
      rcu.readLock();
      for (let i = 0; i < 100; i++) {
        sched.charge(MS);
        yield HERE;
      }
      rcu.readUnlock();
      order.push('second reader');
    });
    while (!entered) executor.step();
    rcu.call({ name: 'test', func: () => void order.push('callback') as undefined });
    executor.settle();
    expect(order).toEqual(['first reader', 'callback', 'second reader']);
  });

  test('a reader that never ends is a deadlock that names it', () => {
    const kernel = kernelWith('6.12');
    const { sched, rcu, executor } = kernel;
    sched.spawn(attr(2, 1), function* () {
      rcu.readLock();
      yield* sleepUntil(sched, waitable('for ever'), () => false);
    });
    sched.spawn(attr(3, 2), function* () {
      sched.charge(MS);
      yield HERE;
      yield* rcu.synchronize();
    });
    expect(() => executor.settle()).toThrow(/synchronize_rcu, held by t2\/2/);
  });
});

describe('callbacks', () => {
  test.each([
    ['6.12', 'serving softirq, not preemptible'],
    ['6.12-rt', 'rcuc/1, bh off, preemptible'],
    ['6.18-rt', 'rcuc/1, bh off, preemptible'],
  ])('where they run on %s', (profile, expected) => {
    const kernel = kernelWith(profile);
    const { sched, rcu, executor } = kernel;
    const seen: string[] = [];
    sched.spawn(attr(2, 1), function* () {
      rcu.call({
        name: 'test',
        func: () => {
          const { here } = sched;
          const softirq = inServingSoftirq(here)
            ? 'serving softirq'
            : inSoftirq(here)
              ? `${sched.current.comm}, bh off`
              : 'none';
          seen.push(`${softirq}, ${preemptible(here) ? '' : 'not '}preemptible`);
          return undefined;
        },
      });
    });
    executor.settle();
    expect(seen).toEqual([expected]);
  });

  test('in order, each once; barrier waits for all of them', () => {
    const kernel = kernelWith('6.12');
    const { sched, rcu, executor } = kernel;
    const order: number[] = [];
    let atBarrier = -1;
    sched.spawn(attr(2, 1), function* () {
      for (let i = 0; i < 50; i++) {
        rcu.call({
          name: 'test',
          func: function* () {
            order.push(i);
            yield HERE;
          },
        });
        if (i % 10 === 9) {
          sched.charge(5 * MS);
          yield HERE;
        }
      }
      yield* rcu.barrier();
      atBarrier = order.length;
    });
    executor.settle();
    expect(order).toEqual(Array.from({ length: 50 }, (_, i) => i));
    expect(atBarrier).toBe(50);
    expect(rcu.backlog).toBe(0);
  });

  test('plain code that frees in a loop, and never lets the simulation go on, does not pile them up', () => {
    const kernel = kernelWith('6.12', { interleaved: false });
    const { rcu } = kernel;
    let most = 0;
    let done = 0;
    for (let i = 0; i < 1000; i++) {
      rcu.call({ name: 'test', func: () => void done++ as undefined });
      most = Math.max(most, rcu.backlog);
    }
    expect(most).toBeLessThanOrEqual(64);
    kernel.executor.settle();
    expect(done).toBe(1000);
  });

  test('inside a read section they wait', () => {
    const kernel = kernelWith('6.12', { interleaved: false });
    const { rcu } = kernel;
    let done = 0;
    rcu.readLock();
    for (let i = 0; i < 100; i++) rcu.call({ name: 'test', func: () => void done++ as undefined });
    expect(done).toBe(0);
    rcu.readUnlock();
    rcu.runQuiet();
    expect(done).toBe(100);
  });
});

describe('misuse', () => {
  test('an unlock too many warns', () => {
    const kernel = kernelWith('6.12');
    kernel.rcu.readUnlock();
    kernel.rcuTasksTrace.readUnlock();
    expect(titles(kernel)).toHaveLength(2);
  });

  test('synchronize_rcu inside a read section is reported', () => {
    const kernel = kernelWith('6.12');
    const { rcu, sched } = kernel;
    sched.spawn(attr(2, 1), function* () {
      rcu.readLock();
      const wait = rcu.synchronize();
      wait.next();
      rcu.readUnlock();
      yield* wait;
    });
    kernel.executor.settle();
    expect(titles(kernel)[0]).toMatch(/^BUG: sleeping function called from invalid context at kernel\/rcu/);
    expect(titles(kernel)).toContain('Illegal synchronize_rcu() in RCU read-side critical section');
  });
});

test('RCU Tasks Trace waits for sleeping readers of its own, and for nobody else', () => {
  const kernel = kernelWith('6.12');
  const { sched, rcuTasksTrace, rcu, executor } = kernel;
  const order: string[] = [];
  let ready = false;
  const reader = sched.spawn(attr(2, 1), function* () {
    rcuTasksTrace.readLock();
    yield* sleepUntil(sched, waitable('test'), () => ready);
    order.push('reader leaves');
    rcuTasksTrace.readUnlock();
  });
  sched.spawn(attr(3, 2), function* () {
    sched.charge(MS);
    yield HERE;
    rcu.readLock();
    rcuTasksTrace.call({
      name: 'test',
      func: () => void order.push(`callback in ${sched.current.comm}`) as undefined,
    });
    for (let i = 0; i < 50; i++) {
      sched.charge(MS);
      yield HERE;
    }
    ready = true;
    sched.wake(reader);
    for (let i = 0; i < 50; i++) {
      sched.charge(MS);
      yield HERE;
    }
    order.push('rcu reader leaves');
    rcu.readUnlock();
  });
  executor.settle();
  expect(order).toEqual(['reader leaves', 'callback in rcu_tasks_trace', 'rcu reader leaves']);
  expect(rcuTasksTrace.backlog).toBe(0);
});
