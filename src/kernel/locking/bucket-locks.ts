/**
 * The locks of a hash map's buckets: a union of raw and regular (or a resilient lock), chosen by how the map allocates,
 * by RT and by the profile, never by who uses it; around it, in some kernels, the counters `map_locked` that turn
 * recursion into -EBUSY. A lock object exists only while somebody has or wants it. Models htab_lock_bucket in
 * kernel/bpf/hashtab.c (5.6 to 6.18).
 */
import { Errno } from '../../abi/errno.js';
import { type Flow, point } from '../sched/flow.js';
import { preemptible } from '../sched/preempt.js';
import type { Sched } from '../sched/sched.js';
import type { MapLock, MapLockKind } from './map-lock.js';

/** Counters that the buckets of a map share (HASHTAB_MAP_LOCK_COUNT). */
const MAP_LOCK_COUNT = 8;
/** Power of two. */
const TOUCH_NAMES = 64;
const SPLIT = point('map_locked increment');

export interface BucketLockOptions {
  /** Power of two. */
  readonly buckets: number;
  readonly kind: MapLockKind;
  /** Makes one more lock object. */
  readonly make: () => MapLock;
  /** Called when the map is gone. */
  readonly freed?: () => void;
}

export class BucketLocks {
  readonly kind: MapLockKind;
  private readonly sched: Sched;
  private readonly mask: number;
  /** By bucket: 0, or the number of its lock object. */
  private readonly slots: Int32Array;
  /** Lock objects by number, and for how many they are in use; number 0 is none. */
  private readonly objects: (MapLock | undefined)[] = [undefined];
  private readonly users: number[] = [0];
  private readonly unused: number[] = [];
  /** Whether interrupts were off before `map_locked`, by lock object. */
  private readonly flags: boolean[] = [false];
  /** Buckets by which an explorer tells steps apart that have nothing to do with each other. */
  private readonly touchNames: readonly object[] = Array.from({ length: TOUCH_NAMES }, () => ({}));
  private readonly make: () => MapLock;
  /** The one lock object that is taken without any bookkeeping while nothing watches; its bucket, or -1. */
  private quick: MapLock;
  private quickBucket = -1;
  private quickIrqsBefore = false;
  private readonly freed: (() => void) | undefined;
  /** `map_locked`, by CPU and index; undefined in kernels that have none. */
  private readonly counters: Int32Array | undefined;
  private readonly counterMask: number;

  constructor(sched: Sched, options: BucketLockOptions) {
    const { profile } = sched;
    this.sched = sched;
    this.kind = options.kind;
    this.make = options.make;
    this.quick = options.make();
    this.freed = options.freed;
    this.mask = options.buckets - 1;
    this.slots = new Int32Array(options.buckets);
    const counted = profile.bucketLock === 'union+mapLocked' || profile.bucketLock === 'raw+mapLocked';
    this.counters = counted ? new Int32Array(sched.cpus.length * MAP_LOCK_COUNT) : undefined;
    this.counterMask =
      profile.mapLockedMask === 'min' ? Math.min(MAP_LOCK_COUNT - 1, this.mask) : MAP_LOCK_COUNT - 1;
  }

  /**
   * htab_lock_bucket for the bucket of a hash: 0 with the lock taken, else -EBUSY (`map_locked`), -EDEADLK or
   * -ETIMEDOUT (resilient) with nothing taken.
   */
  *lock(hash: number, place: string): Flow<number> {
    const { counters, sched } = this;
    const bucket = hash & this.mask;
    let irqsBefore = false;
    if (counters !== undefined) {
      irqsBefore = this.guard(place);
      const at = this.counterOf(hash);
      const value = counters[at]!;
      sched.touch(counters, true);
      // Where the task is only pinned, another one can come between the load and the store.
      if (sched.interleaved && preemptible(sched.here)) yield SPLIT;
      if (!this.count(counters, at, value, irqsBefore)) return -Errno.EBUSY;
    }
    sched.touch(this.touchNames[bucket & (TOUCH_NAMES - 1)]!, true);
    const lock = this.use(bucket);
    const result = yield* lock.lock(place);
    if (result === 0) this.flags[this.slots[bucket]!] = irqsBefore;
    else this.disuse(bucket);
    return result;
  }

  /** The same in plain code. */
  lockNow(hash: number, place: string): number {
    const { counters, sched } = this;
    const bucket = hash & this.mask;
    let irqsBefore = false;
    if (counters !== undefined) {
      irqsBefore = this.guard(place);
      const at = this.counterOf(hash);
      if (!this.count(counters, at, counters[at]!, irqsBefore)) return -Errno.EBUSY;
    }
    if (this.quickBucket < 0 && this.slots[bucket] === 0 && sched.quiet) {
      this.quickBucket = bucket;
      this.quickIrqsBefore = irqsBefore;
      return this.quick.lockNow(place);
    }
    const result = this.use(bucket).lockNow(place);
    if (result === 0) this.flags[this.slots[bucket]!] = irqsBefore;
    else this.disuse(bucket);
    return result;
  }

  unlock(hash: number): void {
    const { sched, counters } = this;
    const bucket = hash & this.mask;
    let irqsBefore: boolean;
    if (bucket === this.quickBucket) {
      this.quick.unlock();
      this.quickBucket = -1;
      irqsBefore = this.quickIrqsBefore;
    } else {
      const number = this.slots[bucket]!;
      if (sched.onTouch !== undefined) {
        sched.touch(this.touchNames[bucket & (TOUCH_NAMES - 1)]!, true);
        if (counters !== undefined) sched.touch(counters, true);
      }
      this.objects[number]!.unlock();
      this.disuse(bucket);
      irqsBefore = this.flags[number]!;
    }
    if (counters === undefined) return;
    counters[this.counterOf(hash)]!--;
    this.unguard(irqsBefore);
  }

  /** The map is gone, and with it the lock class that it may have had for itself. */
  free(): void {
    this.freed?.();
  }

  /** Whether somebody has the lock of a hash's bucket. */
  isLocked(hash: number): boolean {
    const bucket = hash & this.mask;
    return bucket === this.quickBucket || (this.objects[this.slots[bucket]!]?.locked ?? false);
  }

  /** Sum of the `map_locked` counters: 0 where nobody is inside. */
  get inside(): number {
    return this.counters?.reduce((sum, value) => sum + value, 0) ?? 0;
  }

  /** The lock object of a bucket, for one more user. */
  private use(bucket: number): MapLock {
    if (bucket === this.quickBucket) this.settleQuick();
    let number = this.slots[bucket]!;
    if (number === 0) {
      number = this.unused.pop() ?? this.objects.push(this.make()) - 1;
      this.slots[bucket] = number;
      this.users[number] = 0;
    }
    this.users[number]!++;
    return this.objects[number]!;
  }

  /** Somebody else wants the bucket whose lock was taken the quick way: it becomes one like the others. */
  private settleQuick(): void {
    const number = this.objects.push(this.quick) - 1;
    this.slots[this.quickBucket] = number;
    this.users[number] = 1;
    this.flags[number] = this.quickIrqsBefore;
    this.quickBucket = -1;
    this.quick = this.make();
  }

  private disuse(bucket: number): void {
    const number = this.slots[bucket]!;
    if (--this.users[number]! > 0) return;
    this.slots[bucket] = 0;
    this.unused.push(number);
  }

  private counterOf(hash: number): number {
    return this.sched.here.id * MAP_LOCK_COUNT + (hash & this.counterMask);
  }

  /** Counts up from a loaded value, or says that somebody on this CPU is inside already. */
  private count(counters: Int32Array, at: number, value: number, irqsBefore: boolean): boolean {
    if (value === 0) {
      counters[at] = 1;
      return true;
    }
    this.unguard(irqsBefore);
    return false;
  }

  /** What keeps the counter's CPU: migration, preemption or interrupts off. Whether interrupts were off. */
  private guard(place: string): boolean {
    const { sched } = this;
    const { mapLockedGuard } = sched.profile;
    if (mapLockedGuard === 'irq') return sched.irqSave(place);
    if (mapLockedGuard === 'migrate') sched.migrateDisable(place);
    else sched.preemptDisable(place);
    return false;
  }

  private unguard(irqsBefore: boolean): void {
    const { sched } = this;
    const { mapLockedGuard } = sched.profile;
    if (mapLockedGuard === 'irq') sched.irqRestore(irqsBefore);
    else if (mapLockedGuard === 'migrate') sched.migrateEnable();
    else sched.preemptEnable();
  }
}
