/**
 * Storages of sockets, tasks, inodes and control groups: a map whose keys are objects of the kernel, named by descriptor in
 * system calls and by pointer in programs. Models kernel/bpf/bpf_local_storage.c, net/core/bpf_sk_storage.c,
 * bpf_task_storage.c, bpf_inode_storage.c and bpf_cgrp_storage.c of Linux 6.18.
 */
import { Errno } from '../../abi/errno.js';
import { MapFlag, UpdateFlag } from '../../abi/map-flags.js';
import { MapType } from '../../abi/map-types.js';
import { Cgroup } from '../cgroup/cgroup.js';
import { Inode } from '../fs/inode.js';
import { Sock } from '../net/sock.js';
import { Task } from '../sched/task.js';
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

/** What the storage hangs on. */
export type StorageOwner = Sock | Task | Inode | Cgroup;

export class LocalStorageMap extends BpfMap {
  /** Element by owner, in the order in which they came. */
  private readonly elems = new Map<object, number>();
  private readonly pool: ElemPool;

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
    const key = attr.btf!.type(attr.btf!.skipModifiersAndTypedefs(attr.btfKeyTypeId!));
    const isInt = key.kind === 'int' && key.bits === 32 && key.bitOffset === 0;
    requireAttr(isInt, attr, 'EINVAL', 'the key is no 32-bit integer');
  }

  constructor(attr: MapAttr, host: MapHost) {
    super(attr, host);
    this.pool = new ElemPool(host.memory, 0, roundUp8(attr.valueSize), this.access);
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
    return this.store(owner, initial) < 0 ? 0 : this.find(owner);
  }

  /** bpf_*_storage_delete: 0 or -ENOENT. */
  remove(owner: object): number {
    const elem = this.elems.get(owner);
    if (elem === undefined) return -Errno.ENOENT;
    this.elems.delete(owner);
    this.dropFields(this.pool.valueAt(elem));
    this.pool.give(elem);
    if (this.charges(owner)) owner.uncharge(this.charge(owner, false));
    return 0;
  }

  /** The values that a new connection inherits from its listener (BPF_F_CLONE). */
  clone(from: Sock, to: Sock): number {
    const value = this.find(from);
    if (value === 0 || (this.mapFlags & MapFlag.BPF_F_CLONE) === 0) return 0;
    return this.store(to, value);
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
    if (old === 0 || !lock) return this.store(owner, value);
    this.copyValue(old, value);
    return 0;
  }

  override sysDelete(key: number): number {
    const owner = this.ownerOf(key);
    return typeof owner === 'number' ? owner : this.remove(owner);
  }

  override nextKey(): number {
    return -Errno.ENOTSUPP;
  }

  override release(): void {
    for (const owner of [...this.elems.keys()]) this.remove(owner);
    this.pool.release();
    super.release();
  }

  /** A new element takes an old one's place, which readers may still hold. */
  private store(owner: object, value: number): number {
    const old = this.elems.get(owner);
    if (this.charges(owner) && !owner.charge(this.charge(owner, true))) return -Errno.ENOMEM;
    const elem = this.pool.take();
    const at = this.pool.valueAt(elem);
    this.memory.u8.fill(0, at, at + roundUp8(this.valueSize));
    if (value !== 0) this.copyValue(at, value);
    if (old !== undefined) this.remove(owner);
    this.elems.set(owner, elem);
    if (this.charges(owner)) owner.storages++;
    return 0;
  }

  /** Sockets pay for what hangs on them. */
  private charges(owner: object): owner is Sock {
    return this.type === MapType.sk_storage && owner instanceof Sock;
  }

  /** Bytes that a socket pays for an element; the first and the last carry the storage itself. */
  private charge(sock: Sock, adding: boolean): number {
    if (!adding) sock.storages--;
    const alone = sock.storages === 0;
    return ELEM_OVERHEAD + this.valueSize + (alone ? STORAGE_OVERHEAD : 0);
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
