/** Kernels and small programs in assembly for the tests of attach points. */
import type { AttachType } from '../../../src/abi/attach-types.js';
import { helperId } from '../../../src/abi/helpers.js';
import { MapType, type MapTypeName } from '../../../src/abi/map-types.js';
import { ProgType, type ProgTypeName } from '../../../src/abi/prog-types.js';
import { assemble } from '../../../src/isa/index.js';
import type { BpfMap } from '../../../src/kernel/bpf/map.js';
import type { BpfProg } from '../../../src/kernel/bpf/prog.js';
import { Kernel, type KernelOptions } from '../../../src/kernel/kernel.js';

/** A kernel that takes programs as they are: these tests are not about what the verifier says. */
export function kernelOf(profile = '6.18', options: KernelOptions = {}): Kernel {
  return new Kernel({ profile, verify: 'never', ...options });
}

export interface LoadAs {
  readonly name?: string;
  readonly section?: string;
  readonly attachType?: AttachType;
  readonly progFlags?: number;
  readonly maps?: BpfMap[];
}

export function load(kernel: Kernel, type: ProgTypeName, asm: string, as: LoadAs = {}): BpfProg {
  const { name = 'prog', section = '', attachType = 0, progFlags = 0, maps = [] } = as;
  return kernel.bpf.progLoad(
    {
      name,
      section,
      type: ProgType[type],
      expectedAttachType: attachType,
      progFlags,
      autoload: true,
      insns: assemble(asm, { helperId }),
      subProgs: [],
      funcInfo: [],
      lineInfo: [],
    },
    maps,
  );
}

export function mapOf(
  kernel: Kernel,
  type: MapTypeName,
  sizes: { keySize?: number; valueSize?: number; maxEntries?: number; mapFlags?: number } = {},
): BpfMap {
  return kernel.bpf.mapCreate({
    name: 'm',
    type: MapType[type],
    keySize: 4,
    valueSize: 8,
    maxEntries: 8,
    mapFlags: 0,
    mapExtra: 0n,
    ...sizes,
  });
}

/** Assembly that stores 64-bit words at keys 0, 1, … of map 0, an array; `words` leave each word in r0. */
export function recording(words: readonly string[]): string {
  const stores = words.map(
    (word, i) => `
  ${word}
  *(u64 *)(r10 - 16) = r0
  *(u32 *)(r10 - 4) = ${i}
  r1 = map[fd:0]
  r2 = r10
  r2 += -4
  r3 = r10
  r3 += -16
  r4 = 0
  call bpf_map_update_elem`,
  );
  return `r6 = r1\n${stores.join('\n')}\nr0 = 0\nexit`;
}

/** What a recording program left. */
export function recorded(kernel: Kernel, map: BpfMap): bigint[] {
  return [...kernel.bpf.mapEntries(map)].map(({ value }) =>
    new DataView(value.buffer, value.byteOffset).getBigUint64(0, true),
  );
}

/** What a program runs in. */
export interface Seen {
  readonly preemptCount: number;
  readonly irqsDisabled: boolean;
  /** Migration is disabled by the task's counter. */
  readonly pinned: boolean;
  readonly softirq: number;
  readonly rcu: number;
  readonly comm: string;
  readonly cpu: number;
  readonly calls: string[];
}

/** Notes where programs are each time that one of them asks for a random number. */
export function observe(kernel: Kernel): Seen[] {
  const seen: Seen[] = [];
  kernel.random.next = () => {
    const { here } = kernel.sched;
    const { current } = here;
    seen.push({
      preemptCount: here.preemptCount,
      irqsDisabled: here.irqsDisabled,
      pinned: current.migrationDisabled > 0,
      softirq: here.softirqCount,
      rcu: current.rcuDepth,
      comm: current.comm,
      cpu: here.id,
      calls: here.stack(),
    });
    return 0;
  };
  return seen;
}

/** Asks for a random number. */
export const ASK = 'call bpf_get_prandom_u32\nr0 = 1\nexit';
