/**
 * In which contexts locks are used, and which uses exclude each other: what an interrupt takes may not be held with that
 * interrupt on. A bit's number has bit 0 for readers, bit 1 for "taken with interrupts on", bit 2 for softirqs. Models
 * the usage bits of kernel/locking/lockdep.c.
 */
import { type LockClass, Usage } from './lock-class.js';
import type { PathNode } from './lockdep-search.js';

export const READ_BIT = 1;
const DIR_BIT = 2;
const STATES = ['HARDIRQ', 'SOFTIRQ'] as const;

const bits = (test: (bit: number) => boolean): number =>
  [0, 1, 2, 3, 4, 5, 6, 7].filter(test).reduce((mask, bit) => mask | (1 << bit), 0);

export const USED_IN_ALL = bits((bit) => (bit & DIR_BIT) === 0);
export const ENABLED_ALL = bits((bit) => (bit & DIR_BIT) !== 0);
/** Bits that are not readers'. */
const IRQ_WRITE = bits((bit) => (bit & READ_BIT) === 0);
const IRQ_READ = bits((bit) => (bit & READ_BIT) !== 0);

/** `IN-HARDIRQ-W` and so on. */
export function usageText(bit: number): string {
  if (bit === Usage.used) return 'INITIAL USE';
  if (bit === Usage.usedRead) return 'INITIAL READ USE';
  const state = STATES[bit >> 2]!;
  const mode = (bit & READ_BIT) === 0 ? 'W' : 'R';
  return (bit & DIR_BIT) === 0 ? `IN-${state}-${mode}` : `${state}-ON-${mode}`;
}

/** `HARDIRQ`, `SOFTIRQ-READ` and so on. */
export function stateName(bit: number): string {
  return `${STATES[bit >> 2]!}${(bit & READ_BIT) === 0 ? '' : '-READ'}`;
}

/** The four characters that sum a class's use up: hardirq, its readers, softirq, its readers. */
export function usageChars(cls: LockClass): string {
  const char = (bit: number): string => {
    const used = (cls.usage & (1 << bit)) !== 0;
    const enabled = (cls.usage & (1 << (bit + DIR_BIT))) !== 0;
    return enabled ? (used ? '?' : '+') : used ? '-' : '.';
  };
  return char(0) + char(1) + char(4) + char(5);
}

/** The exclusive use that a use conflicts with. */
export function exclusiveBit(bit: number): number {
  return (bit & ~READ_BIT) ^ DIR_BIT;
}

export function isEnabledBit(bit: number): boolean {
  return (bit & DIR_BIT) !== 0;
}

/** Uses that conflict with any of a mask; it is its own inverse as far as readers go. */
export function exclusiveMask(mask: number): number {
  let excl = ((mask & ENABLED_ALL) >> DIR_BIT) | ((mask & USED_IN_ALL) << DIR_BIT);
  excl |= (excl & IRQ_READ) >> READ_BIT;
  excl |= (excl & IRQ_WRITE) << READ_BIT;
  return excl;
}

/** The first pair of uses that conflict. */
export function conflictingPair(mask: number, other: number): readonly [number, number] {
  for (let bit = 0; bit < Usage.used; bit++) {
    if ((mask & (1 << bit)) === 0) continue;
    const excl = exclusiveBit(bit);
    for (const found of [excl, excl | READ_BIT]) if ((other & (1 << found)) !== 0) return [bit, found];
  }
  return [0, 0];
}

/** What counts of a class's use at the end of a path. */
export function usageAt({ cls, weak }: PathNode): number {
  return weak ? cls.usage & IRQ_WRITE : cls.usage;
}

/** Local locks are no part of irq inversions: they are no locks, or sleep where irq-safe ones cannot. */
export function isLocal({ cls }: PathNode): boolean {
  return cls.type === 'percpu';
}
