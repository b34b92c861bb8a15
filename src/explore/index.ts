/** The schedule explorer: scenarios, strategies, replay, minimisation. */
export { choiceLabel } from './choice.js';
export { ExploreError } from './errors.js';
export { type ExhaustiveOptions, exhaustive } from './exhaustive.js';
export { type ExploreOptions, explore, replay } from './explore.js';
export { type Minimised, type MinimiseOptions, minimise } from './minimise.js';
export { type PctOptions, pct } from './pct.js';
export { randomWalk } from './random.js';
export { parseSchedule } from './replay.js';
export { type StoryLine, storyOf, storyText } from './story.js';
export type { Strategy } from './strategy.js';
export type {
  ExploreReport,
  Failure,
  FailureKind,
  Limits,
  Scenario,
  Schedule,
  World,
} from './types.js';
