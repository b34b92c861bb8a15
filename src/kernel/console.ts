/**
 * The kernel's log, and what went wrong as data. A splat is printed in Linux's words (literal texts: lib/dump_stack.c,
 * kernel/sched/core.c, kernel/locking/lockdep.c) and kept with its circumstances for whoever asserts on it.
 */

/** Where the kernel was when it printed. */
export interface PrintPlace {
  /** CPU number. */
  readonly cpu: number;
  readonly pid: number;
  readonly comm: string;
  /** Simulated nanoseconds since boot. */
  readonly timeNs: number;
  /** Kernel functions under way on the CPU, innermost first. */
  readonly stack: readonly string[];
}

/** `BUG:` and `WARNING:` reports by the rule that they are about. */
export type SplatKind =
  | 'sleeping-in-atomic'
  | 'scheduling-while-atomic'
  | 'assuming-atomic'
  | 'assuming-non-migratable'
  | 'preemptible-per-cpu'
  | 'lockdep'
  | 'deadlock'
  | 'warning'
  | 'bug';

export interface Splat extends PrintPlace {
  readonly kind: SplatKind;
  /** What was printed, the first line being the report's title. */
  readonly lines: readonly string[];
}

/** Lines kept; older ones are overwritten, as in the kernel's ring buffer. */
const CAPACITY = 100_000;

export class Console {
  readonly lines: string[] = [];
  readonly splats: Splat[] = [];
  private readonly once = new Set<string>();

  constructor(private readonly here: () => PrintPlace) {}

  /** printk: one entry for each line of the text. */
  print(text: string): void {
    const seconds = (this.here().timeNs / 1e9).toFixed(6).padStart(12);
    for (const line of text.split('\n')) {
      if (this.lines.length === CAPACITY) this.lines.shift();
      this.lines.push(`[${seconds}] ${line}`);
    }
  }

  /** Prints a report with the call trace behind it, and keeps it. */
  splat(kind: SplatKind, lines: readonly string[]): Splat {
    const place = this.here();
    const splat: Splat = { ...place, kind, lines };
    this.splats.push(splat);
    this.print(lines.join('\n'));
    this.print(`CPU: ${place.cpu} PID: ${place.pid} Comm: ${place.comm}`);
    if (place.stack.length > 0)
      this.print(`Call Trace:\n${place.stack.map((name) => ` ${name}`).join('\n')}`);
    return splat;
  }

  /** WARN_ON, with the place in Linux's source that warns. */
  warn(where: string, detail?: string): void {
    const { cpu, pid } = this.here();
    const title = `WARNING: CPU: ${cpu} PID: ${pid} at ${where}`;
    this.splat('warning', detail === undefined ? [title] : [detail, title]);
  }

  /** WARN_ON_ONCE: nothing the second time. */
  warnOnce(where: string, detail?: string): void {
    if (this.first(`${where} ${detail}`)) this.warn(where, detail);
  }

  /** Whether this is the first time that `key` is asked about. */
  first(key: string): boolean {
    if (this.once.has(key)) return false;
    this.once.add(key);
    return true;
  }

  /** Takes what has been printed. */
  drain(): string[] {
    return this.lines.splice(0);
  }
}
