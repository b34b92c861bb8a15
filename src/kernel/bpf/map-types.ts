/** Which class implements which map type. Types that are not here are refused by name. */
import { MapType } from '../../abi/map-types.js';
import { ArenaMap } from './arena.js';
import { ArrayMap, PerCpuArrayMap } from './arraymap.js';
import { BloomFilterMap } from './bloom-filter.js';
import { CgroupStorageMap } from './cgroup-storage.js';
import { ArrayOfMapsMap, CgroupArrayMap, PerfEventArrayMap, ProgArrayMap } from './fd-array.js';
import { HashOfMapsMap } from './hash-of-maps.js';
import { HashMap } from './hashtab.js';
import { LocalStorageMap } from './local-storage.js';
import { LpmTrieMap } from './lpm-trie.js';
import type { BpfMap, MapAttr, MapHost } from './map.js';
import { QueueStackMap } from './queue-stack-maps.js';
import { DevmapHashMap, RedirectArrayMap, XskMap } from './redirect-maps.js';
import { RingbufMap } from './ringbuf.js';
import { ReuseportArrayMap, SockHashMap, SockMap } from './sock-maps.js';
import { StackMap } from './stackmap.js';
import { StructOpsMap } from './struct-ops.js';
import { UserRingbufMap } from './user-ringbuf.js';

export interface MapClass {
  /** Throws `SyscallError` when BPF_MAP_CREATE would refuse the attributes. */
  check(attr: MapAttr): void;
  /** Throws when the types of keys and values are not what the map type wants of them (`map_check_btf`). */
  checkBtf?(attr: MapAttr): void;
  new (attr: MapAttr, host: MapHost): BpfMap;
}

const CLASSES: ReadonlyMap<MapType, MapClass> = new Map<MapType, MapClass>([
  [MapType.hash, HashMap],
  [MapType.array, ArrayMap],
  [MapType.prog_array, ProgArrayMap],
  [MapType.perf_event_array, PerfEventArrayMap],
  [MapType.percpu_hash, HashMap],
  [MapType.percpu_array, PerCpuArrayMap],
  [MapType.stack_trace, StackMap],
  [MapType.lru_hash, HashMap],
  [MapType.lru_percpu_hash, HashMap],
  [MapType.cgroup_array, CgroupArrayMap],
  [MapType.lpm_trie, LpmTrieMap],
  [MapType.array_of_maps, ArrayOfMapsMap],
  [MapType.hash_of_maps, HashOfMapsMap],
  [MapType.devmap, RedirectArrayMap],
  [MapType.cpumap, RedirectArrayMap],
  [MapType.xskmap, XskMap],
  [MapType.queue, QueueStackMap],
  [MapType.stack, QueueStackMap],
  [MapType.devmap_hash, DevmapHashMap],
  [MapType.ringbuf, RingbufMap],
  [MapType.bloom_filter, BloomFilterMap],
  [MapType.sockmap, SockMap],
  [MapType.sockhash, SockHashMap],
  [MapType.reuseport_sockarray, ReuseportArrayMap],
  [MapType.cgroup_storage, CgroupStorageMap],
  [MapType.percpu_cgroup_storage, CgroupStorageMap],
  [MapType.sk_storage, LocalStorageMap],
  [MapType.inode_storage, LocalStorageMap],
  [MapType.task_storage, LocalStorageMap],
  [MapType.cgrp_storage, LocalStorageMap],
  [MapType.struct_ops, StructOpsMap],
  [MapType.user_ringbuf, UserRingbufMap],
  [MapType.arena, ArenaMap],
]);

export function mapClass(type: MapType): MapClass | undefined {
  return CLASSES.get(type);
}
