/** Maps for tests: short attributes, keys and values as numbers. */

import { MapType, type MapTypeName } from '../../../src/abi/map-types.js';
import type { BpfMap, MapAttr } from '../../../src/kernel/bpf/map.js';
import { SyscallError } from '../../../src/kernel/errors.js';
import { Kernel, type KernelOptions } from '../../../src/kernel/kernel.js';
import { Btf } from '../../../src/object/btf/btf.js';
import { encodeBtf } from '../../../src/object/btf/encode.js';
import { int, structOfBytes as struct } from '../../object/btf/sample.js';

export const kernelOf = (options: KernelOptions = {}): Kernel => new Kernel({ cpus: 2, ...options });

export function makeMap(
  kernel: Kernel,
  type: MapTypeName,
  attr: Partial<Omit<MapAttr, 'type'>> = {},
): BpfMap {
  const sizes = { keySize: 4, valueSize: 8, maxEntries: 4, mapFlags: 0, mapExtra: 0n };
  return kernel.bpf.mapCreate({ name: 'm', ...sizes, ...attr, type: MapType[type] });
}

/** Number of the errno that an act throws; 0 when it does not. */
export function errnoOf(act: () => unknown): number {
  try {
    act();
    return 0;
  } catch (error) {
    if (error instanceof SyscallError) return error.errno;
    throw error;
  }
}

export const u32 = (...words: number[]): Uint8Array => new Uint8Array(Uint32Array.from(words).buffer);
export const u64 = (value: bigint | number): Uint8Array =>
  new Uint8Array(BigUint64Array.of(BigInt(value)).buffer);

/** A value of 8 bytes as a number, or the errno. */
export const number = (value: Uint8Array | number): number =>
  typeof value === 'number'
    ? value
    : Number(new DataView(value.buffer, value.byteOffset).getBigUint64(0, true));

/** Ids in `BTF`: integers of 4 and 8 bytes, and structures with special fields. */
export const ID = {
  int: 1,
  long: 2,
  spinLock: 3,
  timer: 4,
  locked: 5,
  timed: 6,
  twoLocks: 7,
  oddLock: 8,
} as const;

export const BTF: Btf = Btf.parse(
  encodeBtf([
    int('int', 4),
    int('long', 8),
    struct('bpf_spin_lock', 4, [['val', ID.int, 0]]),
    struct('bpf_timer', 16, [['opaque', ID.long, 0]]),
    struct('locked', 16, [
      ['a', ID.long, 0],
      ['lock', ID.spinLock, 8],
      ['b', ID.int, 12],
    ]),
    struct('timed', 24, [
      ['a', ID.long, 0],
      ['timer', ID.timer, 8],
    ]),
    struct('two_locks', 8, [
      ['a', ID.spinLock, 0],
      ['b', ID.spinLock, 4],
    ]),
    struct('odd_lock', 8, [['lock', ID.spinLock, 2]]),
  ]),
);

/** Attributes of a map whose values are of a type of `BTF`. */
export const typed = (valueId: number, valueSize: number, keyId: number = ID.int): Partial<MapAttr> => ({
  valueSize,
  btf: BTF,
  btfKeyTypeId: keyId,
  btfValueTypeId: valueId,
});
