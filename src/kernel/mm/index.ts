/**
 * The kernel's memory: `kernel.mm`. Allocators with the locks, contexts and failures that matter; what is stored in an
 * object is the affair of whoever allocates it. Relies on locks, interrupts and RCU.
 */
import type { Irqs } from '../irq/index.js';
import type { Locks } from '../locking/index.js';
import type { Rcu } from '../rcu/rcu.js';
import type { RcuTasksTrace } from '../rcu/tasks-trace.js';
import type { Flow } from '../sched/flow.js';
import type { Sched } from '../sched/sched.js';
import type { Task } from '../sched/task.js';
import { type AddressSpace, AddressSpaces } from './address-space.js';
import { BpfMemAlloc, type BpfMemAllocOptions, type BpfMemHost } from './bpf-mem-alloc.js';
import { type AllocRequest, type FailureRule, MmEnv } from './env.js';
import { PageAllocator } from './page-alloc.js';
import { PercpuAllocator } from './percpu.js';
import { type CacheUsage, type NamedCache, Slab } from './slab.js';

export interface MmOptions {
  /** Pages of 4 KiB that there are. */
  readonly pages?: number;
}

/** What is in use. */
export interface MemoryUsage {
  readonly caches: readonly CacheUsage[];
  /** Per-CPU allocations, and their bytes over all CPUs. */
  readonly percpu: { readonly count: number; readonly bytes: number };
  readonly pages: number;
}

export class Mm {
  readonly slab: Slab;
  readonly percpu: PercpuAllocator;
  readonly pages: PageAllocator;
  private readonly env: MmEnv;
  private readonly host: BpfMemHost;
  private readonly spaces: AddressSpaces;

  constructor(
    sched: Sched,
    locks: Locks,
    irqs: Irqs,
    rcu: { readonly rcu: Rcu; readonly rcuTasksTrace: RcuTasksTrace },
    options: MmOptions = {},
  ) {
    this.env = new MmEnv(sched, locks);
    this.pages = new PageAllocator(this.env, options.pages);
    this.slab = new Slab(this.env, this.pages);
    this.percpu = new PercpuAllocator(this.env);
    this.host = { env: this.env, slab: this.slab, percpu: this.percpu, irqs, ...rcu };
    this.spaces = new AddressSpaces(locks, sched.profile.mmapLockName);
  }

  /** kmalloc: a handle above 0, 0 where there is no memory. `gfp`: of `GFP`. */
  kmalloc(size: number, gfp: number): Flow<number> {
    return this.slab.kmalloc(size, gfp);
  }

  kmallocNow(size: number, gfp: number): number {
    return this.slab.kmallocNow(size, gfp);
  }

  kmallocNode(size: number, gfp: number): Flow<number> {
    return this.slab.kmallocNode(size, gfp);
  }

  kmallocNodeNow(size: number, gfp: number): number {
    return this.slab.kmallocNodeNow(size, gfp);
  }

  kfree(handle: number): Flow<void> {
    return this.slab.kfree(handle);
  }

  kfreeNow(handle: number): void {
    this.slab.kfreeNow(handle);
  }

  /** kmem_cache_create. */
  cache(name: string, size: number): NamedCache {
    return this.slab.create(name, size);
  }

  /** __alloc_percpu_gfp: `size` bytes on each CPU. */
  allocPercpu(size: number, gfp: number): Flow<number> {
    return this.percpu.alloc(size, gfp);
  }

  allocPercpuNow(size: number, gfp: number): number {
    return this.percpu.allocNow(size, gfp);
  }

  freePercpu(handle: number): Flow<void> {
    return this.percpu.release(handle);
  }

  freePercpuNow(handle: number): void {
    this.percpu.releaseNow(handle);
  }

  /** bpf_mem_alloc_init with a few objects for each CPU. */
  bpfMemAlloc(options: BpfMemAllocOptions): BpfMemAlloc {
    const allocator = new BpfMemAlloc(this.host, options);
    this.env.locks.executor.drive(allocator.prefill());
    return allocator;
  }

  /** A task's address space; undefined for kernel threads. */
  addressSpace(task: Task): AddressSpace | undefined {
    return this.spaces.of(task);
  }

  /** Makes allocations fail that a rule names; call the result to end that. */
  inject(rule: FailureRule): () => void {
    return this.env.inject(rule);
  }

  /** Makes the next allocations of a kind fail, all kinds where none is named. */
  failNext(count: number, kind?: AllocRequest['kind']): void {
    let left = count;
    const end = this.inject((request) => {
      if (kind !== undefined && request.kind !== kind) return false;
      if (--left <= 0) end();
      return true;
    });
  }

  /** What is in use; the difference of two is what leaked between them. */
  usage(): MemoryUsage {
    const { percpu } = this;
    return {
      caches: this.slab.usage(),
      percpu: { count: percpu.inUse, bytes: percpu.bytes },
      pages: this.pages.used,
    };
  }
}
