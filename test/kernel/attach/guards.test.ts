/** Who keeps programs from recursing: `bpf_prog_active`, each program's own guard, kprobes' own, and who asks nobody. */
import { describe, expect, test } from '@jest/globals';
import { AttachType } from '../../../src/abi/attach-types.js';
import type { Kernel } from '../../../src/kernel/kernel.js';
import { kernelProfile } from '../../../src/kernel/profile.js';
import type { Flow } from '../../../src/kernel/sched/flow.js';
import { ASK, kernelOf, load, observe } from './support.js';

const FRAME = new Uint8Array(64);

type Runs = Readonly<Record<string, (kernel: Kernel) => number>>;

const count = (kernel: Kernel, run: () => void): number => {
  const seen = observe(kernel);
  run();
  return seen.length;
};

/** How often a program of each kind runs for one event on a CPU whose `bpf_prog_active` a system call has taken. */
const UNDER_SYSCALL: Runs = {
  kprobe(kernel) {
    kernel.attach(load(kernel, 'kprobe', ASK), 'kprobe:f');
    return count(kernel, () => kernel.callFunction('f'));
  },
  'kprobe.multi'(kernel) {
    kernel.attach(load(kernel, 'kprobe', ASK), 'kprobe.multi:f');
    return count(kernel, () => kernel.callFunction('f'));
  },
  tracepoint(kernel) {
    kernel.attach(load(kernel, 'tracepoint', ASK), 'tracepoint:a:b');
    return count(kernel, () => kernel.tracepoint('a:b'));
  },
  perf(kernel) {
    kernel.attach(load(kernel, 'perf_event', ASK), 'perf_event:cpu-cycles@0');
    return count(kernel, () => kernel.perfSample(0));
  },
  uprobe(kernel) {
    kernel.attach(load(kernel, 'kprobe', ASK), 'uprobe:/x:f');
    return count(kernel, () => kernel.uprobe('/x:f'));
  },
  raw_tp(kernel) {
    kernel.attach(load(kernel, 'raw_tracepoint', ASK), 'raw_tp:a:b');
    return count(kernel, () => kernel.tracepoint('a:b'));
  },
  fentry(kernel) {
    kernel.attach(load(kernel, 'tracing', ASK, { attachType: AttachType.trace_fentry }), 'fentry:f');
    return count(kernel, () => kernel.callFunction('f'));
  },
  xdp(kernel) {
    kernel.attach(load(kernel, 'xdp', ASK), 'xdp:eth0');
    return count(kernel, () => kernel.packet(FRAME));
  },
};

describe('bpf_prog_active', () => {
  const guarded = ['kprobe', 'kprobe.multi', 'tracepoint', 'perf'];
  const free = ['raw_tp', 'fentry', 'xdp'];
  const rows = [
    ...['5.7', '5.7-rt', '6.18'].flatMap((profile) => guarded.map((kind) => [profile, kind, 0] as const)),
    ...['5.7', '5.7-rt', '6.18'].flatMap((profile) => free.map((kind) => [profile, kind, 1] as const)),
    ['5.7', 'uprobe', 0] as const,
    ['6.1', 'uprobe', 1] as const,
  ];

  test.each(rows)(
    'while a system call on a map is under way, %s: %s runs %d times',
    (profile, kind, runs) => {
      const kernel = kernelOf(profile);
      kernel.instrumentation.disableNow();
      expect(UNDER_SYSCALL[kind]!(kernel)).toBe(runs);
      kernel.instrumentation.enableNow();
      expect(kernel.instrumentation.progActive[0]).toBe(0);
    },
  );

  test.each([
    ['5.7', 0],
    ['6.18', 1],
  ])('runs that it suppressed: counted by %s: %d', (profile, misses) => {
    const kernel = kernelOf(profile);
    const prog = load(kernel, 'kprobe', ASK);
    kernel.attach(prog, 'kprobe:f');
    kernel.instrumentation.disableNow();
    kernel.callFunction('f');
    kernel.instrumentation.enableNow();
    kernel.callFunction('f');
    expect(prog.stats).toMatchObject({ runs: 1, misses, skipped: 1 });
  });

  test('a sample that the guard suppressed does not reach the ring buffer either', () => {
    const kernel = kernelOf('6.18');
    kernel.attach(load(kernel, 'perf_event', ASK), 'perf_event:cpu-cycles@0');
    kernel.instrumentation.disableNow();
    kernel.perfSample(0);
    kernel.instrumentation.enableNow();
    kernel.perfSample(0);
    expect(kernel.perf.open[0]).toMatchObject({ samples: 1, suppressed: 1 });
  });

  test.each([
    ['5.7', 0, 0],
    ['5.15', 1, 1],
  ])('in an NMI, %s runs a kprobe program %d times', (profile, runs) => {
    const kernel = kernelOf(profile);
    const seen = observe(kernel);
    kernel.attach(load(kernel, 'kprobe', ASK), 'kprobe:f');
    kernel.nmi(() => kernel.events.callFunction('f', [], nothing) as Flow<never>);
    expect(seen.length).toBe(runs);
  });

  test('an event is lost while a pinned task that holds it is preempted', () => {
    const kernel = kernelOf('rfc-rt', { interleaved: true });
    const prog = load(kernel, 'kprobe', ASK);
    kernel.attach(prog, 'kprobe:f');
    kernel.run({}, function* () {
      yield* kernel.instrumentation.disable();
      kernel.run({ task: kernel.newTask({ policy: 'fifo', rtPriority: 5 }) }, () =>
        kernel.events.callFunction('f', [], nothing),
      );
      yield* kernel.instrumentation.enable();
    });
    expect(prog.stats).toMatchObject({ runs: 0, skipped: 1 });
  });
});

describe('an increment that preemption splits', () => {
  /** A pinned task is preempted inside the increment; another one's whole increment comes in between. */
  function lostUpdate(profile: string): number {
    const kernel = kernelOf(profile, { interleaved: true });
    const { instrumentation, sched } = kernel;
    const first = instrumentation.disable();
    const step = first.next();
    if (step.done === true) return instrumentation.progActive[0]!;
    const other = kernel.newTask();
    kernel.run({ task: other }, () => instrumentation.disable());
    while (first.next().done !== true);
    const held = instrumentation.progActive[0]!;
    sched.migrateEnable();
    return held;
  }

  test('is lost with a plain one on RT: two hold the counter, it says one', () => {
    expect(lostUpdate('rfc-rt')).toBe(1);
  });

  test('cannot happen with an atomic one, or where preemption is off', () => {
    const kernel = kernelOf('5.7-rt', { interleaved: true });
    expect(kernel.instrumentation.disable().next().done).toBe(true);
    expect(kernelOf('rfc', { interleaved: true }).instrumentation.disable().next().done).toBe(true);
  });
});

describe("a program's own guard", () => {
  /** A program on `f`, which calls itself in its body until it is three deep. */
  function nested(kernel: Kernel, depth = 3): void {
    const call = (left: number): Flow<number | bigint | string> =>
      kernel.events.callFunction('f', [], function* () {
        return left > 1 ? yield* call(left - 1) : 0;
      });
    kernel.run({}, () => call(depth));
  }

  test('keeps nobody out once the program has returned', () => {
    const kernel = kernelOf('6.18');
    const prog = load(kernel, 'tracing', ASK, { attachType: AttachType.trace_fentry });
    kernel.attach(prog, 'fentry:f');
    nested(kernel);
    expect(prog.stats).toMatchObject({ runs: 3, misses: 0 });
  });

  const inside = (kernel: Kernel, cause: () => void): void => {
    let once = true;
    kernel.random.next = () => {
      if (once) {
        once = false;
        cause();
      }
      return 0;
    };
  };

  test.each([
    ['5.7', 2, 0],
    ['5.15', 1, 1],
  ])('fentry, caused by the program itself, %s: %d runs, %d misses', (profile, runs, misses) => {
    const kernel = kernelOf(profile);
    const prog = load(kernel, 'tracing', ASK, { attachType: AttachType.trace_fentry });
    kernel.attach(prog, 'fentry:f');
    inside(kernel, () => kernel.callFunction('f'));
    kernel.callFunction('f');
    expect(prog.stats).toMatchObject({ runs, misses });
  });

  test.each([
    ['5.15', 2, 0],
    ['6.1', 1, 1],
  ])('raw tracepoint, caused by the program itself, %s: %d runs, %d misses', (profile, runs, misses) => {
    const kernel = kernelOf(profile);
    const prog = load(kernel, 'raw_tracepoint', ASK);
    kernel.attach(prog, 'raw_tp:a:b');
    inside(kernel, () => kernel.tracepoint('a:b'));
    kernel.tracepoint('a:b');
    expect(prog.stats).toMatchObject({ runs, misses });
  });

  test('two programs nest', () => {
    const kernel = kernelOf('6.18');
    const first = load(kernel, 'raw_tracepoint', ASK, { name: 'first' });
    const second = load(kernel, 'raw_tracepoint', ASK, { name: 'second' });
    kernel.attach(first, 'raw_tp:a:b');
    kernel.attach(second, 'raw_tp:c:d');
    inside(kernel, () => kernel.tracepoint('c:d'));
    kernel.tracepoint('a:b');
    expect([first.stats.runs, second.stats.runs]).toEqual([1, 1]);
  });

  test('a kprobe inside a kprobe program is missed by the kprobe, not by the program', () => {
    const kernel = kernelOf('6.18');
    const outer = load(kernel, 'kprobe', ASK, { name: 'outer' });
    const inner = load(kernel, 'kprobe', ASK, { name: 'inner' });
    kernel.attach(outer, 'kprobe:f');
    const link = kernel.attach(inner, 'kprobe:g');
    inside(kernel, () => kernel.callFunction('g'));
    kernel.callFunction('f');
    expect([outer.stats.runs, inner.stats.runs, inner.stats.misses, link.missed]).toEqual([1, 0, 0, 1]);
  });
});

describe('uprobes', () => {
  test('a kernel that lost the preempt_disable of its uprobes says so', () => {
    const profile = kernelProfile('5.7', { uprobePreempt: 'none' });
    const kernel = kernelOf('5.7', { profile });
    kernel.attach(load(kernel, 'kprobe', ASK), 'uprobe:/bin/test:f');
    kernel.uprobe('/bin/test:f', [], { task: kernel.newTask({ pid: 2348, comm: 'test_progs' }) });
    const splat = kernel.splats[0]!;
    expect(splat.lines).toEqual([
      'BUG: assuming atomic context at kernel/trace/bpf_trace.c:86',
      'in_atomic(): 0, irqs_disabled(): 0, pid: 2348, name: test_progs',
    ]);
    expect(splat.stack).toEqual([
      'trace_call_bpf',
      '__uprobe_perf_func',
      'uprobe_dispatcher',
      'uprobe_notify_resume',
    ]);
  });
});

function* nothing(): Flow<number> {
  return 0;
}
