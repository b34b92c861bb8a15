// SPDX-License-Identifier: MIT
/* A dispatcher with a stage a protocol: the entry program tail-calls into a program array by protocol, and a stage
 * tail-calls on. Stages answer pings in place (XDP_TX), clamp the lifetime of packets, and drop what has no stage.
 * What a stage needs from an earlier one travels in front of the packet, in its metadata. */
#include "include/packet.h"

enum stage {
	STAGE_IPV4,
	STAGE_IPV6,
	STAGE_ICMP,
	STAGE_TRANSPORT,
	STAGE_ARP, /* left empty: user space may fill it in */
	STAGES,
};

struct metadata {
	__u32 network; /* offset of the network header */
	__u32 transport; /* offset of what follows it */
};

int ipv4_stage(struct xdp_md *ctx);
int ipv6_stage(struct xdp_md *ctx);
int icmp_stage(struct xdp_md *ctx);
int transport_stage(struct xdp_md *ctx);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, STAGES);
	__uint(key_size, sizeof(__u32));
	__array(values, int(void *));
} stages SEC(".maps") = {
	.values = {
		[STAGE_IPV4] = (void *)&ipv4_stage,
		[STAGE_IPV6] = (void *)&ipv6_stage,
		[STAGE_ICMP] = (void *)&icmp_stage,
		[STAGE_TRANSPORT] = (void *)&transport_stage,
	},
};

__u64 stage_hits[STAGES + 1] = {}; /* the last: no stage there */

const volatile __u8 lowest_ttl = 2;

static __always_inline struct metadata *metadata_of(struct xdp_md *ctx)
{
	struct metadata *meta = (void *)(long)ctx->data_meta;

	return (void *)(meta + 1) > (void *)(long)ctx->data ? NULL : meta;
}

static __always_inline void hit(enum stage stage)
{
	__sync_fetch_and_add(&stage_hits[stage], 1);
}

static __always_inline __u16 fold(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return (sum & 0xffff) + (sum >> 16);
}

SEC("xdp")
int dispatch(struct xdp_md *ctx)
{
	struct cursor cur;
	struct metadata *meta;
	__u32 network;
	__be16 proto;

	if (bpf_xdp_adjust_meta(ctx, -(int)sizeof(*meta)))
		return XDP_ABORTED;
	cur.pos = (void *)(long)ctx->data;
	cur.end = (void *)(long)ctx->data_end;
	proto = parse_ethernet(&cur);
	network = cur.pos - (void *)(long)ctx->data;
	meta = metadata_of(ctx);
	if (!meta)
		return XDP_ABORTED;
	meta->network = network;
	meta->transport = 0;
	if (proto == bpf_htons(ETH_P_IP))
		bpf_tail_call(ctx, &stages, STAGE_IPV4);
	else if (proto == bpf_htons(ETH_P_IPV6))
		bpf_tail_call(ctx, &stages, STAGE_IPV6);
	else if (proto == bpf_htons(ETH_P_ARP))
		bpf_tail_call(ctx, &stages, STAGE_ARP);
	__sync_fetch_and_add(&stage_hits[STAGES], 1);
	return XDP_DROP;
}

SEC("xdp")
int ipv4_stage(struct xdp_md *ctx)
{
	struct metadata *meta = metadata_of(ctx);
	struct cursor cur = { .end = (void *)(long)ctx->data_end };
	struct iphdr *ip;

	hit(STAGE_IPV4);
	if (!meta || meta->network > 64)
		return XDP_ABORTED;
	cur.pos = (void *)(long)ctx->data + meta->network;
	ip = parse_ipv4(&cur);
	if (!ip || ip->ttl < lowest_ttl)
		return XDP_DROP;
	meta->transport = meta->network + ip->ihl * 4;
	if (ip->protocol == IPPROTO_ICMP && ip->ihl == 5)
		bpf_tail_call(ctx, &stages, STAGE_ICMP);
	else
		bpf_tail_call(ctx, &stages, STAGE_TRANSPORT);
	return XDP_DROP;
}

SEC("xdp")
int ipv6_stage(struct xdp_md *ctx)
{
	struct metadata *meta = metadata_of(ctx);
	struct ipv6hdr *ip;

	hit(STAGE_IPV6);
	if (!meta || meta->network > 64)
		return XDP_ABORTED;
	ip = (void *)(long)ctx->data + meta->network;
	if ((void *)(ip + 1) > (void *)(long)ctx->data_end || ip->hop_limit < lowest_ttl)
		return XDP_DROP;
	meta->transport = meta->network + sizeof(*ip);
	bpf_tail_call(ctx, &stages, STAGE_TRANSPORT);
	return XDP_DROP;
}

/* Turns an echo request into its reply where it lies. */
SEC("xdp")
int icmp_stage(struct xdp_md *ctx)
{
	struct metadata *meta = metadata_of(ctx);
	struct ethhdr *eth = (void *)(long)ctx->data;
	unsigned char mac[ETH_ALEN];
	struct icmp_echo *icmp;
	struct iphdr *ip;
	__be32 addr;

	hit(STAGE_ICMP);
	if (!meta || meta->network > 64)
		return XDP_ABORTED;
	ip = (void *)eth + meta->network;
	icmp = (void *)(ip + 1);
	if ((void *)(eth + 1) > (void *)(long)ctx->data_end || (void *)(icmp + 1) > (void *)(long)ctx->data_end)
		return XDP_DROP;
	if (icmp->type != ICMP_ECHO)
		return XDP_PASS;
	__builtin_memcpy(mac, eth->h_dest, ETH_ALEN);
	__builtin_memcpy(eth->h_dest, eth->h_source, ETH_ALEN);
	__builtin_memcpy(eth->h_source, mac, ETH_ALEN);
	addr = ip->saddr;
	ip->saddr = ip->daddr;
	ip->daddr = addr;
	icmp->type = ICMP_ECHOREPLY;
	/* The type's byte fell by ICMP_ECHO, so the ones' complement sum rises by as much. */
	icmp->checksum = fold(icmp->checksum + (__u32)bpf_htons(ICMP_ECHO << 8));
	/* The reply carries no metadata. */
	if (bpf_xdp_adjust_meta(ctx, sizeof(*meta)))
		return XDP_ABORTED;
	return XDP_TX;
}

SEC("xdp")
int transport_stage(struct xdp_md *ctx)
{
	struct metadata *meta = metadata_of(ctx);

	hit(STAGE_TRANSPORT);
	if (!meta || bpf_xdp_adjust_meta(ctx, sizeof(*meta)))
		return XDP_ABORTED;
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
