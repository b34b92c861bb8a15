/**
 * Batch operations on maps: many keys and values in one system call. Hash tables are read bucket by bucket, others key by
 * key. Models `generic_map_*_batch` (kernel/bpf/syscall.c) and `__htab_map_lookup_and_delete_batch` (hashtab.c) of Linux 6.18.
 */

import { Errno } from '../../abi/errno.js';
import type { Flow } from '../sched/flow.js';
import type { HashMap } from './hashtab.js';
import type { BpfMap } from './map.js';
import type { PinSite } from './recursion.js';

/** What a batch that reads gives: keys and values that fit, and where to go on. */
export interface BatchResult {
  /** 0, or a negative errno; -ENOENT when the end was reached, with what was there before. */
  readonly errno: number;
  readonly count: number;
  /** Token for the next call: a bucket's number (4 bytes) or the last key; undefined when Linux writes none. */
  readonly next: Uint8Array | undefined;
  readonly keys: readonly Uint8Array[];
  readonly values: readonly Uint8Array[];
}

/** What a batch that writes gives: how many elements were done, up to the first that was refused. */
export interface BatchCount {
  readonly errno: number;
  readonly count: number;
}

/** Where keys and values are put for the map to read and write (memory offsets), and what guards a single operation. */
export interface BatchRoom {
  readonly u8: () => Uint8Array;
  readonly key: number;
  /** A second key. */
  readonly previous: number;
  readonly value: number;
  readonly guarded: <T>(body: () => Flow<T>, site?: PinSite) => Flow<T>;
}

export const noBatch = (errno: number): BatchResult => ({
  errno,
  count: 0,
  next: undefined,
  keys: [],
  values: [],
});

class Harvest {
  readonly keys: Uint8Array[] = [];
  readonly values: Uint8Array[] = [];

  constructor(
    private readonly map: BpfMap,
    private readonly room: BatchRoom,
  ) {}

  take(): void {
    const { map, room } = this;
    const u8 = room.u8();
    this.keys.push(u8.slice(room.key, room.key + map.keySize));
    this.values.push(u8.slice(room.value, room.value + map.syscallValueSize));
  }

  result(errno: number, next: Uint8Array | undefined): BatchResult {
    return { errno, count: this.keys.length, next, keys: this.keys, values: this.values };
  }
}

/** BPF_MAP_LOOKUP_BATCH by keys; `from` is the key before the first, none for the start. */
export function* lookupByKeys(
  map: BpfMap,
  room: BatchRoom,
  from: Uint8Array | undefined,
  count: number,
  flags: number,
): Flow<BatchResult> {
  const harvest = new Harvest(map, room);
  if (from !== undefined) room.u8().set(from.subarray(0, map.keySize), room.previous);
  let started = from !== undefined;
  let errno = 0;
  while (harvest.keys.length < count) {
    errno = map.nextKey(started ? room.previous : 0, room.key);
    if (errno !== 0) break;
    started = true;
    errno = yield* room.guarded(() => map.sysLookupFlow(room.key, room.value, flags));
    if (errno !== 0 && errno !== -Errno.ENOENT) return noBatch(errno);
    if (errno === 0) harvest.take();
    room.u8().copyWithin(room.previous, room.key, room.key + map.keySize);
  }
  const some = harvest.keys.length > 0;
  return harvest.result(
    errno,
    some ? room.u8().slice(room.previous, room.previous + map.keySize) : undefined,
  );
}

/**
 * BPF_MAP_LOOKUP_BATCH and BPF_MAP_LOOKUP_AND_DELETE_BATCH of hash tables: whole buckets only, -ENOSPC when the first has
 * more elements than there is room for. `from` is a bucket's number.
 */
export function* lookupByBuckets(
  map: HashMap,
  room: BatchRoom,
  from: Uint8Array | undefined,
  count: number,
  remove: boolean,
): Flow<BatchResult> {
  const first = new Uint8Array(4);
  if (from !== undefined) first.set(from.subarray(0, 4));
  let bucket = new DataView(first.buffer).getUint32(0, true);
  if (bucket >= map.bucketCount) return noBatch(-Errno.ENOENT);
  const harvest = new Harvest(map, room);
  const visit = (elem: number): void => {
    map.copyElem(elem, room.key, room.value);
    harvest.take();
  };
  let errno = 0;
  for (; bucket < map.bucketCount; bucket++) {
    const at = bucket;
    const left = count - harvest.keys.length;
    const found = yield* room.guarded(() => map.readBucket(at, left, remove, visit), 'pinHtab');
    if (found < 0) errno = found;
    else if (found > left && harvest.keys.length === 0) errno = -Errno.ENOSPC;
    if (found < 0 || found > left) break;
  }
  if (bucket === map.bucketCount) errno = -Errno.ENOENT;
  const next = new Uint8Array(4);
  new DataView(next.buffer).setUint32(0, bucket, true);
  return harvest.result(errno, next);
}

/** BPF_MAP_UPDATE_BATCH. */
export function* updateBatch(
  map: BpfMap,
  room: BatchRoom,
  keys: readonly Uint8Array[],
  values: readonly Uint8Array[],
  flags: number,
): Flow<BatchCount> {
  for (const [i, key] of keys.entries()) {
    room.u8().set(key.subarray(0, map.keySize), room.key);
    room.u8().set(values[i]!.subarray(0, map.syscallValueSize), room.value);
    const errno = yield* room.guarded(() => map.sysUpdateFlow(room.key, room.value, flags));
    if (errno !== 0) return { errno, count: i };
  }
  return { errno: 0, count: keys.length };
}

/** BPF_MAP_DELETE_BATCH. */
export function* deleteBatch(map: BpfMap, room: BatchRoom, keys: readonly Uint8Array[]): Flow<BatchCount> {
  for (const [i, key] of keys.entries()) {
    room.u8().set(key.subarray(0, map.keySize), room.key);
    const errno = yield* room.guarded(() => map.sysDeleteFlow(room.key));
    if (errno !== 0) return { errno, count: i };
  }
  return { errno: 0, count: keys.length };
}
