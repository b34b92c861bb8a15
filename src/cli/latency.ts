/**
 * `bpflab latency`: how long map operations keep preemption and interrupts off and locks held at worst, in simulated time:
 * as maps grow, with CPUs and load, on RT and not.
 */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { type LatencyAxis, type LatencyKind, latencyPlot, latencyText } from '../report/latency.js';
import { plotSvg } from '../report/plot.js';
import { LATENCY_OPS, type LatencySetting, measureLatencies } from '../rfc/latency.js';
import { UsageError } from './errors.js';
import { writeOutput } from './files.js';
import { stdout } from './output.js';
import { kernelName } from './run-options.js';

const EXAMPLES = `
Examples:
  bpflab latency                                       all operations, with the series, RT and not
  bpflab latency --map lru --op evicting --cpus 1,4,16
  bpflab latency --op creation --kernel 5.6-rt,rfc-rt --entries 1000,100000 --json
  bpflab latency --map hash --op "update, new" --entries 64,1024,16384 --svg sizes.svg
  bpflab latency --map lru --op evicting --cpus 16 --busy 1,2,4,8,16 --svg load.svg

Times are simulated, from a table of costs (docs/latency.md): sections can be compared with each other, not with a stopwatch.`;

interface Options {
  readonly map?: string;
  readonly op?: string;
  readonly kernel: readonly string[];
  readonly entries: readonly number[];
  readonly cpus: readonly number[];
  readonly busy?: readonly number[];
  readonly kind: LatencyKind;
  readonly svg?: string;
  readonly json?: boolean;
}

const MAX_ENTRIES = 1_000_000;
const MAX_CPUS = 64;
/** Least elements: an element for each of the simulation's CPUs and rounds. */
const MIN_ENTRIES = 8;

export function configure(command: Command): void {
  command
    .option('--map <text>', 'only maps whose name has this in it, e.g. lru')
    .option('--op <text>', 'only operations whose name has this in it, e.g. evicting')
    .option('--kernel <list>', 'kernels, e.g. 5.6-rt,rfc-rt', kernels, ['rfc', 'rfc-rt'])
    .option('--entries <list>', 'elements that a map has room for', numbers(MIN_ENTRIES, MAX_ENTRIES), [1024])
    .option('--cpus <list>', 'CPUs', numbers(1, MAX_CPUS), [4])
    .option('--busy <list>', 'CPUs that do it at once; default one, and all', numbers(1, MAX_CPUS))
    .addOption(
      new Option('--kind <name>', 'what --svg draws')
        .choices(['preemptoff', 'irqsoff', 'held'])
        .default('preemptoff'),
    )
    .option('--svg <file>', 'draw what grows along the list with more than one number')
    .option('--json', 'print JSON')
    .addHelpText('after', EXAMPLES)
    .action((options: Options) => latency(options));
}

function latency(options: Options): void {
  const { map = '', op = '', svg, kind, json } = options;
  const has = (name: string, part: string): boolean => name.toLowerCase().includes(part.toLowerCase());
  const ops = LATENCY_OPS.filter((each) => has(each.map.name, map) && has(each.name, op));
  if (ops.length === 0) throw new UsageError('USAGE_LATENCY', `no operation is called "${map} ${op}"`);
  const settings = settingsOf(options);
  const axis = svg === undefined ? 'entries' : axisOf(options);
  const points = measureLatencies(settings, ops);
  if (svg !== undefined) writeOutput(svg, plotSvg(latencyPlot(points, axis, kind)));
  if (json === true) stdout.json({ points });
  else stdout.line(latencyText(points));
}

function settingsOf({ kernel, entries, cpus, busy, svg }: Options): LatencySetting[] {
  const found: LatencySetting[] = [];
  for (const profile of kernel) {
    for (const size of entries) {
      for (const count of cpus) {
        // A drawing has one load for each point.
        const loads = busy ?? (svg === undefined && count > 1 ? [1, count] : [count]);
        for (const load of loads)
          if (load <= count) found.push({ profile, entries: size, cpus: count, busy: load });
      }
    }
  }
  if (found.length > 0) return found;
  throw new UsageError('USAGE_LATENCY', 'more CPUs are to be busy than there are');
}

/** The one list that has several numbers. */
function axisOf({ entries, cpus, busy = [] }: Options): LatencyAxis {
  const long = Object.entries({ entries, cpus, busy }).filter(([, list]) => list.length > 1);
  if (long.length === 1) return long[0]![0] as LatencyAxis;
  throw new UsageError('USAGE_LATENCY', '--svg wants several numbers in one of --entries, --cpus, --busy');
}

function numbers(least: number, most: number): (text: string) => number[] {
  return (text) => {
    const list = text.split(',').map((part) => (/^\d{1,9}$/.test(part) ? Number(part) : Number.NaN));
    if (list.every((value) => value >= least && value <= most)) return list;
    throw new InvalidArgumentError(`numbers from ${least} to ${most}, with commas between, are wanted.`);
  };
}

function kernels(text: string): string[] {
  return text.split(',').map(kernelName);
}
