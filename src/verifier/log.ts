/**
 * The verifier's log: text that grows at its end and is cut back to an earlier position when a path
 * turned out fine (`bpf_vlog_reset`). Positions are characters. Models kernel/bpf/log.c of Linux 6.18.
 */
export const LOG_STATES = 1;
export const LOG_INSNS = 2;
export const LOG_STATS = 4;

/** Nothing of what this level says of instructions outlives a path that turned out fine. */
export const saysOnlyFailures = (level: number): boolean => (level & (LOG_STATES | LOG_INSNS)) === LOG_STATES;

export class VerifierLog {
  readonly level: number;
  /** Level 1 or 2: states and instructions are wanted, and not only errors. */
  readonly verbose: boolean;
  readonly chatty: boolean;
  #chunks: string[] = [];
  #length = 0;

  /** `quiet`: what level 1 adds is left out. */
  constructor(level: number, quiet: boolean) {
    this.level = level;
    this.verbose = !quiet && (level & (LOG_STATES | LOG_INSNS)) !== 0;
    this.chatty = (level & LOG_INSNS) !== 0;
  }

  get position(): number {
    return this.#length;
  }

  write(text: string): void {
    if (this.level === 0) return;
    this.#chunks.push(text);
    this.#length += text.length;
  }

  /** Drops what was written after `position`. */
  reset(position: number): void {
    while (this.#length > position) {
      const last = this.#chunks.pop()!;
      const start = this.#length - last.length;
      if (start < position) {
        this.#chunks.push(last.slice(0, position - start));
        this.#length = position;
        return;
      }
      this.#length = start;
    }
  }

  text(): string {
    const text = this.#chunks.join('');
    this.#chunks = text === '' ? [] : [text];
    return text;
  }
}
