/** Runs one side of a case: a kernel, the scenario, once by its times or under schedules that the explorer makes. */
import { pct } from '../explore/pct.js';
import { randomWalk } from '../explore/random.js';
import { preemptionsOf, runOnce } from '../explore/run.js';
import { type SimWorld, simScenario } from '../explore/sim-scenario.js';
import { type StoryLine, storyOf } from '../explore/story.js';
import type { Strategy } from '../explore/strategy.js';
import type { Scenario as Explored } from '../explore/types.js';
import type { Splat } from '../kernel/console.js';
import { ScenarioError } from '../kernel/errors.js';
import { kernelProfile } from '../kernel/profile.js';
import type { TraceEvent } from '../kernel/sched/trace.js';
import type { SimResult } from '../kernel/sim/result.js';
import { parseScenario, type Scenario } from '../kernel/sim/scenario.js';
import { prepare } from '../kernel/sim/simulate.js';
import type { LoadableObject } from '../object/types.js';
import { type LookName, lookAt } from './look.js';
import type { CaseSpec, SideSpec } from './spec.js';

/** Where objects and scenarios come from; names as in `CaseSpec`. */
export interface RfcLibrary {
  object(name: string): LoadableObject;
  /** JSON of a scenario. */
  scenario(name: string): string;
}

export interface RfcOptions {
  /** Schedules that a search tries at most where something is to be found; default 400. */
  readonly schedules?: number;
  /** Schedules that a search tries where nothing is; default 40. */
  readonly cleanSchedules?: number;
}

/** What a side showed. */
export interface SideReport {
  readonly label: string;
  readonly profile: string;
  readonly knobs: Readonly<Record<string, string | boolean>>;
  /** What was seen, and what had to be. */
  readonly seen: readonly string[];
  readonly expected: readonly string[];
  readonly ok: boolean;
  readonly splats: readonly Splat[];
  readonly console: readonly string[];
  /** Of a search: how many schedules were run, the last being the one that is shown. */
  readonly schedules?: number;
  /** Of a search that found something: its choices. */
  readonly steps?: readonly string[];
}

/** With what only programs want: the result and the trace of the run. */
export interface SideRun {
  readonly report: SideReport;
  readonly result: SimResult;
  readonly trace: readonly TraceEvent[];
  /** Who did what, of a search that found something. */
  story(): readonly StoryLine[];
}

const DEFAULT_LOOK: readonly LookName[] = ['reports'];
const SCHEDULES = 400;
export const CLEAN_SCHEDULES = 40;

/** The scenario of a case in the kernel of a side. Throws `ScenarioError` where it is none. */
export function scenarioOf(library: RfcLibrary, spec: CaseSpec, side: SideSpec): Scenario {
  const read = (file: string): never => {
    throw new ScenarioError(
      'SCENARIO_VALUE',
      `${spec.scenario} reads the file ${file}, which no library has`,
    );
  };
  const scenario = parseScenario(library.scenario(spec.scenario), read);
  const name = side.profile ?? spec.profile ?? 'rfc-rt';
  return { ...scenario, profile: kernelProfile(name, { ...spec.knobs, ...side.knobs }) };
}

export function runSide(library: RfcLibrary, spec: CaseSpec, at: 0 | 1, options: RfcOptions = {}): SideRun {
  const side = spec.sides[at];
  const scenario = scenarioOf(library, spec, side);
  const object = library.object(spec.object);
  return spec.search === true
    ? search({ spec, side, at, scenario, object, options })
    : once({ spec, side, at, scenario, object, options });
}

interface Side {
  readonly spec: CaseSpec;
  readonly side: SideSpec;
  readonly at: 0 | 1;
  readonly scenario: Scenario;
  readonly object: LoadableObject;
  readonly options: RfcOptions;
}

interface Run {
  readonly seen: readonly string[];
  readonly result: SimResult;
  readonly trace: readonly TraceEvent[];
}

function once(given: Side): SideRun {
  const prepared = prepare(given.object, given.scenario);
  const { kernel } = prepared;
  kernel.sched.startTrace();
  const result = prepared.finish(prepared.settle());
  const seen = look(given.spec, { kernel, loaded: prepared.loaded, result });
  const trace = kernel.sched.trace!.events;
  kernel.dispose();
  return { ...sideRun(given, { seen, result, trace }), story: () => [] };
}

function look(spec: CaseSpec, seen: Parameters<typeof lookAt>[0]): string[] {
  const lines = lookAt(seen, spec.look ?? DEFAULT_LOOK);
  return spec.wanted === undefined ? lines : lines.filter((line) => spec.wanted!.test(line));
}

function sideRun({ spec, side, at }: Side, { seen, result, trace }: Run): Omit<SideRun, 'story'> {
  const expected = side.seen;
  const report = {
    label: side.label ?? (at === 0 ? 'without' : 'with'),
    profile: result.profile,
    knobs: { ...spec.knobs, ...side.knobs } as Record<string, string | boolean>,
    seen,
    expected,
    ok: asExpected(seen, expected),
    splats: result.splats,
    console: result.console,
  };
  return { report, result, trace };
}

/**
 * Strategies in turn: a walk at random moves tasks about, priorities with a change or two (PCT) let an interrupt arrive late.
 * What neither finds alone in reasonable time, both together do.
 */
function strategies(): readonly Strategy[] {
  return [randomWalk(), pct({ depth: 2 })];
}

/** Each line is one of those expected, and each of those is there. */
function asExpected(seen: readonly string[], expected: readonly string[]): boolean {
  const patterns = expected.map((line) => new RegExp(`^${line.split('*').map(literal).join('.*')}$`));
  return (
    seen.every((line) => patterns.some((pattern) => pattern.test(line))) &&
    patterns.every((pattern) => seen.some((line) => pattern.test(line)))
  );
}

const literal = (text: string): string => text.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&');

/** Runs schedules, each from the start, until something is seen or there have been schedules enough. */
function search(given: Side): SideRun {
  const { spec, side, scenario, object, options } = given;
  const world = simScenario(object, scenario, { name: spec.scenario });
  let run: Run | undefined;
  const watched: Explored<SimWorld> = {
    ...world,
    build() {
      const built = world.build();
      built.sched.startTrace();
      return built;
    },
    dispose({ kernel, prepared }) {
      const result = prepared.finish();
      const seen = look(spec, { kernel, loaded: prepared.loaded, result });
      run = { seen, result, trace: kernel.sched.trace?.events ?? [] };
      kernel.dispose();
    },
  };
  const inTurn = strategies();
  const most =
    side.seen.length > 0 ? (options.schedules ?? SCHEDULES) : (options.cleanSchedules ?? CLEAN_SCHEDULES);
  for (let schedules = 1; ; schedules++) {
    const strategy = inTurn[schedules % inTurn.length]!;
    const outcome = runOnce(watched, strategy.next()!, { record: true });
    strategy.learn(outcome);
    const { labels, decisions } = outcome;
    const found = run!;
    if (found.seen.length === 0 && schedules < most) continue;
    const { report, ...rest } = sideRun(given, found);
    if (found.seen.length === 0) return { ...rest, report: { ...report, schedules }, story: () => [] };
    const schedule = { scenario: spec.scenario, seed: strategy.seed, steps: labels };
    const failure = {
      kind: 'assertion' as const,
      message: found.seen[0]!,
      schedule,
      preemptions: preemptionsOf(decisions),
    };
    return {
      ...rest,
      report: { ...report, schedules, steps: labels },
      story: () => storyOf(world, failure),
    };
  }
}
