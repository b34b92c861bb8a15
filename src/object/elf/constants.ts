/** ELF numbers that BPF objects use (System V gABI; machine and relocation numbers from LLVM's BPF back end). */

export const EHDR_SIZE = 64;
export const SHDR_SIZE = 64;
export const SYM_SIZE = 24;
export const REL_SIZE = 16;

export const ELFCLASS64 = 2;
export const ELFDATA2LSB = 1;
export const ELFDATA2MSB = 2;
export const ET_REL = 1;
export const EM_NONE = 0;
export const EM_BPF = 247;

export const SHN_UNDEF = 0;
/** Section indices from here on are reserved (absolute, common, extended numbering). */
export const SHN_LORESERVE = 0xff00;
export const SHN_COMMON = 0xfff2;
export const SHN_XINDEX = 0xffff;

export const SHT_NULL = 0;
export const SHT_PROGBITS = 1;
export const SHT_SYMTAB = 2;
export const SHT_STRTAB = 3;
export const SHT_RELA = 4;
export const SHT_NOBITS = 8;
export const SHT_REL = 9;

export const SHF_ALLOC = 0x2;
export const SHF_EXECINSTR = 0x4;
export const SHF_COMPRESSED = 0x800;

export const STB_LOCAL = 0;
export const STB_GLOBAL = 1;
export const STB_WEAK = 2;

export const STT_NOTYPE = 0;
export const STT_OBJECT = 1;
export const STT_FUNC = 2;
export const STT_SECTION = 3;

export const STV_INTERNAL = 1;
export const STV_HIDDEN = 2;

/** Relocation types of BPF: number → name. `ABS64`, `ABS32` and `NODYLD32` patch data, the others code. */
export const R_BPF = {
  R_BPF_NONE: 0,
  R_BPF_64_64: 1,
  R_BPF_64_ABS64: 2,
  R_BPF_64_ABS32: 3,
  R_BPF_64_NODYLD32: 4,
  R_BPF_64_32: 10,
} as const;

/** Whether a relocation fills an 8-byte pointer in data: `ABS64`, or what LLVM before 13 wrote for it. */
export function isPointerReloc(type: number): boolean {
  return type === R_BPF.R_BPF_64_ABS64 || type === R_BPF.R_BPF_64_64;
}

const relocNames: ReadonlyMap<number, string> = new Map(
  Object.entries(R_BPF).map(([name, value]) => [value, name]),
);

/** `R_BPF_64_64` and the like, or `R_BPF_N` for a number that LLVM does not emit. */
export function relocTypeName(type: number): string {
  return relocNames.get(type) ?? `R_BPF_${type}`;
}
