// SPDX-License-Identifier: MIT
/* Counts packets and bytes per protocol, on each CPU by itself, and lets everything pass. */
#include "include/packet.h"

enum slot {
	SLOT_TCP,
	SLOT_UDP,
	SLOT_ICMP,
	SLOT_ICMPV6,
	SLOT_OTHER_IPV4,
	SLOT_OTHER_IPV6,
	SLOT_FRAGMENT,
	SLOT_ARP,
	SLOT_OTHER,
	SLOT_MALFORMED,
	SLOTS,
};

struct counter {
	__u64 packets;
	__u64 bytes;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SLOTS);
	__type(key, __u32);
	__type(value, struct counter);
} counters SEC(".maps");

static __always_inline enum slot transport_slot(__u8 proto, enum slot other)
{
	switch (proto) {
	case IPPROTO_TCP:
		return SLOT_TCP;
	case IPPROTO_UDP:
		return SLOT_UDP;
	case IPPROTO_ICMP:
		return SLOT_ICMP;
	case IPPROTO_ICMPV6:
		return SLOT_ICMPV6;
	default:
		return other;
	}
}

static __always_inline enum slot classify(struct cursor *cur)
{
	__u8 proto, fragment;
	struct iphdr *ip;

	switch (parse_ethernet(cur)) {
	case 0:
		return SLOT_MALFORMED;
	case bpf_htons(ETH_P_IP):
		ip = parse_ipv4(cur);
		if (!ip)
			return SLOT_MALFORMED;
		if (ip->frag_off & bpf_htons(IP_FRAGMENT_BITS))
			return SLOT_FRAGMENT;
		return transport_slot(ip->protocol, SLOT_OTHER_IPV4);
	case bpf_htons(ETH_P_IPV6):
		if (!parse_ipv6(cur, &proto, &fragment))
			return SLOT_MALFORMED;
		return fragment ? SLOT_FRAGMENT : transport_slot(proto, SLOT_OTHER_IPV6);
	case bpf_htons(ETH_P_ARP):
		return SLOT_ARP;
	default:
		return SLOT_OTHER;
	}
}

SEC("xdp")
int count_packets(struct xdp_md *ctx)
{
	struct cursor cur = { .pos = (void *)(long)ctx->data, .end = (void *)(long)ctx->data_end };
	__u64 bytes = cur.end - cur.pos;
	__u32 slot = classify(&cur);
	struct counter *counter = bpf_map_lookup_elem(&counters, &slot);

	if (!counter)
		return XDP_ABORTED;
	counter->packets++;
	counter->bytes += bytes;
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
