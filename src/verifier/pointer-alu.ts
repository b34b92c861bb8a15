/**
 * A pointer plus or minus a number (`adjust_ptr_min_max_vals` of Linux 6.18, kernel/bpf/verifier.c): which pointers may be
 * moved, how far, and what is then known of the offset.
 */
import { BPF_ADD, BPF_ALU64, BPF_AND, BPF_OR, BPF_SUB, BPF_XOR, bpfClass, bpfOp } from '../isa/constants.js';
import type { Insn } from '../isa/insn.js';
import { operatorText } from './alu-text.js';
import type { Verifier } from './context.js';
import { copyTarget, MAX_VAR_OFF, markUnknown, type Reg } from './reg.js';
import {
  baseType,
  CONST_PTR_TO_DYNPTR,
  CONST_PTR_TO_MAP,
  isPacketPointer,
  mayBeNull,
  PTR_TO_BTF_ID,
  PTR_TO_BUF,
  PTR_TO_CTX,
  PTR_TO_FLOW_KEYS,
  PTR_TO_FUNC,
  PTR_TO_MAP_KEY,
  PTR_TO_MAP_VALUE,
  PTR_TO_MEM,
  PTR_TO_PACKET,
  PTR_TO_PACKET_META,
  PTR_TO_STACK,
  PTR_TO_TP_BUFFER,
  PTR_UNTRUSTED,
  regTypeText,
} from './reg-type.js';
import {
  addPointerOffset,
  constNumber,
  constValue,
  copyScalar,
  hasInvalidOffset,
  isConst,
  isInt32,
  smin,
  sminNumber,
  subPointerOffset,
  syncBounds,
  unbound32,
} from './scalar/index.js';
import { borrow, carry } from './scalar/pair.js';
import { checkStays, NO_WINDOW, newWindow, sanitizeAfter, sanitizeBefore } from './speculation.js';

/** High half of the smallest 64-bit number. */
const S32_MIN = -0x80000000;

/** `ptr op= off`, into `dst`, which is one of the two. */
export function pointerAlu(v: Verifier, insn: Insn, ptr: Reg, off: Reg, dst: Reg): void {
  if (hasInvalidOffset(off)) {
    markUnknown(dst);
    return;
  }
  const op = bpfOp(insn.code);
  if (bpfClass(insn.code) !== BPF_ALU64) {
    if (op !== BPF_SUB || !v.perfmon) v.denied(`R${insn.dst} 32-bit pointer arithmetic prohibited`);
    markUnknown(dst);
    return;
  }
  if (mayBeNull(ptr.type)) {
    v.denied(`R${insn.dst} pointer arithmetic on ${regTypeText(ptr.type)} prohibited, null-check it first`);
  }
  if (baseType(ptr.type) === PTR_TO_MEM && (ptr.type & PTR_UNTRUSTED) !== 0) return;
  if (!mayMove(ptr, off, op)) {
    v.denied(`R${insn.dst} pointer arithmetic on ${regTypeText(ptr.type)} prohibited`);
  }
  const isScalarDst = dst === off;
  checkSane(v, off, ptr.type);
  checkSane(v, ptr, ptr.type);
  const window = v.perfmon ? NO_WINDOW : newWindow();
  sanitizeBefore(v, insn, ptr, off, dst, window);
  if (op === BPF_ADD) add(v, ptr, off, dst);
  else if (op === BPF_SUB) subtract(v, insn, ptr, off, dst, isScalarDst);
  else refuseOperator(v, insn, op);
  checkSane(v, dst, ptr.type);
  checkStays(v, insn, dst);
  sanitizeAfter(v, insn, off, dst, window);
}

function refuseOperator(v: Verifier, insn: Insn, op: number): never {
  const text = operatorText(op);
  if (op === BPF_AND || op === BPF_OR || op === BPF_XOR) {
    return v.denied(`R${insn.dst} bitwise operator ${text} on pointer prohibited`);
  }
  return v.denied(`R${insn.dst} pointer arithmetic with ${text} operator prohibited`);
}

function mayMove(ptr: Reg, off: Reg, op: number): boolean {
  switch (baseType(ptr.type)) {
    case PTR_TO_CTX:
    case PTR_TO_MAP_VALUE:
    case PTR_TO_MAP_KEY:
    case PTR_TO_STACK:
    case PTR_TO_PACKET_META:
    case PTR_TO_PACKET:
    case PTR_TO_TP_BUFFER:
    case PTR_TO_BTF_ID:
    case PTR_TO_MEM:
    case PTR_TO_BUF:
    case PTR_TO_FUNC:
    case CONST_PTR_TO_DYNPTR:
      return true;
    case PTR_TO_FLOW_KEYS:
      return isConst(off);
    case CONST_PTR_TO_MAP:
      return isConst(off) && sminNumber(off) === 0 && op === BPF_ADD;
    default:
      return false;
  }
}

/** `check_reg_sane_offset`. */
function checkSane(v: Verifier, reg: Reg, type: number): void {
  if (isConst(reg)) {
    const value = constNumber(reg);
    if (value >= MAX_VAR_OFF || value <= -MAX_VAR_OFF) {
      const exact = BigInt.asIntN(64, constValue(reg));
      v.invalid(`math between ${regTypeText(type)} pointer and ${exact} is not allowed`);
    }
  }
  if (reg.off >= MAX_VAR_OFF || reg.off <= -MAX_VAR_OFF) {
    v.invalid(`${regTypeText(type)} pointer offset ${reg.off} is not allowed`);
  }
  const min = sminNumber(reg);
  if (reg.sminHi === S32_MIN && reg.sminLo === 0) refuseUnbounded(v, type);
  if (min >= MAX_VAR_OFF || min <= -MAX_VAR_OFF) {
    v.invalid(`value ${smin(reg)} makes ${regTypeText(type)} pointer be out of bounds`);
  }
}

function refuseUnbounded(v: Verifier, type: number): never {
  return v.invalid(
    `math between ${regTypeText(type)} pointer and register with unbounded min value is not allowed`,
  );
}

/** A number known at both ends goes into the fixed offset; the variable part stays the pointer's. */
function setFixed(dst: Reg, ptr: Reg, total: number): void {
  const { type, id } = ptr;
  if (dst !== ptr) {
    copyScalar(dst, ptr);
    copyTarget(dst, ptr);
  }
  dst.type = type;
  dst.id = id;
  dst.off = total;
  unbound32(dst);
  syncBounds(dst);
}

function setVariable(dst: Reg, ptr: Reg): void {
  dst.type = ptr.type;
  dst.id = ptr.id;
  dst.off = ptr.off;
  if (dst !== ptr) copyTarget(dst, ptr);
}

function add(v: Verifier, ptr: Reg, off: Reg, dst: Reg): void {
  const delta = sminNumber(off);
  if (isConst(off) && isInt32(ptr.off + delta)) {
    setFixed(dst, ptr, ptr.off + delta);
    return;
  }
  const lost =
    addOverflows(ptr.sminHi, ptr.sminLo, off.sminHi, off.sminLo) ||
    addOverflows(ptr.smaxHi, ptr.smaxLo, off.smaxHi, off.smaxLo);
  const { type } = ptr;
  addPointerOffset(dst, ptr, off);
  setVariable(dst, ptr);
  if (isPacketPointer(type)) {
    dst.id = v.newId();
    dst.range = 0;
  }
  if (lost) refuseUnbounded(v, type);
}

function subtract(v: Verifier, insn: Insn, ptr: Reg, off: Reg, dst: Reg, isScalarDst: boolean): void {
  if (isScalarDst) v.denied(`R${insn.dst} tried to subtract pointer from scalar`);
  if (ptr.type === PTR_TO_STACK) v.denied(`R${insn.dst} subtraction from stack pointer prohibited`);
  const delta = sminNumber(off);
  if (isConst(off) && isInt32(ptr.off - delta)) {
    setFixed(dst, ptr, ptr.off - delta);
    return;
  }
  const lost =
    subOverflows(ptr.sminHi, ptr.sminLo, off.smaxHi, off.smaxLo) ||
    subOverflows(ptr.smaxHi, ptr.smaxLo, off.sminHi, off.sminLo);
  const { type } = ptr;
  subPointerOffset(dst, ptr, off);
  setVariable(dst, ptr);
  if (isPacketPointer(type)) {
    dst.id = v.newId();
    if (delta < 0) dst.range = 0;
  }
  if (lost) refuseUnbounded(v, type);
}

function addOverflows(ahi: number, alo: number, bhi: number, blo: number): boolean {
  const sum = (ahi + bhi + carry((alo + blo) | 0, alo)) | 0;
  return ((sum ^ ahi) & (sum ^ bhi)) < 0;
}

function subOverflows(ahi: number, alo: number, bhi: number, blo: number): boolean {
  const difference = (ahi - bhi - borrow(alo, blo)) | 0;
  return ((ahi ^ bhi) & (ahi ^ difference)) < 0;
}
