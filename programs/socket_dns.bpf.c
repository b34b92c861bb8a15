// SPDX-License-Identifier: MIT
/* Socket filter for a raw or packet socket: keeps DNS over IPv4 and cuts everything else off. Reads the packet with the
 * classic load instructions (LD_ABS, LD_IND), which end the program with 0 when they reach past its end; offsets
 * count from the network header, wherever the socket's own data starts. Counts messages by the length of the first
 * label, so that tunnels stand out. */
#include "include/packet.h"
#include <linux/filter.h>

#define DNS_PORT 53
#define DNS_HEADER 12
#define DNS_RESPONSE 0x80
#define SNAP_LENGTH 256
#define NETWORK ((unsigned long long)SKF_NET_OFF)

/* The compiler turns these into LD_ABS / LD_IND; the result is in host order. */
unsigned long long load_byte(void *skb, unsigned long long offset) asm("llvm.bpf.load.byte");
unsigned long long load_half(void *skb, unsigned long long offset) asm("llvm.bpf.load.half");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, __u32); /* length of the first label */
	__type(value, __u64);
} label_lengths SEC(".maps");

struct direction {
	__u64 packets;
	__u64 bytes;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2); /* queries, responses */
	__type(key, __u32);
	__type(value, struct direction);
} directions SEC(".maps");

SEC("socket")
int dns_filter(struct __sk_buff *skb)
{
	__u32 transport, dns, response, label;
	struct direction *direction;
	__u64 one = 1, *count;

	if (skb->protocol != bpf_htons(ETH_P_IP))
		return 0;
	if (load_byte(skb, NETWORK + offsetof(struct iphdr, protocol)) != IPPROTO_UDP)
		return 0;
	if (load_half(skb, NETWORK + offsetof(struct iphdr, frag_off)) & IP_FRAGMENT_BITS)
		return 0;
	transport = NETWORK + (load_byte(skb, NETWORK) & 0xf) * 4;
	if (load_half(skb, transport) != DNS_PORT && load_half(skb, transport + 2) != DNS_PORT)
		return 0;
	dns = transport + sizeof(struct udphdr);
	response = !!(load_byte(skb, dns + 2) & DNS_RESPONSE);

	direction = bpf_map_lookup_elem(&directions, &response);
	if (direction) {
		__sync_fetch_and_add(&direction->packets, 1);
		__sync_fetch_and_add(&direction->bytes, skb->len);
	}
	label = load_byte(skb, dns + DNS_HEADER);
	count = bpf_map_lookup_elem(&label_lengths, &label);
	if (count)
		__sync_fetch_and_add(count, 1);
	else
		bpf_map_update_elem(&label_lengths, &label, &one, BPF_ANY);
	return SNAP_LENGTH;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
