/** Seeded random numbers (xorshift128+ in 32-bit halves would be overkill: mulberry32). */
export class Rng {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 0;
  }

  #next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return (t ^ (t >>> 14)) >>> 0;
  }

  /** Both ends belong to it. */
  range(min: number, max: number): number {
    return min + (this.#next() % (max - min + 1));
  }

  chance(probability: number): boolean {
    return this.#next() / 0x100000000 < probability;
  }

  int32(): number {
    return this.#next() | 0;
  }

  pick<T>(from: readonly T[]): T {
    return from[this.#next() % from.length]!;
  }
}
