/** Ids of the helpers that the simulation treats in a way of its own, from the table of all of them. */
import { HELPERS, type HelperName } from '../abi/helpers.js';

function idOf(name: HelperName): number {
  return HELPERS.findIndex((helper) => helper.name === name) + 1;
}

export const FUNC_TAIL_CALL = idOf('tail_call');
export const FUNC_MAP_PEEK_ELEM = idOf('map_peek_elem');
export const FUNC_SPIN_LOCK = idOf('spin_lock');
export const FUNC_SPIN_UNLOCK = idOf('spin_unlock');
export const FUNC_PER_CPU_PTR = idOf('per_cpu_ptr');
export const FUNC_THIS_CPU_PTR = idOf('this_cpu_ptr');
export const FUNC_FOR_EACH_MAP_ELEM = idOf('for_each_map_elem');
export const FUNC_SNPRINTF = idOf('snprintf');
export const FUNC_TIMER_SET_CALLBACK = idOf('timer_set_callback');
export const FUNC_GET_FUNC_IP = idOf('get_func_ip');
export const FUNC_FIND_VMA = idOf('find_vma');
export const FUNC_LOOP = idOf('loop');
export const FUNC_SET_RETVAL = idOf('set_retval');
export const FUNC_DYNPTR_FROM_MEM = idOf('dynptr_from_mem');
export const FUNC_DYNPTR_WRITE = idOf('dynptr_write');
export const FUNC_DYNPTR_DATA = idOf('dynptr_data');
export const FUNC_USER_RINGBUF_DRAIN = idOf('user_ringbuf_drain');
