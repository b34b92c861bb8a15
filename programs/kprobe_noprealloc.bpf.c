// SPDX-License-Identifier: MIT
/*
 * Calls of do_nanosleep() by process, counted in a hash that allocates its elements at run time. Since a probe may sit
 * inside the allocator, or run where PREEMPT_RT must not take the allocator's locks, Linux 5.7 with PREEMPT_RT refuses
 * this program, 5.7 without it warns, and 6.1 and later, with an allocator of BPF's own, load it. The second program uses
 * the map that suits all of them.
 */
#include "include/kernel_types.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 4096);
	__type(key, __u32); /* tgid */
	__type(value, __u64);
} sleeps_allocating SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, __u64);
} sleeps SEC(".maps");

static __always_inline int count(void *map)
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;
	__u64 one = 1, *calls = bpf_map_lookup_elem(map, &tgid);

	if (calls)
		__sync_fetch_and_add(calls, 1);
	else
		bpf_map_update_elem(map, &tgid, &one, BPF_NOEXIST);
	return 0;
}

SEC("kprobe/do_nanosleep")
int count_allocating(struct pt_regs *ctx)
{
	return count(&sleeps_allocating);
}

SEC("kretprobe/do_nanosleep")
int count_preallocated(struct pt_regs *ctx)
{
	return count(&sleeps);
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
