/** The operations on maps whose sections without preemption, without interrupts and under a lock are measured. */
import { MapFlag } from '../abi/map-flags.js';
import { MapType } from '../abi/map-types.js';
import type { BpfMap, MapAttr } from '../kernel/bpf/map.js';
import { StackMap } from '../kernel/bpf/stackmap.js';
import type { Kernel } from '../kernel/kernel.js';
import type { Flow } from '../kernel/sched/flow.js';

export interface LatencyMap {
  readonly name: string;
  readonly type: MapType;
  readonly flags: number;
}

/** One of many tasks that do the same at the same time. */
export interface Turn {
  readonly kernel: Kernel;
  readonly map: BpfMap;
  readonly cpu: number;
  readonly cpus: number;
  /** Elements that the map has room for. */
  readonly entries: number;
  /** Which repetition. */
  readonly round: number;
}

export interface LatencyOp {
  readonly map: LatencyMap;
  readonly name: string;
  /** How many elements there are beforehand, of those that there is room for. */
  readonly fill: (entries: number) => number;
  /** Absent: the map's creation is what is measured. */
  readonly run?: (turn: Turn) => Flow<unknown>;
}

const VALUE_SIZE = 8;
const TRIE_KEY = 8;
/** Frames of a stack. */
const FRAMES = 16;
const KERNEL_TEXT = 0xffffffff81000000n;

const HASH: LatencyMap = { name: 'hash, preallocated', type: MapType.hash, flags: 0 };
const ALLOCATING: LatencyMap = {
  name: 'hash, allocating',
  type: MapType.hash,
  flags: MapFlag.BPF_F_NO_PREALLOC,
};
const PERCPU: LatencyMap = { name: 'per-CPU hash', type: MapType.percpu_hash, flags: 0 };
const LRU: LatencyMap = { name: 'LRU hash, common lists', type: MapType.lru_hash, flags: 0 };
const PERCPU_LRU: LatencyMap = {
  name: 'LRU hash, per-CPU lists',
  type: MapType.lru_hash,
  flags: MapFlag.BPF_F_NO_COMMON_LRU,
};
const TRIE: LatencyMap = { name: 'trie', type: MapType.lpm_trie, flags: MapFlag.BPF_F_NO_PREALLOC };
const QUEUE: LatencyMap = { name: 'queue', type: MapType.queue, flags: 0 };
const ARRAY: LatencyMap = { name: 'array', type: MapType.array, flags: 0 };
const STACKS: LatencyMap = { name: 'stack traces', type: MapType.stack_trace, flags: 0 };

const half = (entries: number): number => entries >> 1;
const all = (entries: number): number => entries;
const none = (): number => 0;

/** Tasks change different elements, or all the same. */
const own = ({ cpu, cpus, round }: Turn): number => round * cpus + cpu;
const same = (): number => 0;

const lookup = (key: (turn: Turn) => number) => (turn: Turn) =>
  turn.kernel.bpf.mapLookupFlow(turn.map, keyOf(turn.map, key(turn)));
const update = (key: (turn: Turn) => number) => (turn: Turn) =>
  turn.kernel.bpf.mapUpdateFlow(turn.map, keyOf(turn.map, key(turn)), newValue(turn.map));
const remove = (key: (turn: Turn) => number) => (turn: Turn) =>
  turn.kernel.bpf.mapDeleteFlow(turn.map, keyOf(turn.map, key(turn)));
/** A key that is not there yet. */
const fresh = (turn: Turn): number => turn.entries + own(turn);
const batch = ({ kernel, map, entries }: Turn) => kernel.bpf.mapLookupBatchFlow(map, undefined, entries);
const batchOut = ({ kernel, map, entries }: Turn) =>
  kernel.bpf.mapLookupAndDeleteBatchFlow(map, undefined, entries);

function hashOps(map: LatencyMap): readonly LatencyOp[] {
  return [
    { map, name: 'lookup', fill: half, run: lookup(own) },
    { map, name: 'update, new', fill: half, run: update((turn) => turn.entries + own(turn)) },
    { map, name: 'update, the same', fill: half, run: update(same) },
    { map, name: 'delete', fill: half, run: remove(own) },
    { map, name: 'batch lookup', fill: half, run: batch },
    { map, name: 'batch lookup and delete', fill: half, run: batchOut },
    { map, name: 'creation', fill: none },
  ];
}

function lruOps(map: LatencyMap): readonly LatencyOp[] {
  return [
    { map, name: 'lookup', fill: all, run: lookup(own) },
    { map, name: 'update, the same', fill: all, run: update(same) },
    { map, name: 'update, evicting', fill: all, run: update(fresh) },
    { map, name: 'delete', fill: all, run: remove(own) },
    { map, name: 'creation', fill: none },
  ];
}

export const LATENCY_OPS: readonly LatencyOp[] = [
  ...hashOps(HASH),
  ...hashOps(ALLOCATING),
  ...hashOps(PERCPU).filter(({ name }) => !name.startsWith('batch')),
  ...lruOps(LRU),
  ...lruOps(PERCPU_LRU),
  { map: TRIE, name: 'lookup', fill: half, run: lookup(own) },
  { map: TRIE, name: 'update, new', fill: half, run: update(fresh) },
  { map: TRIE, name: 'delete', fill: half, run: remove(own) },
  { map: TRIE, name: 'creation', fill: none },
  { map: QUEUE, name: 'push', fill: none, run: update(same) },
  { map: QUEUE, name: 'creation', fill: none },
  { map: ARRAY, name: 'lookup', fill: none, run: lookup(same) },
  { map: ARRAY, name: 'update', fill: none, run: update(same) },
  { map: ARRAY, name: 'creation', fill: none },
  { map: STACKS, name: 'get_stackid', fill: none, run: storeStack },
  { map: STACKS, name: 'creation', fill: none },
];

/** Every task has a stack of its own, so that each needs a bucket. */
function* storeStack(turn: Turn): Flow<number> {
  const { map } = turn;
  if (!(map instanceof StackMap)) return 0;
  const ips = BigUint64Array.from({ length: FRAMES }, (_, i) => KERNEL_TEXT + BigInt(i * 64 + own(turn)));
  return yield* map.storeFlow(ips, 0);
}

/** What the map is created with. */
export function attrOf({ name, type, flags }: LatencyMap, entries: number): MapAttr {
  const keySizes: Partial<Record<MapType, number>> = { [MapType.lpm_trie]: TRIE_KEY, [MapType.queue]: 0 };
  return {
    name: name.replaceAll(/[^a-zA-Z0-9]+/g, '_').slice(0, 15),
    type,
    keySize: keySizes[type] ?? 4,
    valueSize: type === MapType.stack_trace ? FRAMES * 8 : VALUE_SIZE,
    maxEntries: entries,
    mapFlags: flags,
    mapExtra: 0n,
  };
}

/** A key by number; in a trie a whole address, its bits turned round so that neighbours lie apart. */
export function keyOf(map: BpfMap, index: number): Uint8Array {
  const bytes = new Uint8Array(map.keySize);
  if (map.keySize === 0) return bytes;
  const view = new DataView(bytes.buffer);
  if (map.type !== MapType.lpm_trie) {
    view.setUint32(0, map.type === MapType.array ? index % map.maxEntries : index, true);
    return bytes;
  }
  view.setUint32(0, 32, true);
  let turned = 0;
  for (let bit = 0; bit < 32; bit++) turned = (turned << 1) | ((index >>> bit) & 1);
  view.setUint32(4, turned >>> 0, false);
  return bytes;
}

export function newValue(map: BpfMap): Uint8Array {
  return new Uint8Array(map.syscallValueSize).fill(1);
}
