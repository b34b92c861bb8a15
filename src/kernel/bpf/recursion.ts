/**
 * What keeps programs from recursing: the per-CPU `bpf_prog_active`, which system calls on maps take too, and each
 * program's own `active`. Models include/linux/bpf.h (`bpf_disable_instrumentation`), kernel/bpf/syscall.c and
 * kernel/bpf/trampoline.c; what splits an increment is the profile's `thisCpuRmw`.
 */
import type { KernelProfile } from '../profile.js';
import { type Flow, point } from '../sched/flow.js';
import type { Sched } from '../sched/sched.js';

/** Between the load and the store of an increment that preemption may split. */
const SPLIT = point('__this_cpu_inc: between load and store');

/** Keeps the task where it is, for programs at simple call sites, arrays of programs, test runs and system calls. */
export function pin(sched: Sched, place: string): void {
  if (sched.profile.progPin === 'preempt') sched.preemptDisable(place);
  else sched.migrateDisable(place);
}

/** The reverse; the caller looks at `sched.resched()` where it can. */
export function unpin(sched: Sched): void {
  if (sched.profile.progPin === 'preempt') sched.preemptEnable();
  else sched.migrateEnable();
}

/** Whether `__this_cpu_inc` and `__this_cpu_dec` come in two halves here. */
function splits({ profile, interleaved }: { profile: KernelProfile; interleaved: boolean }): boolean {
  return interleaved && profile.rt && profile.thisCpuRmw === 'plain';
}

/** Adds to this CPU's word of an array; the result is the sum. */
export function* thisCpuAdd(sched: Sched, words: Int32Array, by: 1 | -1): Flow<number> {
  const { id } = sched.here;
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
    return thisCpuAdd(this.sched, this.progActive, 1);
  }

  dec(): Flow<number> {
    return thisCpuAdd(this.sched, this.progActive, -1);
  }

  /** bpf_disable_instrumentation: no tracing program that asks runs on this CPU until `enable`. */
  *disable(): Flow<void> {
    pin(this.sched, 'bpf_disable_instrumentation');
    yield* this.inc();
  }

  /** bpf_enable_instrumentation. */
  *enable(): Flow<void> {
    yield* this.dec();
    unpin(this.sched);
    yield* this.sched.resched();
  }

  /** The same where nothing can come between. */
  disableNow(): void {
    pin(this.sched, 'bpf_disable_instrumentation');
    this.progActive[this.sched.here.id]!++;
  }

  enableNow(): void {
    this.progActive[this.sched.here.id]!--;
    unpin(this.sched);
  }
}
