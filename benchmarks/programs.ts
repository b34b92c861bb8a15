/**
 * Hot paths of real programs: every committed program in a kernel of its own, maps and helpers included. Packet programs
 * see the packets of `programs/data`, the others an empty context. A unit is one execution of the program.
 */
import { readFileSync } from 'node:fs';
import {
  BpflabError,
  type Lab,
  loadLab,
  loadTargetBtf,
  openObject,
  readPcap,
  relocateObject,
} from '../src/index.js';
import type { TestRunAttr } from '../src/kernel/bpf/test-run-types.js';
import type { Benchmark, Suite } from './framework.js';

interface Target {
  readonly object: string;
  readonly program: string;
  readonly packets: boolean;
}

const PACKETS: readonly (readonly [string, string])[] = [
  ['xdp_counter', 'count_packets'],
  ['xdp_dispatch', 'dispatch'],
  ['xdp_firewall', 'firewall'],
  ['xdp_heavy_hitters', 'find_heavy_hitters'],
  ['tc_conntrack', 'conntrack'],
  ['socket_dns', 'dns_filter'],
];
const EVENTS: readonly (readonly [string, string])[] = [
  ['kprobe_latency', 'read_exit'],
  ['tp_syscalls', 'syscall_enter'],
  ['perf_profiler', 'profile'],
];
const TARGETS: readonly Target[] = [
  ...PACKETS.map(([object, program]) => ({ object, program, packets: true })),
  ...EVENTS.map(([object, program]) => ({ object, program, packets: false })),
];
/** Executions on each input, within one test run. */
const REPEAT = 500;
const folder = new URL('../programs/', import.meta.url);

/** A packet that the program would change, or that Linux refuses for its type, makes no steady work. */
function steady(lab: Lab, program: string, input: TestRunAttr): boolean {
  try {
    const { dataOut } = lab.run(program, input);
    return dataOut === undefined || dataOut.length === input.dataIn?.length;
  } catch (error) {
    if (error instanceof BpflabError) return false;
    throw error;
  }
}

function benchmark({ object, program, packets }: Target, checked: boolean, profile: string): Benchmark {
  return {
    name: `${object}: ${program}`,
    unit: packets ? 'packet' : 'run',
    inMean: packets,
    prepare: () => {
      const file = `${object}.bpf.o`;
      const opened = openObject(readFileSync(new URL(file, folder)), { file });
      const targetBtf = loadTargetBtf({ from: 'embedded' });
      const lab = loadLab(relocateObject(opened, { targetBtf }), { btf: targetBtf, checked, profile });
      const frames = readPcap(readFileSync(new URL('data/traffic.pcap', folder)));
      const all = packets ? frames.map(({ data }) => ({ dataIn: data })) : frames.map(() => ({}));
      const inputs = all.filter((input) => steady(lab, program, input));
      return () => {
        for (const input of inputs) lab.run(program, { ...input, repeat: REPEAT });
        lab.drain();
        return inputs.length * REPEAT;
      };
    },
  };
}

/** With every access checked, with the window check alone as verified programs may run, and that on RT. */
export const PROGRAM_SUITES: readonly Suite[] = [
  { name: 'programs', checked: true, profile: '6.18' },
  { name: 'programs, unchecked', checked: false, profile: '6.18' },
  { name: 'programs, unchecked, RT', checked: false, profile: '6.18-rt' },
].map(({ name, checked, profile }) => ({
  name,
  benchmarks: TARGETS.map((target) => benchmark(target, checked, profile)),
}));
