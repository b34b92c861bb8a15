/**
 * The engine's contract with whoever hosts it (the simulated kernel, the command line, a test).
 * The engine knows memory, instructions and control flow; maps, helpers and contexts are the host's.
 */
import type { Insn } from '../isa/insn.js';

/** What a program may do with a region of BPF-visible memory. */
export type Access = 'read' | 'readwrite';

/** A piece of BPF-visible memory. The bytes are a live view: writing them is writing BPF memory. */
export interface Region {
  /** Virtual address as a program sees it (a kernel-like 64-bit address). */
  readonly address: bigint;
  /**
   * The same memory through the window that 32-bit context fields (`xdp_md.data`, `__sk_buff.data`)
   * can hold: the low half of `address`.
   */
  readonly address32: number;
  readonly size: number;
  /** View of the bytes. Fetch it anew after anything that may grow memory. */
  readonly bytes: Uint8Array;
}

export type FaultKind =
  | 'bad-access' // outside the window, or memory that the program may not touch
  | 'bad-instruction' // refused at translation: unknown opcode, reserved field, jump out of range
  | 'bad-call' // unknown helper, call depth, callback address
  | 'out-of-fuel'
  | 'stack-overflow'
  | 'helper-fault'; // a helper's argument is a pointer the program may not use

/** Why and where a program was stopped. */
export interface Fault {
  readonly kind: FaultKind;
  /** One line that names the register or address at fault. */
  readonly detail: string;
  /** Instruction index in slots. */
  readonly insn: number;
  readonly program: string;
  readonly address?: bigint;
  /** Bytes accessed, for `bad-access`. */
  readonly size?: number;
}

/**
 * How `LD_IMM64` pseudo sources are resolved at translation: the 64-bit value that the register gets.
 * `BPF_PSEUDO_FUNC` is the engine's own and never asks.
 */
export type ImmResolver = (source: number, imm: number, nextImm: number, insnIndex: number) => bigint;

export interface ProgramSource {
  readonly name: string;
  readonly insns: readonly Insn[];
  readonly resolveImm?: ImmResolver;
}
