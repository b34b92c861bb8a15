// SPDX-License-Identifier: MIT
/* Connection tracking for TCP and UDP over IPv4: one entry a connection, both directions in it, in an LRU hash, so
 * that a flood evicts the connections unused for longest. The packet's mark tells the next program what was found. */
#include "include/packet.h"
#include <linux/pkt_cls.h>

enum state {
	STATE_INVALID,
	STATE_SYN_SENT,
	STATE_SYN_RECV,
	STATE_ESTABLISHED,
	STATE_CLOSING,
	STATE_CLOSED,
	STATE_UDP_ONE_WAY,
	STATE_UDP_BOTH_WAYS,
	STATES,
};

struct tuple {
	__be32 low_addr;
	__be32 high_addr;
	__be16 low_port;
	__be16 high_port;
	__u32 proto;
};

struct connection {
	__u64 first_seen_ns;
	__u64 last_seen_ns;
	__u64 packets[2]; /* from the opener, to the opener */
	__u64 bytes[2];
	__u32 state;
	__u8 opener_is_high;
	__u8 fins; /* bit 0: the opener's, bit 1: the other side's */
	__u8 pad[2];
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct tuple);
	__type(value, struct connection);
} connections SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, STATES);
	__type(key, __u32);
	__type(value, __u64);
} packets_by_state SEC(".maps");

/* Drop TCP segments that belong to no connection we saw open. */
const volatile __u8 drop_invalid = 1;

/* Both directions give the same tuple: the lower endpoint first. Returns whether the sender is the higher one. */
static __always_inline int make_tuple(struct tuple *tuple, const struct iphdr *ip, const __be16 *ports)
{
	int from_high = ip->saddr > ip->daddr || (ip->saddr == ip->daddr && ports[0] > ports[1]);

	tuple->low_addr = from_high ? ip->daddr : ip->saddr;
	tuple->high_addr = from_high ? ip->saddr : ip->daddr;
	tuple->low_port = from_high ? ports[1] : ports[0];
	tuple->high_port = from_high ? ports[0] : ports[1];
	tuple->proto = ip->protocol;
	return from_high;
}

static __always_inline __u32 next_tcp_state(struct connection *conn, const struct tcphdr *tcp, int reply)
{
	if (tcp->rst)
		return STATE_CLOSED;
	if (tcp->fin)
		conn->fins |= reply ? 2 : 1;
	switch (conn->state) {
	case STATE_SYN_SENT:
		return reply && tcp->syn && tcp->ack ? STATE_SYN_RECV : STATE_SYN_SENT;
	case STATE_SYN_RECV:
		return !reply && tcp->ack && !tcp->syn ? STATE_ESTABLISHED : STATE_SYN_RECV;
	case STATE_ESTABLISHED:
		return conn->fins ? STATE_CLOSING : STATE_ESTABLISHED;
	case STATE_CLOSING:
		return conn->fins == 3 && tcp->ack && !tcp->fin ? STATE_CLOSED : STATE_CLOSING;
	default:
		return conn->state;
	}
}

static __always_inline __u32 open_connection(const struct tuple *tuple, const struct tcphdr *tcp, int from_high,
					     __u64 bytes)
{
	struct connection conn = { .opener_is_high = from_high };

	if (tcp && (!tcp->syn || tcp->ack))
		return STATE_INVALID;
	conn.state = tcp ? STATE_SYN_SENT : STATE_UDP_ONE_WAY;
	conn.first_seen_ns = conn.last_seen_ns = bpf_ktime_get_ns();
	conn.packets[0] = 1;
	conn.bytes[0] = bytes;
	bpf_map_update_elem(&connections, tuple, &conn, BPF_NOEXIST);
	return conn.state;
}

static __always_inline __u32 track(const struct tuple *tuple, const struct tcphdr *tcp, int from_high, __u64 bytes)
{
	struct connection *conn = bpf_map_lookup_elem(&connections, tuple);
	int reply;

	if (!conn)
		return open_connection(tuple, tcp, from_high, bytes);
	reply = from_high != conn->opener_is_high;
	conn->last_seen_ns = bpf_ktime_get_ns();
	if (reply) {
		__sync_fetch_and_add(&conn->packets[1], 1);
		__sync_fetch_and_add(&conn->bytes[1], bytes);
	} else {
		__sync_fetch_and_add(&conn->packets[0], 1);
		__sync_fetch_and_add(&conn->bytes[0], bytes);
	}
	if (tcp)
		conn->state = next_tcp_state(conn, tcp, reply);
	else if (reply)
		conn->state = STATE_UDP_BOTH_WAYS;
	return conn->state;
}

SEC("tc")
int conntrack(struct __sk_buff *skb)
{
	struct cursor cur = { .pos = (void *)(long)skb->data, .end = (void *)(long)skb->data_end };
	struct tcphdr *tcp = NULL;
	struct tuple tuple = {};
	struct iphdr *ip;
	__u64 *counter;
	__be16 *ports;
	__u32 state;

	if (parse_ethernet(&cur) != bpf_htons(ETH_P_IP))
		return TC_ACT_UNSPEC;
	ip = parse_ipv4(&cur);
	if (!ip || (ip->frag_off & bpf_htons(IP_FRAGMENT_BITS)))
		return TC_ACT_UNSPEC;
	ports = cur.pos;
	if (ip->protocol == IPPROTO_TCP)
		tcp = take(&cur, sizeof(*tcp));
	else if (ip->protocol != IPPROTO_UDP)
		return TC_ACT_UNSPEC;
	if (ip->protocol == IPPROTO_UDP ? !take(&cur, sizeof(struct udphdr)) : !tcp)
		return TC_ACT_UNSPEC;

	int from_high = make_tuple(&tuple, ip, ports);
	state = track(&tuple, tcp, from_high, skb->len);
	skb->mark = state;
	counter = bpf_map_lookup_elem(&packets_by_state, &state);
	if (counter)
		__sync_fetch_and_add(counter, 1);
	return state == STATE_INVALID && drop_invalid ? TC_ACT_SHOT : TC_ACT_OK;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
