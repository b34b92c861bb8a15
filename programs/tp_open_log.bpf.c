// SPDX-License-Identifier: MIT
/* Logs file opens into a ring buffer, an event each: who, when, which file, how opened. User space chooses before
 * loading what is logged (`config`); the kernel's tick rate and version come with the first event. */
#include "include/kernel_types.h"
#include <linux/fcntl.h>
#include <bpf/bpf_helpers.h>

#define PATH_LENGTH 64

struct event {
	__u64 time_ns;
	__u64 sequence;
	__u32 tgid;
	__u32 uid;
	__u32 flags;
	__s32 path_length; /* with its NUL, or a negative errno */
	char comm[16];
	char path[PATH_LENGTH];
};

struct kernel {
	__u32 version;
	__u32 ticks_per_second;
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096 * 4);
} events SEC(".maps");

const volatile struct {
	__u32 lowest_uid;
	__u8 writes_only;
} config = { .lowest_uid = 0, .writes_only = 0 };

extern int LINUX_KERNEL_VERSION __kconfig;
extern unsigned long CONFIG_HZ __kconfig __weak;

__u64 next_sequence = 0;
__u64 dropped = 0;
struct kernel kernel = {};

SEC("tracepoint/syscalls/sys_enter_openat")
int log_open(struct trace_event_raw_sys_enter *ctx)
{
	__u32 uid = (__u32)bpf_get_current_uid_gid();
	__u32 flags = ctx->args[2];
	struct event *event;

	if (uid < config.lowest_uid)
		return 0;
	if (config.writes_only && !(flags & (O_WRONLY | O_RDWR)))
		return 0;
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		__sync_fetch_and_add(&dropped, 1);
		return 0;
	}
	event->time_ns = bpf_ktime_get_ns();
	event->sequence = __sync_fetch_and_add(&next_sequence, 1);
	event->tgid = bpf_get_current_pid_tgid() >> 32;
	event->uid = uid;
	event->flags = flags;
	__builtin_memset(event->path, 0, sizeof(event->path));
	event->path_length = bpf_probe_read_user_str(event->path, sizeof(event->path), (void *)ctx->args[1]);
	if (bpf_get_current_comm(event->comm, sizeof(event->comm))) {
		bpf_ringbuf_discard(event, 0);
		return 0;
	}
	if (event->sequence == 0) {
		kernel.version = LINUX_KERNEL_VERSION;
		kernel.ticks_per_second = CONFIG_HZ;
	}
	bpf_ringbuf_submit(event, 0);
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
