/** Arguments of helpers: kinds of registers, memory and its size. */
import type { Finding } from '../finding.js';
import type { Rule } from '../types.js';

const ARGUMENTS =
  'Each argument of a helper has a kind: the context, a map, memory with a size, a socket, a constant. The register has to be of that kind when the call is reached.';
const SIZED =
  'Memory goes to a helper as an address and a size. The size must be known to be at least 0 and have an upper bound, and so many bytes must be there, initialised unless the helper only fills them.';

/** The expected kinds, a few of them in words. */
function expected(f: Finding): string {
  const kinds = f.text('expected').split(', ');
  if (kinds.includes('fp') && kinds.length > 3)
    return 'memory: the stack, a map value, packet bytes where allowed, a buffer';
  if (kinds.includes('sock_common') || kinds.includes('tcp_sock')) return `a socket (${kinds.join(', ')})`;
  if (kinds.includes('percpu_ptr_')) return 'the address of a per-CPU variable of the kernel';
  if (kinds.includes('ptr_')) return 'a pointer to a kernel structure that is known to be there';
  const NAMES: Readonly<Record<string, string>> = {
    ctx: 'the context',
    map_ptr: 'a map',
    scalar: 'a number',
    fp: 'the address of stack memory',
    func: 'a function of the program',
  };
  return kinds.map((kind) => NAMES[kind] ?? kind).join(' or ');
}

function typeMends(f: Finding): string[] {
  const type = f.text('type');
  if (type.includes('or_null')) return ['Test the pointer for NULL before the call.'];
  const mends = [];
  if (type.startsWith('untrusted_ptr_'))
    mends.push(
      'Pointers out of unions, and those read in a sleepable program outside bpf_rcu_read_lock, are untrusted: take one from an argument, or acquire a reference.',
    );
  if (f.text('expected') === 'ctx')
    mends.push('Keep the context in r6 (in C: pass on the ctx parameter as it is) and hand over that.');
  if (f.text('expected') === 'map_ptr')
    mends.push(
      'Pass the address of the map: `&my_map`. In loaders of your own, see that the map reference is relocated.',
    );
  if (f.text('expected').includes('fp'))
    mends.push('Pass the address of a local variable or map value, not a value.');
  if (f.text('expected').includes('sock'))
    mends.push('Use the pointer that a socket look-up or the context gave, tested for NULL.');
  mends.push('Check the order of the arguments against the documentation of the helper.');
  return mends;
}

export const HELPER_ARG_RULES: readonly Rule[] = [
  {
    id: 'argument-type',
    title: 'Argument of the wrong kind',
    pattern: /^R(?<reg>\d+) type=(?<type>\S+) expected=(?<expected>.+)/,
    text: ARGUMENTS,
    what: (f) => `${f.is()}; ${f.helper || 'the call'} takes ${expected(f)} as argument ${f.number('reg')}.`,
    mend: typeMends,
  },
  {
    id: 'size-negative',
    title: 'Size that may be negative',
    pattern: /^R(?<reg>\d+) min value is negative, either use unsigned or 'var &= const'/,
    text: SIZED,
    what: (f) => `${f.is()}; ${f.helper} takes it as a size, and as a signed number it may be negative.`,
    mend: [
      'Make the length unsigned, or test it: `if (len < 0) return …`, directly before the call.',
      'Mask it: `len &= SIZE - 1`, SIZE a power of two.',
      'The result of a helper (bpf_probe_read_str, bpf_get_stack) is negative on errors: test it before using it as a size.',
    ],
  },
  {
    id: 'size-unbounded',
    title: 'Size without an upper bound',
    pattern: /^R(?<reg>\d+) unbounded memory access, use 'var &= const' or 'if \(var < const\)'/,
    text: SIZED,
    what: (f) => `${f.is()}; ${f.helper} takes it as a size, and nothing on this path bounds it from above.`,
    mend: [
      'Test it against the size of the buffer directly before the call: `if (len > sizeof(buf)) return …`.',
      'Mask it: `len &= SIZE - 1`, SIZE a power of two.',
    ],
  },
  {
    id: 'size-zero',
    title: 'Size that may be zero',
    pattern:
      /^(?:R(?<reg>\d+) invalid zero-sized read(?:: u64=\[(?<min>-?\d+),(?<max>-?\d+)\])?|invalid zero-sized read)/,
    text: `${SIZED} Many helpers do not take a size of 0.`,
    what: (f) => `${f.is()}; ${f.helper} takes it as a size, and it may be 0.`,
    mend: ['Test it before the call: `if (len == 0) return …`, or `if (len < 1)`.'],
  },
  {
    id: 'constant-argument',
    title: 'Argument that has to be a constant',
    pattern:
      /^(?:R(?<reg>\d+) is not a known constant|R(?<reg2>\d+) must be a known constant|R(?<reg3>\d+) doesn't have constant offset)/,
    text: 'Some arguments (the size of bpf_ringbuf_reserve, the place of a lock or timer) have to be the same number on this path whatever the input.',
    what: (f) => `${f.is()}.`,
    mend: ['Pass a literal or sizeof; for records of several sizes, call once for each in its own branch.'],
  },
  {
    id: 'storage-flags',
    title: 'Flags of bpf_get_local_storage',
    pattern: /^get_local_storage\(\) doesn't support non-zero flags/,
    text: 'The second argument of bpf_get_local_storage is reserved and has to be the constant 0.',
    what: (f) => `${f.is(2)}.`,
    mend: ['Pass 0.'],
    follow: () => [{ kind: 'reg', regno: 2 }],
  },
  {
    id: 'format-string',
    title: 'String argument that is no constant string',
    pattern:
      /^(?:R(?<reg>\d+) (?:does not point to a readonly map|is not a constant address)|string is not zero-terminated|direct value access on string failed)/,
    text: 'Format strings are read when the program is loaded: they have to lie in a frozen, read-only map (.rodata), at a constant offset, and end with a zero byte.',
    what: (f) => (f.regno === undefined ? 'The string does not end inside its map.' : `${f.is()}.`),
    mend: [
      'Declare the format `static const char fmt[] = "…";`, so that it goes to .rodata.',
      'Load the object with a loader that freezes .rodata.',
    ],
    follow: (f) => [{ kind: 'reg', regno: f.regno ?? 3 }],
  },
  {
    id: 'prog-array-expected',
    title: 'Tail call without a program array',
    pattern: /^expected prog array map for tail call/,
    text: 'bpf_tail_call takes a map of type prog_array.',
    what: (f) => `${f.is(2)}.`,
    mend: ['Pass the address of a map of type BPF_MAP_TYPE_PROG_ARRAY.'],
    follow: () => [{ kind: 'reg', regno: 2 }],
  },
  {
    id: 'timer-map',
    title: 'Timer and map do not belong together',
    pattern: /^timer pointer in R1 map_uid=\d+ doesn't match map pointer in R2/,
    text: 'bpf_timer_init has to be told the map that the timer lies in.',
    what: () => 'The timer in r1 comes from another map than the one in r2.',
    mend: ['Pass the map that the value was looked up in.'],
    follow: () => [
      { kind: 'reg', regno: 1 },
      { kind: 'reg', regno: 2 },
    ],
  },
];
