/**
 * `bpflab rfc`: the series "bpf: Make BPF and PREEMPT_RT co-exist" and the hazards around it, each run in a kernel that
 * lacks it and one that has it. Exit 1 where a row does not show what it must.
 */
import { fileURLToPath } from 'node:url';
import { type Command, InvalidArgumentError } from 'commander';
import { openObject, relocateObject } from '../object/index.js';
import type { LoadableObject } from '../object/types.js';
import { rfcText, rowText } from '../report/rfc.js';
import { traceEventFile } from '../report/trace-event.js';
import {
  HAZARDS,
  type HazardReport,
  judgeHazard,
  judgePatch,
  PATCHES,
  type PatchReport,
  type RfcLibrary,
  type RfcOptions,
  runCase,
} from '../rfc/index.js';
import { UsageError } from './errors.js';
import { readInput, writeOutput } from './files.js';
import { stdout } from './output.js';
import { positive } from './run-options.js';
import { PACKAGE_ROOT } from './version.js';

const EXAMPLES = `
Examples:
  bpflab rfc                 a row a patch, a row a hazard
  bpflab rfc --patch 17      what it does, console and trace without and with it
  bpflab rfc --hazard 2      the same of a hazard
  bpflab rfc --json

Programs and scenarios are those in programs/; docs/rfc.md describes the rows.`;

interface Options {
  readonly patch?: number;
  readonly hazard?: number;
  readonly schedules?: number;
  readonly trace?: string;
  readonly json?: boolean;
}

export function configure(command: Command): void {
  command
    .option('--patch <n>', 'this patch alone, 1 to 19', numbered(PATCHES.length))
    .option('--hazard <n>', 'this hazard alone, 1 to 9', numbered(HAZARDS.length))
    .option('--schedules <n>', 'schedules to try at most where the explorer looks for one', positive)
    .option(
      '--trace <file>',
      'write what happens without the patch as trace-event JSON; with --patch or --hazard',
    )
    .option('--json', 'print JSON')
    .addHelpText('after', EXAMPLES)
    .action((options: Options) => rfc(options));
}

function numbered(last: number): (text: string) => number {
  return (text) => {
    const value = Number(text.replace(/^h/i, ''));
    if (Number.isInteger(value) && value >= 1 && value <= last) return value;
    throw new InvalidArgumentError(`a number from 1 to ${last} is wanted.`);
  };
}

function rfc(options: Options): void {
  const { patch, hazard, schedules, trace, json } = options;
  const single = patch !== undefined || hazard !== undefined;
  if (trace !== undefined && !single)
    throw new UsageError('USAGE_RFC', '--trace goes with --patch or --hazard');
  const library = shipped();
  const limits: RfcOptions = schedules === undefined ? {} : { schedules };
  const patches = (single && patch === undefined ? [] : PATCHES)
    .filter(({ number }) => patch === undefined || number === patch)
    .map((spec) => judgePatch(library, spec, limits));
  const hazards = (single && hazard === undefined ? [] : HAZARDS)
    .filter(({ id }) => hazard === undefined || id === `H${hazard}`)
    .map((spec) => judgeHazard(library, spec, limits));
  if (json === true) stdout.json({ patches: patches.map(summed), hazards: hazards.map(summed) });
  else if (!single) stdout.line(rfcText(patches, hazards, strong));
  for (const row of single ? [...patches, ...hazards] : []) showRow(library, row, options);
  if ([...patches, ...hazards].some(({ ok }) => !ok)) process.exitCode = 1;
}

const strong = (text: string): string => stdout.style('bold', text);

/** A row with what the table shows of it in front. */
function summed<R extends PatchReport | HazardReport>(row: R) {
  const [first] = row.cases;
  const [without, withIt] = first!.sides;
  return {
    scenario: first!.scenario,
    without: without.seen,
    with: withIt.seen,
    verdict: row.ok ? 'ok' : 'wrong',
    ...row,
  };
}

function showRow(
  library: RfcLibrary,
  row: PatchReport | HazardReport,
  { schedules, trace, json }: Options,
): void {
  const spec =
    'number' in row
      ? PATCHES.find(({ number }) => number === row.number)
      : HAZARDS.find(({ id }) => id === row.id);
  const limits: RfcOptions = schedules === undefined ? {} : { schedules };
  const runs = spec!.cases.map((item) => runCase(library, item, limits));
  if (json !== true) stdout.line(rowText(row, runs, strong));
  if (trace === undefined) return;
  const [without] = runs[0]!;
  writeOutput(trace, JSON.stringify(traceEventFile(without.trace, `${row.title}: ${without.report.label}`)));
}

/** Objects and scenarios that come with the package. */
function shipped(): RfcLibrary {
  const objects = new Map<string, LoadableObject>();
  const path = (name: string): string => fileURLToPath(new URL(`programs/${name}`, PACKAGE_ROOT));
  return {
    object(name) {
      const file = path(`${name}.bpf.o`);
      const known = objects.get(name) ?? relocateObject(openObject(readInput(file), { file }));
      objects.set(name, known);
      return known;
    },
    scenario: (name) => Buffer.from(readInput(path(`scenarios/${name}.json`))).toString('utf8'),
  };
}
