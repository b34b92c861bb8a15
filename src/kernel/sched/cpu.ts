/** A CPU: its `preempt_count`, interrupt flag, local time, run queue, and the contexts stacked on it. */
import type { Flow, Pause } from './flow.js';
import type { PreemptState } from './preempt.js';
import type { Task } from './task.js';

export type ContextKind = 'task' | 'softirq' | 'hardirq' | 'nmi';

/** Something under way on a CPU: a task at the bottom, interrupts on top of it. */
export interface Context {
  readonly kind: ContextKind;
  readonly name: string;
  /** Undefined while the host drives it on its own stack. */
  readonly flow: Flow<void> | undefined;
  /** Why it paused last. */
  pause: Pause | undefined;
  /** Kernel functions under way, outermost first. */
  readonly calls: string[];
  /** Being resumed, somewhere down the host's stack. */
  driven: boolean;
}

/** An interrupt that waits to be taken. */
export interface PendingInterrupt {
  readonly kind: 'hardirq' | 'nmi';
  readonly name: string;
  /** What it does from entry to exit, accounting included. */
  readonly flow: () => Flow<void>;
}

export class Cpu implements PreemptState {
  preemptCount = 0;
  irqsDisabled = false;
  needResched = false;
  /** Local simulated time in ns; that of the CPU that runs is the clock's. */
  timeNs = 0;
  current: Task;
  /** Since when the current task's time on the CPU has not been accounted for, ns. */
  execStart = 0;
  /** When the current task got the CPU, ns. */
  switchedAt = 0;
  /** Least `vruntime` of its fair tasks so far: where new ones start. */
  minVruntime = 0;
  /** Runnable tasks that do not run, in no order. */
  readonly queue: Task[] = [];
  /** Interrupts on top of the current task, the innermost last. */
  readonly interrupts: Context[] = [];
  readonly pending: PendingInterrupt[] = [];
  /** Tasks here with migration disabled. */
  pinned = 0;
  /** Bits of raised softirqs. */
  softirqPending = 0;
  /** When and where preemption, or interrupts, went off; `place` is empty while they are on. */
  preemptOffSince = 0;
  preemptOffPlace = '';
  irqsOffSince = 0;
  irqsOffPlace = '';
  /** The interrupt handler under way is one that RT would run in a thread; lockdep allows it what that may do. */
  irqThreadable = false;

  constructor(
    readonly id: number,
    readonly idle: Task,
    private readonly rt: boolean,
  ) {
    this.current = idle;
  }

  /** Softirq bits: on RT those of the current task. */
  get softirqCount(): number {
    return this.rt ? this.current.softirqDisableCount : this.preemptCount & 0xff00;
  }

  /** Why the current task paused last, where it still has the CPU. */
  get taskPause(): Pause | undefined {
    return this.current.pause;
  }

  set taskPause(pause: Pause | undefined) {
    this.current.pause = pause;
  }

  get top(): Context | undefined {
    return this.interrupts.at(-1);
  }

  /** Where functions under way are noted. */
  get calls(): string[] {
    return this.interrupts.at(-1)?.calls ?? this.current.calls;
  }

  /** Everything under way here, innermost first. */
  stack(): string[] {
    const names: string[] = [];
    for (let i = this.interrupts.length - 1; i >= 0; i--) {
      const { calls, kind } = this.interrupts[i]!;
      names.push(...[...calls].reverse(), kind === 'nmi' ? '<NMI>' : '<IRQ>');
    }
    names.push(...[...this.current.calls].reverse());
    return names;
  }
}
