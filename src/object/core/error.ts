/**
 * What can go wrong while a CO-RE relocation is resolved or applied. A target that is merely absent is
 * no error: the instruction is poisoned, and only fails if it is ever reached.
 */
import { BpflabError } from '../../errors.js';

export type CoreErrorCode =
  /** The access string, or what it says about the local type, makes no sense. */
  | 'CORE_BAD_SPEC'
  /** The root type has no name to search the target for. */
  | 'CORE_ANONYMOUS'
  /** Candidates in the target disagree. */
  | 'CORE_AMBIGUOUS'
  /** The question cannot be asked of this field, e.g. its sign of an array element. */
  | 'CORE_UNSUPPORTED'
  /** Types nest too deep or are too many to compare; cyclic BTF ends here. */
  | 'CORE_TOO_COMPLEX'
  /** The instruction does not hold what the relocation says it holds. */
  | 'CORE_UNEXPECTED_INSN'
  /** The new value does not fit the instruction. */
  | 'CORE_RANGE'
  /** The local or the target BTF is broken where the relocation needs it. */
  | 'CORE_BAD_BTF';

export class CoreError extends BpflabError {
  declare readonly code: CoreErrorCode;
}
