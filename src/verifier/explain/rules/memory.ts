/** Loads and stores in general: through what, how aligned, and registers that hold nothing. */

import type { Finding } from '../finding.js';
import type { Rule } from '../types.js';

const INDEX =
  'Make the index unsigned, or test both sides: `if (i < 0 || i >= N) return …`; keep the compiler from comparing a copy, and bound it directly before use.';

function isLost(f: Finding): boolean {
  const regno = f.regno ?? 0;
  return regno >= 1 && regno <= 5 && f.path.steps.some(({ slot }) => f.request.insns[slot]?.code === 0x85);
}

export const MEMORY_RULES: readonly Rule[] = [
  {
    id: 'uninitialised-register',
    title: 'Register read before it is written',
    pattern: /^R(?<reg>\d+) !read_ok/,
    text: 'A register may be read only after this path wrote it. At the start r1 holds the context and r10 the frame pointer; a call of a helper or function takes r1 to r5 with it and leaves its result in r0.',
    what: (f) => `${f.is()} on this path${isLost(f) ? '; calls do not preserve r1 to r5' : ''}.`,
    mend: (f) => [
      ...(isLost(f) ? ['Keep what is needed after a call in r6 to r9, or on the stack.'] : []),
      ...(f.regno === 0 ? ['Set r0 on every path to exit: each function has to return a value.'] : []),
      'Initialise the variable on every branch that leads here.',
      'In C, do not fall off the end of a function that returns a value, and do not use what is uninitialised: the compiler drops such code.',
    ],
  },
  {
    id: 'scalar-dereference',
    title: 'A number used as a pointer',
    pattern: /^R(?<reg>\d+) invalid mem access '(?<type>scalar|inv)'/,
    text: 'A program may load and store only through pointers whose target the verifier knows: context, stack, map values, packet, memory from helpers. What is read from memory, computed or cast is a number.',
    what: (f) => `${f.is()}, and ${f.access} goes through it.`,
    mend: [
      'Read kernel or user memory with bpf_probe_read_kernel or bpf_probe_read_user.',
      'Keep pointers whole: 32-bit arithmetic, bit operations and partial copies on the stack turn them into numbers.',
      'After helpers that may move the packet, and after calls, load the pointer again.',
      'Where NULL is possible, test before use: on the branch where it is NULL it is the number 0.',
    ],
  },
  {
    id: 'nullable-dereference',
    title: 'Pointer used without a NULL check',
    pattern: /^R(?<reg>\d+) invalid mem access '(?<type>\w*or_null_?)'/,
    text: 'What may be NULL may be dereferenced only on a branch where a comparison with 0 has shown that it is not.',
    what: (f) => `${f.is()}; no comparison on this path says that it is not NULL.`,
    mend: [
      'Test the result directly after the call: `if (!p) return …;`.',
      'Test the very register that is used, or one it was copied from after the call.',
    ],
  },
  {
    id: 'opaque-dereference',
    title: 'Pointer that may not be dereferenced so',
    pattern: /^R(?<reg>\d+) invalid mem access '(?<type>\w+)'/,
    text: 'Some pointers are for comparing or passing on only: the end of the packet, maps, functions.',
    what: (f) => `${f.is()}; nothing may be loaded or stored through a pointer of type ${f.text('type')}.`,
    mend: (f) =>
      f.text('type') === 'pkt_end'
        ? ['Access the packet through data, and use data_end only in comparisons.']
        : ['Pass the pointer to the helper that it is meant for.'],
  },
  {
    id: 'negative-index',
    title: 'Offset that may be negative',
    pattern: /^R(?<reg>\d+) min value is negative, either use unsigned index/,
    text: 'The variable part of an offset must not be able to lead in front of the memory. A comparison as signed numbers bounds one side only.',
    what: (f) => `${f.is()}: its smallest value lies in front of the memory.`,
    mend: [INDEX, 'An `&` with a constant also makes it non-negative.'],
  },
  {
    id: 'unbounded-access',
    title: 'Offset without an upper bound',
    pattern: /^R(?<reg>\d+) unbounded memory access, make sure to bounds check/,
    text: 'The variable part of an offset needs an upper bound that is known on this path and keeps the access inside the memory.',
    what: (f) => `${f.is()}: how far it may lead is not known.`,
    mend: [
      'Compare the index with the size of the memory before it is added, and leave when it is too large.',
      'Or mask it: `i &= N - 1`, N a power of two.',
      'Compare and use the same variable at the same width: a check of a 64-bit copy does not bound a sign-extended one.',
    ],
  },
  {
    id: 'memory-range',
    title: 'Access outside the memory',
    pattern:
      /^(?:R(?<reg>\d+) (?<side>min|max) value is outside of the allowed memory range|invalid access to memory, mem_size=(?<have>\d+) off=(?<off>-?\d+) size=(?<size>\d+))/,
    text: "The memory that a pointer leads to has a fixed size: of what was reserved, of a global function's argument, of a buffer. Every byte of the access has to lie in it.",
    what: (f) =>
      f.text('have') === ''
        ? `${f.is()}, and ${f.access} may leave it.`
        : `${f.is()}; ${f.access} of ${f.text('size')} bytes at offset ${f.text('off')} does not lie inside ${f.text('have')} bytes.`,
    mend: ['Reserve or pass memory of the size that is used.', INDEX],
  },
  {
    id: 'context-access',
    title: 'Context field that this program type does not have',
    pattern: /^invalid bpf_context access off=(?<off>-?\d+) size=(?<size>\d+)/,
    text: 'The context is reached field by field. Which fields there are, which may be written, and with which sizes depends on the program type and the attach type; loads narrower than a field are allowed for some.',
    what: (f) =>
      `Programs of type ${f.programType} may not ${(f.insn?.code ?? 1) % 8 === 1 ? 'read' : 'write'} ${f.text('size')} bytes at offset ${f.text('off')} of their context.`,
    mend: [
      'Access the member by its name and with its own size; do not read two members at once.',
      'Check that the section name gives the program type that is meant, and that this type offers the field.',
      'Keep the compiler from splitting or merging context accesses: read into a local variable with volatile or a barrier.',
    ],
  },
  {
    id: 'context-modified',
    title: 'Pointer changed before it is used',
    pattern:
      /^(?:dereference of modified|negative offset|variable) (?<type>\w+) (?:ptr R(?<reg>\d+) off=(?<off>-?\d+) disallowed|access var_off=(?<var>\(.*?\)) disallowed)/,
    text: 'Context accesses are rewritten when the program is loaded, so the offset has to stand in the instruction: the pointer itself may be moved by no variable amount, and where it is passed on or used for some objects by no constant either.',
    what: (f) => `${f.is()}.`,
    mend: [
      'Access the member through the context pointer as it came: `ctx->field`.',
      'The compiler may fold `&ctx->a + i` into arithmetic: read with a constant index, or add a barrier between address and access.',
    ],
  },
  {
    id: 'misaligned',
    title: 'Misaligned access',
    pattern:
      /^misaligned (?<what>context|value|pointer|\w+|flow keys)? ?access off (?<at>.+) size (?<size>\d+)/,
    text: 'With BPF_F_STRICT_ALIGNMENT accesses have to be aligned to their size, as on machines that need it; atomic operations have to be always.',
    what: (f) =>
      `${f.access} of ${f.text('size')} bytes lies at ${f.text('at')} (variable part, register, instruction), no multiple of ${f.text('size')}; ${f.is()}.`,
    mend: [
      'Access whole members at their own offset and size.',
      'Load without BPF_F_STRICT_ALIGNMENT where the machine takes unaligned accesses.',
    ],
  },
  {
    id: 'mixed-pointers',
    title: 'One instruction, two kinds of pointer',
    pattern: /^same insn cannot be used with different pointers/,
    text: 'Loads and stores through some pointers (context, sockets) are rewritten when the program is loaded, so one instruction cannot serve such a pointer on one path and another kind on the next.',
    what: (f) =>
      `On this path ${f.is()}; on an earlier one the same instruction accessed a pointer of another type.`,
    mend: [
      'Write the access out in each branch.',
      'The compiler merges equal code at the end of branches: put a barrier (asm volatile) into one of them.',
    ],
  },
  {
    id: 'socket-access',
    title: 'Socket field that may not be accessed so',
    pattern:
      /^R(?<reg>\d+) invalid (?<type>sock|sock_common|tcp_sock|xdp_sock) access off=(?<off>-?\d+) size=(?<size>\d+)/,
    text: 'Of a socket only the fields of struct bpf_sock, bpf_tcp_sock or bpf_xdp_sock may be read, each with its own size; the common part of a socket has fewer.',
    what: (f) => `${f.is()}; ${f.text('size')} bytes at offset ${f.text('off')} are no field of it.`,
    mend: [
      'Turn the common part into a full socket first: bpf_sk_fullsock or bpf_tcp_sock, and test the result for NULL.',
      'Access the member by name.',
    ],
  },
  {
    id: 'read-only-memory',
    title: 'Store into memory that may only be read',
    pattern: /^(?:R(?<reg>\d+) cannot write into (?<type>\w+)|write to change key R(?<reg2>\d+) not allowed)/,
    text: 'Sockets, map keys in callbacks, read-only buffers and memory from some helpers may be read and not written, by the program or by a helper on its behalf.',
    what: (f) => `${f.is()}, and ${f.access} would write there.`,
    mend: ['Copy to the stack or a map value and change the copy.'],
  },
  {
    id: 'buffer-bounds',
    title: 'Trace buffer accessed at a bad offset',
    pattern:
      /^R(?<reg>\d+) invalid (?:(?<kind>tracepoint|rdonly|rdwr) buffer access: off=(?<off>-?\d+), size=(?<size>\d+)|variable buffer offset: off=(?<off2>-?\d+), var_off=(?<var>.*))/,
    text: 'A record or iterator buffer is accessed at constant, non-negative offsets; its size is checked when the program is attached.',
    what: (f) => `${f.is()}.`,
    mend: ['Use constant indices.'],
  },
  {
    id: 'atomic-target',
    title: 'Atomic operation on memory that does not take it',
    pattern: /^BPF_ATOMIC (?:stores into|loads from) R(?<reg>\d+) (?<type>\w+) is not allowed/,
    text: 'Atomic operations work on the stack, on map values and on other plain memory; not on context, packet, flow keys or sockets.',
    what: (f) => `${f.is()}, which takes no atomic operation.`,
    mend: ['Keep counters in a map value.', 'Use a plain load and store where nothing else writes.'],
  },
];
