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
const SPLIT = point('map_locked increment');

export interface BucketLockOptions {
  /** Power of two. */
  readonly buckets: number;
  readonly kind: MapLockKind;
  /** Makes one more lock object. */
  readonly make: () => MapLock;
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
  private readonly free: number[] = [];
  private readonly make: () => MapLock;
  /** `map_locked`, by CPU and index; undefined in kernels that have none. */
  private readonly counters: Int32Array | undefined;
  private readonly counterMask: number;

  constructor(sched: Sched, options: BucketLockOptions) {
    const { profile } = sched;
    this.sched = sched;
    this.kind = options.kind;
    this.make = options.make;
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
    if (this.counters !== undefined) {
      const counted = yield* this.countUp(this.counters, hash, place);
      if (counted !== 0) return counted;
    }
    const result = yield* this.use(hash & this.mask).lock(place);
    if (result !== 0) this.disuse(hash & this.mask);
    return result;
  }

  /** The same in plain code. */
  lockNow(hash: number, place: string): number {
    if (this.counters !== undefined) {
      const counted = this.countUpNow(this.counters, hash, place);
      if (counted !== 0) return counted;
    }
    const result = this.use(hash & this.mask).lockNow(place);
    if (result !== 0) this.disuse(hash & this.mask);
    return result;
  }

  unlock(hash: number): void {
    const bucket = hash & this.mask;
    this.objects[this.slots[bucket]!]!.unlock();
    this.disuse(bucket);
    if (this.counters !== undefined) this.countDown(this.counters, hash);
  }

  /** Whether somebody has the lock of a hash's bucket. */
  isLocked(hash: number): boolean {
    return this.objects[this.slots[hash & this.mask]!]?.locked ?? false;
  }

  /** The lock object of a bucket, for one more user. */
  private use(bucket: number): MapLock {
    let number = this.slots[bucket]!;
    if (number === 0) {
      number = this.free.pop() ?? this.objects.push(this.make()) - 1;
      this.slots[bucket] = number;
      this.users[number] = 0;
    }
    this.users[number]!++;
    return this.objects[number]!;
  }

  private disuse(bucket: number): void {
    const number = this.slots[bucket]!;
    if (--this.users[number]! > 0) return;
    this.slots[bucket] = 0;
    this.free.push(number);
  }

  private counterOf(hash: number): number {
    return this.sched.here.id * MAP_LOCK_COUNT + (hash & this.counterMask);
  }

  private *countUp(counters: Int32Array, hash: number, place: string): Flow<number> {
    this.guard(place);
    const at = this.counterOf(hash);
    const value = counters[at]!;
    // Where the task is only pinned, another one can come between the load and the store.
    if (this.sched.interleaved && preemptible(this.sched.here)) yield SPLIT;
    return this.counted(counters, at, value);
  }

  private countUpNow(counters: Int32Array, hash: number, place: string): number {
    this.guard(place);
    const at = this.counterOf(hash);
    return this.counted(counters, at, counters[at]!);
  }

  private counted(counters: Int32Array, at: number, value: number): number {
    if (value === 0) {
      counters[at] = 1;
      return 0;
    }
    this.unguard();
    return -Errno.EBUSY;
  }

  private countDown(counters: Int32Array, hash: number): void {
    counters[this.counterOf(hash)]!--;
    this.unguard();
  }

  /** What keeps the counter's CPU: migration, preemption or interrupts off. */
  private guard(place: string): void {
    const { sched } = this;
    const { mapLockedGuard } = sched.profile;
    if (mapLockedGuard === 'migrate') sched.migrateDisable(place);
    else sched.preemptDisable(place);
  }

  private unguard(): void {
    const { sched } = this;
    if (sched.profile.mapLockedGuard === 'migrate') sched.migrateEnable();
    else sched.preemptEnable();
  }
}
