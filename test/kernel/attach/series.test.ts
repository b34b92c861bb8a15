/**
 * What the series "bpf: Make BPF and PREEMPT_RT co-exist" changed, patch by patch, and the hazards that it left: the same
 * events in a kernel before, one after, and later ones. Facts: the patches' own descriptions and Linux's selftests.
 */
import { describe, expect, test } from '@jest/globals';
import { AttachType } from '../../../src/abi/attach-types.js';
import { SimulationError } from '../../../src/kernel/errors.js';
import type { Kernel } from '../../../src/kernel/kernel.js';
import { kernelOf, type LoadAs, load, mapOf, recorded } from './support.js';

const NO_PREALLOC = 1;
const FRAME = new Uint8Array(64);
const SLEEPS = 'BUG: sleeping function called from invalid context';
const ATOMIC = 'BUG: assuming atomic context';
const EBUSY = BigInt.asUintN(64, -16n);
const EDEADLK = BigInt.asUintN(64, -35n);

/** Updates key 5 of map `n`, whose keys have 4 or 8 bytes; leaves the helper's result in r7. */
const update = (n = 0): string => `
  *(u64 *)(r10 - 8) = 8
  *(u64 *)(r10 - 24) = 7
  r1 = map[fd:${n}]
  r2 = r10
  r2 += -8
  r3 = r10
  r3 += -24
  r4 = 0
  call bpf_map_update_elem
  r7 = r0`;
const UPDATE = `${update()}\nr0 = 1\nexit`;

const first = (kernel: Kernel): string[] => [
  ...new Set(kernel.splats.map(({ lines }) => lines[0]!.replace(/ at .*/, ''))),
];

interface Cause {
  readonly type: Parameters<typeof load>[1];
  readonly as?: LoadAs;
  readonly target?: string;
  readonly run: (kernel: Kernel, prog: ReturnType<typeof load>) => void;
}

const CAUSES: Readonly<Record<string, Cause>> = {
  'sk_msg (patch 9)': { type: 'sk_msg', run: (k, prog) => k.trigger(prog, { data: FRAME }) },
  'a test run (11)': { type: 'xdp', run: (k, prog) => k.bpf.testRun(prog, { dataIn: FRAME }) },
  'fentry (12)': {
    type: 'tracing',
    as: { attachType: AttachType.trace_fentry },
    target: 'fentry:f',
    run: (k) => k.callFunction('f'),
  },
  'a control group (13)': {
    type: 'cgroup_sock_addr',
    as: { attachType: AttachType.cgroup_inet4_connect },
    target: 'cgroup:/',
    run: (k) => k.connect({ ip: '10.0.0.1', port: 1 }),
  },
  'XDP (17)': { type: 'xdp', target: 'xdp:eth0', run: (k) => k.packet(FRAME) },
  'tc (17)': { type: 'sched_cls', target: 'tc:eth0', run: (k) => k.packet(FRAME) },
};

describe('an update of a hash that allocates at run time', () => {
  const rows = Object.keys(CAUSES).flatMap((cause) => [
    [cause, '5.6', false] as const,
    [cause, '5.6-rt', true] as const,
    [cause, '5.7-rt', false] as const,
    [cause, '6.18-rt', false] as const,
  ]);

  test.each(rows)('%s on %s: sleeps in atomic context: %s', (name, profile, sleeps) => {
    const kernel = kernelOf(profile);
    const map = mapOf(kernel, 'hash', { mapFlags: NO_PREALLOC });
    const { type, as = {}, target, run } = CAUSES[name]!;
    const prog = load(kernel, type, UPDATE, { ...as, maps: [map] });
    if (target !== undefined) kernel.attach(prog, target);
    run(kernel, prog);
    expect(first(kernel).includes(SLEEPS)).toBe(sleeps);
    expect(kernel.bpf.mapLookup(map, Uint8Array.of(8, 0, 0, 0))).toHaveLength(8);
  });

  test.each([
    ['5.6', false],
    ['5.6-rt', true],
    ['5.7-rt', false],
  ])('by a system call (15) on %s: %s', (profile, sleeps) => {
    const kernel = kernelOf(profile);
    const map = mapOf(kernel, 'hash', { mapFlags: NO_PREALLOC });
    expect(kernel.bpf.mapUpdate(map, new Uint8Array(4), new Uint8Array(8))).toBe(0);
    expect(first(kernel)).toEqual(sleeps ? [SLEEPS] : []);
  });

  test.each([
    ['5.7-rt', true],
    ['6.1-rt', false],
  ])('from a kprobe, where 5.7 would have refused the program, %s: %s', (profile, sleeps) => {
    const kernel = kernelOf(profile);
    const map = mapOf(kernel, 'hash', { mapFlags: NO_PREALLOC });
    kernel.attach(load(kernel, 'kprobe', UPDATE, { maps: [map] }), 'kprobe:f');
    kernel.callFunction('f');
    expect(first(kernel)).toEqual(sleeps ? [SLEEPS] : []);
  });
});

describe('a trie, which always allocates', () => {
  const rows: readonly (readonly [string, string, string[]])[] = [
    ['xdp', '5.6-rt', [ATOMIC, SLEEPS]],
    ['xdp', '5.7-rt', []],
    ['xdp', '6.18-rt', []],
    // Passes the test for preallocated maps, so that it was loaded.
    ['kprobe', '5.7-rt', [SLEEPS]],
    ['kprobe', '5.7', []],
    ['kprobe', '6.18-rt', []],
  ];

  test.each(rows)('%s on %s', (type, profile, splats) => {
    const kernel = kernelOf(profile);
    const map = mapOf(kernel, 'lpm_trie', { keySize: 8, mapFlags: NO_PREALLOC });
    const prog = load(kernel, type as 'xdp' | 'kprobe', UPDATE, { maps: [map] });
    kernel.attach(prog, type === 'xdp' ? 'xdp:eth0' : 'kprobe:f');
    if (type === 'xdp') kernel.packet(FRAME);
    else kernel.callFunction('f');
    expect(first(kernel)).toEqual(splats);
  });
});

describe('what runs a program in a thread asks for atomic context no more (8)', () => {
  test.each([
    ['5.6-rt', [ATOMIC]],
    ['rfc-rt', []],
    ['5.7-rt', []],
    ['5.6', []],
  ])('%s', (profile, splats) => {
    const kernel = kernelOf(profile);
    kernel.attach(load(kernel, 'xdp', 'r0 = 2\nexit'), 'xdp:eth0');
    kernel.packet(FRAME);
    expect(first(kernel)).toEqual(splats);
  });
});

describe('hazards that were left', () => {
  /** The program writes the map that is being written, under whose lock the event is. */
  function inside(
    profile: string,
    mapFlags: number,
    target: string,
  ): { kernel: Kernel; result: () => bigint } {
    const kernel = kernelOf(profile);
    const map = mapOf(kernel, 'hash', { mapFlags });
    const results = mapOf(kernel, 'array');
    const tracing = target.startsWith('fentry');
    const store = `
  *(u64 *)(r10 - 24) = r7
  *(u32 *)(r10 - 4) = 0
  r1 = map[fd:1]
  r2 = r10
  r2 += -4
  r3 = r10
  r3 += -24
  r4 = 0
  call bpf_map_update_elem
  r0 = 0
  exit`;
    const as = tracing ? { attachType: AttachType.trace_fentry } : {};
    const maps = [map, results];
    const prog = load(kernel, tracing ? 'tracing' : 'raw_tracepoint', `${update()}${store}`, { ...as, maps });
    kernel.attach(prog, target);
    kernel.bpf.mapUpdate(map, Uint8Array.of(8, 0, 0, 0), new Uint8Array(8));
    return { kernel, result: () => recorded(kernel, results)[0]! };
  }

  test.each([
    ['5.15', EBUSY],
    ['6.1', EBUSY],
    ['6.18', EDEADLK],
  ])('fentry on lookup_elem_raw, %s: the inner update is refused', (profile, errno) => {
    const { kernel, result } = inside(profile, 0, 'fentry:lookup_elem_raw');
    expect(result()).toBe(errno);
    expect(kernel.splats).toEqual([]);
  });

  test('fentry on lookup_elem_raw, 5.7: the CPU waits for itself', () => {
    expect(() => inside('5.7', 0, 'fentry:lookup_elem_raw')).toThrow(SimulationError);
  });

  test('a raw tracepoint in the allocator, 5.7: nobody keeps it from the lock that is held', () => {
    expect(() => inside('5.7', NO_PREALLOC, 'raw_tp:kmalloc_node')).toThrow(/raw_lock/);
  });

  test.each([['5.15', EBUSY]])('the same on %s is refused', (profile, errno) => {
    expect(inside(profile, NO_PREALLOC, 'raw_tp:kmalloc_node').result()).toBe(errno);
  });
});

test.each(['5.15', '6.1', '6.18'])('recursion by deleting in a delete, %s: counted as a miss', (profile) => {
  const kernel = kernelOf(profile);
  const maps = [mapOf(kernel, 'hash'), mapOf(kernel, 'hash'), mapOf(kernel, 'array')];
  const count = (key: number): string => `
  *(u32 *)(r10 - 4) = ${key}
  r1 = map[fd:2]
  r2 = r10
  r2 += -4
  call bpf_map_lookup_elem
  if r0 == 0 goto out
  r1 = *(u64 *)(r0 + 0)
  r1 += 1
  *(u64 *)(r0 + 0) = r1`;
  const asm = `
  r6 = *(u64 *)(r1 + 0)
  r1 = map[fd:1]
  if r6 == r1 goto second
  ${count(0)}
  goto out
second:
  ${count(1)}
  *(u32 *)(r10 - 4) = 0
  r1 = map[fd:1]
  r2 = r10
  r2 += -4
  call bpf_map_delete_elem
out:
  r0 = 0
  exit`;
  const prog = load(kernel, 'tracing', asm, { attachType: AttachType.trace_fentry, maps });
  kernel.attach(prog, 'fentry:htab_map_delete_elem');
  const passes: bigint[][] = [];
  for (const map of [maps[0]!, maps[0]!, maps[1]!, maps[1]!]) {
    kernel.bpf.mapDelete(map, new Uint8Array(4));
    passes.push(recorded(kernel, maps[2]!).slice(0, 2));
  }
  expect(passes).toEqual([
    [1n, 0n],
    [2n, 0n],
    [2n, 1n],
    [2n, 2n],
  ]);
  expect(prog.stats.misses).toBe(2);
});
