/**
 * Speed of the verifier, beside Linux's where it was recorded: the recorded programs that take most, and shapes made to be
 * dear. Each is judged in a process of its own, several times: the first is what `bpflab verify` pays, the best what a
 * process that goes on pays. With `--corpora` every recorded program is held against five times Linux's time plus 50 ms.
 *
 *   tsx benchmarks/verify.ts [--dir CORPORA] [--runs N] [--filter REGEX] [--top N] [--json] [--markdown] [--corpora]
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { table } from '../src/report/table.js';
import type { VerifyRequest } from '../src/verifier/types.js';
import { verify } from '../src/verifier/verify.js';
import { type CorpusRow, loadCorpus } from '../test/oracle/verdicts-corpus.js';
import { SHAPES } from './verify-shapes.js';

const { values } = parseArgs({
  options: {
    dir: { type: 'string' },
    runs: { type: 'string', default: '5' },
    filter: { type: 'string', default: '' },
    top: { type: 'string', default: '12' },
    json: { type: 'boolean', default: false },
    markdown: { type: 'boolean', default: false },
    corpora: { type: 'boolean', default: false },
    /** One program, in this process; what the others are started with. */
    one: { type: 'string' },
  },
});

const dir = values.dir ?? fileURLToPath(new URL('../../shared/oracle/corpora', import.meta.url));
const CORPORA = ['verifier-table', 'selftests-open'];
const RUNS = Number(values.runs);
/** What a recorded program may take: so many times Linux's own time, and this. */
const TIMES_LINUX = 5;
const PLUS_MS = 50;

/** Times in ms, sizes in bytes. */
interface Speed {
  readonly name: string;
  readonly verdict: string;
  readonly slots: number;
  readonly processed: number;
  readonly states: number;
  readonly peakStates: number;
  readonly firstMs: number;
  readonly bestMs: number;
  readonly linuxMs: number | undefined;
  /** The most the process ever had, less what it had before. */
  readonly memory: number;
}

const SCHEDSTAT = `/proc/self/task/${process.pid}/schedstat`;
const hasSchedstat = existsSync(SCHEDSTAT);

/** ms that the main thread was on a CPU, which others on the machine do not change; where Linux does not tell it, time. */
function clock(): number {
  return hasSchedstat ? Number(readFileSync(SCHEDSTAT, 'utf8').split(' ')[0]) / 1e6 : performance.now();
}

/** Linux's own time, ms. */
function linuxTime(row: CorpusRow): number | undefined {
  const usec = /^verification time (\d+) usec$/m.exec(row.log)?.[1];
  return usec === undefined ? undefined : Number(usec) / 1000;
}

function measure(name: string, request: VerifyRequest, linuxMs: number | undefined): Speed {
  const before = process.memoryUsage().rss;
  const times: number[] = [];
  let result = verify({ insns: [], progType: 1 });
  for (let i = 0; i < RUNS; i++) {
    const start = clock();
    result = verify(request);
    times.push(clock() - start);
  }
  return {
    name,
    verdict: result.verdict,
    slots: request.insns.length,
    processed: result.processed,
    states: result.totalStates,
    peakStates: result.peakStates,
    firstMs: times[0]!,
    bestMs: Math.min(...times),
    linuxMs,
    memory: Math.max(0, process.resourceUsage().maxRSS * 1024 - before),
  };
}

async function loadRows(corpus: string): Promise<CorpusRow[]> {
  if (!existsSync(join(dir, `${corpus}.jsonl.xz`))) return [];
  return (await loadCorpus(dir, corpus)).filter(({ verdict }) => verdict !== 'environment');
}

/** `shape/NAME`, or `CORPUS/INDEX`. */
async function measureOne(id: string): Promise<Speed> {
  const [source, key] = [id.slice(0, id.indexOf('/')), id.slice(id.indexOf('/') + 1)];
  if (source === 'shape') {
    const shape = SHAPES.find(({ name }) => name === key);
    if (shape === undefined) throw new Error(`no shape ${key}`);
    return measure(key, shape.request(), undefined);
  }
  const row = (await loadRows(source)).find(({ index }) => index === Number(key));
  if (row === undefined) throw new Error(`no row ${key} in ${source}`);
  return measure(row.name, row.request(), linuxTime(row));
}

function inFreshProcess(id: string): Speed {
  const args = [...process.execArgv, process.argv[1]!, '--one', id, '--dir', dir, '--runs', values.runs];
  const child = spawnSync(process.execPath, args, { encoding: 'utf8', maxBuffer: 2 ** 26 });
  if (child.status !== 0) throw new Error(`${id}: ${child.stderr}`);
  return JSON.parse(child.stdout) as Speed;
}

const perMs = (speed: Speed): number => speed.processed / speed.bestMs;

function show(speeds: readonly Speed[]): void {
  const head = [
    'program',
    'slots',
    'processed',
    'states (peak)',
    'first ms',
    'best ms',
    'insns/ms',
    'Linux ms',
    'MB',
  ];
  const rows = speeds.map((speed) => [
    speed.name,
    `${speed.slots}`,
    `${speed.processed}`,
    `${speed.states} (${speed.peakStates})`,
    speed.firstMs.toFixed(0),
    speed.bestMs.toFixed(0),
    perMs(speed).toFixed(0),
    speed.linuxMs?.toFixed(0) ?? '–',
    (speed.memory / 1e6).toFixed(0),
  ]);
  if (!values.markdown) {
    console.log(table(head, rows, { align: head.map((_, i) => (i === 0 ? 'left' : 'right')) }));
    return;
  }
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  console.log([line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n'));
}

/** Every recorded program once, in this process, in order. */
async function runCorpora(): Promise<void> {
  for (const corpus of CORPORA) {
    const over: string[] = [];
    let ms = 0;
    let linux = 0;
    let processed = 0;
    const rows = await loadRows(corpus);
    for (const row of rows) {
      const request = row.request();
      const start = clock();
      const result = verify(request);
      const took = clock() - start;
      const linuxMs = linuxTime(row);
      ms += took;
      linux += linuxMs ?? 0;
      processed += result.processed;
      if (linuxMs === undefined || took <= TIMES_LINUX * linuxMs + PLUS_MS) continue;
      over.push(`  ${row.name}: ${took.toFixed(0)} ms, Linux ${linuxMs.toFixed(1)} ms`);
    }
    console.log(
      `${corpus}: ${rows.length} programs, ${processed} instructions in ${(ms / 1000).toFixed(2)} s (Linux ${(linux / 1000).toFixed(2)} s), ` +
        `${over.length} over ${TIMES_LINUX} times Linux's time plus ${PLUS_MS} ms`,
    );
    for (const line of over) console.log(line);
  }
}

async function main(): Promise<void> {
  const filter = new RegExp(values.filter);
  const ids: string[] = [];
  for (const corpus of CORPORA) {
    const rows = (await loadRows(corpus)).filter(({ name }) => filter.test(name));
    const largest = rows.sort((a, b) => b.processed - a.processed).slice(0, Number(values.top));
    ids.push(...largest.map(({ index }) => `${corpus}/${index}`));
  }
  ids.push(...SHAPES.filter(({ name }) => filter.test(name)).map(({ name }) => `shape/${name}`));
  const speeds = ids.map(inFreshProcess);
  if (values.json) console.log(JSON.stringify({ node: process.version, speeds }, undefined, 2));
  else show(speeds);
}

if (values.one !== undefined) console.log(JSON.stringify(await measureOne(values.one)));
else if (values.corpora) await runCorpora();
else await main();
