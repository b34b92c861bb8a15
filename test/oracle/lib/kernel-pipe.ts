/** `kraw.py` as a process that stays: batches of requests go in, answers come out in order, while we do something else. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { KernelAnswer } from './kernel.js';
import { SHARED_ORACLE } from './tools.js';

export interface PipeAnswer extends Omit<KernelAnswer, 'runs'> {
  readonly errno: number;
  readonly insn_processed?: number;
  readonly total_states?: number;
  readonly peak_states?: number;
  readonly stack_depth?: string;
  readonly error?: string;
  readonly runs?: readonly KernelRun[];
}

export interface KernelRun {
  readonly errno: number;
  readonly retval?: number;
  readonly data_out?: string;
  readonly ctx_out?: string;
}

/** Of a log that was cut, the first line may lack its beginning: it goes. */
function withWholeLines(answer: PipeAnswer, logChars: number): PipeAnswer {
  const { log = '' } = answer;
  return log.length < logChars ? answer : { ...answer, log: log.slice(log.indexOf('\n') + 1) };
}

export class KernelPipe {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #waiting: ((answer: PipeAnswer) => void)[] = [];
  #fail: ((error: Error) => void) | undefined;

  /** `logChars`: how much of a log's end to keep. `command`: what serves in place of `kraw.py`. */
  constructor(logChars: number, command: readonly string[] = [join(SHARED_ORACLE, 'kraw.py')]) {
    this.#child = spawn('python3', [...command, '--log', `${logChars}`]);
    this.#child.stderr.resume();
    createInterface({ input: this.#child.stdout }).on('line', (line) => {
      this.#waiting.shift()?.(withWholeLines(JSON.parse(line) as PipeAnswer, logChars));
    });
    this.#child.on('exit', (code) => this.#fail?.(new Error(`kraw.py ended with code ${code}`)));
  }

  /** Answers in the order of the requests. */
  ask(requests: readonly object[]): Promise<PipeAnswer[]> {
    return new Promise((resolve, reject) => {
      this.#fail = reject;
      const answers = requests.map(() => new Promise<PipeAnswer>((done) => this.#waiting.push(done)));
      this.#child.stdin.write(requests.map((request) => `${JSON.stringify(request)}\n`).join(''));
      Promise.all(answers).then(resolve, reject);
    });
  }

  close(): void {
    this.#fail = undefined;
    this.#child.stdin.end();
  }
}
