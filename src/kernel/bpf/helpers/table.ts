/** How a file of this folder states what its helpers do. Ids and names come from `src/abi/helpers.ts`. */

import { Errno } from '../../../abi/errno.js';
import type { HelperName } from '../../../abi/helpers.js';
import { type HelperCall, type HelperDef, HelperFault, type RegValue } from '../../../vm/index.js';
import type { Machine } from '../../machine.js';
import type { BpfMap } from '../map.js';

/** A set of helpers for one kernel. */
export type HelperTable = Partial<Record<HelperName, HelperDef>>;

/** r0 of a helper that never waits; undefined when it has put r0 in place itself. */
export type PlainRun = (call: HelperCall) => RegValue | undefined;

/** Turns a record of functions into helpers that never wait. */
export function plainHelpers(runs: Partial<Record<HelperName, PlainRun>>): HelperTable {
  const table: HelperTable = {};
  for (const [name, run] of Object.entries(runs) as [HelperName, PlainRun][]) {
    table[name] = { kind: 'plain', name: `bpf_${name}`, run };
  }
  return table;
}

/** The map that register `n` points to. Throws `HelperFault` when it is none. */
export function mapArg(kernel: Machine, call: HelperCall, n: number): BpfMap {
  const map = kernel.mapAt(call.argU32(n));
  if (map !== undefined) return map;
  throw new HelperFault(`r${n}: 0x${call.arg(n).toString(16)} is not a map`);
}

/** The same, of one kind. */
export function mapArgOf<T extends BpfMap>(
  kernel: Machine,
  call: HelperCall,
  n: number,
  Class: abstract new (...args: never[]) => T,
): T {
  const map = mapArg(kernel, call, n);
  if (map instanceof Class) return map;
  throw new HelperFault(`r${n}: map ${map.name} is of another type than the helper takes`);
}

/** Flags of 64 bits as a number: what does not fit in 32 bits comes out as one that no helper knows. */
export function flagsArg(call: HelperCall, n: number): number {
  return call.i32[2 * n + 1] === 0 ? call.argU32(n) : 0x100000000;
}

/** A size in a 64-bit register; more than any buffer has where it does not fit in 31 bits. */
export function sizeArg(call: HelperCall, n: number): number {
  const size = call.i32[2 * n + 1] === 0 ? call.argU32(n) : 0x7fffffff;
  if (size <= 0x7fffffff) return size;
  return 0x7fffffff;
}

/** Puts an address into r0 without bigints: 0 for offset 0. */
export function setPointer(call: HelperCall, offset: number, high: number): undefined {
  call.i32[0] = offset;
  call.i32[1] = offset === 0 ? 0 : high;
}

/** Upper half of every kernel address. */
export function addressHigh(kernel: Machine): number {
  return Number(kernel.memory.addressOf(0) >> 32n) | 0;
}

export const { EINVAL, EFAULT, E2BIG, ENOENT, EOPNOTSUPP, ENOMEM, EACCES } = Errno;
