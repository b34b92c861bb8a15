/**
 * Hands out blocks of BPF-visible memory: size classes on free lists for small blocks, best fit with
 * merging for large ones. Knows offsets only; deterministic, so that addresses repeat from run to run.
 */

/** Blocks up to this size come in classes; larger ones in multiples of `LARGE_UNIT`. */
const SMALL_LIMIT = 8192;
const LARGE_UNIT = 4096;
const SMALL_UNIT = 16;
/** Small blocks are cut from slabs of this size. */
const SLAB = 32768;

/** Sizes 16, 32, 48, 64, then four steps an octave. */
function classOf(size: number): number {
  if (size <= 64) return Math.max(SMALL_UNIT, Math.ceil(size / SMALL_UNIT) * SMALL_UNIT);
  const step = 2 ** (Math.floor(Math.log2(size - 1)) - 2);
  return Math.ceil(size / step) * step;
}

export class BlockAllocator {
  private top: number;
  private readonly free = new Map<number, number[]>();
  /** Free large extents, by offset, ascending and merged. */
  private extents: { offset: number; size: number }[] = [];
  private readonly sizes = new Map<number, number>();

  /** `ensure(end)` makes memory up to `end` exist, or says that it cannot. */
  constructor(
    start: number,
    private readonly ensure: (end: number) => boolean,
  ) {
    this.top = start;
  }

  /** No block lies at or beyond this offset. */
  get end(): number {
    return this.top;
  }

  /** Offset of a block of at least `size` bytes, or undefined when there is no memory. */
  take(size: number): number | undefined {
    if (size > SMALL_LIMIT) return this.takeLarge(Math.ceil(size / LARGE_UNIT) * LARGE_UNIT);
    const rounded = classOf(size);
    let list = this.free.get(rounded);
    if (list === undefined) {
      list = [];
      this.free.set(rounded, list);
    }
    if (list.length === 0 && !this.refill(rounded, list)) return undefined;
    const offset = list.pop()!;
    this.sizes.set(offset, rounded);
    return offset;
  }

  /** Takes back a block that `take` gave. */
  give(offset: number): void {
    const size = this.sizes.get(offset)!;
    this.sizes.delete(offset);
    if (size > SMALL_LIMIT) this.insertExtent(offset, size);
    else this.free.get(size)!.push(offset);
  }

  private refill(size: number, list: number[]): boolean {
    const slab = this.takeExtent(SLAB);
    if (slab === undefined) return false;
    // Last first, so that blocks are taken in ascending order.
    for (let i = Math.floor(SLAB / size) - 1; i >= 0; i--) list.push(slab + i * size);
    return true;
  }

  private takeLarge(size: number): number | undefined {
    const offset = this.takeExtent(size);
    if (offset !== undefined) this.sizes.set(offset, size);
    return offset;
  }

  private takeExtent(size: number): number | undefined {
    let best = -1;
    for (const [i, extent] of this.extents.entries()) {
      if (extent.size >= size && (best < 0 || extent.size < this.extents[best]!.size)) best = i;
    }
    if (best >= 0) {
      const extent = this.extents[best]!;
      const { offset } = extent;
      if (extent.size === size) this.extents.splice(best, 1);
      else this.extents[best] = { offset: offset + size, size: extent.size - size };
      return offset;
    }
    if (!this.ensure(this.top + size)) return undefined;
    const offset = this.top;
    this.top += size;
    return offset;
  }

  private insertExtent(offset: number, size: number): void {
    let i = this.extents.findIndex((e) => e.offset > offset);
    if (i < 0) i = this.extents.length;
    this.extents.splice(i, 0, { offset, size });
    this.mergeAt(i);
    if (i > 0) this.mergeAt(i - 1);
  }

  private mergeAt(i: number): void {
    const a = this.extents[i]!;
    const b = this.extents[i + 1];
    if (b === undefined || a.offset + a.size !== b.offset) return;
    this.extents.splice(i, 2, { offset: a.offset, size: a.size + b.size });
  }
}
