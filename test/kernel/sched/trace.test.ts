/** What the scheduler tells: its trace, its tracepoints, work queues. */
import { describe, expect, test } from '@jest/globals';
import { Kernel, type KernelOptions } from '../../../src/kernel/kernel.js';
import { type Flow, point } from '../../../src/kernel/sched/flow.js';
import { inHardirq } from '../../../src/kernel/sched/preempt.js';
import { waitable } from '../../../src/kernel/sched/sched.js';
import { sleepUntil } from '../../../src/kernel/sched/sleep.js';
import type { TaskAttr } from '../../../src/kernel/sched/task.js';
import type { TraceEvent } from '../../../src/kernel/sched/trace.js';

const HERE = point('test');
const attr = (pid: number, more: Partial<TaskAttr> = {}): TaskAttr => ({
  pid,
  tgid: pid,
  comm: `t${pid}`,
  uid: 0,
  gid: 0,
  affinity: [1],
  ...more,
});
const kernelWith = (more: KernelOptions = {}): Kernel =>
  new Kernel({ cpus: 2, profile: '6.12', interleaved: true, lockdep: 'off', ...more });

/** Two tasks on CPU 1, the first woken by an interrupt. */
function scene(kernel: Kernel): void {
  const { sched, executor, hrtimers } = kernel;
  let due = false;
  const sleeper = sched.spawn(attr(2, { policy: 'fifo', rtPriority: 3 }), function* () {
    yield* sleepUntil(sched, waitable('a timer'), () => due);
    sched.charge(1000);
    yield HERE;
  });
  const timer = hrtimers.create('wake', function* () {
    due = true;
    sched.wake(sleeper);
    return undefined;
  });
  hrtimers.start(timer, 500_000, 1);
  sched.spawn(attr(3), function* () {
    for (let i = 0; i < 20; i++) {
      sched.charge(50_000);
      yield HERE;
    }
  });
  executor.settle();
}

function brief(event: TraceEvent): string | undefined {
  if (event.cpu !== 1) return undefined;
  if (event.kind === 'switch') return `switch ${event.prev.comm} ${event.state} ${event.next.comm}`;
  if (event.kind === 'wake') return `wake ${event.task.comm} on ${event.target}`;
  if (event.kind === 'irq') return `${event.context} ${event.phase} ${event.name}`;
  return undefined;
}

const EXPECTED = [
  'switch swapper/1 R t2',
  'switch t2 S t3',
  'hardirq entry hrtimer_interrupt',
  'wake t2 on 1',
  'hardirq exit hrtimer_interrupt',
  'switch t3 R t2',
  'switch t2 X t3',
  'switch t3 X swapper/1',
];

describe('the trace', () => {
  test('says who ran, who woke whom, which interrupts came, in the order of time on each CPU', () => {
    const kernel = kernelWith();
    const trace = kernel.sched.startTrace();
    scene(kernel);
    expect(trace.events.map(brief).filter((line) => line !== undefined)).toEqual(EXPECTED);
    const times = trace.events.filter(({ cpu }) => cpu === 1).map(({ timeNs }) => timeNs);
    expect(times).toEqual([...times].sort((a, b) => a - b));
  });

  test('keeps no more than was asked for, and counts the rest', () => {
    const kernel = kernelWith();
    const trace = kernel.sched.startTrace(4);
    scene(kernel);
    expect(trace.events).toHaveLength(4);
    expect(trace.dropped).toBeGreaterThan(4);
  });
});

describe('tracepoints', () => {
  test('sched_switch and sched_wakeup fire with interrupts and preemption off, with the task that leaves current', () => {
    const kernel = kernelWith();
    const { sched } = kernel;
    const seen: string[] = [];
    const note = (name: string, fields: readonly unknown[]): void => {
      const { here, current } = sched;
      if (here.id !== 1) return;
      expect(here.irqsDisabled).toBe(true);
      expect(here.preemptCount & 0xff).toBe(2);
      const where = inHardirq(here) ? ' in hardirq' : '';
      seen.push(`${name} ${fields.join(' ')}; ${current.comm}${where}`);
    };
    sched.probes.point('sched:sched_switch').attach('entry', function* (fields) {
      // A program may take its time, and others run meanwhile.
      yield HERE;
      note('switch', [fields[0], fields[3], fields[4]]);
    });
    sched.probes.point('sched:sched_wakeup').attach('entry', function* (fields) {
      note('wakeup', fields);
    });
    scene(kernel);
    expect(seen).toEqual([
      'switch swapper/1 0 t2; swapper/1',
      'switch t2 1 t3; t2',
      'wakeup t2 2 96 1; t3 in hardirq',
      'switch t3 0 t2; t3',
      'switch t2 16 t3; t2',
      'switch t3 16 swapper/1; t3',
    ]);
  });

  test('interrupts and softirqs', () => {
    const kernel = kernelWith({ interleaved: false });
    const { sched, irq } = kernel;
    const seen: string[] = [];
    for (const name of ['irq_handler_entry', 'irq_handler_exit', 'softirq_entry', 'softirq_exit']) {
      sched.probes.point(`irq:${name}`).attach('entry', function* (fields) {
        seen.push(`${name} ${fields.join(' ')}`);
      });
    }
    irq.softirq.open(3, function* (): Flow<void> {});
    const line = irq.request({
      name: 'eth0',
      handler: function* () {
        irq.softirq.raise(3);
        return 'handled';
      },
    });
    irq.raise(line);
    expect(seen).toEqual([
      'irq_handler_entry 24 eth0',
      'irq_handler_exit 24 1',
      'softirq_entry 3 NET_RX',
      'softirq_exit 3 NET_RX',
    ]);
  });
});

test('work of a queue runs in its CPU’s worker, in order, queued once until it begins', () => {
  const kernel = kernelWith();
  const { sched, workqueue, executor } = kernel;
  const seen: string[] = [];
  const item = (name: string) => ({
    name,
    *func(): Flow<void> {
      seen.push(`${name} in ${sched.current.comm}`);
      yield HERE;
    },
  });
  const [a, b] = [item('a'), item('b')];
  expect([workqueue.queue(a, 1), workqueue.queue(b, 1), workqueue.queue(a, 0)]).toEqual([true, true, false]);
  executor.settle();
  expect(seen).toEqual(['a in kworker/1:0', 'b in kworker/1:0']);
  expect(workqueue.queue(a)).toBe(true);
});
