/** What events hand to programs, and what programs can do about them. */
import { describe, expect, test } from '@jest/globals';
import { AttachType } from '../../../src/abi/attach-types.js';
import { assembleClassic } from '../../../src/isa/classic/index.js';
import { SyscallError, UnsupportedError } from '../../../src/kernel/errors.js';
import { kernelProfile } from '../../../src/kernel/profile.js';
import { ASK, kernelOf, load, mapOf, observe, recorded, recording } from './support.js';

const u64 = (value: number): bigint => BigInt.asUintN(64, BigInt(value));
const arg = (n: number): string => `r0 = *(u64 *)(r6 + ${8 * n})`;
/** Offsets in struct pt_regs. */
const REGS = { di: 112, si: 104, dx: 96, r8: 72, ax: 80, ip: 128 };
const reg = (name: keyof typeof REGS): string => `r0 = *(u64 *)(r6 + ${REGS[name]})`;

describe('arguments', () => {
  test('kprobe and kretprobe: registers of the calling convention', () => {
    const kernel = kernelOf();
    const map = mapOf(kernel, 'array');
    const words = recording([reg('di'), reg('si'), reg('dx'), reg('r8'), reg('ax'), reg('ip')]);
    kernel.attach(load(kernel, 'kprobe', words, { maps: [map] }), 'kretprobe:f');
    const result = kernel.callFunction('f', [1, -2, 3n, 4, 5], { result: -11 });
    expect(result).toBe(-11);
    const ip = kernel.symbols.lookupName('f')!;
    expect(recorded(kernel, map).slice(0, 6)).toEqual([1n, u64(-2), 3n, 5n, u64(-11), ip]);
  });

  test('fentry and fexit: the arguments, and the result behind them', () => {
    const kernel = kernelOf();
    const map = mapOf(kernel, 'array');
    const as = { maps: [map], attachType: AttachType.trace_fexit };
    kernel.attach(load(kernel, 'tracing', recording([arg(0), arg(1), arg(2)]), as), 'fexit:f');
    kernel.callFunction('f', [7, 8], { result: 9 });
    expect(recorded(kernel, map).slice(0, 3)).toEqual([7n, 8n, 9n]);
  });

  test('a text is what points to it', () => {
    const kernel = kernelOf();
    const map = mapOf(kernel, 'array');
    const read = 'r1 = r10\nr1 += -24\nr2 = 8\nr3 = *(u64 *)(r6 + 0)\ncall bpf_probe_read_kernel_str';
    const words = recording([`${read}\nr0 = *(u32 *)(r10 - 24)`]);
    const as = { maps: [map], attachType: AttachType.trace_fentry };
    kernel.attach(load(kernel, 'tracing', words, as), 'fentry:f');
    kernel.callFunction('f', ['abc']);
    expect(recorded(kernel, map)[0]).toBe(0x636261n);
  });

  test('a tracepoint gets its record, a raw one the arguments', () => {
    const kernel = kernelOf();
    const record = mapOf(kernel, 'array');
    const raw = mapOf(kernel, 'array');
    const words = recording(['r0 = *(u32 *)(r6 + 4)', arg(1), arg(2)]);
    kernel.attach(load(kernel, 'tracepoint', words, { maps: [record] }), 'tracepoint:raw_syscalls:sys_enter');
    const args = recording([arg(1)]);
    kernel.attach(load(kernel, 'raw_tracepoint', args, { maps: [raw] }), 'raw_tp:sys_enter');
    kernel.syscall('openat', [5, 6]);
    expect(recorded(kernel, record).slice(0, 3)).toEqual([1001n, 257n, 5n]);
    expect(recorded(kernel, raw)[0]).toBe(257n);
  });

  test('sched_switch fires when a task gives way', () => {
    const kernel = kernelOf();
    const prog = load(kernel, 'raw_tracepoint', 'r0 = 0\nexit');
    kernel.attach(prog, 'raw_tp:sched_switch');
    kernel.run({}, function* () {
      kernel.sched.spawn(
        kernel.newTask({ comm: 'other', affinity: [0], policy: 'fifo', rtPriority: 3 }).attr,
        function* () {
          yield* [];
        },
      );
      yield* kernel.sched.resched();
    });
    expect(prog.stats.runs).toBeGreaterThan(0);
  });
});

describe('what programs can do', () => {
  test('fmod_ret takes the place of the function', () => {
    const kernel = kernelOf();
    let called = false;
    const as = { attachType: AttachType.modify_return };
    const link = kernel.attach(load(kernel, 'tracing', 'r0 = -13\nexit', as), 'fmod_ret:f');
    const body = function* () {
      called = true;
      return 5;
    };
    expect([kernel.callFunction('f', [], { body }), called]).toEqual([-13n, false]);
    link.detach();
    link.detach();
    expect([kernel.callFunction('f', [], { body }), called, link.attached]).toEqual([5, true, false]);
    expect(kernel.sched.quiet).toBe(true);
  });

  test.each([0, -5])('bpf_override_return: the function returns %d without having run', (result) => {
    const kernel = kernelOf();
    const asm = `r2 = ${result}\ncall bpf_override_return\nr0 = 0\nexit`;
    kernel.declareFunction('f', { errorInjection: true });
    const returned = load(kernel, 'kprobe', 'r0 = 0\nexit', { name: 'exit' });
    kernel.attach(load(kernel, 'kprobe', asm), 'kprobe:f');
    kernel.attach(returned, 'kretprobe:f');
    let called = false;
    const body = function* () {
      called = true;
      return 7;
    };
    expect([Number(kernel.callFunction('f', [], { body })), called]).toEqual([result, false]);
    expect(returned.stats.runs).toBe(1);
  });

  test.each([
    ['kprobe:g', /g is not for error injection/],
    ['kprobe.multi:g', /g is not for error injection/],
    ['kretprobe:f', /exit/],
    ['kprobe:f', undefined],
    ['kprobe:should_failslab', undefined],
    ['ksyscall:openat', undefined],
  ])('bpf_override_return on %s', (target, refused) => {
    const kernel = kernelOf();
    kernel.declareFunction('f', { errorInjection: true });
    kernel.declareFunction('g');
    const prog = load(kernel, 'kprobe', 'r2 = 0\ncall bpf_override_return\nr0 = 0\nexit');
    const attach = (): unknown => kernel.attach(prog, target);
    if (refused === undefined) expect(attach).not.toThrow();
    else expect(attach).toThrow(refused);
  });

  test.each([
    ['6.18', [0x110001, true, true]],
    ['5.15', [0x110001, true, true]],
    ['5.7', undefined],
  ] as const)('a kprobe that is hit through a breakpoint counts as NMI (%s)', (name, expected) => {
    const kernel = kernelOf('', { profile: kernelProfile(name, { kprobeNmi: true }) });
    const seen = observe(kernel);
    kernel.attach(load(kernel, 'kprobe', ASK), 'kprobe:f');
    kernel.callFunction('f');
    const found = seen.map(({ preemptCount, irqsDisabled, pinned }) => [preemptCount, irqsDisabled, pinned]);
    // In 5.7 trace_call_bpf lets events of NMIs pass without a program.
    expect(found).toEqual(expected === undefined ? [] : [expected]);
    expect(kernel.splats).toEqual([]);
  });

  test('a sockopt program sees and changes the option', () => {
    const kernel = kernelOf();
    const type = AttachType.cgroup_setsockopt;
    const asm = `
      r2 = *(u64 *)(r1 + 8)
      r0 = 5
      *(u8 *)(r2 + 0) = r0
      *(u32 *)(r1 + 32) = 2
      r0 = 1
      exit`;
    kernel.attach(load(kernel, 'cgroup_sockopt', asm, { attachType: type }), 'cgroup:/');
    const event = kernel.cgroupEvent(
      type,
      { level: 1, optname: 2, optlen: 4 },
      { data: Uint8Array.of(1, 2, 3, 4) },
    );
    expect(event).toMatchObject({ errno: 0, data: Uint8Array.of(5, 2) });
  });

  test('a device program refuses a minor number', () => {
    const kernel = kernelOf();
    const type = AttachType.cgroup_device;
    const asm = 'r2 = *(u32 *)(r1 + 8)\nr0 = 1\nif r2 != 3 goto +1\nr0 = 0\nexit';
    kernel.attach(load(kernel, 'cgroup_device', asm, { attachType: type }), 'cgroup:/');
    const errnos = [2, 3].map(
      (minor) => kernel.cgroupEvent(type, { access_type: 0x20002, major: 1, minor }).errno,
    );
    expect(errnos).toEqual([0, -1]);
  });

  test('an LSM program refuses', () => {
    const kernel = kernelOf();
    expect(kernel.lsm('file_open')).toBe(0);
    kernel.attach(load(kernel, 'lsm', 'r0 = -1\nexit', { attachType: AttachType.lsm_mac }), 'lsm:file_open');
    expect(kernel.lsm('file_open')).toBe(-1);
    expect(kernel.lsm('file_mprotect')).toBe(0);
  });

  test.each([
    [1, 'drop', 'xdp'],
    [2, 'pass', 'ingress'],
    [3, 'tx', 'xdp'],
    [0, 'drop', 'xdp'],
    [99, 'drop', 'xdp'],
  ] as const)('XDP returns %d: %s by %s', (code, verdict, hook) => {
    const kernel = kernelOf();
    kernel.attach(load(kernel, 'xdp', `r0 = ${code}\nexit`), 'xdp:eth0');
    kernel.attach(load(kernel, 'sched_cls', 'r0 = 0\nexit'), 'tc:eth0');
    expect(kernel.packet(new Uint8Array(60))).toMatchObject({ verdict, hook });
  });

  test('tc programs go on until one decides', () => {
    const kernel = kernelOf();
    const progs = [-1, 2, 0].map((code) => load(kernel, 'sched_cls', `r0 = ${code}\nexit`));
    for (const prog of progs) kernel.attach(prog, 'tc:eth0:egress');
    expect(kernel.transmit(new Uint8Array(60))).toMatchObject({ verdict: 'drop', hook: 'egress', retval: 2 });
    expect(progs.map(({ stats }) => stats.runs)).toEqual([1, 1, 0]);
  });

  test('a program on a control group refuses those in it and below', () => {
    const kernel = kernelOf();
    const as = { attachType: AttachType.cgroup_inet4_connect };
    kernel.attach(load(kernel, 'cgroup_sock_addr', 'r0 = 0\nexit', as), 'cgroup:/web');
    const inside = kernel.newTask();
    kernel.cgroups.join(inside, kernel.cgroups.make('/web/front'));
    const to = { ip: '192.0.2.1', port: 443 };
    expect(kernel.connect(to, { task: inside }).value).toBe(-1);
    expect(kernel.connect(to)).toMatchObject({ value: 0, address: to });
  });

  test('and rewrites where they connect to', () => {
    const kernel = kernelOf();
    const as = { attachType: AttachType.cgroup_inet4_connect };
    const asm = '*(u32 *)(r1 + 24) = 0x5000\nr0 = 1\nexit';
    kernel.attach(load(kernel, 'cgroup_sock_addr', asm, as), 'cgroup:/');
    expect(kernel.connect({ ip: '192.0.2.1', port: 443 }).address).toEqual({ ip: '192.0.2.1', port: 80 });
  });

  test('a sock_addr program can be triggered by its context as well', () => {
    const kernel = kernelOf();
    const prog = load(kernel, 'sk_lookup', 'r0 = *(u32 *)(r1 + 60)\nexit');
    kernel.attach(prog, 'netns');
    expect(kernel.trigger(prog, { fields: { local_port: 8080 } }).retval).toBe(8080);
  });
});

describe('sockets', () => {
  /** A UDP packet to 10.0.0.2, port 53. */
  const udp = Uint8Array.from({ length: 60 }, (_, i) => {
    const header: Record<number, number> = {
      12: 8,
      14: 0x45,
      23: 17,
      26: 10,
      29: 1,
      30: 10,
      33: 2,
      34: 4,
      37: 53,
    };
    return header[i] ?? 0;
  });
  const local = { address: Uint8Array.of(10, 0, 0, 2), port: 53 };
  const attr = { family: 2, type: 2, protocol: 17, local, bound: true };

  test.each([
    ['6.18', 0, 'drop'],
    ['6.18', 20, 'pass'],
    ['6.18-rt', 20, 'pass'],
  ])('a filter on %s keeps %d bytes: %s', (profile, keep, verdict) => {
    const kernel = kernelOf(profile);
    const sock = kernel.openSocket(attr);
    const prog = load(kernel, 'socket_filter', `r0 = ${keep}\nexit`);
    const link = kernel.attach(prog, { kind: 'socket', sock });
    expect(kernel.packet(udp)).toMatchObject({ verdict, hook: 'socket', retval: keep });
    link.detach();
    expect(kernel.packet(udp)).toMatchObject({ verdict: 'pass', hook: 'none' });
    expect(kernel.splats).toEqual([]);
  });

  test("programs of the socket's control group come first", () => {
    const kernel = kernelOf();
    const task = kernel.newTask();
    kernel.cgroups.join(task, kernel.cgroups.make('/dns'));
    const sock = kernel.openSocket(attr, task);
    const filter = load(kernel, 'socket_filter', 'r0 = 9\nexit');
    kernel.attach(filter, { kind: 'socket', sock });
    const as = { attachType: AttachType.cgroup_inet_ingress };
    const link = kernel.attach(load(kernel, 'cgroup_skb', 'r0 = 0\nexit', as), 'cgroup:/dns');
    expect(kernel.packet(udp)).toMatchObject({ verdict: 'drop', hook: 'cgroup', retval: -1 });
    expect(filter.stats.runs).toBe(0);
    link.detach();
    expect(kernel.packet(udp)).toMatchObject({ verdict: 'pass', hook: 'socket' });
  });
});

describe('seccomp', () => {
  const filter = (lines: string) => assembleClassic(lines);
  const deny = (nr: number, result: number) =>
    filter(`ld [0]\njeq #${nr}, deny\nret #0x7fff0000\ndeny: ret #${result}`);

  test('the most severe of all filters counts', () => {
    const kernel = kernelOf();
    const task = kernel.newTask();
    kernel.seccomp(task, deny(257, 0x00050000 | 13));
    kernel.seccomp(task, deny(257, 0x7ffc0000));
    kernel.seccomp(task, deny(59, 0x80000000));
    expect(kernel.syscall('openat', [], { task })).toEqual({
      value: -13,
      seccomp: { action: 'ERRNO', data: 13 },
    });
    expect(kernel.syscall('execve', [], { task }).seccomp?.action).toBe('KILL_PROCESS');
    expect(kernel.syscall('read', [], { task, result: 5 })).toEqual({ value: 5 });
    expect(kernel.syscall('openat', [], { result: 3 })).toEqual({ value: 3 });
  });

  test.each([
    ['5.6', false],
    ['5.7-rt', true],
  ])('between two filters %s lets others in: %s', (profile, preemptible) => {
    const kernel = kernelOf(profile, { interleaved: true });
    const task = kernel.newTask({ affinity: [0] });
    for (let i = 0; i < 2; i++) kernel.seccomp(task, deny(0, 0));
    const order: string[] = [];
    const filters = kernel.engine.borrow.bind(kernel.engine);
    kernel.engine.borrow = () => {
      order.push(kernel.current.comm);
      if (order.length === 1) {
        const urgent = kernel.newTask({ comm: 'urgent', affinity: [0], policy: 'fifo', rtPriority: 9 });
        kernel.sched.spawn(urgent.attr, function* () {
          order.push('urgent');
        });
      }
      return filters();
    };
    kernel.syscall('openat', [], { task });
    expect(order.indexOf('urgent') === 1).toBe(preemptible);
  });
});

describe('refused', () => {
  test.each<[string, () => unknown, new (...args: never[]) => Error, RegExp]>([
    ['no such device', () => attach('xdp', 'xdp:eth9'), SyscallError, /no network device eth9 \(ENODEV\)/],
    [
      'a type that does not go',
      () => attach('xdp', { kind: 'kprobe', fn: 'f' }),
      SyscallError,
      /type does not go/,
    ],
    ['no target', () => attach('tracepoint', ''), SyscallError, /category:event is missing \(EINVAL\)/],
    ['an odd hook', () => attach('sched_cls', 'tc:eth0:up'), SyscallError, /ingress and egress, not "up"/],
    ['an odd event', () => attach('perf_event', 'perf_event:nothing@0'), SyscallError, /no perf event/],
    [
      'a CPU that is not there',
      () => attach('perf_event', 'perf_event:cpu-clock@77'),
      SyscallError,
      /no CPU 77/,
    ],
    ['what cannot be attached', () => attach('sk_msg', undefined), UnsupportedError, /type sk_msg cannot be/],
    ['a call that is none', () => kernelOf().syscall('nonsense'), SyscallError, /no system call nonsense/],
    [
      'a frame that is none',
      () => kernelOf().packet(new Uint8Array(3)),
      SyscallError,
      /14 to \d+ bytes, not 3/,
    ],
    ['no such CPU', () => kernelOf().callFunction('f', [], { cpu: 9 }), SyscallError, /no CPU 9/],
    [
      'a task with a flow',
      () => {
        const kernel = kernelOf();
        const task = kernel.sched.spawn(kernel.newTask().attr, function* () {
          yield* [];
        });
        kernel.callFunction('f', [], { task });
      },
      SyscallError,
      /does things of its own/,
    ],
    ['a sample of nothing', () => kernelOf().perfSample(0), SyscallError, /no perf event is open on CPU 0/],
  ])('%s', (_, act, kind, message) => {
    expect(act).toThrow(kind);
    expect(act).toThrow(message);
  });

  function attach(
    type: Parameters<typeof load>[1],
    target: Parameters<ReturnType<typeof kernelOf>['attach']>[1],
  ) {
    const kernel = kernelOf();
    return kernel.attach(load(kernel, type, 'r0 = 0\nexit'), target);
  }

  test('a second XDP program', () => {
    const kernel = kernelOf();
    const prog = load(kernel, 'xdp', 'r0 = 2\nexit');
    const link = kernel.attach(prog);
    expect(() => kernel.attach(prog)).toThrow(/eth0 has an XDP program \(EBUSY\)/);
    link.detach();
    expect(kernel.attach(prog).target).toBe('xdp:eth0');
  });

  test("a program that faults while an event is served is the kernel's oops", () => {
    const kernel = kernelOf();
    kernel.attach(load(kernel, 'kprobe', 'r1 = 8\nr0 = *(u64 *)(r1 + 0)\nexit'), 'kprobe:f');
    kernel.callFunction('f');
    expect(kernel.splats.map(({ kind, lines }) => [kind, lines[0]])).toEqual([
      ['bug', 'BUG: unable to handle page fault for address: 0000000000000008'],
    ]);
    expect(kernel.instrumentation.progActive[0]).toBe(0);
  });
});

test('samples come by themselves as time passes', () => {
  const kernel = kernelOf('6.18', { cpus: 1 });
  const seen = observe(kernel);
  const prog = load(kernel, 'perf_event', ASK);
  const link = kernel.attach(prog, { kind: 'perf_event', event: 'cpu-cycles', cpu: 0, freq: 1000 });
  kernel.runFor(10_500_000);
  expect(seen.length).toBe(10);
  link.detach();
  kernel.runFor(10_000_000);
  expect(seen.length).toBe(10);
});
