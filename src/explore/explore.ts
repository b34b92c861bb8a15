/** The search: runs a scenario under one schedule after another until something fails, nothing is left, or it is enough. */

import { ExploreError } from './errors.js';
import { randomWalk } from './random.js';
import { replaying } from './replay.js';
import { preemptionsOf, runOnce } from './run.js';
import type { Strategy } from './strategy.js';
import type { ExploreReport, Failure, Limits, Scenario, Schedule, World } from './types.js';

export interface ExploreOptions<W extends World = World> extends Limits {
  readonly scenario: Scenario<W>;
  /** Default: a random walk. */
  readonly strategy?: Strategy;
}

const DEFAULT_SCHEDULES = 10_000;

/** Explores a scenario. Whatever fails is in the report; only mistakes in the scenario's own code are thrown. */
export function explore<W extends World>(options: ExploreOptions<W>): ExploreReport {
  const {
    scenario,
    strategy = randomWalk(),
    schedules = DEFAULT_SCHEDULES,
    keepGoing = false,
    stop,
  } = options;
  const found = new Map<string, Failure>();
  const { watcher } = strategy;
  const depth = options.depth === undefined ? {} : { depth: options.depth };
  const runOptions = { ...depth, ...(watcher === undefined ? {} : { watcher }) };
  let runs = 0;
  let pruned = 0;
  let maxDecisions = 0;
  while (runs < schedules && !(stop?.() ?? false)) {
    const decide = strategy.next();
    if (decide === undefined) break;
    const outcome = runOnce(scenario, decide, runOptions);
    if (strategy.learn(outcome) === false) continue;
    if (outcome.abandoned) {
      pruned++;
      continue;
    }
    runs++;
    maxDecisions = Math.max(maxDecisions, outcome.decisions.length);
    options.onProgress?.(runs);
    const { verdict, decisions } = outcome;
    if (verdict === undefined) continue;
    const key = `${verdict.kind} ${verdict.message}`;
    if (!found.has(key)) {
      const taken = decisions.map((decision) => decision.taken);
      const schedule = {
        scenario: scenario.name,
        seed: strategy.seed,
        steps: labelsOf(scenario, taken, depth),
      };
      found.set(key, { ...verdict, schedule, preemptions: preemptionsOf(decisions) });
    }
    if (!keepGoing) break;
  }
  return {
    scenario: scenario.name,
    strategy: strategy.name,
    schedules: runs,
    pruned,
    maxDecisions,
    exhausted: strategy.exhausted,
    failures: [...found.values()],
    ...(strategy.note === undefined ? {} : { note: strategy.note }),
  };
}

/** Runs a scenario under one schedule: the failure, or undefined. Throws `ExploreError` when it does not fit. */
export function replay<W extends World>(
  scenario: Scenario<W>,
  schedule: Schedule,
  options: { readonly depth?: number } = {},
): Failure | undefined {
  const { verdict, decisions, labels } = runOnce(scenario, replaying(schedule), { ...options, record: true });
  if (verdict === undefined && decisions.length < schedule.steps.length) {
    const next = schedule.steps[decisions.length];
    throw new ExploreError(
      'EXPLORE_REPLAY',
      `step ${decisions.length + 1} is "${next}", but nothing more can happen`,
    );
  }
  if (verdict === undefined) return undefined;
  return { ...verdict, schedule: { ...schedule, steps: labels }, preemptions: preemptionsOf(decisions) };
}

/** Labels of the choices that a run took; made only for runs that somebody wants to see. */
function labelsOf<W extends World>(
  scenario: Scenario<W>,
  taken: readonly number[],
  options: { readonly depth?: number },
): readonly string[] {
  return runOnce(scenario, (_choices, same, at) => taken[at] ?? Math.max(same, 0), {
    ...options,
    record: true,
  }).labels;
}
