/* SPDX-License-Identifier: MIT */
/* The few kernel types that our tracing programs look into, with the few members they read. The loader moves each
 * access to where the running (or simulated) kernel keeps the member: CO-RE. */
#ifndef BPFLAB_KERNEL_TYPES_H
#define BPFLAB_KERNEL_TYPES_H

/* Tells <bpf/bpf_tracing.h> to use the kernel's member names of pt_regs. */
#define __VMLINUX_H__

#include <linux/bpf.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct pt_regs {
	unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di, orig_ax, ip, cs, flags, sp, ss;
};

struct task_struct {
	int pid;
	int tgid;
	struct task_struct *real_parent;
	struct task_struct *group_leader;
	char comm[16];
};

#pragma clang attribute pop

struct trace_entry {
	unsigned short type;
	unsigned char flags;
	unsigned char preempt_count;
	int pid;
};

/* Records of the system call tracepoints, as their format files describe them. */
struct trace_event_raw_sys_enter {
	struct trace_entry ent;
	long id;
	unsigned long args[6];
};

struct trace_event_raw_sys_exit {
	struct trace_entry ent;
	long id;
	long ret;
};

/* A perf event's sample; x86-64. */
struct bpf_perf_event_data {
	struct pt_regs regs;
	__u64 sample_period;
	__u64 addr;
};

#endif
