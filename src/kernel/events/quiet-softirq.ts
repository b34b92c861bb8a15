/**
 * Serving a softirq where nothing interleaves and nothing is probed, without the way through an interrupt. Not RT: on top
 * of whatever runs, which cannot be preempted. RT: in a thread, which is pinned and stays preemptible; its count of softirqs
 * is its own. The way through an interrupt is `src/kernel/irq/softirq.ts`.
 */
import { SOFTIRQ_OFFSET } from '../sched/preempt.js';
import type { Sched } from '../sched/sched.js';

export function beginSoftirq(sched: Sched, name: string): void {
  if (!sched.rt) {
    sched.countAdd(SOFTIRQ_OFFSET, name);
    return;
  }
  const task = sched.current;
  if (task.softirqDisableCount === 0) {
    sched.migrateDisable(name);
    task.rcuDepth++;
  }
  task.softirqDisableCount += SOFTIRQ_OFFSET;
}

export function endSoftirq(sched: Sched): void {
  if (!sched.rt) {
    sched.countSub(SOFTIRQ_OFFSET);
    return;
  }
  const task = sched.current;
  task.softirqDisableCount -= SOFTIRQ_OFFSET;
  if (task.softirqDisableCount > 0) return;
  task.rcuDepth--;
  sched.migrateEnable();
}
