/**
 * What the series left open, and what others mended later: each with a kernel in which it bites and, where there is one,
 * a kernel in which it does not. Facts: the commits named in docs/rfc.md.
 */
import type { CaseSpec, HazardSpec } from './spec.js';
import { inTask, nmiOver, recursionOf, SLEEPS } from './texts.js';

const BUCKET = '&htab->buckets[i].raw_lock';
const got = (errno: number): string => `a program's update got ${errno}`;

/** A deadlock that the explorer looks for in two kernels; what else is seen, such as a refusal, is another matter. */
function deadlock(
  scenario: string,
  kernels: readonly [bites: string, mended: string],
  seen: string,
): CaseSpec {
  const [bites, mended] = kernels;
  return {
    name: 'a schedule that deadlocks',
    object: 'rt_series',
    scenario,
    // Lockdep warns of a lock that NMIs use whether or not something else prevents the deadlock.
    knobs: { lockdepNmi: false },
    wanted: /^deadlock/,
    search: true,
    sides: [
      { label: bites, profile: bites, seen: [seen] },
      { label: mended, profile: mended, seen: [] },
    ],
  };
}

/** What the inner operation gets instead. */
function refusal(
  scenario: string,
  first: readonly [string, number],
  second: readonly [string, number],
): CaseSpec {
  const side = ([profile, errno]: readonly [string, number]) => ({
    label: profile,
    profile,
    seen: [got(errno)],
  });
  return {
    name: 'what the inner update gets',
    object: 'rt_series',
    scenario,
    knobs: { lockdepNmi: false },
    look: ['answer'],
    search: true,
    sides: [side(first), side(second)],
  };
}

/** Bites to this day. */
const OPEN = nmiOver('&loc_l->lock', 'bpf_lru_pop_free');
const LRU: CaseSpec = {
  ...deadlock('rfc-h5-lru', ['5.7', '6.18'], OPEN),
  sides: [
    { label: '5.7', profile: '5.7', seen: [OPEN] },
    { label: '6.18', profile: '6.18', seen: [OPEN] },
  ],
};

export const HAZARDS: readonly HazardSpec[] = [
  {
    id: 'H1',
    title: 'raw tracepoints are not guarded',
    does: '__bpf_trace_run ignores bpf_prog_active: a program in the allocator wants the bucket that allocates',
    mended: '5.11: map_locked; 6.1: a program does not run inside itself',
    cases: [
      {
        name: "the allocator's raw tracepoint under a bucket lock",
        object: 'rt_series',
        scenario: 'rfc-h1-raw-tracepoint',
        look: ['reports', 'answer'],
        sides: [
          { label: '5.7', profile: '5.7', seen: recursionOf('writer/2000') },
          { label: '5.15', profile: '5.15', seen: [got(-16)] },
        ],
      },
    ],
  },
  {
    id: 'H2',
    title: 'networking against NMIs',
    does: 'programs of packets do not touch bpf_prog_active: an NMI wants the bucket that the packet has',
    mended: '5.11: map_locked (EBUSY); 6.15: resilient locks (EDEADLK)',
    cases: [
      deadlock('rfc-h2-nmi-over-packet', ['5.7', '5.15'], nmiOver(BUCKET, 'htab_map_update_elem')),
      refusal('rfc-h2-nmi-over-packet', ['5.15', -16], ['6.18', -35]),
    ],
  },
  {
    id: 'H3',
    title: 'tries in tracing programs on RT',
    does: 'a trie passes for preallocated, so that a kprobe may allocate under its sleeping lock',
    mended: '6.13: raw lock, nodes from memory of BPF',
    cases: [
      {
        name: 'a kprobe adds to a trie',
        object: 'rt_series',
        scenario: 'rfc-h3-trie-in-probe',
        sides: [
          { label: '5.7-rt', profile: '5.7-rt', seen: [SLEEPS, inTask(2000, 'worker')] },
          { label: '6.18-rt', profile: '6.18-rt', seen: [] },
        ],
      },
    ],
  },
  {
    id: 'H4',
    title: 'queues and stacks in NMIs',
    does: 'their raw lock is waited for in an NMI, whoever has it',
    mended: '6.6: tried only (EBUSY); 6.16: resilient locks',
    cases: [
      deadlock('rfc-h4-queue', ['5.7', '6.1'], nmiOver('&qs->lock', 'queue_stack_map_push_elem')),
      refusal('rfc-h4-queue', ['6.1', -16], ['6.18', -16]),
    ],
  },
  {
    id: 'H5',
    title: 'LRU lists in NMIs',
    does: 'their raw locks are waited for in an NMI, whoever has them',
    mended: 'in none of these kernels; do not use LRU maps in NMIs',
    cases: [LRU],
  },
  {
    id: 'H6',
    title: 'free lists in NMIs',
    does: "the lock of a CPU's free list is waited for in an NMI, whoever has it",
    mended: '5.11: tried only, and an extra list',
    cases: [deadlock('rfc-h6-free-list', ['5.7', '5.15'], nmiOver('&head->lock', '__pcpu_freelist_pop'))],
  },
  {
    id: 'H7',
    title: 'EBUSY without need, by a task',
    does: 'map_locked is counted while the task is only pinned: one that preempts it is refused',
    mended: '6.1: preemption off first',
    cases: [
      {
        name: 'two tasks of one CPU',
        object: 'rt_series',
        scenario: 'rfc-h7-busy',
        look: ['reports', 'refused'],
        search: true,
        sides: [
          { label: '5.15-rt', profile: '5.15-rt', seen: ["*'s update got -16"] },
          { label: '6.1-rt', profile: '6.1-rt', seen: [] },
        ],
      },
    ],
  },
  {
    id: 'H8',
    title: 'map_locked of small maps',
    does: 'a counter for every eighth hash, fewer buckets than that: two keys of one bucket count apart',
    mended: '6.1 and stable: not more counters than buckets',
    cases: [
      deadlock('rfc-h8-one-bucket', ['5.15', '6.1'], nmiOver('&htab->lockdep_key', 'htab_map_update_elem')),
    ],
  },
  {
    id: 'H9',
    title: 'EBUSY without need, by an interrupt',
    does: 'map_locked is counted before interrupts go off: what comes in between is refused',
    mended: '6.1 stable, 6.7: interrupts off first',
    cases: [
      {
        name: "a timer's sample in between",
        object: 'rt_series',
        scenario: 'rfc-h9-interrupt',
        look: ['reports', 'answer'],
        search: true,
        sides: [
          { label: '5.15', profile: '5.15', seen: [got(-16)] },
          { label: '6.1', profile: '6.1', seen: [] },
        ],
      },
    ],
  },
];
