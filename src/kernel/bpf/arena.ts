/**
 * Arena: memory that programs and user space share, page by page. Models kernel/bpf/arena.c of Linux 6.18. What an arena
 * pointer holds is an offset in engine memory: user space sees the arena there, whatever `map_extra` asked for.
 */
import { Errno } from '../../abi/errno.js';
import { MapFlag } from '../../abi/map-flags.js';
import { PAGE_SIZE } from '../../abi/page.js';
import type { Region } from '../../vm/index.js';
import { BpfMap, type MapAttr, type MapHost, requireAttr, requireMemory } from './map.js';
import { RangeTree } from './range-tree.js';

const CREATE_FLAGS = MapFlag.BPF_F_SEGV_ON_FAULT | MapFlag.BPF_F_MMAPABLE | MapFlag.BPF_F_NO_USER_CONV;
const PAGE_MASK = BigInt(PAGE_SIZE - 1);
const MAX_BYTES = 2 ** 32;
/** Node that means any (NUMA_NO_NODE). */
const ANY_NODE = -1;

export class ArenaMap extends BpfMap {
  private readonly region: Region;
  /** Offset of its first page. */
  private readonly start: number;
  private readonly pages: RangeTree = new RangeTree();

  static check(attr: MapAttr): void {
    const { mapFlags, mapExtra, maxEntries } = attr;
    requireAttr(attr.keySize === 0 && attr.valueSize === 0, attr, 'EINVAL', 'key and value size must be 0');
    requireAttr(maxEntries > 0, attr, 'EINVAL', 'max_entries is 0');
    requireAttr((mapFlags & MapFlag.BPF_F_MMAPABLE) !== 0, attr, 'EINVAL', 'BPF_F_MMAPABLE is missing');
    requireAttr((mapFlags & ~CREATE_FLAGS) === 0, attr, 'EINVAL', 'flags it does not take');
    requireAttr((mapExtra & PAGE_MASK) === 0n, attr, 'EINVAL', 'map_extra is no address of a page');
    const bytes = maxEntries * PAGE_SIZE;
    requireAttr(bytes <= MAX_BYTES, attr, 'E2BIG', `${maxEntries} pages are more than 4 GiB`);
    const high = (address: bigint): bigint => address >> 32n;
    const within = high(mapExtra) === high(mapExtra + BigInt(bytes) - 1n);
    requireAttr(within, attr, 'ERANGE', 'it would lie across a multiple of 4 GiB');
  }

  /** Any types will do. */
  static checkBtf(_attr: MapAttr): void {}

  constructor(attr: MapAttr, host: MapHost) {
    requireMemory(attr, (attr.maxEntries + 1) * PAGE_SIZE);
    super(attr, host);
    this.region = host.memory.alloc((attr.maxEntries + 1) * PAGE_SIZE, 'none');
    this.start = Math.ceil(this.region.address32 / PAGE_SIZE) * PAGE_SIZE;
    this.pages.set(0, attr.maxEntries);
  }

  /** Address of the first page, for user space and for programs. */
  get userStart(): bigint {
    return BigInt(this.start);
  }

  override get canBeInner(): boolean {
    return false;
  }

  /** Global variables, which lie at its start. */
  initialize(data: Uint8Array): void {
    const count = Math.min(Math.ceil(data.length / PAGE_SIZE), this.maxEntries);
    this.pages.clear(0, count);
    this.open(0, count, true);
    this.memory.u8.set(data.subarray(0, count * PAGE_SIZE), this.start);
  }

  /** bpf_arena_alloc_pages: address of `count` zeroed pages, at `address` unless that is 0; 0 when they are not to be had. */
  allocPages(address: bigint, count: number, node = ANY_NODE): bigint {
    if (node !== ANY_NODE && node !== 0) return 0n;
    if (!(count > 0 && count <= this.maxEntries)) return 0n;
    let first = this.pages.find(count);
    if (address !== 0n) {
      if ((address & PAGE_MASK) !== 0n) return 0n;
      const page = this.pageOf(address);
      if (page < 0 || page > this.maxEntries - count || !this.pages.isFree(page, count)) return 0n;
      first = page;
    }
    if (first === undefined) return 0n;
    this.pages.clear(first, count);
    this.open(first, count, true);
    return BigInt(this.start + first * PAGE_SIZE);
  }

  /** bpf_arena_free_pages. What does not lie in the arena is ignored. */
  freePages(address: bigint, count: number): void {
    const first = this.pageOf(address & ~PAGE_MASK);
    if (first < 0 || first >= this.maxEntries || count <= 0) return;
    const pages = Math.min(count, this.maxEntries - first);
    this.pages.set(first, pages);
    this.open(first, pages, false);
  }

  /** bpf_arena_reserve_pages: 0 or a negative errno. Reserved pages are not given out and not there. */
  reservePages(address: bigint, count: number): number {
    if (count === 0) return 0;
    const first = this.pageOf(address);
    if ((address & PAGE_MASK) !== 0n || first < 0 || first + count > this.maxEntries) return -Errno.EINVAL;
    if (!this.pages.isFree(first, count)) return -Errno.EBUSY;
    this.pages.clear(first, count);
    return 0;
  }

  /** User space touches a page: it is there from now on, unless it is reserved or BPF_F_SEGV_ON_FAULT is set. */
  fault(address: bigint): boolean {
    const page = this.pageOf(address);
    if (page < 0 || page >= this.maxEntries) return false;
    if (this.memory.allows(this.start + page * PAGE_SIZE, 1, false)) return true;
    const refused = (this.mapFlags & MapFlag.BPF_F_SEGV_ON_FAULT) !== 0 || !this.pages.isFree(page, 1);
    if (refused) return false;
    this.pages.clear(page, 1);
    this.open(page, 1, true);
    return true;
  }

  override directValue(offset: number): number {
    return offset < this.maxEntries * PAGE_SIZE ? this.start + offset : -1;
  }

  override sysLookup(): number {
    return -Errno.EINVAL;
  }

  override release(): void {
    this.memory.free(this.region);
    super.release();
  }

  /** Only the low half of an address counts. */
  private pageOf(address: bigint): number {
    return Math.floor((Number(BigInt.asUintN(32, address)) - this.start) / PAGE_SIZE);
  }

  private open(first: number, count: number, there: boolean): void {
    const at = this.start + first * PAGE_SIZE;
    this.memory.u8.fill(0, at, at + count * PAGE_SIZE);
    this.memory.protect(at, count * PAGE_SIZE, there ? 'readwrite' : 'none');
  }
}
