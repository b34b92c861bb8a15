/** A scenario given as data (`bpflab sim`'s form), as something to explore: every schedule begins in a kernel of its own. */
import type { Kernel } from '../kernel/kernel.js';
import type { Scenario as SimScenario } from '../kernel/sim/scenario.js';
import { type Prepared, prepare, type SimulateOptions } from '../kernel/sim/simulate.js';
import type { LoadableObject } from '../object/types.js';
import type { Scenario, World } from './types.js';

export interface SimWorld extends World {
  readonly kernel: Kernel;
  readonly prepared: Prepared;
}

export interface SimScenarioOptions extends SimulateOptions {
  /** Name in reports and schedules. */
  readonly name: string;
  /** What has to hold at the end of every run that ends well; a text says what is wrong. */
  readonly check?: (world: SimWorld) => string | undefined;
}

/** Flows always interleave here, whatever the scenario says. */
export function simScenario(
  object: LoadableObject,
  scenario: SimScenario,
  options: SimScenarioOptions,
): Scenario<SimWorld> {
  const { name, check, ...simulation } = options;
  return {
    name,
    build() {
      const prepared = prepare(object, { ...scenario, interleaved: true }, simulation);
      const { kernel } = prepared;
      return { kernel, prepared, sched: kernel.sched, executor: kernel.executor };
    },
    ...(check !== undefined && { check }),
    dispose: ({ kernel }) => kernel.dispose(),
  };
}
