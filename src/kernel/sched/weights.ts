/**
 * Weights of fair tasks by nice value, and the times by which the fair class decides. Weights: `sched_prio_to_weight`
 * (kernel/sched/core.c); times: those of CFS on one CPU, unscaled (kernel/sched/fair.c before 6.6), for every profile.
 */

/** For nice -20 to 19; one step is about 10 % of CPU time. */
const PRIO_TO_WEIGHT: readonly number[] = [
  88761, 71755, 56483, 46273, 36291, 29154, 23254, 18705, 14949, 11916, 9548, 7620, 6100, 4904, 3906, 3121,
  2501, 1991, 1586, 1277, 1024, 820, 655, 526, 423, 335, 272, 215, 172, 137, 110, 87, 70, 56, 45, 36, 29, 23,
  18, 15,
];

export const NICE_0_WEIGHT = 1024;
/** Of SCHED_IDLE. */
export const IDLE_WEIGHT = 3;
/** Every runnable task of a CPU gets its turn within so long (sysctl_sched_latency). */
export const SCHED_LATENCY_NS = 6_000_000;
/** The shortest turn (sysctl_sched_min_granularity). */
export const MIN_GRANULARITY_NS = 750_000;
/** How far a woken task has to be behind to preempt (sysctl_sched_wakeup_granularity). */
export const WAKEUP_GRANULARITY_NS = 1_000_000;
/** Turn of an `rr` task, in ticks of 4 ms: 100 ms (RR_TIMESLICE). */
export const RR_TIMESLICE_TICKS = 25;

export function weightOf(nice: number): number {
  return PRIO_TO_WEIGHT[Math.max(-20, Math.min(19, nice)) + 20]!;
}
