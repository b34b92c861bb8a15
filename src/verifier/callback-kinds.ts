/** Helpers that call back into the program, at once or later (Linux 6.18, `is_*_callback_calling_*`). */

import type { Insn } from '../isa/insn.js';
import type { Verifier } from './context.js';
import {
  FUNC_FIND_VMA,
  FUNC_FOR_EACH_MAP_ELEM,
  FUNC_LOOP,
  FUNC_TIMER_SET_CALLBACK,
  FUNC_USER_RINGBUF_DRAIN,
} from './helper-ids.js';
import { kfuncOf } from './kfunc/desc.js';
import { isHelperCall, isKfuncCall } from './subprogs.js';

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
