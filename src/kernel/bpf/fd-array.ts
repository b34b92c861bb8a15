/**
 * Arrays of things that user space names by file descriptor: programs (for tail calls), perf events, maps, control groups.
 * Models the `fd_array` part of kernel/bpf/arraymap.c of Linux 6.18. What an element refers to is kept on the host's side.
 */
import { Errno } from '../../abi/errno.js';
import { MapFlag } from '../../abi/map-flags.js';
import { Cgroup } from '../cgroup/cgroup.js';
import { checkArrayAttr, IndexedMap } from './arraymap.js';
import { type BatchOps, type BpfMap, type MapAttr, type MapHost, requireAttr, requireMemory } from './map.js';
import { checkInner, mapFromFd, sameShape } from './map-in-map.js';
import { type BpfProg, isProg } from './prog.js';

function checkFdArray(attr: MapAttr): void {
  requireAttr(attr.valueSize === 4, attr, 'EINVAL', `value size is ${attr.valueSize}, not 4`);
  const programOnly = MapFlag.BPF_F_RDONLY_PROG | MapFlag.BPF_F_WRONLY_PROG;
  requireAttr((attr.mapFlags & programOnly) === 0, attr, 'EINVAL', 'flags it does not take');
  checkArrayAttr(attr);
}

/** Elements are objects of the kernel; `T` is what an element refers to. */
abstract class FdArrayMap<T extends object> extends IndexedMap {
  readonly slots: (T | undefined)[];

  constructor(attr: MapAttr, host: MapHost) {
    requireMemory(attr, attr.maxEntries * 8);
    super(attr, host);
    this.slots = new Array<T | undefined>(attr.maxEntries).fill(undefined);
  }

  /** BPF_MAP_UPDATE_ELEM with what the file descriptor stands for: 0 or a negative errno. */
  setSlot(index: number, target: T, flags = 0): number {
    const refused = this.checkSlot(index, flags);
    return refused !== 0 ? refused : this.store(index, target);
  }

  override update(): number {
    return -Errno.EINVAL;
  }

  override sysUpdate(key: number, value: number, flags: number): number {
    const index = this.index(key);
    const refused = this.checkSlot(index, flags);
    if (refused !== 0) return refused;
    const target = this.fromFd(this.memory.view.getInt32(value, true));
    return typeof target === 'number' ? target : this.store(index, target);
  }

  override delete(key: number): number {
    const index = this.index(key);
    if (index >= this.maxEntries) return -Errno.E2BIG;
    if (this.slots[index] === undefined) return -Errno.ENOENT;
    this.slots[index] = undefined;
    return 0;
  }

  override get syscallValueSize(): number {
    return 4;
  }

  override sysLookup(key: number, value: number, _flags = 0): number {
    const target = this.slots[this.index(key)];
    if (target === undefined) return -Errno.ENOENT;
    this.memory.view.setUint32(value, this.idOf(target), true);
    return 0;
  }

  /** What a descriptor stands for, or a negative errno. */
  protected abstract fromFd(fd: number): T | number;

  /** 0, or why the element cannot hold it. */
  protected accepts(_target: T): number {
    return 0;
  }

  /** What a system call reads for an element: its id. */
  protected abstract idOf(target: T): number;

  private checkSlot(index: number, flags: number): number {
    if (flags !== 0) return -Errno.EINVAL;
    return index >= this.maxEntries ? -Errno.E2BIG : 0;
  }

  private store(index: number, target: T): number {
    const refused = this.accepts(target);
    if (refused === 0) this.slots[index] = target;
    return refused;
  }
}

/** Programs of one type, called by `bpf_tail_call`. */
export class ProgArrayMap extends FdArrayMap<BpfProg> {
  /** Type of the first program stored or of the first program that uses the map: all must have it. */
  ownerType: number | undefined;

  static check(attr: MapAttr): void {
    checkFdArray(attr);
  }

  override get canBeInner(): boolean {
    return false;
  }

  protected override fromFd(fd: number): BpfProg | number {
    const file = this.host.files.get(fd);
    if (file === undefined) return -Errno.EBADF;
    return isProg(file) ? file : -Errno.EINVAL;
  }

  protected override accepts(prog: BpfProg): number {
    this.ownerType ??= prog.type;
    return prog.type === this.ownerType ? 0 : -Errno.EINVAL;
  }

  protected override idOf(prog: BpfProg): number {
    return prog.id;
  }
}

/** A perf event that programs write samples to: what user space opens as PERF_COUNT_SW_BPF_OUTPUT. */
export interface OutputEvent {
  readonly cpu: number;
  readonly samples: Uint8Array[];
}

const isEvent = (file: object): file is OutputEvent => 'samples' in file && 'cpu' in file;

export class PerfEventArrayMap extends FdArrayMap<OutputEvent> {
  static check(attr: MapAttr): void {
    checkFdArray(attr);
  }

  protected override fromFd(fd: number): OutputEvent | number {
    const file = this.host.files.get(fd);
    return file !== undefined && isEvent(file) ? file : -Errno.EBADF;
  }

  protected override idOf(): number {
    return 0;
  }

  override sysLookup(): number {
    return -Errno.ENOTSUPP;
  }
}

/** Control groups, for `bpf_skb_under_cgroup` and `bpf_current_task_under_cgroup`. */
export class CgroupArrayMap extends FdArrayMap<Cgroup> {
  static check(attr: MapAttr): void {
    checkFdArray(attr);
  }

  protected override fromFd(fd: number): Cgroup | number {
    const file = this.host.files.get(fd);
    return file instanceof Cgroup ? file : -Errno.EBADF;
  }

  protected override idOf(): number {
    return 0;
  }

  override sysLookup(): number {
    return -Errno.ENOTSUPP;
  }
}

/** An array whose elements are maps of one shape. */
export class ArrayOfMapsMap extends FdArrayMap<BpfMap> {
  static check(attr: MapAttr): void {
    checkFdArray(attr);
    checkInner(attr);
  }

  override get batchOps(): BatchOps {
    return { lookup: 'keys', update: true };
  }

  override get canBeInner(): boolean {
    return false;
  }

  /** A program gets the inner map itself. */
  override lookup(key: number): number {
    return this.slots[this.index(key)]?.header.address32 ?? 0;
  }

  protected override fromFd(fd: number): BpfMap | number {
    return mapFromFd(this.host, fd);
  }

  protected override accepts(map: BpfMap): number {
    return sameShape(this.attr.inner!, map) ? 0 : -Errno.EINVAL;
  }

  protected override idOf(map: BpfMap): number {
    return map.id;
  }
}
