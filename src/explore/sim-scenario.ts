/** A scenario given as data (`bpflab sim`'s form), as something to explore: every schedule begins in a kernel of its own. */
import { Verdicts } from '../kernel/bpf/verdicts.js';
import type { Kernel } from '../kernel/kernel.js';
import type { Scenario as SimScenario } from '../kernel/sim/scenario.js';
import { type Prepared, prepare, type SimulateOptions } from '../kernel/sim/simulate.js';
import type { LoadableObject } from '../object/types.js';
import { KernelOracles, type MemoryBaseline, usageWithoutMaps } from './kernel-oracles.js';
import type { Scenario, World } from './types.js';

export interface SimWorld extends World {
  readonly kernel: Kernel;
  readonly prepared: Prepared;
  readonly oracles: KernelOracles;
}

export interface SimScenarioOptions extends SimulateOptions {
  /** Name in reports and schedules. */
  readonly name: string;
  /** What has to hold at the end of every run that ends well; a text says what is wrong. */
  readonly check?: (world: SimWorld) => string | undefined;
  /** Instructions of a program after which others may run; default 100. */
  readonly quantum?: number;
}

/** Flows always interleave here, whatever the scenario says. */
export function simScenario(
  object: LoadableObject,
  scenario: SimScenario,
  options: SimScenarioOptions,
): Scenario<SimWorld> {
  const { name, check, quantum, ...given } = options;
  const simulation: SimulateOptions = { verdicts: new Verdicts(), ...given };
  const interleaved = { ...scenario, interleaved: true };
  let known: MemoryBaseline | undefined;
  const baseline = (): MemoryBaseline => {
    known ??= usageOfNothing(object, { ...interleaved, events: [], expect: [] }, simulation);
    return known;
  };
  return {
    name,
    build() {
      const prepared = prepare(object, interleaved, simulation);
      const { kernel } = prepared;
      if (quantum !== undefined) kernel.insnQuantum = quantum;
      const oracles = new KernelOracles(kernel, baseline);
      return { kernel, prepared, oracles, sched: kernel.sched, executor: kernel.executor };
    },
    ...(check !== undefined && { check }),
    judge: ({ oracles, prepared }) => oracles.verdict(() => prepared.unmet()),
    dispose: ({ kernel }) => kernel.dispose(),
  };
}

/** Memory of a kernel in which nothing happens. */
function usageOfNothing(
  object: LoadableObject,
  scenario: SimScenario,
  options: SimulateOptions,
): MemoryBaseline {
  const { kernel } = prepare(object, scenario, options);
  const usage = usageWithoutMaps(kernel);
  kernel.dispose();
  return usage;
}
