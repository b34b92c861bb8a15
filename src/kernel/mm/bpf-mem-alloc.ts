/**
 * BPF's own allocator: per-CPU free lists that any context can take from, NMI included, filled and emptied by irq_work.
 * What re-enters it on a CPU finds its `active` counter busy: an allocation fails, a free goes to a second list. Models
 * kernel/bpf/memalloc.c of Linux 6.12.
 */

import type { Irqs } from '../irq/index.js';
import type { IrqWork } from '../irq/irq-work.js';
import { LockKey } from '../locking/lock-class.js';
import type { SpinLockOps } from '../locking/raw-spinlock.js';
import type { Rcu } from '../rcu/rcu.js';
import type { RcuTasksTrace } from '../rcu/tasks-trace.js';
import { type Flow, point } from '../sched/flow.js';
import type { MmEnv } from './env.js';
import { GFP } from './gfp.js';
import type { PercpuAllocator } from './percpu.js';
import type { Slab } from './slab.js';

/** Room for the list link before the object, and for link and pointer where the object is per CPU. */
const LLIST_NODE_SIZE = 8;
const PERCPU_UNIT_SIZE = 16;
const REFILL_GFP = GFP.noWarn | GFP.account;
const ACTIVE = point('bpf_mem_alloc: active');

export interface BpfMemAllocOptions {
  /** Bytes of an object, or of its part on each CPU. */
  readonly size: number;
  readonly percpu?: boolean;
}

/** What the allocator takes its memory from, and what empties it later. */
export interface BpfMemHost {
  readonly env: MmEnv;
  readonly slab: Slab;
  readonly percpu: PercpuAllocator;
  readonly irqs: Irqs;
  readonly rcu: Rcu;
  readonly rcuTasksTrace: RcuTasksTrace;
}

/** The cache of one CPU (`struct bpf_mem_cache`). */
interface Cache {
  free: number[];
  extra: number[];
  active: number;
  readonly refill: IrqWork;
  readonly lock: SpinLockOps;
  /** After a grace period of RCU, and after one of RCU Tasks Trace. */
  byRcu: number[];
  extraRcu: number[];
  byTrace: number[];
  waitingForTrace: number[];
  rcuInProgress: boolean;
  traceInProgress: boolean;
}

export class BpfMemAlloc {
  readonly lowWatermark: number;
  readonly highWatermark: number;
  readonly batch: number;
  private readonly unitSize: number;
  private readonly percpuSize: number;
  private readonly caches: readonly Cache[];
  /** Per-CPU part of an object, by its handle. */
  private readonly parts = new Map<number, number>();
  private draining = false;

  /** bpf_mem_alloc_init; `prefill` comes after it. */
  constructor(
    private readonly host: BpfMemHost,
    { size, percpu = false }: BpfMemAllocOptions,
  ) {
    const { sched, locks } = host.env;
    this.unitSize = percpu ? PERCPU_UNIT_SIZE : size + LLIST_NODE_SIZE;
    this.percpuSize = percpu ? size : 0;
    this.lowWatermark = percpu
      ? 1
      : this.unitSize <= 256
        ? 32
        : Math.max(Math.floor((32 * 256) / this.unitSize), 1);
    this.highWatermark = percpu
      ? 3
      : this.unitSize <= 256
        ? 96
        : Math.max(Math.floor((96 * 256) / this.unitSize), 3);
    this.batch = Math.max(Math.floor((this.highWatermark - this.lowWatermark) / 4) * 3, 1);
    const key = new LockKey('&c->lock');
    this.caches = sched.cpus.map(({ id }) => ({
      free: [],
      extra: [],
      active: 0,
      refill: host.irqs.irqWork('bpf_mem_refill', () => this.refill(id)),
      lock: locks.raw(key),
      byRcu: [],
      extraRcu: [],
      byTrace: [],
      waitingForTrace: [],
      rcuInProgress: false,
      traceInProgress: false,
    }));
  }

  /** prefill_mem_cache: a few objects for each CPU; may sleep. */
  *prefill(): Flow<void> {
    const count = this.percpuSize === 0 && this.unitSize <= 256 ? 4 : 1;
    for (const cache of this.caches) yield* this.allocBulk(cache, count, GFP.kernel);
  }

  /** Objects on a CPU's free list. */
  available(cpu: number): number {
    return this.caches[cpu]!.free.length;
  }

  // From any context

  /** bpf_mem_cache_alloc: a handle, 0 for -ENOMEM. */
  *alloc(): Flow<number> {
    const { sched } = this.host.env;
    const flags = sched.irqSave('unit_alloc');
    const cache = this.caches[sched.here.id]!;
    let handle = 0;
    if (++cache.active === 1) {
      if (sched.interleaved) yield ACTIVE;
      handle = cache.free.pop() ?? 0;
    }
    cache.active--;
    this.afterAlloc(cache, handle);
    sched.irqRestore(flags);
    return handle;
  }

  allocNow(): number {
    const { sched, locks } = this.host.env;
    if (!sched.quiet) return locks.executor.drive(this.alloc());
    const flags = sched.irqSave('unit_alloc');
    const cache = this.caches[sched.here.id]!;
    const handle = cache.active === 0 ? (cache.free.pop() ?? 0) : 0;
    this.afterAlloc(cache, handle);
    sched.irqRestore(flags);
    return handle;
  }

  private afterAlloc(cache: Cache, handle: number): void {
    const { env, irqs } = this.host;
    env.sched.clock.nanos += env.sched.costs.slab;
    // An allocation that found the list busy or empty sees a count of 0.
    if (handle === 0 || cache.free.length < this.lowWatermark) irqs.work.queue(cache.refill);
  }

  /** bpf_mem_cache_free: the object may be given out again at once. */
  *free(handle: number): Flow<void> {
    const { sched } = this.host.env;
    if (handle === 0) return;
    const flags = sched.irqSave('unit_free');
    const cache = this.caches[sched.here.id]!;
    const first = ++cache.active === 1;
    if (sched.interleaved && first) yield ACTIVE;
    (first ? cache.free : cache.extra).push(handle);
    cache.active--;
    this.afterFree(cache);
    sched.irqRestore(flags);
  }

  freeNow(handle: number): void {
    const { sched, locks } = this.host.env;
    if (!sched.quiet) {
      locks.executor.drive(this.free(handle));
      return;
    }
    if (handle === 0) return;
    const flags = sched.irqSave('unit_free');
    const cache = this.caches[sched.here.id]!;
    (cache.active === 0 ? cache.free : cache.extra).push(handle);
    this.afterFree(cache);
    sched.irqRestore(flags);
  }

  private afterFree(cache: Cache): void {
    const { env, irqs } = this.host;
    env.sched.clock.nanos += env.sched.costs.slab;
    if (cache.free.length > this.highWatermark) irqs.work.queue(cache.refill);
  }

  /** bpf_mem_cache_free_rcu: the object is given out again only after a grace period. */
  *freeRcu(handle: number): Flow<void> {
    const { sched } = this.host.env;
    if (handle === 0) return;
    const flags = sched.irqSave('unit_free_rcu');
    const cache = this.caches[sched.here.id]!;
    const first = ++cache.active === 1;
    if (sched.interleaved && first) yield ACTIVE;
    (first ? cache.byRcu : cache.extraRcu).push(handle);
    cache.active--;
    if (!cache.rcuInProgress) this.host.irqs.work.queue(cache.refill);
    sched.irqRestore(flags);
  }

  // In irq_work

  /** bpf_mem_refill. */
  private *refill(cpu: number): Flow<void> {
    const cache = this.caches[cpu]!;
    const count = cache.free.length;
    if (count < this.lowWatermark) yield* this.allocBulk(cache, this.batch, GFP.noWait);
    else if (count > this.highWatermark) yield* this.freeBulk(cache);
    this.checkFreeByRcu(cache);
  }

  /** On RT interrupts are off around each object: the work is a thread there. */
  private change(cache: Cache, change: () => void): void {
    const { sched } = this.host.env;
    const flags = sched.rt ? sched.irqSave('inc_active') : true;
    if (++cache.active !== 1) sched.console.warnOnce('kernel/bpf/memalloc.c inc_active');
    change();
    cache.active--;
    sched.irqRestore(flags);
  }

  private *allocBulk(cache: Cache, count: number, gfp: number): Flow<void> {
    let left = count;
    // Objects that wait to be freed come first.
    if (cache.byTrace.length + cache.waitingForTrace.length > 0) {
      const flags = yield* cache.lock.lockIrqsave('alloc_bulk');
      for (; left > 0; left--) {
        const again = cache.byTrace.pop() ?? cache.waitingForTrace.pop();
        if (again === undefined) break;
        this.change(cache, () => cache.free.push(again));
      }
      cache.lock.unlockIrqrestore(flags);
    }
    for (; left > 0; left--) {
      const handle = yield* this.allocOne(REFILL_GFP | gfp);
      if (handle === 0) return;
      this.change(cache, () => cache.free.push(handle));
    }
  }

  private *allocOne(gfp: number): Flow<number> {
    const { slab, percpu, env } = this.host;
    const { quiet } = env.sched;
    const handle = quiet
      ? slab.kmallocNodeNow(this.unitSize, gfp)
      : yield* slab.kmallocNode(this.unitSize, gfp);
    if (this.percpuSize === 0 || handle === 0) return handle;
    const part = yield* percpu.alloc(this.percpuSize, gfp);
    if (part !== 0) {
      this.parts.set(handle, part);
      return handle;
    }
    yield* slab.kfree(handle);
    return 0;
  }

  private *freeBulk(cache: Cache): Flow<void> {
    const target = (this.highWatermark + this.lowWatermark) / 2;
    do {
      this.change(cache, () => {
        const handle = cache.free.pop();
        if (handle !== undefined) cache.byTrace.push(handle);
      });
    } while (cache.free.length > target);
    cache.byTrace.push(...cache.extra.splice(0));
    yield* this.callRcuTrace(cache);
  }

  /** do_call_rcu_ttrace. */
  private *callRcuTrace(cache: Cache): Flow<void> {
    if (cache.traceInProgress) return;
    cache.traceInProgress = true;
    cache.waitingForTrace.push(...cache.byTrace.splice(0));
    this.host.rcuTasksTrace.call({ name: '__free_rcu_tasks_trace', func: () => this.freeWaiting(cache) });
  }

  /** __free_rcu. */
  private *freeWaiting(cache: Cache): Flow<void> {
    const flags = yield* cache.lock.lockIrqsave('__free_rcu');
    const handles = cache.waitingForTrace.splice(0);
    cache.lock.unlockIrqrestore(flags);
    yield* this.freeAll(handles);
    cache.traceInProgress = false;
  }

  private *freeAll(handles: readonly number[]): Flow<void> {
    const { slab, percpu } = this.host;
    for (const handle of handles) {
      const part = this.parts.get(handle);
      if (part !== undefined) {
        this.parts.delete(handle);
        yield* percpu.release(part);
      }
      yield* slab.kfree(handle);
    }
  }

  private checkFreeByRcu(cache: Cache): void {
    if (cache.extraRcu.length > 0) this.change(cache, () => cache.byRcu.push(...cache.extraRcu.splice(0)));
    if (cache.byRcu.length === 0 || cache.rcuInProgress) return;
    cache.rcuInProgress = true;
    const handles = cache.byRcu.splice(0);
    const func = (): Flow<void> => this.afterRcu(cache, handles);
    this.host.rcu.call({ name: '__free_by_rcu', func });
  }

  /** __free_by_rcu. */
  private *afterRcu(cache: Cache, handles: readonly number[]): Flow<void> {
    cache.byTrace.push(...handles);
    if (this.draining) yield* this.freeAll(cache.byTrace.splice(0));
    else yield* this.callRcuTrace(cache);
    cache.rcuInProgress = false;
  }

  /** bpf_mem_alloc_destroy: gives everything back, what still waits for a grace period when that has ended. */
  *destroy(): Flow<void> {
    this.draining = true;
    for (const cache of this.caches) {
      yield* this.host.irqs.work.sync(cache.refill);
      const lists = [cache.free, cache.extra, cache.byTrace, cache.byRcu, cache.extraRcu];
      yield* this.freeAll(lists.flatMap((list) => list.splice(0)));
    }
  }
}
