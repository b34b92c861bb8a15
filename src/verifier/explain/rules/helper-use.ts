/** Which helpers a program may call at all. */
import { helperName } from '../names.js';
import type { Rule } from '../types.js';
import { nothing } from './common.js';

export const HELPER_USE_RULES: readonly Rule[] = [
  {
    id: 'helper-not-for-type',
    title: 'Helper that this program type does not have',
    pattern: /^program of this type cannot use helper (?<helper>\w+)#(?<id>\d+)/,
    text: 'Each program type has its own set of helpers; some depend on the attach type, on privileges and on how the kernel was built.',
    what: (f) => `Programs of type ${f.programType} have no ${f.text('helper')}.`,
    mend: [
      'Use a program type that has it, or do that part elsewhere.',
      'Check that the section name gives the program and attach type that is meant.',
      'The helper may depend on the kernel version or configuration (error injection, for one).',
    ],
    follow: nothing,
  },
  {
    id: 'helper-unknown',
    title: 'Helper that does not exist',
    pattern: /^(?:invalid func (?<helper>[\w#-]+)|unknown func (?<helper2>[\w#-]+))/,
    text: 'Helpers are called by number; this kernel knows none with this one.',
    what: (f) => `The call asks for helper number ${f.insn?.imm ?? f.text('helper')}.`,
    mend: [
      'A newer kernel may have it.',
      'In C, call a function that is declared in bpf_helpers.h: an undeclared or extern function is no helper.',
    ],
    follow: nothing,
  },
  {
    id: 'helper-gpl',
    title: 'Helper for GPL programs only',
    pattern: /^cannot call GPL-restricted function from non-GPL compatible program/,
    text: 'Some helpers are open only to programs under a licence compatible with the GPL, as the license section says.',
    what: (f) =>
      `${f.helper || helperName(f.insn?.imm ?? 0)} is one of them; the licence is "${f.request.license ?? ''}".`,
    mend: [
      'Declare `char LICENSE[] SEC("license") = "GPL";` (or "Dual BSD/GPL", …), if that is what the code is under.',
    ],
    follow: nothing,
  },
  {
    id: 'helper-sleeps',
    title: 'Sleeping helper in a program that may not sleep',
    pattern: /^(?:helper call might sleep in a non-sleepable prog|sleepable helper )/,
    text: 'Helpers that may sleep (bpf_copy_from_user, for one) are for programs loaded as sleepable, outside of locks, RCU sections and callbacks.',
    what: (f) => `${f.helper} may sleep, and where it is called sleeping is not allowed.`,
    mend: [
      'Load the program as sleepable (section with .s, such as "fentry.s/", "lsm.s/"), if its attach point allows that.',
      'Use the variant that does not sleep: bpf_probe_read_user in place of bpf_copy_from_user.',
    ],
    follow: nothing,
  },
  {
    id: 'helper-in-probe',
    title: 'Helper that this attach point excludes',
    pattern:
      /^(?:helper call is not allowed in probe|func (?<helper>\w+)#\d+ (?:not supported|supported only))/,
    text: 'Some helpers exist for a program type and still not at every attach point, because what they need is not there.',
    what: (f) =>
      `${f.helper || f.text('helper')} cannot be called in a ${f.programType} program attached like this.`,
    mend: ['Attach elsewhere, or get the value by another helper.'],
    follow: nothing,
  },
  {
    id: 'kfunc-disallowed',
    title: 'Kernel function that may not be called here',
    pattern:
      /^(?:calling kernel function (?<name>\w+) is not allowed|metadata kfuncs require device-bound program|invalid kernel function call not eliminated in verifier pass)/,
    text: 'Kernel functions are open to certain program types only, and a call of one that the kernel does not have must be dead code.',
    what: (f) =>
      f.text('name') === ''
        ? 'The call refers to a kernel function that is not there, and the code is reachable.'
        : `${f.text('name')} is not open to programs of type ${f.programType}.`,
    mend: [
      'Guard the call: `if (bpf_ksym_exists(f))` with a __weak declaration.',
      'Use another program type.',
    ],
    follow: nothing,
  },
];
