/**
 * Partial-order reduction by sleep sets (Godefroid, LNCS 1032): a thread whose next step has been tried at a node stays
 * asleep below its siblings for as long as only steps independent of that one are taken; a run in which only sleepers
 * could go on repeats another one.
 *
 * Objects are new in each run of a scenario, so footprints name them by the order of their first use in the run,
 * which is the same along a common prefix; an object first used below a node is known to one run only and makes no
 * difference there.
 */
import type { Choice } from '../kernel/sched/executor.js';
import { threadName } from './choice.js';
import { addTouch, type Footprint, independent } from './footprint.js';

/** The part of a run that the reduction follows. */
export class SleepTracker {
  /** Threads asleep now, each with what its next step uses. */
  private asleep = new Map<string, Footprint>();
  private names = new Map<object, string>();
  private thread = '';
  private footprint: Footprint = new Map();
  /** Told of each finished step. */
  private onStepDone: ((footprint: Footprint) => void) | undefined;

  /** A new run begins with nobody asleep. */
  reset(): void {
    this.asleep = new Map();
    this.names = new Map();
    this.thread = '';
    this.footprint = new Map();
    this.onStepDone = undefined;
  }

  /** Sleepers at a node: replaces what is known. */
  restore(sleepers: Iterable<readonly [string, Footprint]>): void {
    this.asleep = new Map(sleepers);
  }

  /** The sleepers as of now, the step before being over. */
  snapshot(): Map<string, Footprint> {
    this.finish();
    return new Map(this.asleep);
  }

  isAsleep(choice: Choice): boolean {
    return this.asleep.has(threadName(choice));
  }

  /** Hands the footprint of the next step to whoever wants it, once it is over. */
  expect(onStepDone: (footprint: Footprint) => void): void {
    this.onStepDone = onStepDone;
  }

  /** A step begins; false when its thread sleeps and the run repeats another. */
  begin(choice: Choice): boolean {
    this.finish();
    if (this.isAsleep(choice)) return false;
    this.thread = threadName(choice);
    this.footprint = new Map();
    if (choice.kind !== 'timer') addTouch(this.footprint, `cpu ${choice.cpu.id}`, true);
    if (choice.kind === 'switch') addTouch(this.footprint, `cpu ${choice.task.cpu}`, true);
    return true;
  }

  touch(object: object | string, write: boolean): void {
    addTouch(this.footprint, typeof object === 'string' ? object : this.nameOf(object), write);
  }

  /** The step under way is over: whoever depends on it wakes up. */
  finish(): void {
    if (this.thread === '') return;
    for (const [thread, footprint] of this.asleep) {
      if (thread === this.thread || !independent(footprint, this.footprint)) this.asleep.delete(thread);
    }
    this.onStepDone?.(this.footprint);
    this.onStepDone = undefined;
    this.thread = '';
  }

  private nameOf(object: object): string {
    let name = this.names.get(object);
    if (name === undefined) {
      name = `object ${this.names.size}`;
      this.names.set(object, name);
    }
    return name;
  }
}
