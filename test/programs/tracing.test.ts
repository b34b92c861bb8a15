/** Our tracing and cgroup programs: events made by hand, maps read afterwards. */

import { describe, expect, test } from '@jest/globals';
import { offsetOf } from '../../src/abi/context/layout.js';
import { PT_REGS } from '../../src/abi/context/perf-event.js';
import { DEFAULT_COSTS } from '../../src/kernel/sched/costs.js';
import { concat, dumpOf, entries, lab, u32, u64 } from './support.js';

function registers(values: Readonly<Record<string, number | bigint>>): Uint8Array {
  const regs = new Uint8Array(PT_REGS.size);
  const view = new DataView(regs.buffer);
  for (const [name, value] of Object.entries(values)) {
    view.setBigUint64(offsetOf(PT_REGS, name), BigInt.asUintN(64, BigInt(value)), true);
  }
  return regs;
}

/** What the kernel does takes no time. */
const TIMELESS = Object.fromEntries(Object.keys(DEFAULT_COSTS).map((name) => [name, 0]));

describe('kprobe_latency', () => {
  test('measures calls by process and finds their parent', () => {
    const loaded = lab('kprobe_latency', { costs: TIMELESS });
    const { clock } = loaded.kernel;
    const call = (bytes: number, result: number, ns: bigint) => {
      loaded.run('read_enter', { ctxIn: registers({ di: 0, si: 0, dx: bytes }) });
      clock.advance(ns);
      loaded.run('read_exit', { ctxIn: registers({ ax: result }) });
    };
    call(4096, 4096, 1000n);
    call(4096, 100, 1023n);
    loaded.kernel.switchTask({
      pid: 7,
      tgid: 7,
      comm: 'cat',
      uid: 0,
      gid: 0,
      parent: { pid: 3, tgid: 3, comm: 'sh', uid: 0, gid: 0 },
    });
    call(10, -11, 70_000n);
    expect(entries(loaded, 'latency_log2').filter(([, count]) => count !== 0)).toEqual([
      [9, 2],
      [16, 1],
    ]);
    expect(entries(loaded, 'processes')).toEqual([
      [7, { comm: 'cat', parent: 3, errors: 1, calls: 1, bytes: 0, total_ns: 70_000, max_ns: 70_000 }],
      [1000, { comm: 'bpflab', parent: 1, errors: 0, calls: 2, bytes: 4196, total_ns: 2023, max_ns: 1023 }],
    ]);
    expect(entries(loaded, 'starts')).toEqual([]);
  });

  test('ignores a return whose entry it did not see', () => {
    const loaded = lab('kprobe_latency');
    loaded.run('read_exit', { ctxIn: registers({ ax: 1 }) });
    expect(entries(loaded, 'processes')).toEqual([]);
  });
});

describe('tp_syscalls', () => {
  const common = concat([1, 0, 0, 0], u32(1001));
  const OPENAT = 257;
  const READ = 0;

  test('counts by call and by error, each on its CPU', () => {
    const loaded = lab('tp_syscalls');
    const enter = (call: number) =>
      loaded.run('syscall_enter', { ctxIn: concat(common, u64(call, 0, 0, 0, 0, 0, 0)) });
    const exit = (call: number, result: number) =>
      loaded.run('syscall_exit', { ctxIn: concat(common, u64(call, result)) });
    for (const result of [3, -2, -2, -13]) {
      enter(OPENAT);
      exit(OPENAT, result);
    }
    loaded.kernel.cpu = 1;
    enter(READ);
    exit(READ, 100);
    enter(OPENAT);
    const calls = dumpOf(loaded, 'calls').entries.map(({ key, values }) => [key, values!.slice(0, 2)]);
    const none = { entered: 0, returned: 0, failed: 0 };
    expect(calls).toEqual([
      [{ tgid: 1000, number: READ }, [none, { entered: 1, returned: 1, failed: 0 }]],
      [
        { tgid: 1000, number: OPENAT },
        [
          { entered: 4, returned: 4, failed: 3 },
          { entered: 1, returned: 0, failed: 0 },
        ],
      ],
    ]);
    expect(entries(loaded, 'errors')).toEqual([
      [2, 2],
      [13, 1],
    ]);
  });
});

describe('perf_profiler', () => {
  const kernel = [0xffffffff81000100n, 0xffffffff81000200n];
  const other = [0xffffffff81000300n];
  const user = [0x55550000n, 0x55550100n, 0x55550200n];
  const sample = concat(registers({ ip: kernel[0]! }), u64(1000, 0));

  test('counts samples by stacks', () => {
    const loaded = lab('perf_profiler');
    for (const stack of [kernel, kernel, other])
      loaded.run('profile', { ctxIn: sample, callchain: { kernel: stack, user } });
    const samples = entries(loaded, 'samples') as [
      { kernel_stack: number; user_stack: number; comm: string },
      number,
    ][];
    expect(samples.map(([{ comm }, count]) => [comm, count]).sort()).toEqual([
      ['bpflab', 1],
      ['bpflab', 2],
    ]);
    const twice = samples.find(([, count]) => count === 2)![0];
    const stacks = new Map(entries(loaded, 'stacks') as [number, string[]][]);
    const text = (stack: bigint[]) => stack.map((ip) => `0x${ip.toString(16)}`);
    expect(stacks.get(twice.kernel_stack)).toEqual(text(kernel));
    expect(stacks.get(twice.user_stack)).toEqual(text(user));
    expect(entries(loaded, 'perf_pro.bss')).toEqual([[0, { last_ip: kernel[0], total_period: 3000 }]]);
  });

  test('says why a stack is lost', () => {
    const loaded = lab('perf_profiler');
    loaded.run('profile', { ctxIn: sample, callchain: {} });
    expect(entries(loaded, 'lost').map(([, count]) => count)).toEqual([0, 0, 1]);
  });
});

describe('tp_open_log', () => {
  const O_WRONLY = 1;
  const context = (path: number, flags: number) =>
    concat([1, 0, 0, 0], u32(1001), u64(257, -100, path, flags, 0, 0, 0));

  test('sends an event an open', () => {
    const loaded = lab('tp_open_log', { costs: TIMELESS });
    const path = loaded.kernel.user.map(Buffer.from('/etc/hostname\0'));
    loaded.run('log_open', { ctxIn: context(path, O_WRONLY) });
    loaded.kernel.clock.advance(5n);
    loaded.run('log_open', { ctxIn: context(0x10, 0) });
    const records = loaded.drain();
    expect(records.map(({ map, data }) => [map, data.length])).toEqual([
      ['events', 112],
      ['events', 112],
    ]);
    const view = (i: number) => new DataView(records[i]!.data.buffer);
    expect(view(0).getBigUint64(0, true)).toBe(1_000_000_000n);
    expect(view(1).getBigUint64(0, true)).toBe(1_000_000_005n);
    expect(Buffer.from(records[0]!.data.subarray(48, 62)).toString()).toBe('/etc/hostname\0');
    // The length with its NUL; -EFAULT where the path cannot be read.
    expect(view(0).getInt32(28, true)).toBe(14);
    expect(view(1).getInt32(28, true)).toBe(-14);
    expect(entries(loaded, 'tp_open_.bss')).toEqual([
      [
        0,
        { next_sequence: 2, dropped: 0, kernel: { version: (6 << 16) | (18 << 8), ticks_per_second: 250 } },
      ],
    ]);
  });

  test('counts what finds the ring full', () => {
    const loaded = lab('tp_open_log');
    for (let i = 0; i < 140; i++) loaded.run('log_open', { ctxIn: context(0x10, 0) });
    // 16 KiB hold 136 records of 120 bytes, headers included.
    expect(loaded.drain()).toHaveLength(136);
    expect(entries(loaded, 'tp_open_.bss')).toEqual([
      [0, expect.objectContaining({ next_sequence: 136, dropped: 4 })],
    ]);
  });
});

describe('cgroup_connect', () => {
  const AF_INET = 2;
  const address = (text: string) => Uint8Array.from(text.split('.').map(Number));
  const connect = (to: string, port: number) =>
    concat(u32(AF_INET), address(to), new Uint8Array(16), [port >> 8, port & 255, 0, 0], u32(AF_INET, 1, 6));
  const endpoint = (to: string, port: number) => concat(address(to), [port >> 8, port & 255, 0, 0]);
  const target = (ctx: Uint8Array) => [ctx.subarray(4, 8).join('.'), (ctx[24]! << 8) | ctx[25]!];

  test('spreads a service over its backends', () => {
    const loaded = lab('cgroup_connect');
    loaded.update('services', endpoint('10.0.0.1', 80), concat(u32(0, 2), u64(0)));
    loaded.update('first_service', u32(0), endpoint('192.0.2.1', 8080));
    loaded.update('first_service', u32(1), endpoint('192.0.2.2', 8081));
    const results = [0, 1, 2].map(() => loaded.run('connect_service', { ctxIn: connect('10.0.0.1', 80) }));
    expect(results.map(({ retval, ctxOut }) => [retval, ...target(ctxOut!)])).toEqual([
      [1, '192.0.2.1', 8080],
      [1, '192.0.2.2', 8081],
      [1, '192.0.2.1', 8080],
    ]);
  });

  test('refuses blocked networks and leaves the rest alone', () => {
    const loaded = lab('cgroup_connect');
    loaded.update('blocked', concat(u32(8), address('10.0.0.0')), u64(0));
    const blocked = loaded.run('connect_service', { ctxIn: connect('10.1.2.3', 443) });
    const free = loaded.run('connect_service', { ctxIn: connect('192.0.2.9', 443) });
    expect([blocked.retval, free.retval]).toEqual([0, 1]);
    expect(target(free.ctxOut!)).toEqual(['192.0.2.9', 443]);
    expect(entries(loaded, 'blocked').map(([, refusals]) => refusals)).toEqual([1]);
  });
});
