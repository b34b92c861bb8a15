/** Changing where a task may run, as the system call does: it returns when the mask holds (kernel/sched/core.c). */
import { mightSleep } from './debug.js';
import type { Flow } from './flow.js';
import { type Sched, waitable } from './sched.js';
import { sleepUntil } from './sleep.js';
import type { Task } from './task.js';

/**
 * set_cpus_allowed_ptr: waits while the task is pinned, and until it is on a CPU that it may be on.
 * @throws SyscallError EINVAL for a mask with no CPU of this machine.
 */
export function* setAffinityFlow(sched: Sched, task: Task, cpus: readonly number[]): Flow<void> {
  mightSleep(sched, 'kernel/sched/completion.c:101');
  if (!sched.setAffinity(task, cpus)) {
    const pinned = waitable(`the affinity of ${task.label}`, () => task.label);
    const holds = (): boolean => task.pendingAffinity === undefined;
    // One that waits for itself would wait for ever; Linux lets the mask follow when it is no longer pinned.
    if (task === sched.current) return;
    task.affinityWaiters.push(sched.current);
    yield* sleepUntil(sched, pinned, holds);
  }
  yield* sched.resched();
}
