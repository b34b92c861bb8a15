/**
 * Hash tables: plain, per CPU, and their LRU kinds. Models kernel/bpf/hashtab.c of Linux 6.18: bucket order (and with
 * it the order of keys under BPF_F_ZERO_SEED), spare elements, in-place updates per CPU, limits, errno.
 */
import { Errno } from '../../abi/errno.js';
import { MapFlag, UpdateFlag } from '../../abi/map-flags.js';
import { MapType } from '../../abi/map-types.js';
import { copyBytes } from '../lib/copy.js';
import { jhash, jhash2 } from '../lib/jhash.js';
import { ElemPool } from './elem-pool.js';
import { LruList } from './lru-list.js';
import {
  ACCESS_FLAGS,
  accessFlagsOk,
  type BatchOps,
  BpfMap,
  type ElemVisitor,
  KMALLOC_MAX_SIZE,
  type MapAttr,
  type MapHost,
  PERCPU_MAX_VALUE,
  requireAttr,
  requireMemory,
  roundUp8,
  updateFlagsOk,
} from './map.js';

const CREATE_FLAGS =
  MapFlag.BPF_F_NO_PREALLOC |
  MapFlag.BPF_F_NO_COMMON_LRU |
  MapFlag.BPF_F_NUMA_NODE |
  ACCESS_FLAGS |
  MapFlag.BPF_F_ZERO_SEED;

/** sizeof(struct htab_elem), which counts towards an element's largest size. */
const ELEM_HEADER = 48;
const MAX_BUCKETS = 2 ** 31;
/** Elements that the link tables have room for at first; they double as needed. */
const INITIAL_LINKS = 256;

const LRU_TYPES: readonly MapType[] = [MapType.lru_hash, MapType.lru_percpu_hash];
const PERCPU_TYPES: readonly MapType[] = [MapType.percpu_hash, MapType.lru_percpu_hash];

function isLru(attr: MapAttr): boolean {
  return LRU_TYPES.includes(attr.type);
}

function isPerCpu(attr: MapAttr): boolean {
  return PERCPU_TYPES.includes(attr.type);
}

/** With BPF_F_NO_COMMON_LRU every CPU gets as many elements as any other. */
function entriesOf(attr: MapAttr, cpus: number): number {
  if ((attr.mapFlags & MapFlag.BPF_F_NO_COMMON_LRU) === 0) return attr.maxEntries;
  const up = Math.ceil(attr.maxEntries / cpus) * cpus;
  return up > 0xffffffff ? Math.floor(attr.maxEntries / cpus) * cpus : up;
}

/** What is taken when the map is created: buckets and links, and the elements unless they are allocated one by one. */
function bytesOf(attr: MapAttr, cpus: number): number {
  const prealloc = (attr.mapFlags & MapFlag.BPF_F_NO_PREALLOC) === 0;
  const value = roundUp8(attr.valueSize) * (isPerCpu(attr) ? cpus : 1);
  return attr.maxEntries * (16 + (prealloc ? roundUp8(attr.keySize) + value : 0));
}

/** What tables of other map types decide without flags. */
export interface TableOptions {
  readonly prealloc?: boolean;
  readonly zeroSeed?: boolean;
}

export class HashMap extends BpfMap {
  private readonly buckets: Int32Array;
  private readonly mask: number;
  private readonly seed: number;
  /** By element number: the next in the bucket, the key's hash. */
  private links = new Int32Array(INITIAL_LINKS);
  private hashes = new Int32Array(INITIAL_LINKS);
  private readonly pool: ElemPool;
  private readonly lru: LruList | undefined;
  private readonly prealloc: boolean;
  private readonly valuePerCpu: boolean;
  /** Values are replaced where they are: those of every CPU, and maps in a map. */
  private readonly inPlace: boolean;
  private readonly stride: number;
  private readonly keyWords: number;
  /** One spare element a CPU, exchanged for the old one when a preallocated map replaces a value. */
  private readonly extra: number[] = [];
  /** Elements in the table. */
  private count = 0;
  /** An aligned copy of a key that is not. */
  private readonly scratch: number;
  private readonly scratchRegion;

  static check(attr: MapAttr): void {
    const { mapFlags, keySize, valueSize } = attr;
    const lru = isLru(attr);
    const commonLru = (mapFlags & MapFlag.BPF_F_NO_COMMON_LRU) === 0;
    const prealloc = (mapFlags & MapFlag.BPF_F_NO_PREALLOC) === 0;
    requireAttr(
      (mapFlags & ~CREATE_FLAGS) === 0 && accessFlagsOk(mapFlags),
      attr,
      'EINVAL',
      'flags it does not take',
    );
    requireAttr(lru || commonLru, attr, 'EINVAL', 'BPF_F_NO_COMMON_LRU is for LRU maps');
    requireAttr(!lru || prealloc, attr, 'ENOTSUPP', 'an LRU map is always preallocated');
    const spread = isPerCpu(attr) || !commonLru;
    requireAttr(attr.numaNode === undefined || !spread, attr, 'EINVAL', 'a NUMA node makes no sense per CPU');
    const sizes = attr.maxEntries > 0 && keySize > 0 && valueSize > 0;
    requireAttr(sizes, attr, 'EINVAL', 'max_entries, key size or value size is 0');
    const fits = keySize + valueSize < KMALLOC_MAX_SIZE - ELEM_HEADER;
    requireAttr(fits, attr, 'E2BIG', 'key and value are too large');
    const perCpuFits = !isPerCpu(attr) || roundUp8(valueSize) <= PERCPU_MAX_VALUE;
    requireAttr(perCpuFits, attr, 'E2BIG', 'value too large per CPU');
  }

  constructor(attr: MapAttr, host: MapHost, options: TableOptions = {}) {
    requireMemory(attr, bytesOf(attr, host.cpus));
    super({ ...attr, maxEntries: entriesOf(attr, host.cpus) }, host);
    const buckets = 2 ** Math.ceil(Math.log2(this.maxEntries));
    requireAttr(buckets <= MAX_BUCKETS, attr, 'E2BIG', 'too many entries');
    this.prealloc = options.prealloc ?? (this.mapFlags & MapFlag.BPF_F_NO_PREALLOC) === 0;
    this.valuePerCpu = isPerCpu(attr);
    this.inPlace = this.valuePerCpu || attr.type === MapType.hash_of_maps;
    this.stride = roundUp8(this.valueSize);
    this.keyWords = this.keySize % 4 === 0 ? this.keySize / 4 : 0;
    this.mask = buckets - 1;
    this.buckets = new Int32Array(buckets);
    const zeroSeed = options.zeroSeed ?? (this.mapFlags & MapFlag.BPF_F_ZERO_SEED) !== 0;
    this.seed = zeroSeed ? 0 : host.nextHashSeed();
    const valueBytes = this.valuePerCpu ? this.stride * host.cpus : this.stride;
    const lru = isLru(attr);
    const spares = this.prealloc && !lru && !this.inPlace ? host.cpus : 0;
    const limit = this.prealloc ? this.maxEntries + spares : undefined;
    this.pool = new ElemPool(this.memory, this.keySize, valueBytes, this.access, limit);
    for (let cpu = 0; cpu < spares; cpu++) this.extra.push(this.pool.take());
    if (lru) {
      const perCpuLru = (this.mapFlags & MapFlag.BPF_F_NO_COMMON_LRU) !== 0;
      this.lru = new LruList(this.maxEntries, host.cpus, perCpuLru, (node) => this.unlink(node));
    }
    this.scratchRegion = this.memory.alloc(this.keySize, 'none');
    this.scratch = this.scratchRegion.address32;
  }

  override get perCpu(): boolean {
    return this.valuePerCpu;
  }

  /** Number of elements. */
  get size(): number {
    return this.count;
  }

  override lookup(key: number): number {
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

  override update(key: number, value: number, flags: number): number {
    return this.store(key, value, flags, false);
  }

  override sysUpdate(key: number, value: number, flags: number): number {
    return this.store(key, value, flags, true);
  }

  override delete(key: number): number {
    const elem = this.find(key);
    if (elem === 0) return -Errno.ENOENT;
    this.removeElem(elem);
    return 0;
  }

  override get batchOps(): BatchOps {
    return { lookup: 'buckets', lookupAndDelete: 'buckets', update: true, delete: true };
  }

  /** Does not count as a use, unlike a program's look-up. */
  override sysLookup(key: number, value: number, _flags = 0): number {
    const elem = this.find(key);
    if (elem === 0) return -Errno.ENOENT;
    this.showElem(elem, value);
    return 0;
  }

  override sysLookupAndDelete(key: number, value: number, _flags = 0): number {
    const elem = this.find(key);
    if (elem === 0) return -Errno.ENOENT;
    this.showElem(elem, value);
    this.removeElem(elem);
    return 0;
  }

  /** Number of buckets. */
  get bucketCount(): number {
    return this.mask + 1;
  }

  /** Elements of a bucket, the newest first. */
  bucketElems(bucket: number): number[] {
    const elems: number[] = [];
    for (let elem = this.buckets[bucket]!; elem !== 0; elem = this.links[elem]!) elems.push(elem);
    return elems;
  }

  /** Copies an element's key and value (`syscallValueSize` bytes) out. */
  copyElem(elem: number, key: number, value: number): void {
    this.copyKey(elem, key);
    this.showElem(elem, value);
  }

  /** Takes an element out of its bucket and frees it. */
  removeElem(elem: number): void {
    this.unlink(elem);
    this.giveBack(elem);
  }

  private showElem(elem: number, value: number): void {
    const from = this.pool.valueAt(elem);
    if (!this.valuePerCpu) {
      this.showValue(value, from);
      return;
    }
    this.memory.u8.copyWithin(value, from, from + this.syscallValueSize);
    if (this.record === undefined) return;
    for (let cpu = 0; cpu < this.host.cpus; cpu++) this.record.init(this.memory, value + cpu * this.stride);
  }

  override nextKey(key: number, next: number): number {
    let bucket = 0;
    if (key !== 0) {
      const elem = this.find(key);
      if (elem !== 0) {
        const following = this.links[elem]!;
        if (following !== 0) return this.copyKey(following, next);
        bucket = (this.hashes[elem]! & this.mask) + 1;
      }
    }
    for (; bucket <= this.mask; bucket++) {
      const elem = this.buckets[bucket]!;
      if (elem !== 0) return this.copyKey(elem, next);
    }
    return -Errno.ENOENT;
  }

  override walk(visit: ElemVisitor): number {
    let visited = 0;
    for (let bucket = 0; bucket <= this.mask; bucket++) {
      for (let elem = this.buckets[bucket]!; elem !== 0; ) {
        const following = this.links[elem]!;
        visited++;
        const value = this.pool.valueAt(elem) + (this.valuePerCpu ? this.host.cpu * this.stride : 0);
        if (visit(this.pool.keyAt(elem), value)) return visited;
        elem = following;
      }
    }
    return visited;
  }

  override release(): void {
    this.pool.release();
    this.memory.free(this.scratchRegion);
    super.release();
  }

  private store(key: number, value: number, flags: number, fromSyscall: boolean): number {
    if (flags > UpdateFlag.BPF_EXIST) {
      if (!updateFlagsOk(flags)) return -Errno.EINVAL;
      return this.storeWithLock(key, value, flags, fromSyscall);
    }
    if (this.lru !== undefined) return this.storeLru(key, value, flags, fromSyscall);
    const hash = this.hashOf(key);
    return this.insert(key, value, flags, hash, fromSyscall);
  }

  /** BPF_F_LOCK: the value's own lock guards the copy, which is made in place. */
  private storeWithLock(key: number, value: number, flags: number, fromSyscall: boolean): number {
    if (this.record === undefined || this.record.spinLock < 0 || this.lru !== undefined || this.inPlace) {
      return -Errno.EINVAL;
    }
    const hash = this.hashOf(key);
    const mode = flags & ~UpdateFlag.BPF_F_LOCK;
    const old = this.findHashed(key, hash);
    const refused = checkFlags(old, mode);
    if (refused !== 0) return refused;
    if (old === 0) return this.insert(key, value, mode, hash, fromSyscall);
    this.copyValue(this.pool.valueAt(old), value);
    return 0;
  }

  /** What is done under the bucket's lock. */
  private insert(key: number, value: number, flags: number, hash: number, fromSyscall: boolean): number {
    const old = this.findHashed(key, hash);
    const refused = checkFlags(old, flags);
    if (refused !== 0) return refused;
    if (old !== 0 && this.inPlace) {
      this.replaceInPlace(old, value, fromSyscall);
      return 0;
    }
    const fresh = this.takeElem(old);
    if (fresh === 0) return -Errno.E2BIG;
    this.fill(fresh, key, value, fromSyscall);
    if (old !== 0) this.unlink(old);
    this.link(fresh, hash);
    if (old !== 0) {
      this.freeFields(old);
      if (!this.prealloc) this.pool.give(old);
    }
    return 0;
  }

  private replaceInPlace(old: number, value: number, fromSyscall: boolean): void {
    if (this.valuePerCpu) this.copyValues(old, value, fromSyscall, false);
    else this.copyValue(this.pool.valueAt(old), value);
  }

  /** An LRU map takes a free element before it looks whether it needs one. */
  private storeLru(key: number, value: number, flags: number, fromSyscall: boolean): number {
    const lru = this.lru!;
    const perCpu = this.valuePerCpu;
    const hash = this.hashOf(key);
    let fresh = 0;
    if (!perCpu || flags !== UpdateFlag.BPF_EXIST) {
      fresh = lru.popFree(this.host.cpu);
      if (fresh === 0) return -Errno.ENOMEM;
      this.reach(fresh);
    }
    const old = this.findHashed(key, hash);
    const refused = checkFlags(old, flags);
    if (refused !== 0) {
      if (fresh !== 0) lru.pushFree(fresh);
      return refused;
    }
    if (perCpu && old !== 0) {
      lru.touch(old);
      this.copyValues(old, value, fromSyscall, false);
      if (fresh !== 0) lru.pushFree(fresh);
      return 0;
    }
    this.fill(fresh, key, value, fromSyscall);
    if (old !== 0) {
      lru.touch(fresh);
      this.unlink(old);
    }
    this.link(fresh, hash);
    if (old !== 0) this.giveBack(old);
    return 0;
  }

  private takeElem(old: number): number {
    if (this.prealloc && old !== 0) {
      const { cpu } = this.host;
      const fresh = this.extra[cpu]!;
      this.extra[cpu] = old;
      return this.reach(fresh);
    }
    if (!this.prealloc && old === 0 && this.count >= this.maxEntries) return 0;
    const fresh = this.pool.take();
    return fresh === 0 ? 0 : this.reach(fresh);
  }

  /** Makes room for an element in memory and in the link tables. */
  private reach(elem: number): number {
    this.pool.reach(elem);
    if (elem >= this.links.length) {
      this.links = grown(this.links, elem);
      this.hashes = grown(this.hashes, elem);
    }
    return elem;
  }

  private giveBack(elem: number): void {
    this.freeFields(elem);
    if (this.lru !== undefined) this.lru.pushFree(elem);
    else this.pool.give(elem);
  }

  private fill(elem: number, key: number, value: number, fromSyscall: boolean): void {
    const at = this.pool.keyAt(elem);
    copyBytes(this.memory, at, key, this.keySize);
    if (this.valuePerCpu) {
      this.copyValues(elem, value, fromSyscall, true);
      return;
    }
    this.copyValue(at + this.pool.valueOffset, value);
    if (!this.prealloc) this.record?.init(this.memory, at + this.pool.valueOffset);
  }

  /** Objects that the special fields of an element's values hold go. */
  private freeFields(elem: number): void {
    if (this.record === undefined) return;
    const copies = this.valuePerCpu ? this.host.cpus : 1;
    for (let i = 0; i < copies; i++) this.dropFields(this.pool.valueAt(elem) + i * this.stride);
  }

  /** A system call gives every CPU's value; a program its own CPU's, and a new element is zero on the others. */
  private copyValues(elem: number, value: number, fromSyscall: boolean, fresh: boolean): void {
    const { u8 } = this.memory;
    const at = this.pool.valueAt(elem);
    const { cpus } = this.host;
    const all = this.stride * cpus;
    if (fromSyscall) {
      if (this.record === undefined) u8.copyWithin(at, value, value + all);
      else
        for (let cpu = 0; cpu < cpus; cpu++) this.copyLong(at + cpu * this.stride, value + cpu * this.stride);
    } else {
      if (fresh) u8.fill(0, at, at + all);
      this.copyValue(at + this.host.cpu * this.stride, value);
    }
    if (!fresh) this.freeFields(elem);
  }

  /** A value with what rounds it up to 8 bytes. */
  private copyLong(to: number, from: number): void {
    this.record!.copy(this.memory, to, from, this.stride);
  }

  private link(elem: number, hash: number): void {
    const bucket = hash & this.mask;
    this.hashes[elem] = hash;
    this.links[elem] = this.buckets[bucket]!;
    this.buckets[bucket] = elem;
    this.count++;
  }

  /** Takes an element out of its bucket; false when it is in none. */
  private unlink(elem: number): boolean {
    const { links, buckets } = this;
    const bucket = this.hashes[elem]! & this.mask;
    let at = buckets[bucket]!;
    if (at === elem) {
      buckets[bucket] = links[elem]!;
      this.count--;
      return true;
    }
    while (at !== 0) {
      const following = links[at]!;
      if (following === elem) {
        links[at] = links[elem]!;
        this.count--;
        return true;
      }
      at = following;
    }
    return false;
  }

  private copyKey(elem: number, to: number): number {
    const from = this.pool.keyAt(elem);
    this.memory.u8.copyWithin(to, from, from + this.keySize);
    return 0;
  }

  protected hashOf(key: number): number {
    if (this.keyWords === 0) return jhash(this.memory.u8, key, this.keySize, this.seed);
    if ((key & 3) === 0) return jhash2(this.memory.i32, key >> 2, this.keyWords, this.seed);
    this.memory.u8.copyWithin(this.scratch, key, key + this.keySize);
    return jhash2(this.memory.i32, this.scratch >> 2, this.keyWords, this.seed);
  }

  /** The element at a key, or 0. */
  protected find(key: number): number {
    return this.findHashed(key, this.hashOf(key));
  }

  private findHashed(key: number, hash: number): number {
    const { hashes, links } = this;
    for (let elem = this.buckets[hash & this.mask]!; elem !== 0; elem = links[elem]!) {
      if (hashes[elem] === hash && this.sameKey(this.pool.keyAt(elem), key)) return elem;
    }
    return 0;
  }

  private sameKey(a: number, b: number): boolean {
    if (this.keyWords !== 0 && (b & 3) === 0) {
      const { i32 } = this.memory;
      for (let i = a >> 2, j = b >> 2, end = i + this.keyWords; i < end; i++, j++) {
        if (i32[i] !== i32[j]) return false;
      }
      return true;
    }
    const { u8 } = this.memory;
    for (let i = 0; i < this.keySize; i++) if (u8[a + i] !== u8[b + i]) return false;
    return true;
  }
}

function checkFlags(old: number, flags: number): number {
  if (old !== 0 && flags === UpdateFlag.BPF_NOEXIST) return -Errno.EEXIST;
  return old === 0 && flags === UpdateFlag.BPF_EXIST ? -Errno.ENOENT : 0;
}

function grown(array: Int32Array<ArrayBuffer>, index: number): Int32Array<ArrayBuffer> {
  const wider = new Int32Array(Math.max(array.length * 2, index + 1));
  wider.set(array);
  return wider;
}
