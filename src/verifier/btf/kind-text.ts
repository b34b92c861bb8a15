/** What Linux 6.18 calls the kinds of BTF in its log (`btf_kind_str`, kernel/bpf/btf.c). */
import type { BtfKind } from '../../object/btf/types.js';

/** `STRUCT`, `FUNC_PROTO`, …; `void` is `UNKNOWN`. */
export function kindText(kind: BtfKind): string {
  return kind === 'void' ? 'UNKNOWN' : kind.toUpperCase();
}
