/**
 * Wrong turns that a processor may take before it notices: without CAP_PERFMON, paths that cannot be are simulated as
 * well, arithmetic on pointers has to be such that it can be masked, and what only a wrong turn makes unsafe gets a
 * barrier in front. Models `sanitize_ptr_alu`, `sanitize_speculative_path` and `nospec` of Linux 6.18
 * (kernel/bpf/verifier.c).
 */
import { BPF_ADD, BPF_K, BPF_SUB, BPF_X, bpfOp, bpfSrc } from '../isa/constants.js';
import type { Insn } from '../isa/insn.js';
import type { Verifier } from './context.js';
import { ERRNO } from './errno.js';
import { NOSPEC } from './insn-facts.js';
import { cloneReg, copyReg, markUnknown, type Reg } from './reg.js';
import { PTR_TO_MAP_VALUE, PTR_TO_STACK } from './reg-type.js';
import { checkMapValue } from './region.js';
import { isConst, smaxNumber, sminNumber, tnumText, unbound32 } from './scalar/index.js';
import { cloneState, MAX_BPF_STACK, shareState, type VerifierState } from './state.js';
import { Rejection } from './verdict.js';

/** How an addition or subtraction is to be masked (`alu_state`), bits as in Linux. */
const SANITIZE_SRC = 1 << 0;
const SANITIZE_DST = 1 << 1;
const NEG_VALUE = 1 << 2;
const NON_POINTER = 1 << 3;
const IMMEDIATE = 1 << 4;

/** What is found out before the pointer is moved, and needed after it. */
export interface AluWindow {
  state: number;
  limit: number;
  maskToLeft: boolean;
}

/** Where nothing is masked. */
export const NO_WINDOW: AluWindow = { state: 0, limit: 0, maskToLeft: false };
export const newWindow = (): AluWindow => ({ state: 0, limit: 0, maskToLeft: false });

type Reason = 'bounds' | 'type' | 'paths' | 'limit';

const PROHIBITED = 'pointer arithmetic with it prohibited for !root';

const isAddOrSub = (insn: Insn): boolean => bpfOp(insn.code) === BPF_ADD || bpfOp(insn.code) === BPF_SUB;

/** Nothing to mask: a constant operand, or a barrier stands in front. */
function needsNoMask(v: Verifier, insn: Insn): boolean {
  return v.perfmon || bpfSrc(insn.code) === BPF_K || v.aux.has(v.insnIdx, NOSPEC) || !isAddOrSub(insn);
}

/** True where other paths want the instruction masked otherwise. */
function conflicts(v: Verifier, state: number, limit: number): boolean {
  const aux = v.aux.of(v.insnIdx);
  if (aux.aluState !== 0 && (aux.aluState !== state || aux.aluLimit !== limit)) return true;
  aux.aluState = state;
  aux.aluLimit = limit;
  return false;
}

/** `dst op= src`, both numbers. */
export function sanitizeScalar(v: Verifier, insn: Insn): void {
  if (needsNoMask(v, insn)) return;
  if (conflicts(v, NON_POINTER, 0)) refuse(v, insn, 'paths', false);
}

/** How far the pointer may go in the direction of the mask; undefined: the type has no bounds to mask with. */
function limitOf(
  ptr: Reg,
  maskToLeft: boolean,
): { readonly limit: number; readonly max: number } | undefined {
  switch (ptr.type) {
    case PTR_TO_STACK:
      return { limit: -(ptr.valueLo + ptr.off) >>> 0, max: MAX_BPF_STACK + (maskToLeft ? 1 : 0) };
    case PTR_TO_MAP_VALUE:
      return { limit: ((maskToLeft ? ptr.sminLo : ptr.umaxLo) + ptr.off) >>> 0, max: ptr.map!.valueSize };
    default:
      return undefined;
  }
}

function refuse(v: Verifier, insn: Insn, reason: Reason, offIsDst: boolean): never {
  const { dst, src } = insn;
  const verb = bpfOp(insn.code) === BPF_ADD ? 'add' : 'sub';
  switch (reason) {
    case 'bounds':
      return v.denied(`R${offIsDst ? dst : src} has unknown scalar with mixed signed bounds, ${PROHIBITED}`);
    case 'type':
      return v.denied(`R${offIsDst ? src : dst} has pointer with unsupported alu operation, ${PROHIBITED}`);
    case 'paths':
      return v.denied(`R${dst} tried to ${verb} from different maps, paths or scalars, ${PROHIBITED}`);
    case 'limit':
      return v.denied(`R${dst} tried to ${verb} beyond pointer bounds, ${PROHIBITED}`);
  }
}

/** Before `ptr op= off`: finds the mask; and follows the path on which the mask makes the offset zero. */
export function sanitizeBefore(
  v: Verifier,
  insn: Insn,
  ptr: Reg,
  off: Reg,
  dst: Reg,
  window: AluWindow,
): void {
  if (needsNoMask(v, insn)) return;
  const isImm = isConst(off);
  if (!v.state.speculative) {
    const reason = openWindow(v, insn, ptr, off, dst, window);
    if (reason !== undefined) refuse(v, insn, reason, off === dst);
  }
  if (isImm) return;
  const saved = ptr === dst ? null : cloneReg(dst);
  if (saved !== null) copyReg(dst, ptr);
  else unbound32(dst);
  push(v, cloneState(v.state), v.insnIdx + 1, ERRNO.ENOMEM);
  if (saved !== null) copyReg(dst, saved);
}

function openWindow(
  v: Verifier,
  insn: Insn,
  ptr: Reg,
  off: Reg,
  dst: Reg,
  window: AluWindow,
): Reason | undefined {
  const isImm = isConst(off);
  const isNegative = sminNumber(off) < 0;
  if (!isImm && isNegative !== smaxNumber(off) < 0) return 'bounds';
  window.maskToLeft = (bpfOp(insn.code) === BPF_ADD) === isNegative;
  const found = limitOf(ptr, window.maskToLeft);
  if (found === undefined) return 'type';
  if (found.limit >= found.max) return 'limit';
  window.limit = found.limit;
  window.state =
    (isNegative ? NEG_VALUE : 0) | (isImm ? IMMEDIATE : 0) | (ptr === dst ? SANITIZE_SRC : SANITIZE_DST);
  if (!isImm) v.exploreAluLimits = true;
  return undefined;
}

/** After it: the mask is as wide as the pointer was seen to move. */
export function sanitizeAfter(v: Verifier, insn: Insn, off: Reg, dst: Reg, window: AluWindow): void {
  if (needsNoMask(v, insn) || v.state.speculative) return;
  const found = limitOf(dst, window.maskToLeft);
  if (found === undefined) refuse(v, insn, 'type', off === dst);
  if (found.limit >= found.max) refuse(v, insn, 'limit', off === dst);
  const width = Math.abs((window.limit - found.limit) | 0);
  if (conflicts(v, window.state, width)) refuse(v, insn, 'paths', off === dst);
}

/** A moved pointer has to stay where it can be masked (`sanitize_check_bounds`). */
export function checkStays(v: Verifier, insn: Insn, dst: Reg): void {
  if (v.perfmon) return;
  if (dst.type === PTR_TO_STACK) checkStaysOnStack(v, insn.dst, dst);
  if (dst.type !== PTR_TO_MAP_VALUE) return;
  try {
    checkMapValue(v, insn.dst, dst.off, 1, false, false);
  } catch (error) {
    if (error instanceof Rejection) {
      v.denied(`R${insn.dst} pointer arithmetic of map value goes out of range, prohibited for !root`);
    }
    throw error;
  }
}

function checkStaysOnStack(v: Verifier, regno: number, reg: Reg): void {
  const off = (reg.off + reg.valueLo) | 0;
  if (!isConst(reg)) {
    v.denied(`R${regno} variable stack access prohibited for !root, var_off=${tnumText(reg)} off=${off}`);
  }
  if (off < 0 && off >= -MAX_BPF_STACK) return;
  v.denied(`R${regno} stack pointer arithmetic goes out of range, prohibited for !root; off=${off}`);
}

/** The way that a decided branch does not go, from instruction `next` on. */
export function followWrongTurn(v: Verifier, insn: Insn, next: number): void {
  if (v.perfmon) return;
  const state = shareState(v.state);
  push(v, state, next, ERRNO.EFAULT);
  markUnknown(state.frame.reg(insn.dst));
  if (bpfSrc(insn.code) === BPF_X) markUnknown(state.frame.reg(insn.src));
}

function push(v: Verifier, state: VerifierState, next: number, errno: number): void {
  state.speculative = true;
  v.pushPath(state, next, v.insnIdx, errno);
}

/** An error that a barrier in front of the instruction mends, if only a wrong turn leads there. */
export function isMendable(error: unknown): boolean {
  if (!(error instanceof Rejection)) return false;
  return error.errno === ERRNO.EPERM || error.errno === ERRNO.EACCES || error.errno === ERRNO.EINVAL;
}

/** No wrong turn gets past `insn` any more. */
export function putBarrier(v: Verifier, insn: number): void {
  v.aux.set(insn, NOSPEC);
  const aux = v.aux.known(insn);
  if (aux !== undefined) aux.aluState = 0;
}
