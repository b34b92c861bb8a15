/**
 * Perf events that programs are attached to, and their overflow: in an NMI for hardware counters, in a hard timer interrupt
 * for the CPU's and the task's clock, where the event happens, without preemption, for other software events. Models
 * kernel/events/core.c (`bpf_overflow_handler`).
 */
import { offsetOf } from '../../abi/context/layout.js';
import { PERF_EVENT_DATA } from '../../abi/context/perf-event.js';
import type { BpfLink } from '../bpf/link.js';
import { runProgFlow } from '../bpf/run-prog.js';
import { SyscallError } from '../errors.js';
import type { Flow } from '../sched/flow.js';
import type { Tracing } from '../trace/bpf-trace.js';
import type { Registers } from '../trace/context-memory.js';

/** Events of the hardware and of software, as `perf list` names them. */
export const HARDWARE_EVENTS = [
  'cpu-cycles',
  'instructions',
  'cache-references',
  'cache-misses',
  'branch-instructions',
  'branch-misses',
  'bus-cycles',
] as const;
export const CLOCK_EVENTS = ['cpu-clock', 'task-clock'] as const;
export const SOFTWARE_EVENTS = [
  'page-faults',
  'context-switches',
  'cpu-migrations',
  'alignment-faults',
] as const;

export type PerfEventName =
  | (typeof HARDWARE_EVENTS)[number]
  | (typeof CLOCK_EVENTS)[number]
  | (typeof SOFTWARE_EVENTS)[number];

export interface PerfEventAttr {
  readonly event: PerfEventName;
  readonly cpu: number;
  /** Events between two samples; default 1,000,000 (for clocks: ns). */
  readonly period?: number;
  /** Samples a second of simulated time that come by themselves; absent: only those that `perfSample` brings about. */
  readonly freq?: number;
}

/** What a sample finds. */
export interface PerfSample {
  /** The task was in user space with this stack, innermost first; default: in the kernel where it is in a function. */
  readonly user?: readonly bigint[];
  readonly registers?: Registers;
  /** Address of the access that caused it. */
  readonly addr?: bigint;
}

const DEFAULT_PERIOD = 1_000_000;
const PERIOD_AT = offsetOf(PERF_EVENT_DATA, 'sample_period');
const ADDR_AT = offsetOf(PERF_EVENT_DATA, 'addr');
const USER_IP = 0x401000n;
const NS_PER_SECOND = 1e9;

export class PerfEvent {
  link: BpfLink | undefined;
  /** Samples that went to the event's ring buffer: none where a program returned 0. */
  samples = 0;
  /** Overflows that did not. */
  suppressed = 0;

  constructor(readonly attr: PerfEventAttr) {}

  /** How its overflow comes. */
  get via(): 'nmi' | 'hardirq' | 'inline' {
    const { event } = this.attr;
    if ((HARDWARE_EVENTS as readonly string[]).includes(event)) return 'nmi';
    return (CLOCK_EVENTS as readonly string[]).includes(event) ? 'hardirq' : 'inline';
  }
}

export class PerfEvents {
  readonly open: PerfEvent[] = [];

  constructor(private readonly tracing: Tracing) {}

  /** perf_event_open and PERF_EVENT_IOC_SET_BPF. */
  attach(link: BpfLink, attr: PerfEventAttr): () => void {
    if (attr.cpu >= this.tracing.kernel.cpus || attr.cpu < 0) {
      throw SyscallError.of('EINVAL', `there is no CPU ${attr.cpu}`, { symbol: link.prog.name });
    }
    const event = new PerfEvent(attr);
    event.link = link;
    this.open.push(event);
    if (attr.freq !== undefined) this.arm(event, attr.freq);
    return () => {
      this.open.splice(this.open.indexOf(event), 1);
      event.link = undefined;
    };
  }

  /** The next of the samples that come by themselves, until the event is closed. */
  private arm(event: PerfEvent, freq: number): void {
    const { sched } = this.tracing.kernel;
    const cpu = sched.cpus[event.attr.cpu]!;
    const now = cpu === sched.here ? sched.clock.nanos : cpu.timeNs;
    const again = (): void => {
      if (event.link !== undefined) this.arm(event, freq);
    };
    this.raiseAt(now + Math.round(NS_PER_SECOND / freq), event, {}, again, true);
  }

  /** An overflow at a simulated time; not for events that come inline. `background`: nothing waits for it. */
  raiseAt(timeNs: number, event: PerfEvent, sample: PerfSample, done: () => void, background = false): void {
    const { executor, sched, irq } = this.tracing.kernel;
    const name = event.via === 'nmi' ? 'perf_event_nmi_handler' : 'perf_swevent_hrtimer';
    const body = (): Flow<void> => this.whole(event, sample, done);
    const interrupt =
      event.via === 'nmi'
        ? { kind: 'nmi' as const, name, flow: () => irq.nmiFlow(name, body) }
        : irq.interrupt(name, body);
    executor.at(timeNs, sched.cpus[event.attr.cpu]!, interrupt, background ? () => false : undefined);
  }

  /** Events of a CPU that come in the same way, or by name. */
  on(cpu: number, name?: PerfEventName): PerfEvent[] {
    return this.open.filter(({ attr }) => attr.cpu === cpu && (name === undefined || attr.event === name));
  }

  /** An overflow that comes as an interrupt; `done` is called at its end. */
  raise(event: PerfEvent, sample: PerfSample, done: () => void = () => {}): void {
    const { irq, executor, sched } = this.tracing.kernel;
    const body = (): Flow<void> => this.whole(event, sample, done);
    const { cpu } = event.attr;
    if (event.via === 'nmi') irq.nmi(body, { cpu, name: 'perf_event_nmi_handler' });
    else executor.raise(sched.cpus[cpu]!, irq.interrupt('perf_swevent_hrtimer', body));
  }

  private *whole(event: PerfEvent, sample: PerfSample, done: () => void): Flow<void> {
    if (event.link !== undefined) yield* this.overflow(event, sample);
    done();
  }

  /** A software event happens here (`__perf_sw_event`). */
  *softwareEvent(name: PerfEventName, sample: PerfSample = {}): Flow<void> {
    const { sched } = this.tracing.kernel;
    for (const event of this.on(sched.here.id, name)) {
      sched.preemptDisable('__perf_sw_event');
      yield* this.overflow(event, sample);
      sched.preemptEnable();
      yield* sched.resched();
    }
  }

  /** bpf_overflow_handler, then perf's own: a program that returns 0 suppresses the sample. */
  private *overflow(event: PerfEvent, sample: PerfSample): Flow<void> {
    const { kernel } = this.tracing;
    const { sched, instrumentation } = kernel;
    const { prog } = event.link ?? {};
    const { calls } = sched.here;
    calls.push('bpf_overflow_handler');
    let pass = false;
    if (kernel.profile.overflowPreempt) sched.preemptDisable('bpf_overflow_handler');
    if ((yield* instrumentation.inc()) === 1 && prog !== undefined) {
      sched.current.rcuDepth++;
      const { context, start } = this.context(event, sample);
      pass = (yield* runProgFlow(kernel, prog, start)).r0 !== 0n;
      this.tracing.memory.give(context);
      sched.current.rcuDepth--;
    } else if (prog !== undefined) prog.stats.skipped++;
    yield* instrumentation.dec();
    if (kernel.profile.overflowPreempt) sched.preemptEnable();
    calls.pop();
    if (pass) event.samples++;
    else event.suppressed++;
  }

  private context(event: PerfEvent, sample: PerfSample) {
    const { memory, text, kernel } = this.tracing;
    const stack = kernel.sched.here.stack();
    const below = stack.findIndex((name) => name.startsWith('<'));
    const kernelTrace = event.via === 'inline' ? text.trace(stack) : text.trace(stack.slice(below + 1));
    const user = sample.user ?? (kernel.current.attr.kthread === true ? [] : [USER_IP]);
    const inKernel = kernelTrace.length > 0;
    const context = memory.take(PERF_EVENT_DATA.size);
    memory.setRegisters(context, {
      ip: inKernel ? kernelTrace[0]! : (user[0] ?? 0n),
      cs: inKernel ? 0x10 : 0x33,
      ...sample.registers,
    });
    const { view } = kernel.memory;
    view.setBigUint64(context.address32 + PERIOD_AT, BigInt(event.attr.period ?? DEFAULT_PERIOD), true);
    view.setBigUint64(context.address32 + ADDR_AT, BigInt.asUintN(64, sample.addr ?? 0n), true);
    return { context, start: { args: [context.address], callchain: { kernel: kernelTrace, user } } };
  }
}
