/**
 * The simplest schedule that still fails in the same way: first every schedule with 0, 1, 2, … preemptions, as far as
 * that goes, then by leaving out one preemption of the schedule at hand after another.
 */
import { exhaustive } from './exhaustive.js';
import { explore } from './explore.js';
import { replaying } from './replay.js';
import { type Decision, preemptionsOf, runOnce } from './run.js';
import type { Failure, Scenario, World } from './types.js';

export interface MinimiseOptions {
  readonly depth?: number;
  /** Runs that may be spent; default 20,000. */
  readonly budget?: number;
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
  const depth = options.depth === undefined ? {} : { depth: options.depth };
  let budget = options.budget ?? DEFAULT_BUDGET;
  for (let bound = 0; bound < failure.preemptions && budget > 0; bound++) {
    const strategy = exhaustive({ preemptions: bound });
    const report = explore({ scenario, strategy, schedules: budget, keepGoing: true, ...depth });
    budget -= report.schedules;
    const same = report.failures.find((other) => sameFailure(other, failure));
    if (same !== undefined) return { ...same, proven: true };
    if (!report.exhausted) return { ...shorten(scenario, failure, depth), proven: false };
  }
  return { ...shorten(scenario, failure, depth), proven: budget > 0 };
}

function sameFailure(a: Failure, b: Failure): boolean {
  return a.kind === b.kind && (a.kind === 'deadlock' || a.message === b.message);
}

/** Takes preemptions out, the last first, while the schedule goes on failing. */
function shorten<W extends World>(
  scenario: Scenario<W>,
  failure: Failure,
  depth: { readonly depth?: number },
): Failure {
  let best = failure;
  let decisions = decisionsOf(scenario, failure, depth);
  for (let i = decisions.length - 1; i >= 0; i--) {
    const { same, taken } = decisions[i]!;
    if (same < 0 || taken === same) continue;
    const prefix = decisions.slice(0, i).map((decision) => decision.taken);
    const run = runOnce(scenario, (_choices, goOn, at) => (at < i ? prefix[at]! : Math.max(goOn, 0)), {
      ...depth,
      record: true,
    });
    if (run.verdict === undefined) continue;
    const candidate: Failure = {
      ...run.verdict,
      schedule: { ...failure.schedule, steps: run.labels },
      preemptions: preemptionsOf(run.decisions),
    };
    if (!sameFailure(candidate, failure) || candidate.preemptions >= best.preemptions) continue;
    best = candidate;
    decisions = [...run.decisions];
    i = Math.min(i, decisions.length);
  }
  return best;
}

function decisionsOf<W extends World>(
  scenario: Scenario<W>,
  failure: Failure,
  depth: { readonly depth?: number },
): Decision[] {
  return [...runOnce(scenario, replaying(failure.schedule), depth).decisions];
}
