/** What is wrong before anything is simulated: maps, attach points, function information. */
import type { Rule } from '../types.js';
import { nothing, says } from './common.js';

export const LOADING_RULES: readonly Rule[] = [
  {
    id: 'map-fd',
    title: 'Reference to a map that is not there',
    pattern: /^fd (?<fd>-?\d+) is not pointing to valid bpf_map/,
    text: 'An LD_IMM64 with a map source carries the file descriptor of a map that was created before.',
    what: (f) => `${f.text('fd')} is no map.`,
    mend: [
      'Let the loader create the maps and fill in (relocate) the references before the program is loaded.',
      'In an object file: build it so that the reference has a relocation against a map symbol.',
    ],
    follow: nothing,
    locate: (f) =>
      f.slot ??
      f.firstInsn(
        (insn) =>
          insn.code === 0x18 && [1, 2, 5, 6].includes(insn.src) && f.request.maps?.[insn.imm] === undefined,
      ),
  },
  {
    id: 'cgroup-storage',
    title: 'More than one cgroup storage',
    pattern: /^only one cgroup storage of each type is allowed/,
    text: 'A program may use one cgroup storage map of each kind, shared and per-CPU.',
    what: says,
    mend: ['Put the values into one struct of one map.'],
    follow: nothing,
  },
  {
    id: 'attach-sleepable',
    title: 'Program that cannot be sleepable',
    pattern:
      /^(?:Only fentry\/fexit\/fmod_ret|Syscall programs can only be sleepable|(?<name>\w+) is not sleepable)/,
    text: 'Sleepable programs exist for few types, and only at attach points where the kernel may sleep.',
    what: says,
    mend: ['Drop the .s of the section name (BPF_F_SLEEPABLE), or attach elsewhere.'],
    follow: nothing,
    locate: () => undefined,
  },
  {
    id: 'attach-target',
    title: 'Attach target missing or unfit',
    pattern:
      /^(?:Tracing programs must provide btf_id|attach_btf_id (?<id>\d+)|attach to unsupported member (?<member>\w+))/,
    text: 'Tracing, LSM, extension and struct_ops programs name what they attach to by its BTF id when they are loaded.',
    what: says,
    mend: ['Name the target in the section ("fentry/tcp_connect"), and check that this kernel has it.'],
    follow: nothing,
    locate: () => undefined,
  },
  {
    id: 'attach-license',
    title: 'Program type for GPL programs only',
    pattern: /^(?<what>LSM programs|struct ops programs) must have a GPL compatible license/,
    text: 'LSM and struct_ops programs need a licence compatible with the GPL.',
    what: (f) => `The licence is "${f.request.license ?? ''}".`,
    mend: ['Declare `char LICENSE[] SEC("license") = "GPL";`, if that is what the code is under.'],
    follow: nothing,
    locate: () => undefined,
  },
  {
    id: 'func-info',
    title: 'Function information does not fit the program',
    pattern:
      /^(?:invalid type id \d+ in func info|nonzero insn_off \d+ for the first func info|same or smaller insn offset|number of funcs in func_info|func_info BTF section doesn't match|Invalid type of function)/,
    text: 'The BTF of the program lists its functions in order, each with the slot at which it begins; both have to agree with the calls.',
    what: says,
    mend: ['Link the functions with a loader that moves the records of .BTF.ext along with the code.'],
    follow: nothing,
    locate: () => undefined,
  },
];
