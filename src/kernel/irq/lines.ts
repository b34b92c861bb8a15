/**
 * Interrupt lines and their handlers. On RT, and with `threadirqs`, handlers run in threads of real-time priority unless
 * their flags say no; a line stays masked meanwhile. Models kernel/irq/manage.c and kernel/irq/handle.c of Linux 6.12.
 */
import { SyscallError } from '../errors.js';
import type { Executor } from '../sched/executor.js';
import type { Flow } from '../sched/flow.js';
import { Kthread } from '../sched/kthread.js';
import type { Sched } from '../sched/sched.js';
import { firePoint, type ProbePoint } from '../trace/probes.js';
import type { InterruptMaker } from './irq-work.js';
import type { Softirqs } from './softirq.js';

/** `wakeThread`: the rest is for the line's thread function. */
export type IrqReturn = 'none' | 'handled' | 'wakeThread';

/** Flags of `request_irq` that decide about threads. */
export interface IrqFlags {
  /** IRQF_NO_THREAD: never in a thread. */
  readonly noThread?: boolean;
  /** IRQF_PERCPU. */
  readonly perCpu?: boolean;
  /** IRQF_ONESHOT: the line stays masked until its thread has run. */
  readonly oneshot?: boolean;
}

export interface IrqRequest {
  readonly name: string;
  /** In hardware interrupt context unless it is forced into a thread; absent: only wakes the thread. */
  readonly handler?: () => Flow<IrqReturn>;
  /** In the line's own thread, when the handler asks for it. */
  readonly threadFn?: () => Flow<void>;
  readonly flags?: IrqFlags;
  /** CPU that the interrupt goes to; default 0. */
  readonly cpu?: number;
}

/** Priority of interrupt threads: half of the real-time ones. */
const IRQ_THREAD_RT_PRIORITY = 50;
/** Numbers below belong to the platform. */
const FIRST_IRQ = 24;

interface LineHost {
  readonly sched: Sched;
  readonly executor: Executor;
  readonly softirqs: Softirqs;
  readonly interrupt: InterruptMaker;
  readonly threadirqs: boolean;
}

/** One thread of a line and what it does when it is woken. */
class IrqThread {
  private runs = false;
  private readonly thread: Kthread;

  constructor(sched: Sched, comm: string, cpu: number, fn: () => Flow<void>) {
    const attr = { comm, cpu, policy: 'fifo', rtPriority: IRQ_THREAD_RT_PRIORITY } as const;
    this.thread = new Kthread(sched, attr, {
      pending: () => this.runs,
      run: () => {
        this.runs = false;
        return fn();
      },
    });
  }

  wake(): void {
    this.runs = true;
    this.thread.wake();
  }
}

export class IrqLine {
  readonly cpu: number;
  /** Interrupts that were handled, and those that had come before the one before them was. */
  count = 0;
  merged = 0;
  freed = false;
  private pending = false;
  private masked = false;
  private readonly primary: () => Flow<IrqReturn>;
  private readonly oneshot: boolean;
  private readonly threadable: boolean;
  private readonly thread: IrqThread | undefined;
  private readonly secondary: IrqThread | undefined;
  private readonly entry: ProbePoint;
  private readonly exit: ProbePoint;

  constructor(
    private readonly host: LineHost,
    readonly number: number,
    readonly request: IrqRequest,
  ) {
    const { sched } = host;
    const { name, handler, threadFn, flags = {} } = request;
    this.cpu = request.cpu ?? 0;
    this.entry = sched.probes.point('irq:irq_handler_entry');
    this.exit = sched.probes.point('irq:irq_handler_exit');
    const kept = flags.noThread === true || flags.perCpu === true || flags.oneshot === true;
    this.threadable = !kept;
    const forced = host.threadirqs && !kept && handler !== undefined;
    this.oneshot = forced || flags.oneshot === true;
    this.primary = forced ? wakeThread : (handler ?? wakeThread);
    const comm = `irq/${number}-${name}`;
    if (forced) {
      this.thread = new IrqThread(sched, comm, this.cpu, () => this.forcedThread(handler));
      if (threadFn !== undefined)
        this.secondary = new IrqThread(sched, `irq/${number}-s-${name}`, this.cpu, threadFn);
    } else if (threadFn !== undefined) {
      this.thread = new IrqThread(sched, comm, this.cpu, () => this.plainThread(threadFn));
    }
  }

  /** The device raises its interrupt. One that is under way keeps at most one more. */
  raise(): void {
    if (this.freed) return;
    if (this.pending) {
      this.merged++;
      return;
    }
    this.pending = true;
    if (!this.masked) this.send();
  }

  /** Raises it at a simulated time; `device` is what the device does then. */
  raiseAt(timeNs: number, device: () => void): void {
    const { executor, sched, interrupt } = this.host;
    const here = this;
    function* body(): Flow<void> {
      device();
      if (here.masked) here.pending = true;
      else yield* here.handle();
    }
    executor.at(timeNs, sched.cpus[this.cpu]!, interrupt(this.request.name, body));
  }

  private send(): void {
    const { executor, sched, interrupt } = this.host;
    executor.raise(
      sched.cpus[this.cpu]!,
      interrupt(this.request.name, () => this.handle()),
    );
  }

  private *handle(): Flow<void> {
    if (this.freed) return;
    this.pending = false;
    this.count++;
    if (this.oneshot) this.masked = true;
    const { calls } = this.host.sched.here;
    calls.push('handle_irq_event');
    if (this.entry.armed) yield* firePoint(this.entry, [this.number, this.request.name]);
    const { here } = this.host.sched;
    here.irqThreadable = this.threadable;
    const result = yield* this.primary();
    here.irqThreadable = false;
    if (this.exit.armed) yield* firePoint(this.exit, [this.number, result === 'none' ? 0 : 1]);
    calls.pop();
    if (result === 'wakeThread' && this.thread !== undefined) this.thread.wake();
    else this.unmask();
  }

  /** irq_forced_thread_fn: as a handler that was written for interrupt context expects, softirqs off. */
  private *forcedThread(handler: () => Flow<IrqReturn>): Flow<void> {
    const { sched, softirqs } = this.host;
    yield* softirqs.disable('irq_forced_thread_fn');
    const flags = sched.rt || sched.irqSave('irq_forced_thread_fn');
    const result = yield* handler();
    this.unmask();
    if (!sched.rt) sched.irqRestore(flags);
    yield* softirqs.enable();
    if (result === 'wakeThread') this.secondary?.wake();
  }

  private *plainThread(fn: () => Flow<void>): Flow<void> {
    yield* fn();
    this.unmask();
  }

  /** irq_finalize_oneshot. */
  private unmask(): void {
    if (!this.masked) return;
    this.masked = false;
    if (this.pending) this.send();
  }
}

/** irq_default_primary_handler. */
function* wakeThread(): Flow<IrqReturn> {
  return 'wakeThread';
}

export class IrqLines {
  private readonly lines = new Map<number, IrqLine>();
  private next = FIRST_IRQ;

  constructor(private readonly host: LineHost) {}

  /**
   * request_threaded_irq.
   * @throws SyscallError EINVAL without handler and thread function, or, without a handler, without `oneshot`.
   */
  request(request: IrqRequest): IrqLine {
    const { name, handler, threadFn, flags, cpu = 0 } = request;
    if (handler === undefined && threadFn === undefined)
      throw SyscallError.of('EINVAL', `interrupt ${name} has neither a handler nor a thread function`);
    if (handler === undefined && flags?.oneshot !== true)
      throw SyscallError.of('EINVAL', `interrupt ${name} has no handler and is not oneshot`);
    if (this.host.sched.cpus[cpu] === undefined)
      throw SyscallError.of('EINVAL', `interrupt ${name}: there is no CPU ${cpu}`);
    const line = new IrqLine(this.host, this.next++, request);
    this.lines.set(line.number, line);
    return line;
  }

  /** free_irq: what is still to come of it does nothing. */
  free(line: IrqLine): void {
    line.freed = true;
    this.lines.delete(line.number);
  }

  get(number: number): IrqLine | undefined {
    return this.lines.get(number);
  }
}
