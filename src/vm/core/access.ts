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
  SHADOW_TABLE,
  SHADOW_WRITE,
  STOP_ACCESS,
  TABLE_NODE,
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
 * Element that the descriptor at r1 has at the index, or for the key, that r2 points to: its address, 0 where there is none,
 * or −1 where that is for the plain helper to say.
 */
// @inline
export function element<C>(): i64 {
  const d = load<u32>(HOT_REGS, 8);
  const key = load<i64>(HOT_REGS, 16);
  if (d - load<u32>(WINDOW_START) >= load<u32>(WINDOW_LENGTH)) return -1;
  const s = shadowOf(d);
  if (s != SHADOW_DESCRIPTOR) return s == SHADOW_TABLE ? tableElement<C>(d, key) : -1;
  if ((d & 7) != 0 || forbidden<C>(key, 4, 0)) return -1;
  const index = load<u32>(<usize>key);
  if (index >= load<u32>(d)) return 0;
  const copy = load<u32>(load<u32>(d, 12)) * load<u32>(d, 16);
  return ((<i64>WINDOW_HIGH) << 32) | <i64>(load<u32>(d, 8) + index * load<u32>(d, 4) + copy);
}

/** The same of a hash table. */
function tableElement<C>(d: u32, key: i64): i64 {
  const state = load<u32>(d, 24);
  if ((d & 7) != 0 || load<u32>(state, 4) != 0) return -1;
  const words = load<u32>(d, 4);
  for (let i: u32 = 0; i < words; i++) if (forbidden<C>(key + (i << 2), 4, 0)) return -1;
  const hash = jhash2(<u32>key, words, load<u32>(d, 8));
  const nodes = load<u32>(d, 16);
  let e = load<u32>(load<u32>(d, 12) + ((hash & load<u32>(d)) << 2));
  while (e != 0) {
    const node = nodes + e * TABLE_NODE;
    const at = load<u32>(node, 8);
    if (load<u32>(node, 4) == hash && sameWords(at, <u32>key, words)) {
      const value = at + load<u32>(d, 20) + load<u32>(state) * load<u32>(d, 28);
      return ((<i64>WINDOW_HIGH) << 32) | <i64>value;
    }
    e = load<u32>(node);
  }
  return 0;
}

function sameWords(a: u32, b: u32, words: u32): bool {
  for (let i: u32 = 0; i < words << 2; i += 4) if (load<u32>(a + i) != load<u32>(b + i)) return false;
  return true;
}

/** As `src/kernel/lib/jhash.ts` has it, and include/linux/jhash.h. */
function jhash2(at: u32, words: u32, seed: u32): u32 {
  let a: u32 = 0xdeadbeef + (words << 2) + seed;
  let b = a;
  let c = a;
  for (; words > 3; words -= 3, at += 12) {
    a += load<u32>(at);
    b += load<u32>(at, 4);
    c += load<u32>(at, 8);
    a = (a - c) ^ rotl<u32>(c, 4);
    c += b;
    b = (b - a) ^ rotl<u32>(a, 6);
    a += c;
    c = (c - b) ^ rotl<u32>(b, 8);
    b += a;
    a = (a - c) ^ rotl<u32>(c, 16);
    c += b;
    b = (b - a) ^ rotl<u32>(a, 19);
    a += c;
    c = (c - b) ^ rotl<u32>(b, 4);
    b += a;
  }
  if (words == 0) return c;
  if (words > 2) c += load<u32>(at, 8);
  if (words > 1) b += load<u32>(at, 4);
  a += load<u32>(at);
  c = (c ^ b) - rotl<u32>(b, 14);
  a = (a ^ c) - rotl<u32>(c, 11);
  b = (b ^ a) - rotl<u32>(a, 25);
  c = (c ^ b) - rotl<u32>(b, 16);
  a = (a ^ c) - rotl<u32>(c, 4);
  b = (b ^ a) - rotl<u32>(a, 14);
  return (c ^ b) - rotl<u32>(b, 24);
}

export function fault(pc: usize, b: i32, a: i64, size: i32, write: i32): i32 {
  store<i32>(HOT_PC, pc);
  store<i32>(HOT_BUDGET, b);
  store<i64>(HOT_FAULT_ADDRESS, a);
  store<i32>(HOT_FAULT_SIZE, size);
  store<i32>(HOT_FAULT_STORE, write);
  return STOP_ACCESS;
}
