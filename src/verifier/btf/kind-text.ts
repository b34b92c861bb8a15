/** What Linux 6.18 calls kinds and names of BTF in its log (`btf_kind_str`, `__btf_name_by_offset`, kernel/bpf/btf.c). */
import type { BtfKind } from '../../object/btf/types.js';

/** `STRUCT`, `FUNC_PROTO`, …; `void` is `UNKNOWN`. */
export function kindText(kind: BtfKind): string {
  return kind === 'void' ? 'UNKNOWN' : kind.toUpperCase();
}

/** A type's or member's name, or that it has none. */
export function nameText(name: string): string {
  return name === '' ? '(anon)' : name;
}
