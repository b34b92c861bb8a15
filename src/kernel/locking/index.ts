/** The locks of a kernel: makes them, and keeps what they share. `machine.locks`. */

import type { Executor } from '../sched/executor.js';
import type { Sched } from '../sched/sched.js';
import type { Task } from '../sched/task.js';
import type { ProbePoint } from '../trace/probes.js';
import { BitSpinLock } from './bit-spinlock.js';
import { BucketLocks } from './bucket-locks.js';
import { type BhControl, CountingBh, type LockEnv } from './env.js';
import { LocalLock } from './local-lock.js';
import type { LockOptions, LockWaits } from './lock.js';
import { type DepMap, LockKey, WaitType } from './lock-class.js';
import { Lockdep, type LockdepMode } from './lockdep.js';
import { type MapLock, type MapLockKind, type NmiRule, RqMapLock, SpinMapLock } from './map-lock.js';
import { FairMutex, type MutexOps, RtSleepingMutex } from './mutex.js';
import { RawSpinLock, type SpinLockOps } from './raw-spinlock.js';
import { RqSpinLock, RqStates } from './rqspinlock.js';
import { RtSpinLock } from './rt-spinlock.js';
import { RtMutex } from './rtmutex.js';
import { RtRwLock, type RwLockOps, SpinningRwLock } from './rwlock.js';
import { FairRwSem, RtRwSem, type RwSemOps } from './rwsem.js';
import { SeqCount } from './seqcount.js';
import { WaitGraph } from './wait-graph.js';

export class Locks implements LockEnv {
  readonly lockdep: Lockdep;
  readonly graph: WaitGraph;
  /** Set by whoever runs softirqs. */
  bh: BhControl;
  recursiveReaders = false;
  /** Set by RCU: a task has left its outermost read section inside a lock operation. */
  onRcuOutermost: (() => void) | undefined;
  private readonly tables: RqStates;

  constructor(
    readonly sched: Sched,
    readonly executor: Executor,
    options: { lockdep?: LockdepMode } = {},
  ) {
    this.lockdep = new Lockdep(sched, options.lockdep);
    this.graph = new WaitGraph(sched);
    this.bh = new CountingBh(sched);
    sched.onIrqsOn = (softirq) => this.lockdep.irqsOn(softirq);
    this.tables = new RqStates(sched.cpus.length);
  }

  fn(name: string): ProbePoint {
    return this.sched.probes.point(name);
  }

  /** rt_mutex_adjust_pi: whoever changes a task's own priority (`normalPrio`) says so here. */
  adjustPi(task: Task): void {
    RtMutex.reprioritize(task, this.sched);
  }

  /** Something that lockdep sees as a lock and that is none, e.g. a read section of RCU. */
  depMap(key: LockKey | string, waits: LockWaits): DepMap {
    const { lockdep } = this;
    const its = key instanceof LockKey ? key : lockdep.key(key);
    return { name: its.name, key: its, cls: lockdep.classOf(its, 0, waits), id: lockdep.nextId() };
  }

  /** raw_spinlock_t: spins in every kernel. */
  raw(key: LockKey | string, options?: LockOptions): RawSpinLock {
    return new RawSpinLock(this, key, options);
  }

  /** spinlock_t: spins, or on RT sleeps. */
  spin(key: LockKey | string, options?: LockOptions): SpinLockOps {
    if (this.sched.rt) return new RtSpinLock(this, key, options);
    return new RawSpinLock(this, key, { ...options, waitType: WaitType.config });
  }

  /** rwlock_t: spins, or on RT sleeps. */
  rw(key: LockKey | string, options?: LockOptions): RwLockOps {
    return this.sched.rt ? new RtRwLock(this, key, options) : new SpinningRwLock(this, key, options);
  }

  mutex(key: LockKey | string, options?: LockOptions): MutexOps {
    return this.sched.rt ? new RtSleepingMutex(this, key, options) : new FairMutex(this, key, options);
  }

  rwsem(key: LockKey | string, options?: LockOptions): RwSemOps {
    return this.sched.rt ? new RtRwSem(this, key, options) : new FairRwSem(this, key, options);
  }

  local(key: LockKey | string, options?: LockOptions): LocalLock {
    return new LocalLock(this, key, options);
  }

  bit(name: string): BitSpinLock {
    return new BitSpinLock(this, name);
  }

  /** `lock`: what writers hold, where that is a lock. */
  seqcount(name: string, lock?: SpinLockOps): SeqCount {
    return new SeqCount(this, name, lock);
  }

  /** rqspinlock_t. */
  rq(key: LockKey | string, options?: LockOptions): RqSpinLock {
    return new RqSpinLock(this, this.tables, key, options);
  }

  /** A map's lock of a kind. `nmi` counts only where it is not resilient. */
  map(kind: MapLockKind, key: LockKey | string, nmi: NmiRule = 'spin'): MapLock {
    if (kind === 'rq') return new RqMapLock(this.sched, this.rq(key));
    return new SpinMapLock(this.sched, kind === 'raw' ? this.raw(key) : this.spin(key), kind, nmi);
  }

  /** The bucket locks of a hash map. `buckets` is a power of two; `prealloc`: its elements are allocated in advance. */
  buckets(options: { buckets: number; prealloc: boolean }): BucketLocks {
    const kind = this.bucketKind(options.prealloc);
    const { perMapLockClass } = this.sched.profile;
    const member = kind === 'spin' ? 'lock' : 'raw_lock';
    const key = perMapLockClass ? new LockKey('&htab->lockdep_key') : `&htab->buckets[i].${member}`;
    const make = (): MapLock => this.map(kind, key);
    const freed = (): void => {
      if (key instanceof LockKey) this.lockdep.forget(key);
    };
    return new BucketLocks(this.sched, { buckets: options.buckets, kind, make, freed });
  }

  /** htab_use_raw_lock and what came before and after it. */
  private bucketKind(prealloc: boolean): MapLockKind {
    const { bucketLock } = this.sched.profile;
    if (bucketLock === 'rq') return 'rq';
    if (bucketLock === 'regular') return 'spin';
    const union = bucketLock === 'union' || bucketLock === 'union+mapLocked';
    return union && this.sched.rt && !prealloc ? 'spin' : 'raw';
  }
}
