/**
 * Every schedule, depth first: the first run always goes on with whoever ran last, and each further one differs from the
 * one before at the deepest decision that has something left to try. With a preemption bound (Musuvathi, Qadeer: PLDI
 * 2007), only schedules with so many preemptions; without one, steps that touch different things are not
 * tried in both orders where the scenario reports what its steps touch (`sleep-sets.ts`).
 */
import type { Choice } from '../kernel/sched/executor.js';
import { threadName } from './choice.js';
import type { Footprint } from './footprint.js';
import type { Decide, Outcome } from './run.js';
import { SleepTracker } from './sleep-sets.js';
import type { Strategy } from './strategy.js';

export interface ExhaustiveOptions {
  /** Most decisions that take the CPU from somebody who could have gone on; default unlimited. */
  readonly preemptions?: number;
  /** Leave out schedules that differ only in the order of independent steps; only sound for scenarios with footprints. */
  readonly reduce?: boolean;
  /** A part of the search: of the beginnings of `SPLIT_DEPTH` decisions every `count`-th, from the `index`-th, from 0. */
  readonly part?: { readonly index: number; readonly count: number };
}

/** Decisions after which a search that is spread falls into parts. */
const SPLIT_DEPTH = 6;

/** A decision on the current path. */
interface Node {
  readonly count: number;
  readonly same: number;
  /** Preemptions on the way to it. */
  readonly preemptions: number;
  taken: number;
  /** Choices that need not be tried any more. */
  readonly tried: Set<number>;
  /** With reduction: whose choice is which, who slept on arrival, and who has been tried since. */
  readonly threads: readonly string[];
  readonly sleepers: ReadonlyMap<string, Footprint>;
  readonly done: Map<string, Footprint>;
}

export function exhaustive(options: ExhaustiveOptions = {}): Strategy {
  const { preemptions = Number.POSITIVE_INFINITY, reduce = false, part = { index: 0, count: 1 } } = options;
  return new DepthFirst(preemptions, reduce, part);
}

class DepthFirst implements Strategy {
  readonly name: string;
  readonly seed = 0;
  exhausted = false;
  readonly watcher;
  private readonly path: Node[] = [];
  private readonly sleep: SleepTracker | undefined;
  private started = false;
  /** Beginnings so far, and whether the last one is another part's. */
  private beginnings = 0;
  private elsewhere = false;

  constructor(
    private readonly bound: number,
    reduce: boolean,
    private readonly part: { readonly index: number; readonly count: number },
  ) {
    const unbounded = bound === Number.POSITIVE_INFINITY;
    this.sleep = reduce && unbounded ? new SleepTracker() : undefined;
    const { sleep } = this;
    this.name = unbounded ? 'exhaustive' : `exhaustive, at most ${bound} preemptions`;
    if (sleep !== undefined) this.name += ', independent steps in one order';
    this.watcher =
      sleep === undefined
        ? undefined
        : {
            step: (choice: Choice) => sleep.begin(choice),
            touch: (object: object | string, write: boolean) => sleep.touch(object, write),
          };
  }

  next(): Decide | undefined {
    if (this.started && !this.advance()) {
      this.exhausted = true;
      return undefined;
    }
    this.started = true;
    this.sleep?.reset();
    return (choices, same, at) => (at < this.path.length ? this.replay(at) : this.extend(choices, same, at));
  }

  learn({ decisions, abandoned }: Outcome): boolean {
    this.sleep?.finish();
    // A run that ends before its beginning is complete is a beginning of its own.
    if (!abandoned && decisions.length <= SPLIT_DEPTH) this.begin();
    return !this.elsewhere;
  }

  /** One more beginning: whether it is this part's. */
  private begin(): boolean {
    this.elsewhere = this.beginnings++ % this.part.count !== this.part.index;
    return !this.elsewhere;
  }

  private replay(at: number): number {
    const node = this.path[at]!;
    if (this.sleep !== undefined) {
      this.sleep.finish();
      const { threads, taken, sleepers, done } = node;
      const own = threads[taken];
      this.sleep.restore([...sleepers, ...done].filter(([thread]) => thread !== own));
      this.watchStep(node);
    }
    return node.taken;
  }

  private extend(choices: readonly Choice[], same: number, at: number): number {
    if (at < SPLIT_DEPTH) this.elsewhere = false;
    else if (at === SPLIT_DEPTH && !this.begin()) return -1;
    const before = this.path[at - 1];
    const preemptions = before === undefined ? 0 : before.preemptions + cost(before, before.taken);
    const node: Node = {
      count: choices.length,
      same,
      preemptions,
      taken: -1,
      tried: new Set(),
      threads: this.sleep === undefined ? [] : choices.map(threadName),
      sleepers: this.sleep?.snapshot() ?? new Map(),
      done: new Map(),
    };
    for (const [i, thread] of node.threads.entries()) if (node.sleepers.has(thread)) node.tried.add(i);
    const taken = this.untried(node);
    if (taken < 0) return -1;
    node.taken = taken;
    node.tried.add(taken);
    this.path.push(node);
    this.watchStep(node);
    return taken;
  }

  /** Remembers what the step that a node leads to has used. */
  private watchStep(node: Node): void {
    const thread = node.threads[node.taken];
    if (thread !== undefined) this.sleep?.expect((footprint) => node.done.set(thread, footprint));
  }

  /** Turns the deepest node that has something left to it; false when none has. */
  private advance(): boolean {
    for (;;) {
      const node = this.path.at(-1);
      if (node === undefined) return false;
      const taken = this.untried(node);
      if (taken >= 0) {
        node.taken = taken;
        node.tried.add(taken);
        return true;
      }
      this.path.pop();
    }
  }

  /** A choice that is left, whoever ran last first; -1 for none. */
  private untried(node: Node): number {
    const { count, same, tried } = node;
    if (same >= 0 && !tried.has(same)) return same;
    for (let i = 0; i < count; i++) {
      if (!tried.has(i) && node.preemptions + cost(node, i) <= this.bound) return i;
    }
    return -1;
  }
}

function cost(node: Node, taken: number): number {
  return node.same >= 0 && taken !== node.same ? 1 : 0;
}
