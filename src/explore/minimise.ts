/**
 * The simplest schedule that still fails in the same way: first by leaving out preemptions of the one at hand, in ever
 * smaller parts (Zeller and Hildebrandt's ddmin, 2002), then by looking at every schedule with fewer, as far as that goes.
 */
import { exhaustive } from './exhaustive.js';
import { explore } from './explore.js';
import { type Plan, type Preemption, planOf, runPlan } from './plan.js';
import { replaying } from './replay.js';
import { preemptionsOf } from './run.js';
import type { Failure, Scenario, World } from './types.js';

export interface MinimiseOptions {
  readonly depth?: number;
  /** Runs that may be spent; default 20,000. */
  readonly budget?: number;
  /** Asked between runs whether to stop. */
  readonly stop?: () => boolean;
}

const DEFAULT_BUDGET = 20_000;

export interface Minimised extends Failure {
  /** No schedule with fewer preemptions fails so. */
  readonly proven: boolean;
}

export function minimise<W extends World>(
  scenario: Scenario<W>,
  failure: Failure,
  options: MinimiseOptions = {},
): Minimised {
  const { budget: most = DEFAULT_BUDGET, stop = () => false } = options;
  const depth = options.depth === undefined ? {} : { depth: options.depth };
  let budget = most;
  const spend = (): boolean => budget-- > 0 && !stop();
  const shorter = new Shortener(scenario, failure, depth, spend).run();
  for (let bound = 0; bound < shorter.preemptions; bound++) {
    const strategy = exhaustive({ preemptions: bound });
    const report = explore({
      scenario,
      strategy,
      schedules: most,
      keepGoing: true,
      stop: () => !spend(),
      ...depth,
    });
    const same = report.failures.find((other) => sameFailure(other, failure));
    if (same !== undefined) return { ...same, proven: true };
    if (!report.exhausted) return { ...shorter, proven: false };
  }
  return { ...shorter, proven: true };
}

function sameFailure(a: Pick<Failure, 'kind' | 'message'>, b: Failure): boolean {
  return a.kind === b.kind && (a.kind === 'deadlock' || a.message === b.message);
}

/** Leaves preemptions out while the schedule goes on failing. */
class Shortener<W extends World> {
  private best: Failure;
  private plan: Plan;

  constructor(
    private readonly scenario: Scenario<W>,
    private readonly failure: Failure,
    private readonly depth: { readonly depth?: number },
    private readonly spend: () => boolean,
  ) {
    this.best = failure;
    this.plan = planOf(scenario, replaying(failure.schedule), depth);
  }

  run(): Failure {
    let parts = 2;
    while (this.plan.preemptions.length > 0) {
      const { length } = this.plan.preemptions;
      parts = Math.min(parts, length);
      const outcome = this.withoutOneOf(parts);
      if (outcome === 'stopped') break;
      if (outcome === 'shorter') parts = Math.max(2, parts - 1);
      else if (parts >= length) break;
      else parts *= 2;
    }
    return this.best;
  }

  private withoutOneOf(parts: number): 'shorter' | 'same' | 'stopped' {
    const { preemptions } = this.plan;
    const size = Math.ceil(preemptions.length / parts);
    // The end of a schedule is what fails: what comes first can be spared most often.
    for (let from = 0; from < preemptions.length; from += size) {
      if (!this.spend()) return 'stopped';
      if (this.fails(preemptions.toSpliced(from, size))) return 'shorter';
    }
    return 'same';
  }

  private fails(preemptions: readonly Preemption[]): boolean {
    const run = runPlan(this.scenario, { ...this.plan, preemptions }, this.depth);
    const count = preemptionsOf(run.decisions);
    if (run.verdict === undefined || !sameFailure(run.verdict, this.failure)) return false;
    if (count >= this.best.preemptions) return false;
    this.best = {
      ...run.verdict,
      schedule: { ...this.failure.schedule, steps: run.labels },
      preemptions: count,
    };
    this.plan = planOf(this.scenario, replaying(this.best.schedule), this.depth);
    return true;
  }
}
