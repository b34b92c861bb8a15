/**
 * What all maps have in common. Keys and values that programs see lie in the engine's memory and are named by
 * memory offset; a map's operations return 0 or a negative errno, as Linux's do. Models `struct bpf_map` and
 * `struct bpf_map_ops` (include/linux/bpf.h).
 */

import { Errno, type ErrnoName } from '../../abi/errno.js';
import { MapFlag, UpdateFlag } from '../../abi/map-flags.js';
import { type MapType, mapTypeName } from '../../abi/map-types.js';
import type { Btf } from '../../object/btf/btf.js';
import type { Access, EngineMemory, Region } from '../../vm/index.js';
import { SyscallError } from '../errors.js';
import type { FileTable } from '../fs/file-table.js';
import type { Irqs } from '../irq/index.js';
import { copyBytes } from '../lib/copy.js';
import type { ObjectHost } from '../lib/kernel-object.js';
import type { Locks } from '../locking/index.js';
import type { Mm } from '../mm/index.js';
import type { Rcu } from '../rcu/rcu.js';
import type { Executor } from '../sched/executor.js';
import type { Flow } from '../sched/flow.js';
import type { Sched } from '../sched/sched.js';
import { type BtfRecord, KEPT_FIELDS } from './btf-record.js';
import type { Instrumentation } from './recursion.js';

/** What a map needs of the kernel that it lives in. */
export interface MapHost extends ObjectHost {
  readonly memory: EngineMemory;
  /** Number of possible CPUs. */
  readonly cpus: number;
  /** The CPU that runs now. */
  cpu: number;
  /** Memory offset of the 4 bytes that hold its number; the 4 behind them are not 0 where probes want to see look-ups. */
  readonly cpuOffset: number;
  /** Descriptors that keys and values of some maps name objects by. */
  readonly files: FileTable;
  /** Whether there is a network device of this index. */
  hasDevice(ifindex: number): boolean;
  /** Whether the BPF security module is active, which keeps room for storages in inodes. */
  readonly bpfLsm: boolean;
  /** Called before a field of a value that goes is cleared: cancels a timer, frees an object. `kind` is a `FIELD` bit. */
  dropField?(kind: number, offset: number): void;
  readonly sched: Sched;
  readonly executor: Executor;
  readonly locks: Locks;
  readonly mm: Mm;
  readonly rcu: Rcu;
  readonly irq: Irqs;
  readonly instrumentation: Instrumentation;
  /** A hash seed: the maps' own randomness, from the kernel's seed. */
  nextHashSeed(): number;
  /** Numbers a map, so that its header's address leads back to it. */
  addMap(map: BpfMap): number;
  removeMap(map: BpfMap): void;
}

/** BPF_MAP_CREATE as far as maps care. Sizes in bytes. */
export interface MapAttr {
  readonly name: string;
  readonly type: MapType;
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
  readonly mapFlags: number;
  readonly mapExtra: bigint;
  /** NUMA node asked for; undefined without BPF_F_NUMA_NODE. */
  readonly numaNode?: number;
  /** Template of a map-in-map. */
  readonly inner?: BpfMap;
  /** Types of keys and values. */
  readonly btf?: Btf;
  readonly btfKeyTypeId?: number;
  readonly btfValueTypeId?: number;
  /** The kernel's own type of a struct_ops map's value. */
  readonly btfVmlinuxValueTypeId?: number;
  /** Special fields of the values, found when the map was created. */
  readonly record?: BtfRecord;
}

/** Which of the four batch operations a map type has: its own, or loops over single operations. */
export interface BatchOps {
  readonly lookup?: 'buckets' | 'keys';
  readonly lookupAndDelete?: 'buckets';
  readonly update?: true;
  readonly delete?: true;
}

/** Calls a program's callback with a key's and a value's offset; a result other than 0 ends the walk. */
export type ElemVisitor = (key: number, value: number) => boolean;

const HEADER_SIZE = 64;
/** Where in a header its map's number is, behind what the engine keeps there of arrays and hash tables. */
export const MAP_ID = 32;

export abstract class BpfMap {
  readonly name: string;
  readonly type: MapType;
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
  readonly mapFlags: number;
  /** Meaning by map type: number of a bloom filter's hashes, where user space sees an arena. */
  readonly mapExtra: bigint;
  /** Set by BPF_MAP_FREEZE: no more writes from system calls. */
  frozen = false;
  /** Stands for `struct bpf_map`: what a map pointer in a program points to. Programs may not look inside. */
  readonly header: Region;
  /** Kernel-wide number, from 1. */
  readonly id: number;
  /** Special fields of the values. */
  readonly record: BtfRecord | undefined;
  protected readonly memory: EngineMemory;

  constructor(
    readonly attr: MapAttr,
    protected readonly host: MapHost,
  ) {
    this.name = attr.name;
    this.type = attr.type;
    this.keySize = attr.keySize;
    this.valueSize = attr.valueSize;
    this.maxEntries = attr.maxEntries;
    this.mapFlags = attr.mapFlags;
    this.record = attr.record;
    this.mapExtra = attr.mapExtra;
    this.memory = host.memory;
    this.header = host.memory.alloc(HEADER_SIZE, 'none');
    this.id = host.addMap(this);
  }

  /** Whether the value is one a CPU: system calls then carry all of them, each rounded up to 8 bytes. */
  get perCpu(): boolean {
    return false;
  }

  /** Bytes that a system call passes for a value. */
  get syscallValueSize(): number {
    return this.perCpu ? roundUp8(this.valueSize) * this.host.cpus : this.valueSize;
  }

  /** What a program on the current CPU gets: offset of the value, 0 for none. */
  lookup(_key: number): number {
    return 0;
  }

  /** From a program: 0 or a negative errno. */
  update(_key: number, _value: number, _flags: number): number {
    return -Errno.EOPNOTSUPP;
  }

  delete(_key: number): number {
    return -Errno.EOPNOTSUPP;
  }

  push(_value: number, _flags: number): number {
    return -Errno.EOPNOTSUPP;
  }

  pop(_value: number): number {
    return -Errno.EOPNOTSUPP;
  }

  peek(_value: number): number {
    return -Errno.EOPNOTSUPP;
  }

  // The same as flows: what takes locks states it whole there, and drives it where its plain code cannot be taken

  *lookupFlow(key: number): Flow<number> {
    this.touch();
    return this.lookup(key);
  }

  *updateFlow(key: number, value: number, flags: number): Flow<number> {
    this.touch();
    return this.update(key, value, flags);
  }

  *deleteFlow(key: number): Flow<number> {
    this.touch();
    return this.delete(key);
  }

  *pushFlow(value: number, flags: number): Flow<number> {
    return this.push(value, flags);
  }

  *popFlow(value: number): Flow<number> {
    return this.pop(value);
  }

  *peekFlow(value: number): Flow<number> {
    return this.peek(value);
  }

  *sysLookupFlow(key: number, value: number, flags = 0): Flow<number> {
    return this.sysLookup(key, value, flags);
  }

  *sysUpdateFlow(key: number, value: number, flags: number): Flow<number> {
    return this.sysUpdate(key, value, flags);
  }

  *sysDeleteFlow(key: number): Flow<number> {
    return this.sysDelete(key);
  }

  *sysLookupAndDeleteFlow(key: number, value: number, flags = 0): Flow<number> {
    return this.sysLookupAndDelete(key, value, flags);
  }

  /** Tells an explorer that the step depends on the map; whoever looks an element up may write to it. */
  protected touch(): void {
    this.host.sched.touch(this, true);
  }

  /** Batch operations that there are. */
  get batchOps(): BatchOps {
    return {};
  }

  /** Whether the map can stand in a map of maps (`map_meta_equal` is there). */
  get canBeInner(): boolean {
    return true;
  }

  /** System call: copies the value at `key` to `value` (`syscallValueSize` bytes). `flags` may have BPF_F_LOCK. */
  sysLookup(key: number, value: number, _flags = 0): number {
    const found = this.lookup(key);
    if (found === 0) return -Errno.ENOENT;
    this.showValue(value, found);
    return 0;
  }

  /** System call: as `update`, with `syscallValueSize` bytes. */
  sysUpdate(key: number, value: number, flags: number): number {
    return this.update(key, value, flags);
  }

  sysDelete(key: number): number {
    return this.delete(key);
  }

  sysLookupAndDelete(_key: number, _value: number, _flags = 0): number {
    return -Errno.ENOTSUPP;
  }

  /** Copies the key after `key` (0: the first) to `next`; -ENOENT after the last. */
  nextKey(_key: number, _next: number): number {
    return -Errno.EOPNOTSUPP;
  }

  /** bpf_for_each_map_elem: number of elements visited, or a negative errno. */
  walk(_visit: ElemVisitor): number {
    return -Errno.EINVAL;
  }

  /** Offset of the only value of a global-data map, for `BPF_PSEUDO_MAP_VALUE`; -1 where there is none. */
  directValue(_offset: number): number {
    return -1;
  }

  /** Gives all memory back. */
  release(): void {
    this.host.removeMap(this);
    this.memory.free(this.header);
  }

  /** Copies a value within the map, or into it, without its special fields. */
  protected copyValue(to: number, from: number): void {
    if (this.record === undefined) copyBytes(this.memory, to, from, this.valueSize);
    else this.record.copy(this.memory, to, from, this.valueSize);
  }

  /** Lets go of what a value's special fields hold (`bpf_obj_free_fields`). Locks stay as they are. */
  protected dropFields(value: number): void {
    if (this.record === undefined) return;
    for (const { kind, offset, size } of this.record.fields) {
      if ((kind & KEPT_FIELDS) !== 0) continue;
      this.host.dropField?.(kind, value + offset);
      this.memory.u8.fill(0, value + offset, value + offset + size);
    }
  }

  /** Copies a value out, its special fields as zeros. */
  protected showValue(to: number, from: number): void {
    this.copyValue(to, from);
    this.record?.init(this.memory, to);
  }

  /** What programs may do with this map's values. */
  protected get access(): Access {
    return (this.mapFlags & MapFlag.BPF_F_RDONLY_PROG) !== 0 ? 'read' : 'readwrite';
  }
}

/** Whether an update's flags are BPF_ANY, BPF_NOEXIST or BPF_EXIST, with or without BPF_F_LOCK. */
export function updateFlagsOk(flags: number): boolean {
  return flags <= (UpdateFlag.BPF_EXIST | UpdateFlag.BPF_F_LOCK) && (flags & 3) !== 3;
}

/** A value's size rounded up to a multiple of 8. */
export function roundUp8(size: number): number {
  return Math.ceil(size / 8) * 8;
}

/** BPF_F_RDONLY_PROG and BPF_F_WRONLY_PROG exclude each other. */
export function accessFlagsOk(mapFlags: number): boolean {
  const both = MapFlag.BPF_F_RDONLY_PROG | MapFlag.BPF_F_WRONLY_PROG;
  return (mapFlags & both) !== both;
}

/** The flags that almost every map takes. */
export const ACCESS_FLAGS =
  MapFlag.BPF_F_RDONLY | MapFlag.BPF_F_RDONLY_PROG | MapFlag.BPF_F_WRONLY | MapFlag.BPF_F_WRONLY_PROG;

/** Largest value a CPU may have (PCPU_MIN_UNIT_SIZE). */
export const PERCPU_MAX_VALUE = 32768;
/** Largest single allocation (KMALLOC_MAX_SIZE). */
export const KMALLOC_MAX_SIZE = 1 << 22;

/** Most memory that a map may want when it is created; Linux, too, answers ENOMEM to what it cannot have. */
const MAX_MAP_BYTES = 256 << 20;

/** Throws ENOMEM for a map that would need more than that. */
export function requireMemory(attr: MapAttr, bytes: number): void {
  requireAttr(
    bytes <= MAX_MAP_BYTES,
    attr,
    'ENOMEM',
    `${attr.maxEntries} entries need more memory than there is`,
  );
}

/** Throws what BPF_MAP_CREATE answers when `ok` does not hold. */
export function requireAttr(ok: boolean, attr: MapAttr, errno: ErrnoName, why: string): void {
  if (!ok) throw SyscallError.of(errno, `map ${attr.name} (${mapTypeName(attr.type)}): ${why}`, {});
}
