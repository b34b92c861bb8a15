/**
 * Whether overlapping operations have an order that explains their results: one that keeps what ended before something else
 * began before it, and that a sequential model could have answered so. The search of Wing and Gong (1993) with Lowe's memory
 * of configurations that lead nowhere (2017).
 */
import type { MapOp } from './history.js';
import type { MapModel } from './map-models.js';

/** Configurations looked at before the search gives up. */
const BUDGET = 200_000;

/** The first operations that are all done, those done beyond them, and the state that they have come to. */
interface Configuration {
  readonly prefix: number;
  readonly beyond: readonly number[];
  readonly state: string;
}

/** `undecided`: the search was given up. Operations without an end may have happened or not. */
export function linearizable(ops: readonly MapOp[], model: MapModel): 'yes' | 'no' | 'undecided' {
  const sorted = [...ops].sort((a, b) => a.begin - b.begin);
  const seen = new Set<string>();
  const stack: Configuration[] = [{ prefix: 0, beyond: [], state: model.initial }];
  for (let left = BUDGET; left > 0; left--) {
    const configuration = stack.pop();
    if (configuration === undefined) return 'no';
    if (isDone(sorted, configuration)) return 'yes';
    for (const next of successors(sorted, model, configuration)) {
      const key = `${next.prefix} ${next.beyond.join(',')} ${next.state}`;
      if (seen.has(key)) continue;
      seen.add(key);
      stack.push(next);
    }
  }
  return 'undecided';
}

function isDone(ops: readonly MapOp[], { prefix, beyond }: Configuration): boolean {
  for (let i = prefix; i < ops.length; i++) {
    if (ops[i]!.end !== Number.POSITIVE_INFINITY && !beyond.includes(i)) return false;
  }
  return true;
}

/** Configurations after one operation more: any that began before all that are left have ended. */
function successors(ops: readonly MapOp[], model: MapModel, from: Configuration): Configuration[] {
  const { prefix, beyond, state } = from;
  const found: Configuration[] = [];
  let firstEnd = Number.POSITIVE_INFINITY;
  for (let i = prefix; i < ops.length && ops[i]!.begin < firstEnd; i++) {
    if (beyond.includes(i)) continue;
    const op = ops[i]!;
    firstEnd = Math.min(firstEnd, op.end);
    const next = model.step(state, op);
    if (next !== undefined) found.push(withDone(prefix, beyond, i, next));
  }
  return found;
}

function withDone(prefix: number, beyond: readonly number[], done: number, state: string): Configuration {
  const rest = [...beyond, done].sort((a, b) => a - b);
  let first = prefix;
  while (rest[0] === first) {
    rest.shift();
    first++;
  }
  return { prefix: first, beyond: rest, state };
}
