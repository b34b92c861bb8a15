/**
 * The map commands of `bpf()`: maps by object instead of by descriptor, keys and values as bytes. What Linux answers with
 * an errno is a negative number here, or a `SyscallError` where something would have been created. Models
 * kernel/bpf/syscall.c of Linux 6.18. Values that hold descriptors take them from `kernel.files`. Each command that
 * touches elements is a flow, for simulated tasks, and a plain call that drives it, for the host.
 */
import { Errno } from '../../abi/errno.js';
import { MapFlag, UpdateFlag } from '../../abi/map-flags.js';
import { MapType } from '../../abi/map-types.js';
import type { Region } from '../../vm/index.js';
import { SyscallError } from '../errors.js';
import type { Machine } from '../machine.js';
import type { Flow } from '../sched/flow.js';
import { ArrayOfMapsMap, ProgArrayMap } from './fd-array.js';
import { HashOfMapsMap } from './hash-of-maps.js';
import { HashMap } from './hashtab.js';
import type { BpfMap, MapAttr } from './map.js';
import {
  type BatchCount,
  type BatchResult,
  type BatchRoom,
  deleteBatch,
  lookupByBuckets,
  lookupByKeys,
  noBatch,
  updateBatch,
} from './map-batch.js';
import { createMap } from './map-create.js';
import type { BpfProg } from './prog.js';
import type { PinSite } from './recursion.js';

/** What BPF_OBJ_GET_INFO_BY_FD tells of a map (`struct bpf_map_info`). */
export interface MapInfo {
  readonly type: MapType;
  readonly id: number;
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
  readonly mapFlags: number;
  readonly mapExtra: bigint;
  /** Cut to 15 characters, as Linux keeps it. */
  readonly name: string;
  readonly btfKeyTypeId: number;
  readonly btfValueTypeId: number;
  readonly btfVmlinuxValueTypeId: number;
  readonly frozen: boolean;
}

/** Longest name of a map, without its NUL. */
const MAX_NAME = 15;
const { BPF_F_LOCK } = UpdateFlag;
/** Maps whose updates may sleep, and are not guarded against programs that watch them. */
const SLEEPING: readonly MapType[] = [
  MapType.cpumap,
  MapType.arena,
  MapType.struct_ops,
  MapType.sockmap,
  MapType.sockhash,
  MapType.prog_array,
];

/** Memory offsets. */
interface Staged {
  readonly key: number;
  readonly previous: number;
  readonly value: number;
}

export class MapSyscalls {
  /** Buffers for keys and values that no call uses now. */
  private readonly buffers: Region[] = [];

  constructor(protected readonly kernel: Machine) {}

  /** BPF_MAP_CREATE. Throws `SyscallError` with Linux's errno. */
  mapCreate(attr: MapAttr): BpfMap {
    return createMap(this.kernel, attr);
  }

  /** BPF_MAP_FREEZE. */
  mapFreeze(map: BpfMap): number {
    if (map.type === MapType.struct_ops || map.record !== undefined) return -Errno.ENOTSUPP;
    if (!this.mayWrite(map)) return -Errno.EPERM;
    map.frozen = true;
    return 0;
  }

  /** BPF_OBJ_GET_INFO_BY_FD. */
  mapInfo(map: BpfMap): MapInfo {
    const { attr } = map;
    return {
      type: map.type,
      id: map.id,
      keySize: map.keySize,
      valueSize: map.valueSize,
      maxEntries: map.maxEntries,
      mapFlags: map.mapFlags,
      mapExtra: map.mapExtra,
      name: map.name.slice(0, MAX_NAME),
      btfKeyTypeId: attr.btfKeyTypeId ?? 0,
      btfValueTypeId: attr.btfValueTypeId ?? 0,
      btfVmlinuxValueTypeId: attr.btfVmlinuxValueTypeId ?? 0,
      frozen: map.frozen,
    };
  }

  /** BPF_MAP_LOOKUP_ELEM: the value, or a negative errno. A bloom filter is asked whether it has `value`. */
  mapLookup(map: BpfMap, key: Uint8Array, flags = 0, value?: Uint8Array): Uint8Array | number {
    return this.kernel.executor.drive(this.mapLookupFlow(map, key, flags, value));
  }

  *mapLookupFlow(map: BpfMap, key: Uint8Array, flags = 0, value?: Uint8Array): Flow<Uint8Array | number> {
    if (flags !== 0 && flags !== BPF_F_LOCK) return -Errno.EINVAL;
    if (!this.mayRead(map)) return -Errno.EPERM;
    if (lacksLock(map, flags)) return -Errno.EINVAL;
    const { memory } = this.kernel;
    const guard = this.guarded;
    return yield* this.staged(map, key, function* (at) {
      if (value !== undefined) memory.u8.set(value.subarray(0, map.syscallValueSize), at.value);
      const result = yield* guard(() => map.sysLookupFlow(at.key, at.value, flags));
      return result < 0 ? result : memory.u8.slice(at.value, at.value + map.syscallValueSize);
    });
  }

  /** BPF_MAP_LOOKUP_AND_DELETE_ELEM. */
  mapLookupAndDelete(map: BpfMap, key: Uint8Array, flags = 0): Uint8Array | number {
    return this.kernel.executor.drive(this.mapLookupAndDeleteFlow(map, key, flags));
  }

  *mapLookupAndDeleteFlow(map: BpfMap, key: Uint8Array, flags = 0): Flow<Uint8Array | number> {
    if (flags !== 0 && flags !== BPF_F_LOCK) return -Errno.EINVAL;
    if (!this.mayRead(map) || !this.mayWrite(map)) return -Errno.EPERM;
    if (lacksLock(map, flags)) return -Errno.EINVAL;
    const { memory } = this.kernel;
    const guard = map instanceof HashMap ? this.guarded : unguarded;
    return yield* this.staged(map, key, function* (at) {
      const result = yield* guard(() => map.sysLookupAndDeleteFlow(at.key, at.value, flags));
      return result < 0 ? result : memory.u8.slice(at.value, at.value + map.syscallValueSize);
    });
  }

  /** BPF_MAP_UPDATE_ELEM: 0 or a negative errno. */
  mapUpdate(map: BpfMap, key: Uint8Array, value: Uint8Array, flags = 0): number {
    return this.kernel.executor.drive(this.mapUpdateFlow(map, key, value, flags));
  }

  *mapUpdateFlow(map: BpfMap, key: Uint8Array, value: Uint8Array, flags = 0): Flow<number> {
    if (!this.mayWrite(map)) return -Errno.EPERM;
    if (lacksLock(map, flags)) return -Errno.EINVAL;
    if (value.length !== map.syscallValueSize) return -Errno.EINVAL;
    const { memory } = this.kernel;
    const guard = this.guardOf(map);
    return yield* this.staged(map, key, function* (at) {
      memory.u8.set(value, at.value);
      return yield* guard(() => map.sysUpdateFlow(at.key, at.value, flags));
    });
  }

  /** BPF_MAP_DELETE_ELEM. */
  mapDelete(map: BpfMap, key: Uint8Array): number {
    return this.kernel.executor.drive(this.mapDeleteFlow(map, key));
  }

  *mapDeleteFlow(map: BpfMap, key: Uint8Array): Flow<number> {
    if (!this.mayWrite(map)) return -Errno.EPERM;
    const sleeps = map.type === MapType.prog_array || map.type === MapType.struct_ops;
    const guard = sleeps ? unguarded : this.guarded;
    return yield* this.staged(map, key, function* (at) {
      return yield* guard(() => map.sysDeleteFlow(at.key));
    });
  }

  /** BPF_MAP_GET_NEXT_KEY: the key after `key` (undefined: the first), or a negative errno. */
  mapNextKey(map: BpfMap, key?: Uint8Array): Uint8Array | number {
    return this.kernel.executor.drive(this.mapNextKeyFlow(map, key));
  }

  *mapNextKeyFlow(map: BpfMap, key?: Uint8Array): Flow<Uint8Array | number> {
    if (!this.mayRead(map)) return -Errno.EPERM;
    const { memory } = this.kernel;
    return yield* this.staged(map, key ?? new Uint8Array(map.keySize), function* (at) {
      const result = map.nextKey(key === undefined ? 0 : at.key, at.previous);
      return result < 0 ? result : memory.u8.slice(at.previous, at.previous + map.keySize);
    });
  }

  /** All keys and values, in the map's own order. */
  *mapEntries(map: BpfMap): Generator<{ readonly key: Uint8Array; readonly value: Uint8Array }> {
    for (let key = this.mapNextKey(map); typeof key !== 'number'; key = this.mapNextKey(map, key)) {
      const value = this.mapLookup(map, key);
      if (typeof value !== 'number') yield { key, value };
    }
  }

  /** BPF_MAP_LOOKUP_BATCH. `from` is what the call before gave as `next`, undefined for the start. */
  mapLookupBatch(map: BpfMap, from: Uint8Array | undefined, count: number, flags = 0): BatchResult {
    return this.kernel.executor.drive(this.mapLookupBatchFlow(map, from, count, flags));
  }

  *mapLookupBatchFlow(
    map: BpfMap,
    from: Uint8Array | undefined,
    count: number,
    flags = 0,
  ): Flow<BatchResult> {
    const how = map.batchOps.lookup;
    const refused = this.batchRefused(map, how !== undefined, false, flags, true);
    if (refused !== 0 || count === 0) return noBatch(refused);
    return yield* this.inRoom(map, (room) =>
      how === 'buckets' && map instanceof HashMap
        ? lookupByBuckets(map, room, from, count, false)
        : lookupByKeys(map, room, from, count, flags),
    );
  }

  /** BPF_MAP_LOOKUP_AND_DELETE_BATCH. */
  mapLookupAndDeleteBatch(map: BpfMap, from: Uint8Array | undefined, count: number, flags = 0): BatchResult {
    return this.kernel.executor.drive(this.mapLookupAndDeleteBatchFlow(map, from, count, flags));
  }

  *mapLookupAndDeleteBatchFlow(
    map: BpfMap,
    from: Uint8Array | undefined,
    count: number,
    flags = 0,
  ): Flow<BatchResult> {
    const table = map.batchOps.lookupAndDelete !== undefined && map instanceof HashMap ? map : undefined;
    const refused = this.batchRefused(map, table !== undefined, true, flags, true);
    if (refused !== 0 || count === 0 || table === undefined) return noBatch(refused);
    return yield* this.inRoom(map, (room) => lookupByBuckets(table, room, from, count, true));
  }

  /** BPF_MAP_UPDATE_BATCH: how many were stored; as Linux leaves it, the number asked for where none was tried. */
  mapUpdateBatch(
    map: BpfMap,
    keys: readonly Uint8Array[],
    values: readonly Uint8Array[],
    flags = 0,
  ): BatchCount {
    return this.kernel.executor.drive(this.mapUpdateBatchFlow(map, keys, values, flags));
  }

  *mapUpdateBatchFlow(
    map: BpfMap,
    keys: readonly Uint8Array[],
    values: readonly Uint8Array[],
    flags = 0,
  ): Flow<BatchCount> {
    const refused = this.batchRefused(map, map.batchOps.update !== undefined, true, flags, false);
    if (refused !== 0) return { errno: refused, count: keys.length };
    return yield* this.inRoom(map, (room) => updateBatch(map, room, keys, values, flags));
  }

  /** BPF_MAP_DELETE_BATCH: how many were deleted, by the same rule. */
  mapDeleteBatch(map: BpfMap, keys: readonly Uint8Array[], flags = 0): BatchCount {
    return this.kernel.executor.drive(this.mapDeleteBatchFlow(map, keys, flags));
  }

  *mapDeleteBatchFlow(map: BpfMap, keys: readonly Uint8Array[], flags = 0): Flow<BatchCount> {
    const refused = this.batchRefused(map, map.batchOps.delete !== undefined, true, flags, false);
    if (refused !== 0) return { errno: refused, count: keys.length };
    return yield* this.inRoom(map, (room) => deleteBatch(map, room, keys));
  }

  /** BPF_MAP_UPDATE_ELEM of a map of maps or a program array, with the object in place of its descriptor. */
  mapUpdateFd(map: BpfMap, index: number, target: BpfMap | BpfProg, flags = 0): number {
    if (map instanceof ProgArrayMap && 'program' in target) return map.setSlot(index, target, flags);
    if ('program' in target) return -Errno.EINVAL;
    if (map instanceof ArrayOfMapsMap) return map.setSlot(index, target, flags);
    if (map instanceof HashOfMapsMap) {
      const key = new Uint8Array(map.keySize);
      new DataView(key.buffer).setUint32(0, index, true);
      return this.kernel.executor.drive(
        this.staged(map, key, function* (at) {
          return map.setMap(at.key, target, flags, at.value);
        }),
      );
    }
    return -Errno.EINVAL;
  }

  /** The descriptor that made the map can read. */
  private mayRead(map: BpfMap): boolean {
    return (map.mapFlags & MapFlag.BPF_F_WRONLY) === 0;
  }

  /** The descriptor that made the map can write, and the map is not frozen. */
  private mayWrite(map: BpfMap): boolean {
    return (map.mapFlags & MapFlag.BPF_F_RDONLY) === 0 && !map.frozen;
  }

  private batchRefused(map: BpfMap, there: boolean, write: boolean, flags: number, read: boolean): number {
    if (read && !this.mayRead(map)) return -Errno.EPERM;
    if (write && !this.mayWrite(map)) return -Errno.EPERM;
    if (!there) return -Errno.ENOTSUPP;
    return (flags !== 0 && flags !== BPF_F_LOCK) || lacksLock(map, flags) ? -Errno.EINVAL : 0;
  }

  private guardOf(map: BpfMap): <T>(body: () => Flow<T>) => Flow<T> {
    return SLEEPING.includes(map.type) ? unguarded : this.guarded;
  }

  private readonly guarded = <T>(body: () => Flow<T>, site?: PinSite): Flow<T> =>
    guarded(this.kernel, body, site);

  private *inRoom<T>(map: BpfMap, body: (room: BatchRoom) => Flow<T>): Flow<T> {
    const { memory } = this.kernel;
    const guarded = this.guardOf(map);
    return yield* this.staged(map, new Uint8Array(map.keySize), (at) =>
      body({ u8: () => memory.u8, guarded, ...at }),
    );
  }

  /** Puts a key into engine memory; places for another one and for a value follow it. They are the body's alone. */
  private *staged<T>(map: BpfMap, key: Uint8Array, body: (at: Staged) => Flow<T>): Flow<T> {
    if (key.length !== map.keySize) {
      throw SyscallError.of('EINVAL', `map ${map.name}: a key has ${map.keySize} bytes, not ${key.length}`);
    }
    const keyRoom = Math.ceil(map.keySize / 8) * 8 + 8;
    const buffer = this.takeBuffer(2 * keyRoom + Math.max(map.syscallValueSize, 8));
    const at = buffer.address32;
    this.kernel.memory.u8.set(key, at);
    try {
      return yield* body({ key: at, previous: at + keyRoom, value: at + 2 * keyRoom });
    } finally {
      this.buffers.push(buffer);
    }
  }

  private takeBuffer(size: number): Region {
    const last = this.buffers.pop();
    if (last !== undefined && last.size >= size) return last;
    if (last !== undefined) this.kernel.memory.free(last);
    return this.kernel.memory.alloc(size, 'none');
  }
}

/** bpf_disable_instrumentation and rcu_read_lock around an operation. */
function* guarded<T>(
  { instrumentation, sched }: Machine,
  body: () => Flow<T>,
  site: PinSite = 'pinSysBpf',
): Flow<T> {
  yield* instrumentation.disable(site);
  const { current } = sched;
  current.rcuDepth++;
  try {
    return yield* body();
  } finally {
    current.rcuDepth--;
    yield* instrumentation.enable(site);
  }
}

/** Where Linux leaves programs that watch the operation to run. */
function unguarded<T>(body: () => Flow<T>): Flow<T> {
  return body();
}

/** BPF_F_LOCK is for maps whose values have a `bpf_spin_lock`. */
function lacksLock(map: BpfMap, flags: number): boolean {
  return (flags & BPF_F_LOCK) !== 0 && (map.record === undefined || map.record.spinLock < 0);
}
