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

/** One line of the log. `safe`: the rest of this path, or all of the next, is like one seen before. */
interface Printed {
  readonly safe?: 'rest' | 'next';
  readonly pc: number;
  readonly from?: number;
  readonly regs: ReadonlyMap<string, string>;
}

const BATCH = 500;

/** Registers of one line: `R6=scalar(…)`; precision marks and ids are not the domain's. */
function registers(text: string): Map<string, string> {
  const found = new Map<string, string>();
  for (const part of text.split(/ (?=(?:R\d+|fp-\d+|refs)=)/)) {
    const [, name, value] = /^(R\d+)=P?(.*?)\s*$/.exec(part) ?? [];
    if (name !== undefined) found.set(name, value!.replace(/\(id=\d+([+-]\d+)?,?/, '('));
  }
  return found;
}

const INSN = /^(\d+): \([0-9a-f]{2}\)/;
const AFTER = /^\d+: \([0-9a-f]{2}\).*?; (R\d.*)$/;
/** On a line of its own where something was printed in between. */
const AFTER_ALONE = /^\d+: (R\d.*)$/;
const ARRIVAL = /^from (\d+) to (\d+): (R\d.*)$/;
const SAFE = /^(from \d+ to )?(\d+): safe$/;

function parseLog(log: string): Printed[] {
  const found: Printed[] = [];
  let pc = 0;
  let split = false;
  for (const line of log.split('\n')) {
    pc = Number(INSN.exec(line)?.[1] ?? pc);
    const arrival = ARRIVAL.exec(line);
    const after = AFTER.exec(line) ?? (split ? AFTER_ALONE.exec(line) : null);
    split = line.startsWith('verifier bug');
    const safe = SAFE.exec(line);
    if (arrival !== null) {
      found.push({ from: Number(arrival[1]), pc: Number(arrival[2]), regs: registers(arrival[3]!) });
    } else if (after !== null) {
      found.push({ pc, regs: registers(after[1]!) });
    } else if (safe !== null) {
      found.push({ pc: Number(safe[2]), safe: safe[1] === undefined ? 'rest' : 'next', regs: new Map() });
    }
  }
  return found.filter((e) => e.pc >= 5 && (e.safe || e.regs.has('R6') || e.regs.has('R7')));
}

/** Follows our events along the kernel's log; what the kernel prunes, it skips. */
class Cursor {
  private at = 0;
  private path = 0;
  /** Pruned paths, and the event from which on they are. */
  private readonly pruned = new Map<number, number>();
  constructor(private readonly walk: Walk) {}

  next(): Event | undefined {
    this.skip();
    const event = this.walk.events[this.at++];
    if (event !== undefined) this.path = event.path;
    return event;
  }

  /** The rest of this path, or all of the next one, is like a state seen before. */
  prune(next: boolean): void {
    this.skip();
    this.pruned.set(next ? (this.walk.events[this.at]?.path ?? -1) : this.path, this.at);
  }

  private skip(): void {
    for (;;) {
      const path = this.walk.events[this.at]?.path;
      if (path === undefined) return;
      const { parent, bornAt } = this.walk.paths[path]!;
      const lost = this.pruned.get(parent);
      if (lost !== undefined && bornAt >= lost && !this.pruned.has(path)) this.pruned.set(path, this.at);
      if (!this.pruned.has(path)) return;
      this.at++;
    }
  }
}

/** The first place where the kernel's log and our walk part, or undefined. */
function firstDifference(ours: Walk, theirs: readonly Printed[]): string | undefined {
  const cursor = new Cursor(ours);
  for (const printed of theirs) {
    if (printed.safe !== undefined) {
      cursor.prune(printed.safe === 'next');
      continue;
    }
    const event = cursor.next();
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
  const rest = cursor.next();
  return rest === undefined ? undefined : `the kernel ends before ${JSON.stringify(rest)}`;
}

const contradictions = (log: string): string[] =>
  [...log.matchAll(/^verifier bug: (REG INVARIANTS VIOLATION .*?)(?:\(1\))?$/gm)].map((match) => match[1]!);

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

function compare(answer: Answer, ours: Walk, theirs: readonly Printed[]): string | undefined {
  if (answer.verdict !== 'accept') return `the kernel refuses it, errno ${answer.errno}`;
  const difference = firstDifference(ours, theirs);
  if (difference !== undefined) return difference;
  const [a, b] = [contradictions(answer.log ?? '').join('\n'), ours.violations.join('\n')];
  return a === b ? undefined : `contradictions:\n    kernel ${a}\n    ours   ${b}`;
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
      const difference = compare(answers[k]!, ours, theirs);
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
