/** What a scenario goes through: read, simulated for so many steps, told as text and as JSON, and the same twice. */
import { readFileSync } from 'node:fs';
import { ScenarioError, SimulationError } from '../../src/kernel/errors.js';
import { failed } from '../../src/kernel/sim/result.js';
import { parseScenario, type Scenario } from '../../src/kernel/sim/scenario.js';
import { prepare } from '../../src/kernel/sim/simulate.js';
import { loadTargetBtf } from '../../src/object/btf/target.js';
import { type LoadableObject, openObject, relocateObject } from '../../src/object/index.js';
import { dumpMaps } from '../../src/report/map-dump.js';
import { simText } from '../../src/report/sim.js';

const PROGRAMS = new URL('../../programs/', import.meta.url);
const DEFAULT_OBJECT = 'rt_maps';
/** Enough for every seed, little enough for the time that a mutant has. */
const MAX_STEPS = 4000;
const MAX_INSNS = 2_000_000;

const objects = new Map<string, LoadableObject>();
const targetBtf = loadTargetBtf({ from: 'embedded' });

/** The object that a scenario's description names. */
function objectOf(text: string): LoadableObject {
  const [, name = DEFAULT_OBJECT] = /"description": ?"([a-z_]+): /.exec(text) ?? [];
  let object = objects.get(name);
  if (object === undefined) {
    const file = `${name}.bpf.o`;
    const opened = openObject(new Uint8Array(readFileSync(new URL(file, PROGRAMS))), { file });
    object = relocateObject(opened, { targetBtf, kconfig: { CONFIG_HZ: '250' } });
    objects.set(name, object);
  }
  return object;
}

function readFile(name: string): Uint8Array {
  if (name !== '../data/traffic.pcap') throw new ScenarioError('SCENARIO_VALUE', `${name}: no such file`);
  return new Uint8Array(readFileSync(new URL('data/traffic.pcap', PROGRAMS)));
}

/** As the command line prints JSON. */
const jsonValue = (_key: string, value: unknown): unknown => (typeof value === 'bigint' ? `${value}` : value);

/** What a user would see of it. */
function told(object: LoadableObject, scenario: Scenario): string {
  const prepared = prepare(object, scenario, { btf: targetBtf });
  const { kernel, loaded } = prepared;
  try {
    kernel.executor.maxSteps = MAX_STEPS;
    kernel.executor.maxInsns = MAX_INSNS;
    let end = {};
    try {
      kernel.executor.settle(scenario.until === undefined ? undefined : kernel.clock.nanos + scenario.until);
    } catch (error) {
      if (!(error instanceof SimulationError)) throw error;
      end = error.code === 'SIM_DEADLOCK' ? { deadlock: error.detail } : { stopped: error.detail };
    }
    const result = prepared.finish(end);
    const report = { file: 'x.o', scenario: 'mutant.json', ...result, maps: dumpMaps(loaded) };
    return `${failed(result)}\n${simText(report, (text) => text)}\n${JSON.stringify(report, jsonValue)}`;
  } finally {
    kernel.dispose();
  }
}

/** Throws `BpflabError` for what is no scenario of the object's, another error for two runs that differ. */
export function runScenario(bytes: Uint8Array): void {
  const text = Buffer.from(bytes).toString('utf8');
  const object = objectOf(text);
  const scenario = parseScenario(text, readFile);
  const first = told(object, scenario);
  if (told(object, scenario) !== first) throw new Error('two simulations of one scenario differ');
}
