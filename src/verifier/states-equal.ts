/**
 * Is a state that was found safe at least as general as the current one? Models `states_equal` and what it
 * rests on of Linux 6.18 (kernel/bpf/verifier.c).
 */
import type { Verifier } from './context.js';
import { iterState } from './iter/slots.js';
import { ADD_CONST, ID_MASK, markUnknown, Reg, sameShape } from './reg.js';
import {
  baseType,
  NOT_INIT,
  PTR_TO_ARENA,
  PTR_TO_BUF,
  PTR_TO_MAP_KEY,
  PTR_TO_MAP_VALUE,
  PTR_TO_MEM,
  PTR_TO_PACKET,
  PTR_TO_PACKET_META,
  PTR_TO_STACK,
  PTR_TO_TP_BUFFER,
  SCALAR_VALUE,
} from './reg-type.js';
import { within } from './scalar/index.js';
import {
  ALL_SPILL,
  type FuncState,
  frameInsnIdx,
  SLOT_DYNPTR,
  SLOT_INVALID,
  SLOT_IRQ_FLAG,
  SLOT_ITER,
  SLOT_MISC,
  SLOT_SPILL,
  SLOT_ZERO,
  SLOTS,
  type StackSlot,
  type VerifierState,
} from './state.js';

/** Scalars that nobody needs precisely match anything. */
export const NOT_EXACT = 0;
/** Everything has to be the same. */
export const EXACT = 1;
/** Ranges count whether needed or not. */
export const RANGE_WITHIN = 2;
export type Exactness = typeof NOT_EXACT | typeof EXACT | typeof RANGE_WITHIN;

/** Which ids of the old state stand for which of the current one. */
class IdMap {
  #old = new Int32Array(64);
  #cur = new Int32Array(64);
  #count = 0;
  #tmp = 0;

  reset(lastId: number): void {
    this.#count = 0;
    this.#tmp = lastId;
  }

  /** `check_ids`. */
  matches(old: number, cur: number): boolean {
    if ((old === 0) !== (cur === 0)) return false;
    if (old === 0) return true;
    const olds = this.#old;
    const curs = this.#cur;
    const count = this.#count;
    for (let i = 0; i < count; i++) {
      if (olds[i] === old) return curs[i] === cur;
      if (curs[i] === cur) return false;
    }
    if (count === olds.length) this.#grow();
    this.#old[count] = old;
    this.#cur[count] = cur;
    this.#count = count + 1;
    return true;
  }

  /**
   * `check_scalar_ids` for an old scalar with an id. A current one without stands for one of its own. Scalars a constant
   * away from others pair with what is as far away from the same number.
   */
  matchesScalar(old: number, cur: number): boolean {
    if (!this.matches(old, cur === 0 ? ++this.#tmp : cur)) return false;
    return (old & ADD_CONST) === 0 || this.matches(old & ID_MASK, cur & ID_MASK);
  }

  #grow(): void {
    const old = new Int32Array(this.#old.length * 2);
    const cur = new Int32Array(this.#cur.length * 2);
    old.set(this.#old);
    cur.set(this.#cur);
    this.#old = old;
    this.#cur = cur;
  }
}

const ids = new IdMap();
const unbound = new Reg();
markUnknown(unbound);

export function resetIds(v: Verifier): void {
  ids.reset(v.idGen);
}

/** Equal but for the names of ids (`regs_exact`). Ids are paired since `resetIds`. */
export function regsExact(old: Reg, cur: Reg): boolean {
  return sameShape(old, cur) && ids.matches(old.id, cur.id) && ids.matches(old.refObjId, cur.refObjId);
}

/** Of the program that is judged, set by `statesEqual`. */
let exploreAluLimits = false;
let capable = true;
let staleIsData = true;

function scalarSafe(old: Reg, cur: Reg, exact: Exactness): boolean {
  if (exploreAluLimits) return sameShape(old, cur) && linksSafe(old, cur);
  if (exact === NOT_EXACT && !old.precise && (capable || old === unbound)) return true;
  return linksSafe(old, cur) && within(old, cur);
}

/** Linked as the old one was, and as far apart; links that only the current one has do no harm. */
function linksSafe(old: Reg, cur: Reg): boolean {
  if (old.id === 0) return true;
  if ((old.id & ADD_CONST) !== (cur.id & ADD_CONST)) return false;
  if ((old.id & ADD_CONST) !== 0 && old.off !== cur.off) return false;
  return ids.matchesScalar(old.id, cur.id);
}

/** Negative ranges stand for "at the end" and "beyond it": those have to be the same. */
const rangeSafe = (old: number, cur: number): boolean => (old < 0 || cur < 0 ? old === cur : old <= cur);

function regSafe(old: Readonly<Reg>, cur: Readonly<Reg>, exact: Exactness): boolean {
  if (exact === EXACT) return regsExact(old, cur);
  if (old.type === NOT_INIT && (exact === NOT_EXACT || cur.type === NOT_INIT)) return true;
  if (old.type !== cur.type) return false;
  switch (baseType(old.type)) {
    case SCALAR_VALUE:
      return scalarSafe(old, cur, exact);
    case PTR_TO_MAP_KEY:
    case PTR_TO_MAP_VALUE:
    case PTR_TO_MEM:
    case PTR_TO_BUF:
    case PTR_TO_TP_BUFFER:
      return (
        old.off === cur.off &&
        old.map === cur.map &&
        old.btf === cur.btf &&
        old.extra === cur.extra &&
        old.extra2 === cur.extra2 &&
        within(old, cur) &&
        ids.matches(old.id, cur.id) &&
        ids.matches(old.refObjId, cur.refObjId)
      );
    case PTR_TO_PACKET_META:
    case PTR_TO_PACKET:
      return (
        rangeSafe(old.range, cur.range) &&
        old.off === cur.off &&
        ids.matches(old.id, cur.id) &&
        within(old, cur)
      );
    case PTR_TO_STACK:
      return regsExact(old, cur) && old.frameno === cur.frameno;
    case PTR_TO_ARENA:
      return true;
    default:
      return regsExact(old, cur);
  }
}

/** A slot that a load would turn into a scalar: the spilled one, or an unknown one. */
function scalarOf(slot: Readonly<StackSlot>): Readonly<Reg> | null {
  if (slot.types === ALL_SPILL && slot.reg !== null && slot.reg.type === SCALAR_VALUE) return slot.reg;
  for (let shift = 0; shift < 32; shift += 4) {
    const type = (slot.types >>> shift) & 15;
    if (type !== SLOT_MISC && (type !== SLOT_INVALID || !staleIsData)) return null;
  }
  return unbound;
}

function slotSafe(old: Readonly<StackSlot>, cur: Readonly<StackSlot> | undefined, exact: Exactness): boolean {
  if (exact !== NOT_EXACT && (cur === undefined || old.types !== cur.types)) return false;
  for (let byte = 0; byte < 8; byte++) {
    const type = old.typeAt(byte);
    if (type === SLOT_INVALID || (type === SLOT_MISC && staleIsData)) continue;
    if (cur === undefined) return false;
    const oldScalar = scalarOf(old);
    const curScalar = oldScalar === null ? null : scalarOf(cur);
    if (oldScalar !== null && curScalar !== null) return regSafe(oldScalar, curScalar, exact);
    const curType = cur.typeAt(byte);
    if (type === SLOT_MISC && curType === SLOT_ZERO) continue;
    if (type !== curType) return false;
    if (byte !== 7) continue;
    if (type === SLOT_SPILL) return regSafe(old.reg!, cur.reg!, exact);
    if (type !== SLOT_ZERO && type !== SLOT_MISC) return objectSafe(type, old.reg!, cur.reg!);
  }
  return true;
}

/** The same kind of object, in the same state. How often an iterator went round does not matter. */
function objectSafe(type: number, old: Reg, cur: Reg): boolean {
  if (!ids.matches(old.refObjId, cur.refObjId)) return false;
  if (old.extra !== cur.extra) return false;
  if (type === SLOT_DYNPTR) return old.extra2 === cur.extra2;
  if (type === SLOT_ITER) return old.btf === cur.btf && iterState(old) === iterState(cur);
  return type === SLOT_IRQ_FLAG;
}

function refsSafe(old: VerifierState, cur: VerifierState): boolean {
  if (
    old.refs.length !== cur.refs.length ||
    old.activeLocks !== cur.activeLocks ||
    old.activePreemptLocks !== cur.activePreemptLocks ||
    old.activeRcuLock !== cur.activeRcuLock ||
    !ids.matches(old.activeIrqId, cur.activeIrqId) ||
    !ids.matches(old.activeLockId, cur.activeLockId) ||
    old.activeLockPtr !== cur.activeLockPtr
  ) {
    return false;
  }
  return old.refs.every((ref, i) => {
    const other = cur.refs[i]!;
    return ids.matches(ref.id, other.id) && ref.type === other.type && ref.ptr === other.ptr;
  });
}

/** Where frames differ, as `differsAt` says it; -1: the old one covers the current one. */
function differenceOf(v: Verifier, old: FuncState, cur: FuncState, insn: number, exact: Exactness): number {
  const liveRegs = v.aux.liveRegs[insn]!;
  for (let i = 0; i <= 10; i++) {
    if ((liveRegs & (1 << i)) !== 0 && !regSafe(old.peek(i), cur.peek(i), exact)) return i;
  }
  for (let spi = 0; spi < old.slotCount; spi++) {
    if (!slotSafe(old.peekSlot(spi)!, cur.peekSlot(spi), exact)) return SLOTS + spi;
  }
  return -1;
}

/** What told states apart the last time is likely to do so again. */
function differsAgain(old: VerifierState, cur: VerifierState, exact: Exactness): boolean {
  const at = old.differsAt;
  if (at < 0) return false;
  if (at < SLOTS) return !regSafe(old.differing!, cur.frame.peek(at), exact);
  return !slotSafe(old.frame.peekSlot(at - SLOTS)!, cur.frame.peekSlot(at - SLOTS), exact);
}

/** True where everything that is safe from `old` is safe from `cur`. */
export function statesEqual(v: Verifier, old: VerifierState, cur: VerifierState, exact: Exactness): boolean {
  ids.reset(v.idGen);
  exploreAluLimits = v.exploreAluLimits;
  capable = v.capable;
  staleIsData = v.perfmon;
  if (differsAgain(old, cur, exact)) return false;
  const { length } = old.frames;
  if (length !== cur.frames.length) return false;
  if ((old.speculative && !cur.speculative) || old.inSleepable !== cur.inSleepable) return false;
  ids.reset(v.idGen);
  for (let i = length - 1; i >= 0; i--) {
    const oldFrame = old.frames[i]!;
    const curFrame = cur.frames[i]!;
    if (oldFrame.callsite !== curFrame.callsite || oldFrame.callbackDepth > curFrame.callbackDepth)
      return false;
    const at = differenceOf(v, oldFrame, curFrame, frameInsnIdx(old, i), exact);
    if (at < 0) continue;
    if (i === length - 1) {
      old.differsAt = at;
      old.differing = at < SLOTS ? oldFrame.peek(at) : null;
    }
    return false;
  }
  return refsSafe(old, cur);
}

/** Cheap look at whether a loop may have come round unchanged: registers alike, ids and all. */
export function maybeLooping(old: VerifierState, cur: VerifierState): boolean {
  if (old.frames.length !== cur.frames.length) return false;
  const a = old.frame;
  const b = cur.frame;
  if (!identical(a.peek(old.changedReg), b.peek(old.changedReg))) return false;
  for (let i = 0; i <= 10; i++) {
    if (identical(a.peek(i), b.peek(i))) continue;
    old.changedReg = i;
    return false;
  }
  return true;
}

const identical = (a: Readonly<Reg>, b: Readonly<Reg>): boolean =>
  a === b || (a.id === b.id && a.refObjId === b.refObjId && sameShape(a, b));
