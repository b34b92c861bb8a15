/**
 * The mutation fuzzer's command: `npm run fuzz -- --seconds N --seed S [--corpus DIR-OR-FILE]… [--jobs N] [--out DIR]
 * [--kinds object,btf,program,classic,asm,pcap,scenario]` and `--replay FILE…`. Each mutant has to end in a typed error or a sound load within a second and 256 MiB. Findings
 * are written as reproducer files named after seed and number; the exit code is 1 when there are any.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { parseArgs } from 'node:util';
import { MUTANT_KINDS, type MutantKind, makeMutant, readCorpus, type Seed } from './mutants.js';
import { judge } from './pipeline.js';
import type { Suspect } from './protocol.js';
import { supervise } from './supervisor.js';

/** Reproducers kept of findings with the same first lines. */
const KEEP_ALIKE = 3;

function kindsOf(text: string): MutantKind[] {
  return text.split(',').map((name) => {
    const kind = MUTANT_KINDS.find((known) => known === name);
    if (kind === undefined) throw new Error(`--kinds wants some of ${MUTANT_KINDS.join(',')}`);
    return kind;
  });
}

function options() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      seconds: { type: 'string', default: '20' },
      seed: { type: 'string', default: '1' },
      corpus: { type: 'string', multiple: true, default: [] },
      jobs: { type: 'string', default: '1' },
      out: { type: 'string', default: join(tmpdir(), 'bpflab-fuzz-findings') },
      kinds: { type: 'string', default: MUTANT_KINDS.join(',') },
      replay: { type: 'boolean', default: false },
      codes: { type: 'boolean', default: false },
    },
  });
  const number = (name: 'seconds' | 'seed' | 'jobs'): number => {
    const value = Number(values[name]);
    if (!Number.isFinite(value) || value < 0)
      throw new Error(`--${name} wants a number, not '${values[name]}'`);
    return value;
  };
  return {
    ...values,
    kinds: kindsOf(values.kinds),
    seconds: number('seconds'),
    seed: number('seed'),
    jobs: Math.max(1, number('jobs')),
    positionals,
  };
}

/** What a finding is about, without the parts that differ from mutant to mutant. */
function signature({ reason, detail }: Suspect): string {
  const lines = detail.split('\n');
  const frame = lines.find((line) => line.includes('/src/')) ?? '';
  return `${reason} ${lines[0]!.replace(/\d+/g, 'N')} ${frame.trim()}`;
}

class Findings {
  readonly #counts = new Map<string, number>();
  total = 0;

  constructor(
    readonly corpus: readonly Seed[],
    readonly kinds: readonly MutantKind[],
    readonly folder: string,
  ) {}

  add(suspect: Suspect): void {
    this.total++;
    const key = signature(suspect);
    const count = (this.#counts.get(key) ?? 0) + 1;
    this.#counts.set(key, count);
    if (count > KEEP_ALIKE) return;
    const { seed, number } = suspect;
    const { kind, bytes } = makeMutant(this.corpus, seed, number, this.kinds);
    mkdirSync(this.folder, { recursive: true });
    const file = join(this.folder, `seed${seed}-${number}.${kind}`);
    writeFileSync(file, bytes);
    console.log(`finding (${suspect.reason}): ${suspect.detail}\n  reproducer: ${file}`);
  }

  summarize(): void {
    for (const [key, count] of this.#counts) console.log(`${count} x ${key}`);
  }
}

function replay(files: readonly string[]): number {
  let failed = 0;
  for (const file of files) {
    const suffix = file.slice(file.lastIndexOf('.') + 1);
    const kind: MutantKind = MUTANT_KINDS.find((name) => name === suffix) ?? 'object';
    const start = performance.now();
    try {
      const code = judge({ kind, bytes: new Uint8Array(readFileSync(file)) });
      console.log(`${file}: ${code ?? 'loaded'} (${(performance.now() - start).toFixed(1)} ms)`);
    } catch (error) {
      failed++;
      console.log(`${file}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
    }
  }
  return failed;
}

async function main(): Promise<number> {
  const { seconds, seed, jobs, kinds, corpus: folders, out, positionals, codes, ...rest } = options();
  if (rest.replay) return replay(positionals) === 0 ? 0 : 1;
  const paths = ['programs', ...folders];
  const corpus = readCorpus(paths);
  if (corpus.length === 0) throw new Error(`no objects in ${paths.join(', ')}`);
  console.log(`${corpus.length} seeds, seed ${seed}, ${seconds} s, ${jobs} at a time`);
  const findings = new Findings(corpus, kinds, out);
  const start = performance.now();
  const totals = await supervise({
    corpus: paths,
    seed,
    kinds,
    seconds,
    jobs,
    onFinding: (f) => findings.add(f),
  });
  const spent = (performance.now() - start) / 1000;
  const { mutants, loaded, refused, refusals } = totals;
  if (codes)
    for (const [code, count] of [...refusals].sort((a, b) => b[1] - a[1])) console.log(`${count}\t${code}`);
  findings.summarize();
  const rate = Math.round(mutants / spent);
  console.log(
    `fuzz: ${mutants} mutants in ${spent.toFixed(1)} s (${rate}/s, seed ${seed}): ` +
      `${loaded} loaded, ${refused} refused, ${findings.total} findings`,
  );
  return findings.total === 0 ? 0 : 1;
}

process.exitCode = await main();
