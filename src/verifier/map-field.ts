/** Pointers to special fields of map values: timers, work queues, task work (`check_map_field_pointer`, Linux 6.18). */
import type { Verifier } from './context.js';
import type { Reg } from './reg.js';
import { constNumber, isConst } from './scalar/index.js';
import { fieldText } from './special-fields.js';

/** Register `regno` points exactly to the map value's field of this kind. */
export function checkFieldPointer(v: Verifier, reg: Reg, regno: number, kind: number): void {
  const name = fieldText(kind);
  if (!isConst(reg)) {
    v.invalid(`R${regno} doesn't have constant offset. ${name} has to be at the constant offset`);
  }
  const map = reg.map!;
  if (map.btf === undefined) v.invalid(`map '${map.name}' has to have BTF in order to use ${name}`);
  if (!map.has(kind)) v.invalid(`map '${map.name}' has no valid ${name}`);
  const at = constNumber(reg) + reg.off;
  const offset = map.offsetOf(kind);
  if (offset !== at) v.invalid(`off ${at} doesn't point to 'struct ${name}' that is at ${offset}`);
}
