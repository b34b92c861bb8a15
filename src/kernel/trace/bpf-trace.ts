/**
 * How tracing events call programs, and who keeps them from recursing: `trace_call_bpf`, `__bpf_trace_run`, kprobes'
 * own guard, perf's recursion contexts, ftrace's. Models kernel/trace/bpf_trace.c, kernel/kprobes.c and
 * kernel/trace/trace_event_perf.c; the profile's knobs say what differs between kernels.
 */
import { ProgFlag } from '../../abi/prog-flags.js';
import type { BpfLink } from '../bpf/link.js';
import type { BpfProg } from '../bpf/prog.js';
import { runArrayPinned } from '../bpf/prog-array.js';
import { thisCpuAdd } from '../bpf/recursion.js';
import { type EventStart, runProgFlow } from '../bpf/run-prog.js';
import type { Machine } from '../machine.js';
import { cantSleep, mightSleep } from '../sched/debug.js';
import type { Flow } from '../sched/flow.js';
import { inHardirq, inNmi, inServingSoftirq } from '../sched/preempt.js';
import type { Sched } from '../sched/sched.js';
import { ContextMemory } from './context-memory.js';
import { KernelText } from './functions.js';

/** Where `trace_call_bpf` and `__bpf_trace_run` ask cant_sleep: in 5.7, and in 6.12. */
const CALL_AT = { short: 'kernel/trace/bpf_trace.c:86', long: 'kernel/trace/bpf_trace.c:114' } as const;
const RUN_AT = { short: 'kernel/trace/bpf_trace.c:1894', long: 'kernel/trace/bpf_trace.c:2319' } as const;
const FAULT_AT = 'include/linux/bpf.h:2195';

/** Nested contexts that recursion guards tell apart: task, softirq, hardirq, NMI. */
const LEVELS = 4;

/** The context that code runs in, as recursion guards count them. */
function level({ here }: Sched): number {
  if (inNmi(here)) return 3;
  if (inHardirq(here)) return 2;
  return inServingSoftirq(here) ? 1 : 0;
}

/** A flag for each CPU and each context level. */
class LevelGuard {
  private readonly busy: Uint8Array;

  constructor(private readonly sched: Sched) {
    this.busy = new Uint8Array(sched.cpus.length * LEVELS);
  }

  /** A number to leave with, or -1 where this context of the CPU is inside already. */
  enter(): number {
    const at = this.sched.here.id * LEVELS + level(this.sched);
    if (this.busy[at] !== 0) return -1;
    this.busy[at] = 1;
    return at;
  }

  leave(at: number): void {
    this.busy[at] = 0;
  }
}

/** A guard keeps a program from running; `counted`: the kernel says so in `recursion_misses`. */
function skip({ stats }: BpfProg, counted: boolean): void {
  stats.skipped++;
  if (counted) stats.misses++;
}

export class Tracing {
  readonly memory: ContextMemory;
  readonly text: KernelText;
  /** `current_kprobe` of each CPU. */
  private readonly kprobeRunning: Uint8Array;
  private readonly perfRecursion: LevelGuard;
  private readonly ftraceRecursion: LevelGuard;

  constructor(readonly kernel: Machine) {
    const { sched } = kernel;
    this.memory = new ContextMemory(kernel.memory);
    this.text = new KernelText(kernel.symbols);
    this.kprobeRunning = new Uint8Array(sched.cpus.length);
    this.perfRecursion = new LevelGuard(sched);
    this.ftraceRecursion = new LevelGuard(sched);
  }

  /** What a program finds below itself: the kernel's functions under way, and what user space was at. */
  start(context: bigint | number, user?: readonly bigint[]): EventStart {
    const kernel = this.text.trace(this.kernel.sched.here.stack());
    return { args: [context], callchain: { kernel, ...(user !== undefined && { user }) } };
  }

  /** trace_call_bpf: 0 where the event is withheld, 1 where it passes. */
  *callBpf(progs: readonly BpfProg[], start: EventStart): Flow<number> {
    const { kernel } = this;
    const { sched, instrumentation, profile } = kernel;
    if (profile.inNmiReturn1 && inNmi(sched.here)) return 1;
    const { calls } = sched.here;
    calls.push('trace_call_bpf');
    if (profile.traceCallCantSleep) cantSleep(sched, CALL_AT[profile.mightSleepText]);
    if (profile.traceCallPreempt === 'preempt') sched.preemptDisable('trace_call_bpf');
    else if (profile.traceCallPreempt === 'migrate') sched.migrateDisable('trace_call_bpf');
    let result = 0;
    if ((yield* instrumentation.inc()) === 1) result = yield* runArrayPinned(kernel, progs, start);
    else for (const prog of progs) skip(prog, profile.countMissed);
    yield* instrumentation.dec();
    if (profile.traceCallPreempt === 'preempt') sched.preemptEnable();
    else if (profile.traceCallPreempt === 'migrate') sched.migrateEnable();
    calls.pop();
    return result;
  }

  /** __bpf_trace_run: a raw tracepoint's program; the call site has disabled preemption where the kernel does that. */
  *traceRun(prog: BpfProg, start: EventStart): Flow<void> {
    const { sched, profile } = this.kernel;
    const srcu = profile.tpCtx === 'srcu';
    if (profile.traceCallCantSleep && !srcu) cantSleep(sched, RUN_AT[profile.mightSleepText]);
    if (profile.rawTpPreempt) sched.preemptDisable('__bpf_trace_run');
    sched.current.rcuDepth++;
    if (srcu) sched.migrateDisable('__bpf_trace_run');
    const alone = !profile.guardRawTp || (yield* thisCpuAdd(sched, prog.active, 1)) === 1;
    if (alone) yield* runProgFlow(this.kernel, prog, start);
    else skip(prog, true);
    if (profile.guardRawTp) yield* thisCpuAdd(sched, prog.active, -1);
    if (srcu) sched.migrateEnable();
    sched.current.rcuDepth--;
    if (profile.rawTpPreempt) sched.preemptEnable();
  }

  /** A tracepoint's call site (`__DO_TRACE`). */
  *atTracepoint(body: () => Flow<void>): Flow<void> {
    const { sched, profile } = this.kernel;
    if (profile.tpCtx === 'srcu') {
      yield* body();
      return;
    }
    sched.preemptDisable('__DO_TRACE');
    yield* body();
    sched.preemptEnable();
    yield* sched.resched();
  }

  /** A kprobe is hit: its handler runs without preemption, and not inside another kprobe's. False: it was missed. */
  *kprobe(link: BpfLink, body: () => Flow<unknown>): Flow<boolean> {
    const { irq, profile } = this.kernel;
    if (!profile.kprobeNmi) return yield* this.hitKprobe(link, body, 'kprobe_ftrace_handler');
    return yield* irq.nmiFlow('exc_int3', () => this.hitKprobe(link, body, 'kprobe_int3_handler'));
  }

  private *hitKprobe(link: BpfLink, body: () => Flow<unknown>, place: string): Flow<boolean> {
    const { sched } = this.kernel;
    sched.preemptDisable(place);
    const { id } = sched.here;
    const hit = this.kprobeRunning[id] === 0;
    if (hit) {
      this.kprobeRunning[id] = 1;
      yield* body();
      this.kprobeRunning[id] = 0;
    } else link.missed++;
    sched.preemptEnable();
    yield* sched.resched();
    return hit;
  }

  /** An fprobe (kprobe.multi): ftrace lets no context of a CPU in twice. False: it was missed. */
  *fprobe(link: BpfLink, body: () => Flow<unknown>): Flow<boolean> {
    const { sched } = this.kernel;
    sched.preemptDisable('fprobe_handler');
    const at = this.ftraceRecursion.enter();
    if (at >= 0) {
      yield* body();
      this.ftraceRecursion.leave(at);
    } else link.missed++;
    sched.preemptEnable();
    yield* sched.resched();
    return at >= 0;
  }

  /** kprobe_multi_link_prog_run. */
  *multi(prog: BpfProg, start: EventStart): Flow<number> {
    const { kernel } = this;
    const { sched, instrumentation } = kernel;
    let result = 0;
    if ((yield* instrumentation.inc()) === 1) {
      sched.migrateDisable('kprobe_multi_link_prog_run');
      sched.current.rcuDepth++;
      result = Number((yield* runProgFlow(kernel, prog, start)).r0 & 0xffffffffn);
      sched.current.rcuDepth--;
      sched.migrateEnable();
    } else skip(prog, true);
    yield* instrumentation.dec();
    return result;
  }

  /** A tracepoint with perf's buffer around it: no context of a CPU writes one inside another. False: it was dropped. */
  *perfEvent(body: () => Flow<unknown>): Flow<boolean> {
    const at = this.perfRecursion.enter();
    if (at < 0) return false;
    yield* body();
    this.perfRecursion.leave(at);
    return true;
  }

  /** What runs a uprobe's programs: as a kprobe's, with or without preemption, or in a section that may sleep. */
  *uprobe(progs: readonly BpfProg[], start: EventStart): Flow<void> {
    const { kernel } = this;
    const { sched, profile } = kernel;
    if (profile.uprobePreempt === 'sleepable') {
      mightSleep(sched, FAULT_AT);
      sched.migrateDisable('bpf_prog_run_array_uprobe');
      for (const prog of [...progs]) {
        const rcu = (prog.progFlags & ProgFlag.BPF_F_SLEEPABLE) === 0 ? 1 : 0;
        sched.current.rcuDepth += rcu;
        yield* runProgFlow(kernel, prog, start);
        sched.current.rcuDepth -= rcu;
      }
      sched.migrateEnable();
      return;
    }
    const preempt = profile.uprobePreempt === 'preempt';
    if (preempt) sched.preemptDisable('__uprobe_perf_func');
    yield* this.callBpf(progs, start);
    if (preempt) sched.preemptEnable();
    yield* sched.resched();
  }
}
