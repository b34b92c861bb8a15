/** Rules that only bind who loads without CAP_PERFMON or without CAP_BPF: pointers that have to be masked, features withheld. */
import { progTypeName } from '../../../abi/prog-types.js';
import { capabilitiesOf } from '../../capabilities.js';
import { missingCapability } from '../../env/index.js';
import type { Finding } from '../finding.js';
import type { Rule } from '../types.js';
import { nothing } from './common.js';

const MASKED =
  "Without CAP_PERFMON a pointer may only move such that a processor that guessed a branch wrongly stays inside as well: Linux masks the number that is added, and for that it has to know the pointer's bounds and the sign of the number, the same on every path.";
const CHECK_OFFSET =
  'Check the offset as a number and keep it unsigned: `if (i < sizeof(value)) p = value + i;`.';
const LOAD_WITH = 'Load the program with CAP_BPF and CAP_PERFMON, or as root.';

const EPERM = 1;
const E2BIG = 7;

/** Why a load ended without a word. */
function silentReason({ request, result }: Finding): string {
  const { progType, insns } = request;
  const missing = missingCapability(progType, capabilitiesOf(request));
  const type = progTypeName(progType);
  if (result.errno === EPERM && missing !== undefined) return `${type} programs take ${missing}.`;
  if (result.errno === E2BIG) return `The program has ${insns.length} instructions.`;
  return `The load ends with errno ${result.errno}; the program type is ${type}, its attach type ${request.expectedAttachType ?? 0}.`;
}

export const PRIVILEGE_RULES: readonly Rule[] = [
  {
    id: 'refused-silently',
    title: 'Refused without a word',
    pattern: /^$/,
    text: 'Some things are asked before the log begins: whether the loader has the capabilities that the program type takes, whether program type, attach type and flags go together, and whether the program has between one and a million instructions (4,096 without CAP_BPF).',
    what: silentReason,
    mend: [
      'Load it with the capabilities of its type: CAP_BPF, and CAP_PERFMON for tracing or CAP_NET_ADMIN for networking.',
      'Check program type, attach type, flags and size.',
    ],
    follow: nothing,
  },
  {
    id: 'masked-sign',
    title: 'Offset of either sign without CAP_PERFMON',
    pattern: /^R(?<reg>\d+) has unknown scalar with mixed signed bounds/,
    text: MASKED,
    what: (f) => `${f.is()}, which may be negative or not.`,
    mend: [CHECK_OFFSET, LOAD_WITH],
  },
  {
    id: 'masked-type',
    title: 'Variable offset into memory that cannot be masked',
    pattern: /^R(?<reg>\d+) has pointer with unsupported alu operation/,
    text: `${MASKED} Only pointers to the stack and into values of maps have such bounds.`,
    what: (f) => `${f.is()}, and a register is added to it or subtracted from it.`,
    mend: ['Use constant offsets, or copy the data to the stack or to a map first.', LOAD_WITH],
  },
  {
    id: 'masked-paths',
    title: 'One addition, masked differently on two paths',
    pattern: /^R(?<reg>\d+) tried to (?<verb>add|sub) from different maps, paths or scalars/,
    text: MASKED,
    what: (f) =>
      `The instruction is reached on several paths with pointers, bounds or numbers that differ; here, ${f.is()}.`,
    mend: [
      'Write the addition once for each pointer, so that no instruction serves two of them.',
      'Bring the number into the same range on every path before it is added.',
      LOAD_WITH,
    ],
  },
  {
    id: 'masked-limit',
    title: 'Pointer moved out of its bounds',
    pattern: /^R(?<reg>\d+) tried to (?<verb>add|sub) beyond pointer bounds/,
    text: MASKED,
    what: (f) => `${f.is()}, and nothing is left on that side of it.`,
    mend: [CHECK_OFFSET, LOAD_WITH],
  },
  {
    id: 'stack-offset-privilege',
    title: 'Stack address that is not constant, without CAP_PERFMON',
    pattern:
      /^R(?<reg>\d+) (?:variable (?:offset )?stack access|stack pointer arithmetic goes out of range,) prohibited for !root/,
    text: 'Without CAP_PERFMON an address on the stack has to lie at a constant offset inside the 512 bytes below r10, from the moment it is computed.',
    what: (f) => `After the instruction the address is no such one: ${f.result.message}.`,
    mend: [
      'Index an array in the value of a map instead.',
      'Unroll the loop, so that each offset is constant.',
      LOAD_WITH,
    ],
  },
  {
    id: 'spilled-pointer-read',
    title: 'Pointer on the stack used as a number',
    pattern: /^leaking pointer from stack off (?<off>-?\d+)/,
    text: 'Without CAP_PERFMON nobody may learn what an address is: an atomic operation on a slot that holds a pointer would give it away.',
    what: (f) => `The slot at ${f.text('off')} holds a pointer.`,
    mend: ['Use another slot for the number.'],
  },
  {
    id: 'needs-perfmon',
    title: "Kernel structures are CAP_PERFMON's",
    pattern: /^'struct (?<name>\w+)' access is allowed only to CAP_PERFMON/,
    text: 'Fields of kernel structures show what the kernel does, addresses included: only CAP_PERFMON (or CAP_SYS_ADMIN) may load a program that reads them.',
    what: (f) => `The instruction reads a field of struct ${f.text('name')}.`,
    mend: [LOAD_WITH, 'Ask a helper for the value instead.'],
  },
  {
    id: 'needs-bpf',
    title: "Functions are CAP_BPF's",
    pattern: /^loading\/calling other bpf or kernel functions are allowed for CAP_BPF/,
    text: 'Without CAP_BPF a program is one function: it may call helpers, but neither functions of its own nor kernel functions, and name no callbacks.',
    what: () => 'The program calls a function, or takes the address of one.',
    mend: ['Inline the functions (__always_inline).', 'Load the program with CAP_BPF.'],
    follow: nothing,
  },
  {
    id: 'needs-arena',
    title: 'Arenas need CAP_BPF and CAP_PERFMON',
    pattern: /^CAP_BPF and CAP_PERFMON are required to use arena/,
    text: 'Addresses in an arena are shared with user space as they are: a program that uses one is loaded with both capabilities.',
    what: () => 'The program names an arena, and its loader lacks one of the two.',
    mend: [LOAD_WITH],
    follow: nothing,
  },
];
