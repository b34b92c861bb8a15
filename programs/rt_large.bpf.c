// SPDX-License-Identifier: MIT
/*
 * A hash of many elements, all of which are put on free lists when it is created: what that does to a CPU's interrupts is
 * the subject of scenarios/rfc-06-populate.json.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define ELEMENTS 100000

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, ELEMENTS);
	__type(key, __u32);
	__type(value, __u64);
} large SEC(".maps");

SEC("tc")
int count_lengths(struct __sk_buff *skb)
{
	__u32 key = skb->len;
	__u64 one = 1;

	bpf_map_update_elem(&large, &key, &one, BPF_ANY);
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
