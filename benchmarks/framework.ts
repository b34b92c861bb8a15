/**
 * Measuring: a benchmark does a fixed amount of work over and over, the framework takes the CPU time of each run, which
 * others on the machine do not add to, and reports rates as min / median / max over the runs. Never inside Jest, whose
 * sandbox slows globals down.
 */

/** What a run's work is counted in. */
export type Unit = 'insn' | 'packet' | 'call' | 'run';

export interface Benchmark {
  readonly name: string;
  readonly unit: Unit;
  /** Prepares, and gives the function that does the work once and says how many units it was. */
  readonly prepare: () => () => number;
  /** Counts towards the suite's geometric mean of medians. Default true. */
  readonly inMean?: boolean;
}

export interface Suite {
  readonly name: string;
  readonly benchmarks: readonly Benchmark[];
}

/** Rates in units a second of CPU time. */
export interface Measurement {
  readonly suite: string;
  readonly name: string;
  readonly unit: Unit;
  readonly runs: number;
  readonly unitsPerRun: number;
  readonly min: number;
  readonly median: number;
  readonly max: number;
  readonly nsPerUnit: number;
  readonly inMean: boolean;
}

export interface MeasureOptions {
  readonly runs: number;
  /** Runs before the first that counts, so that compilers have done their work. */
  readonly warmUp: number;
}

export function measure(suite: Suite, benchmark: Benchmark, options: MeasureOptions): Measurement {
  const work = benchmark.prepare();
  for (let i = 0; i < options.warmUp; i++) work();
  const rates: number[] = [];
  let units = 0;
  for (let i = 0; i < options.runs; i++) {
    const start = process.cpuUsage();
    units = work();
    const { user, system } = process.cpuUsage(start);
    rates.push(units / ((user + system) / 1e6));
  }
  rates.sort((a, b) => a - b);
  const median = rates[rates.length >> 1]!;
  return {
    suite: suite.name,
    name: benchmark.name,
    unit: benchmark.unit,
    runs: options.runs,
    unitsPerRun: units,
    min: rates[0]!,
    median,
    max: rates.at(-1)!,
    nsPerUnit: 1e9 / median,
    inMean: benchmark.inMean ?? true,
  };
}

/** Geometric mean of the medians of a suite, in units a second; undefined where nothing counts. */
export function geometricMean(rows: readonly Measurement[]): number | undefined {
  const counted = rows.filter((row) => row.inMean);
  if (counted.length === 0) return undefined;
  return Math.exp(counted.reduce((sum, row) => sum + Math.log(row.median), 0) / counted.length);
}

function rate(perSecond: number): string {
  if (perSecond >= 1e6) return `${(perSecond / 1e6).toFixed(perSecond >= 1e8 ? 0 : 1)} M`;
  return perSecond >= 1e3 ? `${(perSecond / 1e3).toFixed(1)} k` : perSecond.toFixed(1);
}

/** The rows of one suite as a table. */
export function table(rows: readonly Measurement[]): string {
  const head = ['benchmark', 'unit', 'min/s', 'median/s', 'max/s', 'ns/unit'];
  const cells = rows.map((row) => [
    row.name,
    row.unit,
    rate(row.min),
    rate(row.median),
    rate(row.max),
    row.nsPerUnit.toFixed(2),
  ]);
  const mean = geometricMean(rows);
  if (mean !== undefined && rows.length > 1) {
    cells.push(['geometric mean', rows[0]!.unit, '', rate(mean), '', (1e9 / mean).toFixed(2)]);
  }
  const widths = head.map((title, i) => Math.max(title.length, ...cells.map((row) => row[i]!.length)));
  const line = (row: readonly string[]): string =>
    row.map((cell, i) => (i < 2 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('  ');
  return [line(head), ...cells.map(line)].join('\n');
}
