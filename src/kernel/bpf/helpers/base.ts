/** Helpers that every program may use: time, chance, CPU, loops, strings. Models kernel/bpf/helpers.c of Linux 6.18. */
import type { HelperCall } from '../../../vm/index.js';
import type { Machine } from '../../machine.js';
import { parseLong, parseUnsigned } from './strtox.js';
import { E2BIG, EINVAL, type HelperTable, plainHelpers, sizeArg } from './table.js';

/** BPF_MAX_LOOPS. */
const MAX_LOOPS = 8 * 1024 * 1024;
const NUMA_NODE = 0;
/** The clock of `bpf_ktime_get_coarse_ns` moves with the tick. */
const TICK_NS = 4_000_000n;

export function baseHelpers(kernel: Machine): HelperTable {
  const { clock } = kernel;
  const slot = (name: string, offset: number, size: 4 | 8) =>
    ({ kind: 'slot', name: `bpf_${name}`, offset, size }) as const;
  return {
    ktime_get_ns: slot('ktime_get_ns', clock.offset, 8),
    ktime_get_boot_ns: slot('ktime_get_boot_ns', clock.offset, 8),
    get_smp_processor_id: slot('get_smp_processor_id', kernel.cpuOffset, 4),
    get_numa_node_id: { kind: 'const', name: 'bpf_get_numa_node_id', value: NUMA_NODE },
    loop: { kind: 'loop', name: 'bpf_loop', limit: MAX_LOOPS, tooMany: -E2BIG, badFlags: -EINVAL },
    ...plainHelpers({
      ktime_get_coarse_ns: () => clock.now - (clock.now % TICK_NS),
      ktime_get_tai_ns: () => clock.tai,
      jiffies64: () => clock.jiffies,
      get_prandom_u32: () => kernel.random.next(),
      strncmp: (call) => strncmp(kernel, call),
      strtol: (call) => parseLong(kernel, call),
      strtoul: (call) => parseUnsigned(kernel, call),
    }),
  };
}

function strncmp(kernel: Machine, call: HelperCall): number {
  const size = sizeArg(call, 2);
  const a = call.pointer(1, size);
  const { u8 } = kernel.memory;
  const b = call.pointer(3, 1);
  for (let i = 0; i < size; i++) {
    const x = u8[a + i]!;
    const y = u8[b + i]!;
    if (x !== y) return x < y ? -1 : 1;
    if (x === 0) return 0;
  }
  return 0;
}
