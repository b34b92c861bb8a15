/**
 * Map types of Linux 6.18 (`enum bpf_map_type`, include/uapi/linux/bpf.h): number ↔ name in the spelling
 * of libbpf and bpftool. `cgroup_storage` and `percpu_cgroup_storage` are the kernel's deprecated ones.
 */
export const MapType = {
  unspec: 0,
  hash: 1,
  array: 2,
  prog_array: 3,
  perf_event_array: 4,
  percpu_hash: 5,
  percpu_array: 6,
  stack_trace: 7,
  cgroup_array: 8,
  lru_hash: 9,
  lru_percpu_hash: 10,
  lpm_trie: 11,
  array_of_maps: 12,
  hash_of_maps: 13,
  devmap: 14,
  sockmap: 15,
  cpumap: 16,
  xskmap: 17,
  sockhash: 18,
  cgroup_storage: 19,
  reuseport_sockarray: 20,
  percpu_cgroup_storage: 21,
  queue: 22,
  stack: 23,
  sk_storage: 24,
  devmap_hash: 25,
  struct_ops: 26,
  ringbuf: 27,
  inode_storage: 28,
  task_storage: 29,
  bloom_filter: 30,
  user_ringbuf: 31,
  cgrp_storage: 32,
  arena: 33,
} as const;

/** Number of a map type, as Linux has it. */
export type MapType = (typeof MapType)[keyof typeof MapType];

/** libbpf's name of a map type. */
export type MapTypeName = keyof typeof MapType;

const nameOf: ReadonlyMap<number, MapTypeName> = new Map(
  (Object.keys(MapType) as MapTypeName[]).map((name) => [MapType[name], name]),
);

/** True for a number that Linux 6.18 has a map type for. */
export function isMapType(value: number): value is MapType {
  return nameOf.has(value);
}

/** libbpf's spelling, or `map_type_N` for a number that Linux 6.18 does not know. */
export function mapTypeName(value: number): string {
  return nameOf.get(value) ?? `map_type_${value}`;
}

/** The number behind a name (libbpf's spelling, any case, with or without `BPF_MAP_TYPE_`); undefined if unknown. */
export function mapTypeByName(name: string): MapType | undefined {
  const key = name.toLowerCase().replace(/^bpf_map_type_/, '');
  return Object.hasOwn(MapType, key) ? MapType[key as MapTypeName] : undefined;
}
