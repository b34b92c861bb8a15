/** Helpers that call back into the program, at once or later (Linux 6.18, `is_*_callback_calling_*`). */
import type { Insn } from '../isa/insn.js';
import type { Verifier } from './context.js';
import { kfuncOf } from './kfunc/desc.js';
import { isHelperCall, isKfuncCall } from './subprogs.js';

export const FUNC_FOR_EACH_MAP_ELEM = 164;
export const FUNC_TIMER_SET_CALLBACK = 170;
export const FUNC_FIND_VMA = 180;
export const FUNC_LOOP = 181;
export const FUNC_USER_RINGBUF_DRAIN = 209;

/** The callback runs inside the call, any number of times. */
export function isSyncCallbackCall(v: Verifier, insn: Insn): boolean {
  if (isHelperCall(insn)) return isSyncCallbackHelper(insn.imm);
  return isKfuncCall(insn) && kfuncOf(v, insn)?.name === 'bpf_rbtree_add_impl';
}

/** The callback runs later, on a stack of its own. */
export function isAsyncCallbackCall(v: Verifier, insn: Insn): boolean {
  if (isHelperCall(insn)) return insn.imm === FUNC_TIMER_SET_CALLBACK;
  return callsBackAsleep(v, insn);
}

/** The callback runs later, and may sleep (`is_async_cb_sleepable`). */
export function callsBackAsleep(v: Verifier, insn: Insn): boolean {
  return isKfuncCall(insn) && ASLEEP.has(kfuncOf(v, insn)?.name ?? '');
}

const ASLEEP = new Set([
  'bpf_wq_set_callback_impl',
  'bpf_task_work_schedule_signal_impl',
  'bpf_task_work_schedule_resume_impl',
]);

function isSyncCallbackHelper(id: number): boolean {
  return (
    id === FUNC_FOR_EACH_MAP_ELEM ||
    id === FUNC_FIND_VMA ||
    id === FUNC_LOOP ||
    id === FUNC_USER_RINGBUF_DRAIN
  );
}
