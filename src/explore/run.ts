/** Runs a scenario once under given decisions, and judges how it ended. */
import { SimulationError } from '../kernel/errors.js';
import type { Choice } from '../kernel/sched/executor.js';
import { choiceLabel, threadOf } from './choice.js';
import type { Scenario, Verdict, World } from './types.js';

/** A place where more than one thing could happen. */
export interface Decision {
  readonly count: number;
  readonly taken: number;
  /** Index of the choice that goes on with whoever took the last step; -1 where it cannot go on. */
  readonly same: number;
}

/** Takes one of the choices; -1 gives the run up as redundant. */
export type Decide = (choices: readonly Choice[], same: number, at: number) => number;

/** Observes a run. */
export interface Watcher {
  /** Before each step, forced ones too; false gives the run up as redundant. */
  step?(choice: Choice): boolean;
  /** Shared state used by the step under way. */
  touch?(object: object | string, write: boolean): void;
}

export interface Outcome {
  readonly decisions: readonly Decision[];
  /** Undefined for a run that ended well or was given up. */
  readonly verdict: Verdict | undefined;
  readonly abandoned: boolean;
  /** Labels of the choices taken, where `record` was asked for. */
  readonly labels: readonly string[];
}

class Abandoned extends Error {}

export const DEFAULT_DEPTH = 10_000;

/** @throws whatever the scenario's own code throws that is no `SimulationError`. */
export function runOnce<W extends World>(
  scenario: Scenario<W>,
  decide: Decide,
  options: { readonly depth?: number; readonly record?: boolean; readonly watcher?: Watcher } = {},
): Outcome {
  const world = scenario.build();
  const { executor, sched } = world;
  const { watcher } = options;
  const decisions: Decision[] = [];
  const labels: string[] = [];
  let last: object | undefined;
  executor.exploring = true;
  executor.maxSteps = options.depth ?? DEFAULT_DEPTH;
  executor.onTake = (choice) => {
    last = threadOf(choice);
    if (watcher?.step?.(choice) === false) throw new Abandoned();
  };
  if (watcher?.touch !== undefined) sched.onTouch = (object, write) => watcher.touch!(object, write);
  executor.chooser = (choices) => {
    const same = last === undefined ? -1 : choices.findIndex((choice) => threadOf(choice) === last);
    const taken = decide(choices, same, decisions.length);
    if (taken < 0) throw new Abandoned();
    decisions.push({ count: choices.length, taken, same });
    if (options.record === true) labels.push(choiceLabel(choices[taken]!));
    return taken;
  };
  try {
    executor.settle();
    // What looks at the end is no part of the schedule.
    executor.exploring = false;
    executor.chooser = () => 0;
    executor.onTake = undefined;
    sched.onTouch = undefined;
    return { decisions, verdict: judge(scenario, world), abandoned: false, labels };
  } catch (error) {
    if (error instanceof Abandoned) return { decisions, verdict: undefined, abandoned: true, labels };
    if (!(error instanceof SimulationError)) throw error;
    const kind = error.code === 'SIM_DEADLOCK' ? 'deadlock' : 'limit';
    return {
      decisions,
      verdict: judgeSplats(world) ?? { kind, message: error.detail },
      abandoned: false,
      labels,
    };
  } finally {
    scenario.dispose?.(world);
  }
}

/** Decisions that took the CPU from somebody who could have gone on. */
export function preemptionsOf(decisions: readonly Decision[]): number {
  return decisions.reduce((sum, { same, taken }) => sum + (same >= 0 && taken !== same ? 1 : 0), 0);
}

function judge<W extends World>(scenario: Scenario<W>, world: W): Verdict | undefined {
  const splat = judgeSplats(world) ?? judgeCounters(world);
  if (splat !== undefined) return splat;
  const message = scenario.check?.(world);
  return message === undefined ? scenario.judge?.(world) : { kind: 'assertion', message };
}

function judgeSplats({ sched }: World): Verdict | undefined {
  const splat = sched.console.splats.find(({ kind }) => kind !== 'deadlock');
  return splat === undefined ? undefined : { kind: 'splat', message: splat.lines[0] ?? splat.kind };
}

/** What everybody has to give back: preemption, interrupts, pins, read sections. */
function judgeCounters({ sched }: World): Verdict | undefined {
  const wrong: string[] = [];
  for (const cpu of sched.cpus) {
    if (cpu.preemptCount !== 0) wrong.push(`preempt_count of CPU ${cpu.id} is ${cpu.preemptCount}`);
    if (cpu.irqsDisabled) wrong.push(`interrupts of CPU ${cpu.id} are off`);
  }
  for (const task of sched.tasks.values()) {
    if (task.migrationDisabled !== 0) wrong.push(`${task.label} is still pinned`);
    if (task.rcuDepth !== 0) wrong.push(`${task.label} is in an RCU read section`);
  }
  return wrong.length === 0 ? undefined : { kind: 'counters', message: wrong.join('; ') };
}
