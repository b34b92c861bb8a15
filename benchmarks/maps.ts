/**
 * Hot paths of maps from a program: a loop of helper calls on one map, per map type, without and with PREEMPT_RT. A unit is
 * one call with the loop around it; keys go round `KEYS` elements, which are all there.
 */
import { helperId } from '../src/abi/helpers.js';
import { MapType } from '../src/abi/map-types.js';
import { ProgType } from '../src/abi/prog-types.js';
import { assemble } from '../src/isa/index.js';
import { ProgArrayMap } from '../src/kernel/bpf/fd-array.js';
import { testRun } from '../src/kernel/bpf/test-run.js';
import { Kernel } from '../src/kernel/kernel.js';
import type { LoadableProgram } from '../src/object/types.js';
import type { Benchmark, Suite } from './framework.js';

const CALLS = 500_000;
const KEYS = 64;
const VALUE_SIZE = 16;
const NO_PREALLOC = 1;

interface Target {
  readonly name: string;
  readonly type: MapType;
  readonly keySize: number;
  readonly flags?: number;
}

const TARGETS: readonly Target[] = [
  { name: 'array', type: MapType.array, keySize: 4 },
  { name: 'percpu_array', type: MapType.percpu_array, keySize: 4 },
  { name: 'hash', type: MapType.hash, keySize: 16 },
  { name: 'hash, no prealloc', type: MapType.hash, keySize: 16, flags: NO_PREALLOC },
  { name: 'percpu_hash', type: MapType.percpu_hash, keySize: 16 },
  { name: 'lru_hash', type: MapType.lru_hash, keySize: 16 },
  { name: 'lpm_trie', type: MapType.lpm_trie, keySize: 8, flags: NO_PREALLOC },
];

const HEAD = `
  r1 = 0
  *(u64 *)(r10 - 8) = r1
  *(u64 *)(r10 - 16) = r1
  *(u64 *)(r10 - 24) = r1
  *(u64 *)(r10 - 32) = r1
  r7 = ${CALLS}
again:
  r1 = r7
  r1 &= ${KEYS - 1}`;
const TAIL = `
  r7 += -1
  if r7 != 0 goto again
  r0 = 0
  exit`;

/** Prefixes of a trie come first in its keys. */
const keyAt = (target: Target): string =>
  target.type === MapType.lpm_trie
    ? '\n  *(u32 *)(r10 - 12) = r1\n  r1 = 32\n  *(u32 *)(r10 - 16) = r1'
    : '\n  *(u32 *)(r10 - 16) = r1';

const CALL = {
  lookup: 'r1 = map[fd:0]\n r2 = r10\n r2 += -16\n call bpf_map_lookup_elem',
  update: 'r1 = map[fd:0]\n r2 = r10\n r2 += -16\n r3 = r10\n r3 += -32\n r4 = 0\n call bpf_map_update_elem',
  delete: 'r1 = map[fd:0]\n r2 = r10\n r2 += -16\n call bpf_map_delete_elem',
} as const;

function sourceOf(text: string): LoadableProgram {
  return {
    name: 'bench',
    section: '',
    type: ProgType.sched_cls,
    expectedAttachType: 0,
    progFlags: 0,
    autoload: true,
    subProgs: [],
    funcInfo: [],
    lineInfo: [],
    insns: assemble(text, { helperId }),
  };
}

function prepare(target: Target, profile: string, body: string): () => number {
  const kernel = new Kernel({ profile, checked: false, verify: 'never' });
  const map = kernel.bpf.mapCreate({
    name: 'map',
    type: target.type,
    keySize: target.keySize,
    valueSize: VALUE_SIZE,
    maxEntries: 1024,
    mapFlags: target.flags ?? 0,
    mapExtra: 0n,
  });
  const run = (text: string): (() => void) => {
    const source = sourceOf(`${HEAD}${keyAt(target)}\n${text}${TAIL}`);
    const prog = kernel.bpf.progLoad(source, [map], { license: 'GPL' });
    return () => void testRun(kernel, prog, { dataIn: new Uint8Array(64) });
  };
  // Every key is there.
  run(CALL.update)();
  const measured = run(body);
  return () => {
    measured();
    return CALLS;
  };
}

const isArray = ({ type }: Target): boolean => type === MapType.array || type === MapType.percpu_array;

function benchmarksOf(target: Target, profile: string): Benchmark[] {
  const one = (what: string, body: string): Benchmark => ({
    name: `${target.name}: ${what}`,
    unit: 'call',
    inMean: false,
    prepare: () => prepare(target, profile, body),
  });
  const benchmarks = [one('lookup', CALL.lookup), one('update', CALL.update)];
  if (!isArray(target)) benchmarks.push(one('delete and update', `${CALL.delete}\n${CALL.update}`));
  return benchmarks;
}

function ringbuf(profile: string): Benchmark {
  return {
    name: 'ringbuf: output of 16 bytes, and taking it out',
    unit: 'call',
    inMean: false,
    prepare: () => {
      const target: Target = { name: 'ringbuf', type: MapType.ringbuf, keySize: 0 };
      const kernel = new Kernel({ profile, checked: false, verify: 'never' });
      const map = kernel.bpf.mapCreate({
        name: target.name,
        type: target.type,
        keySize: 0,
        valueSize: 0,
        maxEntries: 1 << 24,
        mapFlags: 0,
        mapExtra: 0n,
      });
      const text = 'r1 = map[fd:0]\n r2 = r10\n r2 += -32\n r3 = 16\n r4 = 0\n call bpf_ringbuf_output';
      const source = sourceOf(`${HEAD}\n${text}${TAIL}`);
      const prog = kernel.bpf.progLoad(source, [map], { license: 'GPL' });
      return () => {
        testRun(kernel, prog, { dataIn: new Uint8Array(64) });
        (map as unknown as { consume(): unknown }).consume();
        return CALLS;
      };
    },
  };
}

/** Tail calls of a program to itself, as many as a run may make. */
const TAIL_CALLS = 33;

function tailCall(profile: string): Benchmark {
  return {
    name: 'prog_array: tail call',
    unit: 'call',
    inMean: false,
    prepare: () => {
      const kernel = new Kernel({ profile, checked: false, verify: 'never' });
      const sizes = { keySize: 4, valueSize: 4, maxEntries: 1, mapFlags: 0, mapExtra: 0n };
      const map = kernel.bpf.mapCreate({ name: 'progs', type: MapType.prog_array, ...sizes });
      const text = 'r2 = map[fd:0]\nr3 = 0\ncall bpf_tail_call\nr0 = 0\nexit';
      const prog = kernel.bpf.progLoad(sourceOf(text), [map], { license: 'GPL' });
      if (map instanceof ProgArrayMap) map.setSlot(0, prog);
      const repeat = Math.floor(CALLS / TAIL_CALLS);
      return () => {
        testRun(kernel, prog, { dataIn: new Uint8Array(64), repeat });
        return repeat * TAIL_CALLS;
      };
    },
  };
}

/** Map operations from programs, on the default kernel and on its RT twin. */
export const MAP_SUITES: readonly Suite[] = ['6.18', '6.18-rt'].map((profile) => ({
  name: `maps, ${profile}`,
  benchmarks: [
    ...TARGETS.flatMap((target) => benchmarksOf(target, profile)),
    ringbuf(profile),
    tailCall(profile),
  ],
}));
