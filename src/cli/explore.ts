/**
 * `bpflab explore FILE.o --scenario FILE`: searches the schedules of a scenario for one that goes wrong, shows the
 * simplest, and runs it again. Exit 1 where one goes wrong.
 */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { type Command, InvalidArgumentError, Option } from 'commander';
import {
  type ExploreReport,
  type Failure,
  minimise,
  parseSchedule,
  replay,
  storyOf,
  storyText,
} from '../explore/index.js';
import { traceOf } from '../explore/trace.js';
import { lockOrderDot } from '../report/lock-graph.js';
import { traceEventFile } from '../report/trace-event.js';
import { UsageError } from './errors.js';
import { type ExploreJob, runJob, scenarioOf } from './explore-job.js';
import { readInput, writeOutput } from './files.js';
import { stderr, stdout } from './output.js';
import { kernelName, positive } from './run-options.js';
import { addTargetOptions, type TargetOptions } from './target.js';
import { type Shard, shard } from './verify-options.js';

interface Options extends TargetOptions {
  readonly scenario: string;
  readonly kernel?: string;
  readonly strategy: ExploreJob['strategy'];
  readonly seed: number;
  readonly bugDepth: number;
  readonly preemptions?: number;
  readonly schedules: number;
  readonly seconds?: number;
  readonly depth?: number;
  readonly insns?: number;
  readonly keepGoing?: boolean;
  readonly workers?: number;
  readonly shard?: Shard;
  readonly replay?: string;
  readonly save?: string;
  readonly trace?: string;
  readonly dot?: string;
  readonly json?: boolean;
}

const EXAMPLES = `
Examples:
  bpflab explore prog.o --scenario race.json
  bpflab explore prog.o --scenario race.json --strategy pct --bug-depth 2 --schedules 2000 --workers 4
  bpflab explore prog.o --scenario race.json --strategy exhaustive --preemptions 2
  bpflab explore prog.o --scenario race.json --save failing.json
  bpflab explore prog.o --scenario race.json --replay failing.json --trace trace.json --dot locks.dot

A scenario has the form of "bpflab sim"; times in it only order events. The trace opens in Perfetto. Exit codes: 0 nothing
went wrong, 1 something did, 2 wrong usage.`;

const MAX_WORKERS = 64;

function count(text: string): number {
  const value = Number(text);
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('a whole number is wanted.');
  return value;
}

export function configure(command: Command): void {
  command
    .argument('<file>', 'compiled eBPF object')
    .requiredOption('--scenario <file>', 'scenario (JSON), as for "bpflab sim"')
    .option('--kernel <profile>', "kernel to simulate, in place of the scenario's", kernelName)
    .addOption(
      new Option('--strategy <name>', 'how schedules are chosen')
        .choices(['random', 'pct', 'exhaustive'])
        .default('pct'),
    )
    .option('--seed <n>', 'first seed of random choices', positive, 1)
    .option('--bug-depth <n>', 'pct: ordering constraints that the bug needs', positive, 3)
    .option('--preemptions <n>', 'exhaustive: at most so many preemptions a schedule', count)
    .option('--schedules <n>', 'most schedules', positive, 1000)
    .option('--seconds <n>', 'stop after so long', positive)
    .option('--depth <n>', 'most steps of a schedule', positive)
    .option('--insns <n>', 'others may run after so many instructions of a program (default 100)', positive)
    .option('--keep-going', 'go on after the first failure')
    .option('--workers <n>', 'spread the search over so many threads', positive)
    .option('--shard <i/n>', 'only the I-th of N parts: to spread a search over machines', shard)
    .option('--replay <file>', 'run this schedule instead of searching')
    .option('--save <file>', 'write the simplest failing schedule')
    .option('--trace <file>', 'write what it does as trace-event JSON')
    .option('--dot <file>', 'write the order of locks, and who waits for whom, as Graphviz text')
    .option('--json', 'print JSON');
  addTargetOptions(command)
    .addHelpText('after', EXAMPLES)
    .action((file: string, options: Options) => run(file, options));
}

async function run(file: string, options: Options): Promise<void> {
  const job = jobOf(file, options);
  if (options.replay !== undefined) {
    const text = Buffer.from(readInput(options.replay)).toString('utf8');
    const schedule = parseSchedule(text, options.replay);
    const failure = replay(scenarioOf(job), schedule);
    show(job, options, undefined, failure ?? { kind: 'none', message: '', schedule, preemptions: 0 });
    if (failure !== undefined) process.exitCode = 1;
    return;
  }
  const report = options.workers === undefined ? runJob(job, progress) : await spread(job, options.workers);
  clearProgress();
  const [failure] = report.failures;
  const depth = options.depth === undefined ? {} : { depth: options.depth };
  const simplest =
    failure === undefined ? undefined : minimise(scenarioOf(job), failure, { budget: 200, ...depth });
  if (options.save !== undefined && simplest !== undefined) {
    writeOutput(options.save, `${JSON.stringify(simplest.schedule, undefined, 2)}\n`);
  }
  show(job, options, report, simplest);
  if (failure !== undefined) process.exitCode = 1;
}

function jobOf(file: string, options: Options): ExploreJob {
  const { strategy, seed, workers, preemptions, kernel, seconds, depth, insns, btf, kconfig } = options;
  if (workers !== undefined && workers > MAX_WORKERS) {
    throw new UsageError('USAGE_EXPLORE', `at most ${MAX_WORKERS} workers, not ${workers}`);
  }
  if (strategy !== 'exhaustive' && preemptions !== undefined) {
    throw new UsageError('USAGE_EXPLORE', '--preemptions goes with --strategy exhaustive');
  }
  const { index = 0, count: parts = 1 } = options.shard ?? {};
  return {
    file,
    scenario: options.scenario,
    strategy,
    seed: seed + index,
    stride: parts,
    part: { index, count: parts },
    bugDepth: options.bugDepth,
    schedules: options.schedules,
    keepGoing: options.keepGoing === true,
    ...(preemptions !== undefined && { preemptions }),
    ...(kernel !== undefined && { kernel }),
    ...(seconds !== undefined && { seconds }),
    ...(depth !== undefined && { depth }),
    ...(insns !== undefined && { quantum: insns }),
    ...(btf !== undefined && { btf }),
    ...(kconfig !== undefined && { kconfig }),
  };
}

/** Runs parts of the job in threads and puts their reports together, in the order of the parts. */
async function spread(job: ExploreJob, workers: number): Promise<ExploreReport> {
  const done = new Array<number>(workers).fill(0);
  const parts = Array.from({ length: workers }, (_, index) => {
    const part = {
      ...job,
      seed: job.seed + index * job.stride,
      stride: job.stride * workers,
      part: { index: job.part.index + index * job.part.count, count: job.part.count * workers },
      schedules: Math.ceil(job.schedules / workers),
    };
    return inWorker(part, (schedules) => {
      done[index] = schedules;
      progress(done.reduce((a, b) => a + b, 0));
    });
  });
  const reports = await Promise.all(parts);
  const [first] = reports;
  const failures = new Map(reports.flatMap((r) => r.failures).map((f) => [`${f.kind} ${f.message}`, f]));
  return {
    ...first!,
    exhausted: reports.every(({ exhausted }) => exhausted),
    schedules: reports.reduce((sum, { schedules }) => sum + schedules, 0),
    maxDecisions: Math.max(...reports.map(({ maxDecisions }) => maxDecisions)),
    failures: [...failures.values()],
  };
}

type Message = { readonly report?: ExploreReport; readonly schedules?: number; readonly error?: string };

function inWorker(job: ExploreJob, onProgress: (schedules: number) => void): Promise<ExploreReport> {
  const path = fileURLToPath(new URL('./explore-worker.js', import.meta.url));
  if (!existsSync(path))
    throw new UsageError('USAGE_EXPLORE', '--workers needs the built command (npm run build)');
  return new Promise((resolve, reject) => {
    const worker = new Worker(path, { workerData: job });
    worker.on('message', ({ report, schedules, error }: Message) => {
      if (report !== undefined) resolve(report);
      else if (error !== undefined) reject(new UsageError('USAGE_SCENARIO', error));
      else onProgress(schedules ?? 0);
    });
    worker.on('error', reject);
  });
}

let progressShown = false;

function progress(schedules: number): void {
  if (process.stderr.isTTY !== true) return;
  progressShown = true;
  stderr.write(`\r\x1b[K${schedules} schedules`);
}

function clearProgress(): void {
  if (progressShown) stderr.write('\r\x1b[K');
  progressShown = false;
}

type Shown = Omit<Failure, 'kind'> & { readonly kind: Failure['kind'] | 'none' };

function show(
  job: ExploreJob,
  options: Options,
  report: ExploreReport | undefined,
  shown: Shown | undefined,
): void {
  const scenario = scenarioOf(job);
  if (shown !== undefined && (options.trace !== undefined || options.dot !== undefined)) {
    const { events, graph, waits } = traceOf(scenario, shown.schedule);
    if (options.trace !== undefined) {
      writeOutput(options.trace, JSON.stringify(traceEventFile(events, `${job.file} ${job.scenario}`)));
    }
    if (options.dot !== undefined) writeOutput(options.dot, lockOrderDot(graph, waits));
  }
  const steps = shown === undefined ? [] : storyOf(scenario, shown as Failure);
  if (options.json === true) {
    stdout.json({ ...report, ...(shown !== undefined && { shown: { ...shown, story: steps } }) });
    return;
  }
  if (report !== undefined) stdout.line(summary(report));
  if (shown === undefined) return;
  for (const { kind, message } of report?.failures ?? []) stdout.line(`${kind}: ${message}`);
  stdout.line();
  const message = shown.kind === 'none' ? 'nothing went wrong' : shown.message;
  const { columns } = process.stdout;
  stdout.line(storyText(steps, { message }, columns === undefined ? {} : { width: columns }));
}

function summary({ strategy, schedules, maxDecisions, exhausted, failures, note }: ExploreReport): string {
  const found = failures.length === 0 ? 'nothing went wrong' : `${failures.length} different failures`;
  const all = exhausted ? ', which are all' : '';
  const text = `${schedules} schedules${all} (${strategy}), up to ${maxDecisions} decisions each: ${found}`;
  return note === undefined ? text : `${text}\n${note}`;
}
