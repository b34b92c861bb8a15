/** A schedule as a story: a column for each CPU, a line for each step, each step by whose it is and where it goes on. */
import type { Choice } from '../kernel/sched/executor.js';
import { threadName } from './choice.js';
import { replaying } from './replay.js';
import { runOnce } from './run.js';
import type { Failure, Scenario, World } from './types.js';

export interface StoryLine {
  readonly cpu: number;
  readonly who: string;
  /** Where the step begins, e.g. what the flow paused before; `starts` for a thread's first. */
  readonly what: string;
}

const STARTS = 'starts';
/** Characters a column. */
const COLUMN = 44;

/** The steps of a failing schedule, neighbouring ones of one thread at one place left out. */
export function storyOf<W extends World>(scenario: Scenario<W>, failure: Failure): StoryLine[] {
  const lines: StoryLine[] = [];
  const watcher = {
    step(choice: Choice): boolean {
      lines.push({ cpu: cpuOf(choice), who: threadName(choice), what: placeOf(choice) });
      return true;
    },
  };
  runOnce(scenario, replaying(failure.schedule), { watcher });
  return lines;
}

/** The story as text, the failure below it. */
export function storyText(lines: readonly StoryLine[], failure: Pick<Failure, 'message'>): string {
  const cpus = [...new Set(lines.map(({ cpu }) => cpu))].sort((a, b) => a - b);
  const row = (texts: readonly string[]): string =>
    texts
      .map((text) => text.padEnd(COLUMN))
      .join('')
      .trimEnd();
  const out = [row(cpus.map((cpu) => `CPU ${cpu}`))];
  let last = '';
  for (const { cpu, who, what } of lines) {
    const text = who === last ? `  ${what}` : `${who}: ${what}`;
    last = who;
    out.push(row(cpus.map((column) => (column === cpu ? text.slice(0, COLUMN - 2) : ''))));
  }
  return [...out, '', failure.message].join('\n');
}

function cpuOf(choice: Choice): number {
  return choice.kind === 'timer' ? choice.timer.cpu.id : choice.cpu.id;
}

function placeOf(choice: Choice): string {
  if (choice.kind === 'interrupt' || choice.kind === 'timer') return 'arrives';
  if (choice.kind === 'timeout') return 'gives up waiting';
  const pause = choice.kind === 'switch' ? choice.task.pause : (choice.cpu.top ?? choice.cpu.current).pause;
  if (pause === undefined) return choice.kind === 'switch' ? STARTS : 'goes on';
  if (pause.kind === 'point') return pause.place;
  return pause.on === undefined ? 'goes on' : `waited for ${pause.on.name}`;
}
