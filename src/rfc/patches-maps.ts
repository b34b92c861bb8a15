/**
 * Patches 11 to 19 of "bpf: Make BPF and PREEMPT_RT co-exist" (RFC, February 2020): test runs, trampolines, arrays of
 * programs, the operations and locks of maps. Facts: the patches' mails and what reviewers found.
 */
import type { PatchSpec } from './spec.js';
import { inTask, recursionOf, SLEEPS } from './texts.js';

const OBJECT = 'rt_series';

/** By how much is off depends on the schedule. */
const MUTED = 'bpf_prog_active of CPU * stays at *: its tracing programs are muted';

export const MAP_PATCHES: readonly PatchSpec[] = [
  {
    number: 11,
    title: 'bpf/tests: Use migrate disable instead of preempt disable',
    files: ['lib/test_bpf.c', 'net/bpf/test_run.c'],
    kind: 'behaviour',
    does: 'test runs are preemptible, and may change CPU between two rounds',
    knobs: { pinTestRun: 'preempt' },
    cases: [
      {
        name: 'eight rounds that update a hash that allocates',
        object: OBJECT,
        scenario: 'rfc-11-test-run',
        sides: [{ knobs: { pinTestRun: 'preempt' }, seen: [SLEEPS, inTask(2000, 'tester')] }, { seen: [] }],
      },
      {
        name: 'how long preemption is off',
        object: OBJECT,
        scenario: 'rfc-11-test-run',
        look: ['preemptOff'],
        wanted: /bpf_test_run/,
        sides: [
          { knobs: { pinTestRun: 'preempt' }, seen: ['preemption off for 1284 ns since bpf_test_run'] },
          { seen: [] },
        ],
      },
    ],
  },
  {
    number: 12,
    title: 'bpf: Use migrate_disable/enabe() in trampoline code.',
    files: ['kernel/bpf/trampoline.c'],
    kind: 'behaviour',
    does: 'programs in front of and behind functions run pinned instead of without preemption',
    knobs: { trampPin: 'preempt' },
    cases: [
      {
        name: 'fentry of a function that may sleep updates a hash that allocates',
        object: OBJECT,
        scenario: 'rfc-12-trampoline',
        sides: [{ knobs: { trampPin: 'preempt' }, seen: [SLEEPS, inTask(2000, 'worker')] }, { seen: [] }],
      },
    ],
  },
  {
    number: 13,
    title: 'bpf: Use migrate_disable/enable in array macros and cgroup/lirc code.',
    files: ['include/linux/bpf.h', 'include/linux/filter.h'],
    kind: 'behaviour',
    does: 'programs of control groups, infrared receivers and sockets run pinned instead of without preemption',
    knobs: { pinArray: 'preempt' },
    cases: [
      {
        name: 'connect() in a control group whose program updates a hash that allocates',
        object: OBJECT,
        scenario: 'rfc-13-cgroup',
        sides: [{ knobs: { pinArray: 'preempt' }, seen: [SLEEPS, inTask(2000, 'client')] }, { seen: [] }],
      },
    ],
  },
  {
    number: 14,
    title: 'bpf: Use migrate_disable() in hashtab code',
    files: ['kernel/bpf/hashtab.c'],
    kind: 'behaviour',
    does: 'batches and the RCU callback of hash maps hold bpf_prog_active pinned instead of without preemption',
    knobs: { pinHtab: 'preempt' },
    cases: [
      {
        name: 'a batch takes elements out of a hash that allocates',
        object: OBJECT,
        scenario: 'rfc-14-batch',
        sides: [{ knobs: { pinHtab: 'preempt' }, seen: [SLEEPS, inTask(2000, 'reader')] }, { seen: [] }],
      },
      {
        name: 'review, a: events are dropped while a task that holds the counter is preempted; accepted',
        object: OBJECT,
        scenario: 'rfc-14-event-drop',
        look: ['reports', 'missed'],
        search: true,
        sides: [
          { label: 'on RT', seen: ['probe_counts did not run for 1 event'] },
          { label: 'not RT', profile: 'rfc', seen: [] },
        ],
      },
      {
        name: 'review, b: an increment is lost, and a kprobe runs under the bucket lock that it wants',
        object: OBJECT,
        scenario: 'rfc-14-lost-update',
        search: true,
        sides: [
          { label: 'as posted', seen: recursionOf('*') },
          { label: 'as merged', knobs: { thisCpuRmw: 'atomic' }, seen: [] },
        ],
      },
      {
        name: 'review, b, the other way: the counter stays up',
        object: OBJECT,
        scenario: 'rfc-14-muted',
        look: ['reports', 'active'],
        search: true,
        sides: [
          { label: 'as posted', seen: [MUTED] },
          { label: 'as merged', knobs: { thisCpuRmw: 'atomic' }, seen: [] },
        ],
      },
    ],
  },
  {
    number: 15,
    title: 'bpf: Use migrate_disable() in sys_bpf()',
    files: ['kernel/bpf/syscall.c'],
    kind: 'behaviour',
    does: 'map operations of system calls hold bpf_prog_active pinned instead of without preemption',
    knobs: { pinSysBpf: 'preempt' },
    cases: [
      {
        name: 'a system call updates a hash that allocates',
        object: OBJECT,
        scenario: 'rfc-15-syscall',
        sides: [{ knobs: { pinSysBpf: 'preempt' }, seen: [SLEEPS, inTask(2000, 'writer')] }, { seen: [] }],
      },
      {
        name: 'no pin at all: the counters of two CPUs get out of step',
        object: OBJECT,
        scenario: 'rfc-15-migration',
        knobs: { thisCpuRmw: 'atomic' },
        look: ['reports', 'active'],
        search: true,
        sides: [{ label: 'no pin', knobs: { pinSysBpf: 'none' }, seen: [MUTED] }, { seen: [] }],
      },
    ],
  },
  {
    number: 16,
    title: 'bpf: Factor out hashtab bucket lock operations',
    files: ['kernel/bpf/hashtab.c'],
    kind: 'refactoring',
    does: 'puts initialising, locking and unlocking of buckets into functions of their own',
    knobs: { bucketLock: 'raw' },
    cases: [
      {
        name: 'raw locks, written out, and through the functions, which choose them for preallocated maps',
        object: OBJECT,
        scenario: 'rfc-16-preallocated',
        sameTrace: true,
        sides: [{ knobs: { bucketLock: 'raw' }, seen: [] }, { seen: [] }],
      },
    ],
  },
  {
    number: 17,
    title: 'bpf: Prepare hashtab locking for PREEMPT_RT',
    files: ['kernel/bpf/hashtab.c'],
    kind: 'behaviour',
    does: 'buckets of preallocated maps keep raw locks, those of maps that allocate get regular ones, which sleep on RT',
    knobs: { bucketLock: 'raw' },
    cases: [
      {
        name: 'a packet updates a hash that allocates',
        object: OBJECT,
        scenario: 'rfc-17-packet',
        sides: [
          { knobs: { bucketLock: 'raw' }, seen: [SLEEPS, inTask(30000, 'irq/24-eth0-rx-', true)] },
          { seen: [] },
        ],
      },
      {
        name: 'regular locks for all maps: a sample in an NMI updates a preallocated one',
        object: OBJECT,
        scenario: 'rfc-17-sample',
        sides: [
          {
            label: 'regular for all',
            knobs: { bucketLock: 'regular' },
            seen: [SLEEPS, inTask(2000, 'worker', true)],
          },
          { seen: [] },
        ],
      },
    ],
  },
  {
    number: 18,
    title: 'bpf, lpm: Make locking RT friendly',
    files: ['kernel/bpf/lpm_trie.c'],
    kind: 'behaviour',
    does: 'the lock of a trie, whose nodes are allocated under it, becomes a regular one',
    knobs: { lpmLock: 'raw' },
    cases: [
      {
        name: 'a packet adds to a trie',
        object: OBJECT,
        scenario: 'rfc-18-trie',
        sides: [
          { knobs: { lpmLock: 'raw' }, seen: [SLEEPS, inTask(30000, 'irq/24-eth0-rx-', true)] },
          { seen: [] },
        ],
      },
    ],
  },
  {
    number: 19,
    title: 'bpf/stackmap: Dont trylock mmap_sem with PREEMPT_RT and interrupts disabled',
    files: ['kernel/bpf/stackmap.c'],
    kind: 'behaviour',
    does: 'with interrupts off on RT stacks are stored as addresses: whoever takes mmap_sem there cannot release it',
    knobs: { stackBuildIdRt: 'naive' },
    cases: [
      {
        name: "a sample in an NMI stores the task's stack by build ids",
        object: OBJECT,
        scenario: 'rfc-19-build-id',
        sides: [
          {
            knobs: { stackBuildIdRt: 'naive' },
            seen: [
              '&mm->mmap_sem: irq_work/0/30000 does not own what it is to release, and on PREEMPT_RT it has to',
            ],
          },
          { seen: [] },
        ],
      },
    ],
  },
];
