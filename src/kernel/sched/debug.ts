/**
 * The checks that a debugging kernel makes of its context, with Linux's conditions and texts: might_sleep,
 * cant_sleep, cant_migrate, scheduling while atomic, per-CPU access in preemptible code. Models kernel/sched/core.c,
 * lib/smp_processor_id.c.
 */
import { inAtomic, preemptible } from './preempt.js';
import type { Sched } from './sched.js';

const MS_PER_SECOND = 1e9;
const RCU_SHIFT = 8;
/** Until when each kernel stays silent after a report (its ratelimit: one a second). */
const quietUntil = new WeakMap<Sched, number>();

const flag = (value: boolean): number => (value ? 1 : 0);

/**
 * might_sleep and its kin. `rcuAllowed`: the check of a sleeping spinlock on RT, which is legal inside rcu_read_lock.
 * `at` is where Linux's source asks, e.g. `kernel/locking/spinlock_rt.c:48`.
 */
export function mightSleep(sched: Sched, at: string, rcuAllowed = false): void {
  const { here, profile } = sched;
  const { current } = here;
  const rcu = rcuAllowed ? 0 : current.rcuDepth;
  if (here.preemptCount + (rcu << RCU_SHIFT) === 0 && !here.irqsDisabled && current !== here.idle) return;
  if (sched.clock.nanos < (quietUntil.get(sched) ?? 0)) return;
  quietUntil.set(sched, sched.clock.nanos + MS_PER_SECOND);
  const atomic = `in_atomic(): ${flag(inAtomic(here))}, irqs_disabled(): ${flag(here.irqsDisabled)}`;
  const who = `pid: ${current.pid}, name: ${current.comm}`;
  const lines = [`BUG: sleeping function called from invalid context at ${at}`];
  if (profile.mightSleepText === 'short') lines.push(`${atomic}, ${who}`);
  else {
    lines.push(`${atomic}, non_block: 0, ${who}`);
    lines.push(`preempt_count: ${here.preemptCount.toString(16)}, expected: 0`);
    lines.push(`RCU nest depth: ${current.rcuDepth}, expected: ${rcuAllowed ? current.rcuDepth : 0}`);
  }
  if (here.preemptCount !== 0) lines.push(`Preemption disabled at:\n${here.preemptOffPlace}`);
  sched.console.splat('sleeping-in-atomic', lines);
}

/** cant_sleep. */
export function cantSleep(sched: Sched, at: string): void {
  const { here } = sched;
  if (here.irqsDisabled || here.preemptCount > 0) return;
  const { pid, comm } = here.current;
  sched.console.splat('assuming-atomic', [
    `BUG: assuming atomic context at ${at}`,
    `in_atomic(): ${flag(inAtomic(here))}, irqs_disabled(): ${flag(here.irqsDisabled)}, pid: ${pid}, name: ${comm}`,
  ]);
}

/** cant_migrate, as far as the profile's kernel has it. */
export function cantMigrate(sched: Sched, at: string): void {
  const { here, profile } = sched;
  if (profile.cantMigrate === 'off') return;
  if (profile.cantMigrate === 'sleep') {
    if (!sched.rt) cantSleep(sched, at);
    return;
  }
  const { pid, comm, migrationDisabled } = here.current;
  if (here.irqsDisabled || migrationDisabled > 0 || here.preemptCount > 0) return;
  const atomic = `in_atomic(): ${flag(inAtomic(here))}, irqs_disabled(): ${flag(here.irqsDisabled)}`;
  sched.console.splat('assuming-non-migratable', [
    `BUG: assuming non migratable context at ${at}`,
    `${atomic}, migration_disabled() ${migrationDisabled} pid: ${pid}, name: ${comm}`,
  ]);
}

/** `__schedule` in atomic context; afterwards the count is forced sane. */
export function schedulingWhileAtomic(sched: Sched): void {
  const { here } = sched;
  const count = (here.preemptCount + 1).toString(16).padStart(8, '0');
  sched.console.splat('scheduling-while-atomic', [
    `BUG: scheduling while atomic: ${here.current.comm}/${here.current.pid}/0x${count}`,
  ]);
  here.preemptCount = 0;
}

/** Per-CPU access that preemption could make wrong; `what` is e.g. `smp_processor_id` or `__this_cpu_inc`. */
export function checkPreemptionDisabled(sched: Sched, what: string): void {
  const { here } = sched;
  const { current } = here;
  const pinned = current.migrationDisabled > 0 || current.affinity?.size === 1 || sched.cpus.length === 1;
  if (!preemptible(here) || pinned) return;
  const count = here.preemptCount.toString(16).padStart(8, '0');
  sched.console.splat('preemptible-per-cpu', [
    `BUG: using ${what}() in preemptible [${count}] code: ${current.comm}/${current.pid}`,
  ]);
}
