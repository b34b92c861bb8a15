/**
 * What an object file holds once it has been read, and once it has been relocated: the contract
 * between the loader (this floor) and everything that consumes programs. Terms are libbpf's.
 */
import type { AttachType } from '../abi/attach-types.js';
import type { MapType } from '../abi/map-types.js';
import type { ProgType } from '../abi/prog-types.js';
import type { Endian, Insn } from '../isa/insn.js';
import type { Btf } from './btf/btf.js';
import type { BtfExt } from './btf/btf-ext.js';

/** A section as the ELF header names it. `data` is empty for `SHT_NOBITS`. */
export interface Section {
  readonly index: number;
  readonly name: string;
  /** `sh_type` and `sh_flags` as encoded. */
  readonly type: number;
  readonly flags: number;
  readonly size: number;
  readonly link: number;
  readonly info: number;
  readonly data: Uint8Array;
}

export interface Sym {
  readonly index: number;
  readonly name: string;
  /** Value in bytes from the start of its section. */
  readonly value: number;
  readonly size: number;
  /** `STT_*`, `STB_*`, `STV_*`. */
  readonly type: number;
  readonly binding: number;
  readonly visibility: number;
  /** `st_shndx`: section index, or `SHN_UNDEF` / `SHN_ABS` / `SHN_COMMON`. */
  readonly sectionIndex: number;
}

/** One `SHT_REL` entry. `offset` is in bytes in the section that it patches. */
export interface Reloc {
  readonly offset: number;
  /** `R_BPF_*` number. */
  readonly type: number;
  readonly symIndex: number;
}

/** A map as the object defines it, before any is created. Sizes in bytes. */
export interface MapDef {
  readonly name: string;
  /** Section it was defined in: `.maps`, `maps`, `.rodata`, `.bss`, … */
  readonly section: string;
  readonly type: MapType;
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
  readonly mapFlags: number;
  readonly mapExtra: bigint;
  readonly numaNode: number;
  readonly btfKeyTypeId: number;
  readonly btfValueTypeId: number;
  /** `none` or `byName` (LIBBPF_PIN_BY_NAME). */
  readonly pinning: 'none' | 'byName';
  /** Template of the inner map of a map-in-map. */
  readonly inner?: MapDef;
  /** Initial slots of a map-in-map or prog array: key → name of a map or program. */
  readonly initialSlots?: readonly { readonly index: number; readonly target: string }[];
  /** Contents of a global-data map (one element of `valueSize` bytes), after `.kconfig` is filled in. */
  readonly initialData?: Uint8Array;
  /** Global data that programs may only read: frozen before they are loaded. */
  readonly frozen: boolean;
}

export interface FuncInfo {
  /** In slots from the start of the program. */
  readonly insnOff: number;
  readonly typeId: number;
}

export interface LineInfo {
  /** In slots from the start of the program. */
  readonly insnOff: number;
  readonly file: string;
  /** The source line's text, where the object carries it. */
  readonly text: string;
  readonly line: number;
  readonly column: number;
}

/** A function inside a program's instruction stream; the first is the entry. */
export interface SubProg {
  readonly name: string;
  readonly insnOff: number;
}

/**
 * A program as it would be handed to `BPF_PROG_LOAD`: its entry function followed by every subprogram
 * it reaches, calls pc-relative; in `LD_IMM64` with source `BPF_PSEUDO_MAP_FD` or `BPF_PSEUDO_MAP_VALUE`
 * the first immediate is an index into `LoadableObject.maps` (where libbpf puts a file descriptor).
 */
export interface LoadableProgram {
  readonly name: string;
  /** Section name as written in the object, e.g. `?kprobe/do_nanosleep`. */
  readonly section: string;
  readonly type: ProgType;
  readonly expectedAttachType: AttachType;
  /** What follows the slash: a function, `category/event`, an interface; absent where the section names none. */
  readonly attachTarget?: string;
  /** `BPF_F_*` program flags that the section name implies (sleepable, xdp frags). */
  readonly progFlags: number;
  /** False for `?` sections: loaded only when asked for by name. */
  readonly autoload: boolean;
  readonly insns: readonly Insn[];
  readonly subProgs: readonly SubProg[];
  readonly funcInfo: readonly FuncInfo[];
  readonly lineInfo: readonly LineInfo[];
}

/** A whole object, ready to be loaded. */
export interface LoadableObject {
  readonly file: string;
  readonly endian: Endian;
  readonly license: string;
  /** `version` section, 0 where there is none. */
  readonly kernVersion: number;
  readonly maps: readonly MapDef[];
  readonly programs: readonly LoadableProgram[];
  readonly btf?: Btf;
  readonly btfExt?: BtfExt;
}
