/**
 * Which memory an access may touch. The window is one unsigned comparison; checked programs also look at
 * the shadow (see `../memory.ts`, which keeps it).
 */
import {
  HOT_BUDGET,
  HOT_FAULT_ADDRESS,
  HOT_FAULT_SIZE,
  HOT_FAULT_STORE,
  HOT_PC,
  HOT_REGS,
  SHADOW_ALL,
  SHADOW_DESCRIPTOR,
  SHADOW_READ,
  SHADOW_READ_ALL,
  SHADOW_WRITE,
  STOP_ACCESS,
  WINDOW_HIGH,
  WINDOW_LENGTH,
  WINDOW_START,
} from './layout';

/** True when the access of `size` bytes at virtual address `a` must not happen. */
// @inline
export function forbidden<C>(a: i64, size: i32, write: i32): bool {
  const o = <u64>a - load<u64>(WINDOW_START);
  if (sizeof<C>() == 8) {
    if (o < load<u64>(WINDOW_LENGTH)) {
      const s = shadowOf(<u32>a);
      if (write ? s == SHADOW_ALL : s >= <u32>SHADOW_READ_ALL) {
        if (size == 1 || (<u32>a & 7) <= <u32>(8 - size)) return false;
      }
    }
    return forbiddenByShadow(a, size, write);
  }
  return o >= load<u64>(WINDOW_LENGTH) && outsideAlias(a);
}

// @inline
function shadowOf(offset: u32): u32 {
  return load<u8>(offset >> 3, SHADOW_BASE);
}

/** The window is also seen through addresses whose high half is zero: what 32-bit context fields hold. */
function outsideAlias(a: i64): bool {
  const start = load<u64>(WINDOW_START) & 0xffffffff;
  return <u64>a - start >= load<u64>(WINDOW_LENGTH);
}

function forbiddenByShadow(a: i64, size: i32, write: i32): bool {
  const o = <u64>a - load<u64>(WINDOW_START);
  if (o >= load<u64>(WINDOW_LENGTH) && outsideAlias(a)) return true;
  const first = <u32>a;
  const last = first + size - 1;
  if (forbiddenGranule(first, min(last, first | 7), write)) return true;
  return (first | 7) < last && forbiddenGranule(last & ~7, last, write);
}

/** Bytes `first` to `last` of one granule. */
function forbiddenGranule(first: u32, last: u32, write: i32): bool {
  const s = shadowOf(first);
  if (s == SHADOW_ALL) return false;
  if (s == SHADOW_READ_ALL) return write != 0;
  if ((s & (write ? SHADOW_WRITE : SHADOW_READ)) == 0) return true;
  return (last & 7) >= (s & 7);
}

/**
 * Element that the descriptor at r1 has at the index that r2 points to: its address, 0 past the end, or −1 where
 * that is for the plain helper to say.
 */
// @inline
export function element<C>(): i64 {
  const d = load<u32>(HOT_REGS, 8);
  const key = load<i64>(HOT_REGS, 16);
  if (d - load<u32>(WINDOW_START) >= load<u32>(WINDOW_LENGTH) || shadowOf(d) != SHADOW_DESCRIPTOR) return -1;
  if ((d & 7) != 0 || forbidden<C>(key, 4, 0)) return -1;
  const index = load<u32>(<usize>key);
  if (index >= load<u32>(d)) return 0;
  const copy = load<u32>(load<u32>(d, 12)) * load<u32>(d, 16);
  return ((<i64>WINDOW_HIGH) << 32) | <i64>(load<u32>(d, 8) + index * load<u32>(d, 4) + copy);
}

export function fault(pc: usize, b: i32, a: i64, size: i32, write: i32): i32 {
  store<i32>(HOT_PC, pc);
  store<i32>(HOT_BUDGET, b);
  store<i64>(HOT_FAULT_ADDRESS, a);
  store<i32>(HOT_FAULT_SIZE, size);
  store<i32>(HOT_FAULT_STORE, write);
  return STOP_ACCESS;
}
