/**
 * Hot paths of real programs: every committed program in a kernel of its own, maps and helpers included. Packet programs
 * see the packets of `programs/data`, the others an empty context. A unit is one execution of the program.
 */
import { readFileSync } from 'node:fs';
import { BpflabError, loadLab, loadTargetBtf, openObject, readPcap, relocateObject } from '../src/index.js';
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

function accepts(run: () => unknown): boolean {
  try {
    run();
    return true;
  } catch (error) {
    if (error instanceof BpflabError) return false;
    throw error;
  }
}

function benchmark({ object, program, packets }: Target): Benchmark {
  return {
    name: `${object}: ${program}`,
    unit: 'run',
    inMean: false,
    prepare: () => {
      const file = `${object}.bpf.o`;
      const opened = openObject(readFileSync(new URL(file, folder)), { file });
      const lab = loadLab(relocateObject(opened, { targetBtf: loadTargetBtf({ from: 'embedded' }) }));
      const frames = readPcap(readFileSync(new URL('data/traffic.pcap', folder)));
      const all = packets ? frames.map(({ data }) => ({ dataIn: data })) : frames.map(() => ({}));
      // As the kernel's test run does, ours refuses packets that are cut short for programs on sockets.
      const inputs = all.filter((input) => accepts(() => lab.run(program, input)));
      return () => {
        for (const input of inputs) lab.run(program, { ...input, repeat: REPEAT });
        lab.drain();
        return inputs.length * REPEAT;
      };
    },
  };
}

export const PROGRAM_SUITES: readonly Suite[] = [{ name: 'programs', benchmarks: TARGETS.map(benchmark) }];
