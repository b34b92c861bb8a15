/**
 * The scalar domain against a running kernel, run by hand:
 *
 *     tsx test/oracle/scalar-sweep.ts [--programs N] [--seed S] [--kraw PATH/kraw.py]
 *
 * Loads random programs on two scalars at log level 2 and compares, instruction by instruction and path by path, the
 * registers that the kernel prints with ours, text for text. Needs root and says so where `bpf()` is refused.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import * as isa from '../../src/isa/index.js';
import { type Event, Random, randomProgram, type Walk, walk } from './scalar-walk.js';

interface Answer {
  readonly verdict: string;
  readonly errno?: number;
  readonly log?: string;
}

interface Printed {
  readonly pc: number;
  readonly from?: number;
  readonly regs: ReadonlyMap<string, string>;
}

const BATCH = 500;
const AFTER = /^(\d+): \([0-9a-f]{2}\).*?; (R\d.*)$/;
const ARRIVAL = /^from (\d+) to (\d+): (R\d.*)$/;

/** Registers of one line: `R6=scalar(…)`; precision marks and ids are not the domain's. */
function registers(text: string): Map<string, string> {
  const found = new Map<string, string>();
  for (const part of text.split(/ (?=(?:R\d+|fp-\d+|refs)=)/)) {
    const [, name, value] = /^(R\d+)=P?(.*?)\s*$/.exec(part) ?? [];
    if (name !== undefined) found.set(name, value!.replace(/\(id=\d+([+-]\d+)?,?/, '('));
  }
  return found;
}

function parseLog(log: string): Printed[] {
  const found: Printed[] = [];
  for (const line of log.split('\n')) {
    const arrival = ARRIVAL.exec(line);
    const after = AFTER.exec(line);
    if (arrival !== null) {
      found.push({ from: Number(arrival[1]), pc: Number(arrival[2]), regs: registers(arrival[3]!) });
    } else if (after !== null) {
      found.push({ pc: Number(after[1]), regs: registers(after[2]!) });
    }
  }
  return found.filter((e) => e.pc >= 5 && (e.regs.has('R6') || e.regs.has('R7')));
}

/** The first place where the kernel's log and our walk part, or undefined. */
function firstDifference(ours: Walk, theirs: readonly Printed[]): string | undefined {
  let at = 0;
  for (const printed of theirs) {
    const event: Event | undefined = ours.events[at++];
    const where =
      printed.from === undefined ? `after ${printed.pc}` : `from ${printed.from} to ${printed.pc}`;
    if (event === undefined) return `${where}: we have ended`;
    if (event.pc !== printed.pc || event.from !== printed.from)
      return `${where}: we are at ${event.from ?? ''} ${event.pc}`;
    for (const [name, text] of [
      ['R6', event.r6],
      ['R7', event.r7],
    ] as const) {
      const other = printed.regs.get(name);
      if (other !== undefined && other !== text)
        return `${where}: ${name}\n    kernel ${other}\n    ours   ${text}`;
    }
  }
  return at < ours.events.length ? `the kernel ends before ${JSON.stringify(ours.events[at])}` : undefined;
}

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

function main(): void {
  const { values } = parseArgs({
    options: {
      programs: { type: 'string' },
      seed: { type: 'string' },
      kraw: { type: 'string' },
      show: { type: 'string' },
      length: { type: 'string' },
    },
  });
  const kraw = values.kraw ?? join(import.meta.dirname, '../../../shared/oracle/kraw.py');
  if (!existsSync(kraw)) {
    console.log('scalar-sweep: SKIPPED, kraw.py is not there');
    return;
  }
  const programs = Number(values.programs ?? 5000);
  const seed = Number(values.seed ?? 1);
  const limit = Number(values.show ?? 3);
  let events = 0;
  let violations = 0;
  let differ = 0;
  for (let done = 0; done < programs; done += BATCH) {
    const seeds = Array.from(
      { length: Math.min(BATCH, programs - done) },
      (_, k) => seed * 1_000_003 + done + k,
    );
    const batch = seeds.map((s) =>
      randomProgram(new Random(Math.imul(s, 2654435761)), Number(values.length ?? 12)),
    );
    const answers = ask(kraw, batch);
    if (answers.every((a) => a.errno === 1)) {
      console.log('scalar-sweep: SKIPPED, bpf() is refused here (EPERM)');
      return;
    }
    batch.forEach((insns, k) => {
      const ours = walk(insns);
      const log = answers[k]!.log ?? '';
      const theirs = parseLog(log);
      events += theirs.length;
      violations += ours.violations.length;
      const contradicted = (log.match(/REG INVARIANTS VIOLATION/g) ?? []).length;
      const difference =
        answers[k]!.verdict !== 'accept'
          ? `the kernel refuses it, errno ${answers[k]!.errno}`
          : (firstDifference(ours, theirs) ??
            (contradicted !== ours.violations.length
              ? `violations: kernel ${contradicted}, ours ${ours.violations.length}`
              : undefined));
      if (difference === undefined) return;
      if (differ++ < limit) show(insns, seeds[k]!, difference, log);
    });
  }
  console.log(
    `scalar-sweep: ${programs} programs, ${events} states compared, ${violations} contradictions, ${differ} programs differ (seed ${seed})`,
  );
  if (differ > 0) process.exitCode = 1;
}

main();
