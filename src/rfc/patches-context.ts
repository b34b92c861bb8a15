/**
 * Patches 1 to 10 of "bpf: Make BPF and PREEMPT_RT co-exist" (RFC, February 2020): what pins a task, what checks it, and
 * where programs run in sampling, tracing and networking. Facts: the patches' mails and what reviewers found.
 */
import type { PatchSpec } from './spec.js';
import { inTask, SLEEPS } from './texts.js';

const OBJECT = 'rt_series';
/** The kprobe under the bucket lock of a system call. */
const SKIPPED = 'probe_updates did not run for 1 event';
const TORN = 'torn: of the runs counted on CPU * began, * ended';
/** What samples find: an NMI, a hard interrupt, a task whose preemption is off. */
const SAMPLES = [
  ['sample_updates', 0x110000],
  ['sample_evicts', 0x10000],
  ['sample_queues', 1],
] as const;

export const CONTEXT_PATCHES: readonly PatchSpec[] = [
  {
    number: 1,
    title: 'sched: Provide migrate_disable/enable() inlines',
    files: ['include/linux/preempt.h'],
    kind: 'behaviour',
    does: 'pins a task to its CPU; a CPU mask would not do, since anybody may change it',
    knobs: { pinBy: 'affinity' },
    cases: [
      {
        name: 'another task sets the CPU mask of one that is inside a program',
        object: OBJECT,
        scenario: 'rfc-01-affinity',
        look: ['reports', 'statistics'],
        search: true,
        sides: [
          {
            knobs: { pinBy: 'affinity' },
            seen: [TORN],
          },
          { seen: [] },
        ],
      },
    ],
  },
  {
    number: 2,
    title: 'sched: Provide cant_migrate()',
    files: ['include/linux/kernel.h'],
    kind: 'definition',
    does: 'defines the check that patch 8 uses: cant_sleep(), and nothing at all on RT until 5.11',
    knobs: { cantMigrate: 'off', progRunCheck: 'cantSleep' },
    cases: [
      {
        name: 'nobody asks yet',
        object: OBJECT,
        scenario: 'rfc-16-preallocated',
        profile: 'rfc',
        knobs: { progRunCheck: 'cantSleep' },
        sameTrace: true,
        sides: [{ knobs: { cantMigrate: 'off' }, seen: [] }, { seen: [] }],
      },
      {
        name: 'a pin that is forgotten is not noticed on RT',
        object: OBJECT,
        scenario: 'rfc-09-message',
        knobs: { pinSimple: 'none' },
        sides: [
          {
            label: 'with the check of 5.11',
            knobs: { cantMigrate: 'real' },
            seen: [
              'BUG: assuming non migratable context at include/linux/filter.h:687',
              'in_atomic(): 0, irqs_disabled(): 0, migration_disabled() 0 pid: 2000, name: sender',
            ],
          },
          { label: 'with the empty one', seen: [] },
        ],
      },
    ],
  },
  {
    number: 3,
    title: 'bpf: Update locking comment in hashtab code',
    files: ['kernel/bpf/hashtab.c'],
    kind: 'comment',
    does: 'says that bucket locks guard against programs elsewhere and against system calls, and what prevents deadlocks',
    knobs: {},
    cases: [
      {
        name: 'what the comment says is so, twice the same',
        object: OBJECT,
        scenario: 'rfc-03-scopes',
        look: ['reports', 'missed'],
        sameTrace: true,
        sides: [{ seen: [SKIPPED] }, { seen: [SKIPPED] }],
      },
    ],
  },
  {
    number: 4,
    title: 'bpf/tracing: Remove redundant preempt_disable() in __bpf_trace_run()',
    files: ['kernel/trace/bpf_trace.c'],
    kind: 'behaviour',
    does: "the tracepoint's call site has disabled preemption already",
    knobs: { rawTpPreempt: true },
    cases: [
      {
        name: 'a program of a raw tracepoint',
        object: OBJECT,
        scenario: 'rfc-04-raw-tracepoint',
        look: ['reports', 'counts'],
        sides: [
          { knobs: { rawTpPreempt: true }, seen: ['event_counts runs with preempt_count 0x2'] },
          { seen: ['event_counts runs with preempt_count 0x1'] },
        ],
      },
    ],
  },
  {
    number: 5,
    title: 'perf/bpf: Remove preempt disable around BPF invocation',
    files: ['kernel/events/core.c'],
    kind: 'behaviour',
    does: 'samples come in an NMI or an interrupt; those of software events in a task whose preemption is off',
    knobs: { overflowPreempt: true },
    cases: [
      {
        name: 'samples of the hardware, of a clock, of a page fault',
        object: OBJECT,
        scenario: 'rfc-05-samples',
        look: ['reports', 'counts'],
        sides: [
          {
            knobs: { overflowPreempt: true },
            seen: SAMPLES.map(
              ([prog, count]) => `${prog} runs with preempt_count 0x${(count + 1).toString(16)}`,
            ),
          },
          { seen: SAMPLES.map(([prog, count]) => `${prog} runs with preempt_count 0x${count.toString(16)}`) },
        ],
      },
    ],
  },
  {
    number: 6,
    title: 'bpf: Dont iterate over possible CPUs with interrupts disabled',
    files: ['kernel/bpf/percpu_freelist.c'],
    kind: 'behaviour',
    does: 'fills the free lists of a map that nobody knows yet without locks and with interrupts on',
    knobs: { freelistPopulate: 'irqsOff' },
    cases: [
      {
        name: 'a hash of 100,000 elements is created',
        object: 'rt_large',
        scenario: 'rfc-06-populate',
        look: ['reports', 'irqsOff'],
        sides: [
          {
            knobs: { freelistPopulate: 'irqsOff' },
            seen: ['interrupts off for 500000 ns since pcpu_freelist_populate'],
          },
          { seen: [] },
        ],
      },
    ],
  },
  {
    number: 7,
    title: 'bpf: Provide BPF_PROG_RUN_PIN_ON_CPU() macro',
    files: ['include/linux/filter.h'],
    kind: 'behaviour',
    does: 'runs a program on one CPU from its beginning to its end, preemptible',
    knobs: { pinSimple: 'none' },
    cases: [
      {
        name: 'three tasks on two CPUs count runs in per-CPU statistics',
        object: OBJECT,
        scenario: 'rfc-07-statistics',
        look: ['reports', 'statistics'],
        search: true,
        sides: [
          {
            knobs: { pinSimple: 'none' },
            seen: [TORN],
          },
          { seen: [] },
        ],
      },
    ],
  },
  {
    number: 8,
    title: 'bpf: Replace cant_sleep() with cant_migrate()',
    files: ['include/linux/filter.h'],
    kind: 'behaviour',
    does: 'programs need not be atomic any more, only pinned',
    knobs: { progRunCheck: 'cantSleep' },
    cases: [
      {
        name: "a message's program in a preemptible task",
        object: OBJECT,
        scenario: 'rfc-09-message',
        sides: [
          {
            knobs: { progRunCheck: 'cantSleep' },
            seen: [
              'BUG: assuming atomic context at include/linux/filter.h:687',
              'in_atomic(): 0, irqs_disabled(): 0, pid: 2000, name: sender',
            ],
          },
          { seen: [] },
        ],
      },
    ],
  },
  {
    number: 9,
    title: 'bpf: Use BPF_PROG_RUN_PIN_ON_CPU() at simple call sites.',
    files: [
      'include/linux/filter.h',
      'kernel/seccomp.c',
      'net/core/flow_dissector.c',
      'net/core/skmsg.c',
      'net/kcm/kcmsock.c',
    ],
    kind: 'behaviour',
    does: 'seccomp, flow dissectors, messages and stream parsers run programs pinned instead of without preemption',
    knobs: { pinSimple: 'preempt', seccompPin: 'list' },
    cases: [
      {
        name: "a message's program updates a hash that allocates",
        object: OBJECT,
        scenario: 'rfc-09-message',
        sides: [
          { knobs: { pinSimple: 'preempt', seccompPin: 'list' }, seen: [SLEEPS, inTask(2000, 'sender')] },
          { seen: [] },
        ],
      },
      {
        name: 'two tasks want the same bucket',
        object: OBJECT,
        scenario: 'rfc-09-contended',
        wanted: /while atomic/,
        search: true,
        sides: [
          {
            knobs: { pinSimple: 'preempt', seccompPin: 'list' },
            seen: ['BUG: scheduling while atomic: */0x00000002'],
          },
          { seen: [] },
        ],
      },
    ],
  },
  {
    number: 10,
    title: 'trace/bpf: Use migrate disable in trace_call_bpf()',
    files: ['kernel/trace/bpf_trace.c'],
    kind: 'behaviour',
    does: 'programs of user probes run in a preemptible task; all other callers have preemption off themselves',
    knobs: { traceCallPreempt: 'preempt' },
    cases: [
      {
        name: "a user probe's program updates a hash that allocates",
        object: OBJECT,
        scenario: 'rfc-10-uprobe',
        sides: [
          { knobs: { traceCallPreempt: 'preempt' }, seen: [SLEEPS, inTask(2348, 'test_progs')] },
          { seen: [] },
        ],
      },
      {
        name: 'the version that was merged, without and with the fix for user probes',
        object: OBJECT,
        scenario: 'rfc-10-uprobe',
        profile: '5.7',
        sides: [
          {
            label: '5.7 without the fix',
            knobs: { uprobePreempt: 'none' },
            seen: [
              'BUG: assuming atomic context at kernel/trace/bpf_trace.c:86',
              'in_atomic(): 0, irqs_disabled(): 0, pid: 2348, name: test_progs',
            ],
          },
          { label: '5.7', seen: [] },
        ],
      },
    ],
  },
];
