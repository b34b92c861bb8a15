/* SPDX-License-Identifier: MIT */
/* Bounds-checked header parsing for programs that read packets directly. Every parser moves the cursor past
 * the header it returns, or returns NULL and leaves it where it was when the packet is too short. */
#ifndef BPFLAB_PACKET_H
#define BPFLAB_PACKET_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define IP_FRAGMENT_BITS 0x3fff /* more fragments, or an offset */
#define MAX_VLAN_TAGS 2
#define MAX_IPV6_EXTENSIONS 4

/* linux/ipv6.h names this one only since the kernel's own headers; the number is IANA's. */
#define NEXTHDR_HOP 0
#define NEXTHDR_ROUTING 43
#define NEXTHDR_FRAGMENT 44
#define NEXTHDR_DEST 60

/* linux/icmp.h drags in the C library's socket headers, which know no BPF target. */
#define ICMP_ECHOREPLY 0
#define ICMP_ECHO 8

struct icmp_echo {
	__u8 type;
	__u8 code;
	__u16 checksum;
	__be16 id;
	__be16 sequence;
};

struct cursor {
	void *pos;
	void *end;
};

struct vlan_tag {
	__be16 tci;
	__be16 proto;
};

struct ipv6_extension {
	__u8 nexthdr;
	__u8 words; /* length in 8-byte units, the first not counted */
	__u8 pad[6];
};

static __always_inline void *take(struct cursor *cur, __u64 size)
{
	void *header = cur->pos;

	if (header + size > cur->end)
		return NULL;
	cur->pos = header + size;
	return header;
}

/* The Ethernet header and up to two VLAN tags; returns the payload's EtherType in network order, 0 when cut short. */
static __always_inline __be16 parse_ethernet(struct cursor *cur)
{
	struct ethhdr *eth = take(cur, sizeof(*eth));
	__be16 proto;
	int i;

	if (!eth)
		return 0;
	proto = eth->h_proto;
	for (i = 0; i < MAX_VLAN_TAGS; i++) {
		struct vlan_tag *tag;

		if (proto != bpf_htons(ETH_P_8021Q) && proto != bpf_htons(ETH_P_8021AD))
			break;
		tag = take(cur, sizeof(*tag));
		if (!tag)
			return 0;
		proto = tag->proto;
	}
	return proto;
}

/* The IPv4 header with its options. */
static __always_inline struct iphdr *parse_ipv4(struct cursor *cur)
{
	struct iphdr *ip = cur->pos;
	__u32 length;

	if ((void *)(ip + 1) > cur->end || ip->version != 4)
		return NULL;
	length = ip->ihl * 4;
	if (length < sizeof(*ip) || (void *)ip + length > cur->end)
		return NULL;
	cur->pos = (void *)ip + length;
	return ip;
}

/* The IPv6 header and up to four extension headers. *proto gets the upper protocol, *fragment whether a
 * fragment header was met. */
static __always_inline struct ipv6hdr *parse_ipv6(struct cursor *cur, __u8 *proto, __u8 *fragment)
{
	struct ipv6hdr *ip = take(cur, sizeof(*ip));
	__u8 next;
	int i;

	if (!ip || ip->version != 6)
		return NULL;
	next = ip->nexthdr;
	*fragment = 0;
	for (i = 0; i < MAX_IPV6_EXTENSIONS; i++) {
		struct ipv6_extension *ext;

		if (next != NEXTHDR_HOP && next != NEXTHDR_ROUTING && next != NEXTHDR_DEST && next != NEXTHDR_FRAGMENT)
			break;
		ext = take(cur, sizeof(*ext));
		if (!ext)
			return NULL;
		if (next == NEXTHDR_FRAGMENT) {
			*fragment = 1;
		} else {
			__u32 rest = ext->words * 8;

			if (cur->pos + rest > cur->end)
				return NULL;
			cur->pos += rest;
		}
		next = ext->nexthdr;
	}
	*proto = next;
	return ip;
}

#endif
