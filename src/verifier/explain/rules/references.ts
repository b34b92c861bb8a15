/** What has to be given back: references, locks, read sections. */
import type { Finding } from '../finding.js';
import type { Place } from '../place.js';
import type { Rule } from '../types.js';

const TAKEN =
  'What a program acquires (a socket from a look-up, memory reserved in a ring buffer) it has to release exactly once on every path, before it exits or tail-calls.';

const SPIN_LOCK = 93;

/** Since when a lock is held. */
function sinceLock(f: Finding): Place[] {
  const slot = f.lastCall([SPIN_LOCK]);
  return slot === undefined ? [] : [{ kind: 'insn', slot, note: 'takes the lock' }];
}

export const REFERENCE_RULES: readonly Rule[] = [
  {
    id: 'reference-leak',
    title: 'Reference that is never released',
    pattern: /^Unreleased reference id=(?<id>\d+) alloc_insn=(?<insn>\d+)/,
    text: TAKEN,
    what: (f) =>
      `The reference that ${f.at(f.number('insn'))} acquired is still held when insn ${f.slot ?? '?'} leaves the program on this path.`,
    mend: [
      'Release on every path, error paths included: bpf_sk_release, bpf_ringbuf_submit or bpf_ringbuf_discard.',
      'Where the acquisition may fail, release only in the branch where the pointer is not NULL; do not overwrite the only copy.',
    ],
    follow: (f) => [{ kind: 'insn', slot: f.number('insn'), note: 'acquires the reference' }],
  },
  {
    id: 'leak-at-exit',
    title: 'Left while something is held',
    pattern: /^(?<what>.+?) (?:would lead to reference leak|cannot be used inside (?<region>\S+)-ed region)/,
    text: `${TAKEN} Locks, RCU read sections, and preemption or interrupts switched off have to be ended likewise.`,
    what: (f) =>
      `${f.text('what')} is reached while ${f.text('region') === '' ? 'a reference' : f.text('region')} is held.`,
    mend: ['Release or unlock before this instruction, on every path that leads to it.'],
    follow: sinceLock,
  },
  {
    id: 'release-unreferenced',
    title: 'Release of what was not acquired',
    pattern: /^R(?<reg>\d+) must be referenced when passed to release function/,
    text: 'Only a pointer that a helper acquired for the program can be released, once, and only after it was tested for NULL.',
    what: (f) => `${f.is()}, which holds no reference.`,
    mend: [
      'Release the pointer that the acquiring helper returned (or a copy), not one from the context or from bpf_tcp_sock and the like.',
      'Do not release twice.',
    ],
  },
  {
    id: 'release-offset',
    title: 'Release of a moved pointer',
    pattern: /^R(?<reg>\d+) must have zero offset when passed to release func/,
    text: 'A release takes the pointer as it was acquired.',
    what: (f) => `${f.is()}.`,
    mend: ['Keep the original pointer, and release that.'],
  },
  {
    id: 'release-unknown',
    title: 'Reference that is not held',
    pattern:
      /^(?:func (?<helper>\S+) reference has not been acquired before|more than one arg with ref_obj_id R(?<reg>\d+))/,
    text: TAKEN,
    what: (f) => `The call of ${f.helper} hands over a reference that is not held, or two at once.`,
    mend: ['Release each reference once; it is gone on all copies of the pointer after that.'],
    follow: () => [{ kind: 'reg', regno: 1 }],
  },
  {
    id: 'lock-nesting',
    title: 'Two locks at once',
    pattern: /^Locking two bpf_spin_locks are not allowed/,
    text: 'A program may hold one bpf_spin_lock at a time; two could deadlock.',
    what: (f) => `${f.helper} is reached with a lock already held.`,
    mend: ['Unlock the first before taking the second.'],
    follow: () => [{ kind: 'reg', regno: 1 }],
  },
  {
    id: 'lock-unbalanced',
    title: 'Unlock without this lock',
    pattern: /^bpf_spin_unlock (?<how>without taking a lock|of different lock)/,
    text: 'bpf_spin_unlock has to be given the lock that is held: the same map value from the same look-up.',
    what: (f) =>
      `No such lock is held here${f.text('how').startsWith('of') ? ': the one held is that of another value or look-up' : ''}.`,
    mend: ['Lock and unlock through the same pointer, with no second look-up between.'],
    follow: (f) => [{ kind: 'reg', regno: 1 }, ...sinceLock(f)],
  },
  {
    id: 'call-under-lock',
    title: 'Call while a lock is held',
    pattern:
      /^(?:function calls are not allowed while holding a lock|global function calls are not allowed while holding a lock)/,
    text: 'Between bpf_spin_lock and bpf_spin_unlock no other helper and no global function may be called: the section has to be short and must not wait.',
    what: (f) => `insn ${f.slot ?? '?'} calls ${f.helper || 'a function'} with a lock held.`,
    mend: [
      'Gather what is needed before the lock, and only copy inside.',
      'Make a function that has to be called static.',
    ],
    follow: sinceLock,
  },
];
