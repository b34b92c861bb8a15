/**
 * Dynptrs as arguments: places for new ones, and ones that are there (`process_dynptr_func` of Linux 6.18,
 * kernel/bpf/verifier.c). Both what points to the stack and what a callback was handed are taken.
 */
import type { Verifier } from '../context.js';
import { checkMemAccess } from '../mem-access.js';
import type { Reg } from '../reg.js';
import { CONST_PTR_TO_DYNPTR, PTR_TO_STACK } from '../reg-type.js';
import { NO_SLOT } from '../stack-object.js';
import { ALL_DYNPTR } from '../state.js';
import { DYNPTR_SLOTS, dynptrSlot, dynptrText, placeDynptr } from './slots.js';

/** What an argument asks of a dynptr. */
export interface DynptrWish {
  /** A place for a new one. */
  readonly uninit: boolean;
  /** It is not changed or given back. */
  readonly readOnly: boolean;
  /** Kind of the new one, or that the present one has to be of; 0: any. */
  readonly type: number;
}

/** The register that knows of the dynptr which `reg` points to, or is. */
export function dynptrOf(v: Verifier, reg: Reg): Reg {
  if (reg.type === CONST_PTR_TO_DYNPTR) return reg;
  return v.frameOf(reg).slot(dynptrSlot(v, reg)).reg!;
}

/** Argument `regno` against what is wished; a new dynptr is there afterwards. */
export function checkDynptrArg(
  v: Verifier,
  regno: number,
  insnIdx: number,
  wish: DynptrWish,
  cloneRef = 0,
): void {
  const reg = v.reg(regno);
  if (reg.type !== PTR_TO_STACK && reg.type !== CONST_PTR_TO_DYNPTR) {
    v.invalid(`arg#${regno - 1} expected pointer to stack or const struct bpf_dynptr`);
  }
  if (wish.uninit) placeNew(v, reg, regno, insnIdx, wish.type, cloneRef);
  else checkPresent(v, reg, regno, wish);
}

function placeNew(
  v: Verifier,
  reg: Reg,
  regno: number,
  insnIdx: number,
  type: number,
  cloneRef: number,
): void {
  if (reg.type === CONST_PTR_TO_DYNPTR || dynptrSlot(v, reg) === NO_SLOT) {
    v.invalid('Dynptr has to be an uninitialized dynptr');
  }
  for (let at = 0; at < DYNPTR_SLOTS * 8; at += 8) {
    checkMemAccess(v, insnIdx, regno, at, 8, true, -1, false, false);
  }
  placeDynptr(v, reg, type, insnIdx, cloneRef);
}

function checkPresent(v: Verifier, reg: Reg, regno: number, wish: DynptrWish): void {
  const isConst = reg.type === CONST_PTR_TO_DYNPTR;
  if (isConst && !wish.readOnly) {
    v.invalid('cannot pass pointer to const bpf_dynptr, the helper mutates it');
  }
  const spi = isConst ? 0 : validSlot(v, reg);
  if (spi < 0) v.invalid(`Expected an initialized dynptr as arg #${regno - 1}`);
  if (wish.type !== 0 && dynptrOf(v, reg).extra !== wish.type) {
    v.invalid(`Expected a dynptr of type ${dynptrText(wish.type)} as arg #${regno - 1}`);
  }
  if (isConst) return;
  for (const slot of [spi, spi - 1]) {
    v.liveness.markRead(reg.frameno, v.insnIdx, slot);
    v.markSlotScratched(slot);
  }
}

/** The first slot of a whole dynptr, or less than 0 (`is_dynptr_reg_valid_init`). */
function validSlot(v: Verifier, reg: Reg): number {
  const spi = dynptrSlot(v, reg);
  if (spi < 0) return spi;
  const frame = v.frameOf(reg);
  const first = frame.slot(spi);
  const whole = first.types === ALL_DYNPTR && frame.slot(spi - 1).types === ALL_DYNPTR;
  return whole && first.reg?.extra2 === 1 ? spi : NO_SLOT;
}

/** Only a dynptr on the stack that holds something can be given back. */
export function checkOwnedDynptr(v: Verifier, reg: Reg, regno: number): void {
  if (reg.type !== PTR_TO_STACK) v.invalid('cannot release unowned const bpf_dynptr');
  const spi = dynptrSlot(v, reg);
  const held = spi < 0 ? null : v.frameOf(reg).slot(spi).reg;
  if ((held?.refObjId ?? 0) === 0) v.invalid(`arg ${regno} is an unacquired reference`);
}
