/**
 * The engine's contract with whoever hosts it (the simulated kernel, the command line, a test).
 * The engine knows memory, instructions and control flow; maps, helpers and contexts are the host's.
 */
import type { Endian, Insn } from '../isa/insn.js';

/** What a checked program may do with a region of BPF-visible memory. `none`: nothing, while helpers still may. */
export type Access = 'none' | 'read' | 'readwrite';

/** A piece of BPF-visible memory. The bytes are a live view: writing them is writing BPF memory. */
export interface Region {
  /** Virtual address as a program sees it (a kernel-like 64-bit address). */
  readonly address: bigint;
  /**
   * The same memory through the window that 32-bit context fields (`xdp_md.data`, `__sk_buff.data`)
   * can hold: the low half of `address`. It is also the offset in the engine's memory.
   */
  readonly address32: number;
  readonly size: number;
  /** View of the bytes. Fetch it anew after anything that may grow memory. */
  readonly bytes: Uint8Array;
}

/** Elements of one size in a row. Offsets are memory offsets, sizes bytes. */
export interface IndexedElements {
  readonly count: number;
  readonly stride: number;
  /** Offset of the first element. */
  readonly base: number;
  /** Offset of a 32-bit word that says which copy of all elements is meant, such as the current CPU's number. */
  readonly copyWord?: number;
  /** From one copy to the next. */
  readonly copyStride?: number;
}

/** A hash table whose keys are whole 32-bit words, hashed by the kernel's `jhash2`. Offsets are memory offsets, sizes bytes. */
export interface TableElements {
  /** Number of buckets less one; it is a power of two. */
  readonly mask: number;
  readonly keyWords: number;
  readonly seed: number;
  /** Offset of the buckets: a 32-bit word each, the number of its first element, 0 for none. */
  readonly buckets: number;
  /** Offset of the elements' nodes, by number: words for the next in the bucket, the hash, the offset of the key. */
  readonly nodes: number;
  /** From an element's key to its value. */
  readonly valueOffset: number;
  /** Offset of two words: which copy of the value is meant, and whether the helper is to be asked instead. */
  readonly state: number;
  /** From one copy of a value to the next; 0 where there is one. */
  readonly copyStride: number;
}

export type FaultKind =
  | 'bad-access' // outside the window, or memory that the program may not touch
  | 'bad-instruction' // ran off the end of a function
  | 'bad-call' // callx to something that is neither a helper nor a function
  | 'out-of-fuel'
  | 'stack-overflow' // more than 8 frames
  | 'helper-fault'; // a helper's argument is something the program may not use

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
  /** Byte order of the program's data accesses; only little-endian programs run. Default little. */
  readonly endian?: Endian;
  readonly resolveImm?: ImmResolver;
}

/** Value of a register as the host gives it: a bigint (taken modulo 2^64) or a safe integer. */
export type RegValue = bigint | number;

export interface StartOptions {
  /** r1 to r5. */
  readonly args?: readonly RegValue[];
  /** Instructions that the run may execute; default `DEFAULT_FUEL`. */
  readonly fuel?: number;
  /** What LD_ABS and LD_IND read: offset of the network header within it is for negative offsets. */
  readonly packet?: { readonly region: Region; readonly length?: number; readonly networkOffset?: number };
}

export interface RunResult {
  /** r0 at exit as an unsigned 64-bit number; what it held when the program was stopped. */
  readonly r0: bigint;
  /** Instructions executed; a `LD_IMM64` counts as one. */
  readonly instructions: number;
  /** Present when the program was stopped before its exit. */
  readonly fault?: Fault;
}

/** A loaded program, as far as others than the engine care. */
export interface LoadedProgram {
  readonly name: string;
  readonly checked: boolean;
  readonly exactFuel: boolean;
  /** False once unloaded. */
  readonly loaded: boolean;
  /** Memory offset of the first cell. */
  readonly start: number;
}

/** What a helper may do with the execution that called it. */
export interface Caller {
  readonly program: LoadedProgram;
  /** Instructions executed so far; exact inside helpers too. */
  readonly instructions: number;
  /** Register `n`, unsigned; also while another execution runs. */
  reg(n: number): bigint;
  setReg(n: number, value: RegValue): void;
  /**
   * Calls the function at `address` (as `BPF_PSEUDO_FUNC` gives it) with up to five arguments and runs it to
   * its return. Flow helpers that it calls may not wait. Returns its r0.
   */
  callFunction(address: bigint, args: readonly RegValue[]): bigint;
  /** The same for flow helpers: `yield*` it; it yields what `Execution.drive` does. */
  driveFunction(address: bigint, args: readonly RegValue[]): Generator<unknown, bigint, unknown>;
}
