/**
 * Random sequences of map operations on the running kernel and on ours, answer by answer: errno, values, order of keys.
 * System calls and small programs that call the map's helpers.
 *
 *     npx tsx test/oracle/map-ops.ts [--type NAME]… [--ops N] [--seconds N] [--seed N] [--only SEED] [--interleaved]
 *
 * `--ops` is for each type, 100,000 by default; `--seconds` ends a type earlier; with `--interleaved` ours takes no plain code
 * but the flows. Says so where `bpf()` is refused.
 */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { kernelRefusal } from './lib/kernel.js';
import { createOurs, runOurs } from './lib/map-ours.js';
import { actionOp, actionProgram, IO_MAP } from './lib/map-programs.js';
import type { Scenario, ScenarioAnswer, ScenarioOp, Shown } from './lib/map-scenario.js';
import { randomMap, type Setup, SPECS, type Spec, type SysOp } from './lib/map-specs.js';
import { Rng } from './verdicts-rng.js';

const OPS_PER_SCENARIO = 1000;
const CPUS = 2;
/** Flags of updates: mostly those that mean something. */
const FLAGS = [0, 0, 0, 0, 0, 1, 1, 2, 2, 3, 4, 5, 6, 7, 8, 2 ** 32];

/** `map-kernel.py` as a process that stays. */
class MapKernel {
  readonly #child = spawn('python3', [fileURLToPath(new URL('./lib/map-kernel.py', import.meta.url))], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  readonly #waiting: ((answer: ScenarioAnswer) => void)[] = [];

  constructor() {
    createInterface({ input: this.#child.stdout }).on('line', (line) => {
      this.#waiting.shift()?.(JSON.parse(line) as ScenarioAnswer);
    });
    this.#child.on('exit', () => {
      for (const done of this.#waiting) done({ created: [], results: [], error: 'map-kernel.py ended' });
    });
  }

  run(scenario: Scenario): Promise<ScenarioAnswer> {
    return new Promise((done) => {
      this.#waiting.push(done);
      this.#child.stdin.write(`${JSON.stringify(scenario)}\n`);
    });
  }

  close(): void {
    this.#child.stdin.end();
  }
}

function pickOp(rng: Rng, ops: Setup['ops']): SysOp {
  const entries = Object.entries(ops) as [SysOp, number][];
  const total = entries.reduce((sum, [, weight]) => sum + weight, 0);
  let at = (rng.range(0, 999_999) / 1_000_000) * total;
  for (const [op, weight] of entries) {
    at -= weight;
    if (at < 0) return op;
  }
  return entries[0]![0];
}

function sysOp(rng: Rng, setup: Setup): ScenarioOp {
  const what = pickOp(rng, setup.ops);
  const key = setup.key(rng);
  const some = <T>(make: () => T): T[] => Array.from({ length: rng.range(0, 6) }, make);
  switch (what) {
    case 'c':
      return ['c', rng.range(0, CPUS - 1)];
    case 'rc':
      return ['rc'];
    case 'u':
      return ['u', 0, key, setup.value(rng), rng.pick(FLAGS)];
    case 'l':
    case 'x':
      return [
        what,
        0,
        key,
        rng.chance(0.1) ? rng.pick([1, 4, 8]) : 0,
        setup.map.type === 30 ? setup.value(rng) : '',
      ];
    case 'd':
      return ['d', 0, key];
    case 'n':
      return setup.unordered === true ? ['d', 0, key] : ['n', 0, rng.chance(0.15) ? null : key];
    case 'f':
    case 'i':
      return [what, 0];
    case 'bu': {
      const keys = some(() => setup.key(rng));
      return ['bu', 0, keys, keys.map(() => setup.value(rng)), rng.chance(0.1) ? rng.pick([1, 4]) : 0];
    }
    case 'bd':
      return ['bd', 0, some(() => setup.key(rng)), [], rng.chance(0.1) ? rng.pick([1, 4]) : 0];
    default:
      if (setup.unordered === true) return ['d', 0, key];
      return [
        what,
        0,
        rng.chance(0.6) ? 'next' : null,
        rng.range(0, 12),
        rng.chance(0.1) ? rng.pick([1, 4]) : 0,
      ];
  }
}

function progOp(rng: Rng, setup: Setup, first: number): ScenarioOp {
  const { actions = [], map } = setup;
  const index = rng.range(0, actions.length - 1);
  const action = actions[index]!;
  const value = (setup.programValue ?? setup.value)(rng);
  const number = action === 'percpu' ? rng.pick([0, 1, 2, 5]) : rng.range(0, 1023);
  let flags = rng.pick(FLAGS);
  if (action === 'perf') flags = rng.pick([0, 1, 2, 3, 4, 0xffffffff, 2 ** 32]);
  if (action === 'output' || action === 'reserve')
    flags = rng.pick([0, 0, 1, 2, 3, ...(action === 'output' ? [4] : [])]);
  if (action === 'query') flags = rng.range(0, 5);
  // Maps of maps and of descriptors get what a program has: nothing.
  const plain = /^[0-9a-f]*$/.test(value) ? value : '';
  return actionOp(first + index, map, { key: setup.key(rng), value: plain, flags, number });
}

function scenarioOf(spec: Spec, seed: number): { readonly setup: Setup; readonly scenario: Scenario } {
  const rng = new Rng(seed);
  const setup = spec(rng);
  const { others = [], actions = [], progs = [] } = setup;
  const hasInner = setup.map.inner !== undefined;
  const maps = hasInner ? [...others] : [setup.map, ...others];
  const ordered = hasInner ? [...others, setup.map, IO_MAP] : [...maps, IO_MAP];
  const scenario = { setup, ordered };
  const at = hasInner ? others.length : 0;
  const io = ordered.length - 1;
  const all = [...progs, ...actions.map((action) => actionProgram(action, setup.map, io))];
  const ops: ScenarioOp[] = [['c', 0]];
  while (ops.length < OPS_PER_SCENARIO) {
    const program = actions.length > 0 && rng.chance(0.4);
    ops.push(program ? progOp(rng, setup, progs.length) : sysOp(rng, setup));
  }
  return {
    setup: scenario.setup,
    scenario: renumber({ objects: setup.objects ?? {}, maps: ordered, progs: all, ops }, at),
  };
}

/** A map of maps has to come behind its pattern: what calls it map 0 gets its real place, and its inner maps theirs. */
function renumber(scenario: Scenario, at: number): Scenario {
  if (at === 0) return scenario;
  const place = (index: number): number => (index === 0 ? at : index <= at ? index - 1 : index);
  const text = (value: string): string => value.replaceAll(/map(\d+)/g, (_, n) => `map${place(Number(n))}`);
  const ops = scenario.ops.map((op): ScenarioOp => {
    if (op[0] === 'c' || op[0] === 'p' || op[0] === 'rc') return op;
    const rest = op.slice(2).map((part) => {
      if (typeof part === 'string') return text(part);
      return Array.isArray(part) ? part.map((p) => text(p as string)) : part;
    });
    return [op[0], place(op[1]), ...rest] as unknown as ScenarioOp;
  });
  const maps = scenario.maps.map((map) =>
    map.inner === undefined ? map : { ...map, inner: place(map.inner) },
  );
  const progs = (scenario.progs ?? []).map((prog) => ({ ...prog, insns: repoint(prog.insns, place) }));
  return { ...scenario, maps, progs, ops };
}

/** Map references in instructions. */
function repoint(insns: string, place: (index: number) => number): string {
  const bytes = Buffer.from(insns, 'hex');
  for (let at = 0; at < bytes.length; at += 8) {
    if (bytes[at] !== 0x18) continue;
    const source = bytes[at + 1]! >> 4;
    if (source === 1 || source === 2) bytes.writeInt32LE(place(bytes.readInt32LE(at + 4)), at + 4);
    at += 8;
  }
  return bytes.toString('hex');
}

const same = (a: Shown | undefined, b: Shown | undefined): boolean => JSON.stringify(a) === JSON.stringify(b);
const short = (value: unknown): string => {
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length > 400 ? `${text.slice(0, 400)}…` : text;
};

interface Outcome {
  ops: number;
  scenarios: number;
  differ: number;
  /** Scenarios that the running kernel could not set up. */
  refused: number;
  why: string;
}

function report(
  name: string,
  seed: number,
  scenario: Scenario,
  ours: ScenarioAnswer,
  theirs: ScenarioAnswer,
): boolean {
  if (!same(ours.created, theirs.created)) {
    console.log(
      `${name}, seed ${seed}: creation\n  map:    ${short(scenario.maps[0])}\n  ours:   ${short(ours.created)}\n  kernel: ${short(theirs.created)}`,
    );
    return true;
  }
  const at = scenario.ops.findIndex((_, i) => !same(ours.results[i], theirs.results[i]));
  if (at < 0) return false;
  const before = scenario.ops
    .slice(Math.max(0, at - 3), at)
    .map((op, i) => `${short(op)} → ${short(theirs.results[Math.max(0, at - 3) + i])}`);
  console.log(
    [
      `${name}, seed ${seed}, operation ${at} of ${short(scenario.maps.find((map) => map.inner !== undefined) ?? scenario.maps[0])}`,
      ...before.map((line) => `  before: ${line}`),
      `  op:     ${short(scenario.ops[at])}`,
      `  ours:   ${short(ours.results[at])}`,
      `  kernel: ${short(theirs.results[at])}`,
    ].join('\n'),
  );
  return true;
}

async function compareType(kernel: MapKernel, name: string, options: Options): Promise<Outcome> {
  const spec = SPECS[name]!;
  const outcome: Outcome = { ops: 0, scenarios: 0, differ: 0, refused: 0, why: '' };
  const end = Date.now() + options.seconds * 1000;
  for (let seed = options.seed; outcome.ops < options.ops && Date.now() < end; seed++) {
    const { scenario: made } = scenarioOf(spec, seed);
    const scenario = options.bpfLsm ? made : { ...made, noBpfLsm: true };
    const asked = kernel.run(scenario);
    const ours = runOurs(scenario, CPUS, options.interleaved);
    const theirs = await asked;
    outcome.scenarios++;
    if (theirs.error !== undefined) {
      outcome.refused++;
      outcome.why = theirs.error;
      if (outcome.refused > 3) break;
      continue;
    }
    outcome.ops += ours.results.length;
    if (report(name, seed, scenario, ours, theirs)) {
      outcome.differ++;
      if (outcome.differ >= options.stop) break;
    }
    if (options.only) break;
  }
  return outcome;
}

/** Creation alone, one map after the other. */
async function compareCreation(kernel: MapKernel, options: Options): Promise<Outcome> {
  const outcome: Outcome = { ops: 0, scenarios: 0, differ: 0, refused: 0, why: '' };
  const end = Date.now() + options.seconds * 1000;
  for (let seed = options.seed; outcome.ops < options.ops && Date.now() < end; seed += BATCH) {
    const seeds = Array.from({ length: options.only ? 1 : BATCH }, (_, i) => seed + i);
    const made = seeds.map((one): Scenario => ({ maps: [randomMap(new Rng(one))], ops: [] }));
    const theirs = await Promise.all(made.map((scenario) => kernel.run(scenario)));
    const errnos = createOurs(
      made.map(({ maps }) => maps[0]!),
      CPUS,
    );
    const ours = errnos.map((errno): ScenarioAnswer => ({ created: [errno], results: [] }));
    for (const [i, scenario] of made.entries()) {
      outcome.ops++;
      if (report('creation', seeds[i]!, scenario, ours[i]!, theirs[i]!)) outcome.differ++;
    }
    if (outcome.differ >= options.stop || options.only) break;
  }
  return outcome;
}

const CREATION = 'creation';
/** Maps created before the answers are looked at. */
const BATCH = 50;

interface Options {
  readonly ops: number;
  readonly seconds: number;
  readonly seed: number;
  readonly only: boolean;
  readonly stop: number;
  /** Ours runs in a kernel whose flows interleave: no plain code is taken. */
  readonly interleaved: boolean;
  readonly types: readonly string[];
  /** The running kernel keeps storages in inodes. */
  readonly bpfLsm: boolean;
}

/** Inodes have room for storages only where the BPF security module is active: one update tells. */
async function hasBpfLsm(kernel: MapKernel): Promise<boolean> {
  const map = SPECS.inode_storage!(new Rng(1)).map;
  const update: ScenarioOp = ['u', 0, 'fd:file', '00'.repeat(map.value), 0];
  const { results } = await kernel.run({ objects: { file: { kind: 'file' } }, maps: [map], ops: [update] });
  return results[0] === 0;
}

function optionsOf(): Omit<Options, 'bpfLsm'> {
  const { values } = parseArgs({
    options: {
      ops: { type: 'string', default: '100000' },
      seconds: { type: 'string', default: '3600' },
      seed: { type: 'string', default: '1' },
      only: { type: 'string' },
      stop: { type: 'string', default: '3' },
      interleaved: { type: 'boolean', default: false },
      type: { type: 'string', multiple: true, default: [] },
    },
    strict: false,
  });
  const types = (values.type as string[]).filter((name) => name === CREATION || Object.hasOwn(SPECS, name));
  return {
    ops: Number(values.ops),
    seconds: Number(values.seconds),
    seed: Number(values.only ?? values.seed),
    only: values.only !== undefined,
    stop: Number(values.stop),
    interleaved: values.interleaved === true,
    types: types.length > 0 ? types : [CREATION, ...Object.keys(SPECS)],
  };
}

/** Number of types with a difference. Prints a line a type. */
export async function compareMapOps(): Promise<number> {
  const refusal = kernelRefusal();
  if (refusal !== undefined) {
    console.log(`map-ops: SKIPPED, ${refusal}`);
    return 0;
  }
  const kernel = new MapKernel();
  const options = { ...optionsOf(), bpfLsm: await hasBpfLsm(kernel) };
  let differing = 0;
  for (const name of options.types) {
    const { ops, scenarios, differ, refused, why } =
      name === CREATION ? await compareCreation(kernel, options) : await compareType(kernel, name, options);
    if (differ > 0) differing++;
    const left = refused > 0 ? `, ${refused} not set up (${why.trim().split('\n').at(-1)})` : '';
    console.log(`map-ops: ${name}: ${ops} operations in ${scenarios} sequences, ${differ} differ${left}`);
  }
  kernel.close();
  return differing;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  process.exitCode = (await compareMapOps()) === 0 ? 0 : 1;
}
