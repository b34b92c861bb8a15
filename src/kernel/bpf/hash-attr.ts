/** What BPF_MAP_CREATE checks of hash tables, and what their attributes decide. Models htab_map_alloc_check in kernel/bpf/hashtab.c. */
import { MapFlag } from '../../abi/map-flags.js';
import { MapType } from '../../abi/map-types.js';
import {
  ACCESS_FLAGS,
  accessFlagsOk,
  KMALLOC_MAX_SIZE,
  type MapAttr,
  PERCPU_MAX_VALUE,
  requireAttr,
  roundUp8,
} from './map.js';

const CREATE_FLAGS =
  MapFlag.BPF_F_NO_PREALLOC |
  MapFlag.BPF_F_NO_COMMON_LRU |
  MapFlag.BPF_F_NUMA_NODE |
  ACCESS_FLAGS |
  MapFlag.BPF_F_ZERO_SEED;

/** sizeof(struct htab_elem), which counts towards an element's largest size. */
export const ELEM_HEADER = 48;

const LRU_TYPES: readonly MapType[] = [MapType.lru_hash, MapType.lru_percpu_hash];
const PERCPU_TYPES: readonly MapType[] = [MapType.percpu_hash, MapType.lru_percpu_hash];

export function isLru(attr: MapAttr): boolean {
  return LRU_TYPES.includes(attr.type);
}

export function isPerCpu(attr: MapAttr): boolean {
  return PERCPU_TYPES.includes(attr.type);
}

/** With BPF_F_NO_COMMON_LRU every CPU gets as many elements as any other. */
export function entriesOf(attr: MapAttr, cpus: number): number {
  if ((attr.mapFlags & MapFlag.BPF_F_NO_COMMON_LRU) === 0) return attr.maxEntries;
  const up = Math.ceil(attr.maxEntries / cpus) * cpus;
  return up > 0xffffffff ? Math.floor(attr.maxEntries / cpus) * cpus : up;
}

/** What is taken when the map is created: buckets and links, and the elements unless they are allocated one by one. */
export function bytesOf(attr: MapAttr, cpus: number): number {
  const prealloc = (attr.mapFlags & MapFlag.BPF_F_NO_PREALLOC) === 0;
  const value = roundUp8(attr.valueSize) * (isPerCpu(attr) ? cpus : 1);
  return attr.maxEntries * (16 + (prealloc ? roundUp8(attr.keySize) + value : 0));
}

export function checkHashAttr(attr: MapAttr): void {
  const { mapFlags, keySize, valueSize } = attr;
  const lru = isLru(attr);
  const commonLru = (mapFlags & MapFlag.BPF_F_NO_COMMON_LRU) === 0;
  const prealloc = (mapFlags & MapFlag.BPF_F_NO_PREALLOC) === 0;
  const flagsOk = (mapFlags & ~CREATE_FLAGS) === 0 && accessFlagsOk(mapFlags);
  requireAttr(flagsOk, attr, 'EINVAL', 'flags it does not take');
  requireAttr(lru || commonLru, attr, 'EINVAL', 'BPF_F_NO_COMMON_LRU is for LRU maps');
  requireAttr(!lru || prealloc, attr, 'ENOTSUPP', 'an LRU map is always preallocated');
  const spread = isPerCpu(attr) || !commonLru;
  requireAttr(attr.numaNode === undefined || !spread, attr, 'EINVAL', 'a NUMA node makes no sense per CPU');
  const sizes = attr.maxEntries > 0 && keySize > 0 && valueSize > 0;
  requireAttr(sizes, attr, 'EINVAL', 'max_entries, key size or value size is 0');
  const fits = keySize + valueSize < KMALLOC_MAX_SIZE - ELEM_HEADER;
  requireAttr(fits, attr, 'E2BIG', 'key and value are too large');
  const perCpuFits = !isPerCpu(attr) || roundUp8(valueSize) <= PERCPU_MAX_VALUE;
  requireAttr(perCpuFits, attr, 'E2BIG', 'value too large per CPU');
}
