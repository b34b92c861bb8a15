/** A random walk: each decision is a throw of the dice. */
import { Dice, type Strategy } from './strategy.js';

export function randomWalk(seed = 1): Strategy {
  let at = seed - 1;
  return {
    name: 'random',
    exhausted: false,
    get seed() {
      return at;
    },
    next() {
      const dice = new Dice(++at);
      return (choices) => dice.below(choices.length);
    },
    learn() {},
  };
}
