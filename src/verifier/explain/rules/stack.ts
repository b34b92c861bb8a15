/** The stack: bounds, initialised bytes, spills and fills. */

import type { Finding } from '../finding.js';
import { type Place, stackSlot } from '../place.js';
import type { Rule } from '../types.js';

const SIZE = 'A function has 512 bytes of stack, at fp-512 to fp-1; r10 points just past them.';

/** Every slot that the access covers, the first bytes that are not initialised in front. */
function slots(f: Finding): Place[] {
  const off = f.number('off');
  const bad = off + (f.text('at') === '' ? 0 : f.number('at'));
  return [stackSlot(bad)];
}

export const STACK_RULES: readonly Rule[] = [
  {
    id: 'stack-bounds',
    title: 'Access outside the stack',
    pattern:
      /^invalid(?<indirect> indirect)? ?(?<what>write to|read from|access to)? stack R(?<reg>\d+) off=(?<off>-?\d+) size=(?<size>-?\d+)/,
    text: SIZE,
    what: (f) => {
      const off = f.number('off');
      const size = f.number('size');
      let place = off < -512 ? 'below fp-512' : 'below all that was written, which takes CAP_PERFMON';
      if (off >= 0 || off + size > 0) place = 'the frame pointer or what is above it';
      return `${f.is()}; ${f.access} of ${size} bytes at fp${off < 0 ? off : `+${off}`} reaches ${place}.${f.sizeNote}`;
    },
    mend: [
      'Use negative offsets of r10: a local variable of n bytes starts at fp-n or below.',
      'Move large buffers into a per-CPU array map of one element.',
    ],
  },
  {
    id: 'stack-uninitialised',
    title: 'Stack bytes read before they are written',
    pattern: /^invalid read from stack (?:R(?<reg>\d+) )?off (?<off>-?\d+)\+(?<at>\d+) size (?<size>\d+)/,
    text: 'The stack holds leftovers of the kernel. A byte may be read, or handed to a helper, only after this path wrote it.',
    what: (f) => {
      const at = f.number('off') + f.number('at');
      return `${f.access} takes ${f.text('size')} bytes at fp${f.text('off')}; the byte at fp${at} was not written on this path.`;
    },
    mend: [
      'Initialise the variable where it is declared, padding included: `struct key k = {};` or __builtin_memset over all of it.',
      'Check that every branch writes it before it is used.',
    ],
    follow: slots,
  },
  {
    id: 'stack-unbounded',
    title: 'Stack access at an unknown offset',
    pattern:
      /^(?:invalid unbounded variable-offset(?: indirect)? ?(?<what>write to|read from|access to)? stack R(?<reg>\d+)|invalid variable-offset(?: indirect)? ?(?<what2>write to|read from|access to)? stack R(?<reg2>\d+) var_off=(?<var>\S+ \S+) off=(?<off>-?\d+) size=(?<size>\d+))/,
    text: `${SIZE} An offset that is not a constant has to be bounded so that the whole access stays inside, and reads need every byte in its reach initialised.`,
    what: (f) => `${f.is()}: with that offset ${f.access} may leave the stack.`,
    mend: [
      'Bound the index on both sides before it is added to the address: `if (i >= N) return …` on an unsigned variable.',
      'Keep arrays that are indexed by variables in a map.',
    ],
  },
  {
    id: 'stack-variable-helper',
    title: 'Variable stack address handed to a helper',
    pattern: /^variable offset stack pointer cannot be passed into helper function/,
    text: 'Without privilege, stack memory for helpers has to start at a constant offset.',
    what: (f) => `${f.is()}.`,
    mend: ['Pass an address at a constant offset.'],
  },
  {
    id: 'stack-misaligned',
    title: 'Misaligned stack access',
    pattern: /^misaligned stack access off (?<at>.+) size (?<size>\d+)/,
    text: 'Stack accesses have to be aligned to their size, whatever the load flags say, so that spilled registers can be tracked.',
    what: (f) =>
      `${f.access} of ${f.text('size')} bytes lies at ${f.text('at')} (variable part, register, instruction), no multiple of ${f.text('size')}; ${f.is()}.`,
    mend: [
      'Use offsets of r10 that are multiples of the access size.',
      'In C this comes from packed structs and casts: copy with memcpy instead.',
    ],
  },
  {
    id: 'stack-partial-fill',
    title: 'Spilled pointer read back in part',
    pattern: /^invalid size of register fill/,
    text: 'A pointer that was saved on the stack is read back whole, with eight bytes from where it was saved. A part of it would be a number that leaks the address.',
    what: (f) => `${f.access} reads part of a spilled pointer; ${f.is()}.`,
    mend: ['Read all eight bytes at the offset that was stored to.'],
    follow: (f) => {
      const { insn } = f;
      const base = insn === undefined ? undefined : f.value(insn.src)?.constant;
      return insn === undefined || base === undefined ? [] : [stackSlot(Number(base) + insn.off)];
    },
  },
  {
    id: 'stack-partial-spill',
    title: 'Pointer saved in part',
    pattern: /^invalid size of register spill/,
    text: 'A pointer may be saved on the stack only whole, with eight bytes.',
    what: (f) => `The instruction stores part of r${f.insn?.src ?? '?'}, and ${f.is(f.insn?.src)}.`,
    mend: ['Store with eight bytes.'],
    follow: (f) => (f.insn === undefined ? [] : [{ kind: 'reg', regno: f.insn.src }]),
  },
  {
    id: 'stack-corrupted-spill',
    title: 'Spilled pointer overwritten in part',
    pattern: /^(?:attempt to corrupt spilled pointer on stack|corrupted spill memory)/,
    text: 'Without privilege a slot that holds a pointer may be overwritten only as a whole.',
    what: (f) => `${f.access} would change some bytes of a spilled pointer.`,
    mend: ['Use another slot for the new value.'],
  },
  {
    id: 'stack-to-caller',
    title: "Stack pointer stored in the caller's frame",
    pattern: /^cannot spill pointers to stack into stack frame of the caller/,
    text: "A function's stack ends when it returns; an address in it must not stay behind in the frame of the caller.",
    what: (f) => `The instruction stores r${f.insn?.src ?? '?'}, and ${f.is(f.insn?.src)}.`,
    mend: ['Store the value and not its address, or let the caller pass the buffer.'],
    follow: (f) => (f.insn === undefined ? [] : [{ kind: 'reg', regno: f.insn.src }]),
  },
  {
    id: 'stack-returned',
    title: 'Stack pointer returned to the caller',
    pattern: /^cannot return stack pointer to the caller/,
    text: "A function's stack ends when it returns; it must not return an address in it.",
    what: (f) => `r0 is returned, and ${f.is(0)}.`,
    mend: ['Let the caller pass a buffer and return a number.'],
    follow: () => [{ kind: 'reg', regno: 0 }],
  },
  {
    id: 'frame-pointer',
    title: 'Frame pointer written',
    pattern: /^frame pointer is read only/,
    text: 'r10 is the frame pointer; the program may read it and never change it.',
    what: () => 'The instruction writes r10.',
    mend: ['Copy r10 to another register and work on the copy.'],
    follow: () => [],
    locate: (f) => f.slot ?? f.firstInsn((insn) => insn.dst === 10 && [0, 1, 4, 7].includes(insn.code & 7)),
  },
];
