/**
 * Free ranges of pages, best fit. Models kernel/bpf/range_tree.c: of the ranges that are large enough the smallest is
 * taken, of equal ones that which was put there last.
 */

interface Range {
  readonly start: number;
  /** Inclusive. */
  readonly last: number;
}

export class RangeTree {
  /** In the order in which they were put there. */
  private ranges: Range[] = [];

  /** First of `count` free numbers in a row; undefined when there are none. */
  find(count: number): number | undefined {
    let best: Range | undefined;
    for (const range of this.ranges) {
      const size = range.last - range.start;
      if (size + 1 >= count && (best === undefined || size <= best.last - best.start)) best = range;
    }
    return best?.start;
  }

  /** Whether all of them are free. */
  isFree(start: number, count: number): boolean {
    return this.ranges.some((range) => range.start <= start && range.last >= start + count - 1);
  }

  /** Marks numbers as taken. */
  clear(start: number, count: number): void {
    const last = start + count - 1;
    const kept: Range[] = [];
    const cut: Range[] = [];
    for (const range of this.ranges) {
      if (range.last < start || range.start > last) {
        kept.push(range);
        continue;
      }
      if (range.start < start) cut.push({ start: range.start, last: start - 1 });
      if (range.last > last) cut.push({ start: last + 1, last: range.last });
    }
    this.ranges = [...kept, ...cut];
  }

  /** Marks numbers as free, and joins neighbours. */
  set(start: number, count: number): void {
    if (this.isFree(start, count)) return;
    this.clear(start, count);
    let first = start;
    let last = start + count - 1;
    const kept: Range[] = [];
    for (const range of this.ranges) {
      if (range.last + 1 === first) first = range.start;
      else if (range.start === last + 1) last = range.last;
      else kept.push(range);
    }
    this.ranges = [...kept, { start: first, last }];
  }
}
