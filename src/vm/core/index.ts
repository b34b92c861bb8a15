/** What the host may call. */

export { begin, beginLoop, push } from './calls';
export { run, runChecked, step, stepChecked } from './loop';
