/**
 * The verifier's log: text that grows at its end and is cut back to an earlier position when a path
 * turned out fine (`bpf_vlog_reset`). Positions are characters. Like Linux's rolling log it keeps the end of what is longer
 * than its buffer. Models kernel/bpf/log.c of Linux 6.18.
 */
export const LOG_STATES = 1;
export const LOG_INSNS = 2;
export const LOG_STATS = 4;

/** Nothing of what this level says of instructions outlives a path that turned out fine. */
export const saysOnlyFailures = (level: number): boolean => (level & (LOG_STATES | LOG_INSNS)) === LOG_STATES;

const MAX_LENGTH = 2 ** 26;
const PIECES_A_BLOCK = 1024;

export class VerifierLog {
  readonly level: number;
  /** Level 1 or 2: states and instructions are wanted, and not only errors. */
  readonly verbose: boolean;
  readonly chatty: boolean;
  /** What was written last, piece by piece, and behind it what was written before, in larger blocks. */
  #pieces: string[] = [];
  #blocks: string[] = [];
  /** Positions of the first character that is kept, of the first one in `#pieces`, and of the end. */
  #start = 0;
  #piecesStart = 0;
  #length = 0;

  readonly #limit: number;

  /** `quiet`: what level 1 adds is left out. `limit`: characters that are kept, at least. */
  constructor(level: number, quiet: boolean, limit = MAX_LENGTH) {
    this.level = level;
    this.#limit = limit;
    this.verbose = !quiet && (level & (LOG_STATES | LOG_INSNS)) !== 0;
    this.chatty = (level & LOG_INSNS) !== 0;
  }

  get position(): number {
    return this.#length;
  }

  write(text: string): void {
    if (this.level === 0) return;
    this.#pieces.push(text);
    this.#length += text.length;
    if (this.#pieces.length === PIECES_A_BLOCK) this.#closeBlock();
  }

  #closeBlock(): void {
    this.#blocks.push(this.#pieces.join(''));
    this.#pieces = [];
    this.#piecesStart = this.#length;
    while (this.#length - this.#start - this.#blocks[0]!.length >= this.#limit) {
      this.#start += this.#blocks.shift()!.length;
    }
  }

  /** Drops what was written after `position`. */
  reset(position: number): void {
    while (this.#piecesStart > position && this.#blocks.length > 0) {
      this.#pieces = [this.#blocks.pop()!];
      this.#length = this.#piecesStart;
      this.#piecesStart -= this.#pieces[0]!.length;
    }
    while (this.#length > position && this.#pieces.length > 0) {
      const last = this.#pieces.pop()!;
      this.#length -= last.length;
      if (this.#length < position) this.write(last.slice(0, position - this.#length));
    }
    // of what is not kept any more, nothing is left
    if (this.#length > position) {
      this.#start = position;
      this.#piecesStart = position;
      this.#length = position;
    }
  }

  /** The log, or the last whole lines of it. */
  text(): string {
    const text = this.#blocks.join('') + this.#pieces.join('');
    return this.#start === 0 ? text : text.slice(text.indexOf('\n') + 1);
  }
}
