/** The kernel's structure behind each type of map, as programs see it through a map pointer (`map_btf_id`, Linux 6.18). */
import { MapType, type MapTypeName } from '../../abi/map-types.js';

const STRUCTS: readonly (readonly [struct: string, types: string])[] = [
  ['bpf_array', 'array percpu_array prog_array perf_event_array cgroup_array array_of_maps'],
  ['bpf_htab', 'hash percpu_hash lru_hash lru_percpu_hash hash_of_maps'],
  ['lpm_trie', 'lpm_trie'],
  ['bpf_stack_map', 'stack_trace'],
  ['bpf_queue_stack', 'queue stack'],
  ['bpf_ringbuf_map', 'ringbuf user_ringbuf'],
  ['bpf_bloom_filter', 'bloom_filter'],
  ['bpf_dtab', 'devmap devmap_hash'],
  ['bpf_cpu_map', 'cpumap'],
  ['xsk_map', 'xskmap'],
  ['bpf_stab', 'sockmap'],
  ['bpf_shtab', 'sockhash'],
  ['reuseport_array', 'reuseport_sockarray'],
  ['bpf_cgroup_storage_map', 'cgroup_storage percpu_cgroup_storage'],
  ['bpf_local_storage_map', 'sk_storage inode_storage task_storage cgrp_storage'],
  ['bpf_struct_ops_map', 'struct_ops'],
  ['bpf_arena', 'arena'],
];

const BY_TYPE: ReadonlyMap<number, string> = new Map(
  STRUCTS.flatMap(([struct, types]) =>
    types.split(' ').map((name) => [MapType[name as MapTypeName], struct] as const),
  ),
);

/** Name of the kernel structure; undefined for a map type that has none. */
export function mapStruct(mapType: number): string | undefined {
  return BY_TYPE.get(mapType);
}
