/**
 * The map commands of `bpf()`: maps by object instead of by descriptor, keys and values as bytes. What Linux answers with
 * an errno is a negative number here, or a `SyscallError` where something would have been created. Models
 * kernel/bpf/syscall.c of Linux 6.18. Values that hold descriptors take them from `kernel.files`.
 */
import { Errno } from '../../abi/errno.js';
import { MapFlag, UpdateFlag } from '../../abi/map-flags.js';
import { MapType } from '../../abi/map-types.js';
import type { Region } from '../../vm/index.js';
import { SyscallError } from '../errors.js';
import type { Machine } from '../machine.js';
import { ArrayOfMapsMap, ProgArrayMap } from './fd-array.js';
import { HashOfMapsMap } from './hash-of-maps.js';
import { HashMap } from './hashtab.js';
import type { BpfMap, MapAttr } from './map.js';
import {
  type BatchResult,
  type BatchRoom,
  deleteBatch,
  lookupByBuckets,
  lookupByKeys,
  updateBatch,
} from './map-batch.js';
import { createMap } from './map-create.js';
import type { BpfProg } from './prog.js';

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
const NO_KEY = new Uint8Array(0);
const { BPF_F_LOCK } = UpdateFlag;

interface Staged {
  readonly key: number;
  readonly previous: number;
  readonly value: number;
}

export class MapSyscalls {
  /** Where keys and values of system calls are put for the maps to read. */
  private scratch: Region | undefined;

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
    if (flags !== 0 && flags !== BPF_F_LOCK) return -Errno.EINVAL;
    if (!this.mayRead(map)) return -Errno.EPERM;
    if (lacksLock(map, flags)) return -Errno.EINVAL;
    const at = this.stage(map, key);
    if (value !== undefined) this.kernel.memory.u8.set(value.subarray(0, map.syscallValueSize), at.value);
    return this.show(map, map.sysLookup(at.key, at.value, flags), at);
  }

  /** BPF_MAP_LOOKUP_AND_DELETE_ELEM. */
  mapLookupAndDelete(map: BpfMap, key: Uint8Array, flags = 0): Uint8Array | number {
    if (flags !== 0 && flags !== BPF_F_LOCK) return -Errno.EINVAL;
    if (!this.mayRead(map) || !this.mayWrite(map)) return -Errno.EPERM;
    if (lacksLock(map, flags)) return -Errno.EINVAL;
    const at = this.stage(map, key);
    return this.show(map, map.sysLookupAndDelete(at.key, at.value, flags), at);
  }

  /** BPF_MAP_UPDATE_ELEM: 0 or a negative errno. */
  mapUpdate(map: BpfMap, key: Uint8Array, value: Uint8Array, flags = 0): number {
    if (!this.mayWrite(map)) return -Errno.EPERM;
    if (lacksLock(map, flags)) return -Errno.EINVAL;
    const at = this.stage(map, key);
    if (value.length !== map.syscallValueSize) return -Errno.EINVAL;
    this.kernel.memory.u8.set(value, at.value);
    return map.sysUpdate(at.key, at.value, flags);
  }

  /** BPF_MAP_DELETE_ELEM. */
  mapDelete(map: BpfMap, key: Uint8Array): number {
    if (!this.mayWrite(map)) return -Errno.EPERM;
    return map.sysDelete(this.stage(map, key).key);
  }

  /** BPF_MAP_GET_NEXT_KEY: the key after `key` (undefined: the first), or a negative errno. */
  mapNextKey(map: BpfMap, key?: Uint8Array): Uint8Array | number {
    if (!this.mayRead(map)) return -Errno.EPERM;
    const at = this.stage(map, key ?? new Uint8Array(map.keySize));
    const result = map.nextKey(key === undefined ? 0 : at.key, at.value);
    return result < 0 ? result : this.kernel.memory.u8.slice(at.value, at.value + map.keySize);
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
    const how = map.batchOps.lookup;
    const refused = this.batchRefused(map, how !== undefined, false, flags, true);
    if (refused !== 0 || count === 0) return refusedBatch(refused);
    const room = this.batchRoom(map);
    return how === 'buckets' && map instanceof HashMap
      ? lookupByBuckets(map, room, from, count, false)
      : lookupByKeys(map, room, from, count, flags);
  }

  /** BPF_MAP_LOOKUP_AND_DELETE_BATCH. */
  mapLookupAndDeleteBatch(map: BpfMap, from: Uint8Array | undefined, count: number, flags = 0): BatchResult {
    const there = map.batchOps.lookupAndDelete !== undefined && map instanceof HashMap;
    const refused = this.batchRefused(map, there, true, flags, true);
    if (refused !== 0 || count === 0 || !there) return refusedBatch(refused);
    return lookupByBuckets(map, this.batchRoom(map), from, count, true);
  }

  /** BPF_MAP_UPDATE_BATCH: how many were stored; as Linux leaves it, the number asked for where none was tried. */
  mapUpdateBatch(
    map: BpfMap,
    keys: readonly Uint8Array[],
    values: readonly Uint8Array[],
    flags = 0,
  ): { readonly errno: number; readonly count: number } {
    const refused = this.batchRefused(map, map.batchOps.update !== undefined, true, flags, false);
    if (refused !== 0) return { errno: refused, count: keys.length };
    return updateBatch(map, this.batchRoom(map), keys, values, flags);
  }

  /** BPF_MAP_DELETE_BATCH: how many were deleted, by the same rule. */
  mapDeleteBatch(
    map: BpfMap,
    keys: readonly Uint8Array[],
    flags = 0,
  ): { readonly errno: number; readonly count: number } {
    const refused = this.batchRefused(map, map.batchOps.delete !== undefined, true, flags, false);
    if (refused !== 0) return { errno: refused, count: keys.length };
    return deleteBatch(map, this.batchRoom(map), keys);
  }

  /** BPF_MAP_UPDATE_ELEM of a map of maps or a program array, with the object in place of its descriptor. */
  mapUpdateFd(map: BpfMap, index: number, target: BpfMap | BpfProg, flags = 0): number {
    if (map instanceof ProgArrayMap && 'program' in target) return map.setSlot(index, target, flags);
    if ('program' in target) return -Errno.EINVAL;
    if (map instanceof ArrayOfMapsMap) return map.setSlot(index, target, flags);
    if (map instanceof HashOfMapsMap) {
      const key = new Uint8Array(map.keySize);
      new DataView(key.buffer).setUint32(0, index, true);
      const at = this.stage(map, key);
      return map.setMap(at.key, target, flags, at.value);
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

  private show(map: BpfMap, result: number, at: Staged): Uint8Array | number {
    return result < 0 ? result : this.kernel.memory.u8.slice(at.value, at.value + map.syscallValueSize);
  }

  private batchRoom(map: BpfMap): BatchRoom {
    const { key, previous, value } = this.stage(map, new Uint8Array(map.keySize));
    return { u8: () => this.kernel.memory.u8, key, previous, value };
  }

  /** Puts a key into engine memory; places for another one and for a value follow it. */
  private stage(map: BpfMap, key: Uint8Array): Staged {
    if (key.length !== map.keySize && !(map.keySize === 0 && key === NO_KEY)) {
      throw SyscallError.of('EINVAL', `map ${map.name}: a key has ${map.keySize} bytes, not ${key.length}`);
    }
    const keyRoom = Math.ceil(map.keySize / 8) * 8 + 8;
    const room = 2 * keyRoom + Math.max(map.syscallValueSize, map.keySize, 8);
    if (this.scratch === undefined || this.scratch.size < room) {
      if (this.scratch !== undefined) this.kernel.memory.free(this.scratch);
      this.scratch = this.kernel.memory.alloc(room, 'none');
    }
    const at = this.scratch.address32;
    this.kernel.memory.u8.set(key, at);
    return { key: at, previous: at + keyRoom, value: at + 2 * keyRoom };
  }
}

const refusedBatch = (errno: number): BatchResult => ({
  errno,
  count: 0,
  next: undefined,
  keys: [],
  values: [],
});

/** BPF_F_LOCK is for maps whose values have a `bpf_spin_lock`. */
function lacksLock(map: BpfMap, flags: number): boolean {
  return (flags & BPF_F_LOCK) !== 0 && (map.record === undefined || map.record.spinLock < 0);
}
