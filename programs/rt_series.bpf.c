// SPDX-License-Identifier: MIT
/*
 * Programs for the scenarios of the series "bpf: Make BPF and PREEMPT_RT co-exist" (scenarios/rfc-*.json, docs/rfc.md): each
 * does one thing to one map from one kind of context. Which of them are attached, where, and what happens then, the
 * scenarios say.
 */
#include "include/kernel_types.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#define KEY 1
#define OTHER_KEY 2
#define FRAMES 8

/* Elements are there from the start: raw bucket locks. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, __u64);
} preallocated SEC(".maps");

/* Elements are allocated by updates: regular bucket locks on RT, since the series. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, __u64);
} allocating SEC(".maps");

/* All keys in one bucket. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} one_bucket SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, __u64);
} recent SEC(".maps");

struct address {
	__u32 prefix;
	__u32 bits;
};

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 16);
	__type(key, struct address);
	__type(value, __u64);
} trie SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, 16);
	__type(value, __u64);
} queue SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_STACK_TRACE);
	__uint(map_flags, BPF_F_STACK_BUILD_ID);
	__uint(max_entries, 16);
	__type(key, __u32);
	__uint(value_size, FRAMES * sizeof(struct bpf_stack_build_id));
} stacks SEC(".maps");

/* Begun and ended runs of a program on each CPU. */
struct runs {
	__u64 begun;
	__u64 ended;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct runs);
} statistics SEC(".maps");

/* What the last update from inside another one got. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __s64);
} answer SEC(".maps");

static __always_inline long update(void *map, __u32 key)
{
	__u64 value = 1;

	return bpf_map_update_elem(map, &key, &value, BPF_ANY);
}

static __always_inline long update_trie(void)
{
	struct address key = { .prefix = 32, .bits = KEY };
	__u64 value = 1;

	return bpf_map_update_elem(&trie, &key, &value, BPF_ANY);
}

static __always_inline void tell(long result)
{
	__u32 zero = 0;
	__s64 *last = bpf_map_lookup_elem(&answer, &zero);

	if (last)
		*last = result;
}

/* Both halves of the statistics belong to the CPU that the program runs on. */
static __always_inline int count_run(void)
{
	__u32 zero = 0;
	struct runs *runs = bpf_map_lookup_elem(&statistics, &zero);

	if (!runs)
		return 0;
	runs->begun++;
	update(&preallocated, KEY);
	runs = bpf_map_lookup_elem(&statistics, &zero);
	if (runs)
		runs->ended++;
	return 1;
}

SEC("sk_msg")
int message_counts(struct sk_msg_md *msg)
{
	return count_run();
}

SEC("sk_msg")
int message_allocates(struct sk_msg_md *msg)
{
	update(&allocating, KEY);
	return 1; /* SK_PASS */
}

SEC("tc")
int packet_updates(struct __sk_buff *skb)
{
	update(&preallocated, KEY);
	return 0; /* TC_ACT_OK */
}

SEC("tc")
int packet_allocates(struct __sk_buff *skb)
{
	update(&allocating, KEY);
	return 0;
}

SEC("tc")
int packet_routes(struct __sk_buff *skb)
{
	update_trie();
	return 0;
}

SEC("tc")
int packet_evicts(struct __sk_buff *skb)
{
	update(&recent, KEY);
	return 0;
}

SEC("tc")
int packet_queues(struct __sk_buff *skb)
{
	__u64 value = 1;

	bpf_map_push_elem(&queue, &value, BPF_ANY);
	return 0;
}

SEC("tc")
int packet_shares_bucket(struct __sk_buff *skb)
{
	update(&one_bucket, KEY);
	return 0;
}

SEC("cgroup/connect4")
int connect_allocates(struct bpf_sock_addr *ctx)
{
	update(&allocating, KEY);
	return 1;
}

SEC("fentry")
int function_allocates(void *ctx)
{
	update(&allocating, KEY);
	return 0;
}

SEC("uprobe")
int user_allocates(struct pt_regs *ctx)
{
	update(&allocating, KEY);
	return 0;
}

SEC("raw_tp/sched_process_exec")
int event_counts(void *ctx)
{
	return count_run();
}

SEC("raw_tp/kmalloc_node")
int allocation_allocates(void *ctx)
{
	tell(update(&allocating, KEY));
	return 0;
}

SEC("kprobe/do_work")
int probe_counts(struct pt_regs *ctx)
{
	tell(1);
	return 0;
}

SEC("kprobe/lookup_elem_raw")
int probe_updates(struct pt_regs *ctx)
{
	tell(update(&preallocated, KEY));
	return 0;
}

SEC("kprobe/do_work")
int probe_routes(struct pt_regs *ctx)
{
	update_trie();
	return 0;
}

SEC("perf_event")
int sample_updates(struct bpf_perf_event_data *ctx)
{
	tell(update(&preallocated, KEY));
	return 0;
}

SEC("perf_event")
int sample_updates_other(struct bpf_perf_event_data *ctx)
{
	tell(update(&preallocated, OTHER_KEY));
	return 0;
}

SEC("perf_event")
int sample_evicts(struct bpf_perf_event_data *ctx)
{
	tell(update(&recent, OTHER_KEY));
	return 0;
}

SEC("perf_event")
int sample_queues(struct bpf_perf_event_data *ctx)
{
	__u64 value = 2;

	tell(bpf_map_push_elem(&queue, &value, BPF_ANY));
	return 0;
}

SEC("perf_event")
int sample_shares_bucket(struct bpf_perf_event_data *ctx)
{
	tell(update(&one_bucket, OTHER_KEY));
	return 0;
}

SEC("perf_event")
int sample_stack(struct bpf_perf_event_data *ctx)
{
	tell(bpf_get_stackid(ctx, &stacks, BPF_F_USER_STACK));
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
