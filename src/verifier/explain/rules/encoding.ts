/** Instructions that are none: opcodes, fields that have to be zero, register numbers, wide instructions. */
import { checkReserved } from '../../../isa/check.js';
import { findOpcode } from '../../../isa/opcodes.js';
import type { Finding } from '../finding.js';
import type { Rule } from '../types.js';
import { nothing, says } from './common.js';

const GENERATED =
  'Compilers and assemblers do not make this: check the tool that wrote or changed the instruction, and the byte order.';

/** Fields that an instruction does not use are reserved. */
const reserved = (f: Finding): number | undefined =>
  f.slot ?? f.firstInsn((insn) => checkReserved(insn) === f.result.message);

export const ENCODING_RULES: readonly Rule[] = [
  {
    id: 'opcode',
    title: 'Unknown opcode',
    pattern:
      /^(?:unknown opcode (?<code>[0-9a-f]+)|BPF_ATOMIC uses invalid atomic opcode (?<atomic>[0-9a-f]+)|invalid BPF_LD mode|invalid atomic operand size)/,
    text: 'The opcode byte (with atomics, the immediate too) has to name an instruction that this kernel knows.',
    what: says,
    mend: [
      'Compile for a lower instruction set (-mcpu=v3, v2) if the kernel is older than the instruction.',
      GENERATED,
    ],
    follow: nothing,
    locate: (f) => f.slot ?? f.firstInsn((insn) => findOpcode(insn) === undefined),
  },
  {
    id: 'reserved-fields',
    title: 'Reserved field that is not zero',
    pattern: /^(?<what>BPF_\S+|addr_space_cast insn) (?:uses reserved fields|can only convert)/,
    text: 'Fields that an instruction does not use are reserved for later and have to be zero.',
    what: (f) => {
      const slot = reserved(f);
      const insn = slot === undefined ? undefined : f.request.insns[slot];
      return insn === undefined
        ? says(f)
        : `${f.text('what')} with dst ${insn.dst}, src ${insn.src}, off ${insn.off}, imm ${insn.imm} sets a field that it does not use.`;
    },
    mend: ['Set the field to zero.', GENERATED],
    follow: nothing,
    locate: reserved,
  },
  {
    id: 'register-number',
    title: 'Register that does not exist',
    pattern: /^R(?<number>\d+) is invalid/,
    text: 'There are eleven registers, r0 to r10.',
    what: (f) => `The instruction names register ${f.text('number')}.`,
    mend: [GENERATED],
    follow: nothing,
    locate: (f) =>
      f.slot ?? f.firstInsn((insn) => insn.dst === f.number('number') || insn.src === f.number('number')),
  },
  {
    id: 'ld-imm64',
    title: 'Malformed wide instruction',
    pattern: /^(?:invalid bpf_ld_imm64 insn|unrecognized bpf_ld_imm64 insn|invalid BPF_LD_IMM insn)/,
    text: 'LD_IMM64 takes two slots, the second all zero but for its immediate, and a source that says what is loaded: a number, a map, an address in a map value, a function.',
    what: () => 'The second slot is missing or not as it should be, or the source is unknown.',
    mend: ['Write both slots together.', GENERATED],
    follow: nothing,
    locate: (f) => f.slot ?? f.firstInsn((insn, slot) => insn.code === 0x18 && malformed(f, slot)),
  },
  {
    id: 'may-goto',
    title: 'Malformed may_goto',
    pattern: /^invalid may_goto imm/,
    text: 'may_goto leaves its other fields zero.',
    what: says,
    mend: ['Use cond_break or the macros of bpf_experimental.h.'],
    follow: nothing,
  },
  {
    id: 'ld-abs-type',
    title: 'Packet load in a program without a packet',
    pattern:
      /^(?:BPF_LD_\[ABS\|IND\] instructions not allowed for this program type|at the time of BPF_LD_ABS\|IND R6 != pointer to skb)/,
    text: 'LD_ABS and LD_IND, from classic BPF, read the packet of the sk_buff in r6; only socket-filter and traffic-control programs have one.',
    what: (f) => (f.result.message.startsWith('at') ? `${f.is(6)}.` : 'This program type has none.'),
    mend: ['Copy the context to r6 first.', 'Use direct packet access, or bpf_skb_load_bytes.'],
    follow: () => [{ kind: 'reg', regno: 6 }],
  },
];

function malformed(f: Finding, slot: number): boolean {
  const next = f.request.insns[slot + 1];
  const insn = f.request.insns[slot]!;
  return (
    next === undefined ||
    next.code !== 0 ||
    next.dst !== 0 ||
    next.src !== 0 ||
    next.off !== 0 ||
    insn.src > 6
  );
}
