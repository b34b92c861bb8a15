/** Helpers whose effect is more than a return value: callbacks, tail calls, output to user space, redirects, the task. */
import { describe, expect, test } from '@jest/globals';
import { helperId } from '../../src/abi/helpers.js';
import { MapType, type MapTypeName } from '../../src/abi/map-types.js';
import { ProgType, type ProgTypeName } from '../../src/abi/prog-types.js';
import { assemble } from '../../src/isa/index.js';
import type { ArrayOfMapsMap, PerfEventArrayMap, ProgArrayMap } from '../../src/kernel/bpf/fd-array.js';
import type { BpfMap } from '../../src/kernel/bpf/map.js';
import type { BpfProg } from '../../src/kernel/bpf/prog.js';
import type { RingbufMap } from '../../src/kernel/bpf/ringbuf.js';
import { testRun } from '../../src/kernel/bpf/test-run.js';
import { Kernel } from '../../src/kernel/kernel.js';
import { loadTargetBtf } from '../../src/object/btf/target.js';
import { u32, u64 } from '../programs/support.js';

const PACKET = Uint8Array.from({ length: 64 }, (_, i) => i);

interface Sizes {
  readonly keySize?: number;
  readonly valueSize?: number;
  readonly maxEntries?: number;
  readonly inner?: BpfMap;
}

function makeMap(kernel: Kernel, type: MapTypeName, sizes: Sizes = {}): BpfMap {
  const attr = { keySize: 4, valueSize: 8, maxEntries: 4, ...sizes };
  return kernel.bpf.mapCreate({ name: `a_${type}`, type: MapType[type], mapFlags: 0, mapExtra: 0n, ...attr });
}

function load(kernel: Kernel, type: ProgTypeName, asm: string, maps: BpfMap[] = []): BpfProg {
  const insns = assemble(asm, { helperId });
  const source = { name: 'prog', section: '', type: ProgType[type], expectedAttachType: 0 as const };
  const nothing = { progFlags: 0, autoload: true, subProgs: [], funcInfo: [], lineInfo: [] };
  return kernel.bpf.progLoad({ ...source, ...nothing, insns }, maps);
}

function runXdp(kernel: Kernel, asm: string, maps: BpfMap[] = []) {
  return testRun(kernel, load(kernel, 'xdp', asm, maps), { dataIn: PACKET });
}

describe('bpf_loop', () => {
  const sum = (count: number, stopAt: number, flags = 0) => `
    r6 = 0
    *(u64 *)(r10 - 8) = r6
    r1 = ${count}
    r2 = subprog[callback]
    r3 = r10
    r3 += -8
    r4 = ${flags}
    call bpf_loop
    r0 <<= 32
    r1 = *(u64 *)(r10 - 8)
    r0 |= r1
    exit
  callback:
    r3 = *(u64 *)(r2 + 0)
    r3 += r1
    *(u64 *)(r2 + 0) = r3
    r0 = 0
    if r1 != ${stopAt} goto done
    r0 = 1
  done:
    exit`;

  test.each([
    ['runs to its end', 10, 99, 10, 45],
    ['stops when the callback says so', 10, 3, 4, 6],
    ['does nothing for no rounds', 0, 99, 0, 0],
  ])('%s', (_, count, stopAt, rounds, total) => {
    const { r0 } = runXdp(new Kernel(), withCallback(sum(count, stopAt)));
    expect([Number(r0 >> 32n), Number(r0 & 0xffffffffn)]).toEqual([rounds, total]);
  });

  test('refuses flags and too many rounds', () => {
    expect(runXdp(new Kernel(), withCallback(sum(1, 9, 1))).r0 >> 32n).toBe(BigInt.asUintN(32, -22n));
    expect(runXdp(new Kernel(), withCallback(sum(8388609, 9))).r0 >> 32n).toBe(BigInt.asUintN(32, -7n));
  });
});

/** The assembler takes a function's distance in slots: puts it in for the label. */
function withCallback(asm: string): string {
  const lines = asm
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
  let slot = 0;
  let from = 0;
  let to = 0;
  for (const line of lines) {
    if (line === 'callback:') to = slot;
    if (line.includes('subprog[callback]')) from = slot;
    if (!line.endsWith(':')) slot += /map\[|subprog\[/.test(line) ? 2 : 1;
  }
  return lines.join('\n').replace('subprog[callback]', `subprog[+${to - from - 1}]`);
}

describe('bpf_for_each_map_elem', () => {
  const visit = (stopAfter: number) =>
    withCallback(`
    r6 = 0
    *(u64 *)(r10 - 8) = r6
    r1 = map[fd:0]
    r2 = subprog[callback]
    r3 = r10
    r3 += -8
    r4 = 0
    call bpf_for_each_map_elem
    r0 <<= 32
    r1 = *(u64 *)(r10 - 8)
    r0 |= r1
    exit
  callback:
    r5 = *(u32 *)(r2 + 0)
    r3 = *(u64 *)(r3 + 0)
    r5 *= r3
    r0 = *(u64 *)(r4 + 0)
    r0 += r5
    *(u64 *)(r4 + 0) = r0
    r0 = 0
    if r5 < ${stopAfter} goto done
    r0 = 1
  done:
    exit`);

  test.each<[MapTypeName, number, number, number]>([
    ['array', 1000, 4, 1 * 10 + 2 * 20 + 3 * 30],
    ['array', 40, 3, 1 * 10 + 2 * 20],
    ['hash', 1000, 4, 1 * 10 + 2 * 20 + 3 * 30],
    ['percpu_array', 1000, 4, 1 * 10 + 2 * 20 + 3 * 30],
  ])('%s, stopping at %i', (type, stopAfter, visited, total) => {
    const kernel = new Kernel({ cpus: 1 });
    const map = makeMap(kernel, type);
    for (const key of [0, 1, 2, 3]) kernel.bpf.mapUpdate(map, u32(key), u64(key * 10));
    const { r0 } = runXdp(kernel, visit(stopAfter), [map]);
    expect([Number(r0 >> 32n), Number(r0 & 0xffffffffn)]).toEqual([visited, total]);
  });
});

test('tail calls end after 33', () => {
  const kernel = new Kernel();
  const array = makeMap(kernel, 'prog_array', { valueSize: 4 });
  const counter = makeMap(kernel, 'array', { maxEntries: 1 });
  const asm = `
    r6 = r1
    r1 = map[fd:1][0]
    r2 = *(u64 *)(r1 + 0)
    r2 += 1
    *(u64 *)(r1 + 0) = r2
    r1 = r6
    r2 = map[fd:0]
    r3 = 0
    call bpf_tail_call
    r0 = 7
    exit`;
  const prog = load(kernel, 'xdp', asm, [array, counter]);
  expect((array as ProgArrayMap).setSlot(0, prog)).toBe(0);
  expect(testRun(kernel, prog, { dataIn: PACKET }).retval).toBe(7);
  expect(kernel.bpf.mapLookup(counter, u32(0))).toEqual(u64(34));
});

test('a program array takes programs of one type', () => {
  const kernel = new Kernel();
  const array = makeMap(kernel, 'prog_array', { valueSize: 4 });
  expect(kernel.bpf.mapUpdateFd(array, 0, load(kernel, 'xdp', 'r0 = 0\nexit'))).toBe(0);
  expect(kernel.bpf.mapUpdateFd(array, 1, load(kernel, 'sched_cls', 'r0 = 0\nexit'))).toBe(-22);
  expect(kernel.bpf.mapUpdateFd(array, 4, load(kernel, 'xdp', 'r0 = 0\nexit'))).toBe(-7);
});

describe('maps of maps', () => {
  const bump = `
    r1 = 1
    *(u32 *)(r10 - 4) = r1
    r1 = map[fd:0]
    r2 = r10
    r2 += -4
    call bpf_map_lookup_elem
    if r0 == 0 goto none
    r1 = r0
    r2 = r10
    r2 += -4
    call bpf_map_lookup_elem
    if r0 == 0 goto none
    r1 = *(u64 *)(r0 + 0)
    r1 += 1
    *(u64 *)(r0 + 0) = r1
    r0 = 2
    exit
  none:
    r0 = 1
    exit`;

  test.each<MapTypeName>(['array_of_maps', 'hash_of_maps'])('%s', (type) => {
    const kernel = new Kernel();
    const inner = makeMap(kernel, 'array');
    const outer = makeMap(kernel, type, { valueSize: 4, inner: makeMap(kernel, 'array') });
    expect(runXdp(kernel, bump, [outer]).retval).toBe(1);
    expect(kernel.bpf.mapUpdateFd(outer, 1, inner)).toBe(0);
    expect(runXdp(kernel, bump, [outer]).retval).toBe(2);
    expect(kernel.bpf.mapLookup(inner, u32(1))).toEqual(u64(1));
    expect(kernel.bpf.mapUpdateFd(outer, 1, makeMap(kernel, 'array', { maxEntries: 9 }))).toBe(-22);
    expect(kernel.bpf.mapUpdateFd(outer, 1, makeMap(kernel, 'hash'))).toBe(-22);
  });

  test('an array of maps names its elements by id', () => {
    const kernel = new Kernel();
    const inner = makeMap(kernel, 'array');
    const outer = makeMap(kernel, 'array_of_maps', { valueSize: 4, inner }) as ArrayOfMapsMap;
    outer.setSlot(0, inner);
    expect(kernel.bpf.mapLookup(outer, u32(0))).toEqual(u32(inner.id));
    expect(kernel.bpf.mapDelete(outer, u32(0))).toBe(0);
    expect(kernel.bpf.mapDelete(outer, u32(0))).toBe(-2);
  });
});

describe('ring buffer', () => {
  test('records may run over the end, and discarded ones are not read', () => {
    const kernel = new Kernel();
    const ring = makeMap(kernel, 'ringbuf', { keySize: 0, valueSize: 0, maxEntries: 4096 }) as RingbufMap;
    const { memory } = kernel;
    for (let round = 0; round < 20; round++) {
      const first = ring.reserve(1000);
      const second = ring.reserve(500);
      memory.u8.fill(round, first, first + 1000);
      memory.u8.fill(255, second, second + 500);
      // A record that is not committed holds back those behind it.
      ring.commit(second, 0, true);
      expect(ring.consume()).toEqual([]);
      ring.commit(first, 0, false);
      const [record, ...others] = ring.consume();
      expect([record!.length, new Set(record), others.length]).toEqual([1000, new Set([round]), 0]);
    }
  });

  test('a program may touch only the record that it holds', () => {
    const reserve =
      'r1 = map[fd:0]\nr2 = 8\nr3 = 0\ncall bpf_ringbuf_reserve\nif r0 == 0 goto none\nr6 = r0\n';
    const submit = 'r1 = r6\nr2 = 0\ncall bpf_ringbuf_submit\n';
    const end = 'none:\nr0 = 1\nexit';
    const kernel = new Kernel();
    const ring = makeMap(kernel, 'ringbuf', { keySize: 0, valueSize: 0, maxEntries: 4096 }) as RingbufMap;
    runXdp(kernel, `${reserve}r1 = 5\n*(u64 *)(r6 + 0) = r1\n${submit}${end}`, [ring]);
    expect(ring.consume()).toEqual([u64(5)]);
    expect(() => runXdp(kernel, `${reserve}r1 = 5\n*(u64 *)(r6 + 8) = r1\n${submit}${end}`, [ring])).toThrow(
      'invalid store',
    );
    expect(() => runXdp(kernel, `${reserve}${submit}r1 = 5\n*(u64 *)(r6 + 0) = r1\n${end}`, [ring])).toThrow(
      'invalid store',
    );
    expect(() => runXdp(kernel, `${reserve}${submit}${submit}${end}`, [ring])).toThrow('not an open record');
  });
});

test('perf_event_output carries the start of the packet', () => {
  const kernel = new Kernel({ cpus: 2 });
  const events = makeMap(kernel, 'perf_event_array', { valueSize: 4, maxEntries: 2 }) as PerfEventArrayMap;
  const output = `
    r6 = 0x1122
    *(u64 *)(r10 - 8) = r6
    r2 = map[fd:0]
    r3 = ${(4n << 32n) | 0xffffffffn} ll
    r4 = r10
    r4 += -8
    r5 = 8
    call bpf_perf_event_output
    exit`;
  const prog = load(kernel, 'xdp', output, [events]);
  const result = () => testRun(kernel, prog, { dataIn: PACKET }).retval | 0;
  expect(result()).toBe(-2);
  events.setSlot(0, { cpu: 0, samples: [] });
  events.setSlot(1, { cpu: 0, samples: [] });
  expect(result()).toBe(0);
  expect(events.slots[0]!.samples).toEqual([Uint8Array.from([...u64(0x1122), ...PACKET.subarray(0, 4)])]);
  // An event of another CPU.
  kernel.cpu = 1;
  expect(result()).toBe(-95);
});

describe('redirects', () => {
  test('through a map, to what it holds', () => {
    const kernel = new Kernel();
    const devices = makeMap(kernel, 'devmap', { valueSize: 4 });
    kernel.bpf.mapUpdate(devices, u32(2), u32(7));
    const redirect = (index: number) => `r1 = map[fd:0]\nr2 = ${index}\nr3 = 2\ncall bpf_redirect_map\nexit`;
    const hit = runXdp(kernel, redirect(2), [devices]);
    expect([hit.retval, hit.redirect]).toEqual([
      4,
      { kind: 'map', map: 'a_devmap', index: 2, target: 7, flags: 2 },
    ]);
    const miss = runXdp(kernel, redirect(1), [devices]);
    expect([miss.retval, miss.redirect]).toEqual([2, undefined]);
  });

  test('to an interface, and copies of a packet', () => {
    const kernel = new Kernel();
    const asm = 'r6 = r1\nr2 = 3\nr3 = 1\ncall bpf_clone_redirect\nr1 = 5\nr2 = 1\ncall bpf_redirect\nexit';
    const result = testRun(kernel, load(kernel, 'sched_cls', asm), { dataIn: PACKET });
    expect([result.retval, result.redirect]).toEqual([
      7,
      { kind: 'ifindex', ifindex: 5, flags: 1, via: 'redirect' },
    ]);
    expect(kernel.net.cloned).toEqual([{ ifindex: 3, flags: 1, data: PACKET }]);
  });
});

describe('the task', () => {
  const context = new Uint8Array(8);
  const tracing = (kernel: Kernel, asm: string) =>
    testRun(kernel, load(kernel, 'raw_tracepoint', asm), { ctxIn: context }).r0;

  test('ids and name', () => {
    const kernel = new Kernel({
      task: { pid: 22, tgid: 20, comm: 'a_very_long_name_indeed', uid: 5, gid: 6 },
    });
    expect(tracing(kernel, 'call bpf_get_current_pid_tgid\nexit')).toBe((20n << 32n) | 22n);
    expect(tracing(kernel, 'r1 = 0\ncall bpf_get_current_ancestor_cgroup_id\nexit')).toBe(
      tracing(kernel, 'call bpf_get_current_cgroup_id\nexit'),
    );
    expect(tracing(kernel, 'r1 = 1\ncall bpf_get_current_ancestor_cgroup_id\nexit')).toBe(0n);
    expect(tracing(kernel, 'call bpf_get_current_uid_gid\nexit')).toBe((6n << 32n) | 5n);
    const comm = (size: number) =>
      `r1 = r10\nr1 += -16\nr2 = ${size}\ncall bpf_get_current_comm\nr0 = *(u64 *)(r10 - 16)\nexit`;
    expect(tracing(kernel, comm(16))).toBe(Buffer.from('a_very_l').readBigUInt64LE());
    expect(tracing(kernel, comm(4))).toBe(Buffer.from('a_v\0\0\0\0\0').readBigUInt64LE());
  });

  test('its task_struct, as the target kernel lays it out', () => {
    const btf = loadTargetBtf({ from: 'embedded' });
    const kernel = new Kernel({ btf });
    const at = (member: string) =>
      btf.findMember(btf.findByName('task_struct', 'struct')!, member)!.bitOffset / 8;
    const follow = (pointer: string, member: string) => `
      call bpf_get_current_task
      r1 = r10
      r1 += -8
      r2 = 8
      r3 = r0
      r3 += ${at(pointer)}
      call bpf_probe_read_kernel
      r1 = r10
      r1 += -16
      r2 = 4
      r3 = *(u64 *)(r10 - 8)
      r3 += ${at(member)}
      call bpf_probe_read_kernel
      r0 = *(u32 *)(r10 - 16)
      exit`;
    expect(tracing(kernel, follow('real_parent', 'tgid'))).toBe(1n);
    expect(tracing(kernel, follow('group_leader', 'pid'))).toBe(1000n);
  });
});

test('trace_printk writes lines of trace_pipe', () => {
  const kernel = new Kernel();
  const format = Buffer.from('n=%d %s\n\0'.padEnd(16, '\0'), 'latin1');
  const asm = `
    r1 = ${format.readBigInt64LE(0)} ll
    *(u64 *)(r10 - 16) = r1
    r1 = ${format.readBigInt64LE(8)} ll
    *(u64 *)(r10 - 8) = r1
    r1 = ${Buffer.from('there\0\0\0').readBigInt64LE()} ll
    *(u64 *)(r10 - 24) = r1
    r1 = r10
    r1 += -16
    r2 = 16
    r3 = 42
    r4 = r10
    r4 += -24
    call bpf_trace_printk
    exit`;
  kernel.cpu = 2;
  kernel.clock.set(12_345_678_000n);
  // The length counts the newline, which the line in the trace does not show.
  expect(runXdp(kernel, asm).retval).toBe(11);
  expect(kernel.tracePipe.drain()).toEqual([
    '            bpflab-1001 [002] ..... 12.345678: bpf_trace_printk: n=42 there',
  ]);
});

test('maps keep their keys when memory grows under them', () => {
  const kernel = new Kernel();
  const trie = kernel.bpf.mapCreate({
    name: 'trie',
    type: MapType.lpm_trie,
    keySize: 8,
    valueSize: 8192,
    maxEntries: 1000,
    mapFlags: 1,
    mapExtra: 0n,
  });
  const hash = makeMap(kernel, 'hash', { valueSize: 8192, maxEntries: 1000 });
  for (let i = 0; i < 500; i++) {
    const value = new Uint8Array(8192).fill(i);
    expect(kernel.bpf.mapUpdate(trie, Uint8Array.from([32, 0, 0, 0, 10, 0, i >> 8, i & 255]), value)).toBe(0);
    expect(kernel.bpf.mapUpdate(hash, u32(i), value)).toBe(0);
  }
  const keys = [...kernel.bpf.mapEntries(trie)].map(({ key, value }) => [
    (key[6]! << 8) | key[7]!,
    value[8191],
  ]);
  expect(keys).toEqual(Array.from({ length: 500 }, (_, i) => [i, i & 255]));
  expect([...kernel.bpf.mapEntries(hash)]).toHaveLength(500);
  expect(kernel.bpf.mapLookup(hash, u32(499))).toEqual(new Uint8Array(8192).fill(499));
});

test('a machine has 1 to 64 CPUs', () => {
  for (const cpus of [0, 65, 1.5])
    expect(() => new Kernel({ cpus })).toThrow(expect.objectContaining({ code: 'EINVAL' }));
});
