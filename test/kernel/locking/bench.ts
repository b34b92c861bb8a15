/** A scheduler with locks and nothing else, for the tests of locks. */

import { Locks } from '../../../src/kernel/locking/index.js';
import { LockKey } from '../../../src/kernel/locking/lock-class.js';
import type { LockdepMode } from '../../../src/kernel/locking/lockdep.js';
import { kernelProfile } from '../../../src/kernel/profile.js';
import type { Cpu, PendingInterrupt } from '../../../src/kernel/sched/cpu.js';
import { Executor } from '../../../src/kernel/sched/executor.js';
import type { Flow } from '../../../src/kernel/sched/flow.js';
import { HARDIRQ_OFFSET, NMI_OFFSET } from '../../../src/kernel/sched/preempt.js';
import { Sched } from '../../../src/kernel/sched/sched.js';
import { DEFAULT_TASK, Task, type TaskAttr } from '../../../src/kernel/sched/task.js';

export interface BenchOptions {
  readonly profile?: string;
  readonly overrides?: Parameters<typeof kernelProfile>[1];
  readonly cpus?: number;
  readonly interleaved?: boolean;
  readonly lockdep?: LockdepMode;
}

export class Bench {
  readonly sched: Sched;
  readonly executor: Executor;
  readonly locks: Locks;
  /** What tasks and interrupts wrote down, in the order in which it happened. */
  readonly log: string[] = [];

  constructor(options: BenchOptions = {}) {
    this.sched = new Sched({
      cpus: options.cpus ?? 2,
      profile: kernelProfile(options.profile ?? '6.18', options.overrides),
      clock: { nanos: 1_000_000_000, publish: () => {} },
      interleaved: options.interleaved ?? false,
    });
    this.executor = new Executor(this.sched);
    this.locks = new Locks(this.sched, this.executor, { lockdep: options.lockdep ?? 'always' });
    this.sched.adopt(new Task(DEFAULT_TASK), this.sched.here);
  }

  /** Titles of what the console reports, of one kind or all. */
  titles(kind?: string): string[] {
    return this.sched.console.splats
      .filter((s) => kind === undefined || s.kind === kind)
      .map(({ lines }) => lines[0]!);
  }

  /** Runs a flow as the current task, others meanwhile. */
  run<T>(flow: () => Flow<T>): T {
    return this.executor.drive(flow());
  }

  /** The CPUs of the host's task rest, so that spawned tasks have them all. */
  rest(): void {
    this.sched.install(this.sched.here, this.sched.here.idle);
  }

  spawn(pid: number, cpu: number, flow: (task: Task) => Flow<void>, more: Partial<TaskAttr> = {}): Task {
    const attr: TaskAttr = { pid, tgid: pid, comm: `t${pid}`, uid: 0, gid: 0, affinity: [cpu], ...more };
    return this.sched.spawn(attr, flow);
  }

  /** Has an interrupt arrive on a CPU. */
  interrupt(kind: 'hardirq' | 'nmi', cpu: Cpu, body: () => Flow<void>): void {
    const { sched } = this;
    const offset = kind === 'nmi' ? NMI_OFFSET + HARDIRQ_OFFSET : HARDIRQ_OFFSET;
    const interrupt: PendingInterrupt = {
      kind,
      name: kind === 'nmi' ? 'perf' : 'timer',
      *flow(): Flow<void> {
        const off = sched.here.irqsDisabled;
        sched.here.irqsDisabled = true;
        sched.countAdd(offset, kind);
        yield* body();
        sched.countSub(offset);
        sched.here.irqsDisabled = off;
      },
    };
    this.executor.raise(cpu, interrupt);
  }

  key(name: string): LockKey {
    return new LockKey(name);
  }
}
