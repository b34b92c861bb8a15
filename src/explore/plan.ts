/**
 * A schedule as what is unusual about it: the places where a thread that could have gone on gave way, each by the thread, how
 * far it had come, and who went on instead. Unlike a list of all choices it still means something when a part is left out.
 */
import { choiceLabel, threadName } from './choice.js';
import { type Decide, type Outcome, runOnce } from './run.js';
import type { Scenario, World } from './types.js';

/** Where a decision was taken: whose step came before, and how many that thread had taken. */
interface Place {
  readonly thread: string;
  readonly step: number;
}

export interface Preemption extends Place {
  /** The choice taken, by its label. */
  readonly next: string;
}

export interface Plan {
  readonly preemptions: readonly Preemption[];
  /** Who went on where the thread could not, by place. */
  readonly forced: ReadonlyMap<string, string>;
}

/** Follows where a run is: the thread that took the last step, and the steps of each. */
class Progress {
  private last = '';
  private readonly steps = new Map<string, number>();

  readonly watcher = {
    step: (choice: Parameters<typeof threadName>[0]): boolean => {
      this.last = threadName(choice);
      this.steps.set(this.last, (this.steps.get(this.last) ?? 0) + 1);
      return true;
    },
  };

  get place(): Place {
    return { thread: this.last, step: this.steps.get(this.last) ?? 0 };
  }
}

const keyOf = ({ thread, step }: Place): string => `${step} ${thread}`;

/** What a run under given decisions does that is unusual. */
export function planOf<W extends World>(
  scenario: Scenario<W>,
  decide: Decide,
  options: { readonly depth?: number },
): Plan {
  const progress = new Progress();
  const preemptions: Preemption[] = [];
  const forced = new Map<string, string>();
  const noting: Decide = (choices, same, at) => {
    const taken = decide(choices, same, at);
    const next = choiceLabel(choices[taken]!);
    if (same < 0) forced.set(keyOf(progress.place), next);
    else if (taken !== same) preemptions.push({ ...progress.place, next });
    return taken;
  };
  runOnce(scenario, noting, { ...options, watcher: progress.watcher });
  return { preemptions, forced };
}

/** Runs a scenario with these preemptions and no others; what no longer can happen is left out. */
export function runPlan<W extends World>(
  scenario: Scenario<W>,
  { preemptions, forced }: Plan,
  options: { readonly depth?: number },
): Outcome {
  const progress = new Progress();
  const wanted = new Map(preemptions.map((each) => [keyOf(each), each.next]));
  const decide: Decide = (choices, same) => {
    const key = keyOf(progress.place);
    const next = same < 0 ? forced.get(key) : wanted.get(key);
    const found = next === undefined ? -1 : choices.findIndex((choice) => choiceLabel(choice) === next);
    return found >= 0 ? found : Math.max(same, 0);
  };
  return runOnce(scenario, decide, { ...options, record: true, watcher: progress.watcher });
}
