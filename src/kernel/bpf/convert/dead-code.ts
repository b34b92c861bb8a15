/**
 * Instructions that no path of a verified program reaches. Linux takes them out, whatever they are, so that they may be
 * malformed, call what is not there, or jump anywhere; here they become ends of the program. Models
 * `opt_remove_dead_code` of kernel/bpf/verifier.c, Linux 6.18.
 */
import { BPF_EXIT, BPF_JMP, LD_IMM64 } from '../../../isa/constants.js';
import type { Insn } from '../../../isa/insn.js';

const END: Insn = { code: BPF_JMP | BPF_EXIT, dst: 0, src: 0, off: 0, imm: 0 };

/** `reached`: a byte a slot, 1 where some path came by. */
export function neutraliseDeadCode(insns: readonly Insn[], reached: Uint8Array): Insn[] {
  return insns.map((insn, slot) => {
    const second = slot > 0 && insns[slot - 1]!.code === LD_IMM64 && reached[slot - 1] === 1;
    return reached[slot] === 1 || second ? insn : END;
  });
}
