/**
 * The scalar domain against a running kernel, run by hand:
 *
 *     tsx test/oracle/scalar-sweep.ts [--programs N] [--seed S] [--length INSNS] [--kraw PATH/kraw.py] [--record FILE]
 *
 * Loads random programs on two scalars at log level 2 and compares, instruction by instruction and path by path, the
 * registers that the kernel prints with ours, text for text. `--record` adds programs and log
 * lines to FILE, from which test/verifier/scalar/recorded.jsonl is made. Needs root and says so where `bpf()` is refused.
 */
import { spawnSync } from 'node:child_process';
import { appendFileSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import * as isa from '../../src/isa/index.js';
import { logDifference, relevantLines, statesPrinted } from '../verifier/scalar/kernel-log.js';
import { Random, randomProgram, walk } from '../verifier/scalar/walk.js';
import { SHARED_ORACLE } from './lib/tools.js';

interface Answer {
  readonly verdict: string;
  readonly errno?: number;
  readonly log?: string;
}

const BATCH = 500;

function ask(kraw: string, programs: readonly isa.Insn[][]): Answer[] {
  const request = (insns: isa.Insn[]): string =>
    JSON.stringify({
      prog_type: 'socket_filter',
      insns: Buffer.from(isa.encodeInsns(insns)).toString('hex'),
      license: 'GPL',
      log_level: 2,
    });
  const done = spawnSync('python3', [kraw, '--log', '1000000'], {
    input: `${programs.map(request).join('\n')}\n`,
    maxBuffer: 1 << 30,
    encoding: 'utf8',
  });
  const lines = done.stdout.trim().split('\n');
  if (done.status !== 0 || lines.length !== programs.length)
    throw new Error(`kraw: ${done.stderr || done.error?.message}`);
  return lines.map((line) => JSON.parse(line) as Answer);
}

function show(insns: readonly isa.Insn[], seed: number, difference: string, log: string): void {
  console.log(`seed ${seed}: ${difference}`);
  for (const line of log.split('\n'))
    if (/^(from )?\d+(: \(| to )|BUG|bug/.test(line)) console.log(`    ${line}`);
  console.log(`    ${Buffer.from(isa.encodeInsns(insns)).toString('hex')}`);
}

interface Options {
  readonly kraw: string;
  readonly programs: number;
  readonly seed: number;
  readonly length: number;
  readonly show: number;
  readonly record?: string;
}

function options(): Options {
  const { values } = parseArgs({
    options: {
      kraw: { type: 'string', default: join(SHARED_ORACLE, 'kraw.py') },
      programs: { type: 'string', default: '5000' },
      seed: { type: 'string', default: '1' },
      length: { type: 'string', default: '12' },
      show: { type: 'string', default: '3' },
      record: { type: 'string' },
    },
  });
  const { kraw, record } = values;
  return {
    kraw,
    programs: Number(values.programs),
    seed: Number(values.seed),
    length: Number(values.length),
    show: Number(values.show),
    ...(record === undefined ? {} : { record }),
  };
}

/** Compares one batch; false where the kernel cannot be asked. */
function runBatch(o: Options, done: number, tally: Tally): boolean {
  const seeds = Array.from(
    { length: Math.min(BATCH, o.programs - done) },
    (_, k) => o.seed * 1_000_003 + done + k,
  );
  const batch = seeds.map((s) => randomProgram(new Random(Math.imul(s, 2654435761)), o.length));
  const answers = ask(o.kraw, batch);
  if (answers.every((a) => a.errno === 1)) return false;
  batch.forEach((insns, k) => {
    const { verdict, errno, log = '' } = answers[k]!;
    const ours = walk(insns);
    tally.states += statesPrinted(log);
    tally.contradictions += ours.violations.length;
    if (o.record !== undefined) {
      const insnsHex = Buffer.from(isa.encodeInsns(insns)).toString('hex');
      appendFileSync(o.record, `${JSON.stringify({ insns: insnsHex, log: relevantLines(log) })}\n`);
    }
    const difference =
      verdict === 'accept' ? logDifference(log, ours) : `the kernel refuses it, errno ${errno}`;
    if (difference === undefined) return;
    if (tally.differ++ < o.show) show(insns, seeds[k]!, difference, log);
  });
  return true;
}

interface Tally {
  states: number;
  contradictions: number;
  differ: number;
}

function main(): void {
  const o = options();
  if (!existsSync(o.kraw)) {
    console.log('scalar-sweep: SKIPPED, kraw.py is not there');
    return;
  }
  const tally: Tally = { states: 0, contradictions: 0, differ: 0 };
  for (let done = 0; done < o.programs; done += BATCH) {
    if (!runBatch(o, done, tally)) {
      console.log('scalar-sweep: SKIPPED, bpf() is refused here (EPERM)');
      return;
    }
  }
  const { states, contradictions, differ } = tally;
  console.log(
    `scalar-sweep: ${o.programs} programs, ${states} states compared, ${contradictions} contradictions, ${differ} programs differ (seed ${o.seed})`,
  );
  if (differ > 0) process.exitCode = 1;
}

main();
