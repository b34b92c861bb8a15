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
  BpfMap,
  type ElemVisitor,
  KMALLOC_MAX_SIZE,
  type MapAttr,
  type MapHost,
  PERCPU_MAX_VALUE,
  requireAttr,
  requireMemory,
  roundUp8,
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

  constructor(attr: MapAttr, host: MapHost) {
    requireMemory(attr, bytesOf(attr, host.cpus));
    super({ ...attr, maxEntries: entriesOf(attr, host.cpus) }, host);
    const buckets = 2 ** Math.ceil(Math.log2(this.maxEntries));
    requireAttr(buckets <= MAX_BUCKETS, attr, 'E2BIG', 'too many entries');
    this.prealloc = (this.mapFlags & MapFlag.BPF_F_NO_PREALLOC) === 0;
    this.valuePerCpu = isPerCpu(attr);
    this.stride = roundUp8(this.valueSize);
    this.keyWords = this.keySize % 4 === 0 ? this.keySize / 4 : 0;
    this.mask = buckets - 1;
    this.buckets = new Int32Array(buckets);
    this.seed = (this.mapFlags & MapFlag.BPF_F_ZERO_SEED) !== 0 ? 0 : host.nextHashSeed();
    const valueBytes = this.valuePerCpu ? this.stride * host.cpus : this.stride;
    const lru = isLru(attr);
    const spares = this.prealloc && !lru && !this.valuePerCpu ? host.cpus : 0;
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
    this.unlink(elem);
    this.giveBack(elem);
    return 0;
  }

  /** Does not count as a use, unlike a program's look-up. */
  override sysLookup(key: number, value: number): number {
    const elem = this.find(key);
    if (elem === 0) return -Errno.ENOENT;
    const from = this.pool.valueAt(elem);
    this.memory.u8.copyWithin(value, from, from + this.syscallValueSize);
    return 0;
  }

  override sysLookupAndDelete(key: number, value: number): number {
    const missing = this.sysLookup(key, value);
    return missing !== 0 ? missing : this.delete(key);
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
    if ((flags & ~UpdateFlag.BPF_F_LOCK) > UpdateFlag.BPF_EXIST) return -Errno.EINVAL;
    // Only a value with a bpf_spin_lock could allow this, and the helpers that lock are refused at load.
    if ((flags & UpdateFlag.BPF_F_LOCK) !== 0) return -Errno.EINVAL;
    if (this.lru !== undefined) return this.storeLru(key, value, flags, fromSyscall);
    const hash = this.hashOf(key);
    const old = this.findHashed(key, hash);
    const refused = checkFlags(old, flags);
    if (refused !== 0) return refused;
    if (old !== 0 && this.valuePerCpu) {
      this.copyValues(old, value, fromSyscall, false);
      return 0;
    }
    const fresh = this.takeElem(old);
    if (fresh === 0) return -Errno.E2BIG;
    this.fill(fresh, key, value, fromSyscall);
    if (old !== 0) this.unlink(old);
    this.link(fresh, hash);
    if (old !== 0 && !this.prealloc) this.pool.give(old);
    return 0;
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
    if (old !== 0) lru.pushFree(old);
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
    if (this.lru !== undefined) this.lru.pushFree(elem);
    else this.pool.give(elem);
  }

  private fill(elem: number, key: number, value: number, fromSyscall: boolean): void {
    const at = this.pool.keyAt(elem);
    copyBytes(this.memory, at, key, this.keySize);
    if (this.valuePerCpu) this.copyValues(elem, value, fromSyscall, true);
    else copyBytes(this.memory, at + this.pool.valueOffset, value, this.valueSize);
  }

  /** A system call gives every CPU's value; a program its own CPU's, and a new element is zero on the others. */
  private copyValues(elem: number, value: number, fromSyscall: boolean, fresh: boolean): void {
    const { u8 } = this.memory;
    const at = this.pool.valueAt(elem);
    const all = this.stride * this.host.cpus;
    if (fromSyscall) {
      u8.copyWithin(at, value, value + all);
      return;
    }
    if (fresh) u8.fill(0, at, at + all);
    copyBytes(this.memory, at + this.host.cpu * this.stride, value, this.valueSize);
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

  private hashOf(key: number): number {
    if (this.keyWords === 0) return jhash(this.memory.u8, key, this.keySize, this.seed);
    if ((key & 3) === 0) return jhash2(this.memory.i32, key >> 2, this.keyWords, this.seed);
    this.memory.u8.copyWithin(this.scratch, key, key + this.keySize);
    return jhash2(this.memory.i32, this.scratch >> 2, this.keyWords, this.seed);
  }

  private find(key: number): number {
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
