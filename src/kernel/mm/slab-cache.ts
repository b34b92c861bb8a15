/**
 * One cache of equal objects: per-CPU free lists, slabs, the node's list of partial slabs. Objects are numbers from 1; what
 * they hold is the caller's affair. Where the kernel is not RT the fast paths take no lock; on RT everything is under
 * the CPU's local lock, which sleeps. Models mm/slub.c of Linux 6.12 (one node, no merging of caches).
 */
import { PAGE_SIZE } from '../../abi/page.js';
import type { LocalLock } from '../locking/local-lock.js';
import { LockKey } from '../locking/lock-class.js';
import type { SpinLockOps } from '../locking/raw-spinlock.js';
import { type Flow, point } from '../sched/flow.js';
import { NMI_OFFSET } from '../sched/preempt.js';
import { inFunction, type ProbePoint } from '../trace/probes.js';
import type { MmEnv } from './env.js';
import { GFP } from './gfp.js';
import type { PageAllocator } from './page-alloc.js';

/** Empty slabs that the node keeps (MIN_PARTIAL), and partial ones that a CPU keeps. */
const MIN_PARTIAL = 5;
const CPU_PARTIAL = 6;
/** Objects that a slab should have at least. */
const MIN_OBJECTS = 16;
const MAX_SLAB_ORDER = 3;
const INITIAL_STATES = 256;
/** Between the first free object's choice and the list's advance: where an NMI or a probe still finds it free. */
const LOAD_FREELIST = point('___slab_alloc: load_freelist');
const BEFORE_FAST = point('slab_alloc_node');

interface Slab {
  readonly index: number;
  readonly pfn: number;
  /** Its free objects, those on a CPU's list not counted. */
  readonly free: number[];
  /** Objects that are not on `free`. */
  inUse: number;
  /** A CPU works with it, or keeps it. */
  frozen: boolean;
}

interface CpuSlab {
  readonly freelist: number[];
  slab: Slab | undefined;
  /** Its index; -1 where there is none. */
  slabIndex: number;
  readonly partial: Slab[];
}

export class KmemCache {
  /** Objects given out. */
  inUse = 0;
  private readonly order: number;
  private readonly perSlab: number;
  /** An object's number, less 1, shifted right by so much, is its slab's index. */
  private readonly shift: number;
  private readonly cpus: readonly CpuSlab[];
  private readonly slabs: (Slab | undefined)[] = [];
  private readonly partial: Slab[] = [];
  /** Which objects are given out, by number. */
  private given = new Uint8Array(INITIAL_STATES);
  private readonly local: LocalLock;
  private readonly listLock: SpinLockOps;
  private readonly slow: ProbePoint;
  private readonly load: ProbePoint;
  private readonly slowFree: ProbePoint;

  constructor(
    private readonly env: MmEnv,
    private readonly pages: PageAllocator,
    readonly name: string,
    /** Bytes of an object. */
    readonly size: number,
  ) {
    const { sched, locks } = env;
    let order = 0;
    while (order < MAX_SLAB_ORDER && (PAGE_SIZE << order) / size < MIN_OBJECTS) order++;
    this.order = order;
    this.perSlab = Math.max(1, Math.floor((PAGE_SIZE << order) / size));
    this.shift = Math.ceil(Math.log2(this.perSlab));
    this.cpus = sched.cpus.map(() => ({ freelist: [], slab: undefined, slabIndex: -1, partial: [] }));
    this.local = locks.local(new LockKey('&c->lock'));
    this.listLock = locks.spin('&n->list_lock');
    this.slow = sched.probes.point('___slab_alloc');
    this.load = sched.probes.point('___slab_alloc+load_freelist');
    this.slowFree = sched.probes.point('__slab_free');
  }

  // Allocating

  /** kmem_cache_alloc without its tracepoint: an object's number, 0 where there is no memory. */
  *alloc(gfp: number): Flow<number> {
    const { env } = this;
    const { sched } = env;
    env.mightAlloc(gfp);
    if (sched.interleaved) yield BEFORE_FAST;
    if (env.shouldFail({ kind: 'slab', size: this.size, gfp, cache: this.name })) return 0;
    sched.charge(sched.costs.slab);
    if (sched.rt) return yield* this.allocRt(gfp);
    const object = this.cpus[sched.here.id]!.freelist.pop() ?? (yield* this.allocSlow(gfp));
    return object === 0 ? 0 : this.give(object);
  }

  /** The same in plain code. */
  allocNow(gfp: number): number {
    const { env } = this;
    const { sched } = env;
    const { here } = sched;
    if (!sched.quiet || env.failing) return env.locks.executor.drive(this.alloc(gfp));
    if (sched.rt) return this.allocRtNow(gfp);
    const object = this.cpus[here.id]!.freelist.pop();
    if (object === undefined) return env.locks.executor.drive(this.alloc(gfp));
    if ((gfp & GFP.directReclaim) !== 0 || here.preemptCount >= NMI_OFFSET) env.mightAlloc(gfp);
    sched.clock.nanos += sched.costs.slab;
    return this.give(object);
  }

  private allocRtNow(gfp: number): number {
    const { env, local } = this;
    const { sched } = env;
    env.mightAlloc(gfp);
    local.lockNow('slab_alloc_node');
    const object = this.cpus[sched.here.id]!.freelist.pop();
    local.unlock();
    if (object === undefined) return env.locks.executor.drive(this.alloc(gfp));
    sched.clock.nanos += sched.costs.slab;
    return this.give(object);
  }

  private *allocRt(gfp: number): Flow<number> {
    const { sched } = this.env;
    yield* this.local.lock('slab_alloc_node');
    const fast = this.cpus[sched.here.id]!.freelist.pop();
    this.local.unlock();
    const object = fast ?? (yield* this.allocSlow(gfp));
    return object === 0 ? 0 : this.give(object);
  }

  /** ___slab_alloc: the CPU gets a slab with free objects, and its first one is the result. */
  private *allocSlow(gfp: number): Flow<number> {
    const { calls } = this.env.sched.here;
    return yield* inFunction(calls, this.slow, [this.name, gfp], () => this.refill(gfp));
  }

  private *refill(gfp: number): Flow<number> {
    const { env, local } = this;
    const { sched } = env;
    for (;;) {
      // Keeps the CPU's lists its own (slub_get_cpu_ptr).
      this.getCpu();
      const fresh = this.cpus[sched.here.id]!.partial.pop() ?? (yield* this.fromNode());
      this.putCpu();
      const slab = fresh ?? (yield* this.newSlab(gfp));
      if (slab === undefined) return 0;
      const flags = yield* local.lockIrqsave('___slab_alloc');
      const cpu = this.cpus[sched.here.id]!;
      this.install(cpu, slab);
      const object = yield* this.loadFreelist(cpu);
      local.unlockIrqrestore(flags);
      yield* sched.resched();
      if (object !== 0) return object;
    }
  }

  private getCpu(): void {
    const { sched } = this.env;
    if (sched.rt) sched.migrateDisable('___slab_alloc');
    else sched.preemptDisable('___slab_alloc');
  }

  private putCpu(): void {
    const { sched } = this.env;
    if (sched.rt) sched.migrateEnable();
    else sched.preemptEnable();
  }

  /** The slab becomes the CPU's own; what it worked with before goes to its partial ones. */
  private install(cpu: CpuSlab, slab: Slab): void {
    const before = cpu.slab;
    if (before !== undefined) {
      before.free.push(...cpu.freelist.splice(0));
      before.inUse = this.perSlab - before.free.length;
      if (before.free.length > 0) cpu.partial.push(before);
      else before.frozen = false;
    }
    cpu.slab = slab;
    cpu.slabIndex = slab.index;
    slab.frozen = true;
    cpu.freelist.push(...slab.free.splice(0));
    slab.inUse = this.perSlab;
  }

  /** The first free object; whoever comes between its choice and the advance gets the same one. */
  private *loadFreelist({ freelist }: CpuSlab): Flow<number> {
    const { sched } = this.env;
    const object = freelist.at(-1);
    if (object === undefined) return 0;
    const left = freelist.length - 1;
    if (sched.interleaved) yield LOAD_FREELIST;
    if (this.load.armed) yield* inFunction(sched.here.calls, this.load, [this.name], () => done());
    freelist.length = Math.min(freelist.length, left);
    return object;
  }

  /** get_partial_node. */
  private *fromNode(): Flow<Slab | undefined> {
    if (this.partial.length === 0) return undefined;
    const flags = yield* this.listLock.lockIrqsave('get_partial_node');
    const slab = this.partial.shift();
    if (slab !== undefined) slab.frozen = true;
    this.listLock.unlockIrqrestore(flags);
    return slab;
  }

  private *newSlab(gfp: number): Flow<Slab | undefined> {
    const pfn = yield* this.pages.alloc(this.order, gfp);
    if (pfn === 0) return undefined;
    this.env.sched.touch(this, true);
    const free: number[] = [];
    const hole = this.slabs.indexOf(undefined);
    const index = hole < 0 ? this.slabs.length : hole;
    const first = (index << this.shift) + 1;
    for (let i = this.perSlab - 1; i >= 0; i--) free.push(first + i);
    const slab: Slab = { index, pfn, free, inUse: 0, frozen: true };
    this.slabs[index] = slab;
    return slab;
  }

  private give(object: number): number {
    if (object >= this.given.length) this.grow(object);
    if (this.given[object] !== 0) this.complain(object, 'handed out although it is in use');
    this.given[object] = 1;
    this.inUse++;
    return object;
  }

  private grow(object: number): void {
    const larger = new Uint8Array(2 ** Math.ceil(Math.log2(object + 1)));
    larger.set(this.given);
    this.given = larger;
  }

  // Freeing

  /** kmem_cache_free. */
  *free(object: number): Flow<void> {
    const { sched } = this.env;
    this.env.refuseNmi('a free');
    if (!this.takeBack(object)) return;
    sched.charge(sched.costs.slab);
    if (sched.rt) yield* this.local.lock('do_slab_free');
    const cpu = this.cpus[sched.here.id]!;
    const own = cpu.slabIndex === (object - 1) >> this.shift;
    if (own) cpu.freelist.push(object);
    if (sched.rt) this.local.unlock();
    if (!own) yield* inFunction(sched.here.calls, this.slowFree, [this.name], () => this.freeSlow(object));
  }

  freeNow(object: number): void {
    const { env } = this;
    const { sched } = env;
    const cpu = this.cpus[sched.here.id]!;
    const own = cpu.slabIndex === (object - 1) >> this.shift && this.given[object] === 1;
    if (!own || !sched.quiet || sched.here.preemptCount >= NMI_OFFSET) {
      env.locks.executor.drive(this.free(object));
      return;
    }
    if (sched.rt) this.local.lockNow('do_slab_free');
    this.given[object] = 0;
    this.inUse--;
    sched.clock.nanos += sched.costs.slab;
    cpu.freelist.push(object);
    if (sched.rt) this.local.unlock();
  }

  private takeBack(object: number): boolean {
    if (this.given[object] !== 1) {
      this.complain(object, 'freed although it is free');
      return false;
    }
    this.given[object] = 0;
    this.inUse--;
    return true;
  }

  /** __slab_free: the object belongs to a slab that this CPU does not work with. */
  private *freeSlow(object: number): Flow<number> {
    const { sched } = this.env;
    const slab = this.slabs[(object - 1) >> this.shift]!;
    sched.touch(slab, true);
    const wasFull = slab.free.length === 0;
    slab.free.push(object);
    slab.inUse--;
    if (slab.frozen) return 0;
    const cpu = this.cpus[sched.here.id]!;
    if (wasFull && cpu.partial.length < CPU_PARTIAL) {
      slab.frozen = true;
      const flags = yield* this.local.lockIrqsave('put_cpu_partial');
      this.cpus[sched.here.id]!.partial.push(slab);
      this.local.unlockIrqrestore(flags);
      return 0;
    }
    if (!wasFull && slab.inUse > 0) return 0;
    const flags = yield* this.listLock.lockIrqsave('__slab_free');
    const at = this.partial.indexOf(slab);
    const empty = slab.inUse === 0 && this.partial.length >= MIN_PARTIAL;
    if (empty && at >= 0) this.partial.splice(at, 1);
    else if (!empty && at < 0) this.partial.push(slab);
    this.listLock.unlockIrqrestore(flags);
    if (!empty) return 0;
    this.slabs[slab.index] = undefined;
    yield* this.pages.release(slab.pfn, this.order);
    return 0;
  }

  private complain(object: number, what: string): void {
    this.env.sched.console.splat('bug', [`BUG ${this.name}: object ${object} ${what}`]);
  }
}

function* done(): Flow<number> {
  return 0;
}
