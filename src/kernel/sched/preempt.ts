/** The fields of `preempt_count` and what they tell of a context. Models include/linux/preempt.h (6.1 and 6.18). */

export const PREEMPT_OFFSET = 0x1;
/** Serving a softirq; disabling them counts twice as much. */
export const SOFTIRQ_OFFSET = 0x100;
export const SOFTIRQ_DISABLE_OFFSET = 0x200;
export const SOFTIRQ_MASK = 0xff00;
export const HARDIRQ_OFFSET = 0x10000;
export const HARDIRQ_MASK = 0xf0000;
export const NMI_OFFSET = 0x100000;
export const NMI_MASK = 0xf00000;
/** Anything but a task with BH enabled. */
export const ANY_CONTEXT = NMI_MASK | HARDIRQ_MASK | SOFTIRQ_MASK;

/** What the predicates look at: a CPU, and the softirq count, which RT keeps in the task. */
export interface PreemptState {
  preemptCount: number;
  irqsDisabled: boolean;
  readonly softirqCount: number;
}

export const inNmi = (s: PreemptState): boolean => (s.preemptCount & NMI_MASK) !== 0;
export const inHardirq = (s: PreemptState): boolean => (s.preemptCount & HARDIRQ_MASK) !== 0;
export const inServingSoftirq = (s: PreemptState): boolean => (s.softirqCount & SOFTIRQ_OFFSET) !== 0;
/** Also where softirqs are merely disabled. */
export const inSoftirq = (s: PreemptState): boolean => s.softirqCount !== 0;
export const inInterrupt = (s: PreemptState): boolean =>
  (s.preemptCount & (NMI_MASK | HARDIRQ_MASK)) !== 0 || s.softirqCount !== 0;
export const inTask = (s: PreemptState): boolean =>
  (s.preemptCount & (NMI_MASK | HARDIRQ_MASK)) === 0 && (s.softirqCount & SOFTIRQ_OFFSET) === 0;
export const inAtomic = (s: PreemptState): boolean => s.preemptCount !== 0;
export const preemptible = (s: PreemptState): boolean => s.preemptCount === 0 && !s.irqsDisabled;
