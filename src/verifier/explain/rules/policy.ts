/** Preallocation and PREEMPT_RT: maps and locks that some programs may not use. */
import type { Finding } from '../finding.js';
import type { Rule } from '../types.js';
import { nothing } from './common.js';

/** The instruction that names a map of which this holds. */
const mapUse = (f: Finding, test: (flags: number, type: number) => boolean): number | undefined =>
  f.firstInsn((insn) => {
    const map = insn.code === 0x18 && insn.src !== 0 ? f.request.maps?.[insn.imm] : undefined;
    return (
      map !== undefined &&
      (test(map.mapFlags, map.type) || (map.inner !== undefined && test(map.inner.mapFlags, map.inner.type)))
    );
  });

const NO_PREALLOC = 1;
const LPM_TRIE = 11;

function culprit(f: Finding, slot: number | undefined): string {
  const map = slot === undefined ? undefined : f.request.maps?.[f.request.insns[slot]!.imm];
  return map === undefined
    ? 'a map of this program'
    : `map ${map.name === '' ? f.request.insns[slot!]!.imm : map.name}`;
}

const isAllocating = (flags: number): boolean => (flags & NO_PREALLOC) !== 0;

export const POLICY_RULES: readonly Rule[] = [
  {
    id: 'prealloc-hash',
    title: 'Hash map that allocates at run time in a tracing program',
    pattern: /^(?<who>trace type|perf_event) programs can only use preallocated (?<inner>inner )?hash map/,
    text: 'Tracing programs (kprobe, tracepoint, raw_tracepoint, perf_event) may run anywhere: inside the memory allocator, with raw locks held, in an NMI. A hash map with BPF_F_NO_PREALLOC allocates when an element is added, which could deadlock there; on PREEMPT_RT the allocator takes sleeping locks, so that it is wrong in any such context. The rule holds for outer and inner maps.',
    what: (f) =>
      `The program is of type ${f.programType}, and ${culprit(f, mapUse(f, isAllocating))} ${f.text('inner') === '' ? 'or its inner map ' : 'has an inner map that '}is created with BPF_F_NO_PREALLOC.`,
    mend: [
      'Create the map without BPF_F_NO_PREALLOC: all its elements are allocated up front.',
      'Use an LRU hash map, which is always preallocated.',
      'Linux itself dropped the rule with 6.1: `--kernel 6.18` judges without it.',
    ],
    follow: nothing,
    locate: (f) => mapUse(f, isAllocating),
  },
  {
    id: 'prealloc-lpm',
    title: 'LPM trie in a tracing program',
    pattern: /^trace type programs cannot use LPM trie maps/,
    text: 'An LPM trie allocates a node for each element that is added and has no preallocated form; a tracing program may run where allocating is not allowed, see the rule for hash maps.',
    what: (f) =>
      `The program is of type ${f.programType}, and ${culprit(
        f,
        mapUse(f, (_, type) => type === LPM_TRIE),
      )} is an LPM trie.`,
    mend: [
      'Fill the trie from user space and let another program type look it up.',
      'Use a preallocated hash map with one entry for each prefix length that occurs.',
    ],
    follow: nothing,
    locate: (f) => mapUse(f, (_, type) => type === LPM_TRIE),
  },
  {
    id: 'lock-in-tracing',
    title: 'Lock, timer or list in a program that may run anywhere',
    pattern: /^(?:socket filter|tracing) progs cannot use (?<field>bpf_\S+) yet/,
    text: 'A spin lock, timer, work queue, list or tree in a map value needs a context in which its lock can be taken. Tracing programs may interrupt the holder of that very lock; socket filters may run with and without bottom halves.',
    what: (f) =>
      `The program is of type ${f.programType}, and a map that it uses has a ${f.text('field')} in its value.`,
    mend: [
      'Use atomic operations or per-CPU maps instead of a lock.',
      'Keep the field in a map that this program does not use.',
    ],
    follow: nothing,
  },
  {
    id: 'timer-rt',
    title: 'Timer on PREEMPT_RT',
    pattern: /^bpf_timer cannot be used for PREEMPT_RT/,
    text: 'bpf_timer takes a lock that sleeps on PREEMPT_RT.',
    what: (f) => `${f.helper} is called, and the kernel is PREEMPT_RT.`,
    mend: ['Use a work queue (bpf_wq), or trigger from user space.'],
    follow: () => [{ kind: 'reg', regno: 1 }],
  },
  {
    id: 'sleepable-map',
    title: 'Map type that sleepable programs cannot use',
    pattern: /^Sleepable programs can only use array, hash, ringbuf and local storage maps/,
    text: 'A sleepable program may be suspended while it holds a pointer into a map; only some map types keep elements alive for it.',
    what: () => 'The program is sleepable, and one of its maps is of another type.',
    mend: ['Use a hash, array, ring buffer or local storage map.'],
    follow: nothing,
  },
  {
    id: 'struct-ops-map',
    title: 'struct_ops map used by a program',
    pattern: /^bpf_struct_ops map cannot be used in prog/,
    text: 'A struct_ops map registers a set of programs; programs cannot refer to it.',
    what: () => 'An instruction refers to one.',
    mend: ['Remove the reference.'],
    follow: nothing,
  },
];
