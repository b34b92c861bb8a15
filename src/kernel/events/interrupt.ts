/**
 * Being in an interrupt, as far as `preempt_count` and the interrupt flag tell: what entry and exit of an NMI, of a hard
 * interrupt, and of a timer that expires in one, count. Models include/linux/hardirq.h.
 */
import type { PendingInterrupt } from '../sched/cpu.js';
import type { Flow } from '../sched/flow.js';
import { HARDIRQ_OFFSET, NMI_OFFSET, SOFTIRQ_OFFSET } from '../sched/preempt.js';
import type { Sched } from '../sched/sched.js';

/** An interrupt that runs `body` with interrupts off. */
export function interrupt(
  sched: Sched,
  kind: 'hardirq' | 'nmi',
  name: string,
  body: () => Flow<void>,
): PendingInterrupt {
  const offset = kind === 'nmi' ? NMI_OFFSET + HARDIRQ_OFFSET : HARDIRQ_OFFSET;
  return {
    kind,
    name,
    flow: function* () {
      const irqs = sched.irqSave(name);
      sched.countAdd(offset, name);
      sched.charge(sched.costs.interrupt);
      yield* body();
      sched.countSub(offset);
      sched.irqRestore(irqs);
    },
  };
}

/**
 * Serving a softirq. Not RT: on top of whatever runs, which cannot be preempted. RT: in a thread, which is pinned and
 * stays preemptible; its count of softirqs is its own.
 */
export function* inSoftirq<T>(sched: Sched, name: string, body: () => Flow<T>): Flow<T> {
  beginSoftirq(sched, name);
  const result = yield* body();
  endSoftirq(sched);
  yield* sched.resched();
  return result;
}

/** The same in two halves, for a body that has no pause. */
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
