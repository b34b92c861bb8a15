// SPDX-License-Identifier: MIT
/* Finds the flows that send most, in constant memory: a count-min sketch of four rows, each hashing the flow with a
 * seed of its own; a flow's bytes are at most the least of its four cells. Flows past the threshold go into a table.
 * The rows are walked by bpf_loop() with a callback; hashing is a static, the estimate a global subprogram. */
#include "include/packet.h"

#define ROWS 4
#define COLUMNS 1024 /* a power of two */

struct flow {
	__be32 source;
	__be32 destination;
	__be16 source_port;
	__be16 destination_port;
	__u32 proto;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, ROWS * COLUMNS);
	__type(key, __u32);
	__type(value, __u64);
} sketch SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 128);
	__type(key, struct flow);
	__type(value, __u64);
} heavy_hitters SEC(".maps");

const volatile __u64 threshold_bytes = 4096;

__u64 total_bytes = 0;

struct visit {
	struct flow flow;
	__u64 bytes;
	__u64 least;
};

/* FNV-1a over the flow's words, then a final mix. */
static __noinline __u32 hash_flow(const struct flow *flow, __u32 seed)
{
	const __u32 *word = (const __u32 *)flow;
	__u32 hash = 2166136261u ^ seed;
	int i;

	for (i = 0; i < sizeof(*flow) / sizeof(*word); i++)
		hash = (hash ^ word[i]) * 16777619u;
	hash ^= hash >> 15;
	hash *= 0x2c1b3c6du;
	return hash ^ (hash >> 12);
}

static long visit_row(__u32 row, void *arg)
{
	struct visit *visit = arg;
	__u32 cell = row * COLUMNS + (hash_flow(&visit->flow, row * 0x9e3779b9u) & (COLUMNS - 1));
	__u64 *bytes = bpf_map_lookup_elem(&sketch, &cell);

	if (!bytes)
		return 1;
	*bytes += visit->bytes;
	if (*bytes < visit->least)
		visit->least = *bytes;
	return 0;
}

/* Adds a packet and returns the flow's estimate. Global: the kernel verifies it by itself, by its types alone. */
__noinline __u64 account(const struct flow *flow, __u64 bytes)
{
	struct visit visit = { .bytes = bytes, .least = -1ULL };

	if (!flow)
		return 0;
	visit.flow = *flow;
	/* A callback's argument has to lie on the stack, so what the caller passed would not do. */
	if (bpf_loop(ROWS, visit_row, &visit, 0) != ROWS)
		return 0;
	return visit.least;
}

SEC("xdp")
int find_heavy_hitters(struct xdp_md *ctx)
{
	struct cursor cur = { .pos = (void *)(long)ctx->data, .end = (void *)(long)ctx->data_end };
	__u64 bytes = cur.end - cur.pos, estimate;
	struct flow flow = {};
	struct iphdr *ip;
	__be16 *ports;

	if (parse_ethernet(&cur) != bpf_htons(ETH_P_IP))
		return XDP_PASS;
	ip = parse_ipv4(&cur);
	if (!ip)
		return XDP_PASS;
	flow.source = ip->saddr;
	flow.destination = ip->daddr;
	flow.proto = ip->protocol;
	ports = (ip->frag_off & bpf_htons(IP_FRAGMENT_BITS)) ? NULL : take(&cur, 2 * sizeof(*ports));
	if (ports && (ip->protocol == IPPROTO_TCP || ip->protocol == IPPROTO_UDP)) {
		flow.source_port = ports[0];
		flow.destination_port = ports[1];
	}
	__sync_fetch_and_add(&total_bytes, bytes);
	estimate = account(&flow, bytes);
	if (estimate >= threshold_bytes)
		bpf_map_update_elem(&heavy_hitters, &flow, &estimate, BPF_ANY);
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
