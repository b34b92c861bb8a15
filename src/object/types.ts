/**
 * What an object file holds once it has been read, and once it has been relocated: the contract
 * between the loader (this floor) and everything that consumes programs. Terms are libbpf's.
 */
import type { AttachType } from '../abi/attach-types.js';
import type { MapType } from '../abi/map-types.js';
import type { ProgType } from '../abi/prog-types.js';
import type { BpflabError } from '../errors.js';
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

/** One `SHT_REL` section: relocations that patch section `target`. */
export interface RelocSection {
  readonly index: number;
  readonly name: string;
  readonly target: number;
  readonly relocs: readonly Reloc[];
}

/**
 * Where a map came from: a `.maps` or legacy `maps` definition, the contents of a data section, `.kconfig`,
 * or a `struct_ops` variable.
 */
export type MapOrigin = 'btf' | 'legacy' | 'data' | 'rodata' | 'bss' | 'kconfig' | 'struct_ops';

/** A member of a struct_ops map that holds a program. */
export interface StructOpsFunc {
  readonly member: string;
  /** Bytes from the start of the value as the object lays it out. */
  readonly offset: number;
  readonly program: string;
}

/** What a `.struct_ops` variable says, in the object's own layout of the kernel's type. */
export interface StructOps {
  /** Kernel type that is implemented, e.g. `tcp_congestion_ops`. */
  readonly typeName: string;
  /** Its id in the object's BTF. */
  readonly typeId: number;
  readonly funcs: readonly StructOpsFunc[];
  /** Contents of the variable; function pointers are zero. */
  readonly data: Uint8Array;
  /** Id of `bpf_struct_ops_<typeName>` in the target BTF, once resolved; `valueSize` is then its size. */
  readonly kernelValueTypeId?: number;
}

/** A map as the object defines it, before any is created. Sizes in bytes. */
export interface MapDef {
  /** As libbpf shows it; the kernel's is cut to 15 characters (`kernelName`). */
  readonly name: string;
  readonly kernelName?: string;
  /** Section it was defined in: `.maps`, `maps`, `.rodata`, `.bss`, … */
  readonly section: string;
  readonly origin?: MapOrigin;
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
  /**
   * Contents of a global-data map (one element of `valueSize` bytes), after `.kconfig` is filled in; of an arena
   * its global variables, which lie at its start (as on Linux 6.18; later kernels let libbpf put them at its end).
   */
  readonly initialData?: Uint8Array;
  /** Global data that programs may only read: frozen before they are loaded. */
  readonly frozen: boolean;
  readonly structOps?: StructOps;
  /** False for a `?.struct_ops` variable: created only when asked for. */
  readonly autocreate?: boolean;
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

/** A function symbol: an entry program or a subprogram. */
export interface FuncDef {
  readonly name: string;
  readonly sectionIndex: number;
  /** Name of its section, `?` included. */
  readonly section: string;
  /** Slots from the start of the section, and slots. */
  readonly insnOff: number;
  readonly insnCount: number;
  /** Global or weak binding. */
  readonly global: boolean;
  /** Hidden or internal visibility: verified like a static function. */
  readonly hidden: boolean;
  /** Loaded on its own, as opposed to appended to what calls it. */
  readonly entry: boolean;
}

/** An entry program as the object shows it before anything is relocated. */
export interface ProgramDef {
  readonly name: string;
  /** Section name as written in the object, e.g. `?kprobe/do_nanosleep`. */
  readonly section: string;
  readonly type: ProgType;
  readonly expectedAttachType: AttachType;
  readonly attachTarget?: string;
  /** The attach target is found by BTF id in the kernel (or in another program). */
  readonly attachBtf: boolean;
  readonly progFlags: number;
  readonly autoload: boolean;
  /** Whose section-name convention gave the type; `none`: the type is `unspec`. */
  readonly convention: 'libbpf' | 'legacy' | 'none';
  readonly func: FuncDef;
}

/** What a `.kconfig` variable can hold. */
export type KconfigKind = 'bool' | 'tristate' | 'char' | 'int' | 'string';

/** A symbol that the object leaves for the loader to find. */
export interface Extern {
  readonly name: string;
  readonly symIndex: number;
  readonly weak: boolean;
  /** `kfunc` and `ksym` come from `.ksyms`; `unknown` is an undefined symbol that no BTF describes. */
  readonly kind: 'kconfig' | 'kfunc' | 'ksym' | 'unknown';
  /** Id of the `var` or `func` in the object's BTF, 0 for `unknown`. */
  readonly btfId: number;
  /** For a ksym: the type's id past typedefs and qualifiers, 0 for `void` (resolved by address, not by BTF). */
  readonly typeId: number;
  readonly kconfig?: {
    readonly kind: KconfigKind;
    readonly size: number;
    readonly signed: boolean;
    /** Bytes from the start of the `.kconfig` map. */
    readonly offset: number;
  };
}

/** A map with the place that relocations refer to. */
export interface ObjectMap {
  readonly def: MapDef;
  /** Section and byte offset of its definition; for `.kconfig` the section is -1. */
  readonly sectionIndex: number;
  readonly sectionOffset: number;
}

/** An object as read: everything that needs no target. */
export interface BpfObject {
  readonly file: string;
  /** The file's name as libbpf uses it in map names. */
  readonly name: string;
  readonly endian: Endian;
  readonly sections: readonly Section[];
  readonly symbols: readonly Sym[];
  readonly relocs: readonly RelocSection[];
  readonly license: string;
  readonly kernVersion: number;
  /** In section and offset order. */
  readonly funcs: readonly FuncDef[];
  readonly programs: readonly ProgramDef[];
  readonly maps: readonly ObjectMap[];
  readonly externs: readonly Extern[];
  /** With data sections laid out as the symbol table says, where the compiler left that open. */
  readonly btf?: Btf;
  readonly btfExt?: BtfExt;
  /**
   * What will keep (parts of) the object from being loaded: bad map definitions, externs without types, …
   * `relocateObject` raises the first of them; reading and showing the object works regardless.
   */
  readonly problems: readonly BpflabError[];
  /** What is left out without harm to the rest, as libbpf leaves it out; one line each. */
  readonly notes: readonly string[];
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
  /** Id of the attach target in the target BTF, where the type needs one and it was found. */
  readonly attachBtfId?: number;
  readonly insns: readonly Insn[];
  readonly subProgs: readonly SubProg[];
  readonly funcInfo: readonly FuncInfo[];
  readonly lineInfo: readonly LineInfo[];
}

/** A program that could not be relocated, and why. */
export interface FailedProgram {
  readonly name: string;
  readonly section: string;
  readonly error: BpflabError;
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
  /** Programs left out because of an error; only with `keepGoing`, empty or absent otherwise. */
  readonly failed?: readonly FailedProgram[];
  readonly btf?: Btf;
  readonly btfExt?: BtfExt;
}
