/** BTF for maps of a comparison: integers, and structures with a lock or a timer of the kernel's. */

import { encodeBtf } from '../../../src/object/btf/encode.js';
import { int, structOfBytes as struct } from '../../object/btf/sample.js';

/** Ids of the types. */
export const BTF_INT = 1;
export const BTF_LONG = 2;
export const BTF_SPIN_LOCK = 3;
export const BTF_TIMER = 4;
/** 16 bytes: a number, a lock, a number. */
export const BTF_LOCKED = 5;
/** 24 bytes: a number, a timer. */
export const BTF_TIMED = 6;
/** 8 bytes: two numbers. */
export const BTF_PAIR = 7;
/** 16 bytes: a control group and an attach type. */
export const BTF_CGROUP_KEY = 8;
export const BTF_MAP_TYPES: readonly (readonly [id: number, size: number])[] = [
  [BTF_INT, 4],
  [BTF_LONG, 8],
  [BTF_SPIN_LOCK, 4],
  [BTF_TIMER, 16],
  [BTF_LOCKED, 16],
  [BTF_TIMED, 24],
  [BTF_PAIR, 8],
  [BTF_CGROUP_KEY, 16],
];

export const MAP_BTF: string = Buffer.from(
  encodeBtf([
    int('int', 4),
    int('long', 8),
    struct('bpf_spin_lock', 4, [['val', BTF_INT, 0]]),
    struct('bpf_timer', 16, [
      ['a', BTF_LONG, 0],
      ['b', BTF_LONG, 8],
    ]),
    struct('locked', 16, [
      ['a', BTF_LONG, 0],
      ['lock', BTF_SPIN_LOCK, 8],
      ['b', BTF_INT, 12],
    ]),
    struct('timed', 24, [
      ['a', BTF_LONG, 0],
      ['timer', BTF_TIMER, 8],
    ]),
    struct('pair', 8, [
      ['a', BTF_INT, 0],
      ['b', BTF_INT, 4],
    ]),
    struct('cgroup_key', 16, [
      ['group', BTF_LONG, 0],
      ['type', BTF_INT, 8],
    ]),
  ]),
).toString('hex');
