/**
 * Bounds of memory that a pointer leads to: packet, map value, fixed regions, buffers. Fixed offset, variable
 * range and size against what is there, in Linux 6.18's words (`check_mem_region_access` and its callers,
 * kernel/bpf/verifier.c).
 */

import type { Verifier } from './context.js';
import { ERRNO } from './errno.js';
import type { Reg } from './reg.js';
import { MAX_VAR_OFF } from './reg.js';
import {
  MEM_RDONLY,
  PTR_TO_MAP_KEY,
  PTR_TO_MAP_VALUE,
  PTR_TO_PACKET,
  PTR_TO_PACKET_END,
  PTR_TO_PACKET_META,
  regTypeText,
} from './reg-type.js';
import { constNumber, isConst, isInt32, sminNumber, tnumText, umaxNumber } from './scalar/index.js';
import { FIELD, fieldText, KPTR_KINDS } from './special-fields.js';

const S64_MIN = -(2 ** 63);
const FLOW_KEYS_SIZE = 56;

/** Says why not, and false, where `size` bytes at `off` do not lie in `memSize` bytes. */
function inMemory(
  v: Verifier,
  regno: number,
  off: number,
  size: number,
  memSize: number,
  zeroAllowed: boolean,
): boolean {
  if (off >= 0 && (size > 0 || (size === 0 && zeroAllowed)) && off + size <= memSize) return true;
  const reg = v.reg(regno);
  const at = off | 0;
  switch (reg.type) {
    case PTR_TO_MAP_KEY:
      v.error(`invalid access to map key, key_size=${memSize} off=${at} size=${size}`);
      break;
    case PTR_TO_MAP_VALUE:
      v.error(`invalid access to map value, value_size=${memSize} off=${at} size=${size}`);
      break;
    case PTR_TO_PACKET:
    case PTR_TO_PACKET_META:
    case PTR_TO_PACKET_END:
      v.error(
        `invalid access to packet, off=${at} size=${size}, R${regno}(id=${reg.id},off=${at},r=${memSize})`,
      );
      break;
    default:
      v.error(`invalid access to memory, mem_size=${memSize} off=${at} size=${size}`);
  }
  return false;
}

const NEGATIVE = 'min value is negative, either use unsigned index or do a if (index >=0) check.';

/** Any offset the pointer may have stays inside `memSize` bytes. */
export function checkRegion(
  v: Verifier,
  regno: number,
  off: number,
  size: number,
  memSize: number,
  zeroAllowed: boolean,
): void {
  const reg = v.reg(regno);
  const min = sminNumber(reg);
  if (min < 0 && (min === S64_MIN || !isInt32(off + min) || off + min < 0)) {
    v.denied(`R${regno} ${NEGATIVE}`);
  }
  if (!inMemory(v, regno, min + off, size, memSize, zeroAllowed)) {
    v.denied(`R${regno} min value is outside of the allowed memory range`);
  }
  const max = umaxNumber(reg);
  if (max >= MAX_VAR_OFF) {
    v.denied(`R${regno} unbounded memory access, make sure to bounds check any such access`);
  }
  if (!inMemory(v, regno, max + off, size, memSize, zeroAllowed)) {
    v.denied(`R${regno} max value is outside of the allowed memory range`);
  }
}

/** A map's value, special fields kept out of reach. `direct`: by an instruction, not by a helper. */
export function checkMapValue(
  v: Verifier,
  regno: number,
  off: number,
  size: number,
  zeroAllowed: boolean,
  direct: boolean,
): void {
  const reg = v.reg(regno);
  const map = reg.map!;
  checkRegion(v, regno, off, size, map.valueSize, zeroAllowed);
  if (map.fields.length === 0) return;
  const min = sminNumber(reg) + off;
  const max = umaxNumber(reg) + off + size;
  for (const field of map.fields) {
    if (min >= field.offset + field.size || field.offset >= max) continue;
    const name = fieldText(field.kind);
    if ((field.kind & (KPTR_KINDS | FIELD.UPTR)) === 0) {
      v.denied(`${name} cannot be accessed directly by load/store`);
    }
    if (!direct) v.denied(`${name} cannot be accessed indirectly by helper`);
    if (!isConst(reg)) v.denied(`${name} access cannot have variable offset`);
    const at = off + constNumber(reg);
    if (at !== field.offset) v.denied(`${name} access misaligned expected=${field.offset} off=${at}`);
    if (size !== 8) v.denied(`${name} access size must be BPF_DW`);
  }
}

/** What programs may do to the map at all. */
export function checkMapPermission(
  v: Verifier,
  regno: number,
  off: number,
  size: number,
  write: boolean,
): void {
  const map = v.reg(regno).map!;
  if (write ? map.programsMayWrite : map.programsMayRead) return;
  const what = write ? 'write into' : 'read from';
  v.denied(`${what} map forbidden, value_size=${map.valueSize} off=${off} size=${size}`);
}

/** Packet bytes that a comparison with its end has shown to be there. */
export function checkPacket(
  v: Verifier,
  regno: number,
  off: number,
  size: number,
  zeroAllowed: boolean,
): void {
  const reg = v.reg(regno);
  if (sminNumber(reg) < 0) v.denied(`R${regno} ${NEGATIVE}`);
  const outside = `R${regno} offset is outside of the packet`;
  if (reg.range < 0) v.invalid(outside);
  if (!inMemory(v, regno, off, size, reg.range, zeroAllowed)) v.denied(outside);
}

/** Trace records and iterator buffers: no variable offset, the end checked when the program is attached. */
export function checkBuffer(v: Verifier, reg: Reg, regno: number, off: number, size: number): void {
  const isTrace = regTypeText(reg.type) === 'tp_buffer';
  const name = isTrace ? 'tracepoint' : (reg.type & MEM_RDONLY) !== 0 ? 'rdonly' : 'rdwr';
  if (off < 0) v.denied(`R${regno} invalid ${name} buffer access: off=${off}, size=${size}`);
  if (!isConst(reg) || constNumber(reg) !== 0) {
    v.denied(`R${regno} invalid variable buffer offset: off=${off}, var_off=${tnumText(reg)}`);
  }
}

export function checkFlowKeys(v: Verifier, off: number, size: number): void {
  if (size >= 0 && off >= 0 && off + size <= FLOW_KEYS_SIZE) return;
  v.denied(`invalid access to flow keys off=${off} size=${size}`);
}

/** Pointers that may only be used as they came (`__check_ptr_off_reg`). */
export function checkUnmodified(v: Verifier, reg: Reg, regno: number, fixedOffOk: boolean): void {
  const name = regTypeText(reg.type);
  if (reg.off < 0) v.denied(`negative offset ${name} ptr R${regno} off=${reg.off} disallowed`);
  if (!fixedOffOk && reg.off !== 0) {
    v.denied(`dereference of modified ${name} ptr R${regno} off=${reg.off} disallowed`);
  }
  if (!isConst(reg) || constNumber(reg) !== 0) {
    v.reject(ERRNO.EACCES, `variable ${name} access var_off=${tnumText(reg)} disallowed`);
  }
}
