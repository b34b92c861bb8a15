/**
 * A schedule as a story: a column for each CPU, a line for each step, each step by whose it is and where it goes on; steps of
 * a program with their source lines. Text is made to fit a width.
 */

import type { BpfProg } from '../kernel/bpf/prog.js';
import { sourcePlace } from '../kernel/bpf/prog.js';
import type { Machine } from '../kernel/machine.js';
import type { Choice } from '../kernel/sched/executor.js';
import type { Pause } from '../kernel/sched/flow.js';
import type { Execution } from '../vm/index.js';
import { threadName, threadOf } from './choice.js';
import { replaying } from './replay.js';
import { runOnce } from './run.js';
import type { Failure, Scenario, World } from './types.js';

export interface StoryLine {
  readonly cpu: number;
  readonly who: string;
  /** Where the step begins, e.g. what the flow paused before; `starts` for a thread's first. */
  readonly what: string;
  /** Place in the program that runs there, e.g. `rt_maps.bpf.c:41`, and the text of that line where it is known. */
  readonly source?: { readonly place: string; readonly text: string };
  /** How often it came in a row. */
  readonly times: number;
}

/** What a thread pauses at inside a program, where the line says it all. */
const IN_PROGRAM = 'between instructions of a program';
const ARRIVES = 'arrives';
const DUE = 'is due';
const STARTS = 'starts';

/** The steps of a schedule; arrivals and waits that follow upon themselves are one line. */
export function storyOf<W extends World>(
  scenario: Scenario<W>,
  failure: Pick<Failure, 'schedule'>,
): StoryLine[] {
  const lines: StoryLine[] = [];
  const runs = new Runs();
  const watched: Scenario<W> = {
    ...scenario,
    build() {
      const world = scenario.build();
      if (world.kernel !== undefined) runs.follow(world.kernel);
      return world;
    },
  };
  const watcher = {
    step(choice: Choice): boolean {
      const source = runs.sourceOf(choice);
      const line = {
        cpu: cpuOf(choice),
        who: threadName(choice),
        what: placeOf(choice),
        ...(source !== undefined && { source }),
        times: 1,
      };
      const last = lines.at(-1);
      if (last !== undefined && repeats(last, line))
        lines[lines.length - 1] = { ...last, times: last.times + 1 };
      else lines.push(line);
      return true;
    },
  };
  runOnce(watched, replaying(failure.schedule), { watcher });
  return lines;
}

/** Programs under way, by thread, the innermost last. */
class Runs {
  private readonly open = new Map<object, { readonly prog: BpfProg; readonly execution: Execution }[]>();
  private kernel: Machine | undefined;

  follow(kernel: Machine): void {
    this.kernel = kernel;
    kernel.onRun = (phase, prog, execution) => {
      const { here } = kernel.sched;
      const thread = here.top ?? here.current;
      const stack = this.open.get(thread) ?? [];
      this.open.set(thread, stack);
      if (phase === 'start') stack.push({ prog, execution });
      else stack.pop();
    };
  }

  /** Where the program is that a step goes on with. */
  sourceOf(choice: Choice): StoryLine['source'] | undefined {
    if (choice.kind === 'interrupt' || choice.kind === 'timer') return undefined;
    const run = this.open.get(threadOf(choice))?.at(-1);
    if (run === undefined) return undefined;
    const { program, insn: next } = run.execution.position;
    const pause = pauseOf(choice);
    // Inside a helper the call has been passed already.
    const between = pause?.kind === 'point' && pause.place === IN_PROGRAM;
    const insn = between ? next : Math.max(0, next - 1);
    // A tail call may have led to another one.
    const prog = this.kernel?.progs.find((other) => other.program === program) ?? run.prog;
    const place = sourcePlace(prog.lineInfo, insn);
    if (place === undefined) return undefined;
    const line = prog.lineInfo.findLast(({ insnOff }) => insnOff <= insn);
    return { place: place.slice(place.lastIndexOf('/') + 1), text: line?.text.trim() ?? '' };
  }
}

function repeats(last: StoryLine, next: StoryLine): boolean {
  if (next.what !== ARRIVES && next.what !== DUE && !next.what.startsWith('waited for ')) return false;
  return last.cpu === next.cpu && last.who === next.who && last.what === next.what;
}

function cpuOf(choice: Choice): number {
  return choice.kind === 'timer' ? choice.timer.cpu.id : choice.cpu.id;
}

function pauseOf(choice: Exclude<Choice, { kind: 'timer' | 'interrupt' }>): Pause | undefined {
  return choice.kind === 'switch' ? choice.task.pause : (choice.cpu.top ?? choice.cpu.current).pause;
}

function placeOf(choice: Choice): string {
  if (choice.kind === 'interrupt') return ARRIVES;
  if (choice.kind === 'timer') return DUE;
  if (choice.kind === 'timeout') return 'gives up waiting';
  const pause = pauseOf(choice);
  if (pause === undefined)
    return choice.kind === 'switch' || choice.cpu.top !== undefined ? STARTS : 'goes on';
  if (pause.kind === 'point') return pause.place;
  return pause.on === undefined ? 'goes on' : `waited for ${pause.on.name}`;
}

export interface StoryTextOptions {
  /** Characters of a line of text; default 100. */
  readonly width?: number;
  /** Every step, also of long stretches in which only one thread goes on. */
  readonly whole?: boolean;
}

const DEFAULT_WIDTH = 100;
const MIN_COLUMN = 24;
const GAP = 2;
/** Of a stretch of one thread, so many steps at each of its ends are shown where it is longer than both and one more. */
const ENDS = 4;

/** The story as text, the failure below it. */
export function storyText(
  lines: readonly StoryLine[],
  failure: Pick<Failure, 'message'>,
  { width = DEFAULT_WIDTH, whole = false }: StoryTextOptions = {},
): string {
  const cpus = [...new Set(lines.map(({ cpu }) => cpu))].sort((a, b) => a - b);
  const column = Math.max(MIN_COLUMN, Math.floor((width + GAP) / Math.max(1, cpus.length)));
  const row = (cpu: number, text: string): string => `${' '.repeat(column * cpus.indexOf(cpu))}${text}`;
  const out = [
    cpus
      .map((cpu) => `CPU ${cpu}`.padEnd(column))
      .join('')
      .trimEnd(),
  ];
  for (const stretch of stretchesOf(lines)) {
    for (const text of stretchTexts(stretch, whole)) {
      for (const part of wrapped(text, column - GAP)) out.push(row(stretch[0]!.cpu, part));
    }
  }
  return [...out, '', ...failure.message.split('; ').flatMap((part) => wrapped(part, width))].join('\n');
}

/** Steps of one thread in a row. */
function stretchesOf(lines: readonly StoryLine[]): StoryLine[][] {
  const stretches: StoryLine[][] = [];
  for (const line of lines) {
    const last = stretches.at(-1);
    if (last !== undefined && last[0]!.who === line.who && last[0]!.cpu === line.cpu) last.push(line);
    else stretches.push([line]);
  }
  return stretches;
}

function stretchTexts(stretch: readonly StoryLine[], whole: boolean): string[] {
  const steps = stepTexts(stretch);
  const long = !whole && steps.length > 2 * ENDS + 1;
  const shown = long
    ? [...steps.slice(0, ENDS), `… ${steps.length - 2 * ENDS} more lines`, ...steps.slice(-ENDS)]
    : steps;
  const { who } = stretch[0]!;
  if (shown.length === 1) return [`${who}: ${shown[0]!}`];
  return [`${who}:`, ...shown.map((text) => `  ${text}`)];
}

/** A line for each source line that a program comes to, and for what the kernel does there. */
function stepTexts(stretch: readonly StoryLine[]): string[] {
  const texts: string[] = [];
  let at = '';
  let before = '';
  for (const { what, source, times } of stretch) {
    const begins = before === ARRIVES && what === STARTS;
    before = what;
    if (begins) continue;
    const place = source?.place ?? '';
    if (source !== undefined && place !== at) texts.push(`${place}  ${source.text}`.trimEnd());
    at = place;
    if (what === IN_PROGRAM) continue;
    texts.push(`${source === undefined ? '' : '  '}${what}${times > 1 ? ` (${times} times)` : ''}`);
  }
  return texts;
}

/** Lines of at most so many characters, broken at spaces; those that follow are set further in. */
function wrapped(text: string, width: number): string[] {
  const indent = ' '.repeat(Math.min(text.length - text.trimStart().length + 4, width >> 1));
  const out: string[] = [];
  let rest = text;
  while (rest.length > width) {
    const space = rest.lastIndexOf(' ', width);
    const end = space > indent.length ? space : width;
    out.push(rest.slice(0, end).trimEnd());
    rest = indent + rest.slice(end).trimStart();
  }
  return [...out, rest];
}
