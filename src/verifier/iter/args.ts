/**
 * Iterators as arguments of `bpf_iter_*_new`, `_next`, `_destroy` (`process_iter_arg` of Linux 6.18), and the fork at
 * `_next`: one path where the iterator is drained, one that goes round once more (`process_iter_next_call`).
 */
import type { Btf } from '../../object/btf/btf.js';
import type { BtfTypeId } from '../../object/btf/types.js';
import type { Verifier } from '../context.js';
import { ERRNO } from '../errno.js';
import { checkMemAccess } from '../mem-access.js';
import { markNotNull } from '../nullness.js';
import { findPrevEntry, widenImpreciseScalars } from '../prune.js';
import { markConstZero, type Reg } from '../reg.js';
import { PTR_TO_STACK } from '../reg-type.js';
import { cloneState, type VerifierState } from '../state.js';
import {
  findIter,
  ITER_ACTIVE,
  ITER_DRAINED,
  isFreeForIter,
  iterDepth,
  iterSlot,
  iterState,
  iterText,
  placeIter,
  removeIter,
  setIterState,
} from './slots.js';

export type IterRole = 'new' | 'next' | 'destroy' | 'other';

/** Where the iterator of a call lies. */
export interface IterPlace {
  readonly frameno: number;
  readonly spi: number;
  /** The reference that it holds; what `_next` gives is good as long as that. */
  readonly ref: number;
}

/** What is known of the type: a structure of the kernel, its size a multiple of 8. */
export interface IterType {
  readonly btf: Btf;
  readonly id: BtfTypeId;
  readonly size: number;
}

/** Argument `regno`; the place of an iterator that was there before. */
export function checkIterArg(
  v: Verifier,
  regno: number,
  type: IterType,
  role: IterRole,
  rcuProtected: boolean,
  funcName: string,
): IterPlace | undefined {
  const reg = v.reg(regno);
  const { btf, id } = type;
  const slots = type.size / 8;
  if (role === 'new') {
    if (!isFreeForIter(v, reg, slots)) {
      v.invalid(`expected uninitialized iter_${iterText(btf, id)} as arg #${regno - 1}`);
    }
    for (let at = 0; at < type.size; at += 8) {
      checkMemAccess(v, v.insnIdx, regno, at, 8, true, -1, false, false);
    }
    placeIter(v, reg, btf, id, slots, rcuProtected);
    return undefined;
  }
  const found = findIter(v, reg, btf, id, slots);
  if (found === 'none') {
    v.invalid(`expected an initialized iter_${iterText(btf, id)} as arg #${regno - 1}`);
  }
  if (found === 'outside') v.reject(ERRNO.EPROTO, `expected an RCU CS when using ${funcName}`);
  const spi = iterSlot(v, reg, slots);
  for (let i = 0; i < slots; i++) {
    v.liveness.markRead(reg.frameno, v.insnIdx, spi - i);
    v.markSlotScratched(spi - i);
  }
  const place = { frameno: reg.frameno, spi, ref: v.frameOf(reg).peekSlot(spi)!.reg!.refObjId };
  if (role === 'destroy') removeIter(v, reg, slots);
  return place;
}

/** Only pointers to the stack can be iterators. */
export function requireStack(v: Verifier, regno: number): void {
  if (v.reg(regno).type !== PTR_TO_STACK) {
    v.invalid(`arg#${regno - 1} expected pointer to an iterator on stack`);
  }
}

export function iterReg(state: VerifierState, place: IterPlace): Reg {
  return state.frames[place.frameno]!.slot(place.spi).reg!;
}

/** After `_next`: the path that goes on has no element; another one, queued, has. */
export function forkNext(v: Verifier, place: IterPlace): void {
  const { state } = v;
  const held = iterReg(state, place);
  if (iterState(held) === ITER_ACTIVE) {
    const { parent } = state;
    const previous = parent === null ? undefined : findPrevEntry(v, parent, v.insnIdx);
    const queued = cloneState(state);
    v.pushPath(queued, v.insnIdx + 1, v.insnIdx);
    setIterState(iterReg(queued, place), ITER_ACTIVE, iterDepth(held) + 1);
    if (previous !== undefined) widenImpreciseScalars(v, previous, queued);
    markNotNull(queued.frame.reg(0));
  }
  setIterState(held, ITER_DRAINED, iterDepth(held));
  markConstZero(v.reg(0));
}
