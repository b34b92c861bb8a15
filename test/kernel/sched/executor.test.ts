/** What runs when: spawning, sleeping and waking, priorities, pinning, interrupts, deadlock, time. */
import { describe, expect, test } from '@jest/globals';
import { SimulationError } from '../../../src/kernel/errors.js';
import { Kernel } from '../../../src/kernel/kernel.js';
import { type Flow, point } from '../../../src/kernel/sched/flow.js';
import { HARDIRQ_OFFSET } from '../../../src/kernel/sched/preempt.js';
import { waitable } from '../../../src/kernel/sched/sched.js';
import { schedule, sleepUntil } from '../../../src/kernel/sched/sleep.js';
import type { TaskAttr } from '../../../src/kernel/sched/task.js';

const HERE = point('test');
const attr = (pid: number, more: Partial<TaskAttr> = {}): TaskAttr => ({
  pid,
  tgid: pid,
  comm: `t${pid}`,
  uid: 0,
  gid: 0,
  ...more,
});

function kernelWith(cpus: number, profile = '6.18'): Kernel {
  return new Kernel({ cpus, profile, interleaved: true });
}

describe('executor', () => {
  test('tasks on two CPUs run side by side in simulated time', () => {
    const kernel = kernelWith(2);
    const order: string[] = [];
    function* work(name: string, ns: number): Flow<void> {
      for (let i = 0; i < 2; i++) {
        order.push(`${name}${i}`);
        kernel.sched.charge(ns);
        yield HERE;
      }
    }
    kernel.sched.spawn(attr(2, { affinity: [1] }), () => work('a', 100));
    kernel.sched.spawn(attr(3, { affinity: [1] }), () => work('b', 100));
    kernel.executor.settle();
    expect(order).toEqual(['a0', 'a1', 'b0', 'b1']);
  });

  test('a sleeper goes on when woken, at the time of the wake-up', () => {
    const kernel = kernelWith(2);
    let ready = false;
    let wokenAt = 0;
    const sleeper = kernel.sched.spawn(attr(2, { affinity: [1] }), function* () {
      yield* sleepUntil(kernel.sched, waitable('flag'), () => ready);
      wokenAt = kernel.clock.nanos;
    });
    kernel.executor.step();
    kernel.executor.step();
    expect(sleeper.state).toBe('sleeping');
    kernel.sched.charge(1_000_000);
    const now = kernel.clock.nanos;
    ready = true;
    expect(kernel.sched.wake(sleeper)).toBe(true);
    kernel.executor.settle();
    expect(sleeper.state).toBe('dead');
    expect(wokenAt).toBeGreaterThanOrEqual(now);
  });

  test('a more urgent task preempts at the next point, but not a section without preemption', () => {
    const kernel = kernelWith(1);
    const order: string[] = [];
    const { sched } = kernel;
    kernel.executor.drive(
      (function* (): Flow<void> {
        sched.preemptDisable('test');
        sched.spawn(attr(2, { policy: 'fifo', rtPriority: 10 }), function* () {
          order.push('urgent');
          yield HERE;
        });
        yield* sched.point(HERE);
        order.push('atomic');
        sched.preemptEnable();
        yield* sched.resched();
        order.push('after');
      })(),
    );
    expect(order).toEqual(['atomic', 'urgent', 'after']);
  });

  test('a pinned task stays where it is; its new mask comes when it is no longer pinned', () => {
    const kernel = kernelWith(2, '6.18-rt');
    const { sched } = kernel;
    sched.migrateDisable('test');
    expect(sched.setAffinity(sched.current, [1])).toBe(false);
    expect(sched.here.pinned).toBe(1);
    kernel.executor.drive(sched.point(HERE));
    expect(kernel.cpu).toBe(0);
    sched.migrateEnable();
    expect(sched.here.needResched).toBe(true);
    kernel.executor.drive(sched.point(HERE));
    expect(kernel.cpu).toBe(1);
  });

  test('an interrupt waits for interrupts to be on, an NMI does not', () => {
    const kernel = kernelWith(1);
    const { sched, executor } = kernel;
    const order: string[] = [];
    const source = (kind: 'hardirq' | 'nmi') => ({
      kind,
      name: kind,
      flow: function* (): Flow<void> {
        sched.countAdd(HARDIRQ_OFFSET, kind);
        order.push(kind);
        sched.countSub(HARDIRQ_OFFSET);
      },
    });
    const before = sched.irqSave('test');
    executor.raise(sched.here, source('hardirq'));
    executor.raise(sched.here, source('nmi'));
    while (executor.step());
    order.push('on');
    sched.irqRestore(before);
    while (executor.step());
    expect(order).toEqual(['nmi', 'on', 'hardirq']);
  });

  test('when nothing can go on, that is a deadlock that names who waits for what', () => {
    const kernel = kernelWith(2);
    kernel.sched.spawn(attr(2), function* () {
      yield { kind: 'spin', until: () => false, on: waitable('a lock', () => 'nobody/9') };
    });
    expect(() => kernel.executor.settle()).toThrow(SimulationError);
    expect(kernel.sched.console.splats[0]?.lines).toEqual([
      'bpflab: deadlock: nothing can go on',
      't2/2 on CPU 1 spins on a lock, held by nobody/9',
    ]);
  });

  test('a spin with a deadline ends when it is reached', () => {
    const kernel = kernelWith(2);
    const start = kernel.clock.nanos;
    kernel.sched.spawn(attr(2, { affinity: [1] }), function* () {
      yield { kind: 'spin', until: () => false, on: waitable('a lock'), deadlineNs: start + 500 };
      expect(kernel.clock.nanos).toBeGreaterThanOrEqual(start + 500);
    });
    kernel.executor.settle();
    expect(kernel.sched.tasks.get(2)?.state).toBe('dead');
  });

  test.each([
    ['6.18', 'BUG: scheduling while atomic: bpflab/1001/0x00000002'],
    ['5.7', 'BUG: scheduling while atomic: bpflab/1001/0x00000002'],
  ])('leaving the CPU without preemption is reported (%s)', (profile, text) => {
    const kernel = kernelWith(1, profile);
    const { sched } = kernel;
    sched.preemptDisable('test');
    kernel.executor.drive(schedule(sched, waitable('nothing')));
    expect(sched.console.splats.map(({ lines }) => lines[0])).toEqual([text]);
    expect(sched.here.preemptCount).toBe(0);
  });

  test('a simulation that does not end is stopped', () => {
    const kernel = kernelWith(1);
    kernel.executor.maxSteps = 100;
    kernel.cpu = 0;
    kernel.sched.spawn(attr(2), function* () {
      for (;;) yield HERE;
    });
    kernel.sched.install(kernel.sched.here, kernel.sched.here.idle);
    expect(() => kernel.executor.settle()).toThrow(/more than 100 steps/);
  });
});

test('a task that is preempted before it sleeps stays runnable, and is not queued twice when woken', () => {
  const kernel = kernelWith(1);
  const { sched, executor } = kernel;
  let ready = false;
  const order: string[] = [];
  const sleeper = sched.spawn(attr(2, { nice: 5 }), function* () {
    sched.current.state = 'sleeping';
    sched.spawn(attr(3, { policy: 'fifo', rtPriority: 1 }), function* () {
      order.push(`urgent sees ${sleeper.state}`);
      ready = true;
      expect(sched.wake(sleeper)).toBe(true);
    });
    yield* sched.point(HERE);
    order.push('again');
    yield* sleepUntil(sched, waitable('flag'), () => ready);
  });
  executor.settle();
  expect(order).toEqual(['urgent sees sleeping', 'again']);
  expect(sleeper.state).toBe('dead');
});

test('what waits for interrupts to be on comes at the next pause, however far back other CPUs are', () => {
  const kernel = kernelWith(3);
  const { sched, executor, irq } = kernel;
  const order: string[] = [];
  const work = irq.irqWork('work', function* () {
    order.push('work');
  });
  for (const cpu of [1, 2]) {
    sched.spawn(attr(10 + cpu, { affinity: [cpu] }), function* () {
      for (let i = 0; i < 5; i++) yield HERE;
    });
  }
  executor.drive(
    (function* (): Flow<void> {
      sched.charge(1000);
      irq.work.queue(work);
      yield HERE;
      order.push('on');
    })(),
  );
  expect(order).toEqual(['work', 'on']);
});
