/**
 * Random programs, our verdict against the running kernel's: verdict, errno, first line, instructions processed, states,
 * stack. What is accepted also runs, there and here. Needs root and bpf(2); says so where it may not ask.
 *
 * Every half minute a line on standard error says how far it is, and a program that takes long is named.
 *
 *   npm run oracle:fuzz -- --seconds N --seed S [--programs N] [--out FILE] [--no-run] [--no-minimise] [--only SEED,…]
 */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { decodeInsns, disassemble } from '../../src/isa/index.js';
import { knownRun } from './accepted-known.js';
import { filled, inputsFor, mayRunLong, runAccepted } from './accepted-run.js';
import { kernelRefusal } from './lib/kernel.js';
import { KernelPipe, type PipeAnswer } from './lib/kernel-pipe.js';
import { kernelTypes } from './lib/vmlinux.js';
import { type RandomRequest, structuredProgram } from './random/program.js';
import { judge, LOG_LEVEL, overflowsQueue, stackDepthsOf } from './verdicts-judge.js';
import { minimise } from './verdicts-minimise.js';
import { randomProgram } from './verdicts-random.js';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    seed: { type: 'string', default: '1' },
    programs: { type: 'string', default: '1000000000' },
    out: { type: 'string' },
    only: { type: 'string' },
    run: { type: 'boolean', default: true },
    minimise: { type: 'boolean', default: true },
  },
  allowNegative: true,
});

const BATCH = 200;
const LOG_CHARS = 4000;
/** Of each kind of difference; the others are written as they are. */
const MAX_MINIMISED = 4;
const MINIMISE_MS = 6000;
const PROGRESS_MS = 30_000;
/** A program that takes this long on our side is worth a look. */
const SLOW_MS = 5000;

interface Finding {
  readonly seed: number;
  readonly kind: string;
  readonly text: string;
  readonly request: RandomRequest;
}

const types = kernelTypes();

/** One in five is as wild as can be, the others follow rules. */
function programOf(seed: number): RandomRequest {
  if (seed % 5 !== 0) return structuredProgram(seed, types);
  const { progType, insns, maps } = randomProgram(seed);
  return { prog_type: progType, expected_attach_type: 0, insns, maps, license: 'GPL' };
}

const asked = (request: RandomRequest): object => ({
  ...request,
  log_level: LOG_LEVEL,
  ...(values.run && !mayRunLong(request) && { runs: inputsFor(request.prog_type) }),
});

const NOT_ASKED = 'not asked';

/** The kernel's answers, except to what could harm it. */
async function answersTo(pipe: KernelPipe, requests: readonly RandomRequest[]): Promise<PipeAnswer[]> {
  const safe = requests.map((request) => !overflowsQueue(request));
  const answers = await pipe.ask(requests.filter((_, i) => safe[i]).map(asked));
  return safe.map((isSafe) => (isSafe ? answers.shift()! : { verdict: NOT_ASKED, errno: 0 }));
}

const counts = new Map<string, number>();
const count = (what: string): void => void counts.set(what, (counts.get(what) ?? 0) + 1);
const of = (what: string): number => counts.get(what) ?? 0;
const findings: Finding[] = [];
const messages = new Map<string, number>();

/** Difference of a program, empty where there is none; and both sides' words. */
function examine(request: RandomRequest, answer: PipeAnswer, counted: boolean): [kind: string, text: string] {
  if (answer.verdict === NOT_ASKED) return ['', ''];
  const judged = judge(request, answer);
  if (counted) {
    count(judged.difference);
    const shape = judged.message.replace(/-?\d+/g, 'N');
    messages.set(shape, (messages.get(shape) ?? 0) + 1);
  }
  if (judged.difference !== 'agree' && judged.difference !== 'unsupported')
    return [judged.difference, judged.text];
  if (answer.verdict !== 'accept' || !values.run) return ['', ''];
  const ran = runAccepted(request, answer.runs ?? []);
  if (counted) count(`run: ${ran.kind}`);
  return 'what' in ran ? [`run: ${ran.kind}`, `  ${ran.what}`] : ['', ''];
}

function listing(request: RandomRequest): string {
  try {
    return disassemble(decodeInsns(Buffer.from(request.insns, 'hex')))
      .map(({ slot, text }) => `    ${slot}: ${text}`)
      .join('\n');
  } catch {
    return `    ${request.insns}`;
  }
}

let said = performance.now();

/** Says on standard error how far it is, now and then. */
function progress(started: number, next: number): void {
  const now = performance.now();
  if (now - said < PROGRESS_MS) return;
  said = now;
  const seconds = ((now - started) / 1000).toFixed(0);
  console.error(`${seconds} s: ${of('programs')} programs, next seed ${next}, ${findings.length} findings`);
}

/** Names a program that took us long. */
function noteSlow(seed: number, since: number): void {
  const seconds = (performance.now() - since) / 1000;
  if (seconds * 1000 >= SLOW_MS) console.error(`seed ${seed} took ${seconds.toFixed(1)} s`);
}

/** Seeds of the run, by number. */
const chosen = values.only?.split(',').map(Number);
const first = Number(values.seed);
const seedAt = (index: number): number => (chosen === undefined ? first + index : chosen[index]!);
const total = chosen?.length ?? Number(values.programs);

async function main(pipe: KernelPipe): Promise<void> {
  const started = performance.now();
  const end = started + 1000 * Number(values.seconds);
  /** The next programs, judged by us already: not the whole batch where time is up. */
  const batch = (from: number): RandomRequest[] => {
    const programs: RandomRequest[] = [];
    for (let at = from; at < Math.min(from + BATCH, total) && performance.now() < end; at++) {
      const since = performance.now();
      const program = programOf(seedAt(at));
      overflowsQueue(program);
      programs.push(program);
      noteSlow(seedAt(at), since);
      progress(started, seedAt(at) + 1);
    }
    return programs;
  };
  let index = 0;
  let programs = batch(index);
  let pending = answersTo(pipe, programs);
  while (programs.length > 0) {
    const answers = await pending;
    const now = programs;
    const base = index;
    index += now.length;
    programs = batch(index);
    // the kernel works on the next ones while we look at these
    pending = answersTo(pipe, programs);
    now.forEach((program, i) => {
      const answer = answers[i]!;
      count('programs');
      count(answer.verdict);
      const [kind, text] = examine(program, answer, true);
      if (kind === '') return;
      findings.push({ seed: seedAt(base + i), kind, text, request: program });
      // most runs that differ turn out to rest on what is not defined
      if (kind !== 'run: differs') console.error(`seed ${seedAt(base + i)}: ${kind}`);
    });
  }
  await pending;
  console.error(`${findings.length} findings to look at again`);
  const seconds = (performance.now() - started) / 1000;
  const kept = await settle(pipe);
  summary(seconds, seedAt(0));
  await report(pipe, kept);
  if (kept.length > 0) process.exitCode = 1;
}

function summary(seconds: number, first: number): void {
  const n = of('programs');
  console.log(
    `${n} programs from seed ${first} in ${seconds.toFixed(0)} s (${(n / seconds).toFixed(0)}/s), ${of('accept')} accepted by Linux: ${of('agree')} agree, ` +
      `${of('we accept, Linux rejects')} we accept and Linux rejects, ${of('we reject, Linux accepts')} we reject and Linux accepts, ` +
      `${of('crash')} crashed, ${of(NOT_ASKED)} not asked, ${of('unsupported')} unsupported; ` +
      `${of('first line')} with another first line, ${of('errno')} errno, ${of('processed')} processed, ${of('states')} states, ${of('stack depth')} stack depth`,
  );
  console.log(
    `runs of what is accepted: ${of('run: equal')} equal, ${of('run: differs')} differ, ${of('run: fault')} fault, ` +
      `${of('run: not compared')} without a fault and not comparable, ${of('run: depends on addresses')} depend on addresses, ${of('run: depends on the stack')} on what the stack held, ${of('run: Linux differs from itself')} get another result from Linux each time, ${of('run: unsupported')} unsupported here, ${of('run: too long')} too long`,
  );
  for (const [what, many] of counts)
    if (what.startsWith('known: ')) console.log(`known divergence: ${what.slice(7)}: ${many}`);
}

/** What each function's stack is filled with, to tell what rests on its old contents. */
const FILLS = [0, 0x5a5aa5a5];

const withStack = (request: RandomRequest, value: number): RandomRequest =>
  filled(request, stackDepthsOf(request), value);

/** Whether both sides agree once every function finds the same on its stack, whatever that is. */
async function agreesOnFilledStack(pipe: KernelPipe, request: RandomRequest): Promise<boolean> {
  const requests = FILLS.map((value) => withStack(request, value));
  const answers = await answersTo(pipe, requests);
  return requests.every(
    (candidate, i) => answers[i]!.verdict === 'accept' && examine(candidate, answers[i]!, false)[0] === '',
  );
}

/** Loads of one program, with the same stack and input, that the kernel is asked for. */
const REPEATS = 4;

/** Whether the kernel gives different results to the same program and input: what it runs on is not all in the input. */
async function linuxDiffersFromItself(pipe: KernelPipe, request: RandomRequest): Promise<boolean> {
  const same = withStack(request, FILLS[0]!);
  const answers = await answersTo(
    pipe,
    Array.from({ length: REPEATS }, () => same),
  );
  return new Set(answers.map(({ runs }) => JSON.stringify(runs))).size > 1;
}

/** Differences that are still there once both begin with the same stack, and that no known reason explains. */
async function settle(pipe: KernelPipe): Promise<Finding[]> {
  const kept: Finding[] = [];
  for (const finding of findings) {
    if (finding.kind === 'run: differs' && (await agreesOnFilledStack(pipe, finding.request))) {
      count('run: depends on the stack');
      counts.set('run: differs', of('run: differs') - 1);
      continue;
    }
    if (finding.kind === 'run: differs' && (await linuxDiffersFromItself(pipe, finding.request))) {
      count('run: Linux differs from itself');
      counts.set('run: differs', of('run: differs') - 1);
      continue;
    }
    const known = knownRun(finding.request, finding.kind, finding.text);
    if (known === undefined) {
      kept.push(finding);
      continue;
    }
    count(`known: ${known}`);
    counts.set(finding.kind, of(finding.kind) - 1);
  }
  return kept;
}

async function report(pipe: KernelPipe, findings: readonly Finding[]): Promise<void> {
  const perKind = new Map<string, number>();
  const blocks: string[] = [];
  for (const finding of findings) {
    const seen = (perKind.get(finding.kind) ?? 0) + 1;
    perKind.set(finding.kind, seen);
    let { request, text } = finding;
    const runs = finding.kind.startsWith('run:');
    if (runs) request = withStack(request, 0);
    if (values.minimise && seen <= MAX_MINIMISED) {
      request = await minimise(
        finding.request,
        async (given) => {
          const candidates = runs ? given.map((candidate) => withStack(candidate, 0)) : given;
          const answers = await answersTo(pipe, candidates);
          return candidates.map((candidate, i) => examine(candidate, answers[i]!, false)[0] === finding.kind);
        },
        performance.now() + MINIMISE_MS,
      );
      const [answer] = await answersTo(pipe, [request]);
      text = examine(request, answer!, false)[1];
    }
    blocks.push(
      `${finding.kind}: seed ${finding.seed}, ${request.prog_type}\n${text}\n${listing(request)}\n  ${JSON.stringify(request)}`,
    );
  }
  for (const block of blocks.slice(0, 20)) console.log(block);
  if (values.out === undefined) return;
  const histogram = [...messages].sort((a, b) => b[1] - a[1]).map(([message, n]) => `${n}\t${message}`);
  writeFileSync(values.out, `${blocks.join('\n')}\n\n${histogram.join('\n')}\n`);
}

const refusal = kernelRefusal();
if (refusal !== undefined) {
  console.log(`skipped: ${refusal}`);
} else {
  const pipe = new KernelPipe(LOG_CHARS);
  await main(pipe);
  pipe.close();
}
