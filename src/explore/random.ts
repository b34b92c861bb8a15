/** A random walk: each decision is a throw of the dice. */
import { Dice, type Strategy } from './strategy.js';

/** Runs have the seeds `seed`, `seed + stride`, … */
export function randomWalk(seed = 1, stride = 1): Strategy {
  let at = seed - stride;
  return {
    name: 'random',
    exhausted: false,
    get seed() {
      return at;
    },
    next() {
      at += stride;
      const dice = new Dice(at);
      return (choices) => dice.below(choices.length);
    },
    learn: () => undefined,
  };
}
