/**
 * What is known of instruction slots, whatever the path: flags, live registers, loops and pointer types in arrays, for a
 * program may have a million slots; the rest for the few instructions that have it. Models `struct bpf_insn_aux_data` of
 * Linux 6.18.
 */
import type { KernelSymbol } from './btf/attach-info.js';
import type { MapView } from './map-view.js';
import { NOT_INIT } from './reg-type.js';

/** Flags, a bit each. */
export const PRUNE_POINT = 1 << 0;
export const JMP_POINT = 1 << 1;
export const FORCE_CHECKPOINT = 1 << 2;
export const CALLS_CALLBACK = 1 << 3;
export const FASTCALL_PATTERN = 1 << 4;
/** Some path came by. */
export const SEEN = 1 << 5;
export const RESERVED_CHECKED = 1 << 6;
/** Call of an iterator's `_next`. */
export const ITER_NEXT = 1 << 7;
/** A barrier stands in front: no wrong turn of the processor gets here. */
export const NOSPEC = 1 << 8;
/** One stands behind: none gets past. */
export const NOSPEC_RESULT = 1 << 9;

/** Facts of calls and of `LD_IMM64`. */
class InsnAux {
  mapIndex = -1;
  mapOff = 0;
  /** Map that `bpf_for_each_map_elem` was last called with. */
  callMap: MapView | null = null;
  /** For `LD_IMM64` of a kernel symbol. */
  symbol: KernelSymbol | null = null;
  /** Pairs of spills and fills around a call that could be left out. */
  fastcallSpills = 0;
  /** `bpf_loop` could be inlined: always the same callback, and no flags. */
  loopInline: 'unknown' | 'yes' | 'no' = 'unknown';
  loopSubprog = -1;
  /** How an addition or subtraction is masked against wrong turns, 0 where it is not, and how far it may go then. */
  aluState = 0;
  aluLimit = 0;
}

export class InsnFacts {
  readonly flags: Uint16Array;
  /** Registers that may be read before they are written, from here on, a bit each. */
  readonly liveRegs: Uint16Array;
  /** Strongly connected component; 0 where there is no loop. */
  readonly scc: Int32Array;
  /** Type of pointer that the instruction loads or stores through. */
  readonly ptrType: Int32Array;
  readonly #others = new Map<number, InsnAux>();

  constructor(count: number) {
    this.flags = new Uint16Array(count);
    this.liveRegs = new Uint16Array(count);
    this.scc = new Int32Array(count);
    this.ptrType = new Int32Array(count).fill(NOT_INIT);
  }

  has(insn: number, flag: number): boolean {
    return (this.flags[insn]! & flag) !== 0;
  }

  set(insn: number, flag: number): void {
    this.flags[insn]! |= flag;
  }

  /** A byte a slot: 1 where some path came by. */
  reached(): Uint8Array {
    const { flags } = this;
    const reached = new Uint8Array(flags.length);
    for (let i = 0; i < flags.length; i++) reached[i] = (flags[i]! & SEEN) === 0 ? 0 : 1;
    return reached;
  }

  /** What else is known of an instruction, to read and to write. */
  of(insn: number): InsnAux {
    let aux = this.#others.get(insn);
    if (aux === undefined) {
      aux = new InsnAux();
      this.#others.set(insn, aux);
    }
    return aux;
  }

  /** The same, undefined where nobody asked for it. */
  known(insn: number): InsnAux | undefined {
    return this.#others.get(insn);
  }

  /** Instructions that `of` was asked for, and what is known of them. */
  get others(): IterableIterator<[insn: number, aux: InsnAux]> {
    return this.#others.entries();
  }
}
