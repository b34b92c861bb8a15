/**
 * What a running Linux 6.18 allowed, as recorded by the sweeps in test/oracle: helpers by environment, and offsets
 * of the context by environment, kind of access and size. Numbers are written as ranges: `1..3 7` is 1, 2, 3, 7.
 */

/** What tells one environment from another. */
export interface RecordedEnv {
  readonly type: string;
  readonly attachTypes: readonly string[];
  readonly sleepable?: true;
  /** Kernel type that it is attached to by BTF. */
  readonly target?: string;
  /** struct_ops, which have no attach type: the member that the program implements. */
  readonly member?: string;
}

/** Helpers that may be called, and those of them that want a GPL-compatible licence. */
export interface HelperRow extends RecordedEnv {
  readonly helpers: string;
  readonly gpl: string;
}

/** Offsets that may be accessed: `read 4` → ranges in steps of the size, and what loads of 4 or 8 bytes yield where it is no number. */
export interface ContextRow extends RecordedEnv {
  readonly accesses: Readonly<Record<string, string>>;
  readonly pointers: Readonly<Record<string, string>>;
}

/** Ascending numbers as ranges in steps of `step`. */
export function writeRanges(numbers: readonly number[], step = 1): string {
  const parts: string[] = [];
  for (let i = 0; i < numbers.length; ) {
    let end = i;
    while (end + 1 < numbers.length && numbers[end + 1] === numbers[end]! + step) end++;
    parts.push(end === i ? `${numbers[i]}` : `${numbers[i]}..${numbers[end]}`);
    i = end + 1;
  }
  return parts.join(' ');
}

export function readRanges(text: string, step = 1): number[] {
  if (text === '') return [];
  return text.split(' ').flatMap((part) => {
    const [first, last = first] = part.split('..').map(Number) as [number, number?];
    return Array.from({ length: (last! - first) / step + 1 }, (_, i) => first + i * step);
  });
}
