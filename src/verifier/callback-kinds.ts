/** Helpers that call back into the program, at once or later (Linux 6.18, `is_*_callback_calling_*`). */
import type { Insn } from '../isa/insn.js';
import { isHelperCall } from './subprogs.js';

export const FUNC_FOR_EACH_MAP_ELEM = 164;
export const FUNC_TIMER_SET_CALLBACK = 170;
export const FUNC_FIND_VMA = 180;
export const FUNC_LOOP = 181;
export const FUNC_USER_RINGBUF_DRAIN = 209;

/** The callback runs inside the call, any number of times. */
export function isSyncCallbackCall(insn: Insn): boolean {
  return isHelperCall(insn) && isSyncCallbackHelper(insn.imm);
}

/** The callback runs later, on a stack of its own. */
export function isAsyncCallbackCall(insn: Insn): boolean {
  return isHelperCall(insn) && insn.imm === FUNC_TIMER_SET_CALLBACK;
}

function isSyncCallbackHelper(id: number): boolean {
  return (
    id === FUNC_FOR_EACH_MAP_ELEM ||
    id === FUNC_FIND_VMA ||
    id === FUNC_LOOP ||
    id === FUNC_USER_RINGBUF_DRAIN
  );
}
