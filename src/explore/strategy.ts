/** What a search strategy is: it prepares one run after another and decides in each. */
import type { Decide, Outcome, Watcher } from './run.js';

export interface Strategy {
  readonly name: string;
  /** Seed of the run that `next` has prepared. */
  readonly seed: number;
  /** Every schedule in its reach has been run. */
  readonly exhausted: boolean;
  readonly note?: string;
  readonly watcher?: Watcher;
  /** Decides in the next run; undefined when there is none. */
  next(): Decide | undefined;
  /** How that run went; false for one that belongs to another part of a search that is spread. */
  learn(outcome: Outcome): boolean | undefined;
}

/** A stream of numbers from a seed (xorshift32 after murmur3's finaliser): `below(n)` gives one of 0 to n-1. */
export class Dice {
  private state: number;

  constructor(seed: number) {
    // Neighbouring seeds must not give neighbouring streams.
    let x = (seed | 0) + 0x6d2b79f5;
    x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
    x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
    this.state = x ^ (x >>> 16) || 1;
  }

  below(n: number): number {
    let x = this.state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.state = x;
    return (x >>> 0) % n;
  }
}
