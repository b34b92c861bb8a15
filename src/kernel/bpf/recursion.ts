/**
 * What keeps programs from recursing: the per-CPU `bpf_prog_active`, which system calls on maps take too, and each
 * program's own `active`. Models include/linux/bpf.h (`bpf_disable_instrumentation`), kernel/bpf/syscall.c and
 * kernel/bpf/trampoline.c; what splits an increment is the profile's `thisCpuRmw`.
 */
import type { KernelProfile } from '../profile.js';
import { checkPreemptionDisabled } from '../sched/debug.js';
import { type Flow, point } from '../sched/flow.js';
import type { Sched } from '../sched/sched.js';
import type { Task } from '../sched/task.js';

/** Between the load and the store of an increment that preemption may split. */
const SPLIT = point('__this_cpu_inc: between load and store');

/** Where a task is pinned for a program, by the knob that says how. */
export type PinSite = 'pinSimple' | 'pinTestRun' | 'pinArray' | 'pinHtab' | 'pinSysBpf';

/** Masks to go back to, innermost last, of tasks that pin themselves by their mask. */
const masks = new WeakMap<Task, (ReadonlySet<number> | undefined)[]>();

/** Keeps the task where it is while a program runs. */
export function pin(sched: Sched, site: PinSite, place: string): void {
  const { profile, current, here } = sched;
  if (profile[site] === 'preempt') sched.preemptDisable(place);
  else if (profile[site] === 'none') return;
  else if (profile.pinBy === 'migrate') sched.migrateDisable(place);
  else {
    const saved = masks.get(current) ?? [];
    masks.set(current, saved);
    saved.push(current.affinity);
    current.affinity = new Set([here.id]);
  }
}

/** The reverse; the caller looks at `sched.resched()` where it can. */
export function unpin(sched: Sched, site: PinSite): void {
  const { profile, current } = sched;
  if (profile[site] === 'preempt') sched.preemptEnable();
  else if (profile[site] === 'none') return;
  else if (profile.pinBy === 'migrate') sched.migrateEnable();
  else current.affinity = masks.get(current)?.pop();
}

/** Whether `__this_cpu_inc` and `__this_cpu_dec` come in two halves here. */
function splits({ profile, interleaved }: { profile: KernelProfile; interleaved: boolean }): boolean {
  return interleaved && profile.rt && profile.thisCpuRmw === 'plain';
}

/** Adds to this CPU's word of an array; the result is the sum. */
export function* thisCpuAdd(sched: Sched, words: Int32Array, by: 1 | -1): Flow<number> {
  const { id } = sched.here;
  // this_cpu_* may be used anywhere; its cheaper kin only where the CPU cannot change.
  if (sched.profile.thisCpuRmw === 'plain') checkPreemptionDisabled(sched, '__this_cpu_add');
  const sum = words[id]! + by;
  if (splits(sched)) yield SPLIT;
  words[id] = sum;
  return sum;
}

export class Instrumentation {
  /** `bpf_prog_active` of each CPU. */
  readonly progActive: Int32Array;

  constructor(private readonly sched: Sched) {
    this.progActive = new Int32Array(sched.cpus.length);
  }

  /** `__this_cpu_inc_return(bpf_prog_active)`; the caller goes on only when it is 1, and decrements in any case. */
  inc(): Flow<number> {
    return this.add(1);
  }

  dec(): Flow<number> {
    return this.add(-1);
  }

  private *add(by: 1 | -1): Flow<number> {
    const { sched } = this;
    const value = yield* thisCpuAdd(sched, this.progActive, by);
    if (sched.trace !== undefined) sched.note({ kind: 'count', name: 'bpf_prog_active', value });
    return value;
  }

  /** bpf_disable_instrumentation: no tracing program that asks runs on this CPU until `enable`. */
  *disable(site: PinSite = 'pinSysBpf'): Flow<void> {
    pin(this.sched, site, 'bpf_disable_instrumentation');
    yield* this.inc();
  }

  /** bpf_enable_instrumentation. */
  *enable(site: PinSite = 'pinSysBpf'): Flow<void> {
    yield* this.dec();
    unpin(this.sched, site);
    yield* this.sched.resched();
  }

  /** The same where nothing can come between. */
  disableNow(): void {
    pin(this.sched, 'pinSysBpf', 'bpf_disable_instrumentation');
    this.progActive[this.sched.here.id]!++;
  }

  enableNow(): void {
    this.progActive[this.sched.here.id]!--;
    unpin(this.sched, 'pinSysBpf');
  }
}
