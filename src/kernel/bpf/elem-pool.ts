/**
 * Storage of a map's elements: key, then value, each on 8 bytes, in chunks of engine memory that are taken when first
 * needed. Elements are numbered from 1; which of them are free is somebody else's affair (`percpu-freelist.ts`,
 * `lru-list.ts`), or that of `take` and `give`, which stand for the allocator's.
 */
import type { Access, EngineMemory, Region } from '../../vm/index.js';

/** Elements a chunk: 64. */
const CHUNK_SHIFT = 6;
const CHUNK = 1 << CHUNK_SHIFT;

export class ElemPool {
  /** Bytes from an element's key to its value. */
  readonly valueOffset: number;
  private readonly stride: number;
  private readonly chunks: Region[] = [];
  /** Memory offset of each chunk; 0 where none is yet. */
  private readonly bases: number[] = [];
  private readonly free: number[] = [];
  private used = 0;

  /** @param valueBytes bytes of all values of an element, a multiple of 8 */
  constructor(
    private readonly memory: EngineMemory,
    keySize: number,
    valueBytes: number,
    private readonly access: Access,
  ) {
    this.valueOffset = Math.ceil(keySize / 8) * 8;
    this.stride = this.valueOffset + valueBytes;
  }

  /** An element: the one given back last, or a new one. */
  take(): number {
    return this.free.pop() ?? this.reach(this.used + 1);
  }

  give(elem: number): void {
    this.free.push(elem);
  }

  /** Makes sure that there is memory for an element that someone else numbers. */
  reach(elem: number): number {
    const chunk = elem >> CHUNK_SHIFT;
    while (this.bases.length <= chunk) this.bases.push(0);
    if (this.bases[chunk] === 0) this.grow(chunk);
    if (elem > this.used) this.used = elem;
    return elem;
  }

  /** Memory offset of an element's key. */
  keyAt(elem: number): number {
    return this.bases[elem >> CHUNK_SHIFT]! + (elem & (CHUNK - 1)) * this.stride;
  }

  valueAt(elem: number): number {
    return this.keyAt(elem) + this.valueOffset;
  }

  private grow(chunk: number): void {
    const region = this.memory.alloc(CHUNK * this.stride, this.access);
    // Programs get pointers to keys too (bpf_for_each_map_elem), but may not change them.
    for (let at = 0; at < region.size; at += this.stride) {
      this.memory.protect(region.address32 + at, this.valueOffset, 'read');
    }
    this.chunks.push(region);
    this.bases[chunk] = region.address32;
  }

  release(): void {
    for (const chunk of this.chunks) this.memory.free(chunk);
  }
}
