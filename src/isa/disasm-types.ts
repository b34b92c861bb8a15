/**
 * Options and results of the disassembler, and what its two printers are handed.
 */
import type { Insn } from './insn.js';

export type Dialect = 'llvm' | 'kernel';

export interface DisasmOptions {
  /** Default `llvm`. */
  readonly dialect?: Dialect;
  /** Print exactly what the tool prints, even where assembling that gives other bytes. Default false. */
  readonly literal?: boolean;
  /** LLVM dialect: `w` registers in 32-bit loads and stores, as from `-mcpu=v3` on. Default false. */
  readonly alu32?: boolean;
  /** Name of a helper, with `bpf_` in front; unknown ones print as `unknown`. Kernel dialect only. */
  readonly helperName?: (id: number) => string | undefined;
  /** Name of a kernel function by `call` instruction. Kernel dialect only. */
  readonly kfuncName?: (insn: Insn) => string | undefined;
  /** Text for a `LD_IMM64` in place of its number (the kernel's `cb_imm`), such as a map's name. */
  readonly immName?: (insns: readonly Insn[], slot: number) => string | undefined;
  /** Name of a slot; appended to jumps as ` <name>` in the LLVM dialect. */
  readonly targetName?: (slot: number) => string | undefined;
}

export interface DisasmLine {
  /** Slot at which the instruction begins. */
  readonly slot: number;
  readonly slots: 1 | 2;
  readonly text: string;
}

/** What the dialects' printers work on. */
export interface PrintContext {
  readonly insns: readonly Insn[];
  readonly slot: number;
  readonly insn: Insn;
  /** Second slot of a `LD_IMM64`; undefined when it is missing. */
  readonly next: Insn | undefined;
  readonly options: DisasmOptions;
}
