/** What callbacks are called with (`set_*_callback_state` of Linux 6.18, kernel/bpf/verifier.c). */
import { MapType } from '../abi/map-types.js';
import { kernelBtf, kernelStruct } from './btf/kernel-types.js';
import { markBtfPointer } from './btf/trust.js';
import type { Verifier } from './context.js';
import { DYNPTR_LOCAL, markDynptrReg } from './dynptr/slots.js';
import { ERRNO } from './errno.js';
import { markGraphNode, setNonOwning } from './kfunc/graph-return.js';
import type { MapView } from './map-view.js';
import { fieldAt, recordOf } from './record.js';
import { copyReg, markKnownZero, markUnknown, type Reg } from './reg.js';
import { CONST_PTR_TO_MAP, PTR_TO_MAP_KEY, PTR_TO_MAP_VALUE } from './reg-type.js';
import { FIELD } from './special-fields.js';
import type { FuncState } from './state.js';

const ITERABLE: ReadonlySet<number> = new Set([
  MapType.hash,
  MapType.array,
  MapType.percpu_hash,
  MapType.percpu_array,
  MapType.lru_hash,
  MapType.lru_percpu_hash,
]);

function setMapPointer(reg: Reg, type: number, map: MapView): void {
  reg.type = type;
  markKnownZero(reg);
  reg.map = map;
}

/** `callback(map, key, value, ctx)` of `bpf_for_each_map_elem`. */
export function setMapElemState(v: Verifier, caller: FuncState, callee: FuncState, insnIdx: number): void {
  const map = v.aux.of(insnIdx).callMap!;
  if (!ITERABLE.has(map.type)) v.reject(ERRNO.ENOTSUPP, 'callback function not allowed for map');
  copyReg(callee.reg(1), caller.reg(1));
  setMapPointer(callee.reg(2), PTR_TO_MAP_KEY, caller.reg(1).map!);
  setMapPointer(callee.reg(3), PTR_TO_MAP_VALUE, caller.reg(1).map!);
  copyReg(callee.reg(4), caller.reg(3));
  callee.inCallback = true;
  callee.retMin = 0;
  callee.retMax = 1;
}

/** `callback(index, ctx)` of `bpf_loop`. */
export function setLoopState(_v: Verifier, caller: FuncState, callee: FuncState): void {
  markUnknown(callee.reg(1));
  copyReg(callee.reg(2), caller.reg(3));
  callee.inCallback = true;
  callee.retMin = 0;
  callee.retMax = 1;
}

/** `callback(map, key, value)` of a timer, or of a work queue. */
export function setTimerState(_v: Verifier, caller: FuncState, callee: FuncState): void {
  setLaterState(caller.reg(1).map!, callee, 0, 0);
}

/** The same of task work, whose result counts for nothing. */
export function setTaskWorkState(_v: Verifier, caller: FuncState, callee: FuncState): void {
  setLaterState(caller.reg(3).map!, callee, -0x80000000, 0x7fffffff);
}

function setLaterState(map: MapView, callee: FuncState, retMin: number, retMax: number): void {
  setMapPointer(callee.reg(1), CONST_PTR_TO_MAP, map);
  setMapPointer(callee.reg(2), PTR_TO_MAP_KEY, map);
  setMapPointer(callee.reg(3), PTR_TO_MAP_VALUE, map);
  callee.inAsyncCallback = true;
  callee.retMin = retMin;
  callee.retMax = retMax;
}

/** `callback(task, vma, ctx)` of `bpf_find_vma`. */
export function setFindVmaState(v: Verifier, caller: FuncState, callee: FuncState): void {
  copyReg(callee.reg(1), caller.reg(1));
  const vma = callee.reg(2);
  markBtfPointer(v, vma, kernelBtf(v, 'struct vm_area_struct'), kernelStruct(v, 'vm_area_struct'), 0);
  copyReg(callee.reg(3), caller.reg(4));
  callee.inCallback = true;
  callee.retMin = 0;
  callee.retMax = 1;
}

/** `callback(dynptr, ctx)` of `bpf_user_ringbuf_drain`. */
export function setUserRingbufState(v: Verifier, caller: FuncState, callee: FuncState): void {
  markDynptrReg(callee.reg(1), DYNPTR_LOCAL, true, v.newId());
  copyReg(callee.reg(2), caller.reg(3));
  callee.inCallback = true;
  callee.retMin = 0;
  callee.retMax = 1;
}

/** `less(a, b)` of `bpf_rbtree_add`: both nodes are the tree's, under its lock. */
export function setTreeLessState(v: Verifier, caller: FuncState, callee: FuncState): void {
  const root = caller.reg(1);
  const target = fieldAt(recordOf(root), root.off, FIELD.RB_ROOT)?.target;
  if (target === undefined) v.reject(ERRNO.EFAULT);
  for (let i = 1; i <= 2; i++) {
    markGraphNode(callee.reg(i), target);
    setNonOwning(v, callee.reg(i));
  }
  callee.inCallback = true;
  callee.retMin = 0;
  callee.retMax = 1;
}
