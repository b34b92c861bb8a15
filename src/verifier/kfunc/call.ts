/**
 * Calls of kernel functions (`check_kfunc_call` of Linux 6.18, kernel/bpf/verifier.c): may it be called here, are its
 * arguments good, what does it do to the state, what does it return.
 */
import { MAX_ERRNO } from '../../abi/errno.js';
import { KF } from '../../abi/kfuncs.js';
import type { Insn } from '../../isa/insn.js';
import { setTaskWorkState, setTimerState, setTreeLessState } from '../callback-states.js';
import { clearPacketPointers, pushCallback } from '../calls.js';
import type { Verifier } from '../context.js';
import { releaseDynptr } from '../dynptr/slots.js';
import { ERRNO } from '../errno.js';
import { forkNext } from '../iter/args.js';
import { releaseRef } from '../refs.js';
import { markNotInit, markUnknown } from '../reg.js';
import { clearCallerSaved } from '../reg-access.js';
import { checkReturnCode } from '../return-value.js';
import { setS32Range, syncBounds } from '../scalar/index.js';
import { cloneState } from '../state.js';
import { checkKfuncArgs } from './args.js';
import { changesPacket, isIterNext, kfuncOf } from './desc.js';
import { lendObject } from './graph-return.js';
import { KfuncMeta } from './meta.js';
import { enterOrLeaveSections } from './regions.js';
import { setKfuncResult } from './returns.js';
import type { Kfunc } from './types.js';

const TASK_WORK = new Set(['bpf_task_work_schedule_signal_impl', 'bpf_task_work_schedule_resume_impl']);
const INSERTS = new Set(['bpf_list_push_front_impl', 'bpf_list_push_back_impl', 'bpf_rbtree_add_impl']);

/** True where the call throws: the path ends. */
export function checkKfuncCall(v: Verifier, insn: Insn): boolean {
  // What names nothing fails only where it remains in the program.
  if (insn.imm === 0) return false;
  const kfunc = kfuncOf(v, insn)!;
  const { name } = kfunc;
  if (!kfunc.allowed) v.denied(`calling kernel function ${name} is not allowed`);
  if (name === 'bpf_res_spin_lock' || name === 'bpf_res_spin_lock_irqsave') forkFailedLock(v);
  if (name === '__bpf_trap') {
    v.reject(ERRNO.EFAULT, 'unexpected __bpf_trap() due to uninitialized variable?');
  }
  if ((kfunc.flags & KF.SLEEPABLE) !== 0 && !v.inSleepable) {
    v.denied(`program must be sleepable to call sleepable kfunc ${name}`);
  }
  const insnIdx = v.insnIdx;
  const meta = new KfuncMeta(kfunc);
  checkKfuncArgs(v, meta);
  callBack(v, insn, meta);
  if (name === 'bpf_session_cookie') {
    meta.returnSize = 8n;
    meta.returnReadOnly = false;
  }
  enterOrLeaveSections(v, meta);
  release(v, meta);
  if (INSERTS.has(name)) lendObject(v, kfunc);
  const throws = name === 'bpf_throw';
  if (throws) {
    v.seenException = true;
    if (v.exceptionStart === 0) checkReturnCode(v, 1);
  }
  clearCallerSaved(v);
  setKfuncResult(v, meta, insnIdx);
  if (changesPacket(kfunc)) clearPacketPointers(v);
  if (isIterNext(kfunc)) {
    // Linux does not register such a function; types that say so are not a kernel's.
    if (meta.iter === undefined) v.unsupported(`${kfunc.name} whose type has no iterator argument`);
    forkNext(v, meta.iter);
  }
  return throws;
}

/** A resilient lock may not be had: another path goes on without it, with an error. */
function forkFailedLock(v: Verifier): void {
  const failed = cloneState(v.state);
  v.pushPath(failed, v.insnIdx + 1, v.insnIdx);
  const { frame } = failed;
  for (let i = 0; i <= 5; i++) markNotInit(frame.reg(i));
  const r0 = frame.reg(0);
  markUnknown(r0);
  setS32Range(r0, -MAX_ERRNO, -1);
  syncBounds(r0);
}

function callBack(v: Verifier, insn: Insn, { kfunc, subprog }: KfuncMeta): void {
  const { name } = kfunc;
  if (name === 'bpf_rbtree_add_impl') pushCallback(v, insn, subprog, setTreeLessState);
  else if (name === 'bpf_wq_set_callback_impl') pushCallback(v, insn, subprog, setTimerState);
  else if (TASK_WORK.has(name)) pushCallback(v, insn, subprog, setTaskWorkState);
}

function release(v: Verifier, meta: KfuncMeta): void {
  if (meta.releaseRegno === 0) return;
  const reg = v.reg(meta.releaseRegno);
  if (meta.dynptrRef !== 0) {
    releaseDynptr(v, reg);
    return;
  }
  if (releaseRef(v, reg.refObjId)) return;
  v.invalid(`kfunc ${refText(meta.kfunc)} reference has not been acquired before`);
}

const refText = ({ name, id }: Kfunc): string => `${name}#${id}`;
