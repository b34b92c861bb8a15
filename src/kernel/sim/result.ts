/** What came of a scenario, as data. */
import { progTypeName } from '../../abi/prog-types.js';
import type { Splat } from '../console.js';
import type { Kernel } from '../kernel.js';
import type { LoadedObject, OutputRecord } from '../loaded-object.js';
import type { LatencyReport } from '../sched/latency.js';

/** An event that has happened. */
export interface EventResult {
  /** Its place in the scenario, e.g. `events[2]`. */
  readonly event: string;
  readonly kind: string;
  /** When it was over, in simulated nanoseconds from the start. */
  readonly timeNs: number;
  readonly cpu: number;
  readonly comm: string;
  /** What came of it: a verdict, a return value, bytes as hex. */
  readonly result: string | number;
}

export interface ProgramReport {
  readonly name: string;
  readonly type: string;
  readonly runs: number;
  readonly instructions: number;
  /** Runs that a recursion guard suppressed: as the kernel counts them, and all. */
  readonly misses: number;
  readonly skipped: number;
  /** Why the kernel's verifier would have refused it. */
  readonly refusal?: string;
}

export interface LinkReport {
  readonly prog: string;
  readonly target: string;
  /** Hits of the probe inside another one. */
  readonly missed: number;
}

export interface SimResult {
  readonly profile: string;
  readonly cpus: number;
  readonly seed: number;
  readonly interleaved: boolean;
  readonly events: readonly EventResult[];
  readonly programs: readonly ProgramReport[];
  readonly links: readonly LinkReport[];
  /** The kernel's log. */
  readonly console: readonly string[];
  readonly splats: readonly Splat[];
  /** Who waits for whom, where the simulation ended in that. */
  readonly deadlock?: string;
  /** Why it was stopped otherwise: it took too many steps, the kernel panicked. */
  readonly stopped?: string;
  /** What the scenario expects and does not hold, a sentence each. */
  readonly unmet: readonly string[];
  readonly latency: LatencyReport;
  /** Simulated nanoseconds that it took. */
  readonly timeNs: number;
  /** Lines of trace_pipe. */
  readonly trace: readonly string[];
  readonly output: readonly OutputRecord[];
}

/** How a simulation ended that did not end by itself. */
export type SimEnd = Pick<SimResult, 'deadlock' | 'stopped'>;

/** What the kernel has to say at the end. */
export function gather(
  kernel: Kernel,
  loaded: LoadedObject<Kernel>,
  events: readonly EventResult[],
  head: Pick<SimResult, 'seed' | 'timeNs' | 'unmet'> & SimEnd,
): SimResult {
  return {
    profile: kernel.profile.name,
    cpus: kernel.cpus,
    interleaved: kernel.sched.interleaved,
    ...head,
    events: events.toSorted((a, b) => a.timeNs - b.timeNs),
    programs: kernel.progs.map(({ name, type, stats, refusal }) => ({
      name,
      type: progTypeName(type),
      ...stats,
      ...(refusal !== undefined && { refusal }),
    })),
    links: kernel.links.map(({ prog, target, missed }) => ({ prog: prog.name, target, missed })),
    console: [...kernel.console],
    splats: kernel.splats,
    latency: kernel.latency(),
    trace: kernel.tracePipe.drain(),
    output: loaded.drain(),
  };
}

/** Whether anything went wrong. */
export function failed({ splats, deadlock, stopped, unmet }: SimResult): boolean {
  return splats.length > 0 || deadlock !== undefined || stopped !== undefined || unmet.length > 0;
}
