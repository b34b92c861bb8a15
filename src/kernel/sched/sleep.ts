/** Leaving the CPU: what a task does to sleep, and what Linux checks when it does (`__schedule`, kernel/sched/core.c). */
import { schedulingWhileAtomic } from './debug.js';
import type { Flow, Waitable } from './flow.js';
import type { Sched } from './sched.js';

/**
 * schedule(): the task leaves its CPU; it comes back at once unless its state says that it sleeps. In interrupts, where
 * no task can leave, the CPU waits for the wake-up after the complaint.
 */
export function* schedule(sched: Sched, on: Waitable): Flow<void> {
  const { here } = sched;
  const task = here.current;
  if (here.preemptCount !== 0) schedulingWhileAtomic(sched);
  task.sleepsOn = on;
  if (here.interrupts.length > 0) yield { kind: 'spin', until: () => task.state === 'running', on };
  else yield { kind: 'schedule', on };
  task.sleepsOn = undefined;
}

/** Sleeps until the condition holds; whoever makes it hold has to wake the task. */
export function* sleepUntil(sched: Sched, on: Waitable, holds: () => boolean): Flow<void> {
  const task = sched.current;
  // What it waits for, whoever wakes it has changed.
  sched.touch(task, true);
  while (!holds()) {
    task.state = 'sleeping';
    yield* schedule(sched, on);
  }
  task.state = 'running';
}
