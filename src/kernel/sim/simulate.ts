/**
 * Runs a scenario: each of its tasks does its events in order, each not before its time; frames and samples that no task
 * causes come by themselves. What the events' programs do to each other is what is to be seen. The same scenario gives the
 * same result, byte for byte.
 */

import { ProgType } from '../../abi/prog-types.js';
import { BpflabError } from '../../errors.js';
import type { Btf } from '../../object/btf/btf.js';
import type { LoadableObject } from '../../object/types.js';
import type { Verdicts } from '../bpf/verdicts.js';
import { ScenarioError, SimulationError, UnsupportedError } from '../errors.js';
import { Kernel } from '../kernel.js';
import { bytesOf, type LoadedObject } from '../loaded-object.js';
import type { Flow } from '../sched/flow.js';
import type { Task } from '../sched/task.js';
import type { ActionSpec } from './action-spec.js';
import { Actions, sampleOf } from './actions.js';
import { unmet } from './expect.js';
import { type EventResult, gather, type SimEnd, type SimResult } from './result.js';
import type { EventSpec, Scenario } from './scenario.js';

export interface SimulateOptions {
  /** Types of the kernel that the object was relocated for. */
  readonly btf?: Btf;
  /** What is known of the object's programs from simulations like this one. */
  readonly verdicts?: Verdicts;
}

/** A scenario under way. */
export interface Simulated {
  readonly result: SimResult;
  readonly loaded: LoadedObject<Kernel>;
}

/** Events kept in the result. */
const MAX_RESULTS = 100_000;
/** Types whose programs say of themselves nothing of what they are to be attached to. */
const ALONE: readonly ProgType[] = [ProgType.xdp, ProgType.sched_cls, ProgType.perf_event];
/** Instructions that programs may execute in a scenario: some ten seconds of the host's. */
const MAX_INSNS = 1_000_000_000;
/** First pid of tasks that have none. */
const FIRST_PID = 2000;

/**
 * Loads the object into a kernel of the scenario's, attaches, and lets everything happen. Throws `ScenarioError` for names
 * and values that do not fit the object, what loading throws for the object itself. A deadlock is a result.
 */
export function simulate(
  object: LoadableObject,
  scenario: Scenario,
  options: SimulateOptions = {},
): Simulated {
  return new Simulation(object, scenario, options).run();
}

/** A scenario of which nothing has happened yet: for whoever decides himself what does, step by step. */
export interface Prepared {
  readonly kernel: Kernel;
  readonly loaded: LoadedObject<Kernel>;
  /** Lets it happen by its times; how it ended where that was not by itself. */
  settle(): SimEnd;
  /** What has come of it so far, and how it ended where that was not by itself. */
  finish(end?: SimEnd): SimResult;
  /** What the scenario expects at its end and does not hold, a sentence each. */
  unmet(): string[];
}

/** The same as `simulate`, up to where things begin to happen. */
export function prepare(object: LoadableObject, scenario: Scenario, options: SimulateOptions = {}): Prepared {
  const simulation = new Simulation(object, scenario, options);
  simulation.begin();
  return simulation;
}

class Simulation implements Prepared {
  readonly kernel: Kernel;
  readonly loaded: LoadedObject<Kernel>;
  private readonly actions: Actions;
  private readonly results: EventResult[] = [];
  private readonly startNs: number;
  private pids = FIRST_PID;
  private readonly taken: ReadonlySet<number | undefined>;

  constructor(
    object: LoadableObject,
    private readonly scenario: Scenario,
    { btf, verdicts }: SimulateOptions,
  ) {
    const { cpus, profile, seed, interleaved, verify } = scenario;
    this.kernel = new Kernel({ cpus, profile, seed, interleaved, verify, ...(btf !== undefined && { btf }) });
    this.kernel.executor.maxInsns = MAX_INSNS;
    this.loaded = this.kernel.load(object, verdicts === undefined ? {} : { verdicts });
    this.actions = new Actions(this.kernel, this.loaded);
    this.startNs = this.kernel.sched.clock.nanos;
    this.taken = new Set(scenario.tasks.map(({ attr }) => attr.pid));
  }

  run(): Simulated {
    this.begin();
    return { result: this.finish(this.settle()), loaded: this.loaded };
  }

  begin(): void {
    this.prepare();
    this.plan();
  }

  finish(end: SimEnd = {}): SimResult {
    const { kernel, scenario, loaded } = this;
    const timeNs = Math.max(...kernel.sched.cpus.map((cpu) => cpu.timeNs), kernel.clock.nanos) - this.startNs;
    const ended = end.deadlock === undefined && end.stopped === undefined;
    const head = { seed: scenario.seed, timeNs, unmet: ended ? this.unmet() : [], ...end };
    return gather(kernel, loaded, this.results, head);
  }

  unmet(): string[] {
    return unmet(this.kernel, this.loaded, this.scenario.expect);
  }

  /** What is there before anything happens: devices, functions, values of maps, what is attached. */
  private prepare(): void {
    const { kernel, scenario, actions } = this;
    cpusAreThere(scenario);
    for (const name of scenario.functions) kernel.declareFunction(name);
    for (const name of scenario.devices) if (name !== 'lo' && name !== 'eth0') kernel.netDevices.add(name);
    for (const { map: name, entries, path } of scenario.maps) {
      const map = actions.map(name, path);
      for (const [i, { key, value }] of entries.entries()) {
        const keyBytes = bytesOf(key, map.keySize);
        const valueBytes = bytesOf(value, map.syscallValueSize);
        within(`${path}[${i}]`, () => {
          const errno = kernel.bpf.mapUpdate(map, keyBytes, valueBytes);
          if (errno < 0) throw new ScenarioError('SCENARIO_VALUE', `the map answers ${errno}`);
        });
      }
    }
    for (const [i, { action }] of scenario.events.entries()) actions.check(action, `events[${i}]`);
    for (const { map, path } of scenario.expect) actions.map(map, path);
    if (scenario.attach === undefined) this.attachAll();
    for (const { prog, to, path } of scenario.attach ?? []) {
      within(path, () => kernel.attach(actions.prog(prog, `${path}.prog`), to));
    }
  }

  /**
   * As libbpf's skeletons do: every program whose section says where it belongs; and those that want a device, a control
   * group or an event, where only one program does.
   */
  private attachAll(): void {
    const { programs } = this.loaded.object;
    for (const { name, autoload, section, type } of programs) {
      const alone = !ALONE.includes(type) || programs.filter((other) => other.type === type).length === 1;
      if (!autoload || section === '' || !alone) continue;
      try {
        this.loaded.attach(name);
      } catch (error) {
        if (!(error instanceof UnsupportedError) || error.code !== 'UNSUPPORTED_ATTACH') throw error;
      }
    }
  }

  /** Gives each actor its events. */
  private plan(): void {
    const actors = new Map<string | number, EventSpec[]>();
    for (const event of this.scenario.events) {
      if (event.task === undefined && within(event.path, () => this.comesByItself(event))) continue;
      // a task may be called as a CPU is
      const key = event.task === undefined ? (event.cpu ?? 0) : event.task;
      const events = actors.get(key) ?? [];
      if (events.push(event) === 1) actors.set(key, events);
    }
    for (const [actor, events] of actors) this.spawn(actor, events);
  }

  /** A task of the scenario by its name, or one that stays on a CPU. */
  private spawn(actor: string | number, events: readonly EventSpec[]): void {
    const { kernel, scenario } = this;
    const spec = scenario.tasks.find((task) => task.name === actor);
    const name = `${actor}`;
    const pid = spec?.attr.pid ?? this.freePid();
    const own = spec === undefined ? { comm: 'bpflab', affinity: [events[0]!.cpu ?? 0] } : spec.attr;
    const attr = { tgid: pid, uid: 0, gid: 0, comm: name, ...own, pid };
    const task: Task = kernel.sched.spawn(attr, () => this.perform(events));
    if (spec === undefined) return;
    this.actions.tasks.set(name, task);
    for (const [i, filter] of spec.seccomp.entries()) {
      within(`tasks.${name}.seccomp[${i}]`, () => kernel.seccomp(task, filter));
    }
    if (spec.cgroup !== undefined) {
      const path = spec.cgroup;
      within(`tasks.${name}.cgroup`, () => kernel.cgroups.join(task, kernel.cgroups.make(path)));
    }
  }

  private freePid(): number {
    while (this.taken.has(this.pids)) this.pids++;
    return this.pids++;
  }

  /** What a task does. */
  private *perform(events: readonly EventSpec[]): Flow<void> {
    for (const { at, repeat, every, action, path, cpu } of events) {
      for (let i = 0; i < repeat; i++) {
        const due = this.startNs + at + i * every;
        if (this.kernel.sched.clock.nanos < due) yield* this.actions.sleepUntil(due);
        const result = yield* this.actions.perform(action, path, cpu);
        this.note(path, action.kind, result);
      }
    }
  }

  /** Frames and samples that no task causes: hardware does, one after the other. */
  private comesByItself(event: EventSpec): boolean {
    const { action } = event;
    if (action.kind === 'packet') {
      if (action.frames.length > 0) this.frames(event, action, 0);
    } else if (action.kind === 'perf') this.samples(event, action);
    else return false;
    return true;
  }

  /** The frames of a repetition, and, once they have begun, of the next. */
  private frames(event: EventSpec, action: Extract<ActionSpec, { kind: 'packet' }>, round: number): void {
    const { at, every, repeat, path, cpu = 0 } = event;
    const { device, frames } = action;
    const send = (i: number): void => {
      const { frame, afterNs } = frames[i]!;
      const arrived = (): void => {
        if (i === 0 && round + 1 < repeat) this.frames(event, action, round + 1);
        if (i + 1 < frames.length) send(i + 1);
      };
      const where = { device, cpu, atNs: this.startNs + at + round * every + afterNs, arrived };
      this.actions.arrive(where, frame, (result) => this.note(path, 'packet', result));
    };
    send(0);
  }

  private samples(event: EventSpec, action: Extract<ActionSpec, { kind: 'perf' }>): void {
    const { at, every, repeat, path, cpu = 0 } = event;
    const { perf } = this.kernel;
    for (const open of this.actions.perfEvents(action, cpu, path)) {
      if (open.via === 'inline') {
        throw new ScenarioError('SCENARIO_VALUE', `${path}: ${open.attr.event} needs a task that causes it`);
      }
      const overflow = (round: number): void => {
        perf.raiseAt(this.startNs + at + round * every, open, sampleOf(action), () => {
          this.note(path, 'perf', 'overflowed');
          if (round + 1 < repeat) overflow(round + 1);
        });
      };
      overflow(0);
    }
  }

  private note(event: string, kind: string, result: string | number): void {
    const { sched } = this.kernel;
    if (this.results.length === MAX_RESULTS) return;
    const timeNs = sched.clock.nanos - this.startNs;
    this.results.push({ event, kind, timeNs, cpu: sched.here.id, comm: sched.current.comm, result });
  }

  settle(): SimEnd {
    const { until } = this.scenario;
    try {
      this.kernel.executor.settle(until === undefined ? undefined : this.startNs + until);
      return {};
    } catch (error) {
      if (!(error instanceof SimulationError)) throw error;
      return error.code === 'SIM_DEADLOCK' ? { deadlock: error.detail } : { stopped: error.detail };
    }
  }
}

/** A scenario may be run with fewer CPUs than it was written for. Throws `ScenarioError`. */
function cpusAreThere({ cpus, tasks, events, expect }: Scenario): void {
  const used = [
    ...tasks.map(
      ({ name, attr }) => [`tasks.${name}.affinity`, Math.max(...(attr.affinity ?? [0]))] as const,
    ),
    ...events.map(({ path, cpu }) => [`${path}.cpu`, cpu ?? 0] as const),
    ...expect.map(({ path, want }) => [`${path}.cpu`, (want.kind === 'value' && want.cpu) || 0] as const),
  ];
  const [path, cpu] = used.find(([, wanted]) => wanted >= cpus) ?? [];
  if (path === undefined) return;
  throw new ScenarioError('SCENARIO_VALUE', `${path}: there is no CPU ${cpu}; the kernel has ${cpus}`);
}

/** What goes wrong in a place of the scenario is the scenario's fault. */
function within<T>(path: string, act: () => T): T {
  try {
    return act();
  } catch (error) {
    if (error instanceof ScenarioError && error.detail.startsWith(path)) throw error;
    if (error instanceof BpflabError) throw new ScenarioError('SCENARIO_VALUE', `${path}: ${error.detail}`);
    throw error;
  }
}
