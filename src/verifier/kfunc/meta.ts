/** What the arguments of one call have shown so far (`struct bpf_kfunc_call_arg_meta` of Linux 6.18). */
import type { Btf } from '../../object/btf/btf.js';
import type { BtfTypeId } from '../../object/btf/types.js';
import type { IterPlace } from '../iter/args.js';
import type { MapView } from '../map-view.js';
import type { SpecialField } from '../special-fields.js';
import type { Kfunc } from './types.js';

export class KfuncMeta {
  readonly kfunc: Kfunc;
  refObjId = 0;
  releaseRegno = 0;
  /** Value of the argument that has to be a constant. */
  constant: bigint | undefined;
  /** Bytes of the buffer that the function returns. */
  returnSize = 0n;
  returnReadOnly = false;
  subprog = -1;
  map: MapView | null = null;
  mapUid = 0;
  iter: IterPlace | undefined;
  /** The dynptr that was there before: its id, kind, reference. */
  dynptrId = 0;
  dynptrType = 0;
  dynptrRef = 0;
  /** The allocated object's type. */
  argBtf: Btf | null = null;
  argBtfId: BtfTypeId = 0;
  /** The object is the program's own, and not only lent. */
  owningRef = false;
  /** Head of the list, or root of the tree. */
  root: SpecialField | undefined;

  constructor(kfunc: Kfunc) {
    this.kfunc = kfunc;
  }

  has(flag: number): boolean {
    return (this.kfunc.flags & flag) !== 0;
  }
}
