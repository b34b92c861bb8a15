// SPDX-License-Identifier: MIT
/* Firewall by source network: the longest matching prefix decides, IPv4 and IPv6 each in a trie of its own. A
 * port opened in `open_ports` is reachable whatever the network's rule says. What no rule matches gets
 * `default_action`, which user space sets before loading. */
#include "include/packet.h"

struct network_v4 {
	__u32 prefix_length;
	__u8 address[4];
};

struct network_v6 {
	__u32 prefix_length;
	__u8 address[16];
};

struct rule {
	__u32 action; /* XDP_PASS, XDP_DROP, XDP_TX */
	__u32 id;
	__u64 hits;
};

struct service {
	__be16 port;
	__u8 proto;
	__u8 pad;
};

struct verdicts {
	__u64 packets;
	__u64 bytes;
};

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 1024);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct network_v4);
	__type(value, struct rule);
} rules_v4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 1024);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct network_v6);
	__type(value, struct rule);
} rules_v6 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, struct service);
	__type(value, __u64);
} open_ports SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, XDP_REDIRECT);
	__type(key, __u32);
	__type(value, struct verdicts);
} verdicts SEC(".maps");

const volatile __u32 default_action = XDP_PASS;

static __always_inline __u32 apply(struct rule *rule)
{
	if (!rule)
		return default_action;
	__sync_fetch_and_add(&rule->hits, 1);
	return rule->action;
}

static __always_inline int is_open(struct cursor *cur, __u8 proto)
{
	struct service service = { .proto = proto };
	__u64 *hits;
	__be16 *ports; /* source, destination: the same place in TCP and UDP */

	if (proto != IPPROTO_TCP && proto != IPPROTO_UDP)
		return 0;
	ports = take(cur, 2 * sizeof(*ports));
	if (!ports)
		return 0;
	service.port = ports[1];
	hits = bpf_map_lookup_elem(&open_ports, &service);
	if (!hits)
		return 0;
	__sync_fetch_and_add(hits, 1);
	return 1;
}

static __always_inline __u32 filter_ipv4(struct cursor *cur)
{
	struct network_v4 source = { .prefix_length = 32 };
	struct iphdr *ip = parse_ipv4(cur);

	if (!ip)
		return XDP_DROP;
	/* Only a first fragment carries the ports. */
	if (!(ip->frag_off & bpf_htons(0x1fff)) && is_open(cur, ip->protocol))
		return XDP_PASS;
	__builtin_memcpy(source.address, &ip->saddr, sizeof(source.address));
	return apply(bpf_map_lookup_elem(&rules_v4, &source));
}

static __always_inline __u32 filter_ipv6(struct cursor *cur)
{
	struct network_v6 source = { .prefix_length = 128 };
	__u8 proto, fragment;
	struct ipv6hdr *ip = parse_ipv6(cur, &proto, &fragment);

	if (!ip)
		return XDP_DROP;
	if (!fragment && is_open(cur, proto))
		return XDP_PASS;
	__builtin_memcpy(source.address, &ip->saddr, sizeof(source.address));
	return apply(bpf_map_lookup_elem(&rules_v6, &source));
}

SEC("xdp")
int firewall(struct xdp_md *ctx)
{
	struct cursor cur = { .pos = (void *)(long)ctx->data, .end = (void *)(long)ctx->data_end };
	__u64 bytes = cur.end - cur.pos;
	struct verdicts *counter;
	__u32 action;

	switch (parse_ethernet(&cur)) {
	case 0:
		action = XDP_DROP;
		break;
	case bpf_htons(ETH_P_IP):
		action = filter_ipv4(&cur);
		break;
	case bpf_htons(ETH_P_IPV6):
		action = filter_ipv6(&cur);
		break;
	default:
		action = XDP_PASS;
	}
	counter = bpf_map_lookup_elem(&verdicts, &action);
	if (!counter)
		return XDP_ABORTED;
	counter->packets++;
	counter->bytes += bytes;
	return action;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
