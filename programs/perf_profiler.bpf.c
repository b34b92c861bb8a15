// SPDX-License-Identifier: MIT
/* Sampling profiler: where is the CPU when the perf event fires? Counts samples by process and by the kernel and user
 * stacks they were taken in; samples whose stack could not be stored are counted by the reason. */
#include "include/kernel_types.h"
#include <linux/errno.h>
#include <bpf/bpf_helpers.h>

#define MAX_DEPTH 127

struct sample {
	__u32 tgid;
	__s32 kernel_stack;
	__s32 user_stack;
	char comm[16];
};

enum lost {
	LOST_COLLISION, /* another stack already has the slot */
	LOST_FULL,
	LOST_OTHER,
	LOST_REASONS,
};

struct {
	__uint(type, BPF_MAP_TYPE_STACK_TRACE);
	__uint(max_entries, 1024);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, MAX_DEPTH * sizeof(__u64));
} stacks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct sample);
	__type(value, __u64);
} samples SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, LOST_REASONS);
	__type(key, __u32);
	__type(value, __u64);
} lost SEC(".maps");

__u64 last_ip = 0;
__u64 total_period = 0;

static __always_inline void count_lost(long error)
{
	__u32 reason = error == -EEXIST ? LOST_COLLISION : error == -ENOMEM ? LOST_FULL : LOST_OTHER;
	__u64 *count = bpf_map_lookup_elem(&lost, &reason);

	if (count)
		(*count)++;
}

SEC("perf_event")
int profile(struct bpf_perf_event_data *ctx)
{
	struct sample sample = { .tgid = bpf_get_current_pid_tgid() >> 32 };
	__u64 one = 1, *count;

	bpf_get_current_comm(sample.comm, sizeof(sample.comm));
	sample.kernel_stack = bpf_get_stackid(ctx, &stacks, 0);
	sample.user_stack = bpf_get_stackid(ctx, &stacks, BPF_F_USER_STACK);
	if (sample.kernel_stack < 0 && sample.user_stack < 0) {
		count_lost(sample.kernel_stack);
		return 0;
	}
	last_ip = ctx->regs.ip;
	__sync_fetch_and_add(&total_period, ctx->sample_period);
	count = bpf_map_lookup_elem(&samples, &sample);
	if (count)
		__sync_fetch_and_add(count, 1);
	else
		bpf_map_update_elem(&samples, &sample, &one, BPF_NOEXIST);
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
