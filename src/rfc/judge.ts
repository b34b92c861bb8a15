/**
 * Judges the rows: whether each case shows what it must in both of its kernels, whether traces are the same where they
 * must be, and whether the series changes anything on a kernel that is not RT.
 */
import { randomWalk } from '../explore/random.js';
import { runOnce } from '../explore/run.js';
import { type SimWorld, simScenario } from '../explore/sim-scenario.js';
import { kernelProfile } from '../kernel/profile.js';
import type { TraceEvent } from '../kernel/sched/trace.js';
import type { SimResult } from '../kernel/sim/result.js';
import {
  CLEAN_SCHEDULES,
  type RfcLibrary,
  type RfcOptions,
  runSide,
  type SideReport,
  type SideRun,
  scenarioOf,
} from './side.js';
import type { CaseSpec, HazardSpec, Knobs, PatchKind, PatchSpec } from './spec.js';

export interface CaseReport {
  readonly name: string;
  readonly object: string;
  readonly scenario: string;
  readonly sides: readonly [SideReport, SideReport];
  /** Only where traces are to be the same: whether they are. */
  readonly sameTrace?: boolean;
  readonly ok: boolean;
}

interface RowReport {
  readonly title: string;
  readonly does: string;
  readonly cases: readonly CaseReport[];
  /** All cases are as they have to be, and so is what holds for the row. */
  readonly ok: boolean;
}

export interface PatchReport extends RowReport {
  readonly number: number;
  readonly files: readonly string[];
  readonly kind: PatchKind;
  readonly knobs: Knobs;
  /** What the whole series changes in the row's scenarios on a kernel that is not RT; empty: nothing. */
  readonly changesWithoutRt: readonly string[];
}

export interface HazardReport extends RowReport {
  readonly id: string;
  readonly mended: string;
  readonly changesWithoutRt: readonly string[];
}

export function judgePatch(library: RfcLibrary, spec: PatchSpec, options: RfcOptions = {}): PatchReport {
  const { number, title, files, kind, does, knobs } = spec;
  return { number, title, files, kind, does, knobs, ...judgeRow(library, spec.cases, options) };
}

export function judgeHazard(library: RfcLibrary, spec: HazardSpec, options: RfcOptions = {}): HazardReport {
  const { id, title, does, mended } = spec;
  return { id, title, does, mended, ...judgeRow(library, spec.cases, options) };
}

function judgeRow(library: RfcLibrary, specs: readonly CaseSpec[], options: RfcOptions) {
  const cases = specs.map((spec) => judgeCase(runCase(library, spec, options), spec));
  const scenarios = specs.filter((spec, i) => specs.findIndex((s) => s.scenario === spec.scenario) === i);
  const changesWithoutRt = scenarios.flatMap((spec) => changedWithoutRt(library, spec));
  return { cases, changesWithoutRt, ok: cases.every(({ ok }) => ok) && changesWithoutRt.length === 0 };
}

/** Both sides of a case; where one searches in vain, it tries more schedules than the other needed. */
export function runCase(library: RfcLibrary, spec: CaseSpec, options: RfcOptions = {}): [SideRun, SideRun] {
  const first = runSide(library, spec, 0, options);
  const needed = 2 * (first.report.schedules ?? 0);
  const cleanSchedules = Math.max(options.cleanSchedules ?? CLEAN_SCHEDULES, needed);
  const second = runSide(library, spec, 1, { ...options, cleanSchedules });
  return [first, second];
}

export function judgeCase([first, second]: readonly [SideRun, SideRun], spec: CaseSpec): CaseReport {
  const { name, object, scenario } = spec;
  const sides = [first.report, second.report] as const;
  const ok = sides.every((side) => side.ok);
  if (spec.sameTrace !== true) return { name, object, scenario, sides, ok };
  const sameTrace =
    traceText(first.trace) === traceText(second.trace) &&
    first.report.console.join('\n') === second.report.console.join('\n');
  return { name, object, scenario, sides, sameTrace, ok: ok && sameTrace };
}

function traceText(events: readonly TraceEvent[]): string {
  return events.map((event) => JSON.stringify(event)).join('\n');
}

// Kernels that are not RT

/** Reports name the kernel, so these two have one name. */
const NAME = '5.6';
const BEFORE = { ...kernelProfile('5.6'), name: NAME };
const AFTER = { ...kernelProfile('rfc'), name: NAME };
/** Schedules under which the two kernels are compared, where a case is one for the explorer. */
const COMPARED = 10;

/**
 * The scenario of a case in a kernel without and with the series, neither being RT: what differs of events' results,
 * programs' runs, log, maps, and of the order in which everything happens. How deep preemption is off and for how
 * long is left out: that is what some patches are about.
 */
export function changedWithoutRt(library: RfcLibrary, spec: CaseSpec): string[] {
  const walks = spec.search === true ? COMPARED : 0;
  const before = observe(library, spec, BEFORE, walks);
  const after = observe(library, spec, AFTER, walks);
  return before.flatMap((run, i) =>
    Object.keys(run)
      .filter((what) => run[what] !== after[i]?.[what])
      .map((what) => `${spec.scenario}: ${what}`),
  );
}

type Observation = Readonly<Record<string, string>>;

function observe(library: RfcLibrary, spec: CaseSpec, profile: typeof BEFORE, walks: number): Observation[] {
  const scenario = { ...scenarioOf(library, spec, spec.sides[1]), profile };
  const runs: Observation[] = [];
  const world = simScenario(library.object(spec.object), scenario, { name: spec.scenario });
  const watched = {
    ...world,
    build() {
      const built = world.build();
      built.sched.startTrace();
      return built;
    },
    dispose(done: SimWorld) {
      const { kernel, prepared } = done;
      runs.push(observed(prepared.finish(), kernel.sched.trace?.events ?? [], mapsOf(done)));
      kernel.dispose();
    },
  };
  const strategy = randomWalk();
  for (let i = 0; i < Math.max(walks, 1); i++) {
    runOnce(watched, walks === 0 ? (_choices, same) => Math.max(same, 0) : strategy.next()!);
  }
  return runs;
}

function observed(result: SimResult, trace: readonly TraceEvent[], maps: string): Observation {
  const text = (value: unknown): string =>
    JSON.stringify(value, (_key, item) => (typeof item === 'bigint' ? item.toString() : item));
  return {
    results: text(result.events.map(({ event, cpu, comm, result: value }) => [event, cpu, comm, value])),
    programs: text(result.programs),
    log: result.console.map((line) => line.replace(/^\[.*?\] /, '')).join('\n'),
    maps,
    order: trace
      .filter(({ kind }) => kind !== 'count')
      .map((event) => text({ ...event, timeNs: 0, preemptCount: 0 }))
      .join('\n'),
  };
}

function mapsOf({ prepared }: SimWorld): string {
  const { loaded } = prepared;
  const names = loaded.object.maps.map(({ name }) => name);
  return names.map((name) => `${name}: ${entriesText(loaded, name)}`).join('\n');
}

function entriesText(loaded: SimWorld['prepared']['loaded'], name: string): string {
  const map = loaded.map(name);
  const found: string[] = [];
  for (const { key, value } of loaded.kernel.bpf.mapEntries(map)) found.push(`${[...key]}=${[...value]}`);
  return found.sort().join(' ');
}
