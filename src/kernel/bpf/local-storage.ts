/**
 * Storages of sockets, tasks, inodes and control groups: a map whose keys are objects of the kernel, named by descriptor in
 * system calls and by pointer in programs. Models kernel/bpf/bpf_local_storage.c, net/core/bpf_sk_storage.c,
 * bpf_task_storage.c, bpf_inode_storage.c and bpf_cgrp_storage.c of Linux 6.18. Elements hang on the owner under its
 * storage's lock and on the map under one of the map's; a counter a CPU keeps programs on tasks and control groups from
 * recursing.
 */
import { Errno } from '../../abi/errno.js';
import { MapFlag, UpdateFlag } from '../../abi/map-flags.js';
import { MapType } from '../../abi/map-types.js';
import { Cgroup } from '../cgroup/cgroup.js';
import { Inode } from '../fs/inode.js';
import type { RawSpinLock } from '../locking/raw-spinlock.js';
import { Sock } from '../net/sock.js';
import type { Flow } from '../sched/flow.js';
import { Task } from '../sched/task.js';
import { inFunction, type ProbePoint } from '../trace/probes.js';
import { ElemAllocator } from './elem-alloc.js';
import { ElemPool } from './elem-pool.js';
import { BpfMap, type MapAttr, type MapHost, requireAttr, roundUp8, updateFlagsOk } from './map.js';
import { sockFromFd } from './redirect-maps.js';

const CREATE_FLAGS = MapFlag.BPF_F_NO_PREALLOC | MapFlag.BPF_F_CLONE;
/** Largest value: U16_MAX less sizeof(struct bpf_local_storage_elem). */
export const STORAGE_MAX_VALUE = 65535 - 128;
/** Bytes in front of an element's value, which a socket is charged for as well. */
const ELEM_OVERHEAD = 72;
/** sizeof(struct bpf_local_storage), charged with a socket's first element. */
const STORAGE_OVERHEAD = 184;

const UPDATE = 'bpf_local_storage_update';
const UNLINK = 'bpf_selem_unlink_storage';
const BUSY = 'bpf_task_storage_lock';

interface BusyCounters {
  readonly task: Int32Array;
  readonly cgroup: Int32Array;
}

/** By kernel. */
const busy = new WeakMap<MapHost, BusyCounters>();

/** What the storage hangs on. */
export type StorageOwner = Sock | Task | Inode | Cgroup;

export class LocalStorageMap extends BpfMap {
  /** Element by owner, in the order in which they came. */
  private readonly elems = new Map<object, number>();
  private readonly pool: ElemPool;
  private readonly nodes: ElemAllocator;
  private readonly bucketLock: RawSpinLock;
  private readonly storageLocks = new WeakMap<object, RawSpinLock>();
  private readonly fnUpdate: ProbePoint;

  static check(attr: MapAttr): void {
    const { mapFlags, valueSize } = attr;
    requireAttr((mapFlags & ~CREATE_FLAGS) === 0, attr, 'EINVAL', 'flags it does not take');
    requireAttr((mapFlags & MapFlag.BPF_F_NO_PREALLOC) !== 0, attr, 'EINVAL', 'BPF_F_NO_PREALLOC is missing');
    requireAttr(
      attr.maxEntries === 0,
      attr,
      'EINVAL',
      'its size is the number of owners: max_entries must be 0',
    );
    requireAttr(attr.keySize === 4 && valueSize > 0, attr, 'EINVAL', 'key size is not 4 or value size is 0');
    const typed = (attr.btfKeyTypeId ?? 0) !== 0 && (attr.btfValueTypeId ?? 0) !== 0;
    requireAttr(typed, attr, 'EINVAL', 'BTF of key and value is missing');
    requireAttr(valueSize <= STORAGE_MAX_VALUE, attr, 'E2BIG', 'value size is too large');
  }

  static checkBtf(attr: MapAttr): void {
    const key = attr.btf!.underlying(attr.btfKeyTypeId!);
    const isInt = key.kind === 'int' && key.bits === 32 && key.bitOffset === 0;
    requireAttr(isInt, attr, 'EINVAL', 'the key is no 32-bit integer');
  }

  constructor(attr: MapAttr, host: MapHost) {
    super(attr, host);
    this.pool = new ElemPool(host.memory, 0, roundUp8(attr.valueSize), this.access);
    const elem = ELEM_OVERHEAD + attr.valueSize;
    this.nodes = new ElemAllocator(
      host,
      { elem, part: 0 },
      (free) => this.pool.give(free),
      'bpf_selem_free_rcu',
    );
    this.bucketLock = host.locks.raw('&b->lock');
    this.fnUpdate = host.sched.probes.point(UPDATE);
  }

  /** Number of owners that have an element. */
  get size(): number {
    return this.elems.size;
  }

  /** Offset of an owner's value, or 0. */
  find(owner: object): number {
    const elem = this.elems.get(owner);
    return elem === undefined ? 0 : this.pool.valueAt(elem);
  }

  /**
   * bpf_*_storage_get: offset of the owner's value. Where there is none and `create` says so it is made, of the value
   * at offset `initial` or of zeros when that is 0; 0 when there is none.
   */
  getOrCreate(owner: StorageOwner, initial: number, create: boolean): number {
    const found = this.find(owner);
    if (found !== 0 || !create) return found;
    return this.host.executor.drive(this.getOrCreateFlow(owner, initial, create));
  }

  *getOrCreateFlow(owner: StorageOwner, initial: number, create: boolean): Flow<number> {
    const found = this.find(owner);
    if (found !== 0 || !create) return found;
    const first = this.enter();
    const result = first ? yield* this.storeFlow(owner, initial) : -Errno.EBUSY;
    this.leave();
    return result < 0 ? 0 : this.find(owner);
  }

  /** bpf_*_storage_delete: 0, -ENOENT, or -EBUSY inside another operation on this CPU. */
  remove(owner: object): number {
    return this.host.executor.drive(this.removeFlow(owner));
  }

  *removeFlow(owner: object): Flow<number> {
    if (!this.elems.has(owner)) return -Errno.ENOENT;
    const first = this.enter();
    const result = first ? yield* this.unlinkFlow(owner) : -Errno.EBUSY;
    this.leave();
    return result;
  }

  /** The values that a new connection inherits from its listener (BPF_F_CLONE). */
  clone(from: Sock, to: Sock): number {
    const value = this.find(from);
    if (value === 0 || (this.mapFlags & MapFlag.BPF_F_CLONE) === 0) return 0;
    return this.host.executor.drive(this.storeFlow(to, value));
  }

  override sysLookup(key: number, value: number, _flags = 0): number {
    const owner = this.ownerOf(key);
    if (typeof owner === 'number') return owner;
    const found = this.find(owner);
    if (found === 0) return -Errno.ENOENT;
    this.showValue(value, found);
    return 0;
  }

  override sysUpdate(key: number, value: number, flags: number): number {
    return this.host.executor.drive(this.sysUpdateFlow(key, value, flags));
  }

  override *sysUpdateFlow(key: number, value: number, flags: number): Flow<number> {
    const owner = this.ownerOf(key);
    if (typeof owner === 'number') return owner;
    // Inodes have room for storages only where the BPF security module keeps some.
    if (this.type === MapType.inode_storage && !this.host.bpfLsm) return -Errno.EBADF;
    if (!updateFlagsOk(flags)) return -Errno.EINVAL;
    const lock = (flags & UpdateFlag.BPF_F_LOCK) !== 0;
    if (lock && (this.record === undefined || this.record.spinLock < 0)) return -Errno.EINVAL;
    const mode = flags & ~UpdateFlag.BPF_F_LOCK;
    const old = this.find(owner);
    if (old !== 0 && mode === UpdateFlag.BPF_NOEXIST) return -Errno.EEXIST;
    if (old === 0 && mode === UpdateFlag.BPF_EXIST) return -Errno.ENOENT;
    if (old !== 0 && lock) {
      this.copyValue(old, value);
      return 0;
    }
    this.enter();
    const result = yield* this.storeFlow(owner, value);
    this.leave();
    return result;
  }

  override sysDelete(key: number): number {
    return this.host.executor.drive(this.sysDeleteFlow(key));
  }

  override *sysDeleteFlow(key: number): Flow<number> {
    const owner = this.ownerOf(key);
    if (typeof owner === 'number') return owner;
    this.enter();
    const result = yield* this.unlinkFlow(owner);
    this.leave();
    return result;
  }

  override nextKey(): number {
    return -Errno.ENOTSUPP;
  }

  override release(): void {
    for (const owner of [...this.elems.keys()]) this.host.executor.drive(this.unlinkFlow(owner));
    this.nodes.destroy();
    this.pool.release();
    super.release();
  }

  /** bpf_local_storage_update: a new element takes an old one's place, which readers may still hold. */
  private *storeFlow(owner: object, value: number): Flow<number> {
    const args = [this.header.address, value === 0 ? 0 : this.memory.addressOf(value)];
    return yield* inFunction(this.host.sched.here.calls, this.fnUpdate, args, () =>
      this.storeBody(owner, value),
    );
  }

  private *storeBody(owner: object, value: number): Flow<number> {
    const paid = this.charges(owner) ? this.charge(owner) : 0;
    if (this.charges(owner) && !owner.charge(paid)) return -Errno.ENOMEM;
    const elem = yield* this.nodes.takeFlow(this.numbered);
    if (elem === 0) {
      if (this.charges(owner)) owner.uncharge(paid);
      return -Errno.ENOMEM;
    }
    const at = this.pool.valueAt(elem);
    this.memory.u8.fill(0, at, at + roundUp8(this.valueSize));
    if (value !== 0) this.copyValue(at, value);
    const old = this.elems.get(owner);
    yield* this.locked(owner, UPDATE, () => this.elems.set(owner, elem));
    if (this.charges(owner)) owner.storages++;
    if (old !== undefined) yield* this.discard(owner, old);
    return 0;
  }

  private *unlinkFlow(owner: object): Flow<number> {
    const elem = this.elems.get(owner);
    if (elem === undefined) return -Errno.ENOENT;
    yield* this.locked(owner, UNLINK, () => this.elems.delete(owner));
    yield* this.discard(owner, elem);
    return 0;
  }

  private *discard(owner: object, elem: number): Flow<void> {
    this.dropFields(this.pool.valueAt(elem));
    yield* this.nodes.giveFlow(elem);
    if (!this.charges(owner)) return;
    owner.storages--;
    owner.uncharge(this.charge(owner));
  }

  /** Under the owner's lock and, inside it, the map's. */
  private *locked(owner: object, place: string, change: () => void): Flow<void> {
    const { locks } = this.host;
    let storage = this.storageLocks.get(owner);
    if (storage === undefined) {
      storage = locks.raw('&storage->lock');
      this.storageLocks.set(owner, storage);
    }
    const outer = yield* storage.lockIrqsave(place);
    const inner = yield* this.bucketLock.lockIrqsave(place);
    change();
    this.bucketLock.unlockIrqrestore(inner);
    storage.unlockIrqrestore(outer);
  }

  /** Pins the task and counts up; false where another operation is under way on this CPU. */
  private enter(): boolean {
    const { sched } = this.host;
    sched.migrateDisable(BUSY);
    const counters = this.busyCounters();
    return counters === undefined || ++counters[sched.here.id]! === 1;
  }

  private leave(): void {
    const { sched } = this.host;
    const counters = this.busyCounters();
    if (counters !== undefined) counters[sched.here.id]!--;
    sched.migrateEnable();
  }

  /** `bpf_task_storage_busy` or `bpf_cgrp_storage_busy`, which all maps of the type share. */
  private busyCounters(): Int32Array | undefined {
    if (this.type !== MapType.task_storage && this.type !== MapType.cgrp_storage) return undefined;
    let counters = busy.get(this.host);
    if (counters === undefined) {
      const { cpus } = this.host;
      counters = { task: new Int32Array(cpus), cgroup: new Int32Array(cpus) };
      busy.set(this.host, counters);
    }
    return this.type === MapType.task_storage ? counters.task : counters.cgroup;
  }

  /** A number for an element that was allocated. */
  private readonly numbered = (): number => this.pool.take();

  /** Sockets pay for what hangs on them. */
  private charges(owner: object): owner is Sock {
    return this.type === MapType.sk_storage && owner instanceof Sock;
  }

  /** Bytes that a socket pays for an element; the first and the last carry the storage itself. */
  private charge(sock: Sock): number {
    return ELEM_OVERHEAD + this.valueSize + (sock.storages === 0 ? STORAGE_OVERHEAD : 0);
  }

  /** What the key's descriptor stands for, or a negative errno. */
  private ownerOf(key: number): object | number {
    const fd = this.memory.view.getInt32(key, true);
    if (this.type === MapType.sk_storage) return sockFromFd(this.host, fd);
    const file = this.host.files.get(fd);
    if (this.type === MapType.inode_storage) return file === undefined ? -Errno.EBADF : inodeOf(file);
    if (file instanceof Task && this.type === MapType.task_storage) return file;
    return file instanceof Cgroup && this.type === MapType.cgrp_storage ? file : -Errno.EBADF;
  }
}

/** Maps, programs, events and the like share one inode; a socket stands for its own. */
const ANONYMOUS = {};

function inodeOf(file: object): object {
  return file instanceof Inode || file instanceof Sock || file instanceof Cgroup ? file : ANONYMOUS;
}
