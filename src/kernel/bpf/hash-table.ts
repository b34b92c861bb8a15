/**
 * The table under a hash map: buckets of elements, keys' hashes, values and their copies. Nothing here takes a lock; the
 * operations around it are in `hashtab.ts`. Models the lists of kernel/bpf/hashtab.c: new elements are put in front.
 */
import { Errno } from '../../abi/errno.js';
import { MapFlag } from '../../abi/map-flags.js';
import { MapType } from '../../abi/map-types.js';
import type { Region } from '../../vm/index.js';
import { copyBytes } from '../lib/copy.js';
import { jhash, jhash2 } from '../lib/jhash.js';
import { ElemPool } from './elem-pool.js';
import { bytesOf, entriesOf, isPerCpu } from './hash-attr.js';
import {
  BpfMap,
  type ElemVisitor,
  type MapAttr,
  type MapHost,
  requireAttr,
  requireMemory,
  roundUp8,
} from './map.js';

const MAX_BUCKETS = 2 ** 31;
/** Elements that there is room for at first; it doubles as needed. */
const INITIAL_NODES = 256;
/** Words of an element's node: the next in its bucket, its key's hash, where its key lies. The engine's core reads them, too. */
const NODE = 3;
const NODE_HASH = 1;
const NODE_KEY = 2;
/** Types whose look-ups are nothing but finding the element. */
const PLAIN_TYPES: readonly MapType[] = [MapType.hash, MapType.percpu_hash];

/** What tables of other map types decide without flags. */
export interface TableOptions {
  readonly prealloc?: boolean;
  readonly zeroSeed?: boolean;
}

export abstract class HashTable extends BpfMap {
  protected readonly prealloc: boolean;
  protected readonly pool: ElemPool;
  /** Values are replaced where they are: those of every CPU, and maps in a map. */
  protected readonly inPlace: boolean;
  protected readonly valuePerCpu: boolean;
  protected readonly stride: number;
  private readonly mask: number;
  private readonly seed: number;
  private readonly keyWords: number;
  /** The first element of each bucket by number, 0 for none; and nodes by element number. */
  private readonly bucketRegion: Region;
  private nodeRegion: Region;
  /** Where they begin, in words of memory. */
  private readonly buckets: number;
  private nodes: number;
  /** Elements that there are nodes for. */
  private capacity: number;
  /** Elements in the table. */
  private count = 0;
  /** An aligned copy of a key that is not. */
  private readonly scratch: Region;

  constructor(attr: MapAttr, host: MapHost, options: TableOptions) {
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
    const zeroSeed = options.zeroSeed ?? (this.mapFlags & MapFlag.BPF_F_ZERO_SEED) !== 0;
    this.seed = zeroSeed ? 0 : host.nextHashSeed();
    const valueBytes = this.valuePerCpu ? this.stride * host.cpus : this.stride;
    this.pool = new ElemPool(this.memory, this.keySize, valueBytes, this.access);
    this.scratch = this.memory.alloc(this.keySize, 'none');
    this.bucketRegion = this.memory.alloc(4 * buckets, 'none');
    this.buckets = this.bucketRegion.address32 >> 2;
    this.capacity = Math.min(INITIAL_NODES, this.maxEntries + 1);
    this.nodeRegion = this.memory.alloc(4 * NODE * this.capacity, 'none');
    this.nodes = this.nodeRegion.address32 >> 2;
    this.describe();
  }

  /** Lets the engine's core look elements up by itself. */
  private describe(): void {
    if (this.keyWords === 0 || !PLAIN_TYPES.includes(this.type)) return;
    this.memory.describeTable(this.header.address32, {
      mask: this.mask,
      keyWords: this.keyWords,
      seed: this.seed,
      buckets: this.bucketRegion.address32,
      nodes: this.nodeRegion.address32,
      valueOffset: this.pool.valueOffset,
      state: this.host.cpuOffset,
      copyStride: this.valuePerCpu ? this.stride : 0,
    });
  }

  override get perCpu(): boolean {
    return this.valuePerCpu;
  }

  /** Number of elements. */
  get size(): number {
    return this.count;
  }

  /** Number of buckets. */
  get bucketCount(): number {
    return this.mask + 1;
  }

  /** Elements of a bucket, the newest first. */
  bucketElems(bucket: number): number[] {
    const elems: number[] = [];
    for (let elem = this.first(bucket); elem !== 0; elem = this.next(elem)) elems.push(elem);
    return elems;
  }

  /** Copies an element's key and value (`syscallValueSize` bytes) out. */
  copyElem(elem: number, key: number, value: number): void {
    this.copyKey(elem, key);
    this.showElem(elem, value);
  }

  override nextKey(key: number, next: number): number {
    let bucket = 0;
    if (key !== 0) {
      const elem = this.find(key);
      if (elem !== 0) {
        const following = this.next(elem);
        if (following !== 0) return this.copyKey(following, next);
        bucket = (this.hashAt(elem) & this.mask) + 1;
      }
    }
    for (; bucket <= this.mask; bucket++) {
      const elem = this.first(bucket);
      if (elem !== 0) return this.copyKey(elem, next);
    }
    return -Errno.ENOENT;
  }

  override walk(visit: ElemVisitor): number {
    let visited = 0;
    for (let bucket = 0; bucket <= this.mask; bucket++) {
      for (let elem = this.first(bucket); elem !== 0; ) {
        const following = this.next(elem);
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
    for (const region of [this.scratch, this.bucketRegion, this.nodeRegion]) this.memory.free(region);
    super.release();
  }

  /** Copies an element's value, or those of every CPU, out. */
  protected showElem(elem: number, value: number): void {
    const from = this.pool.valueAt(elem);
    if (!this.valuePerCpu) {
      this.showValue(value, from);
      return;
    }
    this.memory.u8.copyWithin(value, from, from + this.syscallValueSize);
    if (this.record === undefined) return;
    for (let cpu = 0; cpu < this.host.cpus; cpu++) this.record.init(this.memory, value + cpu * this.stride);
  }

  protected replaceInPlace(old: number, value: number, fromSyscall: boolean): void {
    if (this.valuePerCpu) this.copyValues(old, value, fromSyscall, false);
    else this.copyValue(this.pool.valueAt(old), value);
  }

  /** Makes room for an element, and for its node. */
  protected reach(elem: number): number {
    if (elem >= this.capacity) this.growNodes(elem);
    const at = this.nodes + NODE * elem + NODE_KEY;
    if (this.memory.i32[at] !== 0) return elem;
    this.pool.reach(elem);
    this.memory.i32[at] = this.pool.keyAt(elem);
    return elem;
  }

  private growNodes(elem: number): void {
    const old = this.nodeRegion;
    this.capacity = Math.max(2 * this.capacity, elem + 1);
    this.nodeRegion = this.memory.alloc(4 * NODE * this.capacity, 'none');
    this.nodes = this.nodeRegion.address32 >> 2;
    this.memory.u8.copyWithin(this.nodeRegion.address32, old.address32, old.address32 + old.size);
    this.memory.free(old);
    this.describe();
  }

  /** A bucket's first element. */
  private first(bucket: number): number {
    return this.memory.i32[this.buckets + bucket]!;
  }

  /** The element behind another one in its bucket. */
  private next(elem: number): number {
    return this.memory.i32[this.nodes + NODE * elem]!;
  }

  /** Key and value of a new element. */
  protected fill(elem: number, key: number, value: number, fromSyscall: boolean): void {
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
  protected freeFields(elem: number): void {
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

  /** The hash of an element's key, from when it was last in the table or was taken for it. */
  protected hashAt(elem: number): number {
    return this.memory.i32[this.nodes + NODE * elem + NODE_HASH]!;
  }

  protected setHash(elem: number, hash: number): void {
    this.memory.i32[this.nodes + NODE * elem + NODE_HASH] = hash;
  }

  protected link(elem: number, hash: number): void {
    const { i32 } = this.memory;
    const bucket = this.buckets + (hash & this.mask);
    const node = this.nodes + NODE * elem;
    i32[node + NODE_HASH] = hash;
    i32[node] = i32[bucket]!;
    i32[bucket] = elem;
    this.count++;
  }

  /** Takes an element out of its bucket; false when it is in none. */
  protected unlink(elem: number): boolean {
    const { i32 } = this.memory;
    const { nodes } = this;
    const node = nodes + NODE * elem;
    // The word that leads to an element: the bucket's, or the node's before it.
    let from = this.buckets + (i32[node + NODE_HASH]! & this.mask);
    for (let at = i32[from]!; at !== elem; at = i32[from]!) {
      if (at === 0) return false;
      from = nodes + NODE * at;
    }
    i32[from] = i32[node]!;
    this.count--;
    return true;
  }

  private copyKey(elem: number, to: number): number {
    const from = this.pool.keyAt(elem);
    this.memory.u8.copyWithin(to, from, from + this.keySize);
    return 0;
  }

  protected hashOf(key: number): number {
    if (this.keyWords === 0) return jhash(this.memory.u8, key, this.keySize, this.seed);
    if ((key & 3) === 0) return jhash2(this.memory.i32, key >> 2, this.keyWords, this.seed);
    this.memory.u8.copyWithin(this.scratch.address32, key, key + this.keySize);
    return jhash2(this.memory.i32, this.scratch.address32 >> 2, this.keyWords, this.seed);
  }

  /** The element at a key, or 0. */
  protected find(key: number): number {
    return this.findHashed(key, this.hashOf(key));
  }

  protected findHashed(key: number, hash: number): number {
    const { nodes } = this;
    const { i32 } = this.memory;
    for (let elem = i32[this.buckets + (hash & this.mask)]!; elem !== 0; ) {
      const node = nodes + NODE * elem;
      if (i32[node + NODE_HASH] === hash && this.sameKey(i32[node + NODE_KEY]!, key)) return elem;
      elem = i32[node]!;
    }
    return 0;
  }

  /** Elements of a bucket that are looked at until this one is found; all where it is not in it. */
  protected depthOf(elem: number, hash: number): number {
    let depth = 0;
    for (let at = this.first(hash & this.mask); at !== 0; at = this.next(at)) {
      depth++;
      if (at === elem) break;
    }
    return depth;
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
