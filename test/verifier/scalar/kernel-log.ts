/**
 * The kernel's side of the comparison: what its log at level 2 says of r6 and r7, lined up with a walk. Where Linux prunes
 * a path because it has seen a state like it, the rest of that path is skipped on our side, too.
 */
import type { Event, Walk } from './walk.js';

/** One line of the log. `safe`: the rest of this path, or all of the next, is like one seen before. */
interface Printed {
  readonly safe?: 'rest' | 'next';
  readonly pc: number;
  readonly from?: number;
  readonly regs: ReadonlyMap<string, string>;
}

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

/** The first thing in the log that our walk says differently, or undefined: registers, paths, contradictions. */
export function logDifference(log: string, ours: Walk): string | undefined {
  const difference = firstDifference(ours, parseLog(log));
  if (difference !== undefined) return difference;
  const [a, b] = [contradictions(log).join('\n'), ours.violations.join('\n')];
  return a === b ? undefined : `contradictions:\n    kernel ${a}\n    ours   ${b}`;
}

/** The lines of a log that count here: states that an arrival repeats are left out. */
export function relevantLines(log: string): string[] {
  const lines = log.split('\n');
  return lines.filter(
    (line, i) =>
      line.startsWith('verifier bug') ||
      INSN.test(line) ||
      ARRIVAL.test(line) ||
      SAFE.test(line) ||
      (AFTER_ALONE.test(line) && lines[i - 1]!.startsWith('verifier bug')),
  );
}

/** How many states a log prints. */
export const statesPrinted = (log: string): number => parseLog(log).length;
