/**
 * Arrays: plain, per CPU. Models kernel/bpf/arraymap.c of Linux 6.18. The arrays of programs, events and maps are in
 * `fd-array.ts`.
 */
import { Errno } from '../../abi/errno.js';
import { MapFlag, UpdateFlag } from '../../abi/map-flags.js';
import { MapType } from '../../abi/map-types.js';
import type { Region } from '../../vm/index.js';
import { copyBytes } from '../lib/copy.js';
import {
  ACCESS_FLAGS,
  accessFlagsOk,
  BpfMap,
  type ElemVisitor,
  type MapAttr,
  type MapHost,
  PERCPU_MAX_VALUE,
  requireAttr,
  requireMemory,
  roundUp8,
} from './map.js';

const CREATE_FLAGS =
  MapFlag.BPF_F_NUMA_NODE |
  MapFlag.BPF_F_MMAPABLE |
  ACCESS_FLAGS |
  MapFlag.BPF_F_PRESERVE_ELEMS |
  MapFlag.BPF_F_INNER_MAP;

/** What every kind of array checks. */
export function checkArrayAttr(attr: MapAttr): void {
  const { type, mapFlags } = attr;
  const perCpu = type === MapType.percpu_array;
  requireAttr(attr.maxEntries > 0, attr, 'EINVAL', 'max_entries is 0');
  requireAttr(attr.keySize === 4, attr, 'EINVAL', `key size is ${attr.keySize}, not 4`);
  requireAttr(attr.valueSize > 0, attr, 'EINVAL', 'value size is 0');
  requireAttr(
    (mapFlags & ~CREATE_FLAGS) === 0 && accessFlagsOk(mapFlags),
    attr,
    'EINVAL',
    'flags it does not take',
  );
  requireAttr(!perCpu || attr.numaNode === undefined, attr, 'EINVAL', 'a NUMA node makes no sense per CPU');
  const plainOnly = MapFlag.BPF_F_MMAPABLE | MapFlag.BPF_F_INNER_MAP;
  requireAttr(
    type === MapType.array || (mapFlags & plainOnly) === 0,
    attr,
    'EINVAL',
    'flags of a plain array',
  );
  const events = type === MapType.perf_event_array;
  requireAttr(
    events || (mapFlags & MapFlag.BPF_F_PRESERVE_ELEMS) === 0,
    attr,
    'EINVAL',
    'flags of an event array',
  );
  requireAttr(attr.valueSize <= 0x7fffffff, attr, 'E2BIG', 'value size is past INT_MAX');
  requireAttr(
    !perCpu || roundUp8(attr.valueSize) <= PERCPU_MAX_VALUE,
    attr,
    'E2BIG',
    'value too large per CPU',
  );
}

/** Keys of an array: 32-bit indices. */
export abstract class IndexedMap extends BpfMap {
  protected index(key: number): number {
    return this.memory.view.getUint32(key, true);
  }

  override nextKey(key: number, next: number): number {
    const index = key === 0 ? this.maxEntries : this.index(key);
    if (index === this.maxEntries - 1) return -Errno.ENOENT;
    this.memory.view.setUint32(next, index >= this.maxEntries ? 0 : index + 1, true);
    return 0;
  }
}

/** Flags that every update of an array's element answers to. */
function checkUpdate(index: number, maxEntries: number, flags: number): number {
  if ((flags & ~UpdateFlag.BPF_F_LOCK) > UpdateFlag.BPF_EXIST) return -Errno.EINVAL;
  if (index >= maxEntries) return -Errno.E2BIG;
  if ((flags & UpdateFlag.BPF_NOEXIST) !== 0) return -Errno.EEXIST;
  // Only a value with a bpf_spin_lock could allow this, and the helpers that lock are refused at load.
  return (flags & UpdateFlag.BPF_F_LOCK) !== 0 ? -Errno.EINVAL : 0;
}

export class ArrayMap extends IndexedMap {
  private readonly values: Region;
  private readonly base: number;
  private readonly stride: number;

  static check(attr: MapAttr): void {
    checkArrayAttr(attr);
  }

  constructor(attr: MapAttr, host: MapHost) {
    requireMemory(attr, roundUp8(attr.valueSize) * attr.maxEntries);
    super(attr, host);
    this.stride = roundUp8(attr.valueSize);
    this.values = host.memory.alloc(this.stride * attr.maxEntries, this.access);
    this.base = this.values.address32;
    const { base, stride, maxEntries: count } = this;
    this.memory.describe(this.header.address32, { count, stride, base });
  }

  override lookup(key: number): number {
    const index = this.index(key);
    return index < this.maxEntries ? this.base + index * this.stride : 0;
  }

  override update(key: number, value: number, flags: number): number {
    const index = this.index(key);
    const refused = checkUpdate(index, this.maxEntries, flags);
    if (refused !== 0) return refused;
    copyBytes(this.memory, this.base + index * this.stride, value, this.valueSize);
    return 0;
  }

  override delete(): number {
    return -Errno.EINVAL;
  }

  override walk(visit: ElemVisitor): number {
    const key = this.memory.alloc(4, 'read');
    let index = 0;
    for (; index < this.maxEntries; index++) {
      this.memory.view.setUint32(key.address32, index, true);
      if (visit(key.address32, this.base + index * this.stride)) {
        index++;
        break;
      }
    }
    this.memory.free(key);
    return index;
  }

  override directValue(offset: number): number {
    return this.maxEntries === 1 && offset < this.valueSize ? this.base + offset : -1;
  }

  /** Contents of the first value, before programs may look. */
  initialize(data: Uint8Array): void {
    this.memory.u8.set(data.subarray(0, this.valueSize), this.base);
  }

  override release(): void {
    this.memory.free(this.values);
    super.release();
  }
}

export class PerCpuArrayMap extends IndexedMap {
  private readonly values: Region;
  private readonly base: number;
  private readonly stride: number;
  /** Bytes from a value to the next CPU's. */
  private readonly cpuStride: number;

  static check(attr: MapAttr): void {
    checkArrayAttr(attr);
  }

  constructor(attr: MapAttr, host: MapHost) {
    requireMemory(attr, roundUp8(attr.valueSize) * attr.maxEntries * host.cpus);
    super(attr, host);
    this.stride = roundUp8(attr.valueSize);
    this.cpuStride = this.stride * attr.maxEntries;
    this.values = host.memory.alloc(this.cpuStride * host.cpus, this.access);
    this.base = this.values.address32;
    const { base, stride, cpuStride, maxEntries: count } = this;
    const copies = { copyWord: host.cpuOffset, copyStride: cpuStride };
    this.memory.describe(this.header.address32, { count, stride, base, ...copies });
  }

  override get perCpu(): boolean {
    return true;
  }

  override lookup(key: number): number {
    const index = this.index(key);
    if (index >= this.maxEntries) return 0;
    return this.base + index * this.stride + this.host.cpu * this.cpuStride;
  }

  /** bpf_map_lookup_percpu_elem. */
  lookupCpu(key: number, cpu: number): number {
    const index = this.index(key);
    if (index >= this.maxEntries || cpu >= this.host.cpus) return 0;
    return this.base + index * this.stride + cpu * this.cpuStride;
  }

  override update(key: number, value: number, flags: number): number {
    const index = this.index(key);
    const refused = checkUpdate(index, this.maxEntries, flags);
    if (refused !== 0) return refused;
    copyBytes(this.memory, this.lookup(key), value, this.valueSize);
    return 0;
  }

  override delete(): number {
    return -Errno.EINVAL;
  }

  override sysLookup(key: number, value: number): number {
    const index = this.index(key);
    if (index >= this.maxEntries) return -Errno.ENOENT;
    for (let cpu = 0; cpu < this.host.cpus; cpu++) {
      const from = this.lookupCpu(key, cpu);
      this.memory.u8.copyWithin(value + cpu * this.stride, from, from + this.stride);
    }
    return 0;
  }

  override sysUpdate(key: number, value: number, flags: number): number {
    // Unlike every other array, this one takes no BPF_F_LOCK from a system call at all.
    if (flags > UpdateFlag.BPF_EXIST) return -Errno.EINVAL;
    const index = this.index(key);
    if (index >= this.maxEntries) return -Errno.E2BIG;
    if (flags === UpdateFlag.BPF_NOEXIST) return -Errno.EEXIST;
    for (let cpu = 0; cpu < this.host.cpus; cpu++) {
      const from = value + cpu * this.stride;
      this.memory.u8.copyWithin(this.lookupCpu(key, cpu), from, from + this.stride);
    }
    return 0;
  }

  override walk(visit: ElemVisitor): number {
    const key = this.memory.alloc(4, 'read');
    let index = 0;
    for (; index < this.maxEntries; index++) {
      this.memory.view.setUint32(key.address32, index, true);
      if (visit(key.address32, this.lookup(key.address32))) {
        index++;
        break;
      }
    }
    this.memory.free(key);
    return index;
  }

  override release(): void {
    this.memory.free(this.values);
    super.release();
  }
}
