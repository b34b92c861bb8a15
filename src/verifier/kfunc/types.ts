/** What is known of a kernel function that a program calls. */
import type { Btf } from '../../object/btf/btf.js';
import type { BtfType, BtfTypeId } from '../../object/btf/types.js';

export interface Kfunc {
  readonly id: BtfTypeId;
  readonly name: string;
  /** The kernel's. */
  readonly btf: Btf;
  readonly params: readonly KfuncParam[];
  /** Type of the result, without qualifiers and typedefs. */
  readonly ret: BtfType;
  /** What a pointer result points to, without qualifiers and typedefs; 0 for anything else. */
  readonly retPointee: BtfTypeId;
  /** `KF` bits; 0 for what may not be called. */
  readonly flags: number;
  readonly allowed: boolean;
}

export interface KfuncParam {
  readonly name: string;
  /** Without qualifiers and typedefs. */
  readonly type: BtfType;
  /** What a pointer points to, without qualifiers and typedefs; 0 for anything else. */
  readonly pointee: BtfTypeId;
}
