/** A scenario as a file, for the commands that run one: whatever is wrong with it is wrong usage, with the file's name. */
import { dirname, join } from 'node:path';
import { PcapError, ScenarioError } from '../kernel/errors.js';
import { parseScenario, type Scenario } from '../kernel/sim/scenario.js';
import { UsageError } from './errors.js';
import { readInput } from './files.js';

/** Files that it names lie beside it; `-` is standard input. Throws `UsageError`. */
export function readScenarioFile(file: string): Scenario {
  const text = Buffer.from(readInput(file)).toString('utf8');
  return orUsage(file, () => parseScenario(text, (name) => readInput(join(dirname(file), name))));
}

/** Throws `UsageError` for what `act` finds wrong with the scenario, and whatever else it throws as it is. */
export function orUsage<T>(file: string, act: () => T): T {
  try {
    return act();
  } catch (error) {
    if (error instanceof ScenarioError || error instanceof PcapError) {
      throw new UsageError(error.code, error.detail, { file });
    }
    throw error;
  }
}
