/** What programs of each type run in: preemption, interrupts, pinning, on RT and not, by profile. */
import { describe, expect, test } from '@jest/globals';
import { AttachType } from '../../../src/abi/attach-types.js';
import { ProgFlag } from '../../../src/abi/prog-flags.js';
import type { Kernel } from '../../../src/kernel/kernel.js';
import { kernelProfile } from '../../../src/kernel/profile.js';
import { frameOf, socketOf } from './packets.js';
import { ASK, kernelOf, type LoadAs, load, observe } from './support.js';

const FRAME = frameOf();

interface Case {
  readonly type: Parameters<typeof load>[1];
  readonly as?: LoadAs;
  readonly target?: string;
  readonly cause: (kernel: Kernel) => void;
}

const CASES: Readonly<Record<string, Case>> = {
  kprobe: { type: 'kprobe', target: 'kprobe:f', cause: (k) => k.callFunction('f') },
  kretprobe: { type: 'kprobe', target: 'kretprobe:f', cause: (k) => k.callFunction('f') },
  'kprobe.multi': { type: 'kprobe', target: 'kprobe.multi:f', cause: (k) => k.callFunction('f') },
  tracepoint: { type: 'tracepoint', target: 'tracepoint:a:b', cause: (k) => k.tracepoint('a:b') },
  raw_tp: { type: 'raw_tracepoint', target: 'raw_tp:a:b', cause: (k) => k.tracepoint('a:b') },
  fentry: {
    type: 'tracing',
    as: { attachType: AttachType.trace_fentry },
    target: 'fentry:f',
    cause: (k) => k.callFunction('f'),
  },
  fexit: {
    type: 'tracing',
    as: { attachType: AttachType.trace_fexit },
    target: 'fexit:f',
    cause: (k) => k.callFunction('f'),
  },
  lsm: {
    type: 'lsm',
    as: { attachType: AttachType.lsm_mac },
    target: 'lsm:file_open',
    cause: (k) => k.lsm('file_open'),
  },
  uprobe: { type: 'kprobe', target: 'uprobe:/bin/x:f', cause: (k) => k.uprobe('/bin/x:f') },
  'perf hardware': { type: 'perf_event', target: 'perf_event:cpu-cycles@0', cause: (k) => k.perfSample(0) },
  'perf clock': { type: 'perf_event', target: 'perf_event:cpu-clock@0', cause: (k) => k.perfSample(0) },
  'perf software': { type: 'perf_event', target: 'perf_event:page-faults@0', cause: (k) => k.perfSample(0) },
  xdp: { type: 'xdp', target: 'xdp:eth0', cause: (k) => k.packet(FRAME) },
  tc: { type: 'sched_cls', target: 'tc:eth0', cause: (k) => k.packet(FRAME) },
  'tc egress': { type: 'sched_cls', target: 'tc:eth0:egress', cause: (k) => k.transmit(FRAME) },
  cgroup: {
    type: 'cgroup_sock_addr',
    as: { attachType: AttachType.cgroup_inet4_connect },
    target: 'cgroup:/',
    cause: (k) => k.connect({ ip: '10.0.0.1', port: 80 }),
  },
  'cgroup egress': {
    type: 'cgroup_skb',
    as: { attachType: AttachType.cgroup_inet_egress },
    target: 'cgroup:/',
    cause: (k) => k.transmit(FRAME),
  },
  netfilter: { type: 'netfilter', target: 'netfilter:ipv4:input:0', cause: (k) => k.packet(FRAME) },
  'netfilter out': { type: 'netfilter', target: 'netfilter:ipv4:output:0', cause: (k) => k.transmit(FRAME) },
  sk_lookup: { type: 'sk_lookup', target: 'netns', cause: (k) => k.packet(FRAME) },
  flow_dissector: { type: 'flow_dissector', target: 'netns', cause: (k) => k.packet(FRAME) },
  'flow_dissector tx': { type: 'flow_dissector', target: 'netns', cause: (k) => k.transmit(FRAME) },
  lwt_in: { type: 'lwt_in', target: 'route:0.0.0.0/0', cause: (k) => k.packet(FRAME) },
  lwt_xmit: { type: 'lwt_xmit', target: 'route:0.0.0.0/0', cause: (k) => k.transmit(FRAME) },
  lirc: { type: 'lirc_mode2', target: 'lirc:lirc0', cause: (k) => k.lirc(1) },
  sock_ops: {
    type: 'sock_ops',
    target: 'cgroup:/',
    cause: (k) => k.sockOps(socketOf(k, { protocol: 'tcp' }), { name: 'tcp_listen' }),
  },
};

/** For each attach point and profile: preempt_count in hexadecimal, i with interrupts off, p pinned by the task's counter. */
const TABLE = `
  point               5.6      5.7      5.7-rt   6.18     6.18-rt
  kprobe              3        2        1p       1p       1p
  kretprobe           -        2        -        -        -
  kprobe.multi        -        -        -        1p       -
  tracepoint          3        2        1p       1p       -
  raw_tp              2        1        1        1        1
  fentry              1        1        0p       0p       0p
  fexit               1        -        0p       -        -
  lsm                 -        1        0p       -        -
  uprobe              2        2        1p       0p       -
  perf hardware       110001i  110000i  110000i  110000i  -
  perf clock          10001i   -        10000i   -        -
  perf software       2        -        1        -        -
  xdp                 100      100      0p       100      0p
  tc                  100      100      0p       -        0p
  tc egress           200      -        0p       -        -
  cgroup              1        1        0p       0p       0p
  cgroup egress       -        1        0p       0p       0p
  netfilter           101      101      0p       100p     0p
  netfilter out       -        -        0p       0p       0p
  sk_lookup           -        101      0p       100p     0p
  flow_dissector      101      101      0p       100p     0p
  flow_dissector tx   -        201      0p       200p     0p
  lwt_in              -        300      0p       300      0p
  lwt_xmit            201      201      0p       200p     0p
  lirc                1        1        0p       0p       -
  sock_ops            1        -        0p       0p       0p`;

const [[, ...profiles], ...points] = TABLE.trim()
  .split('\n')
  .map((line) => line.trim().split(/ {2,}/)) as [string[], ...string[][]];
const rows = points.flatMap(([point, ...cells]) =>
  cells.flatMap((cell, column) => {
    if (cell === '-') return [];
    const [, count, off, pinned] = /^([\da-f]+)(i?)(p?)$/.exec(cell)!;
    const expected = [Number.parseInt(count!, 16), off !== '', pinned !== ''];
    return [false, true].map((interleaved) => ({
      profile: profiles[column]!,
      point: point!,
      expected,
      interleaved,
    }));
  }),
);

describe('what programs run in', () => {
  test.each(rows)(
    '$point on $profile, interleaved: $interleaved',
    ({ profile, point, expected, interleaved }) => {
      const kernel = kernelOf(profile, { interleaved });
      const seen = observe(kernel);
      const { type, as = {}, target, cause } = CASES[point]!;
      const prog = load(kernel, type, ASK, as);
      kernel.attach(prog, target);
      cause(kernel);
      expect(
        seen.map(({ preemptCount, irqsDisabled, pinned }) => [preemptCount, irqsDisabled, pinned]),
      ).toEqual([expected]);
      expect(prog.stats.runs).toBe(1);
      // Everything has been given back.
      expect(kernel.splats).toEqual([]);
      const { here, current } = kernel.sched;
      expect([here.preemptCount, here.irqsDisabled, here.calls.length]).toEqual([0, false, 0]);
      expect([current.migrationDisabled, current.rcuDepth, current.softirqDisableCount]).toEqual([0, 0, 0]);
      expect([...kernel.instrumentation.progActive]).toEqual([0, 0, 0, 0]);
    },
  );

  test('on RT a frame is received in the thread of its interrupt', () => {
    const kernel = kernelOf('6.18-rt');
    const seen = observe(kernel);
    kernel.attach(load(kernel, 'xdp', ASK), 'xdp:eth0');
    kernel.packet(FRAME, { cpu: 2 });
    expect(seen.map(({ comm, cpu, softirq }) => [comm.replace(/\d+/, 'N'), cpu, softirq > 0])).toEqual([
      ['irq/N-eth0-rx-', 2, true],
    ]);
  });

  test.each([
    ['6.18', false],
    ['6.18', true],
    ['6.18-rt', true],
  ])('events of other CPUs happen there (%s, interleaved: %s)', (profile, interleaved) => {
    const kernel = kernelOf(profile, { interleaved });
    const seen = observe(kernel);
    kernel.attach(load(kernel, 'xdp', ASK), 'xdp:eth0');
    kernel.attach(load(kernel, 'perf_event', ASK), 'perf_event:cpu-cycles@3');
    kernel.attach(load(kernel, 'kprobe', ASK), 'kprobe:f');
    kernel.packet(FRAME, { cpu: 2 });
    kernel.perfSample(3);
    kernel.callFunction('f', [], { cpu: 1 });
    kernel.callFunction('f', [], { task: kernel.newTask({ comm: 'pinned', affinity: [3] }) });
    expect(seen.map(({ cpu }) => cpu)).toEqual([2, 3, 1, 3]);
    expect(seen.at(-1)?.comm).toBe('pinned');
    expect([kernel.cpu, kernel.current.comm]).toEqual([0, 'bpflab']);
  });

  test('tracepoints under SRCU leave their programs preemptible, and pinned', () => {
    const kernel = kernelOf('', { profile: kernelProfile('6.18-rt', { tpCtx: 'srcu' }) });
    const seen = observe(kernel);
    kernel.attach(load(kernel, 'raw_tracepoint', ASK), 'raw_tp:a:b');
    kernel.tracepoint('a:b');
    expect(seen).toMatchObject([{ preemptCount: 0, pinned: true, rcu: 1 }]);
    expect(kernel.splats).toEqual([]);
  });

  test('a sleepable program wants a context in which it may sleep', () => {
    const kernel = kernelOf('6.18');
    const as = { attachType: AttachType.lsm_mac, progFlags: ProgFlag.BPF_F_SLEEPABLE };
    kernel.attach(load(kernel, 'lsm', 'r0 = 0\nexit', as), 'lsm:file_open');
    kernel.lsm('file_open');
    expect(kernel.splats).toEqual([]);
    kernel.sched.preemptDisable('test');
    kernel.lsm('file_open');
    kernel.sched.preemptEnable();
    expect(kernel.splats.map(({ lines }) => lines[0])).toEqual([
      'BUG: sleeping function called from invalid context at kernel/bpf/trampoline.c:979',
    ]);
  });

  test('an NMI finds what it interrupts below itself', () => {
    const kernel = kernelOf('6.18');
    const seen = observe(kernel);
    kernel.attach(load(kernel, 'perf_event', ASK), 'perf_event:cpu-cycles@0');
    kernel.callFunction('outer', [], {
      body: function* () {
        kernel.perfSample(0);
        return 0;
      },
    });
    expect(seen[0]?.calls).toEqual(['bpf_prog_prog', 'bpf_overflow_handler', '<NMI>', 'outer']);
  });
});
