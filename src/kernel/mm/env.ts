/** What the allocators share: scheduler, locks, failure injection, and the check of who may wait for memory. */
import type { Locks } from '../locking/index.js';
import { mightSleep } from '../sched/debug.js';
import { inNmi } from '../sched/preempt.js';
import type { Sched } from '../sched/sched.js';
import { allowsBlocking } from './gfp.js';

/** An allocation that could be made to fail. */
export interface AllocRequest {
  readonly kind: 'slab' | 'page' | 'percpu';
  /** Bytes asked for. */
  readonly size: number;
  readonly gfp: number;
  /** Cache, for `slab`. */
  readonly cache?: string;
}

/** Whether the request is to fail. */
export type FailureRule = (request: AllocRequest) => boolean;

export class MmEnv {
  /** Some allocation may be made to fail: plain fast paths have to ask. */
  failing = false;
  private readonly rules = new Set<FailureRule>();

  constructor(
    readonly sched: Sched,
    readonly locks: Locks,
  ) {}

  /** Makes allocations fail that a rule names (CONFIG_FAULT_INJECTION); call the result to end that. */
  inject(rule: FailureRule): () => void {
    this.rules.add(rule);
    this.failing = true;
    return () => {
      this.rules.delete(rule);
      this.failing = this.rules.size > 0;
    };
  }

  shouldFail(request: AllocRequest): boolean {
    for (const rule of this.rules) if (rule(request)) return true;
    return false;
  }

  /** might_alloc, and what no check of Linux says as long as the fast path succeeds: not in NMI. */
  mightAlloc(gfp: number): void {
    if (allowsBlocking(gfp)) mightSleep(this.sched, 'include/linux/sched/mm.h:337');
    this.refuseNmi('an allocation');
  }

  refuseNmi(what: string): void {
    const { here, console } = this.sched;
    if (!inNmi(here)) return;
    console.warnOnce('mm/slub.c', `bpflab: ${what} in NMI can meet the allocator half-way below it`);
  }
}
