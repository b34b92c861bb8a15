/** Arithmetic: on pointers, and on numbers that have to be of a certain kind. */
import type { Finding } from '../finding.js';
import type { Rule } from '../types.js';

const ARITHMETIC =
  'To a pointer a number may be added, or subtracted from it, 64 bits wide; nothing else. The result has to stay near the object so that its offset can be tracked.';

const AS_NUMBERS = 'Do the arithmetic on an index or a length, and add that to the pointer at the end.';

function both(f: Finding): string {
  const { insn } = f;
  if (insn === undefined || (insn.code & 8) === 0) return f.is(insn?.dst);
  return `${f.is(insn.dst)}, and ${f.is(insn.src)}`;
}

export const POINTER_RULES: readonly Rule[] = [
  {
    id: 'pointer-unbounded',
    title: 'Unbounded number added to a pointer',
    pattern: /^math between (?<type>\w+) pointer and register with unbounded min value is not allowed/,
    text: `${ARITHMETIC} A number that is added needs a lower bound: as a signed number it must not be just anything.`,
    what: (f) => `${both(f)}: as a signed number it may be as small as can be.`,
    mend: [
      'Make the index unsigned, or test it on both sides before it is added: `if (i < 0 || i >= N) return …`.',
      'Or mask it: `i &= N - 1`, N a power of two.',
      'Check and use the same register: a test of a 32-bit copy, or one made before the value was reloaded, does not count.',
    ],
  },
  {
    id: 'pointer-far-constant',
    title: 'Pointer moved too far',
    pattern:
      /^(?:math between (?<type>\w+) pointer and (?<by>-?\d+) is not allowed|(?<type2>\w+) pointer offset (?<off>-?\d+) is not allowed|value (?<value>-?\d+) makes (?<type3>\w+) pointer be out of bounds)/,
    text: `${ARITHMETIC} Offsets of 2^29 bytes and more are refused, whether or not the pointer is used.`,
    what: (f) => `${both(f)}; the sum lies ${f.text('by') || f.text('off') || f.text('value')} bytes away.`,
    mend: [
      'Keep offsets near the object; bound the number before it is added.',
      'A negative number that was zero-extended (32-bit arithmetic) is a large positive one: sign-extend it, or subtract.',
    ],
  },
  {
    id: 'pointer-or-null-arithmetic',
    title: 'Arithmetic on a pointer that may be NULL',
    pattern: /^R(?<reg>\d+) pointer arithmetic on (?<type>\w+or_null_?) prohibited, null-check it first/,
    text: 'NULL plus an offset is no longer NULL and would slip through a later check, so what may be NULL is compared with 0 first and moved then.',
    what: (f) => `${both(f)}.`,
    mend: ['Test the pointer directly after the call that gave it, and add the offset behind the test.'],
  },
  {
    id: 'pointer-opaque-arithmetic',
    title: 'Arithmetic on a pointer that may not be moved',
    pattern: /^R(?<reg>\d+) pointer arithmetic on (?<type>\w+) prohibited/,
    text: 'Pointers to maps, sockets, the end of the packet, flow keys and functions stay as they are.',
    what: (f) => `${both(f)}; a pointer of type ${f.text('type')} may not be moved.`,
    mend: (f) =>
      f.text('type') === 'pkt_end'
        ? ['Move data instead of data_end: `if (data + n > data_end)`.']
        : ['Use the offset in the load itself: `p->field`.', AS_NUMBERS],
  },
  {
    id: 'pointer-plus-pointer',
    title: 'Two pointers combined',
    pattern: /^R(?<reg>\d+) pointer (?<op>\S+) pointer prohibited/,
    text: 'Two pointers may be subtracted, which gives a number; every other operation on two pointers is refused.',
    what: (f) => `${both(f)}.`,
    mend: ['Add a number, not another pointer; the difference of two pointers is a number.'],
  },
  {
    id: 'pointer-operator',
    title: 'Operation that pointers do not take',
    pattern:
      /^R(?<reg>\d+) (?:bitwise operator (?<op>\S+) on pointer|pointer arithmetic with (?<op2>\S+) operator) prohibited/,
    text: ARITHMETIC,
    what: (f) => `${both(f)}; ${f.text('op') || f.text('op2')} is not for pointers.`,
    mend: [AS_NUMBERS, 'To align, mask the offset and not the address.'],
  },
  {
    id: 'pointer-32-bit',
    title: '32-bit arithmetic on a pointer',
    pattern: /^R(?<reg>\d+) 32-bit pointer arithmetic prohibited/,
    text: `${ARITHMETIC} 32-bit operations cut the address in half.`,
    what: (f) => `${both(f)}.`,
    mend: ['Use 64-bit arithmetic for addresses: an unsigned long index, no cast of the pointer to int.'],
  },
  {
    id: 'pointer-subtracted',
    title: 'Pointer subtracted from a number',
    pattern: /^R(?<reg>\d+) tried to subtract pointer from scalar/,
    text: ARITHMETIC,
    what: (f) => `${both(f)}: the number stands on the left.`,
    mend: ['Subtract the number from the pointer, or two pointers from each other.'],
  },
  {
    id: 'stack-pointer-subtracted',
    title: 'Number subtracted from a stack pointer',
    pattern: /^R(?<reg>\d+) subtraction from stack pointer prohibited/,
    text: 'A stack address is moved by adding a (negative) number; subtracting a register from it is refused.',
    what: (f) => `${both(f)}.`,
    mend: ['Add the negated number.'],
  },
  {
    id: 'pointer-leak',
    title: 'Address of the kernel given away',
    pattern:
      /^(?:R(?<reg>\d+) leaks addr|R(?<reg2>\d+) (?:partial copy|sign-extension part|pointer comparison|pointer arithmetic prohibited$))/,
    text: 'Without privilege no kernel address may end where user space can read it, nor be compared or cut.',
    what: (f) => `${f.is()}.`,
    mend: ['Store a value and not the pointer.'],
  },
  {
    id: 'division-by-zero',
    title: 'Division by the constant 0',
    pattern: /^div by zero/,
    text: 'Division and remainder by a constant 0 are refused when the program is loaded (by a register that is 0 they give 0 and the unchanged value).',
    what: () => 'The divisor in the instruction is 0.',
    mend: ['Use a divisor that is not 0; guard a variable one with a test.'],
    follow: () => [],
  },
  {
    id: 'shift-range',
    title: 'Shift by too much',
    pattern: /^invalid shift (?<by>-?\d+)/,
    text: 'A constant shift has to be less than the width of the operation, 32 or 64.',
    what: (f) => `The instruction shifts by ${f.text('by')}.`,
    mend: ['Shift by 0 to 31 (32-bit) or 0 to 63 (64-bit).'],
    follow: () => [],
  },
];
