/**
 * What keeps a program attached: `struct bpf_link` (include/linux/bpf.h). Detaching is final; links that nobody detaches
 * last as long as the kernel.
 */
import type { BpfProg } from './prog.js';

export class BpfLink {
  /** Events that did not reach the program because a probe was hit inside another (`nmissed`). */
  missed = 0;
  private undo: (() => void) | undefined;

  constructor(
    /** Kernel-wide number, from 1. */
    readonly id: number,
    readonly prog: BpfProg,
    /** As `attach` was told, e.g. `kprobe:vfs_read`. */
    readonly target: string,
  ) {}

  get attached(): boolean {
    return this.undo !== undefined;
  }

  /** @internal Says how to undo it. */
  hold(undo: () => void): void {
    this.undo = undo;
  }

  /** Nothing the second time. */
  detach(): void {
    this.undo?.();
    this.undo = undefined;
  }
}
