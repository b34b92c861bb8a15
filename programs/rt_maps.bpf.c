// SPDX-License-Identifier: MIT
/*
 * One hash that is preallocated and one that allocates at run time, both written for every packet. With PREEMPT_RT the
 * first one's buckets have raw locks, which never sleep, the second one's, in the kernels that have both kinds, locks that
 * do, since its elements come from an allocator that does. The other programs get in between: a kprobe inside the update
 * of a hash, and a perf event's sample that writes the preallocated one.
 */
#include "include/kernel_types.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#define FLOWS 64
#define SHORTEST 60 /* bytes of a frame */

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, FLOWS);
	__type(key, __u32); /* length of a packet */
	__type(value, __u64);
} preallocated SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, FLOWS);
	__type(key, __u32);
	__type(value, __u64);
} allocating SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} updates SEC(".maps");

SEC("tc")
int count_packets(struct __sk_buff *skb)
{
	__u32 key = skb->len;
	__u64 now = bpf_ktime_get_ns();

	bpf_map_update_elem(&preallocated, &key, &now, BPF_ANY);
	bpf_map_update_elem(&allocating, &key, &now, BPF_ANY);
	return 0; /* TC_ACT_OK */
}

SEC("kprobe/htab_map_update_elem")
int watch_updates(struct pt_regs *ctx)
{
	__u32 key = 0;
	__u64 *count = bpf_map_lookup_elem(&updates, &key);

	if (count)
		__sync_fetch_and_add(count, 1);
	return 0;
}

SEC("perf_event")
int sample(void *ctx)
{
	__u32 key = SHORTEST;
	__u64 now = bpf_ktime_get_ns();

	bpf_map_update_elem(&preallocated, &key, &now, BPF_ANY);
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
