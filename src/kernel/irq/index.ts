/**
 * Interrupts of a machine: `kernel.irq`. Lines with handlers, one-off interrupts, NMIs, calls on other CPUs, softirqs,
 * irq_work. What comes on the CPU that runs now, where it can be taken and flows do not interleave, has happened when the
 * call returns; all else happens when the simulation goes on (`kernel.executor.settle()`).
 */
import { SyscallError } from '../errors.js';
import type { Locks } from '../locking/index.js';
import type { Cpu, PendingInterrupt } from '../sched/cpu.js';
import type { Executor } from '../sched/executor.js';
import type { Flow } from '../sched/flow.js';
import { inNmi } from '../sched/preempt.js';
import { type Sched, waitable } from '../sched/sched.js';
import { hardirq, nmi } from './entry.js';
import { IrqWork, type IrqWorkOptions, IrqWorks } from './irq-work.js';
import { type IrqLine, IrqLines, type IrqRequest } from './lines.js';
import { Softirqs } from './softirq.js';

export interface IrqOptions {
  /** Handlers run in threads although the kernel is not RT (the kernel parameter of that name). */
  readonly threadirqs?: boolean;
}

export class Irqs {
  readonly softirq: Softirqs;
  readonly work: IrqWorks;
  private readonly threadirqs: boolean;
  private readonly lines: IrqLines;

  constructor(
    private readonly sched: Sched,
    private readonly executor: Executor,
    locks: Locks,
    options: IrqOptions = {},
  ) {
    this.threadirqs = sched.rt || options.threadirqs === true;
    this.softirq = new Softirqs(sched, locks);
    const interrupt = (name: string, body: () => Flow<void>): PendingInterrupt => this.interrupt(name, body);
    this.work = new IrqWorks(sched, executor, interrupt);
    const { softirq: softirqs, threadirqs } = this;
    this.lines = new IrqLines({ sched, executor, softirqs, interrupt, threadirqs });
  }

  /** A hardware interrupt that does `body`, with entry and exit, for `executor.raise` and `executor.at`. */
  interrupt(name: string, body: () => Flow<void>): PendingInterrupt {
    const flow = (): Flow<void> => hardirq(this.sched, this.softirq, name, body, this.threadirqs);
    return { kind: 'hardirq', name, flow };
  }

  /** request_irq and request_threaded_irq. Throws `SyscallError` (EINVAL). */
  request(request: IrqRequest): IrqLine {
    return this.lines.request(request);
  }

  free(line: IrqLine): void {
    this.lines.free(line);
  }

  /**
   * Raises a line's interrupt, or one that has no line and does `body`, never in a thread, on `cpu` (default: here).
   * @throws SyscallError EINVAL for a number without a handler, or a CPU that is not there.
   */
  raise(irq: IrqLine | number | string, body?: () => Flow<void>, cpu = this.sched.here.id): void {
    if (typeof irq === 'string') {
      this.executor.raise(this.cpu(cpu), this.interrupt(irq, body ?? nothing));
      return;
    }
    const line = typeof irq === 'number' ? this.lines.get(irq) : irq;
    if (line === undefined) throw SyscallError.of('EINVAL', `no handler is registered for interrupt ${irq}`);
    line.raise();
  }

  /** A non-maskable interrupt on a CPU (default: here) as soon as it can be taken. */
  nmi(body: () => Flow<void>, options: { readonly cpu?: number; readonly name?: string } = {}): void {
    const { cpu = this.sched.here.id, name = 'nmi' } = options;
    const flow = (): Flow<void> => nmi(this.sched, name, body);
    this.executor.raise(this.cpu(cpu), { kind: 'nmi', name, flow });
  }

  /**
   * What counts as an NMI and happens right here, also inside one: exceptions such as int3.
   * @throws SimulationError `SIM_PANIC` where they nest more than 15 deep.
   */
  nmiFlow<T>(name: string, body: () => Flow<T>): Flow<T> {
    return nmi(this.sched, name, body);
  }

  irqWork(name: string, func: () => Flow<void>, options?: IrqWorkOptions): IrqWork {
    return new IrqWork(name, func, options);
  }

  /**
   * smp_call_function_single: does `func` in a hardware interrupt of another CPU, and waits for it if asked; here it is
   * done at once with interrupts off.
   */
  *callFunction(cpu: number, func: () => Flow<void>, wait = true): Flow<void> {
    const { sched } = this;
    const target = this.cpu(cpu);
    if (target === sched.here) {
      const flags = sched.irqSave('smp_call_function_single');
      yield* func();
      sched.irqRestore(flags);
      return;
    }
    if (sched.here.irqsDisabled || inNmi(sched.here))
      sched.console.warnOnce('kernel/smp.c smp_call_function_single', 'WARN_ON_ONCE(irqs_disabled())');
    let done = false;
    const call = function* (): Flow<void> {
      yield* func();
      done = true;
    };
    sched.preemptDisable('smp_call_function_single');
    this.executor.raise(target, this.interrupt('call_function_single', call));
    if (wait) yield { kind: 'spin', until: () => done, on: waitable(`a function call on CPU ${cpu}`) };
    sched.preemptEnable();
    yield* sched.resched();
  }

  private cpu(id: number): Cpu {
    const cpu = this.sched.cpus[id];
    if (cpu === undefined) throw SyscallError.of('EINVAL', `there is no CPU ${id}`);
    return cpu;
  }
}

function* nothing(): Flow<void> {}
