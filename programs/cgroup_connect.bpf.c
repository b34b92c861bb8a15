// SPDX-License-Identifier: MIT
/* Service load balancing at connect(): a service's virtual address is replaced by one of its backends before a packet
 * exists. Backends are tables of their own, one a service, in an array of maps; connections to blocked
 * networks are refused (connect() then fails with EPERM). */
#include "include/packet.h"

#define MAX_SERVICES 64
#define MAX_BACKENDS 16

struct endpoint {
	__be32 address;
	__be16 port;
	__u16 pad;
};

struct service {
	__u32 index; /* into `backends` */
	__u32 backends;
	__u64 connections;
};

struct backend_table {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_BACKENDS);
	__type(key, __u32);
	__type(value, struct endpoint);
} first_service SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, MAX_SERVICES);
	__type(key, __u32);
	__array(values, struct backend_table);
} backends SEC(".maps") = {
	.values = { [0] = &first_service },
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_SERVICES);
	__type(key, struct endpoint);
	__type(value, struct service);
} services SEC(".maps");

struct network {
	__u32 prefix_length;
	__be32 address;
};

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 256);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct network);
	__type(value, __u64); /* refusals */
} blocked SEC(".maps");

SEC("cgroup/connect4")
int connect_service(struct bpf_sock_addr *ctx)
{
	struct endpoint wanted = { .address = ctx->user_ip4, .port = ctx->user_port };
	struct network network = { .prefix_length = 32, .address = ctx->user_ip4 };
	struct service *service = bpf_map_lookup_elem(&services, &wanted);
	struct endpoint *backend;
	__u64 *refusals;
	__u32 slot;
	void *table;

	if (service && service->backends) {
		table = bpf_map_lookup_elem(&backends, &service->index);
		if (!table)
			return 0;
		slot = __sync_fetch_and_add(&service->connections, 1) % service->backends;
		backend = bpf_map_lookup_elem(table, &slot);
		if (!backend)
			return 0;
		ctx->user_ip4 = backend->address;
		ctx->user_port = backend->port;
		return 1;
	}
	refusals = bpf_map_lookup_elem(&blocked, &network);
	if (!refusals)
		return 1;
	__sync_fetch_and_add(refusals, 1);
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
