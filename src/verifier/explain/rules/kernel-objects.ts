/** Kernel objects, dynptrs, iterators and exceptions: what Linux says of programs that use them. */
import type { Rule } from '../types.js';
import { argument, says } from './common.js';

export const KERNEL_OBJECT_RULES: readonly Rule[] = [
  {
    id: 'dynptr-uninitialised',
    title: 'Dynptr that is not initialised',
    pattern:
      /^(?:Expected an initialized dynptr as arg #(?<arg>\d+)|arg#(?<arg2>\d+) expected pointer to stack or const struct bpf_dynptr)/,
    text: 'A dynptr lives on the stack, is set up by one helper (bpf_dynptr_from_mem, bpf_ringbuf_reserve_dynptr, …) and is then handed to others as it is; it is gone once it is submitted, discarded or overwritten.',
    what: says,
    mend: [
      'Set it up on every path before it is used, and pass the address of the variable itself.',
      'Do not use it after bpf_ringbuf_submit_dynptr or bpf_ringbuf_discard_dynptr.',
    ],
    follow: argument,
  },
  {
    id: 'dynptr-touched',
    title: 'Dynptr overwritten or moved',
    pattern:
      /^(?:cannot overwrite referenced dynptr|potential write to dynptr at off=-?\d+ disallowed|cannot pass in dynptr at an offset=-?\d+|dynptr has to be at a constant offset)/,
    text: 'The sixteen bytes of a dynptr on the stack belong to the kernel: nothing else may be stored there while it is in use, and it is passed by the address at which it begins.',
    what: says,
    mend: [
      'Keep dynptrs in variables of their own; submit or discard one before its variable is used again.',
    ],
  },
  {
    id: 'dynptr-memory',
    title: 'Memory that no dynptr can be made of',
    pattern: /^Unsupported reg type (?<type>\S+) for bpf_dynptr_from_mem data/,
    text: 'bpf_dynptr_from_mem takes memory of a map value.',
    what: (f) => `${f.is(1)}.`,
    mend: ['Copy the data to a map value first.'],
    follow: () => [{ kind: 'reg', regno: 1 }],
  },
  {
    id: 'iterator-state',
    title: 'Iterator in the wrong state',
    pattern: /^expected (?:an )?(?<state>initialized|uninitialized) (?<type>iter_\w+) as arg #(?<arg>\d+)/,
    text: 'An open-coded iterator is made by its _new function, advanced by _next and ended by _destroy, once each and on every path, in one variable on the stack.',
    what: says,
    mend: [
      'Use bpf_for_each or bpf_for, which do all three.',
      'Call _destroy on every path that leaves the loop.',
    ],
    follow: argument,
  },
  {
    id: 'trusted-null',
    title: 'Pointer that may be NULL for a kernel function',
    pattern: /^Possibly NULL pointer passed to trusted arg(?<arg>\d+)/,
    text: 'Kernel functions take pointers that are known to be valid: not NULL, and held or protected by RCU.',
    what: (f) => `${f.is(f.number('arg') + 1)}.`,
    mend: ['Test the pointer for NULL before the call.'],
    follow: argument,
  },
  {
    id: 'untrusted-pointer',
    title: 'Pointer that is not known to be valid',
    pattern:
      /^(?:R(?<reg>\d+) must be (?:referenced or trusted|a rcu pointer)|arg (?<number>\d+) is an unacquired reference|release kernel function (?<name>\w+) expects refcounted)/,
    text: 'Kernel functions take pointers that are known to be valid: acquired by the program, arguments of a tracing program, or read under RCU from a field that allows it. Pointers found by walking structures are not.',
    what: (f) => (f.regno === undefined ? says(f) : `${f.is()}.`),
    mend: [
      'Acquire a reference (bpf_task_acquire, bpf_cgroup_acquire, …), test it, and release it afterwards.',
      'Between bpf_rcu_read_lock and bpf_rcu_read_unlock, RCU-protected fields give usable pointers.',
    ],
  },
  {
    id: 'kernel-type',
    title: 'Pointer to another kernel type',
    pattern:
      /^(?:kernel function (?<name>\w+) args#(?<arg>\d+) expected pointer to (?<want>.+?) but R\d+ has a pointer to (?<have>.+)|kfunc bpf_rdonly_cast type ID argument)/,
    text: 'A kernel function takes pointers to one type each, by BTF; structures that are still being set up have a type of their own.',
    what: (f) =>
      f.text('want') === ''
        ? says(f)
        : `${f.text('name')} takes a pointer to ${f.text('want')} as argument ${f.number('arg') + 1}, and gets one to ${f.text('have')}.`,
    mend: ['Pass the object of the wanted type; finish the set-up first (bpf_ct_insert_entry and the like).'],
    follow: argument,
  },
  {
    id: 'kernel-object-write',
    title: 'Store into a kernel object',
    pattern:
      /^(?:only read (?:from \w+ )?is supported|no write support to (?<type>\w+) at off (?<off>-?\d+))/,
    text: 'Through pointers to kernel structures a program may read; writing is open for a few fields of a few types.',
    what: (f) => `${f.access} stores through ${f.regName}; ${f.is()}.`,
    mend: ['Use the helper or kernel function that changes the field.'],
  },
  {
    id: 'kernel-object-bounds',
    title: 'Access in front of a kernel object',
    pattern: /^R(?<reg>\d+) is (?:ptr_)?(?<type>\w+) invalid (?:negative|variable) (?:access|offset)/,
    text: 'Fields of kernel structures are read at constant offsets that are not negative.',
    what: (f) => `${f.is()}.`,
    mend: ['Read members by name; use container_of with bpf_core_read for what lies around.'],
  },
  {
    id: 'kernel-symbol',
    title: 'Kernel variable that is not there',
    pattern: /^ldimm64 failed to find the address for kernel symbol '(?<name>[^']*)'/,
    text: 'An extern variable of the program is looked up among the symbols of the running kernel.',
    what: (f) => `This kernel has no ${f.text('name')}, or does not give out its address.`,
    mend: ['Declare it __weak and test its address before use.'],
    follow: () => [],
  },
  {
    id: 'exception-call',
    title: 'Exception thrown or caught where it cannot be',
    pattern:
      /^(?:bpf_throw (?:kfunc )?\(insn \d+\) cannot be called from callback|exception cb only supports|insn \d+ cannot call exception cb directly|multiple exception callback tags)/,
    text: 'bpf_throw ends the program and runs its exception callback, which takes one number and is never called directly; it cannot be thrown from callbacks, nor with something held.',
    what: says,
    mend: ['Return an error from the callback and throw in the main program.'],
    follow: () => [],
  },
];
