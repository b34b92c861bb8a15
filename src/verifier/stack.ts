/**
 * Loads, stores and helper accesses to the stack: spilled registers and their fills at any width, misc and
 * zero bytes, variable offsets, frames of callers. Models `check_stack_read`, `check_stack_write` and
 * `check_stack_range_initialized` of Linux 6.18 (kernel/bpf/verifier.c).
 */
import { BPF_MEM, BPF_ST, bpfClass, bpfMode } from '../isa/constants.js';
import type { Insn } from '../isa/insn.js';
import type { Verifier } from './context.js';
import { destroyDynptrAt } from './dynptr/slots.js';
import { ERRNO } from './errno.js';
import { checkFastcallContract } from './fastcall.js';
import { NOSPEC_RESULT } from './insn-facts.js';
import { markChainPrecision } from './precision.js';
import { writeLine } from './print-state.js';
import {
  copyReg,
  isNullScalar,
  MAX_VAR_OFF,
  markConstZero,
  markKnown,
  markUnknown,
  Reg,
  unlink,
} from './reg.js';
import { isSpillable, PTR_TO_STACK, SCALAR_VALUE } from './reg-type.js';
import { bitWidth, constNumber, isConst, isZero, smaxNumber, sminNumber, tnumText } from './scalar/index.js';
import { assignScalarId } from './scalar-ids.js';
import {
  type FuncState,
  MAX_BPF_STACK,
  REG_SIZE,
  SLOT_DYNPTR,
  SLOT_INVALID,
  SLOT_MISC,
  SLOT_SPILL,
  SLOT_ZERO,
  type StackSlot,
  scrubbed,
  setSpilledReg,
  stackAccessFlags,
} from './state.js';

/** Slot of the byte at `off` (negative) from the frame's top. */
const spiOf = (off: number): number => (-off - 1) >> 3;
const byteOf = (off: number): number => (-off - 1) & 7;

/** Makes the frame's stack at least `size` bytes deep. */
function grow(v: Verifier, frame: FuncState, size: number): void {
  const slots = (size + REG_SIZE - 1) >> 3;
  if (frame.slotCount >= slots) return;
  frame.growStack(slots);
  const subprog = v.subprogs[frame.subprog]!;
  if (subprog.stackDepth < slots * REG_SIZE) subprog.stackDepth = slots * REG_SIZE;
}

/** Stack limits for `size` bytes at `reg + off`; the frame grows to hold them. */
export function checkStackBounds(
  v: Verifier,
  regno: number,
  off: number,
  size: number,
  write: boolean,
): void {
  const reg = v.reg(regno);
  const what = write ? ' write to' : ' read from';
  let min: number;
  let max: number;
  if (isConst(reg)) {
    min = constNumber(reg) + off;
    max = min + size;
  } else {
    if (smaxNumber(reg) >= MAX_VAR_OFF || sminNumber(reg) <= -MAX_VAR_OFF) {
      v.denied(`invalid unbounded variable-offset${what} stack R${regno}`);
    }
    min = sminNumber(reg) + off;
    max = smaxNumber(reg) + off + size;
  }
  const lowest = write || v.perfmon ? -MAX_BPF_STACK : -v.frameOf(reg).allocatedStack;
  let errno = 0;
  if (min < lowest || min > -1) errno = ERRNO.EACCES;
  else if (max > 0) errno = ERRNO.EINVAL;
  else if (size < 0) errno = ERRNO.EFAULT;
  if (errno !== 0) {
    const text = isConst(reg)
      ? `invalid${what} stack R${regno} off=${off} size=${size}`
      : `invalid variable-offset${what} stack R${regno} var_off=${tnumText(reg)} off=${off} size=${size}`;
    v.reject(errno, text);
  }
  grow(v, v.frameOf(reg), -min);
}

/** `*(size *)(ptr + off) = value`; `valueRegno` -1: something unknown, or the immediate of a `BPF_ST`. */
export function checkStackWrite(
  v: Verifier,
  ptrRegno: number,
  off: number,
  size: number,
  valueRegno: number,
  insnIdx: number,
): void {
  const reg = v.reg(ptrRegno);
  const frame = v.frameOf(reg);
  if (isConst(reg)) writeFixed(v, frame, off + constNumber(reg), size, valueRegno, insnIdx);
  else writeVariable(v, frame, reg, off, size, valueRegno, insnIdx);
}

const isStore = (insn: Insn): boolean => bpfClass(insn.code) === BPF_ST && bpfMode(insn.code) === BPF_MEM;

const immediate = new Reg();

function writeFixed(
  v: Verifier,
  frame: FuncState,
  off: number,
  size: number,
  valueRegno: number,
  insnIdx: number,
): void {
  const spi = spiOf(off);
  const slot = frame.slot(spi);
  const insn = v.insns[insnIdx]!;
  const reg = valueRegno >= 0 ? v.reg(valueRegno) : null;
  const aligned = (off & 7) === 0;
  if (!v.perfmon) guardWrite(v, slot, off, size, reg, insnIdx);
  if (aligned && size === REG_SIZE) v.liveness.markWrite(frame.frameno, spi);
  destroyDynptrAt(v, frame, spi);
  checkFastcallContract(v, frame.subprog, insnIdx, off);
  v.markSlotScratched(spi);
  if (reg !== null && aligned && reg.type === SCALAR_VALUE && v.capable) {
    const fits = bitWidth(reg) <= 8 * size;
    if (fits) assignScalarId(v, reg);
    const spilled = saveReg(slot, reg, size);
    if (!fits) unlink(spilled);
  } else if (reg === null && aligned && isStore(insn) && v.capable) {
    markUnknown(immediate);
    markKnown(immediate, insn.imm < 0 ? -1 : 0, insn.imm);
    immediate.type = SCALAR_VALUE;
    saveReg(slot, immediate, size);
  } else if (reg !== null && isSpillable(reg.type)) {
    if (size !== REG_SIZE) {
      writeLine(v, insnIdx);
      v.denied('invalid size of register spill');
    }
    if (frame !== v.frame && reg.type === PTR_TO_STACK) {
      v.invalid('cannot spill pointers to stack into stack frame of the caller');
    }
    saveReg(slot, reg, size);
  } else {
    writeData(v, slot, off, size, reg, valueRegno, insn);
    return;
  }
  v.pushHistory(v.state, stackAccessFlags(frame.frameno, spi), null);
}

/**
 * Nobody learns a pointer by overwriting half of it; and what is loaded after a store of a pointer, or over one, must not be
 * what was there before.
 */
function guardWrite(
  v: Verifier,
  slot: Readonly<StackSlot>,
  off: number,
  size: number,
  reg: Reg | null,
  insnIdx: number,
): void {
  if (slot.isSpilled && slot.reg!.type !== SCALAR_VALUE && size !== REG_SIZE) {
    v.denied('attempt to corrupt spilled pointer on stack');
  }
  let guarded = reg !== null && isSpillable(reg.type);
  for (let i = 0; i < size && !guarded; i++) {
    const type = slot.typeAt((byteOf(off) - i) & 7);
    guarded = type !== SLOT_MISC && type !== SLOT_ZERO;
  }
  if (guarded) v.aux.set(insnIdx, NOSPEC_RESULT);
}

/** The register becomes the slot's, in its highest bytes as the machine sees them. */
function saveReg(slot: StackSlot, reg: Reg, size: number): Reg {
  const spilled = setSpilledReg(slot, reg);
  for (let byte = 0; byte < REG_SIZE; byte++) {
    if (byte >= REG_SIZE - size) slot.setType(byte, SLOT_SPILL);
    else if (slot.typeAt(byte) !== SLOT_ZERO && slot.typeAt(byte) !== SLOT_INVALID)
      slot.setType(byte, SLOT_MISC);
  }
  return spilled;
}

function writeData(
  v: Verifier,
  slot: StackSlot,
  off: number,
  size: number,
  reg: Reg | null,
  valueRegno: number,
  insn: Insn,
): void {
  if (slot.isSpecial) slot.types = scrubbed(slot.types);
  let type = SLOT_MISC;
  if (reg !== null ? isNullScalar(reg) : isStore(insn) && insn.imm === 0) {
    if (valueRegno >= 0) markChainPrecision(v, valueRegno);
    type = SLOT_ZERO;
  }
  for (let i = 0; i < size; i++) slot.setType(byteOf(off) - i, type);
}

function writeVariable(
  v: Verifier,
  frame: FuncState,
  ptr: Reg,
  off: number,
  size: number,
  valueRegno: number,
  insnIdx: number,
): void {
  const min = sminNumber(ptr) + off;
  const max = smaxNumber(ptr) + off + size;
  const insn = v.insns[insnIdx]!;
  const value = valueRegno >= 0 ? v.reg(valueRegno) : null;
  const writesZero = value !== null ? isNullScalar(value) : isStore(insn) && insn.imm === 0;
  let zeroUsed = false;
  for (let i = min; i < max; i++) destroyDynptrAt(v, frame, spiOf(i));
  checkFastcallContract(v, frame.subprog, insnIdx, min);
  for (let i = min; i < max; i++) {
    const spi = spiOf(i);
    const slot = frame.slot(spi);
    v.markSlotScratched(spi);
    const type = slot.typeAt(byteOf(i));
    if (writesZero && type === SLOT_SPILL && slot.reg?.type === SCALAR_VALUE && isZero(slot.reg)) {
      zeroUsed = true;
      continue;
    }
    if (slot.isSpilled) slot.types = scrubbed(slot.types);
    const keepsZero = writesZero && slot.typeAt(byteOf(i)) === SLOT_ZERO;
    if (keepsZero) zeroUsed = true;
    slot.setType(byteOf(i), keepsZero ? SLOT_ZERO : SLOT_MISC);
  }
  if (zeroUsed && valueRegno >= 0) markChainPrecision(v, valueRegno);
}

/** Loads from the stack; `dstRegno` -1: the value goes nowhere. */
export function checkStackRead(
  v: Verifier,
  ptrRegno: number,
  off: number,
  size: number,
  dstRegno: number,
): void {
  const reg = v.reg(ptrRegno);
  if (isConst(reg)) {
    readFixed(v, v.frameOf(reg), off + constNumber(reg), size, dstRegno);
    return;
  }
  if (dstRegno < 0) {
    v.denied(
      `variable offset stack pointer cannot be passed into helper function; var_off=${tnumText(reg)} off=${off} size=${size}`,
    );
  }
  checkStackRangeInitialized(v, ptrRegno, off, size, false, false, null);
  const min = sminNumber(reg) + off;
  const frame = v.frameOf(reg);
  readData(v, frame, min, smaxNumber(reg) + off + size, dstRegno);
  checkFastcallContract(v, frame.subprog, v.insnIdx, min);
}

/** All bytes zero: the register is zero, else unknown. */
function readData(v: Verifier, frame: FuncState, min: number, max: number, dstRegno: number): void {
  const dst = v.reg(dstRegno);
  for (let i = min; i < max; i++) {
    const spi = spiOf(i);
    v.markSlotScratched(spi);
    if (frame.peekSlot(spi)!.typeAt(byteOf(i)) !== SLOT_ZERO) {
      markUnknown(dst);
      return;
    }
  }
  markConstZero(dst);
}

function readFixed(v: Verifier, frame: FuncState, off: number, size: number, dstRegno: number): void {
  const spi = spiOf(off);
  const slot = frame.peekSlot(spi)!;
  v.markSlotScratched(spi);
  checkFastcallContract(v, v.frame.subprog, v.insnIdx, off);
  v.liveness.markRead(frame.frameno, v.insnIdx, spi);
  if (slot.isSpilled) {
    if (fill(v, slot, off, size, dstRegno))
      v.pushHistory(v.state, stackAccessFlags(frame.frameno, spi), null);
    return;
  }
  checkReadable(v, slot, off, size);
  if (dstRegno >= 0) readData(v, frame, off, off + size, dstRegno);
}

/** Bytes that may be loaded as numbers; with CAP_PERFMON what was never written, too. */
const isData = (v: Verifier, type: number): boolean =>
  type === SLOT_MISC || type === SLOT_ZERO || (type === SLOT_INVALID && v.perfmon);

/** Every byte holds data that may be loaded. */
function checkReadable(v: Verifier, slot: Readonly<StackSlot>, off: number, size: number): void {
  for (let i = 0; i < size; i++) {
    const type = slot.typeAt((byteOf(off) - i) & 7);
    if (isData(v, type)) continue;
    v.denied(`invalid read from stack off ${off}+${i} size ${size}`);
  }
}

/** Loads from a slot that holds a spilled register. True where the register itself came back. */
function fill(v: Verifier, slot: Readonly<StackSlot>, off: number, size: number, dstRegno: number): boolean {
  const spilled = slot.reg!;
  let spillSize = 1;
  for (let i = 7; i > 0 && slot.typeAt(i - 1) === SLOT_SPILL; i--) spillSize++;
  if (size === REG_SIZE && spillSize === REG_SIZE) {
    if (dstRegno >= 0) copyReg(v.reg(dstRegno), spilled);
    else if (!v.perfmon && spilled.type !== SCALAR_VALUE) v.denied(`leaking pointer from stack off ${off}`);
    return true;
  }
  if (spilled.type !== SCALAR_VALUE) {
    writeLine(v, v.insnIdx);
    v.denied('invalid size of register fill');
  }
  if (dstRegno < 0) return false;
  const dst = v.reg(dstRegno);
  if (size <= spillSize && (off & 7) === 0) {
    copyReg(dst, spilled);
    if (bitWidth(spilled) > size * 8) unlink(dst);
    return true;
  }
  let spillBytes = 0;
  let zeroBytes = 0;
  for (let i = 0; i < size; i++) {
    const type = slot.typeAt((byteOf(off) - i) & 7);
    if (type === SLOT_SPILL) spillBytes++;
    else if (type === SLOT_ZERO) zeroBytes++;
    else if (!isData(v, type)) {
      v.denied(`invalid read from stack off ${off}+${i} size ${size}`);
    }
  }
  if (spillBytes === size && isZero(spilled)) {
    markConstZero(dst);
    return true;
  }
  if (zeroBytes === size) markConstZero(dst);
  else markUnknown(dst);
  return false;
}

/** A helper's access to memory that it may fill without reading: applied once all arguments are checked. */
export interface RawAccess {
  /** The memory need not be initialised. */
  rawMode: boolean;
  size: number;
  regno: number;
}

/** A helper reads, or writes, `size` bytes of stack. */
export function checkStackRangeInitialized(
  v: Verifier,
  regno: number,
  off: number,
  size: number,
  zeroAllowed: boolean,
  write: boolean,
  raw: RawAccess | null,
): void {
  const reg = v.reg(regno);
  if (size === 0 && !zeroAllowed) v.denied('invalid zero-sized read');
  checkStackBounds(v, regno, off, size, write);
  let min: number;
  let max: number;
  if (isConst(reg)) {
    min = constNumber(reg) + off;
    max = min;
    if (raw?.rawMode === true) {
      keepDynptrs(v, v.frameOf(reg), min, size);
      raw.size = size;
      raw.regno = regno;
      return;
    }
  } else {
    if (!v.perfmon) {
      v.denied(`R${regno} variable offset stack access prohibited for !root, var_off=${tnumText(reg)}`);
    }
    min = sminNumber(reg) + off;
    max = smaxNumber(reg) + off;
  }
  const frame = v.frameOf(reg);
  for (let i = min; i < max + size; i++) {
    if (!touchByte(v, frame, reg, i, write)) cannotRead(v, reg, regno, min, i - min, size);
  }
}

/** What a helper fills byte by byte holds no dynptr. */
function keepDynptrs(v: Verifier, frame: FuncState, min: number, size: number): void {
  for (let i = min; i < min + size; i++) {
    if (frame.peekSlot(spiOf(i))?.typeAt(byteOf(i)) !== SLOT_DYNPTR) continue;
    v.denied(`potential write to dynptr at off=${i} disallowed`);
  }
}

function cannotRead(v: Verifier, reg: Reg, regno: number, min: number, at: number, size: number): never {
  if (isConst(reg)) v.denied(`invalid read from stack R${regno} off ${min}+${at} size ${size}`);
  v.denied(`invalid read from stack R${regno} var_off ${tnumText(reg)}+${at} size ${size}`);
}

/** One byte of a helper's access: anything but what is the kernel's, and with CAP_PERFMON also pointers and stale bytes. */
function touchByte(v: Verifier, frame: FuncState, reg: Reg, off: number, write: boolean): boolean {
  const spi = spiOf(off);
  if (spi >= frame.slotCount) v.reject(ERRNO.EFAULT, 'allocated_stack too small');
  const slot = frame.slot(spi);
  const type = slot.typeAt(byteOf(off));
  if (type === SLOT_ZERO || (type === SLOT_INVALID && v.perfmon)) {
    if (write) slot.setType(byteOf(off), SLOT_MISC);
  } else if (type !== SLOT_MISC) {
    if (!slot.isSpilled || (!v.perfmon && slot.reg!.type !== SCALAR_VALUE)) return false;
    if (write) slot.types = scrubbed(slot.types);
  }
  v.liveness.markRead(reg.frameno, v.insnIdx, spi);
  return true;
}
