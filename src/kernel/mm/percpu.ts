/**
 * Per-CPU allocations: handles from 1. Atomic ones take `pcpu_lock` only, a spinlock that sleeps on RT; others take
 * `pcpu_alloc_mutex` first. Models mm/percpu.c of Linux 6.12 without its chunks.
 */
import type { MutexOps } from '../locking/mutex.js';
import type { SpinLockOps } from '../locking/raw-spinlock.js';
import type { Flow } from '../sched/flow.js';
import { firePoint, type ProbePoint } from '../trace/probes.js';
import type { MmEnv } from './env.js';
import { allowsBlocking } from './gfp.js';

/** PCPU_MIN_UNIT_SIZE: the most for one CPU. */
const MAX_SIZE = 32768;

export class PercpuAllocator {
  /** Allocations in use, and their bytes over all CPUs. */
  inUse = 0;
  bytes = 0;
  private readonly sizes: number[] = [0];
  private readonly free: number[] = [];
  private readonly lock: SpinLockOps;
  private readonly mutex: MutexOps;
  private readonly allocPoint: ProbePoint;
  private readonly freePoint: ProbePoint;

  constructor(private readonly env: MmEnv) {
    this.lock = env.locks.spin('pcpu_lock');
    this.mutex = env.locks.mutex('pcpu_alloc_mutex');
    this.allocPoint = env.sched.probes.point('percpu:percpu_alloc_percpu');
    this.freePoint = env.sched.probes.point('percpu:percpu_free_percpu');
  }

  /** __alloc_percpu_gfp: 0 where there is no memory. */
  *alloc(size: number, gfp: number): Flow<number> {
    const { env } = this;
    if (size <= 0 || size > MAX_SIZE || env.shouldFail({ kind: 'percpu', size, gfp })) return 0;
    const blocks = allowsBlocking(gfp);
    if (blocks) {
      env.mightAlloc(gfp);
      yield* this.mutex.lock('pcpu_alloc_noprof');
    }
    const flags = yield* this.lock.lockIrqsave('pcpu_alloc_noprof');
    env.sched.charge(env.sched.costs.slabSlow);
    const handle = this.free.pop() ?? this.sizes.length;
    this.sizes[handle] = size;
    this.inUse++;
    this.bytes += size * env.sched.cpus.length;
    this.lock.unlockIrqrestore(flags);
    if (blocks) this.mutex.unlock();
    if (this.allocPoint.armed) yield* firePoint(this.allocPoint, [size, handle, gfp]);
    return handle;
  }

  allocNow(size: number, gfp: number): number {
    return this.env.locks.executor.drive(this.alloc(size, gfp));
  }

  /** free_percpu. */
  *release(handle: number): Flow<void> {
    const { env, sizes } = this;
    if (handle === 0) return;
    const size = sizes[handle] ?? 0;
    if (size === 0) {
      env.sched.console.splat('bug', [`BUG percpu: allocation ${handle} freed although it is free`]);
      return;
    }
    const flags = yield* this.lock.lockIrqsave('free_percpu');
    sizes[handle] = 0;
    this.free.push(handle);
    this.inUse--;
    this.bytes -= size * env.sched.cpus.length;
    this.lock.unlockIrqrestore(flags);
    if (this.freePoint.armed) yield* firePoint(this.freePoint, [handle]);
  }

  releaseNow(handle: number): void {
    this.env.locks.executor.drive(this.release(handle));
  }
}
