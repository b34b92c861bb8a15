/**
 * `bpflab sim`: a scenario, given as data, in a simulated kernel: programs attached to what they are written for, events
 * on several CPUs, and what the kernel says of it. Exit 1 where it reported anything, 2 for a scenario that is none.
 */
import type { Command } from 'commander';
import { kernelProfile } from '../kernel/profile.js';
import { failed } from '../kernel/sim/result.js';
import type { Scenario } from '../kernel/sim/scenario.js';
import { simulate } from '../kernel/sim/simulate.js';
import { openObject, relocateObject } from '../object/index.js';
import { dumpMaps } from '../report/map-dump.js';
import { type SimReport, simText } from '../report/sim.js';
import { readInput } from './files.js';
import { stdout } from './output.js';
import { cpuCount, kernelName, positive } from './run-options.js';
import { orUsage, readScenarioFile } from './scenario-file.js';
import { addTargetOptions, type TargetOptions, targetFor } from './target.js';

const EXAMPLES = `
Examples:
  bpflab sim prog.o --events scenario.json
  bpflab sim prog.o --events scenario.json --kernel 5.7-rt --json

The form of a scenario is described in docs/sim.md. Programs are attached where their section names say, unless the
scenario lists where. The same scenario and seed print the same, byte for byte.`;

interface SimOptions extends TargetOptions {
  readonly events: string;
  readonly kernel?: string;
  readonly cpus?: number;
  readonly seed?: number;
  readonly json?: boolean;
}

export function configure(command: Command): void {
  command
    .argument('<file>', 'compiled eBPF object')
    .requiredOption('--events <file>', 'scenario (JSON); "-" is standard input')
    .option('--kernel <profile>', "kernel to simulate, in place of the scenario's, e.g. 5.7-rt", kernelName)
    .option('--cpus <n>', "CPUs, in place of the scenario's, 1 to 64", cpuCount)
    .option('--seed <n>', "seed of random numbers, in place of the scenario's", positive)
    .option('--json', 'print JSON');
  addTargetOptions(command)
    .addHelpText('after', EXAMPLES)
    .action((file: string, options: SimOptions) => sim(file, options));
}

function sim(file: string, options: SimOptions): void {
  const scenario = readScenario(options);
  const object = openObject(readInput(file), { file });
  const target = targetFor(object, options);
  const loadable = relocateObject(object, target);
  const { targetBtf: btf } = target;
  const { result, loaded } = orUsage(options.events, () =>
    simulate(loadable, scenario, btf === undefined ? {} : { btf }),
  );
  const report: SimReport = { file, scenario: options.events, ...result, maps: dumpMaps(loaded) };
  if (options.json === true) stdout.json(report);
  else stdout.line(simText(report, (text) => stdout.style('bold', text)));
  if (failed(result)) process.exitCode = 1;
}

function readScenario(options: SimOptions): Scenario {
  const { events, kernel, cpus, seed } = options;
  return {
    ...readScenarioFile(events),
    ...(kernel !== undefined && { profile: kernelProfile(kernel) }),
    ...(cpus !== undefined && { cpus }),
    ...(seed !== undefined && { seed }),
  };
}
