/** What a search needs, as plain data that a worker thread can be handed, and the search itself. */
import { type ExploreReport, exhaustive, explore, pct, randomWalk, type Strategy } from '../explore/index.js';
import { type SimWorld, simScenario } from '../explore/sim-scenario.js';
import type { Scenario } from '../explore/types.js';
import { kernelProfile } from '../kernel/profile.js';
import { openObject, relocateObject } from '../object/index.js';
import { readInput } from './files.js';
import { orUsage, readScenarioFile } from './scenario-file.js';
import { type TargetOptions, targetFor } from './target.js';

export interface ExploreJob extends TargetOptions {
  readonly file: string;
  readonly scenario: string;
  readonly kernel?: string;
  readonly strategy: 'random' | 'pct' | 'exhaustive';
  readonly seed: number;
  /** Seeds are `seed`, `seed + stride`, …: a part of all where a search is spread. */
  readonly stride: number;
  /** The part of an exhaustive search that this is. */
  readonly part: { readonly index: number; readonly count: number };
  readonly bugDepth: number;
  readonly preemptions?: number;
  readonly schedules: number;
  readonly seconds?: number;
  readonly depth?: number;
  readonly quantum?: number;
  readonly keepGoing: boolean;
}

/** The scenario of a job. Throws what reading the object and the scenario throws. */
export function scenarioOf(job: ExploreJob): Scenario<SimWorld> {
  const object = openObject(readInput(job.file), { file: job.file });
  const target = targetFor(object, job);
  const parsed = readScenarioFile(job.scenario);
  const scenario = job.kernel === undefined ? parsed : { ...parsed, profile: kernelProfile(job.kernel) };
  const { targetBtf: btf } = target;
  const found = simScenario(relocateObject(object, target), scenario, {
    name: job.scenario,
    ...(job.quantum !== undefined && { quantum: job.quantum }),
    ...(btf !== undefined && { btf }),
  });
  return { ...found, build: () => orUsage(job.scenario, found.build) };
}

/** Runs it. Only the time limit looks at the host's clock; it decides when to stop, never what a schedule does. */
export function runJob(job: ExploreJob, onProgress?: (schedules: number) => void): ExploreReport {
  const { schedules, keepGoing, seconds, depth } = job;
  const until = seconds === undefined ? Number.POSITIVE_INFINITY : Date.now() + seconds * 1000;
  return explore({
    scenario: scenarioOf(job),
    strategy: strategyOf(job),
    schedules,
    keepGoing,
    stop: () => Date.now() >= until,
    ...(depth !== undefined && { depth }),
    ...(onProgress !== undefined && { onProgress }),
  });
}

function strategyOf({ strategy, seed, stride, bugDepth, preemptions, part }: ExploreJob): Strategy {
  if (strategy === 'random') return randomWalk(seed, stride);
  if (strategy === 'pct') return pct({ seed, stride, depth: bugDepth });
  return exhaustive({ part, ...(preemptions !== undefined && { preemptions }) });
}
