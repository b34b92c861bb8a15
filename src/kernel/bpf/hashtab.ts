/**
 * Hash tables: plain, per CPU, and their LRU kinds: what each operation does, in which order, and under which locks. Models
 * kernel/bpf/hashtab.c (5.6 to 6.18). Each operation is a flow, and beside it plain code for when nothing can observe its
 * inside; both are made of the same steps.
 */
import { Errno } from '../../abi/errno.js';
import { MapFlag, UpdateFlag } from '../../abi/map-flags.js';
import type { BucketLocks } from '../locking/bucket-locks.js';
import { type Flow, point } from '../sched/flow.js';
import { inFunction, type ProbePoint } from '../trace/probes.js';
import { ElemAllocator } from './elem-alloc.js';
import { checkHashAttr, ELEM_HEADER, isLru } from './hash-attr.js';
import { HashTable, type TableOptions } from './hash-table.js';
import { LruList } from './lru-list.js';
import { type BatchOps, type MapAttr, type MapHost, roundUp8, updateFlagsOk } from './map.js';
import { PcpuFreelist } from './percpu-freelist.js';

/** Interrupts are on, and no lock is held. */
const BEFORE_LOCK = point('htab_lock_bucket');
const UNDER_LOCK = point('lookup_elem_raw');
const UPDATE = 'htab_map_update_elem';
const DELETE = 'htab_map_delete_elem';
const DELETE_NODE = 'htab_lru_map_delete_node';
/** In place of an element's number: there is no memory for one. */
const NO_MEMORY = -1;
/** Parts of a table that an explorer tells apart. */
const PARTS = 16;
/** Bytes that are copied at once. */
const CACHE_LINE = 64;
const BATCH = '__htab_map_lookup_and_delete_batch';

/** The functions of the kernel that a map's operations go through, for probes. */
interface Functions {
  readonly lookup: ProbePoint;
  readonly raw: ProbePoint;
  readonly update: ProbePoint;
  readonly delete: ProbePoint;
}

function functionsOf(host: MapHost, lru: boolean, perCpu: boolean): Functions {
  const { probes } = host.sched;
  const kind = `htab_${lru ? 'lru_' : ''}${perCpu ? 'percpu_' : ''}map`;
  return {
    lookup: probes.point(`${kind}_lookup_elem`),
    raw: probes.point('lookup_elem_raw'),
    update: probes.point(perCpu ? `htab_${lru ? 'lru_' : ''}percpu_map_update_elem` : `${kind}_update_elem`),
    delete: probes.point(`htab_${lru ? 'lru_' : ''}map_delete_elem`),
  };
}

export class HashMap extends HashTable {
  private readonly lru: LruList | undefined;
  private readonly freelist: PcpuFreelist | undefined;
  private readonly allocator: ElemAllocator | undefined;
  /** One spare element a CPU, exchanged for the old one when a preallocated map replaces a value. */
  private readonly extra: number[] = [];
  private readonly locks: BucketLocks;
  private readonly functions: Functions;
  private readonly parts: readonly object[] = Array.from({ length: PARTS }, () => ({}));

  static check(attr: MapAttr): void {
    checkHashAttr(attr);
  }

  constructor(attr: MapAttr, host: MapHost, options: TableOptions = {}) {
    super(attr, host, options);
    const lru = isLru(attr);
    if (lru) {
      const perCpuLru = (this.mapFlags & MapFlag.BPF_F_NO_COMMON_LRU) !== 0;
      this.lru = new LruList(host, this.maxEntries, perCpuLru, {
        now: (node) => this.evictNow(node),
        flow: (node) => this.evictFlow(node),
      });
    } else if (this.prealloc) {
      this.freelist = new PcpuFreelist(host, this.maxEntries);
      if (!this.inPlace) for (let cpu = 0; cpu < host.cpus; cpu++) this.extra.push(this.maxEntries + 1 + cpu);
    } else {
      const part = this.valuePerCpu ? this.stride : 0;
      const elem = ELEM_HEADER + roundUp8(this.keySize) + (this.valuePerCpu ? 8 : this.stride);
      this.allocator = new ElemAllocator(host, { elem, part }, (free) => this.pool.give(free));
    }
    this.locks = host.locks.buckets({ buckets: this.bucketCount, prealloc: this.prealloc });
    this.functions = functionsOf(host, lru, this.valuePerCpu);
  }

  override release(): void {
    this.allocator?.destroy();
    this.locks.free();
    super.release();
  }

  /** Sum of the `map_locked` counters, for whoever checks that they are back at zero. */
  get mapLocked(): number {
    return this.locks.inside;
  }

  override get batchOps(): BatchOps {
    return { lookup: 'buckets', lookupAndDelete: 'buckets', update: true, delete: true };
  }

  // Look-ups, which take no lock

  override lookup(key: number): number {
    if (!this.host.sched.quiet) return this.host.executor.drive(this.probedLookup(key));
    return this.lookupNow(key);
  }

  override lookupFlow(key: number): Flow<number> {
    return this.probedLookup(key);
  }

  private *probedLookup(key: number): Flow<number> {
    const { lookup, raw } = this.functions;
    const { calls } = this.host.sched.here;
    const map = this;
    return yield* inFunction(calls, lookup, [this.header.address, this.memory.addressOf(key)], function* () {
      return yield* inFunction(calls, raw, [], function* () {
        return map.lookupNow(key);
      });
    });
  }

  private lookupNow(key: number): number {
    if (this.host.sched.onTouch !== undefined) this.touchBucket(this.hashOf(key));
    const elem = this.find(key);
    if (elem === 0) return 0;
    this.lru?.touch(elem);
    const value = this.pool.valueAt(elem);
    return this.valuePerCpu ? value + this.host.cpu * this.stride : value;
  }

  /** bpf_map_lookup_percpu_elem. */
  lookupCpu(key: number, cpu: number): number {
    const elem = cpu < this.host.cpus ? this.find(key) : 0;
    if (elem === 0) return 0;
    this.lru?.touch(elem);
    return this.pool.valueAt(elem) + cpu * this.stride;
  }

  /** Does not count as a use, unlike a program's look-up. */
  override sysLookup(key: number, value: number, _flags = 0): number {
    const elem = this.find(key);
    if (elem === 0) return -Errno.ENOENT;
    this.showElem(elem, value);
    return 0;
  }

  // Updates

  override update(key: number, value: number, flags: number): number {
    if (!this.host.sched.quiet) return this.host.executor.drive(this.storeFlow(key, value, flags, false));
    return this.storeNow(key, value, flags, false);
  }

  override sysUpdate(key: number, value: number, flags: number): number {
    if (!this.host.sched.quiet) return this.host.executor.drive(this.storeFlow(key, value, flags, true));
    return this.storeNow(key, value, flags, true);
  }

  override updateFlow(key: number, value: number, flags: number): Flow<number> {
    return this.storeFlow(key, value, flags, false);
  }

  override sysUpdateFlow(key: number, value: number, flags: number): Flow<number> {
    return this.storeFlow(key, value, flags, true);
  }

  private storeNow(key: number, value: number, flags: number, sys: boolean): number {
    if (flags > UpdateFlag.BPF_EXIST) {
      const result = this.lockedValue(key, value, flags);
      if (result <= 0) return result;
      return this.insertNow(key, value, flags & ~UpdateFlag.BPF_F_LOCK, sys);
    }
    return this.lru === undefined
      ? this.insertNow(key, value, flags, sys)
      : this.insertLruNow(this.lru, key, value, flags, sys);
  }

  private *storeFlow(key: number, value: number, flags: number, sys: boolean): Flow<number> {
    const { memory, host } = this;
    const args = [this.header.address, memory.addressOf(key), memory.addressOf(value), flags];
    return yield* inFunction(host.sched.here.calls, this.functions.update, args, () =>
      this.storeBody(key, value, flags, sys),
    );
  }

  private *storeBody(key: number, value: number, flags: number, sys: boolean): Flow<number> {
    let mode = flags;
    if (flags > UpdateFlag.BPF_EXIST) {
      const result = this.lockedValue(key, value, flags);
      if (result <= 0) return result;
      mode &= ~UpdateFlag.BPF_F_LOCK;
    }
    return this.lru === undefined
      ? yield* this.insertFlow(key, value, mode, sys)
      : yield* this.insertLruFlow(this.lru, key, value, mode, sys);
  }

  /**
   * BPF_F_LOCK: the value's own lock guards the copy, which is made in place. A result above 0 says that there is no
   * element yet.
   */
  private lockedValue(key: number, value: number, flags: number): number {
    if (!updateFlagsOk(flags)) return -Errno.EINVAL;
    const lockable = this.record !== undefined && this.record.spinLock >= 0;
    if (!lockable || this.lru !== undefined || this.inPlace) return -Errno.EINVAL;
    const old = this.find(key);
    const refused = checkFlags(old, flags & ~UpdateFlag.BPF_F_LOCK);
    if (refused !== 0) return refused;
    if (old === 0) return 1;
    this.copyValue(this.pool.valueAt(old), value);
    return 0;
  }

  private insertNow(key: number, value: number, flags: number, sys: boolean): number {
    const hash = this.hashOf(key);
    const busy = this.locks.lockNow(hash, UPDATE);
    if (busy !== 0) return busy;
    const old = this.findHashed(key, hash);
    let result = checkFlags(old, flags);
    if (result === 0) {
      if (old !== 0 && this.inPlace) this.replaceInPlace(old, value, sys);
      else result = this.publish(old, this.spareFor(old) || this.takeNow(old), key, hash, value, sys);
    }
    this.locks.unlock(hash);
    if (result === 0) this.freeReplacedNow(old);
    return result;
  }

  private *insertFlow(key: number, value: number, flags: number, sys: boolean): Flow<number> {
    const hash = this.hashOf(key);
    if (this.host.sched.interleaved) yield BEFORE_LOCK;
    const busy = yield* this.locks.lock(hash, UPDATE);
    if (busy !== 0) return busy;
    const old = yield* this.findRaw(key, hash);
    let result = checkFlags(old, flags);
    if (result === 0) {
      if (old !== 0 && this.inPlace) this.replaceInPlace(old, value, sys);
      else
        result = this.publish(old, this.spareFor(old) || (yield* this.takeFlow(old)), key, hash, value, sys);
    }
    this.charge(0, 1);
    this.locks.unlock(hash);
    if (result === 0) yield* this.freeReplacedFlow(old);
    return result;
  }

  /** The look-up under the bucket's lock, which programs can be attached to. */
  private *findRaw(key: number, hash: number): Flow<number> {
    const map = this;
    return yield* inFunction(this.host.sched.here.calls, this.functions.raw, [], function* () {
      // Where an NMI finds the bucket locked by what it interrupts.
      if (map.host.sched.interleaved) yield UNDER_LOCK;
      map.touchBucket(hash);
      const elem = map.findHashed(key, hash);
      map.charge(map.depthOf(elem, hash), 0);
      return elem;
    });
  }

  /** The time that looking at elements and copying whole ones take, under the bucket's lock. */
  private charge(looked: number, copied: number): void {
    const { sched } = this.host;
    const lines = Math.ceil((this.keySize + this.syscallValueSize) / CACHE_LINE);
    sched.charge(looked * sched.costs.element + copied * lines * sched.costs.copyLine);
  }

  /** Tells an explorer which part of the table a step depends on. */
  private touchBucket(hash: number): void {
    const { sched } = this.host;
    if (sched.onTouch !== undefined) sched.touch(this.parts[hash & (PARTS - 1)]!, true);
  }

  /** This CPU's spare element, in exchange for the one that is replaced; 0 where there are none. */
  private spareFor(old: number): number {
    if (old === 0 || !this.prealloc) return 0;
    const { cpu } = this.host;
    const fresh = this.extra[cpu]!;
    this.extra[cpu] = old;
    return this.reach(fresh);
  }

  /** An element for a new key, or 0. */
  private takeNow(old: number): number {
    if (this.allocator !== undefined) {
      if (this.isFull(old)) return 0;
      const elem = this.allocator.takeNow(this.numbered);
      return elem === 0 ? NO_MEMORY : elem;
    }
    const fresh = this.freelist!.popNow();
    return fresh === 0 ? 0 : this.reach(fresh);
  }

  private *takeFlow(old: number): Flow<number> {
    if (this.allocator !== undefined) {
      if (this.isFull(old)) return 0;
      const elem = yield* this.allocator.takeFlow(this.numbered);
      return elem === 0 ? NO_MEMORY : elem;
    }
    const fresh = yield* this.freelist!.popFlow();
    return fresh === 0 ? 0 : this.reach(fresh);
  }

  private isFull(old: number): boolean {
    return old === 0 && this.size >= this.maxEntries;
  }

  /** A number for an element that was allocated. */
  private readonly numbered = (): number => this.reach(this.pool.take());

  /** The new element comes to the front of its bucket, the old one goes. */
  private publish(
    old: number,
    fresh: number,
    key: number,
    hash: number,
    value: number,
    sys: boolean,
  ): number {
    if (fresh <= 0) return fresh === 0 ? -Errno.E2BIG : -Errno.ENOMEM;
    this.fill(fresh, key, value, sys);
    if (old !== 0) this.unlink(old);
    this.link(fresh, hash);
    return 0;
  }

  private freeReplacedNow(old: number): void {
    if (old === 0 || this.inPlace) return;
    if (this.record !== undefined) this.freeFields(old);
    if (this.allocator !== undefined) this.allocator.giveNow(old);
  }

  private *freeReplacedFlow(old: number): Flow<void> {
    if (old === 0 || this.inPlace) return;
    this.freeFields(old);
    if (this.allocator !== undefined) yield* this.allocator.giveFlow(old);
  }

  // Updates of LRU maps, which take a free element before they look whether they need one

  private insertLruNow(lru: LruList, key: number, value: number, flags: number, sys: boolean): number {
    const hash = this.hashOf(key);
    let fresh = 0;
    if (this.needsFree(flags)) {
      fresh = lru.popNow();
      if (fresh === 0) return -Errno.ENOMEM;
      this.setHash(this.reach(fresh), hash);
    }
    const busy = this.locks.lockNow(hash, UPDATE);
    if (busy !== 0) {
      if (fresh !== 0) lru.pushNow(fresh);
      return busy;
    }
    const old = this.findHashed(key, hash);
    const refused = checkFlags(old, flags);
    const used = refused === 0 && this.publishLru(lru, old, fresh, key, hash, value, sys);
    this.locks.unlock(hash);
    const spare = used ? old : fresh;
    if (spare !== 0) this.giveBackNow(spare);
    return refused;
  }

  private *insertLruFlow(
    lru: LruList,
    key: number,
    value: number,
    flags: number,
    sys: boolean,
  ): Flow<number> {
    const hash = this.hashOf(key);
    let fresh = 0;
    if (this.needsFree(flags)) {
      fresh = yield* lru.popFlow();
      if (fresh === 0) return -Errno.ENOMEM;
      this.setHash(this.reach(fresh), hash);
    }
    if (this.host.sched.interleaved) yield BEFORE_LOCK;
    const busy = yield* this.locks.lock(hash, UPDATE);
    if (busy !== 0) {
      if (fresh !== 0) yield* lru.pushFlow(fresh);
      return busy;
    }
    const old = yield* this.findRaw(key, hash);
    const refused = checkFlags(old, flags);
    const used = refused === 0 && this.publishLru(lru, old, fresh, key, hash, value, sys);
    this.charge(0, 1);
    this.locks.unlock(hash);
    const spare = used ? old : fresh;
    if (spare !== 0) yield* this.giveBackFlow(spare);
    return refused;
  }

  private needsFree(flags: number): boolean {
    return !this.valuePerCpu || flags !== UpdateFlag.BPF_EXIST;
  }

  /** What is done under the bucket's lock; false when the new element was not needed. */
  private publishLru(
    lru: LruList,
    old: number,
    fresh: number,
    key: number,
    hash: number,
    value: number,
    sys: boolean,
  ): boolean {
    if (this.valuePerCpu && old !== 0) {
      lru.touch(old);
      this.replaceInPlace(old, value, sys);
      return false;
    }
    this.fill(fresh, key, value, sys);
    if (old !== 0) {
      lru.touch(fresh);
      this.unlink(old);
    }
    this.link(fresh, hash);
    return true;
  }

  /** An element that the LRU list wants back: out of its bucket, unless the lock cannot be had. */
  private evictNow(node: number): boolean {
    const hash = this.hashAt(node);
    if (this.locks.lockNow(hash, DELETE_NODE) !== 0) return false;
    return this.evictLocked(node, hash);
  }

  private *evictFlow(node: number): Flow<boolean> {
    const hash = this.hashAt(node);
    if ((yield* this.locks.lock(hash, DELETE_NODE)) !== 0) return false;
    return this.evictLocked(node, hash);
  }

  private evictLocked(node: number, hash: number): boolean {
    const found = this.unlink(node);
    if (found) this.freeFields(node);
    this.locks.unlock(hash);
    return found;
  }

  // Deletes

  override delete(key: number): number {
    if (!this.host.sched.quiet) return this.host.executor.drive(this.probedDelete(key));
    return this.removeNow(key, 0);
  }

  override deleteFlow(key: number): Flow<number> {
    return this.probedDelete(key);
  }

  private *probedDelete(key: number): Flow<number> {
    const args = [this.header.address, this.memory.addressOf(key)];
    return yield* inFunction(this.host.sched.here.calls, this.functions.delete, args, () =>
      this.removeFlow(key, 0),
    );
  }

  override sysDeleteFlow(key: number): Flow<number> {
    return this.probedDelete(key);
  }

  override sysLookupAndDelete(key: number, value: number, _flags = 0): number {
    if (!this.host.sched.quiet) return this.host.executor.drive(this.removeFlow(key, value));
    return this.removeNow(key, value);
  }

  override sysLookupAndDeleteFlow(key: number, value: number, _flags = 0): Flow<number> {
    return this.removeFlow(key, value);
  }

  /** @param value where the value is copied to first; 0 for nowhere */
  private removeNow(key: number, value: number): number {
    const hash = this.hashOf(key);
    const busy = this.locks.lockNow(hash, DELETE);
    if (busy !== 0) return busy;
    const elem = this.findHashed(key, hash);
    if (elem !== 0) {
      if (value !== 0) this.showElem(elem, value);
      this.unlink(elem);
      if (this.lru === undefined) this.giveBackNow(elem);
    }
    this.locks.unlock(hash);
    if (elem !== 0 && this.lru !== undefined) this.giveBackNow(elem);
    return elem === 0 ? -Errno.ENOENT : 0;
  }

  private *removeFlow(key: number, value: number): Flow<number> {
    const hash = this.hashOf(key);
    if (this.host.sched.interleaved) yield BEFORE_LOCK;
    const busy = yield* this.locks.lock(hash, DELETE);
    if (busy !== 0) return busy;
    const elem = yield* this.findRaw(key, hash);
    if (elem !== 0) {
      if (value !== 0) this.showElem(elem, value);
      this.unlink(elem);
      if (this.lru === undefined) yield* this.giveBackFlow(elem);
    }
    this.locks.unlock(hash);
    if (elem !== 0 && this.lru !== undefined) yield* this.giveBackFlow(elem);
    return elem === 0 ? -Errno.ENOENT : 0;
  }

  private giveBackNow(elem: number): void {
    this.freeFields(elem);
    if (this.lru !== undefined) this.lru.pushNow(elem);
    else if (this.freelist !== undefined) this.freelist.pushNow(elem);
    else this.allocator!.giveNow(elem);
  }

  private *giveBackFlow(elem: number): Flow<void> {
    this.freeFields(elem);
    if (this.lru !== undefined) yield* this.lru.pushFlow(elem);
    else if (this.freelist !== undefined) yield* this.freelist.pushFlow(elem);
    else yield* this.allocator!.giveFlow(elem);
  }

  // Batches, a bucket at a time

  /**
   * Copies a bucket's elements out under its lock, at most `room` of them, and deletes them where asked: their number, which
   * may be more than `room`, with nothing done; or -EBUSY and the like. `visit` gets each element while it is there.
   */
  *readBucket(bucket: number, room: number, remove: boolean, visit: (elem: number) => void): Flow<number> {
    if (this.bucketElems(bucket).length === 0) return 0;
    if (this.host.sched.interleaved) yield BEFORE_LOCK;
    const busy = yield* this.locks.lock(bucket, BATCH);
    if (busy !== 0) return busy;
    const elems = this.bucketElems(bucket);
    this.charge(elems.length, elems.length <= room ? elems.length : 0);
    if (elems.length <= room) {
      for (const elem of elems) {
        visit(elem);
        if (!remove) continue;
        this.unlink(elem);
        if (this.lru === undefined) yield* this.giveBackFlow(elem);
      }
    }
    this.locks.unlock(bucket);
    if (remove && elems.length <= room && this.lru !== undefined) {
      for (const elem of elems) yield* this.giveBackFlow(elem);
    }
    return elems.length;
  }
}

/** A map that keeps something else in a hash table than what is passed: its operations are plain calls around the table's. */
export abstract class HashBackedMap extends HashMap {
  override *lookupFlow(key: number): Flow<number> {
    return this.lookup(key);
  }

  override *updateFlow(key: number, value: number, flags: number): Flow<number> {
    return this.update(key, value, flags);
  }

  override *deleteFlow(key: number): Flow<number> {
    return this.delete(key);
  }

  override *sysUpdateFlow(key: number, value: number, flags: number): Flow<number> {
    return this.sysUpdate(key, value, flags);
  }

  override *sysDeleteFlow(key: number): Flow<number> {
    return this.sysDelete(key);
  }

  override *sysLookupAndDeleteFlow(): Flow<number> {
    return -Errno.ENOTSUPP;
  }

  override sysLookupAndDelete(): number {
    return -Errno.ENOTSUPP;
  }
}

function checkFlags(old: number, flags: number): number {
  if (old !== 0 && flags === UpdateFlag.BPF_NOEXIST) return -Errno.EEXIST;
  return old === 0 && flags === UpdateFlag.BPF_EXIST ? -Errno.ENOENT : 0;
}
