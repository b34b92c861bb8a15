/**
 * Queue and stack: values without keys, pushed and popped under one lock. Models kernel/bpf/queue_stack_maps.c; which lock,
 * and what an NMI does that finds it taken, are the profile's `queueLock` and `queueNmi`.
 */
import { Errno } from '../../abi/errno.js';
import { MapFlag, UpdateFlag } from '../../abi/map-flags.js';
import { MapType } from '../../abi/map-types.js';
import type { Region } from '../../vm/index.js';
import type { MapLock } from '../locking/map-lock.js';
import { type Flow, point } from '../sched/flow.js';
import {
  ACCESS_FLAGS,
  accessFlagsOk,
  BpfMap,
  KMALLOC_MAX_SIZE,
  type MapAttr,
  type MapHost,
  requireAttr,
  requireMemory,
} from './map.js';

/** Interrupts are on, and no lock is held. */
const BEFORE_LOCK = point('qs->lock');
/** Bytes that are copied at once. */
const CACHE_LINE = 64;
const UNDER_LOCK = point('under qs->lock');
const PUSH = 'queue_stack_map_push_elem';
const TAKE = '__queue_map_get';
const CREATE_FLAGS = MapFlag.BPF_F_NUMA_NODE | ACCESS_FLAGS;

export class QueueStackMap extends BpfMap {
  private readonly elements: Region;
  /** Slots: one more than there are entries, so that full and empty differ. */
  private readonly slots: number;
  private head = 0;
  private tail = 0;
  private readonly lock: MapLock;

  static check(attr: MapAttr): void {
    const { mapFlags, valueSize } = attr;
    requireAttr(attr.maxEntries > 0, attr, 'EINVAL', 'max_entries is 0');
    requireAttr(attr.keySize === 0, attr, 'EINVAL', 'it has no keys: key size must be 0');
    requireAttr(valueSize > 0, attr, 'EINVAL', 'value size is 0');
    requireAttr(
      (mapFlags & ~CREATE_FLAGS) === 0 && accessFlagsOk(mapFlags),
      attr,
      'EINVAL',
      'flags it does not take',
    );
    requireAttr(valueSize <= KMALLOC_MAX_SIZE, attr, 'E2BIG', 'value size is too large');
    requireAttr(attr.maxEntries < Math.floor(0xffffffff / valueSize), attr, 'E2BIG', 'too many entries');
  }

  constructor(attr: MapAttr, host: MapHost) {
    requireMemory(attr, (attr.maxEntries + 1) * attr.valueSize);
    super(attr, host);
    this.slots = attr.maxEntries + 1;
    this.elements = host.memory.alloc(this.slots * attr.valueSize, 'none');
    const { queueLock, queueNmi } = host.sched.profile;
    this.lock = host.locks.map(queueLock, '&qs->lock', queueNmi);
  }

  get size(): number {
    return (this.head - this.tail + this.slots) % this.slots;
  }

  override push(value: number, flags: number): number {
    if (!this.host.sched.quiet) return this.host.executor.drive(this.pushFlow(value, flags));
    if (!pushFlagsOk(flags)) return -Errno.EINVAL;
    // Whatever keeps the lock from being had, the answer is the same.
    if (this.lock.lockNow(PUSH) !== 0) return -Errno.EBUSY;
    const result = this.pushLocked(value, flags);
    this.lock.unlock();
    return result;
  }

  override *pushFlow(value: number, flags: number): Flow<number> {
    if (!pushFlagsOk(flags)) return -Errno.EINVAL;
    if (this.host.sched.interleaved) yield BEFORE_LOCK;
    if ((yield* this.lock.lock(PUSH)) !== 0) return -Errno.EBUSY;
    if (this.host.sched.interleaved) yield UNDER_LOCK;
    this.chargeCopy();
    const result = this.pushLocked(value, flags);
    this.lock.unlock();
    return result;
  }

  override pop(value: number): number {
    return this.takeNow(value, true);
  }

  override peek(value: number): number {
    return this.takeNow(value, false);
  }

  override popFlow(value: number): Flow<number> {
    return this.takeFlow(value, true);
  }

  override peekFlow(value: number): Flow<number> {
    return this.takeFlow(value, false);
  }

  override update(): number {
    return -Errno.EINVAL;
  }

  override delete(): number {
    return -Errno.EINVAL;
  }

  override nextKey(): number {
    return -Errno.EINVAL;
  }

  /** The system calls' look-up peeks, update pushes, look-up-and-delete pops. */
  override sysLookup(_key: number, value: number): number {
    return this.peek(value);
  }

  override sysUpdate(_key: number, value: number, flags: number): number {
    return this.push(value, flags);
  }

  override sysLookupAndDelete(_key: number, value: number): number {
    return this.pop(value);
  }

  override sysLookupFlow(_key: number, value: number): Flow<number> {
    return this.peekFlow(value);
  }

  override sysUpdateFlow(_key: number, value: number, flags: number): Flow<number> {
    return this.pushFlow(value, flags);
  }

  override sysLookupAndDeleteFlow(_key: number, value: number): Flow<number> {
    return this.popFlow(value);
  }

  /** Values as pops would give them, without popping. */
  *values(): Generator<Uint8Array> {
    for (let i = 0; i < this.size; i++) {
      const slot = this.type === MapType.queue ? this.tail + i : this.head - 1 - i + this.slots;
      const at = this.at(slot % this.slots);
      yield this.memory.u8.slice(at, at + this.valueSize);
    }
  }

  override release(): void {
    this.memory.free(this.elements);
    super.release();
  }

  private chargeCopy(): void {
    const { sched } = this.host;
    sched.charge(Math.ceil(this.valueSize / CACHE_LINE) * sched.costs.copyLine);
  }

  private pushLocked(value: number, flags: number): number {
    if (this.size === this.maxEntries) {
      if (flags !== UpdateFlag.BPF_EXIST) return -Errno.E2BIG;
      this.tail = (this.tail + 1) % this.slots; // the oldest makes room
    }
    const to = this.at(this.head);
    this.memory.u8.copyWithin(to, value, value + this.valueSize);
    this.head = (this.head + 1) % this.slots;
    return 0;
  }

  private takeNow(value: number, remove: boolean): number {
    if (!this.host.sched.quiet) return this.host.executor.drive(this.takeFlow(value, remove));
    if (this.lock.lockNow(TAKE) !== 0) return -Errno.EBUSY;
    const result = this.take(value, remove);
    this.lock.unlock();
    return result;
  }

  private *takeFlow(value: number, remove: boolean): Flow<number> {
    if (this.host.sched.interleaved) yield BEFORE_LOCK;
    if ((yield* this.lock.lock(TAKE)) !== 0) return -Errno.EBUSY;
    if (this.host.sched.interleaved) yield UNDER_LOCK;
    this.chargeCopy();
    const result = this.take(value, remove);
    this.lock.unlock();
    return result;
  }

  private take(value: number, remove: boolean): number {
    const { u8 } = this.memory;
    if (this.head === this.tail) {
      u8.fill(0, value, value + this.valueSize);
      return -Errno.ENOENT;
    }
    const fifo = this.type === MapType.queue;
    const slot = fifo ? this.tail : (this.head - 1 + this.slots) % this.slots;
    u8.copyWithin(value, this.at(slot), this.at(slot) + this.valueSize);
    if (!remove) return 0;
    if (fifo) this.tail = (this.tail + 1) % this.slots;
    else this.head = slot;
    return 0;
  }

  private at(slot: number): number {
    return this.elements.address32 + slot * this.valueSize;
  }
}

function pushFlagsOk(flags: number): boolean {
  return flags === UpdateFlag.BPF_ANY || flags === UpdateFlag.BPF_EXIST;
}
