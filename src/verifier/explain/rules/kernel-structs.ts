/** Pointers to kernel structures: members, arguments of helpers and of functions, attach points described by BTF. */
import type { Finding } from '../finding.js';
import type { Rule } from '../types.js';
import { nothing, says } from './common.js';

const WALK =
  'Through a pointer to a kernel structure a program reads single members, as the running kernel lays them out: a number or part of it, a whole pointer, bytes of an array of numbers; nothing across two members, and nothing past the end.';
const HEADERS =
  "Compile with the kernel's own types (vmlinux.h) and CO-RE, so that offsets follow the kernel that runs.";
const where = (f: Finding): string => `offset ${f.text('off')} of struct ${f.text('type')}`;

/** A helper compares structures by walking them, and its complaint may be about the walk. */
function walked(f: Finding, text: string): string {
  if (f.helper === '') return text;
  const regno = f.argumentsOf('').find((n) => (f.raw(n) ?? '').includes(`ptr_${f.text('type')}`));
  const given = regno === undefined ? '' : `; ${f.is(regno)}`;
  return `${f.helper} takes a pointer to another structure, which is not what lies at ${where(f)}${given}.`;
}

/** What mends a walk of the program's own; one that a helper made has another cause. */
const walkMends =
  (...mends: string[]) =>
  (f: Finding): readonly string[] =>
    f.helper === '' ? mends : [`Pass ${f.helper} a pointer to the structure that it takes.`];

export const KERNEL_STRUCT_RULES: readonly Rule[] = [
  {
    id: 'kernel-member-missing',
    title: 'Offset at which a kernel structure has no member',
    pattern: /^struct (?<type>\S+) doesn't have field at offset (?<off>-?\d+)/,
    text: WALK,
    what: (f) => walked(f, `At ${where(f)} there is padding, or only part of a bit-field; ${f.is()}.`),
    mend: walkMends(HEADERS, 'Read bit-fields with BPF_CORE_READ_BITFIELD.'),
  },
  {
    id: 'kernel-struct-end',
    title: 'Access beyond a kernel structure',
    pattern: /^access beyond struct (?<type>\S+) at off (?<off>\d+) size (?<size>\d+)/,
    text: WALK,
    what: (f) => walked(f, `${f.text('size')} bytes at ${where(f)} lie beyond its end; ${f.is()}.`),
    mend: walkMends(
      HEADERS,
      'What lies around a structure is read with bpf_core_read or bpf_probe_read_kernel, which may fail.',
    ),
  },
  {
    id: 'kernel-member-end',
    title: 'Access beyond a member of a kernel structure',
    pattern:
      /^access beyond the end of member (?<field>\S+) \(mend:(?<end>\d+)\) in struct (?<type>\S+) with off (?<off>\d+) size (?<size>\d+)/,
    text: WALK,
    what: (f) =>
      `The ${f.text('size')} bytes at ${where(f)} begin in the member ${f.text('field')}, which ends at ${f.text('end')}.`,
    mend: ['Read members one by one, each with its own size.', HEADERS],
  },
  {
    id: 'kernel-member-pointer',
    title: 'Pointer member read in part',
    pattern:
      /^cannot access ptr member (?<field>\S+) with moff (?<at>\d+) in struct (?<type>\S+) with off (?<off>\d+) size (?<size>\d+)/,
    text: WALK,
    what: (f) =>
      walked(
        f,
        `${f.text('size')} bytes at ${where(f)} are only part of the pointer ${f.text('field')}, which is the 8 bytes from ${f.text('at')} on.`,
      ),
    mend: walkMends('Load the whole pointer, 8 bytes at its offset.', HEADERS),
  },
  {
    id: 'kernel-foreign-memory',
    title: 'Memory of user space or of another CPU',
    pattern: /^R(?<reg>\d+) is ptr_(?<type>\S+) access (?<kind>user|percpu) memory: off=(?<off>-?\d+)/,
    text: 'Pointers that the kernel marks as belonging to user space, or to one CPU each, cannot be dereferenced as they are.',
    what: (f) => `${f.is()}.`,
    mend: (f) =>
      f.text('kind') === 'user'
        ? ['Use bpf_probe_read_user, or bpf_copy_from_user in sleepable programs.']
        : ["Use bpf_per_cpu_ptr or bpf_this_cpu_ptr to get one CPU's copy."],
  },
  {
    id: 'kernel-license',
    title: 'Kernel structures for GPL programs only',
    pattern: /^Cannot access kernel 'struct (?<type>[^']*)' from non-GPL compatible program/,
    text: 'Reading kernel structures directly is open to programs under a licence compatible with the GPL.',
    what: (f) => `The licence is "${f.request.license ?? ''}"; ${f.is()}.`,
    mend: ['Declare `char LICENSE[] SEC("license") = "GPL";`, if that is what the code is under.'],
  },
  {
    id: 'kernel-argument-type',
    title: 'Pointer to another kernel structure than the function takes',
    pattern: /^R(?<reg>\d+) is of type (?<have>\S*) but (?<want>\S+) is expected/,
    text: 'A helper or global function that takes a pointer to a kernel structure takes that structure, or one that begins with it.',
    what: (f) =>
      `${f.helper || 'the function'} takes a pointer to struct ${f.text('want')} as argument ${f.number('reg')}; ${f.is()}.`,
    mend: (f) => [
      `Pass a pointer to struct ${f.text('want')}; casting in C changes nothing, the kernel's types count.`,
      'For sockets there are casts that test the type: bpf_skc_to_tcp_sock and its like.',
    ],
  },
  {
    id: 'kernel-argument-null',
    title: 'Pointer that may be NULL for a helper',
    pattern: /^Possibly NULL pointer passed to helper arg(?<arg>\d+)/,
    text: 'Helpers take pointers to kernel structures that are not NULL, unless they say otherwise.',
    what: (f) => `${f.is(f.number('arg'))}.`,
    mend: ['Test the pointer for NULL before the call.'],
    follow: (f) => [{ kind: 'reg', regno: f.number('arg') }],
  },
  {
    id: 'kernel-argument-write',
    title: 'Helper that would write into a kernel structure',
    pattern: /^(?<name>\w+)\(\) may write into memory pointed by R(?<reg>\d+) type=(?<type>\S+)/,
    text: 'A kernel structure may be handed to a helper as memory that is read, never as memory that is written.',
    what: (f) => `${f.text('name')} fills argument ${f.number('reg')}; ${f.is()}.`,
    mend: ['Let the helper fill a buffer on the stack or in a map.', 'Check the order of the arguments.'],
  },
  {
    id: 'kernel-write-end',
    title: 'Store beyond the member that may be written',
    pattern:
      /^(?:write access at off (?<off>\d+) with size (?<size>\d+)|only access to (?<only>\w+) is supported)/,
    text: 'A few members of a few kernel structures are open for writing, each as a whole and nothing beside it.',
    what: says,
    mend: ["Store with the member's own type.", HEADERS],
  },
  {
    id: 'attach-argument',
    title: 'Argument that the traced function does not have',
    pattern:
      /^(?:func '(?<name>[^']+)' (?:doesn't have (?<arg>\d+)-th argument|offset (?<off>-?\d+) is not multiple of 8|size (?<size>\d+) must be 8|arg\d+ )|ret type \w+ not allowed for fmod_ret|invalid btf_id for context argument)/,
    text: "The context of a program attached by BTF is an array of 8 bytes an argument, as the kernel's types describe the function; numbers may be read in part, pointers only whole, the result only after the function.",
    what: says,
    mend: [
      "Take the arguments with BPF_PROG(name, type1 arg1, …), in the order and with the types of this kernel's function.",
      'Read the result in fexit, fmod_ret or LSM programs, behind the last argument.',
    ],
    follow: nothing,
  },
  {
    id: 'attach-function',
    title: 'Function that programs cannot be attached to',
    pattern:
      /^(?:The function (?<name>\S+) (?:has \d+ arguments|return type|with variable args|arg\d+ type|has malformed)|Attaching (?:tracing programs to function|fexit\/fmod_ret)|(?<target>\S+)\(\) is not modifiable|Cannot replace |attach to invalid member)/,
    text: 'A trampoline passes on up to twelve arguments that fit registers, and one result of at most 8 bytes. Some functions are left out because programs there would call themselves or never return; results may be changed only where the kernel allows it (fmod_ret: security hooks, system calls, functions open to error injection).',
    what: says,
    mend: ['Attach to a function that calls this one, or that it calls; or use a kprobe or tracepoint.'],
    follow: nothing,
    locate: () => undefined,
  },
  {
    id: 'format-arguments',
    title: 'Format string that does not fit its arguments',
    pattern: /^Invalid format string/,
    text: 'The format of bpf_snprintf is checked when the program is loaded: %d, %i, %u, %x, %X with l or ll, %c, %s, %p and its kernel forms (%pK, %px, %ps, %pS, %pB, %pks, %pus, %pi4, %pI4, %pi6, %pI6), one argument of 8 bytes each.',
    what: (f) => `${f.is(3)}; the size of the arguments is in r5: ${f.is(5)}.`,
    mend: [
      'Use BPF_SNPRINTF, which counts the arguments.',
      'Leave out precisions ("%.2d") and floating point.',
    ],
    follow: () => [
      { kind: 'reg', regno: 3 },
      { kind: 'reg', regno: 5 },
    ],
  },
];
