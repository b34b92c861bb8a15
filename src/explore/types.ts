/** What is explored, and what comes of it. A scenario is built anew for every schedule; nothing is shared between runs. */
import type { Machine } from '../kernel/machine.js';
import type { Executor } from '../kernel/sched/executor.js';
import type { Sched } from '../kernel/sched/sched.js';

/** One instance of a scenario: tasks spawned, interrupts raised, nothing run yet. A `Kernel` is one. */
export interface World {
  readonly sched: Sched;
  readonly executor: Executor;
  /** The kernel around them, where there is one: stories then tell of its programs. */
  readonly kernel?: Machine;
}

export interface Scenario<W extends World = World> {
  readonly name: string;
  /** Must do the same each time. */
  build(): W;
  /** The scenario's own assertion, asked after a run that ended well: what is wrong, or undefined. */
  check?(world: W): string | undefined;
  /** What else a run that ended well is held against; the first thing that is wrong. Asked last. */
  judge?(world: W): Verdict | undefined;
  /** Gives back what a run took. */
  dispose?(world: W): void;
  /**
   * All shared state that the scenario's flows use is reported by `sched.touch`, so that steps that touch different
   * things need not be tried in both orders.
   */
  readonly footprints?: boolean;
}

/** A schedule as data: at each place where more than one thing could happen, which of them did. */
export interface Schedule {
  readonly scenario: string;
  /** Seed of the strategy that found it; says nothing to a replay. */
  readonly seed: number;
  /** The choice taken, by its label (`choiceLabel`), in order. */
  readonly steps: readonly string[];
}

/**
 * `counters`: something that has to be given back was not; `locks`: a lock is held at the end; `history`: operations on a map
 * answered what no map could; `leak`: memory or callbacks are left; `limit`: too many steps.
 */
export type FailureKind =
  | 'splat'
  | 'deadlock'
  | 'assertion'
  | 'counters'
  | 'locks'
  | 'history'
  | 'leak'
  | 'limit';

/** How a run went wrong. */
export interface Verdict {
  readonly kind: FailureKind;
  /** One line: the splat's title, who waits for whom, the assertion. */
  readonly message: string;
}

export interface Failure extends Verdict {
  readonly schedule: Schedule;
  /** Decisions that took the CPU from something that could have gone on. */
  readonly preemptions: number;
}

export interface Limits {
  /** Most schedules to run; default 10,000. */
  readonly schedules?: number;
  /** Most steps of one schedule; default 10,000. */
  readonly depth?: number;
  /** Go on after the first failure; default false. */
  readonly keepGoing?: boolean;
  /** Asked between schedules whether to stop: for time limits, which are the host's. */
  readonly stop?: () => boolean;
  /** Told after every schedule. */
  readonly onProgress?: (schedules: number) => void;
}

export interface ExploreReport {
  readonly scenario: string;
  readonly strategy: string;
  readonly schedules: number;
  /** Runs that partial-order reduction cut short. */
  readonly pruned: number;
  /** Most decisions that a schedule had. */
  readonly maxDecisions: number;
  /** Every schedule (within the preemption bound) has been run. */
  readonly exhausted: boolean;
  /** Different failures, by kind and message, each with the first schedule that showed it. */
  readonly failures: readonly Failure[];
  /** What a strategy has to say about its chances. */
  readonly note?: string;
}
