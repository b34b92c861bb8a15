/**
 * The error family of BTF: everything that parsing, validating, querying or dumping types, `.BTF.ext`
 * records or a target BTF can refuse. Messages name the type id or the record at fault.
 */
import { BpflabError } from '../../errors.js';

export type BtfErrorCode =
  /** Not BTF at all: too short, or no magic number. */
  | 'BTF_MAGIC'
  /** Header, version, flags or section bounds are wrong. */
  | 'BTF_HEADER'
  /** A record runs past the end of its section. */
  | 'BTF_TRUNCATED'
  /** A kind this library does not know. */
  | 'BTF_KIND'
  /** A string offset that lies outside the string section, or a section that is not terminated. */
  | 'BTF_STRING'
  /** A type id that does not exist. */
  | 'BTF_ID'
  /** A type that contains itself, or a chain of modifiers that is longer than `MAX_RESOLVE_DEPTH`. */
  | 'BTF_LOOP'
  /** A type breaks a rule of the kernel's BTF checks. */
  | 'BTF_INVALID'
  /** A size was asked of a type that has none, or it is past 4 GiB. */
  | 'BTF_NO_SIZE'
  /** Written out, the types would be absurdly long. */
  | 'BTF_TOO_LARGE'
  /** `.BTF.ext` is malformed. */
  | 'BTF_EXT'
  /** A type cannot be encoded, e.g. a value that its field does not hold. */
  | 'BTF_ENCODE'
  /** No BTF was found where one was asked for. */
  | 'BTF_NOT_FOUND'
  /** A type name that the BTF does not hold. */
  | 'BTF_NO_TYPE';

export class BtfError extends BpflabError {
  declare readonly code: BtfErrorCode;
}
