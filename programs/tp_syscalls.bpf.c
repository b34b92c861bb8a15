// SPDX-License-Identifier: MIT
/* Counts system calls by number and process, and the errors they end with, in per-CPU hashes: no CPU ever waits for
 * another's counter. */
#include "include/kernel_types.h"
#include <bpf/bpf_helpers.h>

#define MAX_ERRNO 4095

struct call {
	__u32 tgid;
	__u32 number;
};

struct calls {
	__u64 entered;
	__u64 returned;
	__u64 failed;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct call);
	__type(value, struct calls);
} calls SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 512);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32); /* errno */
	__type(value, __u64);
} errors SEC(".maps");

/* Count only this process; 0 for all. */
const volatile __u32 only_tgid = 0;

static __always_inline struct calls *find_calls(__u32 number)
{
	struct call call = { .tgid = bpf_get_current_pid_tgid() >> 32, .number = number };
	struct calls fresh = {}, *found;

	if (only_tgid && call.tgid != only_tgid)
		return NULL;
	found = bpf_map_lookup_elem(&calls, &call);
	if (found)
		return found;
	bpf_map_update_elem(&calls, &call, &fresh, BPF_NOEXIST);
	return bpf_map_lookup_elem(&calls, &call);
}

SEC("tracepoint/raw_syscalls/sys_enter")
int syscall_enter(struct trace_event_raw_sys_enter *ctx)
{
	struct calls *calls = find_calls(ctx->id);

	if (calls)
		calls->entered++;
	return 0;
}

SEC("tracepoint/raw_syscalls/sys_exit")
int syscall_exit(struct trace_event_raw_sys_exit *ctx)
{
	struct calls *calls = find_calls(ctx->id);
	__u64 one = 1, *count;
	__u32 error;

	if (!calls)
		return 0;
	calls->returned++;
	if (ctx->ret >= 0 || ctx->ret < -MAX_ERRNO)
		return 0;
	calls->failed++;
	error = -ctx->ret;
	count = bpf_map_lookup_elem(&errors, &error);
	if (count)
		(*count)++;
	else
		bpf_map_update_elem(&errors, &error, &one, BPF_ANY);
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
