/**
 * The verifier against recorded verdicts of Linux 6.18: every program of every corpus, verdict, first error line and
 * instructions processed compared, a table printed, every disagreement written to a file. Needs no root and no kernel.
 *
 *   npm run oracle
 *   tsx test/oracle/verdicts.ts [--dir CORPORA] [--out FILE] [--only CORPUS] [--grep TEXT]
 */
import { existsSync, mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { table as formatTable } from '../../src/report/table.js';
import { type Comparison, compareRow } from './verdicts-compare.js';
import { type CorpusRow, loadCorpus } from './verdicts-corpus.js';

const { values } = parseArgs({
  options: {
    dir: { type: 'string' },
    out: { type: 'string' },
    only: { type: 'string' },
    grep: { type: 'string' },
  },
});

const dir = values.dir ?? fileURLToPath(new URL('../../../shared/oracle/corpora', import.meta.url));
const CORPORA = ['verifier-table', 'selftests-open'];

/** What has been reached; less is a regression and fails. Raised whenever more is reached, never lowered. */
const REACHED: Readonly<Record<string, Partial<Tally>>> = {
  'verifier-table': { agree: 1304, lineEqual: 580, processedEqual: 1304, statesEqual: 1304 },
  'selftests-open': { agree: 1308, lineEqual: 453, processedEqual: 1308, statesEqual: 1308 },
};

interface Tally {
  programs: number;
  agree: number;
  tooKind: number;
  tooStrict: number;
  unsupported: number;
  crashed: number;
  rejects: number;
  lineEqual: number;
  judged: number;
  processedClose: number;
  processedEqual: number;
  statesEqual: number;
  logEqual: number;
}

const newTally = (): Tally => ({
  programs: 0,
  agree: 0,
  tooKind: 0,
  tooStrict: 0,
  unsupported: 0,
  crashed: 0,
  rejects: 0,
  lineEqual: 0,
  judged: 0,
  processedClose: 0,
  processedEqual: 0,
  statesEqual: 0,
  logEqual: 0,
});

function count(tally: Tally, row: CorpusRow, result: Comparison): void {
  tally.programs++;
  if (result.kind === 'agree') tally.agree++;
  else if (result.kind === 'too kind') tally.tooKind++;
  else if (result.kind === 'too strict') tally.tooStrict++;
  else if (result.kind === 'unsupported') tally.unsupported++;
  else tally.crashed++;
  if (result.kind !== 'agree') return;
  if (row.verdict === 'reject') {
    tally.rejects++;
    if (result.lineEqual) tally.lineEqual++;
  }
  tally.judged++;
  if (result.processed === row.processed) tally.processedEqual++;
  if (result.totalStates === row.totalStates && result.peakStates === row.peakStates) tally.statesEqual++;
  if (result.logEqual) tally.logEqual++;
  if (Math.abs(result.processed - row.processed) <= row.processed * 0.1) tally.processedClose++;
}

const percent = (part: number, whole: number): string =>
  whole === 0 ? '–' : `${((100 * part) / whole).toFixed(1)} %`;

async function runCorpus(name: string, lines: string[]): Promise<Tally | undefined> {
  const file = join(dir, `${name}.jsonl.xz`);
  if (!existsSync(file)) {
    console.log(`${name}: no file ${file}, skipped`);
    return undefined;
  }
  const tally = newTally();
  const unsupported = new Map<string, number>();
  const start = performance.now();
  let insns = 0;
  for (const row of await loadCorpus(dir, name)) {
    if (row.verdict === 'environment') continue;
    if (values.grep !== undefined && !row.name.includes(values.grep)) continue;
    const result = compareRow(row);
    insns += result.processed;
    count(tally, row, result);
    if (result.kind === 'unsupported') {
      unsupported.set(result.message, (unsupported.get(result.message) ?? 0) + 1);
    }
    const good = result.kind === 'agree' && (row.verdict === 'accept' || result.lineEqual);
    if (!good || result.processed !== row.processed) lines.push(describe(name, row, result));
  }
  const seconds = (performance.now() - start) / 1000;
  console.log(`${name}: ${seconds.toFixed(1)} s, ${insns} instructions processed`);
  for (const [feature, n] of [...unsupported].sort((a, b) => b[1] - a[1])) console.log(`  ${n} × ${feature}`);
  return tally;
}

function describe(corpus: string, row: CorpusRow, result: Comparison): string {
  const kind =
    result.kind === 'agree'
      ? row.verdict === 'reject' && !result.lineEqual
        ? 'line'
        : 'count'
      : result.kind;
  return (
    `${kind}\t${corpus}\t${row.index}\t${row.name}\n` +
    `  linux: ${row.verdict} ${row.errno} ${row.processed} ${row.totalStates}/${row.peakStates} ${row.firstLine}\n` +
    `  ours:  ${result.verdict} ${result.errno} ${result.processed} ${result.totalStates}/${result.peakStates} ${result.message}`
  );
}

/** What is worse than what had been reached, a line each. */
function regressions(name: string, tally: Tally): string[] {
  const worse: string[] = [];
  for (const [what, least] of Object.entries(REACHED[name] ?? {}) as [keyof Tally, number][]) {
    if (tally[what] < least) worse.push(`${name}: ${what} ${tally[what]}, had reached ${least}`);
  }
  for (const what of ['tooKind', 'tooStrict', 'crashed'] as const) {
    if (tally[what] > 0) worse.push(`${name}: ${what} ${tally[what]}, must be 0`);
  }
  return worse;
}

const worse: string[] = [];
const lines: string[] = [];
const table: string[][] = [];
for (const name of CORPORA) {
  if (values.only !== undefined && values.only !== name) continue;
  const tally = await runCorpus(name, lines);
  if (tally === undefined) continue;
  if (values.grep === undefined) worse.push(...regressions(name, tally));
  table.push([
    name,
    `${tally.programs}`,
    `${tally.agree} (${percent(tally.agree, tally.programs)})`,
    `${tally.tooKind}`,
    `${tally.tooStrict}`,
    `${tally.unsupported}`,
    `${tally.crashed}`,
    `${tally.lineEqual}/${tally.rejects} (${percent(tally.lineEqual, tally.rejects)})`,
    percent(tally.processedEqual, tally.judged),
    percent(tally.processedClose, tally.judged),
    percent(tally.statesEqual, tally.judged),
    percent(tally.logEqual, tally.judged),
  ]);
}
const head = [
  'corpus',
  'programs',
  'agree',
  'we accept, Linux rejects',
  'we reject, Linux accepts',
  'unsupported',
  'crashed',
  'first line equal',
  'processed equal',
  'within 10 %',
  'states equal',
  'log equal',
];
console.log(formatTable(head, table));
const out = values.out ?? join(mkdtempSync(join(tmpdir(), 'bpflab-verdicts-')), 'disagreements.txt');
mkdirSync(join(out, '..'), { recursive: true });
writeFileSync(out, `${lines.join('\n')}\n`);
console.log(`disagreements: ${out}`);
for (const line of worse) console.log(`regression: ${line}`);
if (worse.length > 0) process.exitCode = 1;
