/** Timers: when and in which context they expire, cancelling, restarting; latencies as the tracers would report them. */
import { describe, expect, test } from '@jest/globals';
import { Kernel, type KernelOptions } from '../../../src/kernel/kernel.js';
import { type Flow, point } from '../../../src/kernel/sched/flow.js';
import { inHardirq, inServingSoftirq } from '../../../src/kernel/sched/preempt.js';
import type { HrtimerMode } from '../../../src/kernel/time/hrtimer.js';

const HERE = point('test');
const MS = 1_000_000;
const kernelWith = (profile: string, more: KernelOptions = {}): Kernel =>
  new Kernel({ cpus: 2, profile, lockdep: 'off', ...more });

describe('hrtimers', () => {
  test.each<[string, HrtimerMode, string]>([
    ['6.12', 'default', 'hardirq swapper/0'],
    ['6.12', 'hard', 'hardirq swapper/0'],
    ['6.12', 'soft', 'softirq swapper/0'],
    ['6.12-rt', 'default', 'softirq ksoftirqd/0'],
    ['6.12-rt', 'hard', 'hardirq swapper/0'],
    ['6.12-rt', 'soft', 'softirq ksoftirqd/0'],
  ])('%s: where one of mode %s expires', (profile, mode, expected) => {
    const kernel = kernelWith(profile);
    const { sched, hrtimers } = kernel;
    const seen: string[] = [];
    const timer = hrtimers.create(
      'test',
      function* () {
        const where = inHardirq(sched.here) ? 'hardirq' : inServingSoftirq(sched.here) ? 'softirq' : 'task';
        seen.push(`${where} ${sched.current.comm}`);
        return undefined;
      },
      mode,
    );
    const start = kernel.clock.nanos;
    hrtimers.start(timer, 3 * MS);
    kernel.executor.settle();
    expect(seen).toEqual([expected]);
    expect(kernel.clock.nanos).toBeGreaterThanOrEqual(start + 3 * MS);
    expect(timer.active).toBe(false);
  });

  test('in the order of their times, on their CPUs; a periodic one without drift; started again means moved', () => {
    const kernel = kernelWith('6.12');
    const { hrtimers, sched } = kernel;
    const seen: string[] = [];
    const start = kernel.clock.nanos;
    const at = (): number => Math.floor((kernel.clock.nanos - start) / MS);
    const once = (name: string) =>
      hrtimers.create(name, function* () {
        seen.push(`${name} at ${at()} on ${sched.here.id}`);
        return undefined;
      });
    let rounds = 0;
    const periodic = hrtimers.create('periodic', function* () {
      seen.push(`periodic at ${at()} on ${sched.here.id}`);
      sched.charge(MS / 2);
      return ++rounds < 3 ? 2 * MS : undefined;
    });
    const moved = once('moved');
    hrtimers.start(once('late'), 9 * MS);
    hrtimers.start(once('other'), 4 * MS, 1);
    hrtimers.start(periodic, MS);
    hrtimers.start(moved, 2 * MS);
    hrtimers.start(moved, 7 * MS);
    kernel.executor.settle();
    expect(seen).toEqual([
      'periodic at 1 on 0',
      'periodic at 3 on 0',
      'other at 4 on 1',
      'periodic at 5 on 0',
      'moved at 7 on 0',
      'late at 9 on 0',
    ]);
  });

  test('cancelling: not queued, queued, and while its function runs', () => {
    for (const profile of ['6.12', '6.12-rt']) {
      const kernel = kernelWith(profile, { interleaved: true });
      const { hrtimers, sched, executor } = kernel;
      const order: string[] = [];
      const timer = hrtimers.create('test', function* () {
        order.push('begins');
        for (let i = 0; i < 10; i++) {
          sched.charge(MS);
          yield HERE;
        }
        order.push('ends');
        return undefined;
      });
      expect(hrtimers.tryToCancel(timer)).toBe(0);
      hrtimers.start(timer, MS);
      expect(hrtimers.tryToCancel(timer)).toBe(1);
      hrtimers.start(timer, MS, 1);
      sched.spawn({ pid: 2, tgid: 2, comm: 't2', uid: 0, gid: 0, affinity: [0] }, function* (): Flow<void> {
        while (!timer.running) {
          sched.charge(MS / 2);
          yield HERE;
        }
        order.push(`${hrtimers.tryToCancel(timer)}`);
        yield* hrtimers.cancel(timer);
        order.push('cancelled');
      });
      executor.settle();
      expect(order).toEqual(['begins', '-1', 'ends', 'cancelled']);
    }
  });
});

describe('latency', () => {
  test('the worst sections with interrupts and preemption off, with their places', () => {
    const kernel = kernelWith('6.12');
    const { sched } = kernel;
    for (const [place, ns] of [
      ['short_section', 1_000],
      ['long_section', 70_000],
      ['middle_section', 9_000],
    ] as const) {
      sched.preemptDisable(place);
      const flags = sched.irqSave(`${place}_irq`);
      sched.charge(ns);
      sched.irqRestore(flags);
      sched.charge(50);
      sched.preemptEnable();
    }
    expect(kernel.latency()).toMatchObject({
      irqsoff: { ns: 70_000, place: 'long_section_irq', cpu: 0 },
      preemptoff: { ns: 70_050, place: 'long_section', cpu: 0 },
    });
    sched.latency.reset();
    expect(kernel.latency()).toEqual({ irqsoff: undefined, preemptoff: undefined, held: [] });
  });

  test('interrupts count where they are too long, and locks by their class', () => {
    const kernel = kernelWith('6.12');
    kernel.irq.raise('slow_device', function* () {
      kernel.sched.charge(2 * MS);
    });
    const lock = kernel.locks.raw('&test->lock');
    lock.lockNow('test_place');
    kernel.sched.charge(300);
    lock.unlock();
    const { irqsoff, held } = kernel.latency();
    expect(irqsoff).toMatchObject({ place: 'slow_device', cpu: 0 });
    expect(irqsoff!.ns).toBeGreaterThanOrEqual(2 * MS);
    expect(held[0]).toMatchObject({ place: 'test_place' });
    expect(held[0]!.ns).toBeGreaterThanOrEqual(300);
  });

  test('the same work with a spinlock: preemption is off without RT, not with RT', () => {
    const worst = (profile: string): number => {
      const kernel = kernelWith(profile);
      const lock = kernel.locks.spin('&test->lock');
      const flags = lock.lockIrqsaveNow('test_place');
      kernel.sched.charge(MS);
      lock.unlockIrqrestore(flags);
      const { irqsoff, preemptoff } = kernel.latency();
      return Math.max(irqsoff?.ns ?? 0, preemptoff?.ns ?? 0);
    };
    expect(worst('6.12')).toBeGreaterThanOrEqual(MS);
    expect(worst('6.12-rt')).toBeLessThan(MS / 10);
  });
});
