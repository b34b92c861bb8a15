/**
 * Arrays of things that user space names by file descriptor: programs (for tail calls), perf events, maps. Models the
 * `fd_array` part of kernel/bpf/arraymap.c of Linux 6.18. What an element refers to is kept on the host's side.
 */
import { Errno } from '../../abi/errno.js';
import { MapFlag } from '../../abi/map-flags.js';
import { checkArrayAttr, IndexedMap } from './arraymap.js';
import { type BpfMap, type MapAttr, type MapHost, requireAttr, requireMemory } from './map.js';
import { sameShape } from './map-in-map.js';
import type { BpfProg } from './prog.js';

function checkFdArray(attr: MapAttr): void {
  requireAttr(attr.valueSize === 4, attr, 'EINVAL', `value size is ${attr.valueSize}, not 4`);
  const programOnly = MapFlag.BPF_F_RDONLY_PROG | MapFlag.BPF_F_WRONLY_PROG;
  requireAttr((attr.mapFlags & programOnly) === 0, attr, 'EINVAL', 'flags it does not take');
  checkArrayAttr(attr);
}

/** Elements are objects of the kernel; `T` is what an element refers to. */
abstract class FdArrayMap<T> extends IndexedMap {
  readonly slots: (T | undefined)[];

  constructor(attr: MapAttr, host: MapHost) {
    requireMemory(attr, attr.maxEntries * 8);
    super(attr, host);
    this.slots = new Array<T | undefined>(attr.maxEntries).fill(undefined);
  }

  /** BPF_MAP_UPDATE_ELEM with what the file descriptor stands for: 0 or a negative errno. */
  setSlot(index: number, target: T, flags = 0): number {
    if (flags !== 0) return -Errno.EINVAL;
    if (index >= this.maxEntries) return -Errno.E2BIG;
    const refused = this.accepts(target);
    if (refused !== 0) return refused;
    this.slots[index] = target;
    return 0;
  }

  override update(): number {
    return -Errno.EINVAL;
  }

  override delete(key: number): number {
    const index = this.index(key);
    if (index >= this.maxEntries) return -Errno.E2BIG;
    if (this.slots[index] === undefined) return -Errno.ENOENT;
    this.slots[index] = undefined;
    return 0;
  }

  /** 0, or why the element cannot hold it. */
  protected accepts(_target: T): number {
    return 0;
  }

  /** What a system call reads for an element: its id. */
  protected abstract idOf(target: T): number;

  override sysLookup(key: number, value: number): number {
    const target = this.slots[this.index(key)];
    if (target === undefined) return -Errno.ENOENT;
    this.memory.view.setUint32(value, this.idOf(target), true);
    return 0;
  }
}

/** Programs of one type, called by `bpf_tail_call`. */
export class ProgArrayMap extends FdArrayMap<BpfProg> {
  /** Type of the first program stored or of the first program that uses the map: all must have it. */
  ownerType: number | undefined;

  static check(attr: MapAttr): void {
    checkFdArray(attr);
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

export class PerfEventArrayMap extends FdArrayMap<OutputEvent> {
  static check(attr: MapAttr): void {
    checkFdArray(attr);
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
    requireAttr(attr.inner !== undefined, attr, 'EINVAL', 'it has no inner map to take as a pattern');
    checkFdArray(attr);
  }

  /** A program gets the inner map itself. */
  override lookup(key: number): number {
    return this.slots[this.index(key)]?.header.address32 ?? 0;
  }

  protected override accepts(map: BpfMap): number {
    return sameShape(this.attr.inner!, map) ? 0 : -Errno.EINVAL;
  }

  protected override idOf(map: BpfMap): number {
    return map.id;
  }
}
