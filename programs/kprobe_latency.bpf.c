// SPDX-License-Identifier: MIT
/* How long does vfs_read() take? A histogram of powers of two in nanoseconds, and a line a process with its parent. */
#include "include/kernel_types.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#define SLOTS 64

struct start {
	__u64 time_ns;
	__u64 requested; /* bytes */
};

struct process {
	char comm[16];
	__u32 parent;
	__u32 errors;
	__u64 calls;
	__u64 bytes;
	__u64 total_ns;
	__u64 max_ns;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, __u64); /* pid_tgid of the thread inside the call */
	__type(value, struct start);
} starts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SLOTS);
	__type(key, __u32);
	__type(value, __u64);
} latency_log2 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32); /* tgid */
	__type(value, struct process);
} processes SEC(".maps");

static __always_inline __u32 log2_u64(__u64 value)
{
	__u32 slot = 0, shift;

	for (shift = 32; shift > 0; shift >>= 1) {
		if (value >> shift) {
			value >>= shift;
			slot += shift;
		}
	}
	return slot;
}

static __always_inline struct process *find_process(__u32 tgid)
{
	struct process *process = bpf_map_lookup_elem(&processes, &tgid);
	struct process fresh = {};
	struct task_struct *task;

	if (process)
		return process;
	task = (struct task_struct *)bpf_get_current_task();
	fresh.parent = BPF_CORE_READ(task, real_parent, tgid);
	BPF_CORE_READ_STR_INTO(&fresh.comm, task, group_leader, comm);
	bpf_map_update_elem(&processes, &tgid, &fresh, BPF_NOEXIST);
	return bpf_map_lookup_elem(&processes, &tgid);
}

SEC("kprobe/vfs_read")
int BPF_KPROBE(read_enter, void *file, char *buffer, __u64 count)
{
	struct start start = { .time_ns = bpf_ktime_get_ns(), .requested = count };
	__u64 id = bpf_get_current_pid_tgid();

	bpf_map_update_elem(&starts, &id, &start, BPF_ANY);
	return 0;
}

SEC("kretprobe/vfs_read")
int BPF_KRETPROBE(read_exit, long ret)
{
	__u64 id = bpf_get_current_pid_tgid();
	struct start *start = bpf_map_lookup_elem(&starts, &id);
	struct process *process;
	__u64 delta_ns, *count;
	__u32 slot;

	if (!start)
		return 0; /* the probe was attached while the call was under way */
	delta_ns = bpf_ktime_get_ns() - start->time_ns;
	bpf_map_delete_elem(&starts, &id);

	slot = log2_u64(delta_ns);
	count = bpf_map_lookup_elem(&latency_log2, &slot);
	if (count)
		__sync_fetch_and_add(count, 1);

	process = find_process(id >> 32);
	if (!process)
		return 0;
	__sync_fetch_and_add(&process->calls, 1);
	__sync_fetch_and_add(&process->total_ns, delta_ns);
	if (ret < 0)
		__sync_fetch_and_add(&process->errors, 1);
	else
		__sync_fetch_and_add(&process->bytes, ret);
	if (delta_ns > process->max_ns)
		process->max_ns = delta_ns;
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
