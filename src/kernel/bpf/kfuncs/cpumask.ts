/** Sets of CPUs. Models kernel/bpf/cpumask.c of Linux 6.18; a set is 64 bits here, which is as many CPUs as there can be. */
import { type HelperCall, HelperFault, type Region } from '../../../vm/index.js';
import type { Machine } from '../../machine.js';
import { readMemory } from '../helpers/probe-read.js';
import { addressHigh, EACCES, EINVAL, setPointer } from '../helpers/table.js';
import type { KfuncRun, KfuncTable } from './table.js';

/** Bytes of `struct bpf_cpumask`: a set for 8,192 CPUs, and the count of holders. */
const MASK_BYTES = 1024;
const OBJECT_BYTES = MASK_BYTES + 8;

export function cpumaskKfuncs(kernel: Machine): KfuncTable {
  const high = addressHigh(kernel);
  const all = (1n << BigInt(kernel.cpus)) - 1n;
  const holders = new Map<number, number>();
  const regions = new Map<number, Region>();
  const get = (call: HelperCall, n: number): bigint =>
    kernel.memory.view.getBigUint64(call.pointer(n, 8), true) & all;
  const set = (call: HelperCall, n: number, mask: bigint): void =>
    kernel.memory.view.setBigUint64(call.pointer(n, 8, true), mask, true);
  const bit = (call: HelperCall): bigint =>
    call.argU32(1) < kernel.cpus ? 1n << BigInt(call.argU32(1)) : 0n;
  const first = (mask: bigint): number => {
    for (let cpu = 0; cpu < kernel.cpus; cpu++) if ((mask >> BigInt(cpu)) % 2n === 1n) return cpu;
    return kernel.cpus;
  };
  /** (destination, a, b); with `tell`, whether the result has any. */
  const combine =
    (op: (a: bigint, b: bigint) => bigint, tell = false): KfuncRun =>
    (call) => {
      const mask = op(get(call, 2), get(call, 3)) & all;
      set(call, 1, mask);
      return tell && mask !== 0n ? 1 : 0;
    };
  let next = 0;
  /** Another one each time, in turn. */
  const distribute = (mask: bigint): number => {
    for (let i = 0; i < kernel.cpus; i++) {
      const cpu = (next + i) % kernel.cpus;
      if ((mask >> BigInt(cpu)) % 2n === 0n) continue;
      next = cpu + 1;
      return cpu;
    }
    return kernel.cpus;
  };
  const count = (call: HelperCall, by: number): number => {
    const at = call.argU32(1);
    const left = (holders.get(at) ?? 0) + by;
    if (!holders.has(at)) throw new HelperFault(`r1: 0x${call.arg(1).toString(16)} is no set of the program`);
    holders.set(at, left);
    return left;
  };
  return {
    bpf_cpumask_create(call) {
      const region = kernel.memory.alloc(OBJECT_BYTES, 'readwrite');
      holders.set(region.address32, 1);
      regions.set(region.address32, region);
      return setPointer(call, region.address32, high);
    },
    bpf_cpumask_acquire(call) {
      count(call, 1);
      return setPointer(call, call.argU32(1), high);
    },
    bpf_cpumask_release(call) {
      if (count(call, -1) > 0) return 0;
      const at = call.argU32(1);
      holders.delete(at);
      kernel.memory.free(regions.get(at)!);
      regions.delete(at);
      return 0;
    },
    bpf_cpumask_first: (call) => first(get(call, 1)),
    bpf_cpumask_first_zero: (call) => first(~get(call, 1) & all),
    bpf_cpumask_first_and: (call) => first(get(call, 1) & get(call, 2)),
    bpf_cpumask_set_cpu(call) {
      if (bit(call) !== 0n) set(call, 2, get(call, 2) | bit(call));
      return 0;
    },
    bpf_cpumask_clear_cpu(call) {
      set(call, 2, get(call, 2) & ~bit(call));
      return 0;
    },
    bpf_cpumask_test_cpu: (call) => ((get(call, 2) & bit(call)) === 0n ? 0 : 1),
    bpf_cpumask_test_and_set_cpu(call) {
      const was = get(call, 2) & bit(call);
      set(call, 2, get(call, 2) | bit(call));
      return was === 0n ? 0 : 1;
    },
    bpf_cpumask_test_and_clear_cpu(call) {
      const was = get(call, 2) & bit(call);
      set(call, 2, get(call, 2) & ~bit(call));
      return was === 0n ? 0 : 1;
    },
    bpf_cpumask_setall(call) {
      set(call, 1, all);
      return 0;
    },
    bpf_cpumask_clear(call) {
      set(call, 1, 0n);
      return 0;
    },
    bpf_cpumask_and: combine((a, b) => a & b, true),
    bpf_cpumask_or: combine((a, b) => a | b),
    bpf_cpumask_xor: combine((a, b) => a ^ b),
    bpf_cpumask_equal: (call) => (get(call, 1) === get(call, 2) ? 1 : 0),
    bpf_cpumask_intersects: (call) => ((get(call, 1) & get(call, 2)) === 0n ? 0 : 1),
    bpf_cpumask_subset: (call) => ((get(call, 1) & ~get(call, 2)) === 0n ? 1 : 0),
    bpf_cpumask_empty: (call) => (get(call, 1) === 0n ? 1 : 0),
    bpf_cpumask_full: (call) => (get(call, 1) === all ? 1 : 0),
    bpf_cpumask_copy(call) {
      set(call, 1, get(call, 2));
      return 0;
    },
    bpf_cpumask_any_distribute: (call) => distribute(get(call, 1)),
    bpf_cpumask_any_and_distribute: (call) => distribute(get(call, 1) & get(call, 2)),
    bpf_cpumask_weight: (call) => weight(get(call, 1)),
    bpf_cpumask_populate(call) {
      const size = call.argU32(3);
      if (size < MASK_BYTES && size !== Math.ceil(kernel.cpus / 64) * 8) return -EACCES;
      if (call.arg(2) % 8n !== 0n) return -EINVAL;
      const bytes = readMemory(kernel, call, call.arg(2), 8, 'kernel');
      if (bytes === undefined) return -EINVAL;
      set(call, 1, new DataView(bytes.buffer).getBigUint64(0, true));
      return 0;
    },
  };
}

function weight(mask: bigint): number {
  let count = 0;
  for (let left = mask; left !== 0n; left &= left - 1n) count++;
  return count;
}
