/**
 * Registers of an interrupted x86-64 task, and the context of perf-event programs
 * (arch/x86/include/asm/ptrace.h, include/uapi/linux/bpf_perf_event.h). `cs` and `ss` stand for the whole 8-byte slot.
 */
import { type ContextLayout, layout } from './layout.js';

/** Context of kprobe, kretprobe and uprobe programs. */
export const PT_REGS: ContextLayout = layout('pt_regs', 168, [
  ['r15', 0, 8],
  ['r14', 8, 8],
  ['r13', 16, 8],
  ['r12', 24, 8],
  ['bp', 32, 8],
  ['bx', 40, 8],
  ['r11', 48, 8],
  ['r10', 56, 8],
  ['r9', 64, 8],
  ['r8', 72, 8],
  ['ax', 80, 8],
  ['cx', 88, 8],
  ['dx', 96, 8],
  ['si', 104, 8],
  ['di', 112, 8],
  ['orig_ax', 120, 8],
  ['ip', 128, 8],
  ['cs', 136, 8],
  ['flags', 144, 8],
  ['sp', 152, 8],
  ['ss', 160, 8],
]);

/** Context of perf-event programs: registers, the period of the sample, and its address if asked for. */
export const PERF_EVENT_DATA: ContextLayout = layout('bpf_perf_event_data', 184, [
  ['regs.r15', 0, 8],
  ['regs.r14', 8, 8],
  ['regs.r13', 16, 8],
  ['regs.r12', 24, 8],
  ['regs.bp', 32, 8],
  ['regs.bx', 40, 8],
  ['regs.r11', 48, 8],
  ['regs.r10', 56, 8],
  ['regs.r9', 64, 8],
  ['regs.r8', 72, 8],
  ['regs.ax', 80, 8],
  ['regs.cx', 88, 8],
  ['regs.dx', 96, 8],
  ['regs.si', 104, 8],
  ['regs.di', 112, 8],
  ['regs.orig_ax', 120, 8],
  ['regs.ip', 128, 8],
  ['regs.cs', 136, 8],
  ['regs.flags', 144, 8],
  ['regs.sp', 152, 8],
  ['regs.ss', 160, 8],
  ['sample_period', 168, 8],
  ['addr', 176, 8],
]);
