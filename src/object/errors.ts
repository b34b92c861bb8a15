/**
 * What can be wrong with an object file. One class; the `code` says which rule was broken, the place
 * which file, section, symbol or instruction broke it. Everything that the loader (this folder without
 * `btf/` and `core/`, which have their own codes) refuses, it refuses with one of these.
 */
import { BpflabError, type ErrorPlace } from '../errors.js';

export type ObjectErrorCode =
  // the container
  | 'OBJECT_NOT_ELF'
  | 'OBJECT_TRUNCATED'
  | 'OBJECT_UNSUPPORTED_ELF' // 32 bits, not relocatable, another machine, unknown byte order
  | 'OBJECT_BAD_SECTION_TABLE'
  | 'OBJECT_BAD_SECTION'
  | 'OBJECT_OVERLAPPING_SECTIONS'
  | 'OBJECT_BAD_STRING_TABLE'
  | 'OBJECT_NO_SYMBOL_TABLE'
  | 'OBJECT_MULTIPLE_SYMBOL_TABLES'
  | 'OBJECT_BAD_SYMBOL'
  | 'OBJECT_BAD_RELOCATION'
  | 'OBJECT_UNSUPPORTED_RELOCATION' // SHT_RELA, unknown R_BPF type
  | 'OBJECT_COMPRESSED_SECTION'
  | 'OBJECT_TOO_LARGE'
  // what it holds
  | 'OBJECT_BAD_LICENSE'
  | 'OBJECT_BAD_VERSION'
  | 'OBJECT_BAD_PROGRAM'
  | 'OBJECT_OVERLAPPING_FUNCTIONS'
  | 'OBJECT_DUPLICATE_PROGRAM'
  | 'OBJECT_NO_PROGRAM_TYPE'
  | 'OBJECT_BAD_MAP'
  | 'OBJECT_DUPLICATE_MAP'
  | 'OBJECT_UNSUPPORTED_MAP'
  | 'OBJECT_BTF_REQUIRED'
  | 'OBJECT_BAD_BTF'
  | 'OBJECT_BAD_STRUCT_OPS'
  // linking
  | 'OBJECT_BAD_CALL'
  | 'OBJECT_BAD_REFERENCE'
  | 'OBJECT_BAD_EXTERN'
  | 'OBJECT_UNRESOLVED_EXTERN'
  | 'OBJECT_BAD_KCONFIG'
  | 'OBJECT_NO_TARGET_BTF'
  | 'OBJECT_NO_SUCH_PROGRAM'
  | 'OBJECT_INTERNAL'; // an unexpected failure of a parser underneath, wrapped

/** Raised (or recorded in `BpfObject.problems`) for an object that cannot be loaded as it is. */
export class ObjectError extends BpflabError {
  declare readonly code: ObjectErrorCode;

  constructor(code: ObjectErrorCode, detail: string, place: ErrorPlace = {}) {
    super(code, detail, place);
  }
}
