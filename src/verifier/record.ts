/** The special fields of what a register points to (`reg_btf_record` of Linux 6.18, kernel/bpf/verifier.c). */
import type { Reg } from './reg.js';
import { baseType, isAllocatedObject, PTR_TO_MAP_VALUE } from './reg-type.js';
import { FIELD, type SpecialField, specialFieldsOf } from './special-fields.js';

const NONE: readonly SpecialField[] = [];

/** Of a map's value, or of an object that the program allocated; none for anything else. */
export function recordOf(reg: Readonly<Reg>): readonly SpecialField[] {
  if (baseType(reg.type) === PTR_TO_MAP_VALUE) return reg.map?.fields ?? NONE;
  if (!isAllocatedObject(reg.type) || reg.btf === null) return NONE;
  return specialFieldsOf(reg.btf, reg.btfId);
}

export function fieldAt(
  record: readonly SpecialField[],
  offset: number,
  kind: number,
): SpecialField | undefined {
  return record.find((field) => field.offset === offset && field.kind === kind);
}

/** A lock lies in the same allocation, so that the register has to keep its id (`reg_may_point_to_spin_lock`). */
export function mayPointToSpinLock(reg: Readonly<Reg>): boolean {
  return recordOf(reg).some(({ kind }) => (kind & (FIELD.SPIN_LOCK | FIELD.RES_SPIN_LOCK)) !== 0);
}
