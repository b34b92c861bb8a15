/**
 * A scenario as data: the machine, its tasks, what is attached where, what happens when. `parseScenario` turns JSON into it;
 * docs/sim.md describes the form.
 */

import { BpflabError } from '../../errors.js';
import { assembleClassic, type SockFilter } from '../../isa/classic/index.js';
import { ScenarioError } from '../errors.js';
import { type KernelProfile, kernelProfile, kernelProfileNames } from '../profile.js';
import type { SchedPolicy, TaskAttr } from '../sched/task.js';
import { type ActionSpec, readAction, readCpus } from './action-spec.js';
import { type ExpectSpec, readExpect } from './expect.js';
import { knobValues } from './knob-values.js';
import { Reader } from './reader.js';

export interface TaskSpec {
  /** How events refer to it. */
  readonly name: string;
  readonly attr: Partial<TaskAttr>;
  /** Path of its control group. */
  readonly cgroup?: string;
  /** In the order in which they are added. */
  readonly seccomp: readonly (readonly SockFilter[])[];
}

export interface AttachSpec {
  readonly prog: string;
  /** Undefined: what the program's section says. */
  readonly to: string | undefined;
  readonly path: string;
}

/** A key or a value: a number, or bytes. */
export type DataSpec = bigint | Uint8Array;

export interface MapSpec {
  readonly map: string;
  readonly entries: readonly { readonly key: DataSpec; readonly value: DataSpec }[];
  readonly path: string;
}

/** Something that happens. */
export interface EventSpec {
  /** Simulated nanoseconds from the start at which it happens at the earliest. */
  readonly at: number;
  readonly cpu: number | undefined;
  readonly task: string | undefined;
  readonly repeat: number;
  /** Nanoseconds from one repetition to the next. */
  readonly every: number;
  readonly action: ActionSpec;
  readonly path: string;
}

export interface Scenario {
  readonly cpus: number;
  readonly profile: KernelProfile;
  readonly seed: number;
  readonly interleaved: boolean;
  readonly verify: 'convert' | 'enforce' | 'never';
  /** Where to stop, in nanoseconds from the start; undefined: when nothing is left to do. */
  readonly until: number | undefined;
  readonly functions: readonly string[];
  readonly devices: readonly string[];
  readonly tasks: readonly TaskSpec[];
  /** Undefined: every program that says where it belongs. */
  readonly attach: readonly AttachSpec[] | undefined;
  readonly maps: readonly MapSpec[];
  readonly events: readonly EventSpec[];
  /** What has to hold at the end. */
  readonly expect: readonly ExpectSpec[];
}

/** Reads a file that a scenario names, relative to it. */
export type ReadFile = (name: string) => Uint8Array;

const POLICIES: readonly SchedPolicy[] = ['normal', 'fifo', 'rr', 'deadline', 'idle'];
/** An hour. */
const MAX_TIME_NS = 3_600_000_000_000;
const MAX_REPEAT = 1_000_000;
const MAX_TASKS = 10_000;
const MAX_SEED = 0xffffffff;

/** Throws `ScenarioError`, which names the place in the data. */
export function parseScenario(json: string, readFile: ReadFile): Scenario {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (error) {
    throw new ScenarioError('SCENARIO_JSON', `not JSON: ${(error as Error).message.split('\n')[0]}`);
  }
  const root = new Reader(value);
  const cpus = root.maybe('cpus')?.integer(1, 64) ?? 4;
  const tasks =
    root
      .maybe('tasks')
      ?.items(MAX_TASKS)
      .map((item) => readTask(item, cpus)) ?? [];
  uniqueNames(root, tasks);
  const scenario: Scenario = {
    cpus,
    profile: readProfile(root),
    seed: root.maybe('seed')?.integer(1, MAX_SEED) ?? 1,
    interleaved: root.maybe('interleaved')?.boolean() ?? false,
    verify: root.maybe('verify')?.oneOf(['convert', 'enforce', 'never']) ?? 'convert',
    until: root.maybe('until')?.integer(1, MAX_TIME_NS),
    functions:
      root
        .maybe('functions')
        ?.items()
        .map((item) => item.text()) ?? [],
    devices:
      root
        .maybe('devices')
        ?.items()
        .map((item) => item.text()) ?? [],
    tasks,
    attach: root.maybe('attach')?.items().map(readAttach),
    maps:
      root
        .maybe('maps')
        ?.members()
        .map(([name, member]) => readMap(name, member)) ?? [],
    events: root
      .get('events')
      .items()
      .map((item) => readEvent(item, { cpus, tasks, readFile })),
    expect:
      root
        .maybe('expect')
        ?.items()
        .map((item) => readExpect(item, cpus, readData)) ?? [],
  };
  root.maybe('description')?.prose();
  root.end();
  return scenario;
}

function readProfile(root: Reader): KernelProfile {
  const name = root.maybe('profile');
  const profile = name?.oneOf(kernelProfileNames()) ?? '6.18';
  const knobs = root.maybe('knobs');
  if (knobs === undefined) return kernelProfile(profile);
  const base = kernelProfile(profile);
  const turned: Record<string, unknown> = {};
  for (const [knob, value] of knobs.members()) {
    const known = base[knob as keyof KernelProfile];
    if (!Object.hasOwn(base, knob) || knob === 'name') knobs.fail('KEY', `"${knob}" is no knob of a profile`);
    const values = knobValues(knob);
    if (typeof value.value !== typeof known) value.fail('TYPE', `a ${typeof known} is wanted`);
    turned[knob] = values === undefined ? value.value : value.oneOf(values);
  }
  return kernelProfile(profile, turned);
}

function readTask(item: Reader, cpus: number): TaskSpec {
  const name = item.get('name').text();
  const pid = item.maybe('pid')?.integer(1, 4_194_304);
  const optional = <K extends keyof TaskAttr>(key: K, read: (reader: Reader) => TaskAttr[K]) => {
    const reader = item.maybe(key);
    return reader === undefined ? {} : { [key]: read(reader) };
  };
  const attr: Partial<TaskAttr> = {
    comm: name,
    ...(pid !== undefined && { pid, tgid: pid }),
    ...optional('comm', (r) => r.text()),
    ...optional('tgid', (r) => r.integer(1, 4_194_304)),
    ...optional('uid', (r) => r.integer(0, 0xffffffff)),
    ...optional('gid', (r) => r.integer(0, 0xffffffff)),
    ...optional('policy', (r) => r.oneOf(POLICIES)),
    ...optional('rtPriority', (r) => r.integer(1, 99)),
    ...optional('nice', (r) => r.integer(-20, 19)),
    ...optional('kthread', (r) => r.boolean()),
    ...optional('affinity', (r) => readCpus(r, cpus - 1)),
  };
  const cgroup = item.maybe('cgroup')?.text();
  const seccomp = item.maybe('seccomp')?.items().map(readFilter) ?? [];
  item.end();
  return { name, attr, seccomp, ...(cgroup !== undefined && { cgroup }) };
}

/** A classic program: its assembly, lines in a list. */
function readFilter(item: Reader): readonly SockFilter[] {
  const text = item
    .items()
    .map((line) => line.prose())
    .join('\n');
  try {
    return assembleClassic(text);
  } catch (error) {
    if (error instanceof BpflabError) return item.fail('VALUE', error.detail);
    throw error;
  }
}

function uniqueNames(root: Reader, tasks: readonly TaskSpec[]): void {
  const names = new Set<string>();
  const twice = tasks.find(({ name }) => names.size === names.add(name).size);
  if (twice !== undefined) root.get('tasks').fail('NAME', `two tasks are called "${twice.name}"`);
  const pids = tasks.flatMap(({ attr }) => (attr.pid === undefined ? [] : [attr.pid]));
  if (new Set(pids).size < pids.length) root.get('tasks').fail('NAME', 'two tasks have the same pid');
}

function readAttach(item: Reader): AttachSpec {
  const spec = { prog: item.get('prog').text(), to: item.maybe('to')?.text(), path: item.path };
  item.end();
  return spec;
}

/** `"hex:0a0b"` or a list of bytes are bytes; anything else is a number. */
export function readData(item: Reader): DataSpec {
  if (Array.isArray(item.value)) return Uint8Array.from(item.items().map((byte) => byte.integer(0, 255)));
  const { value } = item;
  if (typeof value === 'string' && value.startsWith('hex:'))
    return new Reader(value.slice(4), item.path).hex();
  return item.word();
}

function readMap(map: string, member: Reader): MapSpec {
  const entries = member.items().map((item) => {
    const entry = { key: readData(item.get('key')), value: readData(item.get('value')) };
    item.end();
    return entry;
  });
  return { map, entries, path: member.path };
}

interface EventContext {
  readonly cpus: number;
  readonly tasks: readonly TaskSpec[];
  readonly readFile: ReadFile;
}

function readEvent(item: Reader, { cpus, tasks, readFile }: EventContext): EventSpec {
  const task = item.maybe('task');
  const name = task?.text();
  if (name !== undefined && !tasks.some((spec) => spec.name === name))
    task!.fail('NAME', `there is no task "${name}"`);
  const spec = {
    at: item.maybe('at')?.integer(0, MAX_TIME_NS) ?? 0,
    cpu: item.maybe('cpu')?.integer(0, cpus - 1),
    task: name,
    repeat: item.maybe('repeat')?.integer(1, MAX_REPEAT) ?? 1,
    every: item.maybe('every')?.integer(0, MAX_TIME_NS) ?? 0,
    path: item.path,
  };
  if (spec.at + spec.repeat * spec.every > MAX_TIME_NS) {
    item.fail('VALUE', `the last repetition comes more than ${MAX_TIME_NS} ns from the start`);
  }
  const action = readAction(item, readFile, readData);
  item.end();
  return { ...spec, action };
}
