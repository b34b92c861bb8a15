/**
 * Entry and exit of interrupts: what they do to `preempt_count` and to the interrupt flag, and what happens when they end.
 * Models include/linux/hardirq.h and `irq_enter`/`irq_exit` (kernel/softirq.c).
 */
import { SimulationError } from '../errors.js';
import type { Flow } from '../sched/flow.js';
import { HARDIRQ_OFFSET, inHardirq, NMI_MASK, NMI_OFFSET } from '../sched/preempt.js';
import type { Sched } from '../sched/sched.js';
import type { Softirqs } from './softirq.js';

/** A hardware interrupt from entry to exit. `threaded`: softirqs are left to ksoftirqd, as with threaded interrupts. */
export function* hardirq(
  sched: Sched,
  softirqs: Softirqs,
  name: string,
  body: () => Flow<unknown>,
  threaded = false,
): Flow<void> {
  sched.irqSave(name);
  sched.countAdd(HARDIRQ_OFFSET, name);
  sched.charge(sched.costs.interrupt);
  sched.note({ kind: 'irq', phase: 'entry', context: 'hardirq', name });
  try {
    yield* body();
    sched.note({ kind: 'irq', phase: 'exit', context: 'hardirq', name });
    sched.countSub(HARDIRQ_OFFSET);
    if (sched.here.softirqPending !== 0) yield* softirqs.atIrqExit(threaded);
  } catch (error) {
    // A program's fault ends the interrupt, not the kernel.
    if (inHardirq(sched.here)) sched.countSub(HARDIRQ_OFFSET);
    throw error;
  } finally {
    sched.irqReturn();
  }
}

/**
 * A non-maskable interrupt from entry to exit, or an exception that counts as one, on top of whatever runs. They nest 15
 * deep.
 * @throws SimulationError `SIM_PANIC` beyond that, as the kernel's BUG in an interrupt ends it.
 */
export function* nmi<T>(sched: Sched, name: string, body: () => Flow<T>): Flow<T> {
  const { here } = sched;
  if ((here.preemptCount & NMI_MASK) === NMI_MASK) {
    sched.console.splat('bug', [
      'kernel BUG at include/linux/hardirq.h:111!',
      'BUG_ON(in_nmi() == NMI_MASK)',
    ]);
    throw new SimulationError('SIM_PANIC', 'kernel BUG: NMIs nested more than 15 deep');
  }
  const irqsDisabled = here.irqsDisabled;
  // Neither the flag nor the count is seen by the latency tracers here.
  here.irqsDisabled = true;
  here.preemptCount += NMI_OFFSET + HARDIRQ_OFFSET;
  sched.charge(sched.costs.interrupt);
  sched.note({ kind: 'irq', phase: 'entry', context: 'nmi', name });
  try {
    return yield* body();
  } finally {
    sched.note({ kind: 'irq', phase: 'exit', context: 'nmi', name });
    here.preemptCount -= NMI_OFFSET + HARDIRQ_OFFSET;
    here.irqsDisabled = irqsDisabled;
  }
}
