/** Runs a schedule again, choice by choice. */

import { choiceLabel } from './choice.js';
import { ExploreError } from './errors.js';
import type { Decide } from './run.js';
import type { Schedule } from './types.js';

/**
 * Takes the schedule's choices by their labels, and goes on with whoever ran last when it is at its end.
 * The decision throws ExploreError `EXPLORE_REPLAY` when the scenario does not offer what the schedule says.
 */
export function replaying(schedule: Schedule): Decide {
  return (choices, same, at) => {
    const wanted = schedule.steps[at];
    if (wanted === undefined) return Math.max(same, 0);
    const found = choices.findIndex((choice) => choiceLabel(choice) === wanted);
    if (found >= 0) return found;
    const offered = choices.map(choiceLabel).join(', ');
    throw new ExploreError(
      'EXPLORE_REPLAY',
      `step ${at + 1} is "${wanted}", but what can happen is: ${offered}`,
    );
  };
}

/**
 * The schedule in a JSON text.
 * @throws ExploreError `EXPLORE_SCHEDULE` for a text that holds none.
 */
export function parseSchedule(text: string, file?: string): Schedule {
  const place = file === undefined ? {} : { file };
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new ExploreError('EXPLORE_SCHEDULE', `not JSON: ${(error as Error).message}`, place);
  }
  const { scenario, seed, steps } = (value ?? {}) as Partial<Record<keyof Schedule, unknown>>;
  const valid =
    typeof scenario === 'string' &&
    typeof seed === 'number' &&
    Array.isArray(steps) &&
    steps.every((step) => typeof step === 'string');
  if (valid) return { scenario, seed, steps };
  throw new ExploreError(
    'EXPLORE_SCHEDULE',
    'a schedule has a scenario (text), a seed (number) and steps (texts)',
    place,
  );
}
