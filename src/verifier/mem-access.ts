/**
 * Loads and stores by instructions, whatever the pointer: `check_mem_access` of Linux 6.18 and the instructions
 * that use it: plain, sign-extending and atomic (kernel/bpf/verifier.c).
 */
import * as C from '../isa/constants.js';
import type { Insn } from '../isa/insn.js';
import { checkAlignment } from './alignment.js';
import { checkBoundsSane } from './bounds-sanity.js';
import { btfCtxAccess, type CtxValue } from './btf/ctx-access.js';
import { kernelBtf, kernelStruct } from './btf/kernel-types.js';
import { checkBtfAccess, checkMapPointerAccess } from './btf/pointer-access.js';
import { markBtfPointer } from './btf/trust.js';
import type { Verifier } from './context.js';
import { type CtxField, ctxAccess, mayAccessPacket, sockAccess } from './env/index.js';
import { ERRNO } from './errno.js';
import { accessKptr } from './kptr.js';
import { writeLine } from './print-state.js';
import { isPointerValue } from './privilege.js';
import { markConstZero, markKnown, markKnownZero, markUnknown, type Reg } from './reg.js';
import { checkDst, checkSrc } from './reg-access.js';
import {
  baseType,
  CONST_PTR_TO_MAP,
  isPacketPointer,
  isSocketPointer,
  MEM_RDONLY,
  mayBeNull,
  NOT_INIT,
  PTR_TO_ARENA,
  PTR_TO_BTF_ID,
  PTR_TO_BUF,
  PTR_TO_CTX,
  PTR_TO_FLOW_KEYS,
  PTR_TO_MAP_KEY,
  PTR_TO_MAP_VALUE,
  PTR_TO_MEM,
  PTR_TO_SOCK_COMMON,
  PTR_TO_SOCKET,
  PTR_TO_STACK,
  PTR_TO_TCP_SOCK,
  PTR_TO_TP_BUFFER,
  PTR_TO_XDP_SOCK,
  PTR_UNTRUSTED,
  regTypeText,
  SCALAR_VALUE,
  typeFlags,
} from './reg-type.js';
import {
  checkBuffer,
  checkFlowKeys,
  checkMapPermission,
  checkMapValue,
  checkPacket,
  checkRegion,
  checkUnmodified,
} from './region.js';
import {
  coerceToSize,
  coerceToSizeSx,
  constNumber,
  isConst,
  type PartSize,
  setS32Range,
  setSignedRange,
  sminNumber,
  syncBounds,
} from './scalar/index.js';
import { FIELD, KPTR_KINDS } from './special-fields.js';
import { checkStackBounds, checkStackRead, checkStackWrite } from './stack.js';

/** Bytes by size bits of the opcode. */
export function sizeOf(code: number): number {
  switch (C.bpfSize(code)) {
    case C.BPF_W:
      return 4;
    case C.BPF_H:
      return 2;
    case C.BPF_B:
      return 1;
    default:
      return 8;
  }
}

/**
 * May `size` bytes at register `regno` plus `off` be read, or written with `write`? `valueRegno` is the register that
 * is loaded or stored, -1 for none. `alignOnce`: it must be aligned; `sext`: the load extends the sign.
 */
export function checkMemAccess(
  v: Verifier,
  insnIdx: number,
  regno: number,
  insnOff: number,
  size: number,
  write: boolean,
  valueRegno: number,
  alignOnce: boolean,
  sext: boolean,
): void {
  const reg = v.reg(regno);
  checkAlignment(v, reg, insnOff, size, alignOnce);
  const off = insnOff + reg.off;
  const dst = !write && valueRegno >= 0 ? v.reg(valueRegno) : null;
  switch (baseType(reg.type)) {
    case PTR_TO_STACK:
      checkStackBounds(v, regno, off, size, write);
      if (write) checkStackWrite(v, regno, off, size, valueRegno, insnIdx);
      else checkStackRead(v, regno, off, size, valueRegno);
      break;
    case PTR_TO_CTX:
      if (write && !mayBeNull(reg.type)) keepPointer(v, valueRegno, 'ctx');
      accessCtx(v, reg, regno, off, size, write, dst, sext, insnIdx);
      break;
    case PTR_TO_MAP_VALUE:
      accessMapValue(v, reg, regno, off, size, write, valueRegno, sext, insnIdx);
      break;
    default:
      accessOther(v, reg, regno, off, size, write, valueRegno, dst);
  }
  if (dst !== null && size < 8 && dst.type === SCALAR_VALUE) {
    if (sext) coerceToSizeSx(dst, size as PartSize);
    else coerceToSize(dst, size as PartSize);
  }
}

/** What others can read must not learn where things lie. */
function keepPointer(v: Verifier, valueRegno: number, where: string): void {
  if (valueRegno >= 0 && isPointerValue(v, valueRegno)) v.denied(`R${valueRegno} leaks addr into ${where}`);
}

function badAccess(v: Verifier, reg: Reg, regno: number): never {
  return v.denied(`R${regno} invalid mem access '${regTypeText(reg.type)}'`);
}

const POINTER_FIELDS = KPTR_KINDS | FIELD.UPTR;

function accessMapValue(
  v: Verifier,
  reg: Reg,
  regno: number,
  off: number,
  size: number,
  write: boolean,
  valueRegno: number,
  sext: boolean,
  insnIdx: number,
): void {
  if (reg.type !== PTR_TO_MAP_VALUE) badAccess(v, reg, regno);
  if (write) keepPointer(v, valueRegno, 'map');
  checkMapPermission(v, regno, off, size, write);
  checkMapValue(v, regno, off, size, false, true);
  const map = reg.map!;
  if (map.fields.length > 0 && isConst(reg)) {
    const at = off + constNumber(reg);
    const kptr = map.fields.find((field) => field.offset === at && (field.kind & POINTER_FIELDS) !== 0);
    if (kptr !== undefined) {
      accessKptr(v, insnIdx, kptr, valueRegno);
      return;
    }
  }
  if (write || valueRegno < 0) return;
  const dst = v.reg(valueRegno);
  if (isConst(reg) && map.isReadOnly && map.hasDirectValue) {
    const bytes = map.data;
    const at = off + constNumber(reg);
    // A map that was never written to holds zeros.
    if (bytes === undefined || at + size > bytes.length) markConstZero(dst);
    else loadConstant(dst, bytes, at, size, sext);
  } else {
    markUnknown(dst);
  }
}

/** The contents of a frozen read-only map are known by value (`bpf_map_direct_read`). */
function loadConstant(dst: Reg, bytes: Uint8Array, at: number, size: number, sext: boolean): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let low = 0;
  let high = 0;
  if (size === 8) {
    low = view.getInt32(at, true);
    high = view.getInt32(at + 4, true);
  } else if (sext) {
    low = size === 1 ? view.getInt8(at) : size === 2 ? view.getInt16(at, true) : view.getInt32(at, true);
    high = low < 0 ? -1 : 0;
  } else {
    low = size === 1 ? view.getUint8(at) : size === 2 ? view.getUint16(at, true) : view.getInt32(at, true);
  }
  dst.type = SCALAR_VALUE;
  markKnown(dst, high, low);
}

function accessCtx(
  v: Verifier,
  reg: Reg,
  regno: number,
  off: number,
  size: number,
  write: boolean,
  dst: Reg | null,
  sext: boolean,
  insnIdx: number,
): void {
  if (mayBeNull(reg.type)) badAccess(v, reg, regno);
  checkUnmodified(v, reg, regno, false);
  const field = ctxField(v, off, size, write, sext);
  const value = field?.btfSlot === undefined ? undefined : btfCtxAccess(v, off, size);
  if (field === undefined || (field.btfSlot !== undefined && value === undefined)) {
    v.error(`invalid bpf_context access off=${off} size=${size}`);
    writeLine(v, insnIdx);
    v.reject(ERRNO.EACCES);
  }
  if (value !== undefined) {
    if (dst !== null) loadCtxValue(v, dst, value);
    return;
  }
  if (dst === null) return;
  if (field.regType === SCALAR_VALUE) {
    markUnknown(dst);
    return;
  }
  if (baseType(field.regType) === PTR_TO_BTF_ID) {
    const name = field.struct ?? v.unsupported('pointer to a kernel structure in the context');
    markBtfPointer(v, dst, kernelBtf(v, name), kernelStruct(v, name), typeFlags(field.regType));
    return;
  }
  markKnownZero(dst);
  dst.type = field.regType;
  if (mayBeNull(field.regType)) dst.id = v.newId();
}

/** An argument of what the program hangs on. */
function loadCtxValue(v: Verifier, dst: Reg, value: CtxValue): void {
  if (value.btf !== null) {
    markBtfPointer(v, dst, value.btf, value.btfId, typeFlags(value.regType));
    return;
  }
  if (value.regType !== SCALAR_VALUE) {
    markKnownZero(dst);
    dst.type = value.regType;
    if (mayBeNull(value.regType)) dst.id = v.newId();
    return;
  }
  markUnknown(dst);
  if (value.range === undefined) return;
  setS32Range(dst, value.range.min, value.range.max);
  setSignedRange(dst, value.range.min, value.range.max);
  syncBounds(dst);
}

const NO_FIELD = null;

/** Looked up once per kind of access. */
function ctxField(
  v: Verifier,
  off: number,
  size: number,
  write: boolean,
  sext: boolean,
): CtxField | undefined {
  const key = off * 64 + size * 4 + (write ? 2 : 0) + (sext ? 1 : 0);
  const known = v.ctxFields.get(key);
  if (known !== undefined) return known === NO_FIELD ? undefined : known;
  const field = ctxAccess(v.env, off, size, write, sext);
  v.ctxFields.set(key, field ?? NO_FIELD);
  return field;
}

/** Bytes of the context up to the last one that was found to be accessible and is used (`max_ctx_offset`). */
export function maxCtxOffset(v: Verifier): number {
  let most = 0;
  for (const [key, field] of v.ctxFields) {
    if (field !== NO_FIELD) most = Math.max(most, Math.floor(key / 64) + ((key % 64) >> 2));
  }
  return most;
}

function accessOther(
  v: Verifier,
  reg: Reg,
  regno: number,
  off: number,
  size: number,
  write: boolean,
  valueRegno: number,
  dst: Reg | null,
): void {
  const { type } = reg;
  if (baseType(type) === PTR_TO_MEM) {
    accessMem(v, reg, regno, off, size, write, valueRegno);
  } else if (type === PTR_TO_MAP_KEY) {
    if (write) v.denied(`write to change key R${regno} not allowed`);
    checkRegion(v, regno, off, size, reg.map!.keySize, false);
  } else if (isPacketPointer(type)) {
    if (write && !mayAccessPacket(v.env, true)) v.denied('cannot write into packet');
    if (write) keepPointer(v, valueRegno, 'packet');
    checkPacket(v, regno, off, size, false);
  } else if (type === PTR_TO_FLOW_KEYS) {
    if (write) keepPointer(v, valueRegno, 'flow keys');
    checkFlowKeys(v, off, size);
  } else if (isSocketPointer(type)) {
    if (write) v.denied(`R${regno} cannot write into ${regTypeText(type)}`);
    accessSocket(v, reg, regno, off, size);
  } else if (type === PTR_TO_TP_BUFFER) {
    checkBuffer(v, reg, regno, off, size);
  } else if (baseType(type) === PTR_TO_BTF_ID && !mayBeNull(type)) {
    checkBtfAccess(v, reg, regno, off, size, write, dst);
    return;
  } else if (type === CONST_PTR_TO_MAP) {
    checkMapPointerAccess(v, reg, regno, off, size, write, dst);
    return;
  } else if (baseType(type) === PTR_TO_BUF && !mayBeNull(type)) {
    if (write && (type & MEM_RDONLY) !== 0) v.denied(`R${regno} cannot write into ${regTypeText(type)}`);
    checkBuffer(v, reg, regno, off, size);
  } else if (type !== PTR_TO_ARENA) {
    badAccess(v, reg, regno);
  }
  if (dst !== null) markUnknown(dst);
}

function accessMem(
  v: Verifier,
  reg: Reg,
  regno: number,
  off: number,
  size: number,
  write: boolean,
  valueRegno: number,
): void {
  const readOnly = (reg.type & MEM_RDONLY) !== 0;
  if (mayBeNull(reg.type)) badAccess(v, reg, regno);
  if (write && readOnly) v.denied(`R${regno} cannot write into ${regTypeText(reg.type)}`);
  if (write) keepPointer(v, valueRegno, 'mem');
  if (readOnly && (reg.type & PTR_UNTRUSTED) !== 0) return;
  checkRegion(v, regno, off, size, reg.memSize, false);
}

function accessSocket(v: Verifier, reg: Reg, regno: number, off: number, size: number): void {
  if (sminNumber(reg) < 0) {
    v.denied(`R${regno} min value is negative, either use unsigned index or do a if (index >=0) check.`);
  }
  if (sockAccess(reg.type, off, size) !== undefined) return;
  v.denied(`R${regno} invalid ${regTypeText(reg.type)} access off=${off} size=${size}`);
}

/** Pointer types that one instruction may meet in turn with any other (`reg_type_mismatch_ok`). */
function mixes(type: number): boolean {
  switch (baseType(type)) {
    case PTR_TO_CTX:
    case PTR_TO_SOCKET:
    case PTR_TO_SOCK_COMMON:
    case PTR_TO_TCP_SOCK:
    case PTR_TO_XDP_SOCK:
    case PTR_TO_BTF_ID:
    case PTR_TO_ARENA:
      return false;
    default:
      return true;
  }
}

const isMemOrBtf = (type: number): boolean => {
  const base = baseType(type);
  return base === PTR_TO_MEM || base === PTR_TO_BTF_ID;
};

/** Remembers what an instruction loads or stores through; some kinds exclude others. */
function saveAuxType(v: Verifier, type: number, trustMayDiffer: boolean): void {
  const { ptrType } = v.aux;
  const previous = ptrType[v.insnIdx]!;
  if (previous === NOT_INIT) {
    ptrType[v.insnIdx] = type;
    return;
  }
  if (type === previous || (mixes(type) && mixes(previous))) return;
  if (!trustMayDiffer || !isMemOrBtf(type) || !isMemOrBtf(previous)) {
    v.invalid('same insn cannot be used with different pointers');
  }
  const mem = baseType(type) === PTR_TO_MEM || baseType(previous) === PTR_TO_MEM;
  ptrType[v.insnIdx] =
    (mem ? PTR_TO_MEM : PTR_TO_BTF_ID) | ((type | previous) & (PTR_UNTRUSTED | MEM_RDONLY));
}

/** `dst = *(size *)(src + off)` (`check_load_mem`). */
export function checkLoad(v: Verifier, insn: Insn, alignOnce: boolean, sext: boolean, trust: boolean): void {
  checkSrc(v, insn.src);
  checkDst(v, insn.dst);
  const { type } = v.reg(insn.src);
  checkMemAccess(v, v.insnIdx, insn.src, insn.off, sizeOf(insn.code), false, insn.dst, alignOnce, sext);
  saveAuxType(v, type, trust);
  checkBoundsSane(v, v.reg(insn.dst), 'ldx');
}

/** `*(size *)(dst + off) = src` (`check_store_reg`). */
export function checkStore(v: Verifier, insn: Insn, alignOnce: boolean): void {
  checkSrc(v, insn.src);
  checkSrc(v, insn.dst);
  const { type } = v.reg(insn.dst);
  checkMemAccess(v, v.insnIdx, insn.dst, insn.off, sizeOf(insn.code), true, insn.src, alignOnce, false);
  saveAuxType(v, type, false);
}

/** `*(size *)(dst + off) = imm`. */
export function checkStoreImm(v: Verifier, insn: Insn): void {
  checkSrc(v, insn.dst);
  const { type } = v.reg(insn.dst);
  checkMemAccess(v, v.insnIdx, insn.dst, insn.off, sizeOf(insn.code), true, -1, false, false);
  saveAuxType(v, type, false);
}

/** Memory that atomic instructions may work on (`atomic_ptr_type_ok`). */
function mayBeAtomic(type: number): boolean {
  return type !== PTR_TO_CTX && !isPacketPointer(type) && type !== PTR_TO_FLOW_KEYS && !isSocketPointer(type);
}

/** What the JIT makes a loop of, and so cannot in an arena (`bpf_jit_supports_insn` on x86-64). */
const FETCHING_BITWISE = new Set([C.BPF_AND | C.BPF_FETCH, C.BPF_OR | C.BPF_FETCH, C.BPF_XOR | C.BPF_FETCH]);

export function checkAtomic(v: Verifier, insn: Insn): void {
  switch (insn.imm) {
    case C.BPF_ADD:
    case C.BPF_ADD | C.BPF_FETCH:
    case C.BPF_AND:
    case C.BPF_AND | C.BPF_FETCH:
    case C.BPF_OR:
    case C.BPF_OR | C.BPF_FETCH:
    case C.BPF_XOR:
    case C.BPF_XOR | C.BPF_FETCH:
    case C.BPF_XCHG:
    case C.BPF_CMPXCHG:
      checkAtomicUpdate(v, insn);
      return;
    case C.BPF_LOAD_ACQ:
      checkLoad(v, insn, true, false, false);
      if (!mayBeAtomic(v.reg(insn.src).type)) {
        v.denied(`BPF_ATOMIC loads from R${insn.src} ${regTypeText(v.reg(insn.src).type)} is not allowed`);
      }
      return;
    case C.BPF_STORE_REL:
      checkStore(v, insn, true);
      if (!mayBeAtomic(v.reg(insn.dst).type)) {
        v.denied(`BPF_ATOMIC stores into R${insn.dst} ${regTypeText(v.reg(insn.dst).type)} is not allowed`);
      }
      return;
    default:
      v.invalid(`BPF_ATOMIC uses invalid atomic opcode ${(insn.imm >>> 0).toString(16).padStart(2, '0')}`);
  }
}

function checkAtomicUpdate(v: Verifier, insn: Insn): void {
  const size = sizeOf(insn.code);
  if (size !== 4 && size !== 8) v.invalid('invalid atomic operand size');
  checkSrc(v, insn.src);
  checkSrc(v, insn.dst);
  if (insn.imm === C.BPF_CMPXCHG) {
    checkSrc(v, 0);
    keepPointer(v, 0, 'mem');
  }
  keepPointer(v, insn.src, 'mem');
  const target = v.reg(insn.dst);
  if (!mayBeAtomic(target.type) || (target.type === PTR_TO_ARENA && FETCHING_BITWISE.has(insn.imm))) {
    v.denied(`BPF_ATOMIC stores into R${insn.dst} ${regTypeText(target.type)} is not allowed`);
  }
  let loadReg = -1;
  if ((insn.imm & C.BPF_FETCH) !== 0) {
    loadReg = insn.imm === C.BPF_CMPXCHG ? 0 : insn.src;
    checkDst(v, loadReg);
    markUnknown(v.reg(loadReg));
  }
  checkMemAccess(v, v.insnIdx, insn.dst, insn.off, size, false, -1, true, false);
  if (loadReg >= 0) checkMemAccess(v, v.insnIdx, insn.dst, insn.off, size, false, loadReg, true, false);
  if (v.reg(insn.dst).type === PTR_TO_ARENA) saveAuxType(v, PTR_TO_ARENA, false);
  checkMemAccess(v, v.insnIdx, insn.dst, insn.off, size, true, -1, true, false);
}
