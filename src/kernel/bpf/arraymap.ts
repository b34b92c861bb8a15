/**
 * Arrays: plain, per CPU. Models kernel/bpf/arraymap.c of Linux 6.18. The arrays of programs, events and maps are in
 * `fd-array.ts`.
 */
import { Errno } from '../../abi/errno.js';
import { MapFlag, UpdateFlag } from '../../abi/map-flags.js';
import { MapType } from '../../abi/map-types.js';
import type { Region } from '../../vm/index.js';
import {
  ACCESS_FLAGS,
  accessFlagsOk,
  type BatchOps,
  BpfMap,
  type ElemVisitor,
  type MapAttr,
  type MapHost,
  PERCPU_MAX_VALUE,
  requireAttr,
  requireMemory,
  roundUp8,
  updateFlagsOk,
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

/** Keys are 32-bit integers; only a section of global data comes without a type of keys. */
function checkArrayBtf(attr: MapAttr): void {
  const { btf, btfKeyTypeId = 0, btfValueTypeId = 0 } = attr;
  if (btfKeyTypeId === 0) {
    const global = attr.type === MapType.array && attr.maxEntries === 1;
    const value = btf!.underlying(btfValueTypeId);
    requireAttr(
      global && value.kind === 'datasec',
      attr,
      'EINVAL',
      'no type of keys, and no section of data',
    );
    return;
  }
  const key = btf!.underlying(btfKeyTypeId);
  const isInt = key.kind === 'int' && key.bits === 32 && key.bitOffset === 0;
  requireAttr(isInt, attr, 'EINVAL', 'the key is no 32-bit integer');
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

/** What every update of an array's element answers to its flags. */
function checkUpdate(map: BpfMap, index: number, flags: number): number {
  if (!updateFlagsOk(flags)) return -Errno.EINVAL;
  if (index >= map.maxEntries) return -Errno.E2BIG;
  if ((flags & UpdateFlag.BPF_NOEXIST) !== 0) return -Errno.EEXIST;
  const lock = (flags & UpdateFlag.BPF_F_LOCK) !== 0;
  return lock && (map.record === undefined || map.record.spinLock < 0) ? -Errno.EINVAL : 0;
}

const ARRAY_BATCH: BatchOps = { lookup: 'keys', update: true };

export class ArrayMap extends IndexedMap {
  private readonly values: Region;
  private readonly base: number;
  private readonly stride: number;

  static check(attr: MapAttr): void {
    checkArrayAttr(attr);
  }

  static checkBtf(attr: MapAttr): void {
    checkArrayBtf(attr);
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
    const refused = checkUpdate(this, index, flags);
    if (refused !== 0) return refused;
    const at = this.base + index * this.stride;
    this.copyValue(at, value);
    // With BPF_F_LOCK only what is around the fields is copied, and they stay.
    if ((flags & UpdateFlag.BPF_F_LOCK) === 0) this.dropFields(at);
    return 0;
  }

  override delete(): number {
    return -Errno.EINVAL;
  }

  override get batchOps(): BatchOps {
    return ARRAY_BATCH;
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

  static checkBtf(attr: MapAttr): void {
    checkArrayBtf(attr);
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
    const refused = checkUpdate(this, index, flags);
    if (refused !== 0) return refused;
    const at = this.lookup(key);
    this.copyValue(at, value);
    this.dropFields(at);
    return 0;
  }

  override delete(): number {
    return -Errno.EINVAL;
  }

  override get batchOps(): BatchOps {
    return ARRAY_BATCH;
  }

  override sysLookup(key: number, value: number, _flags = 0): number {
    const index = this.index(key);
    if (index >= this.maxEntries) return -Errno.ENOENT;
    for (let cpu = 0; cpu < this.host.cpus; cpu++) {
      const from = this.lookupCpu(key, cpu);
      const to = value + cpu * this.stride;
      this.memory.u8.copyWithin(to, from, from + this.stride);
      this.record?.init(this.memory, to);
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
      const to = this.lookupCpu(key, cpu);
      if (this.record === undefined) this.memory.u8.copyWithin(to, from, from + this.stride);
      else this.record.copy(this.memory, to, from, this.stride);
      this.dropFields(to);
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
