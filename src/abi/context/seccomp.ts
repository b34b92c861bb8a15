/**
 * What a seccomp filter (classic BPF) sees of a system call: `struct seccomp_data` of include/uapi/linux/seccomp.h.
 */
import { type ContextLayout, layout } from './layout.js';

/** System call number, architecture, and arguments. */
export const SECCOMP_DATA: ContextLayout = layout('seccomp_data', 64, [
  ['nr', 0, 4],
  ['arch', 4, 4],
  ['instruction_pointer', 8, 8],
  ['args', 16, 8, 6],
]);
