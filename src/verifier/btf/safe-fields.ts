/**
 * Fields that Linux declares safe: walking them from a trusted pointer gives a trusted (or RCU-protected) one. The
 * lists are in the kernel's own types, as structures named `task_struct__safe_rcu` and the like
 * (`btf_nested_type_is_trusted` of Linux 6.18, kernel/bpf/btf.c; `BTF_TYPE_SAFE_*`, kernel/bpf/verifier.c).
 */

import type { Btf } from '../../object/btf/btf.js';
import { isComposite } from '../../object/btf/layout.js';
import type { BtfTypeId } from '../../object/btf/types.js';
import { findType } from './kernel-types.js';

export type SafeList = '__safe_rcu' | '__safe_rcu_or_null' | '__safe_trusted' | '__safe_trusted_or_null';

/** A type's name and a list's suffix fit this many characters, or the list is not asked. */
const MAX_NAME = 63;

/** Is `field`, a pointer to structure `pointee` in structure `owner`, on the list? Both name and type have to agree. */
export function isSafeField(
  btf: Btf,
  owner: BtfTypeId,
  field: string,
  pointee: BtfTypeId,
  list: SafeList,
): boolean {
  const type = btf.type(owner);
  const name = type.name + list;
  if (name.length > MAX_NAME) return false;
  const id = findType(btf, name, type.kind);
  const safe = id === undefined ? undefined : btf.type(id);
  if (safe === undefined || !isComposite(safe)) return false;
  return safe.members.some((member) => {
    const pointer = btf.type(member.type);
    return (
      member.name === field &&
      pointer.kind === 'ptr' &&
      btf.skipModifiersAndTypedefs(pointer.type) === pointee
    );
  });
}
