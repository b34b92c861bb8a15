/** What the host may call. */

export { push, shadowCurrentFrame } from './calls';
export { run, runChecked, step, stepChecked } from './loop';
