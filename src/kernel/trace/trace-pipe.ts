/** What `bpf_trace_printk` writes, in the form of /sys/kernel/tracing/trace_pipe (kernel/trace/trace_output.c). */
import type { Task } from '../sched/task.js';
import type { Clock } from '../time/clock.js';

/** Who prints, where and when. */
export interface PrintContext {
  readonly clock: Clock;
  readonly cpu: number;
  readonly current: Task;
}

/** Lines kept; older ones are overwritten, as in the kernel's trace buffer. */
const CAPACITY = 10_000;

export class TracePipe {
  readonly lines: string[] = [];
  /** Lines that had to go. */
  lost = 0;

  constructor(private readonly context: PrintContext) {}

  print(text: string): void {
    const { attr } = this.context.current;
    const us = this.context.clock.now / 1000n;
    const seconds = us / 1_000_000n;
    const fraction = (us % 1_000_000n).toString().padStart(6, '0');
    const cpu = this.context.cpu.toString().padStart(3, '0');
    const task = `${attr.comm.slice(0, 15)}-${attr.pid}`.padStart(23);
    if (this.lines.length === CAPACITY) {
      this.lines.shift();
      this.lost++;
    }
    this.lines.push(`${task} [${cpu}] ..... ${seconds}.${fraction}: bpf_trace_printk: ${text}`);
  }

  /** Takes what has been printed. */
  drain(): string[] {
    return this.lines.splice(0);
  }
}
