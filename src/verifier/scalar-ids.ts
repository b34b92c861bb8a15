/** Scalars that are copies of each other share an id, so that what a branch teaches of one holds for all. */
import type { Verifier } from './context.js';
import { ADD_CONST, type Reg, unlink } from './reg.js';
import { SCALAR_VALUE } from './reg-type.js';
import { isConst } from './scalar/index.js';

/** Before a copy is made (`assign_scalar_id_before_mov` of Linux 6.18). */
export function assignScalarId(v: Verifier, reg: Reg): void {
  if (reg.type !== SCALAR_VALUE) return;
  if ((reg.id & ADD_CONST) !== 0) unlink(reg);
  if (reg.id === 0 && !isConst(reg)) reg.id = v.newId();
}
