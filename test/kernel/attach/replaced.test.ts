/** Programs in the place of functions: of another program, of a kernel structure; and helpers that are probed themselves. */
import { describe, expect, test } from '@jest/globals';
import { AttachType } from '../../../src/abi/attach-types.js';
import { helperId } from '../../../src/abi/helpers.js';
import { MapType } from '../../../src/abi/map-types.js';
import { ProgType } from '../../../src/abi/prog-types.js';
import { assemble } from '../../../src/isa/index.js';
import { SyscallError } from '../../../src/kernel/errors.js';
import type { Kernel } from '../../../src/kernel/kernel.js';
import { Btf } from '../../../src/object/btf/btf.js';
import { Types } from '../../support/btf-object.js';
import { frameOf, socketOf } from './packets.js';
import { ASK, kernelOf, load, mapOf, observe, recorded } from './support.js';

const FENTRY = { attachType: AttachType.trace_fentry };

describe('freplace', () => {
  /** A program that returns what its function `add` makes of 5 and 7. */
  const target = (kernel: Kernel) =>
    kernel.bpf.progLoad(
      {
        name: 'main',
        section: 'tc',
        type: ProgType.sched_cls,
        expectedAttachType: 0,
        progFlags: 0,
        autoload: true,
        insns: assemble('r1 = 5\nr2 = 7\ncall pc+1\nexit\nr0 = r1\nr0 += r2\nexit', { helperId }),
        subProgs: [{ name: 'add', insnOff: 4 }],
        funcInfo: [],
        lineInfo: [],
      },
      [],
    );

  test.each([false, true])(
    'the function is another program until the link goes (interleaved: %s)',
    (interleaved) => {
      const kernel = kernelOf('6.18', { interleaved });
      const prog = target(kernel);
      kernel.attach(prog, 'tc:eth0');
      const run = (): number | undefined => kernel.packet(frameOf()).retval;
      const ext = load(kernel, 'ext', 'r0 = r1\nr0 *= r2\nexit');
      expect(run()).toBe(12);
      const link = kernel.attach(ext, { kind: 'freplace', prog, fn: 'add' });
      expect([run(), ext.stats.runs]).toEqual([35, 1]);
      link.detach();
      expect([run(), ext.stats.runs]).toEqual([12, 1]);
    },
  );

  test('a function that is not there, one that is replaced already, an extension', () => {
    const kernel = kernelOf();
    const prog = target(kernel);
    const ext = load(kernel, 'ext', 'r0 = 0\nexit');
    expect(() => kernel.attach(ext, { kind: 'freplace', prog, fn: 'sub' })).toThrow(/ENOENT/);
    kernel.attach(ext, { kind: 'freplace', prog, fn: 'add' });
    expect(() => kernel.attach(ext, { kind: 'freplace', prog, fn: 'add' })).toThrow(/EBUSY/);
    expect(() => kernel.attach(ext, { kind: 'freplace', prog: ext, fn: 'add' })).toThrow(SyscallError);
  });
});

/** Types with `struct tcp_congestion_ops`, whose value they are for, and `struct tcp_sock`. */
function congestionTypes() {
  const types = new Types();
  const int = types.intId;
  const pointer = types.ptr(types.proto(0));
  const char = types.int('char', 1, 0);
  const ops = types.struct('tcp_congestion_ops', [
    ['ssthresh', pointer, 8],
    ['cong_avoid', pointer, 8],
    ['init', pointer, 8],
    ['name', types.array(char, 16), 16],
  ]);
  const value = types.struct('bpf_struct_ops_tcp_congestion_ops', [
    ['common', int, 8],
    ['data', ops, 40],
  ]);
  types.struct('tcp_sock', [
    ['snd_cwnd', int, 4],
    ['snd_ssthresh', int, 4],
  ]);
  return { btf: Btf.parse(types.bytes()), value };
}

describe('struct_ops', () => {
  const LINK = 1 << 13;
  const table = (kernel: Kernel, valueId: number, name: string, asm: readonly string[]) => {
    const map = kernel.bpf.mapCreate({
      name: 'ops',
      type: MapType.struct_ops,
      keySize: 4,
      valueSize: 48,
      maxEntries: 1,
      mapFlags: LINK,
      mapExtra: 0n,
      btfVmlinuxValueTypeId: valueId,
    });
    const value = new Uint8Array(48);
    const view = new DataView(value.buffer);
    const progs = asm.map((text, i) => load(kernel, 'struct_ops', text, { attachType: i as AttachType }));
    progs.forEach((prog, i) => {
      view.setBigUint64(8 + 8 * i, BigInt(kernel.files.open(prog)), true);
    });
    value.set(new TextEncoder().encode(name), 32);
    expect(kernel.bpf.mapUpdate(map, new Uint8Array(4), value)).toBe(0);
    return { map, progs };
  };
  /** ssthresh: half the window; cong_avoid: as much more as is acknowledged; init: a window of 4. */
  const RENO = [
    'r1 = *(u64 *)(r1 + 0)\nr0 = *(u32 *)(r1 + 0)\nr0 >>= 1\nexit',
    'r2 = *(u64 *)(r1 + 16)\nr1 = *(u64 *)(r1 + 0)\nr0 = *(u32 *)(r1 + 0)\nr0 += r2\n*(u32 *)(r1 + 0) = r0\nr0 = 0\nexit',
    'r1 = *(u64 *)(r1 + 0)\n*(u32 *)(r1 + 0) = 4\nr0 = 0\nexit',
  ];

  test.each(['6.18', '6.18-rt'])('a congestion control of programs (%s)', (profile) => {
    const { btf, value } = congestionTypes();
    const kernel = kernelOf(profile, { btf });
    const { map, progs } = table(kernel, value, 'mine', RENO);
    const sock = socketOf(kernel, { protocol: 'tcp', peer: 4000 });
    expect(() => kernel.setCongestion(sock, 'mine')).toThrow(/ENOENT/);
    const link = kernel.bpf.linkStructOps(map);
    kernel.setCongestion(sock, 'mine');
    expect([kernel.tcpAck(sock, 2), kernel.tcpAck(sock, 4), kernel.tcpLoss(sock)]).toEqual([6, 10, 5]);
    expect(progs.map(({ stats }) => stats.runs)).toEqual([1, 2, 1]);
    link.detach();
    link.detach();
    expect(link.attached).toBe(false);
    expect(() => kernel.setCongestion(sock, 'mine')).toThrow(/ENOENT/);
    expect(kernel.splats).toEqual([]);
  });

  test('a name is taken once, a table linked once', () => {
    const { btf, value } = congestionTypes();
    const kernel = kernelOf('6.18', { btf });
    const first = table(kernel, value, 'mine', RENO);
    kernel.bpf.linkStructOps(first.map);
    expect(() => kernel.bpf.linkStructOps(first.map)).toThrow(/EINVAL/);
    expect(() => kernel.bpf.linkStructOps(table(kernel, value, 'mine', RENO).map)).toThrow(/EEXIST/);
    expect(() => kernel.bpf.linkStructOps(mapOf(kernel, 'array'))).toThrow(/EINVAL/);
  });

  test.each([
    ['6.18', 0x200, 1],
    ['6.18-rt', 0, 2],
    ['5.7', 0x201, 1],
  ])('its members run in the softirq that acknowledges (%s)', (profile, preemptCount, rcu) => {
    const { btf, value } = congestionTypes();
    const kernel = kernelOf(profile, { btf });
    const { map } = table(kernel, value, 'mine', [ASK, ASK]);
    kernel.bpf.linkStructOps(map);
    const sock = socketOf(kernel, { protocol: 'tcp', peer: 4000 });
    kernel.setCongestion(sock, 'mine');
    const seen = observe(kernel);
    kernel.tcpAck(sock);
    expect(seen).toMatchObject([{ rcu, preemptCount }]);
  });
});

describe('helpers behind probes', () => {
  const TIME = 'call bpf_ktime_get_ns\nr0 = 3\nexit';

  test.each([false, true])(
    'fentry and fexit on a helper, while they are attached (interleaved: %s)',
    (interleaved) => {
      const kernel = kernelOf('6.18', { interleaved });
      const prog = load(kernel, 'raw_tracepoint', TIME);
      kernel.attach(prog, 'raw_tp:a:b');
      const entry = load(kernel, 'tracing', 'r0 = 0\nexit', FENTRY);
      const exit = load(kernel, 'tracing', 'r0 = 0\nexit', { attachType: AttachType.trace_fexit });
      kernel.tracepoint('a:b');
      const links = [entry, exit].map((each) => kernel.attach(each, 'function:bpf_ktime_get_ns'));
      kernel.tracepoint('a:b');
      for (const link of links) link.detach();
      kernel.tracepoint('a:b');
      expect([prog, entry, exit].map(({ stats }) => stats.runs)).toEqual([3, 1, 1]);
    },
  );

  test('a program that is loaded later, too; the version that was loaded is the one that runs without probes', () => {
    const kernel = kernelOf();
    const hook = load(kernel, 'kprobe', 'r0 = 0\nexit');
    const before = load(kernel, 'xdp', TIME);
    const own = before.program;
    const link = kernel.attach(hook, 'kprobe:bpf_ktime_get_ns');
    expect(before.program === own).toBe(false);
    const prog = load(kernel, 'xdp', TIME);
    expect(kernel.bpf.testRun(prog, { dataIn: new Uint8Array(64) }).retval).toBe(3);
    expect(hook.stats.runs).toBe(1);
    link.detach();
    expect(before.program === own).toBe(true);
  });

  test('a helper that takes a lock, its arguments, its result', () => {
    const kernel = kernelOf();
    const map = mapOf(kernel, 'hash', { maxEntries: 1 });
    const results = mapOf(kernel, 'array');
    const update = `
      *(u32 *)(r10 - 4) = 7
      *(u64 *)(r10 - 16) = 1
      r1 = map[fd:0]
      r2 = r10
      r2 += -4
      r3 = r10
      r3 += -16
      r4 = 9
      call bpf_map_update_elem
      exit`;
    const watch = `
      r6 = *(u64 *)(r1 + 40)
      *(u64 *)(r10 - 16) = r6
      *(u32 *)(r10 - 4) = 0
      r1 = map[fd:0]
      r2 = r10
      r2 += -4
      r3 = r10
      r3 += -16
      r4 = 0
      call bpf_map_update_elem
      r0 = 0
      exit`;
    const as = { maps: [results], attachType: AttachType.trace_fexit };
    kernel.attach(load(kernel, 'tracing', watch, as), 'function:bpf_map_update_elem');
    const prog = load(kernel, 'xdp', update, { maps: [map] });
    expect(kernel.bpf.testRun(prog, { dataIn: new Uint8Array(64) }).retval | 0).toBe(-22);
    expect(recorded(kernel, results)[0]).toBe(BigInt.asUintN(64, -22n));
  });
});
