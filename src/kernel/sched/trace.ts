/**
 * What happened when, on which CPU, as data: who ran, which interrupts came, locks and programs. Off unless asked for;
 * whoever draws or compares schedules reads it. The same seed and the same choices give the same list.
 */

/** A task as a trace names it. */
export interface TraceTask {
  readonly pid: number;
  readonly comm: string;
  readonly prio: number;
}

/** Where the event happened: simulated ns since boot, and the CPU. */
export interface TracePoint {
  readonly timeNs: number;
  readonly cpu: number;
}

export type TraceBody =
  /** `state`: of the task that leaves: R preempted or gave way, S sleeps, X has ended. */
  | {
      readonly kind: 'switch';
      readonly prev: TraceTask;
      readonly state: 'R' | 'S' | 'X';
      readonly next: TraceTask;
    }
  /** Became runnable, to run on `target`. */
  | { readonly kind: 'wake'; readonly task: TraceTask; readonly target: number }
  | { readonly kind: 'migrate'; readonly task: TraceTask; readonly from: number; readonly to: number }
  /** Entry and exit of an interrupt of any kind; a softirq by its vector's name. */
  | {
      readonly kind: 'irq';
      readonly phase: 'entry' | 'exit';
      readonly context: 'hardirq' | 'softirq' | 'nmi';
      readonly name: string;
    }
  | {
      readonly kind: 'lock';
      readonly phase: 'contended' | 'acquired' | 'released';
      readonly lock: string;
      readonly pid: number;
    }
  /** A counter of the CPU has a new value. */
  | { readonly kind: 'count'; readonly name: 'preempt_count' | 'bpf_prog_active'; readonly value: number }
  /** A BPF program starts or has ended. */
  | {
      readonly kind: 'prog';
      readonly phase: 'start' | 'end';
      readonly name: string;
      readonly pid: number;
      readonly preemptCount: number;
    };

export type TraceEvent = TracePoint & TraceBody;

/** Events kept where nothing else is said. */
const DEFAULT_TRACE_CAPACITY = 1_000_000;

export class ScheduleTrace {
  readonly events: TraceEvent[] = [];
  /** Events that no longer fitted. */
  dropped = 0;

  constructor(private readonly capacity = DEFAULT_TRACE_CAPACITY) {}

  add(at: TracePoint, body: TraceBody): void {
    if (this.events.length >= this.capacity) this.dropped++;
    else this.events.push({ ...at, ...body });
  }
}
