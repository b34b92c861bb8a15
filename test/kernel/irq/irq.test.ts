/** Interrupts: what contexts look like inside, what runs when they end, threads, softirqs, irq_work, NMIs, calls. */
import { describe, expect, test } from '@jest/globals';
import { SimulationError, SyscallError } from '../../../src/kernel/errors.js';
import type { IrqRequest } from '../../../src/kernel/irq/lines.js';
import { MAX_SOFTIRQ_RESTART, Softirq } from '../../../src/kernel/irq/softirq.js';
import { Kernel, type KernelOptions } from '../../../src/kernel/kernel.js';
import type { Flow } from '../../../src/kernel/sched/flow.js';
import {
  inHardirq,
  inNmi,
  inServingSoftirq,
  inSoftirq,
  inTask,
  preemptible,
} from '../../../src/kernel/sched/preempt.js';

const kernelWith = (profile: string, more: KernelOptions = {}): Kernel =>
  new Kernel({ cpus: 2, profile, lockdep: 'always', ...more });

/** What a context looks like from inside: task and its class, `preempt_count`, what the predicates say. */
function context(kernel: Kernel): string {
  const { here } = kernel.sched;
  const words = [kernel.sched.current.comm, here.preemptCount.toString(16)];
  if (inNmi(here)) words.push('nmi');
  if (inHardirq(here)) words.push('hardirq');
  if (inServingSoftirq(here)) words.push('serving');
  else if (inSoftirq(here)) words.push('bh-off');
  if (inTask(here)) words.push('task');
  if (here.irqsDisabled) words.push('irqs-off');
  if (preemptible(here)) words.push('preemptible');
  return words.join(' ');
}

const titles = (kernel: Kernel): (string | undefined)[] =>
  kernel.sched.console.splats.map(({ lines }) => lines[0]);

describe('contexts', () => {
  test.each<[string, string, string, string]>([
    ['6.18', 'hardirq', 'one-off interrupt', 'bpflab 10000 hardirq irqs-off'],
    ['6.18-rt', 'hardirq', 'one-off interrupt', 'bpflab 10000 hardirq irqs-off'],
    ['6.18', 'nmi', 'NMI', 'bpflab 110000 nmi hardirq irqs-off'],
    ['6.18-rt', 'nmi', 'NMI', 'bpflab 110000 nmi hardirq irqs-off'],
    ['6.18', 'softirq', 'softirq after an interrupt', 'bpflab 100 serving'],
    ['6.18-rt', 'softirq', 'softirq after an interrupt', 'ksoftirqd/0 0 serving preemptible'],
    ['6.12-rt', 'softirq', 'softirq after an interrupt', 'ksoftirqd/0 0 serving preemptible'],
    ['6.18', 'line', 'handler of a line', 'bpflab 10000 hardirq irqs-off'],
    ['6.18-rt', 'line', 'handler of a line', 'irq/24-eth0 0 bh-off task preemptible'],
    ['6.18', 'bh', 'softirq at local_bh_enable', 'bpflab 101 serving'],
    ['6.18-rt', 'bh', 'softirq at local_bh_enable', 'bpflab 0 serving preemptible'],
    ['6.18', 'work', 'irq_work', 'bpflab 10000 hardirq irqs-off'],
    ['6.18-rt', 'work', 'irq_work', 'irq_work/0 0 task preemptible'],
    ['6.18-rt', 'hard work', 'hard irq_work', 'bpflab 10000 hardirq irqs-off'],
    ['6.18', 'ipi', 'call on another CPU', 'swapper/1 10000 hardirq irqs-off'],
    ['6.18-rt', 'ipi', 'call on another CPU', 'swapper/1 10000 hardirq irqs-off'],
  ])('%s: %s', (profile, how, _what, expected) => {
    const kernel = kernelWith(profile);
    const { irq, executor } = kernel;
    const seen: string[] = [];
    function* look(): Flow<void> {
      seen.push(context(kernel));
    }
    irq.softirq.open(Softirq.netRx, look);
    const raise = function* (): Flow<void> {
      irq.softirq.raise(Softirq.netRx);
    };
    if (how === 'hardirq') irq.raise('test', look);
    else if (how === 'nmi') kernel.nmi(look);
    else if (how === 'softirq') irq.raise('test', raise);
    else if (how === 'work') irq.work.queue(irq.irqWork('test', look));
    else if (how === 'hard work') irq.work.queue(irq.irqWork('test', look, { hard: true }));
    else if (how === 'ipi') executor.drive(irq.callFunction(1, look));
    else if (how === 'bh') {
      irq.softirq.disableNow('test');
      irq.raise('test', raise);
      irq.softirq.enableNow();
    } else {
      const handler: IrqRequest['handler'] = function* () {
        yield* look();
        return 'handled';
      };
      irq.raise(irq.request({ name: 'eth0', handler }));
    }
    executor.settle();
    expect(seen).toEqual([expected]);
    expect(titles(kernel)).toEqual([]);
    expect(kernel.sched.cpus.map(({ preemptCount, irqsDisabled }) => [preemptCount, irqsDisabled])).toEqual([
      [0, false],
      [0, false],
    ]);
  });

  test('NMIs nest 15 deep; one more is a BUG', () => {
    const kernel = kernelWith('6.18');
    let deepest = 0;
    const nest = function* (depth: number): Flow<void> {
      deepest = kernel.sched.here.preemptCount;
      if (depth < 15) yield* kernel.irq.nmiFlow('int3', () => nest(depth + 1));
    };
    kernel.nmi(() => nest(1));
    expect(deepest).toBe(15 * 0x110000);
    expect(kernel.sched.here.preemptCount).toBe(0);
    const beyond = function* (depth: number): Flow<void> {
      yield* kernel.irq.nmiFlow('int3', () => beyond(depth + 1));
    };
    expect(() => kernel.nmi(() => beyond(1))).toThrow(SimulationError);
    expect(titles(kernel)).toEqual(['kernel BUG at include/linux/hardirq.h:111!']);
  });

  test('an interrupt that comes while they are off is taken as soon as they are on, in plain code too', () => {
    const kernel = kernelWith('6.18');
    const order: string[] = [];
    const flags = kernel.sched.irqSave('test');
    kernel.irq.raise('late', function* () {
      order.push('interrupt');
    });
    order.push('before');
    kernel.sched.irqRestore(flags);
    order.push('after');
    expect(order).toEqual(['before', 'interrupt', 'after']);
  });
});

describe('what goes wrong inside', () => {
  test('a handler that takes a lock which the interrupted task holds waits for ever', () => {
    const kernel = kernelWith('6.12', { lockdep: 'off' });
    const lock = kernel.locks.raw('test_lock');
    lock.lockNow('test');
    const handler = function* (): Flow<void> {
      yield* lock.lock('handler');
    };
    expect(() => kernel.irq.raise('test', handler)).toThrow(SimulationError);
    expect(titles(kernel).at(-1)).toMatch(/deadlock|recursion/);
  });

  test.each(['hardirq', 'nmi', 'softirq', 'task'])(
    'an error in a %s ends it, and the CPU goes on',
    (where) => {
      for (const interleaved of [false, true]) {
        const kernel = kernelWith('6.12', { interleaved });
        const { sched, executor, irq } = kernel;
        const fail = function* (): Flow<void> {
          throw new Error('a fault');
        };
        irq.softirq.open(Softirq.hi, fail);
        const raise = (): void => {
          if (where === 'hardirq') irq.raise('test', fail);
          else if (where === 'nmi') kernel.nmi(fail);
          else if (where === 'softirq') irq.softirq.raise(Softirq.hi);
          else sched.spawn({ pid: 2, tgid: 2, comm: 't2', uid: 0, gid: 0 }, fail);
          executor.settle();
        };
        expect(raise).toThrow('a fault');
        expect(sched.cpus.map((cpu) => cpu.interrupts.length)).toEqual([0, 0]);
        expect(sched.cpus.map((cpu) => cpu.preemptCount)).toEqual([0, 0]);
        let ran = 0;
        irq.raise('test', function* () {
          ran++;
        });
        executor.settle();
        expect(ran).toBe(1);
      }
    },
  );
});

describe('threads of interrupts', () => {
  test.each<[string, string, IrqRequest['flags'], boolean, string]>([
    ['without flags', '6.18-rt', {}, false, 'irq/24-dev'],
    ['noThread', '6.18-rt', { noThread: true }, false, 'bpflab'],
    ['perCpu', '6.18-rt', { perCpu: true }, false, 'bpflab'],
    ['oneshot', '6.18-rt', { oneshot: true }, false, 'bpflab'],
    ['not RT', '6.18', {}, false, 'bpflab'],
    ['not RT, threadirqs', '6.18', {}, true, 'irq/24-dev'],
  ])('where a handler runs: %s', (_name, profile, flags, threadirqs, comm) => {
    const kernel = kernelWith(profile, { threadirqs });
    const seen: string[] = [];
    const line = kernel.irq.request({
      name: 'dev',
      flags: flags ?? {},
      handler: function* () {
        seen.push(kernel.sched.current.comm);
        return 'handled';
      },
    });
    kernel.irq.raise(line);
    kernel.executor.settle();
    expect(seen).toEqual([comm]);
  });

  test('without RT a forced handler has interrupts off in its thread', () => {
    const kernel = kernelWith('6.18', { threadirqs: true });
    const seen: string[] = [];
    const line = kernel.irq.request({
      name: 'dev',
      handler: function* () {
        seen.push(context(kernel));
        return 'handled';
      },
    });
    kernel.irq.raise(line);
    kernel.executor.settle();
    expect(seen).toEqual(['irq/24-dev 200 bh-off task irqs-off']);
  });

  test('a wake-up in NMI is reported', () => {
    const kernel = kernelWith('6.18');
    kernel.nmi(function* () {
      kernel.sched.wake(kernel.sched.current);
    });
    expect(titles(kernel)).toEqual(['bpflab: a wake-up in NMI can wait for a lock that is held below it']);
  });

  test('a forced handler with a thread function of its own gets a second thread', () => {
    const kernel = kernelWith('6.18-rt');
    const seen: string[] = [];
    const note = (): void => {
      seen.push(context(kernel));
    };
    const line = kernel.irq.request({
      name: 'dev',
      handler: function* () {
        note();
        return 'wakeThread';
      },
      threadFn: function* () {
        note();
      },
    });
    kernel.irq.raise(line);
    kernel.executor.settle();
    expect(seen).toEqual(['irq/24-dev 0 bh-off task preemptible', 'irq/24-s-dev 0 task preemptible']);
  });

  test('a line that is masked until its thread has run keeps one interrupt, and no more', () => {
    const kernel = kernelWith('6.18-rt');
    let runs = 0;
    const line = kernel.irq.request({
      name: 'dev',
      handler: function* () {
        if (++runs === 1) for (let i = 0; i < 3; i++) line.raise();
        return 'handled';
      },
    });
    kernel.irq.raise(line);
    kernel.executor.settle();
    expect([runs, line.count, line.merged]).toEqual([2, 2, 2]);
  });

  test.each<[string, IrqRequest]>([
    ['neither handler nor thread', { name: 'none' }],
    ['a thread without handler that is not oneshot', { name: 'thread', threadFn: function* () {} }],
    [
      'a CPU that is not there',
      {
        name: 'far',
        cpu: 9,
        handler: function* () {
          return 'none';
        },
      },
    ],
  ])('what cannot be requested: %s', (_name, request) => {
    expect(() => kernelWith('6.18').irq.request(request)).toThrow(SyscallError);
  });
});

describe('softirqs', () => {
  test('after ten rounds ksoftirqd gets the rest', () => {
    const kernel = kernelWith('6.18');
    const { softirq } = kernel.irq;
    const where: string[] = [];
    softirq.open(Softirq.tasklet, function* () {
      where.push(kernel.sched.current.comm);
      if (where.length < 15) softirq.raise(Softirq.tasklet);
    });
    kernel.irq.raise('test', function* () {
      softirq.raise(Softirq.tasklet);
    });
    expect(where).toHaveLength(MAX_SOFTIRQ_RESTART);
    kernel.executor.settle();
    expect(where.slice(MAX_SOFTIRQ_RESTART)).toEqual(Array(5).fill('ksoftirqd/0'));
  });

  test('after two milliseconds too', () => {
    const kernel = kernelWith('6.18');
    const { softirq } = kernel.irq;
    const where: string[] = [];
    softirq.open(Softirq.tasklet, function* () {
      where.push(kernel.sched.current.comm);
      kernel.sched.charge(1_500_000);
      if (where.length < 4) softirq.raise(Softirq.tasklet);
    });
    kernel.irq.raise('test', function* () {
      softirq.raise(Softirq.tasklet);
    });
    kernel.executor.settle();
    expect(where).toEqual(['bpflab', 'bpflab', 'ksoftirqd/0', 'ksoftirqd/0']);
  });

  test('raised from a task, ksoftirqd runs it; the most urgent vector first', () => {
    const kernel = kernelWith('6.18');
    const { softirq } = kernel.irq;
    const order: string[] = [];
    for (const [name, vector] of Object.entries(Softirq)) {
      softirq.open(vector, function* () {
        order.push(`${kernel.sched.current.comm} ${name}`);
      });
    }
    softirq.raise(Softirq.netRx);
    softirq.raise(Softirq.hi);
    kernel.executor.settle();
    expect(order).toEqual(['ksoftirqd/0 hi', 'ksoftirqd/0 netRx']);
  });

  test.each([
    ['6.12-rt', true],
    ['6.18-rt', false],
  ])('BH sections of one CPU exclude each other on RT with the BH lock: %s', (profile, excluded) => {
    const kernel = kernelWith(profile, { interleaved: true });
    const { sched, irq, executor } = kernel;
    let inside = 0;
    let most = 0;
    const section = function* (): Flow<void> {
      yield* irq.softirq.disable('test');
      most = Math.max(most, ++inside);
      sched.here.needResched = true;
      sched.yieldTask();
      yield* sched.resched();
      inside--;
      yield* irq.softirq.enable();
    };
    for (const pid of [2, 3])
      sched.spawn({ pid, tgid: pid, comm: `t${pid}`, uid: 0, gid: 0, affinity: [1] }, section);
    executor.settle();
    expect(most).toBe(excluded ? 1 : 2);
    expect(titles(kernel)).toEqual([]);
  });

  test('an action that loses count of preemption is reported, and the count mended', () => {
    const kernel = kernelWith('6.18');
    kernel.irq.softirq.open(Softirq.block, function* () {
      kernel.sched.preemptDisable('test');
    });
    kernel.irq.raise('test', function* () {
      kernel.irq.softirq.raise(Softirq.block);
    });
    expect(kernel.sched.console.lines.join('\n')).toMatch(
      /softirq: huh, entered softirq 4 BLOCK with preempt_count 00000100, exited with 00000101\?/,
    );
    expect(kernel.sched.here.preemptCount).toBe(0);
  });

  test('BH disabled or enabled in a hardware interrupt warns', () => {
    const kernel = kernelWith('6.18');
    kernel.irq.raise('test', function* () {
      yield* kernel.irq.softirq.disable('test');
      yield* kernel.irq.softirq.enable();
    });
    expect(titles(kernel)).toEqual([
      'WARNING: CPU: 0 PID: 1001 at kernel/softirq.c __local_bh_disable_ip',
      'WARNING: CPU: 0 PID: 1001 at kernel/softirq.c __local_bh_enable_ip',
    ]);
  });
});

describe('irq_work', () => {
  test('an NMI leaves work that runs after it; twice queued is once run; the last queued runs first', () => {
    const kernel = kernelWith('6.18');
    const { work } = kernel.irq;
    const order: string[] = [];
    const item = (name: string) =>
      kernel.irq.irqWork(name, function* () {
        order.push(name);
      });
    const [a, b] = [item('a'), item('b')];
    const queued: boolean[] = [];
    kernel.nmi(function* () {
      queued.push(work.queue(a), work.queue(b), work.queue(a));
      order.push('nmi');
    });
    expect(queued).toEqual([true, true, false]);
    expect(order).toEqual(['nmi', 'b', 'a']);
    expect([a.busy, b.busy]).toEqual([false, false]);
  });

  test('queued again by itself it is busy until it has run', () => {
    const kernel = kernelWith('6.18');
    let runs = 0;
    const item = kernel.irq.irqWork('again', function* () {
      if (++runs < 3) kernel.irq.work.queue(item);
    });
    kernel.irq.work.queue(item);
    kernel.executor.settle();
    expect([runs, item.pending, item.busy]).toEqual([3, false, false]);
  });

  test('lazy work waits for the tick', () => {
    const kernel = kernelWith('6.18', { tick: true });
    let ran = 0;
    kernel.irq.work.queue(
      kernel.irq.irqWork(
        'lazy',
        function* () {
          ran++;
        },
        { lazy: true },
      ),
    );
    expect(ran).toBe(0);
    kernel.sched.spawn({ pid: 2, tgid: 2, comm: 'busy', uid: 0, gid: 0, affinity: [0] }, function* () {
      kernel.sched.charge(5_000_000);
      yield { kind: 'point', place: 'test' };
    });
    kernel.executor.settle(kernel.clock.nanos + 20_000_000);
    expect(ran).toBe(1);
  });

  test('for another CPU from NMI warns', () => {
    const kernel = kernelWith('6.18');
    const item = kernel.irq.irqWork('far', function* () {});
    kernel.nmi(function* () {
      kernel.irq.work.queueOn(item, 1);
    });
    expect(titles(kernel)).toEqual(['WARN_ON_ONCE(in_nmi())']);
    kernel.executor.settle();
    expect(item.busy).toBe(false);
  });
});
