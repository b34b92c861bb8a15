/** Limits of size and complexity. */
import type { Finding } from '../finding.js';
import { subprogramName, subprogramStarts } from '../names.js';
import type { Rule } from '../types.js';
import { nothing } from './common.js';

/** `main 304, helper 304`. */
function stacks(f: Finding): string {
  const starts = subprogramStarts(f.request);
  const depths = f.result.stackDepth.split('+');
  return depths.map((bytes, i) => `${subprogramName(f.request, starts[i] ?? 0)} ${bytes}`).join(', ');
}

const LESS_STACK = [
  'Move large local buffers into a per-CPU array map of one element.',
  'Shrink or share buffers; keep big ones out of functions that call others.',
  'Check what the compiler inlined: __noinline splits a frame, __always_inline joins it to the caller.',
];

export const LIMIT_RULES: readonly Rule[] = [
  {
    id: 'too-complex',
    title: 'Too much to simulate',
    pattern: /^BPF program is too large\. Processed (?<count>\d+) insn/,
    text: 'All paths together may take a million simulated instructions. Paths that come to the same instruction in equal states are walked once, so what counts is how many different states there are.',
    what: (f) => `After ${f.number('count') - 1} instructions there were still paths left.`,
    mend: [
      'Give loops fewer rounds, or use bpf_loop: its body is simulated a few times instead of once per round.',
      'Move work into global functions: each is verified once.',
      'Split the program with tail calls.',
      'Fewer branches inside loops, and variables that do not matter afterwards set to a constant, let states be equal.',
    ],
    follow: nothing,
  },
  {
    id: 'jump-sequence',
    title: 'Too many branches waiting',
    pattern: /^The sequence of (?<count>\d+) jumps is too complex/,
    text: 'At most 8,192 branches may wait to be walked at once.',
    what: (f) =>
      `${f.text('count')} branches wait, each opened by a conditional jump whose other side is not yet done.`,
    mend: [
      'Make long chains of conditions shorter: loop over a table instead of unrolled comparisons.',
      'Use bpf_loop in place of an unrolled loop.',
    ],
    follow: nothing,
  },
  {
    id: 'stack-combined',
    title: 'Too much stack over a chain of calls',
    pattern: /^combined stack size of (?<calls>\d+) calls is (?<total>\d+)\. Too large/,
    text: 'The stacks of all functions of a call chain together may take 512 bytes, each rounded up (to 16 with the JIT, else 32) so that short ones count too.',
    what: (f) =>
      `A chain of ${f.text('calls')} functions needs ${f.text('total')} bytes; each takes: ${stacks(f)}.`,
    mend: LESS_STACK,
    follow: nothing,
    locate: () => undefined,
  },
  {
    id: 'stack-own',
    title: 'Too much stack in one function',
    pattern: /^stack size of subprog (?<index>\d+) is (?<size>\d+)\. Too large/,
    text: 'A function may use 512 bytes of stack.',
    what: (f) => `Subprogram ${f.text('index')} needs ${f.text('size')}.`,
    mend: LESS_STACK,
    follow: nothing,
    locate: () => undefined,
  },
  {
    id: 'tail-call-stack',
    title: 'Tail call below too much stack',
    pattern: /^tail_calls are not allowed when call stack of previous frames is (?<depth>\d+) bytes/,
    text: 'A tail call from a function keeps the stack of its callers, and that may happen again and again; so they may have used 256 bytes at most.',
    what: (f) => `The callers use ${f.text('depth')} bytes; each function: ${stacks(f)}.`,
    mend: ['Make the tail call from the main program.', ...LESS_STACK],
    follow: nothing,
    locate: () => undefined,
  },
  {
    id: 'too-many-subprograms',
    title: 'Too many functions',
    pattern: /^too many subprograms/,
    text: 'A program may have 256 functions.',
    what: () => 'This one has more.',
    mend: ['Inline small functions.'],
    follow: nothing,
    locate: () => undefined,
  },
  {
    id: 'too-many-maps',
    title: 'Too many maps',
    pattern: /^The total number of maps per program has reached the limit of (?<limit>\d+)/,
    text: 'A program may refer to 64 maps.',
    what: () => 'This one refers to more.',
    mend: ['Join maps of the same shape, or put them into a map of maps.'],
    follow: nothing,
  },
];
