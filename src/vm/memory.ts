/**
 * All memory that BPF can see, and the engine's own in front of it: one `WebAssembly.Memory`. Addresses
 * are kernel-like: high half `WINDOW_HIGH`, low half the memory offset; with a high half of zero they name
 * the same bytes. A shadow byte for every 8 bytes says what checked programs may touch, so that an access
 * one byte past a map value faults.
 */
import { BlockAllocator } from './allocator.js';
import {
  SHADOW_ALL,
  SHADOW_DESCRIPTOR,
  SHADOW_NONE,
  SHADOW_READ,
  SHADOW_READ_ALL,
  SHADOW_TABLE,
  SHADOW_WRITE,
  WINDOW_HIGH,
  WINDOW_LENGTH,
  WINDOW_SLACK,
  WINDOW_START,
} from './core/layout.js';
import { SHADOW_BASE } from './core.wasm.js';
import { VmMemoryError } from './errors.js';
import type { Access, IndexedElements, Region, TableElements } from './types.js';
import { Memory, type WasmMemory } from './webassembly.js';

const PAGE = 65536;
const WINDOW_BASE = BigInt(WINDOW_HIGH) << 32n;
const LOW_MASK = 0xffffffffn;
/** Memory is asked of the host in steps of this many bytes. */
const GROWTH = 1 << 20;
/** Bytes between allocations that no checked program may touch. */
const RED_ZONE = 16;

export const DEFAULT_MEMORY_LIMIT = 256 << 20;
/** What a 32-bit offset and the shadow leave room for. */
export const MAX_MEMORY_LIMIT = 2 ** 31;

/**
 * Memories of engines that are no more, zeroed, by their largest size in pages. Hosts reclaim a memory late and at a high
 * price, and whoever explores schedules needs thousands of engines.
 */
const retired = new Map<number, WasmMemory[]>();
const MAX_RETIRED = 8;
/** Larger ones are left to the host. */
const MAX_RETIRED_WINDOW = 16 << 20;

function createMemory(initial: number, maximum: number): WasmMemory {
  const again = retired.get(maximum)?.pop();
  if (again !== undefined) return again;
  try {
    return new Memory({ initial, maximum });
  } catch {
    const size = Math.ceil((initial * PAGE) / (1 << 20));
    throw new VmMemoryError(
      'VM_OUT_OF_MEMORY',
      `the host gives no ${size} MiB of address space for an engine`,
    );
  }
}

class MemoryRegion implements Region {
  readonly address: bigint;

  constructor(
    private readonly memory: EngineMemory,
    readonly address32: number,
    readonly size: number,
  ) {
    this.address = WINDOW_BASE | BigInt(address32);
  }

  get bytes(): Uint8Array {
    return this.memory.u8.subarray(this.address32, this.address32 + this.size);
  }
}

export class EngineMemory {
  readonly wasm: WasmMemory;
  /** Views of all memory; replaced when it grows. */
  u8!: Uint8Array;
  i32!: Int32Array;
  i64!: BigInt64Array;
  view!: DataView;
  /** Called after memory has grown, so that others may replace their views. */
  onGrow: () => void = () => {};
  /** First offset that programs can see. */
  readonly windowStart: number;
  private readonly blocks: BlockAllocator;
  private readonly regions = new Map<number, Region>();
  private readonly limit: number;

  /** `limitBytes` bounds what programs can see; the engine's own part comes on top and is touched on demand. */
  constructor(limitBytes = DEFAULT_MEMORY_LIMIT) {
    if (!(limitBytes >= GROWTH && limitBytes <= MAX_MEMORY_LIMIT)) {
      throw new VmMemoryError(
        'VM_BAD_REGION',
        `memory limit of ${limitBytes} bytes is not within 1 MiB and 2 GiB`,
      );
    }
    // The shadow covers the window and itself: 8 bytes of memory a byte.
    const shadowSize = Math.ceil((SHADOW_BASE + limitBytes) / 7 / PAGE) * PAGE;
    this.windowStart = SHADOW_BASE + shadowSize;
    this.limit = Math.floor((this.windowStart + limitBytes) / PAGE) * PAGE;
    const pages = (this.windowStart + GROWTH) / PAGE;
    this.wasm = createMemory(pages, this.limit / PAGE);
    this.blocks = new BlockAllocator(this.windowStart, (end) => this.growTo(end));
    this.refresh();
    this.i64[WINDOW_START / 8] = WINDOW_BASE | BigInt(this.windowStart);
  }

  /** The engine is no more; what programs had, and its own part up to `codeEnd`, is cleared and may be another's. */
  retire(codeEnd: number): void {
    const { u8, windowStart, wasm } = this;
    const kept = retired.get(this.limit / PAGE) ?? [];
    if (kept.length >= MAX_RETIRED || u8.byteLength - windowStart > MAX_RETIRED_WINDOW) return;
    u8.fill(0, 0, codeEnd);
    u8.fill(0, SHADOW_BASE + (windowStart >>> 3), SHADOW_BASE + (u8.byteLength >>> 3));
    u8.fill(0, windowStart);
    kept.push(wasm);
    retired.set(this.limit / PAGE, kept);
  }

  private refresh(): void {
    const { buffer } = this.wasm;
    this.u8 = new Uint8Array(buffer);
    this.i32 = new Int32Array(buffer);
    this.i64 = new BigInt64Array(buffer);
    this.view = new DataView(buffer);
    this.i64[WINDOW_LENGTH / 8] = BigInt(buffer.byteLength - this.windowStart - WINDOW_SLACK);
    this.onGrow();
  }

  private growTo(end: number): boolean {
    const now = this.u8.byteLength;
    const wanted = end + WINDOW_SLACK;
    if (wanted <= now) return true;
    if (wanted > this.limit) return false;
    // By half as much again, so that many small allocations do not make many new views.
    const target = Math.min(this.limit, Math.max(wanted, now + GROWTH, now + (now - this.windowStart) / 2));
    try {
      this.wasm.grow(Math.ceil((target - now) / PAGE));
    } catch {
      // The host has no more to give, whatever the limit says.
      return false;
    }
    this.refresh();
    return true;
  }

  /** Zeroed memory of `size` bytes, 16-byte aligned, with bytes around it that no checked program may touch. */
  alloc(size: number, access: Access = 'readwrite'): Region {
    if (!Number.isSafeInteger(size) || size < 0) {
      throw new VmMemoryError('VM_BAD_REGION', `cannot allocate ${size} bytes`);
    }
    const offset = this.blocks.take(size + RED_ZONE);
    if (offset === undefined) {
      throw new VmMemoryError('VM_OUT_OF_MEMORY', `no memory for ${size} bytes within the engine's limit`);
    }
    this.u8.fill(0, offset, offset + size);
    const region = new MemoryRegion(this, offset, size);
    this.regions.set(offset, region);
    this.protect(offset, size, access);
    return region;
  }

  /** Gives a region back; programs may no longer touch it. */
  free(region: Region): void {
    const offset = region.address32;
    if (this.regions.get(offset) !== region) {
      throw new VmMemoryError('VM_BAD_REGION', `no region of this engine starts at offset ${offset}`);
    }
    this.regions.delete(offset);
    this.protect(offset, region.size, 'none');
    this.blocks.give(offset);
  }

  /**
   * What checked programs may do with `size` bytes from `offset`, a multiple of 8. A size that is no
   * multiple of 8 closes the rest of its last 8 bytes.
   */
  protect(offset: number, size: number, access: Access): void {
    const whole = SHADOW_BASE + (offset >>> 3);
    const end = whole + (size >>> 3);
    const all = access === 'none' ? SHADOW_NONE : access === 'read' ? SHADOW_READ_ALL : SHADOW_ALL;
    this.u8.fill(all, whole, end);
    const rest = size & 7;
    if (rest === 0) return;
    const flags = access === 'none' ? 0 : access === 'read' ? SHADOW_READ : SHADOW_READ | SHADOW_WRITE;
    this.u8[end] = flags === 0 ? SHADOW_NONE : flags | rest;
  }

  /**
   * Makes the first `DESCRIPTOR_SIZE` bytes at `offset` (a multiple of 8, which no program may touch) the descriptor
   * of elements that `indexed` helpers find by number.
   */
  describe(offset: number, elements: IndexedElements): void {
    const { count, stride, base, copyWord = 0, copyStride = 0 } = elements;
    this.i32.set([count, stride, base, copyWord, copyStride], offset >> 2);
    this.u8[SHADOW_BASE + (offset >>> 3)] = SHADOW_DESCRIPTOR;
  }

  /** The same with `TABLE_SIZE` bytes for a hash table. */
  describeTable(offset: number, table: TableElements): void {
    const { mask, keyWords, seed, buckets, nodes, valueOffset, state, copyStride } = table;
    this.i32.set([mask, keyWords, seed, buckets, nodes, valueOffset, state, copyStride], offset >> 2);
    this.u8[SHADOW_BASE + (offset >>> 3)] = SHADOW_TABLE;
  }

  /** Memory offset of a virtual address, or −1 when `size` bytes from there do not lie in the window. */
  offsetOf(address: bigint, size = 1): number {
    const high = BigInt.asUintN(64, address) >> 32n;
    if (high !== 0n && high !== BigInt(WINDOW_HIGH)) return -1;
    return this.checkOffset(Number(address & LOW_MASK), size);
  }

  /** The same for an address in two 32-bit halves, without bigints. */
  offsetOfHalves(low: number, high: number, size = 1): number {
    if (high !== 0 && high >>> 0 !== WINDOW_HIGH) return -1;
    return this.checkOffset(low >>> 0, size);
  }

  private checkOffset(offset: number, size: number): number {
    return offset >= this.windowStart && offset + size <= this.u8.byteLength - WINDOW_SLACK ? offset : -1;
  }

  /** Virtual address of a memory offset. */
  addressOf(offset: number): bigint {
    return WINDOW_BASE | BigInt(offset);
  }

  /** Whether a checked program may read or write `size` bytes at `offset`, which lie in the window. */
  allows(offset: number, size: number, write: boolean): boolean {
    const need = write ? SHADOW_WRITE : SHADOW_READ;
    for (let at = offset; at < offset + size; at = (at | 7) + 1) {
      const s = this.u8[SHADOW_BASE + (at >>> 3)]!;
      if (s === SHADOW_ALL || (s === SHADOW_READ_ALL && !write)) continue;
      if (s === SHADOW_READ_ALL || (s & need) === 0) return false;
      const last = Math.min(offset + size - 1, at | 7) & 7;
      if (last >= (s & 7)) return false;
    }
    return true;
  }
}
