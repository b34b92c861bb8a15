/**
 * The child's side: makes the mutants of a batch and gives each to the pipeline, measuring time and
 * memory. Before each it notes the number in the progress file, so that the parent knows what hung.
 */
import { openSync, writeSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import { makeMutant, readCorpus, type Seed } from './mutants.js';
import { judge, warmUp } from './pipeline.js';
import type { Answer, Job, Suspect } from './protocol.js';

const LIMIT_MS = 1000;
const LIMIT_BYTES = 256 << 20;
/** One mutant in so many also runs in the simulated kernel. */
const KERNEL_EVERY = 4;

const [progress, ...paths] = process.argv.slice(2);
if (progress === undefined) throw new Error('usage: child.ts PROGRESS-FILE CORPUS...');
const corpus: Seed[] = readCorpus(paths);
const progressFd = openSync(progress, 'w');
const note = new DataView(new ArrayBuffer(8));

warmUp(corpus);
const baseline = process.memoryUsage.rss();
const peak = (): number => process.resourceUsage().maxRSS * 1024;

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const frames = (error.stack ?? '').split('\n').filter((line) => /^\s+at /.test(line));
  return `${error.name}: ${error.message}\n${frames.slice(0, 6).join('\n')}`;
}

function run(job: Job): Answer {
  const { seed } = job;
  const suspects: Suspect[] = [];
  const refusals = new Map<string, number>();
  let loaded = 0;
  let refused = 0;
  let number = job.from;
  for (; number < job.to; number += job.step) {
    note.setFloat64(0, number);
    writeSync(progressFd, note, 0, 8, 0);
    const mutant = makeMutant(corpus, seed, number, job.kinds);
    const start = performance.now();
    const busy = process.cpuUsage();
    let suspect: Suspect | undefined;
    let verdict: string | undefined;
    try {
      verdict = judge(mutant, number % KERNEL_EVERY === 0);
    } catch (error) {
      suspect = { reason: 'error', detail: describe(error), seed, number };
    }
    // whichever is less: a busy machine takes longer, the collector's threads work beside us
    const { user, system } = process.cpuUsage(busy);
    const ms = Math.min(performance.now() - start, (user + system) / 1000);
    const grown = peak() - baseline;
    if (ms > LIMIT_MS) suspect ??= { reason: 'slow', detail: `${Math.round(ms)} ms`, seed, number };
    if (grown > LIMIT_BYTES) suspect = { reason: 'memory', detail: `${grown >> 20} MiB`, seed, number };
    if (suspect !== undefined) suspects.push(suspect);
    else if (verdict === undefined) loaded++;
    else {
      refused++;
      refusals.set(verdict, (refusals.get(verdict) ?? 0) + 1);
    }
    if (grown > LIMIT_BYTES) break;
  }
  const next = number < job.to ? number + job.step : number;
  return { next, loaded, refused, refusals: [...refusals], suspects };
}

process.send?.('ready');
process.on('message', (job: Job) => process.send?.(run(job)));
