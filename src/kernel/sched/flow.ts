/**
 * Kernel code that can wait or be preempted is a generator: a *flow*. What it yields says why it pauses; the executor
 * (`executor.ts`) decides what runs meanwhile and goes on with it. A flow that has nothing to wait for, in a kernel that
 * does not interleave, runs to its end without a pause.
 */

/** A place where others may run although this flow could go on. Made once a place, as a module constant. */
export interface PointPause {
  readonly kind: 'point';
  readonly place: string;
}

/** The flow keeps its CPU busy until a condition holds, as a spinning lock does. */
export interface SpinPause {
  readonly kind: 'spin';
  readonly until: () => boolean;
  readonly on: Waitable;
  /** Simulated time (ns) at which it goes on even so. */
  readonly deadlineNs?: number;
}

/** The task leaves its CPU (`__schedule`) and goes on when the scheduler has put it back on one. */
export interface SchedulePause {
  readonly kind: 'schedule';
  /** What the task sleeps for; absent where it was preempted or gave way. */
  readonly on?: Waitable;
}

export type Pause = PointPause | SpinPause | SchedulePause;

/** Kernel code as a generator. Drive it with `Sched.run…`, or `yield*` it from another. */
export type Flow<T> = Generator<Pause, T, void>;

/** Something that can be waited for, as a deadlock report names it. */
export interface Waitable {
  /** E.g. `&htab->buckets[3].raw_lock`. */
  readonly name: string;
  /** Who has it now, e.g. `bpflab/1001 on CPU 0`; undefined where nobody in particular does. */
  holder(): string | undefined;
}

export function point(place: string): PointPause {
  return { kind: 'point', place };
}

/** Runs a flow that must not pause to its end; `what` names it for the error, which is the caller's mistake. */
export function runAtOnce<T>(flow: Flow<T>, refuse: (pause: Pause) => never): T {
  for (;;) {
    const step = flow.next();
    if (step.done === true) return step.value;
    if (step.value.kind !== 'point') return refuse(step.value);
  }
}
