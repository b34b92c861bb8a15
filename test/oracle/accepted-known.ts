/**
 * Known divergences of runs: programs that Linux accepts and on whose runs we differ, each kind with its reason. Only
 * a difference that was found is looked up here; what is not listed is a finding.
 */
import {
  BPF_B,
  BPF_H,
  BPF_LDX,
  BPF_MEM,
  BPF_REG_FP,
  bpfClass,
  bpfMode,
  bpfSize,
  decodeInsns,
} from '../../src/isa/index.js';
import type { RandomRequest } from './random/program.js';

export type KnownRun =
  /**
   * `__sk_buff` fields that are 8 or 16 bits wide in `struct sk_buff`. Linux turns a narrow load inside such a field
   * into a load of the whole field, and shifts it only where it is wider than the load: at `protocol + 2` a 16-bit load
   * reads the protocol. Our contexts are plain bytes, in which the upper half of the field is zero.
   */
  | 'narrow load inside a field that is narrower in the kernel'
  /** Linux compares the offset unsigned and lets tracepoint programs read before their record; checked memory ends there. */
  | 'load before a tracepoint record';

/** First byte and size of those fields: pkt_type, queue_mapping, protocol, vlan_present, vlan_tci, vlan_proto, tc_index. */
const NARROW_FIELDS: readonly number[] = [4, 12, 16, 20, 24, 28, 44];
const SKB_TYPES = new Set<unknown>(['socket_filter', 'sched_cls', 'cgroup_skb']);

function isInsideNarrowField(off: number): boolean {
  return NARROW_FIELDS.some((field) => off > field && off < field + 4);
}

/** Why this run of a program differs or faults (`text` says where); undefined where nothing known explains it. */
export function knownRun(request: RandomRequest, kind: string, text: string): KnownRun | undefined {
  const insns = decodeInsns(Buffer.from(request.insns, 'hex'));
  const isLoad = (code: number): boolean => bpfClass(code) === BPF_LDX && bpfMode(code) === BPF_MEM;
  if (kind === 'run: differs' && SKB_TYPES.has(request.prog_type)) {
    const narrow = insns.some(
      ({ code, off }) =>
        isLoad(code) && (bpfSize(code) === BPF_B || bpfSize(code) === BPF_H) && isInsideNarrowField(off),
    );
    if (narrow) return 'narrow load inside a field that is narrower in the kernel';
  }
  if (kind === 'run: fault' && request.prog_type === 'tracepoint') {
    // only the very instruction that faulted counts
    const at = insns[Number(/insn (\d+)/.exec(text)?.[1] ?? -1)];
    if (at !== undefined && isLoad(at.code) && at.off < 0 && at.src !== BPF_REG_FP) {
      return 'load before a tracepoint record';
    }
  }
  return undefined;
}
