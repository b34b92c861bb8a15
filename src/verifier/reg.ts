/**
 * One register, or one spilled register: its type, what the type points to, and its scalar part (for a
 * pointer: the variable part of its offset). Models `struct bpf_reg_state` of Linux 6.18
 * (include/linux/bpf_verifier.h) without what only code generation needs.
 */
import type { Btf } from '../object/btf/btf.js';
import type { MapView } from './map-view.js';
import { NOT_INIT, SCALAR_VALUE } from './reg-type.js';
import {
  copyScalar,
  equalScalar,
  isConst,
  isZero,
  Scalar,
  setConstPair,
  setUnknown,
} from './scalar/index.js';

/** Offsets of pointers, fixed or not, stay below this (BPF_MAX_VAR_OFF). */
export const MAX_VAR_OFF = 1 << 29;

/** Flags of `id`: the register is a constant (`off`) away from others with the same id, added at 64 or at 32 bits. */
export const ADD_CONST64 = -0x80000000;
export const ADD_CONST32 = 0x40000000;
export const ADD_CONST = ADD_CONST64 | ADD_CONST32;
/** An id without those flags. */
export const ID_MASK = 0x3fffffff;

/** The scalar is linked with no other any more. */
export function unlink(reg: Reg): void {
  reg.id = 0;
  reg.off = 0;
}

export class Reg extends Scalar {
  type = NOT_INIT;
  /** Fixed part of a pointer's offset; with `ADD_CONST` a scalar's distance. */
  off = 0;
  map: MapView | null = null;
  btf: Btf | null = null;
  /** What the type says: packet range, memory size, BTF type id, subprogram, kind of dynptr or of interrupt flag. */
  extra = 0;
  /** Id of the inner map, or of the dynptr that memory belongs to; of a dynptr 1 for its first slot; an iterator's state. */
  extra2 = 0;
  id = 0;
  refObjId = 0;
  /** Frame that a stack pointer points into. */
  frameno = 0;
  precise = false;

  get range(): number {
    return this.extra;
  }

  set range(bytes: number) {
    this.extra = bytes;
  }

  get memSize(): number {
    return this.extra;
  }

  set memSize(bytes: number) {
    this.extra = bytes;
  }

  get btfId(): number {
    return this.extra;
  }

  set btfId(id: number) {
    this.extra = id;
  }

  get subprog(): number {
    return this.extra;
  }

  set subprog(index: number) {
    this.extra = index;
  }

  get dynptrId(): number {
    return this.extra2;
  }

  set dynptrId(id: number) {
    this.extra2 = id;
  }

  get mapUid(): number {
    return this.extra2;
  }

  set mapUid(id: number) {
    this.extra2 = id;
  }
}

export function copyReg(dst: Reg, src: Reg): void {
  copyScalar(dst, src);
  dst.type = src.type;
  dst.off = src.off;
  dst.map = src.map;
  dst.btf = src.btf;
  dst.extra = src.extra;
  dst.extra2 = src.extra2;
  dst.id = src.id;
  dst.refObjId = src.refObjId;
  dst.frameno = src.frameno;
  dst.precise = src.precise;
}

export function cloneReg(src: Reg): Reg {
  const dst = new Reg();
  copyReg(dst, src);
  return dst;
}

/** What the type points to: `raw` of the kernel's union. */
export function copyTarget(dst: Reg, src: Reg): void {
  dst.map = src.map;
  dst.btf = src.btf;
  dst.extra = src.extra;
  dst.extra2 = src.extra2;
}

function clearTarget(reg: Reg): void {
  reg.off = 0;
  reg.map = null;
  reg.btf = null;
  reg.extra = 0;
  reg.extra2 = 0;
}

/** A scalar of which nothing is known (`__mark_reg_unknown`). */
export function markUnknown(reg: Reg): void {
  reg.type = SCALAR_VALUE;
  clearTarget(reg);
  reg.id = 0;
  reg.refObjId = 0;
  reg.frameno = 0;
  reg.precise = false;
  setUnknown(reg);
}

export function markNotInit(reg: Reg): void {
  markUnknown(reg);
  reg.type = NOT_INIT;
}

/** Known variable part; type and precision stay (`__mark_reg_known`). */
export function markKnown(reg: Reg, high: number, low: number): void {
  clearTarget(reg);
  reg.id = 0;
  reg.refObjId = 0;
  setConstPair(reg, high, low);
}

export function markKnownZero(reg: Reg): void {
  markKnown(reg, 0, 0);
}

/** The scalar 0. */
export function markConstZero(reg: Reg): void {
  markKnown(reg, 0, 0);
  reg.type = SCALAR_VALUE;
  reg.precise = false;
}

/** `register_is_null`. */
export function isNullScalar(reg: Reg): boolean {
  return reg.type === SCALAR_VALUE && isZero(reg);
}

export function isConstScalar(reg: Reg): boolean {
  return reg.type === SCALAR_VALUE && isConst(reg);
}

/** Equal up to ids, frame and precision: the part of the kernel's struct before `id`. */
export function sameShape(a: Readonly<Reg>, b: Readonly<Reg>): boolean {
  if (a === b) return true;
  return (
    a.type === b.type &&
    a.off === b.off &&
    a.map === b.map &&
    a.btf === b.btf &&
    a.extra === b.extra &&
    a.extra2 === b.extra2 &&
    equalScalar(a, b)
  );
}
