/** Instructions as the log prints them. */
import { helperById } from '../abi/helpers.js';
import { BPF_PSEUDO_MAP_FD, BPF_PSEUDO_MAP_VALUE, LD_IMM64 } from '../isa/constants.js';
import { imm64 } from '../isa/decode.js';
import { disasmInsn } from '../isa/disasm.js';
import type { DisasmOptions } from '../isa/disasm-types.js';
import type { Insn } from '../isa/insn.js';
import type { Verifier } from './context.js';
import { kfuncOf } from './kfunc/desc.js';

const OPTIONS: DisasmOptions = {
  dialect: 'kernel',
  literal: true,
  helperName: (id) => {
    const helper = helperById(id);
    return helper === undefined ? undefined : `bpf_${helper.name}`;
  },
  immName: (insns: readonly Insn[], slot: number) => {
    const insn = insns[slot]!;
    if (insn.code !== LD_IMM64) return undefined;
    return `0x${imm64(insns, slot).toString(16)}`;
  },
};

/** Who may not see pointers is shown none (`print_bpf_insn`). */
const WITHOUT_POINTERS: DisasmOptions = {
  ...OPTIONS,
  immName: (insns, slot) => {
    const insn = insns[slot]!;
    const isMap = insn.src === BPF_PSEUDO_MAP_FD || insn.src === BPF_PSEUDO_MAP_VALUE;
    return insn.code === LD_IMM64 && isMap ? '0x0' : OPTIONS.immName?.(insns, slot);
  },
};

/** With the names of the kernel functions that the program calls. */
function optionsOf(v: Verifier): DisasmOptions {
  const options = v.perfmon ? OPTIONS : WITHOUT_POINTERS;
  if (v.kfuncs.size === 0) return options;
  return { ...options, kfuncName: (insn) => kfuncOf(v, insn)?.name };
}

/** `(bf) r1 = r2`, as `print_bpf_insn` writes it. */
export function insnText(v: Verifier, slot: number): string {
  return disasmInsn(v.insns, slot, optionsOf(v));
}
