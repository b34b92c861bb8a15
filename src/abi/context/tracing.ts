/**
 * Contexts of tracing programs whose shape depends on what they hang on: an array of 64-bit arguments,
 * or a record as the tracepoint's `format` file describes it (include/uapi/linux/bpf.h, trace_events.h).
 */
import { type ContextLayout, type FieldRow, layout } from './layout.js';

/** Most arguments a raw tracepoint or a BTF-typed hook can have (MAX_BPF_FUNC_ARGS, kernel/trace/bpf_trace.c). */
export const MAX_TRACING_ARGS = 12;

/** raw_tracepoint and BTF-typed tracing programs: `ctx[i]` is the i-th argument, widened to 64 bits. */
export const RAW_TRACEPOINT_ARGS: ContextLayout = layout('bpf_raw_tracepoint_args', MAX_TRACING_ARGS * 8, [
  ['args', 0, 8, MAX_TRACING_ARGS],
]);

/** First bytes of every tracepoint record (`struct trace_entry`); programs may not read them. */
export const TRACE_ENTRY_ROWS: readonly FieldRow[] = [
  ['common_type', 0, 2],
  ['common_flags', 2, 1],
  ['common_preempt_count', 3, 1],
  ['common_pid', 4, 4],
];

/** Largest record that a tracepoint program may read (PERF_MAX_TRACE_SIZE, include/linux/trace_events.h). */
export const MAX_TRACE_SIZE = 8192;

/** raw_syscalls:sys_enter, and every syscalls:sys_enter_*: the call's number and its six arguments. */
export const SYS_ENTER: ContextLayout = layout('trace_event_raw_sys_enter', 64, [
  ...TRACE_ENTRY_ROWS,
  ['id', 8, 8],
  ['args', 16, 8, 6],
]);

/** raw_syscalls:sys_exit, and every syscalls:sys_exit_*: the call's number and what it returned. */
export const SYS_EXIT: ContextLayout = layout('trace_event_raw_sys_exit', 24, [
  ...TRACE_ENTRY_ROWS,
  ['id', 8, 8],
  ['ret', 16, 8],
]);

/** sched:sched_switch. */
export const SCHED_SWITCH: ContextLayout = layout('trace_event_raw_sched_switch', 64, [
  ...TRACE_ENTRY_ROWS,
  ['prev_comm', 8, 1, 16],
  ['prev_pid', 24, 4],
  ['prev_prio', 28, 4],
  ['prev_state', 32, 8],
  ['next_comm', 40, 1, 16],
  ['next_pid', 56, 4],
  ['next_prio', 60, 4],
]);
