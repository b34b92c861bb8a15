/**
 * Probabilistic concurrency testing (Burckhardt, Kothari, Musuvathi, Nagarakatte: ASPLOS 2010): threads have random
 * priorities, the most urgent one that can run does, and at d-1 random steps the running one falls behind all others. A
 * bug of depth d shows with a probability of at least 1/(n·k^(d-1)) a run, for n threads and k steps.
 */
import type { Choice } from '../kernel/sched/executor.js';
import { threadOf } from './choice.js';
import type { Outcome } from './run.js';
import { Dice, type Strategy } from './strategy.js';

export interface PctOptions {
  /** Runs have the seeds `seed`, `seed + stride`, …; both 1 unless given. */
  readonly seed?: number;
  readonly stride?: number;
  /** Depth of the bugs to find: ordering constraints that are needed; default 3. */
  readonly depth?: number;
}

export function pct({ seed = 1, stride = 1, depth = 3 }: PctOptions = {}): Strategy {
  let at = seed - stride;
  /** Decisions of the longest run so far: where changes of priority can fall. */
  let steps = 1;
  let threads = 1;
  /** Most ways in which a run placed its tasks on CPUs, which the bound knows nothing of; and those of the run under way. */
  let placements = 1;
  let placed = 1;
  let seen = new Map<object, number>();
  return {
    name: `pct depth ${depth}`,
    exhausted: false,
    get seed() {
      return at;
    },
    get note() {
      const bound = 1 / (threads * steps ** (depth - 1) * placements);
      const percent = (bound * 100).toPrecision(2);
      const where = placements === 1 ? '' : `, ${placements} placements`;
      return `a bug of depth ${depth} shows with at least ${percent} % a run (n = ${threads}, k = ${steps}${where})`;
    },
    next() {
      at += stride;
      const dice = new Dice(at);
      seen = new Map();
      placed = 1;
      const priorities = seen;
      const changes = new Map<number, number>();
      for (let i = 1; i < depth; i++) changes.set(dice.below(steps), -i);
      return (choices, _same, decision) => {
        for (const choice of choices) {
          const thread = threadOf(choice);
          if (!priorities.has(thread)) priorities.set(thread, 1 + dice.below(1 << 30));
        }
        const change = changes.get(decision);
        // Whoever is about to take this step falls behind.
        if (change !== undefined) priorities.set(threadOf(choices[mostUrgent(choices, priorities)]!), change);
        const thread = threadOf(choices[mostUrgent(choices, priorities)]!);
        // A task may be taken up by one of several CPUs.
        const own = [...choices.keys()].filter((i) => threadOf(choices[i]!) === thread);
        placed *= own.length;
        return own[own.length === 1 ? 0 : dice.below(own.length)]!;
      };
    },
    learn({ decisions }: Outcome) {
      steps = Math.max(steps, decisions.length);
      threads = Math.max(threads, seen.size);
      placements = Math.max(placements, placed);
      return undefined;
    },
  };
}

function mostUrgent(choices: readonly Choice[], priorities: ReadonlyMap<object, number>): number {
  let best = 0;
  for (let i = 1; i < choices.length; i++) {
    if (priorities.get(threadOf(choices[i]!))! > priorities.get(threadOf(choices[best]!))!) best = i;
  }
  return best;
}
