/**
 * The parent's side: gives numbered batches of mutants to child processes, watches their progress, ends
 * those that hang, and runs every suspect once more alone before it is called a finding, so that a busy
 * machine produces none.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { MutantKind } from './mutants.js';
import type { Answer, Job, Suspect } from './protocol.js';

/** Heap of a child: so that garbage is not taken for use. */
const HEAP_MB = 192;
/** A child that stays at one mutant this long is ended. */
const HANG_MS = 5000;
const WATCH_MS = 250;

export interface Totals {
  mutants: number;
  loaded: number;
  refused: number;
  readonly refusals: Map<string, number>;
}

export interface SuperviseOptions {
  readonly corpus: readonly string[];
  readonly seed: number;
  readonly kinds: readonly MutantKind[];
  readonly seconds: number;
  readonly jobs: number;
  readonly onFinding: (suspect: Suspect) => void;
}

const BATCH = 100;

/** One child process and the file in which it notes the mutant it is at. */
class Child {
  readonly #process: ChildProcess;
  readonly #folder = mkdtempSync(join(tmpdir(), 'bpflab-fuzz-'));
  readonly #progress = join(this.#folder, 'progress');
  #ended = false;

  constructor(corpus: readonly string[]) {
    closeSync(openSync(this.#progress, 'w'));
    const program = fileURLToPath(new URL('./child.ts', import.meta.url));
    this.#process = fork(program, [this.#progress, ...corpus], {
      execArgv: [...process.execArgv, `--max-old-space-size=${HEAP_MB}`, '--max-semi-space-size=8'],
    });
  }

  /** Resolves when the child has warmed up; rejects when it cannot even do that. */
  ready(): Promise<void> {
    return new Promise((resolve, reject) => {
      const failed = (): void => reject(new Error('the seeds themselves end the fuzzing process'));
      this.#process.once('exit', failed);
      this.#process.once('message', () => {
        this.#process.off('exit', failed);
        resolve();
      });
    });
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Number of the mutant that is under way, or -1 before the first. */
  at(): number {
    const buffer = new Uint8Array(8);
    const fd = openSync(this.#progress, 'r');
    const got = readSync(fd, buffer, 0, 8, 0);
    closeSync(fd);
    return got === 8 ? new DataView(buffer.buffer).getFloat64(0) : -1;
  }

  /** The answer, or the suspect that ended the child. */
  run(job: Job): Promise<Answer> {
    return new Promise((resolve) => {
      const { seed } = job;
      let last = -2;
      let since = Date.now();
      let hung = false;
      const watch = setInterval(() => {
        const now = this.at();
        if (now !== last) {
          last = now;
          since = Date.now();
        } else if (now >= 0 && Date.now() - since > HANG_MS) {
          hung = true;
          this.#process.kill('SIGKILL');
        }
      }, WATCH_MS);
      const finish = (answer: Answer): void => {
        clearInterval(watch);
        this.#process.removeAllListeners();
        resolve(answer);
      };
      this.#process.once('message', (answer: Answer) => finish(answer));
      this.#process.once('exit', (code, signal) => {
        this.#ended = true;
        const reason = hung ? 'hang' : 'death';
        const detail = hung ? `no end after ${HANG_MS} ms` : `the process ended: ${signal ?? `exit ${code}`}`;
        const number = Math.max(this.at(), job.from);
        finish({
          next: number + job.step,
          loaded: 0,
          refused: 0,
          refusals: [],
          suspects: [{ reason, detail, seed, number }],
        });
      });
      this.#process.send(job);
    });
  }

  end(): void {
    this.#ended = true;
    this.#process.removeAllListeners();
    this.#process.kill();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

function add(totals: Totals, answer: Answer): void {
  totals.loaded += answer.loaded;
  totals.refused += answer.refused;
  totals.mutants += answer.loaded + answer.refused + answer.suspects.length;
  for (const [code, count] of answer.refusals)
    totals.refusals.set(code, (totals.refusals.get(code) ?? 0) + count);
}

/** Runs a suspect once more, alone; what it is guilty of, or undefined. */
async function confirm(options: SuperviseOptions, { seed, number }: Suspect): Promise<Suspect | undefined> {
  const child = await start(options.corpus);
  const answer = await child.run({ seed, kinds: options.kinds, from: number, to: number + 1, step: 1 });
  child.end();
  return answer.suspects[0];
}

async function start(corpus: readonly string[]): Promise<Child> {
  const child = new Child(corpus);
  await child.ready();
  return child;
}

async function work(
  options: SuperviseOptions,
  lane: number,
  deadline: number,
  totals: Totals,
): Promise<void> {
  const { corpus, seed, jobs, kinds } = options;
  let child = await start(corpus);
  let next = lane;
  while (Date.now() < deadline) {
    const answer = await child.run({ seed, kinds, from: next, to: next + BATCH * jobs, step: jobs });
    add(totals, answer);
    next = answer.next;
    for (const suspect of answer.suspects) {
      const finding = await confirm(options, suspect);
      if (finding !== undefined) options.onFinding(finding);
    }
    if (child.ended || answer.suspects.some(({ reason }) => reason === 'memory')) {
      child.end();
      child = await start(corpus);
    }
  }
  child.end();
}

/** Fuzzes for the given time. */
export async function supervise(options: SuperviseOptions): Promise<Totals> {
  const totals: Totals = { mutants: 0, loaded: 0, refused: 0, refusals: new Map() };
  const deadline = Date.now() + options.seconds * 1000;
  await Promise.all(Array.from({ length: options.jobs }, (_, lane) => work(options, lane, deadline, totals)));
  return totals;
}
