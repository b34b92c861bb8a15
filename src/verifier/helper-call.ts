/**
 * Helper calls (`check_helper_call` of Linux 6.18, kernel/bpf/verifier.c): may it be called here, are its arguments good,
 * what does it do to the state, what does it return.
 */

import { AttachType } from '../abi/attach-types.js';
import type { HelperProto } from '../abi/helper-protos.js';
import { helperText } from '../abi/helpers.js';
import { MapFlag } from '../abi/map-flags.js';
import { MapType } from '../abi/map-types.js';
import type { Insn } from '../isa/insn.js';
import { isComposite } from '../object/btf/layout.js';
import { inRcuSection } from './btf/trust.js';
import {
  setFindVmaState,
  setLoopState,
  setMapElemState,
  setTimerState,
  setUserRingbufState,
} from './callback-states.js';
import { clearPacketPointers, forkAbnormalReturn, pushCallback } from './calls.js';
import type { Verifier } from './context.js';
import { dynptrOf } from './dynptr/args.js';
import { isPacketDynptr, releaseDynptr } from './dynptr/slots.js';
import { funcIpProblem, helperProto, isRefusal, mapHelperProblem } from './env/index.js';
import { ERRNO } from './errno.js';
import { isGoodFormat } from './format-string.js';
import { CallMeta, checkHelperArg } from './helper-args.js';
import {
  FUNC_DYNPTR_DATA,
  FUNC_DYNPTR_FROM_MEM,
  FUNC_DYNPTR_WRITE,
  FUNC_FIND_VMA,
  FUNC_FOR_EACH_MAP_ELEM,
  FUNC_GET_FUNC_IP,
  FUNC_LOOP,
  FUNC_PER_CPU_PTR,
  FUNC_SET_RETVAL,
  FUNC_SNPRINTF,
  FUNC_THIS_CPU_PTR,
  FUNC_TIMER_SET_CALLBACK,
  FUNC_USER_RINGBUF_DRAIN,
} from './helper-ids.js';
import { setReturnValue } from './helper-return.js';
import { checkMemAccess } from './mem-access.js';
import { markChainPrecision } from './precision.js';
import { checkResourceLeak, releaseRef, releaseRefQuietly } from './refs.js';
import { isConstScalar, isNullScalar, markUnknown } from './reg.js';
import { clearCallerSaved } from './reg-access.js';
import { isAlloc, MEM_ALLOC, MEM_PERCPU, MEM_RCU, PTR_TO_MAP_VALUE, regTypeText } from './reg-type.js';
import { constNumber, constUnsignedNumber, umaxNumber } from './scalar/index.js';
import { updateRegs } from './state.js';

const NEEDS_MAP = new Set([
  'tail_call',
  'map_lookup_elem',
  'map_update_elem',
  'map_delete_elem',
  'map_push_elem',
  'map_pop_elem',
  'map_peek_elem',
  'for_each_map_elem',
  'redirect_map',
  'map_lookup_percpu_elem',
]);
const WRITES_MAP = new Set(['map_delete_elem', 'map_update_elem', 'map_push_elem', 'map_pop_elem']);

export function checkHelperCall(v: Verifier, insn: Insn): void {
  const id = insn.imm;
  const proto = helperProto(v.env, id, v.inSleepable);
  if (isRefusal(proto)) v.reject(proto.errno, proto.message);
  if (proto.mightSleep) checkMaySleep(v, proto);
  const insnIdx = v.insnIdx;
  const meta = new CallMeta();
  for (let i = 0; i < proto.args.length; i++) checkHelperArg(v, proto, i, meta);
  recordMap(v, proto, meta);
  recordKey(v, proto, meta);
  for (let i = 0; i < meta.size; i++) checkMemAccess(v, insnIdx, meta.regno, i, 1, true, -1, false, false);
  release(v, proto, meta);
  simulate(v, insn, proto, meta);
  clearCallerSaved(v);
  setReturnValue(v, proto, meta, insnIdx);
  if (meta.map !== null) {
    const problem = mapHelperProblem(v.env, meta.map.type, id);
    if (problem !== undefined) v.reject(problem.errno, problem.message);
  }
  if (id === FUNC_GET_FUNC_IP) {
    const problem = funcIpProblem(v.env);
    if (problem !== undefined) v.reject(problem.errno, problem.message);
  }
  if (proto.name === 'tail_call') leaveByTailCall(v);
  else if (proto.changesPacket || meta.changesPacket) clearPacketPointers(v);
}

/** Not in a section that has to run through. */
function checkMaySleep(v: Verifier, proto: HelperProto): void {
  const { state } = v;
  const refuse = (where: string): never =>
    v.invalid(`sleepable helper ${helperText(proto.id)} in ${where} region`);
  if (state.activeRcuLock) refuse('rcu_read_lock');
  if (state.activePreemptLocks > 0) refuse('non-preemptible');
  if (state.activeIrqId !== 0) refuse('IRQ-disabled');
}

/** A tail call that succeeds ends the function; one that fails leaves the packet alone. */
function leaveByTailCall(v: Verifier): void {
  if (v.state.curframe === 0) return;
  forkAbnormalReturn(v, () => {
    clearPacketPointers(v);
    markUnknown(v.reg(0));
  });
}

function recordMap(v: Verifier, proto: HelperProto, meta: CallMeta): void {
  if (!NEEDS_MAP.has(proto.name)) return;
  const map = meta.map!;
  if ((map.mapFlags & MapFlag.BPF_F_RDONLY_PROG) !== 0 && WRITES_MAP.has(proto.name)) {
    v.denied('write into map forbidden');
  }
  v.aux.of(v.insnIdx).callMap = map;
}

/** The index of a tail call is worth knowing exactly. */
function recordKey(v: Verifier, proto: HelperProto, meta: CallMeta): void {
  if (proto.name !== 'tail_call') return;
  const map = meta.map!;
  if (map.type !== MapType.prog_array) v.invalid('expected prog array map for tail call');
  const reg = v.reg(3);
  if (isConstScalar(reg) && constUnsignedNumber(reg) < map.maxEntries) markChainPrecision(v, 3);
}

function release(v: Verifier, proto: HelperProto, meta: CallMeta): void {
  if (meta.releaseRegno === 0) return;
  if (proto.args[meta.releaseRegno - 1]!.kind === 'dynptr') {
    releaseDynptr(v, v.reg(meta.releaseRegno));
    return;
  }
  if (proto.name === 'kptr_xchg' && meta.refObjId !== 0) {
    giveToKptr(v, proto, meta);
    return;
  }
  const ok = meta.refObjId !== 0 ? releaseRef(v, meta.refObjId) : isNullScalar(v.reg(meta.releaseRegno));
  if (!ok) v.invalid(`func ${helperText(proto.id)} reference has not been acquired before`);
}

/** What goes into a map is lost, but for per-CPU objects under RCU, which the program may go on to look at. */
function giveToKptr(v: Verifier, proto: HelperProto, { refObjId }: CallMeta): void {
  if (!releaseRefQuietly(v, v.state, refObjId)) {
    v.invalid(`func ${helperText(proto.id)} reference has not been acquired before`);
  }
  const inRcu = inRcuSection(v);
  updateRegs(
    v.state,
    (reg) => reg.refObjId === refObjId,
    (reg) => {
      if (!inRcu || !isAlloc(reg.type) || (reg.type & MEM_PERCPU) === 0) {
        markUnknown(reg);
        return;
      }
      reg.refObjId = 0;
      reg.type = (reg.type & ~MEM_ALLOC) | MEM_RCU;
    },
  );
}

/** What single helpers do beyond their prototypes. */
function simulate(v: Verifier, insn: Insn, proto: HelperProto, meta: CallMeta): void {
  switch (proto.id) {
    case FUNC_FOR_EACH_MAP_ELEM:
      pushCallback(v, insn, meta.subprog, setMapElemState);
      return;
    case FUNC_TIMER_SET_CALLBACK:
      pushCallback(v, insn, meta.subprog, setTimerState);
      return;
    case FUNC_LOOP:
      simulateLoop(v, insn, meta);
      return;
    case FUNC_FIND_VMA:
      pushCallback(v, insn, meta.subprog, setFindVmaState);
      return;
    case FUNC_SNPRINTF:
      checkFormat(v);
      return;
    case FUNC_PER_CPU_PTR:
    case FUNC_THIS_CPU_PTR:
      checkPerCpu(v, meta);
      return;
    case FUNC_USER_RINGBUF_DRAIN:
      pushCallback(v, insn, meta.subprog, setUserRingbufState);
      return;
    case FUNC_SET_RETVAL:
      checkSetRetval(v);
      return;
    case FUNC_DYNPTR_FROM_MEM:
      if (v.reg(1).type !== PTR_TO_MAP_VALUE) {
        v.denied(`Unsupported reg type ${regTypeText(v.reg(1).type)} for bpf_dynptr_from_mem data`);
      }
      return;
    case FUNC_DYNPTR_DATA:
      noteDynptrData(v, meta);
      return;
    case FUNC_DYNPTR_WRITE:
      meta.changesPacket = isPacketDynptr(dynptrOf(v, v.reg(1)).extra);
      return;
    default:
  }
  if (proto.name === 'tail_call') checkResourceLeak(v, true, 'tail_call');
  if (proto.name === 'get_local_storage' && !isNullScalar(v.reg(2))) {
    v.invalid("get_local_storage() doesn't support non-zero flags");
  }
}

/** Hooks without a result have none to set. */
function checkSetRetval(v: Verifier): void {
  const { expectedAttachType, attach } = v.env;
  if (expectedAttachType !== AttachType.lsm_cgroup || attach?.returnsVoid !== true) return;
  v.invalid("BPF_LSM_CGROUP that attach to void LSM hooks can't modify return value!");
}

/** The memory belongs to the dynptr, and to whatever it holds. */
function noteDynptrData(v: Verifier, meta: CallMeta): void {
  const dynptr = dynptrOf(v, v.reg(1));
  meta.dynptrId = dynptr.id;
  meta.refObjId = dynptr.refObjId;
}

/** The format and its arguments' size are known here; what they say has to fit together. */
function checkFormat(v: Verifier): void {
  const format = v.reg(3);
  const size = constUnsignedNumber(v.reg(5));
  if (size % 8 !== 0) v.reject(ERRNO.EINVAL);
  const { data, valueSize } = format.map!;
  const bytes = data?.subarray(format.off + constNumber(format), valueSize) ?? new Uint8Array(1);
  if (isGoodFormat(bytes.subarray(0, bytes.indexOf(0)), size / 8)) return;
  v.invalid('Invalid format string');
}

function checkPerCpu(v: Verifier, { perCpu }: CallMeta): void {
  if (perCpu?.allocated !== true) return;
  const { btf, btfId } = perCpu;
  if (!isComposite(btf.type(btfId))) v.reject(ERRNO.EFAULT, 'Helper has invalid btf/btf_id in R1');
}

function simulateLoop(v: Verifier, insn: Insn, meta: CallMeta): void {
  noteLoop(v, meta.subprog);
  markChainPrecision(v, 1);
  const { frame } = v;
  if (frame.callbackDepth < umaxNumber(v.reg(1))) {
    pushCallback(v, insn, meta.subprog, setLoopState);
    return;
  }
  frame.callbackDepth = 0;
  if (v.log.chatty) {
    v.log.write(`frame${v.state.curframe} bpf_loop iteration limit reached\n`);
  }
}

/** Whether the loop could be inlined is found out on the way; its flags then count as needed. */
function noteLoop(v: Verifier, subprog: number): void {
  const aux = v.aux.of(v.insnIdx);
  if (aux.loopInline === 'no') return;
  const noFlags = isNullScalar(v.reg(4));
  if (noFlags) markChainPrecision(v, 4);
  const sameCallback = aux.loopInline === 'unknown' || aux.loopSubprog === subprog;
  aux.loopInline = noFlags && sameCallback ? 'yes' : 'no';
  aux.loopSubprog = subprog;
}
