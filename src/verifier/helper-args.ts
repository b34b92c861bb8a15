/**
 * One argument of a helper against its prototype (`check_func_arg` of Linux 6.18, kernel/bpf/verifier.c): register type,
 * offset, the memory or object behind it.
 */

import type { HelperArg, HelperArgKind, HelperProto } from '../abi/helper-protos.js';
import { MapType } from '../abi/map-types.js';
import { checkAlignment } from './alignment.js';
import { checkBtfArg, matchStruct, type PerCpuArg } from './btf/helper-arg.js';
import type { Verifier } from './context.js';
import { checkDynptrArg, checkOwnedDynptr } from './dynptr/args.js';
import { DYNPTR_LOCAL, DYNPTR_RINGBUF } from './dynptr/slots.js';
import { mayAccessPacket, timerProblem } from './env/index.js';
import { ERRNO } from './errno.js';
import { FUNC_MAP_PEEK_ELEM, FUNC_SPIN_LOCK } from './helper-ids.js';
import { checkFuncArgOffset, checkHelperMem, checkMemSize } from './helper-mem.js';
import { inTreeCallback } from './kfunc/tree-callback.js';
import { kptrMatches, kptrOfDest } from './kptr.js';
import { checkFieldPointer } from './map-field.js';
import type { MapView } from './map-view.js';
import { markChainPrecision, markPrecisionBatch } from './precision.js';
import { isPointerValue } from './privilege.js';
import { isNullScalar, type Reg } from './reg.js';
import { checkSrc } from './reg-access.js';
import {
  baseType,
  CONST_PTR_TO_DYNPTR,
  CONST_PTR_TO_MAP,
  DYNPTR_TYPES,
  isAlloc,
  isPacketPointer,
  MEM_ALLOC,
  MEM_PERCPU,
  MEM_RCU,
  MEM_RDONLY,
  MEM_RINGBUF,
  PTR_MAYBE_NULL,
  PTR_TO_BTF_ID,
  PTR_TO_BUF,
  PTR_TO_CTX,
  PTR_TO_FUNC,
  PTR_TO_MAP_KEY,
  PTR_TO_MAP_VALUE,
  PTR_TO_MEM,
  PTR_TO_PACKET,
  PTR_TO_PACKET_META,
  PTR_TO_SOCK_COMMON,
  PTR_TO_SOCKET,
  PTR_TO_STACK,
  PTR_TO_TCP_SOCK,
  PTR_TO_XDP_SOCK,
  PTR_TRUSTED,
  regTypeText,
  SCALAR_VALUE,
} from './reg-type.js';
import { checkMapValue } from './region.js';
import { constNumber, constUnsignedNumber, isConst, umaxNumber } from './scalar/index.js';
import { FIELD, type SpecialField } from './special-fields.js';
import { PLAIN_LOCK, PLAIN_UNLOCK, processSpinLock } from './spin-lock.js';
import type { RawAccess } from './stack.js';
import { SLOT_SPILL, SLOT_ZERO } from './state.js';

/** What the arguments of one call have shown so far (`struct bpf_call_arg_meta`). */
export class CallMeta implements RawAccess {
  rawMode = false;
  size = 0;
  regno = 0;
  map: MapView | null = null;
  mapUid = 0;
  memSize = 0;
  /** Greatest size that a size argument may have. */
  sizeMax = 0;
  refObjId = 0;
  releaseRegno = 0;
  subprog = -1;
  /** Key of a look-up where it is known, else -1. */
  constKey = -1;
  /** Per-CPU variable that a copy of is asked for. */
  perCpu: PerCpuArg | null = null;
  /** Kernel pointer that is exchanged. */
  kptr: SpecialField | null = null;
  /** Dynptr that the returned memory belongs to. */
  dynptrId = 0;
  /** Packet data may move, because of the arguments. */
  changesPacket = false;
}

const SOCKETS = [PTR_TO_SOCK_COMMON, PTR_TO_SOCKET, PTR_TO_TCP_SOCK, PTR_TO_XDP_SOCK];
const MEMORY = [
  PTR_TO_STACK,
  PTR_TO_PACKET,
  PTR_TO_PACKET_META,
  PTR_TO_MAP_KEY,
  PTR_TO_MAP_VALUE,
  PTR_TO_MEM,
  PTR_TO_MEM | MEM_RINGBUF,
  PTR_TO_BUF,
  PTR_TO_BTF_ID | PTR_TRUSTED,
];
const SCALARS = [SCALAR_VALUE];

/** Register types that an argument takes (`compatible_reg_types`). */
const COMPATIBLE: Readonly<Record<Exclude<HelperArgKind, 'any'>, readonly number[]>> = {
  map: [CONST_PTR_TO_MAP],
  map_key: MEMORY,
  map_value: MEMORY,
  mem: MEMORY,
  size: SCALARS,
  size_or_zero: SCALARS,
  alloc_size_or_zero: SCALARS,
  scalar: SCALARS,
  ctx: [PTR_TO_CTX],
  spin_lock: [PTR_TO_MAP_VALUE, PTR_TO_BTF_ID | MEM_ALLOC],
  timer: [PTR_TO_MAP_VALUE],
  sock_common: SOCKETS,
  socket: [PTR_TO_SOCKET],
  btf_id: [PTR_TO_BTF_ID, PTR_TO_BTF_ID | PTR_TRUSTED, PTR_TO_BTF_ID | MEM_RCU],
  btf_id_sock_common: [...SOCKETS, PTR_TO_BTF_ID, PTR_TO_BTF_ID | PTR_TRUSTED],
  percpu_btf_id: [
    PTR_TO_BTF_ID | MEM_PERCPU,
    PTR_TO_BTF_ID | MEM_PERCPU | MEM_RCU,
    PTR_TO_BTF_ID | MEM_PERCPU | PTR_TRUSTED,
  ],
  ringbuf_mem: [PTR_TO_MEM | MEM_RINGBUF],
  func: [PTR_TO_FUNC],
  stack: [PTR_TO_STACK],
  const_str: [PTR_TO_MAP_VALUE],
  kptr_xchg_dest: [PTR_TO_MAP_VALUE, PTR_TO_BTF_ID | MEM_ALLOC],
  dynptr: [PTR_TO_STACK, CONST_PTR_TO_DYNPTR],
};

/** Argument number `index` (from 0) of a call of `proto`. */
export function checkHelperArg(v: Verifier, proto: HelperProto, index: number, meta: CallMeta): void {
  const arg = resolveArg(proto.args[index]!, meta, proto.id);
  const regno = index + 1;
  checkSrc(v, regno);
  if (arg.kind === 'any') {
    if (isPointerValue(v, regno)) v.denied(`R${regno} leaks addr into helper function`);
    return;
  }
  const reg = v.reg(regno);
  if (isPacketPointer(reg.type) && !mayAccessPacket(v.env, false, proto.pktAccess)) {
    v.denied('helper access to the packet is not allowed');
  }
  const kind = resolveKind(arg.kind, meta);
  const isNull = isNullScalar(reg) && arg.nullable;
  if (!isNull) {
    checkType(v, proto, kind, arg, reg, regno, meta);
    checkFuncArgOffset(v, reg, regno, arg.release && kind !== 'dynptr');
  }
  noteReference(v, arg, reg, regno, meta);
  checkKind(v, kind, arg, reg, regno, proto, index, meta);
}

/** In maps of sockets, values are sockets (`resolve_map_arg_type`). */
function resolveKind(kind: HelperArgKind, meta: CallMeta): Exclude<HelperArgKind, 'any'> {
  if (kind === 'any') return 'scalar';
  if (kind !== 'map_value' || meta.map === null) return kind;
  const { type } = meta.map;
  return type === MapType.sockmap || type === MapType.sockhash ? 'btf_id_sock_common' : kind;
}

/** What a bloom filter is asked about is read, where other maps would fill it in (`resolve_map_arg_type`). */
function resolveArg(arg: HelperArg, meta: CallMeta, helper: number): HelperArg {
  const isAsked = meta.map?.type === MapType.bloom_filter && helper === FUNC_MAP_PEEK_ELEM;
  return isAsked && arg.kind === 'map_value' ? { ...arg, uninit: false, writes: false } : arg;
}

function checkType(
  v: Verifier,
  proto: HelperProto,
  kind: Exclude<HelperArgKind, 'any'>,
  arg: HelperArg,
  reg: Reg,
  regno: number,
  meta: CallMeta,
): void {
  let { type } = reg;
  if (arg.readOnly) type &= ~MEM_RDONLY;
  if (arg.nullable) type &= ~PTR_MAYBE_NULL;
  if (kind === 'mem' && baseType(type) === PTR_TO_MEM) type &= ~DYNPTR_TYPES;
  const isExchanged = proto.name === 'kptr_xchg' && arg.release;
  if (isExchanged && isAlloc(type)) type &= ~(MEM_ALLOC | MEM_PERCPU);
  const expected = COMPATIBLE[kind];
  if (!expected.includes(type)) refuseType(v, reg, regno, expected);
  if (baseType(reg.type) === PTR_TO_BTF_ID) {
    checkBtfArg(v, proto, kind, arg, reg, regno);
    if (isExchanged && !kptrMatches(v, meta.kptr!, reg, regno)) v.reject(ERRNO.EACCES);
  }
}

/** A kernel structure as an argument of a global function that wants one. */
export function checkBtfIdArg(v: Verifier, reg: Reg, regno: number, nullable: boolean, need: number): void {
  const type = nullable ? reg.type & ~PTR_MAYBE_NULL : reg.type;
  const expected = COMPATIBLE.btf_id;
  if (!expected.includes(type)) refuseType(v, reg, regno, expected);
  matchStruct(v, reg, regno, need, false);
}

function refuseType(v: Verifier, reg: Reg, regno: number, expected: readonly number[]): never {
  return v.denied(`R${regno} type=${regTypeText(reg.type)} expected=${expected.map(regTypeText).join(', ')}`);
}

function noteReference(v: Verifier, arg: HelperArg, reg: Reg, regno: number, meta: CallMeta): void {
  if (arg.release) {
    if (arg.kind === 'dynptr') checkOwnedDynptr(v, reg, regno);
    else if (reg.refObjId === 0 && !isNullScalar(reg)) {
      v.invalid(`R${regno} must be referenced when passed to release function`);
    }
    meta.releaseRegno = regno;
  }
  if (reg.refObjId === 0 || arg.kind === 'kptr_xchg_dest') return;
  if (meta.refObjId !== 0) {
    v.denied(`more than one arg with ref_obj_id R${regno} ${reg.refObjId} ${meta.refObjId}`);
  }
  meta.refObjId = reg.refObjId;
}

function checkKind(
  v: Verifier,
  kind: Exclude<HelperArgKind, 'any'>,
  arg: HelperArg,
  reg: Reg,
  regno: number,
  proto: HelperProto,
  index: number,
  meta: CallMeta,
): void {
  switch (kind) {
    case 'map':
      noteMap(v, reg, meta);
      return;
    case 'map_key':
      checkHelperMem(v, regno, meta.map!.keySize, false, false, null);
      if (meta.map!.type === MapType.array || meta.map!.type === MapType.percpu_array) {
        meta.constKey = constantKey(v, reg, meta.map!.keySize);
      }
      return;
    case 'map_value':
      if (arg.nullable && isNullScalar(reg)) return;
      meta.rawMode = arg.uninit;
      checkHelperMem(v, regno, meta.map!.valueSize, arg.writes, false, meta);
      return;
    case 'mem':
      meta.rawMode = arg.uninit;
      if (arg.fixedSize === undefined) return;
      checkHelperMem(v, regno, arg.fixedSize, arg.writes, false, meta);
      if (arg.aligned) checkAlignment(v, reg, 0, arg.fixedSize, true);
      return;
    case 'size':
    case 'size_or_zero':
      meta.sizeMax = umaxNumber(reg);
      checkMemSize(v, regno, proto.args[index - 1]!.writes, kind === 'size_or_zero', meta);
      return;
    case 'alloc_size_or_zero':
      if (!isConst(reg)) v.denied(`R${regno} is not a known constant'`);
      meta.memSize = constUnsignedNumber(reg);
      markChainPrecision(v, regno);
      return;
    case 'func':
      meta.subprog = reg.subprog;
      return;
    case 'spin_lock':
      if (inTreeCallback(v)) v.denied("can't spin_{lock,unlock} in rbtree cb");
      processSpinLock(v, reg, regno, proto.id === FUNC_SPIN_LOCK ? PLAIN_LOCK : PLAIN_UNLOCK);
      return;
    case 'timer':
      processTimer(v, reg, regno, meta);
      return;
    case 'percpu_btf_id':
      if (reg.btfId === 0) v.denied(`Helper has invalid btf_id in R${regno}`);
      meta.perCpu = { btf: reg.btf!, btfId: reg.btfId, allocated: (reg.type & MEM_RCU) !== 0 };
      return;
    case 'const_str':
      checkConstString(v, reg, regno);
      return;
    case 'dynptr':
      checkDynptrArg(v, regno, v.insnIdx, {
        uninit: arg.uninit,
        readOnly: arg.readOnly,
        type: arg.dynptr === undefined ? 0 : arg.dynptr === 'local' ? DYNPTR_LOCAL : DYNPTR_RINGBUF,
      });
      return;
    case 'kptr_xchg_dest':
      meta.kptr = kptrOfDest(v, reg, regno);
      if (reg.type === PTR_TO_MAP_VALUE) meta.map = reg.map;
      return;
    default:
  }
}

function noteMap(v: Verifier, reg: Reg, meta: CallMeta): void {
  if (meta.map !== null && (meta.map !== reg.map || meta.mapUid !== reg.mapUid)) {
    v.invalid(
      `timer pointer in R1 map_uid=${meta.mapUid} doesn't match map pointer in R2 map_uid=${reg.mapUid}`,
    );
  }
  meta.map = reg.map;
  meta.mapUid = reg.mapUid;
}

/** A key on the stack whose value is known (`get_constant_map_key`); else -1. */
function constantKey(v: Verifier, reg: Reg, keySize: number): number {
  if (reg.type !== PTR_TO_STACK || !isConst(reg)) return -1;
  const off = -(reg.off + constNumber(reg)) - 1;
  const spi = off >> 3;
  const slot = v.frameOf(reg).stack[spi];
  if (slot === undefined) return -1;
  let zeros = 0;
  for (let i = off & 7; i >= 0 && slot.typeAt(i) === SLOT_ZERO; i--) zeros++;
  if (zeros >= keySize) return 0;
  const spilled = slot.reg;
  if (!slot.isSpilled || spilled === null || spilled.type !== SCALAR_VALUE) return -1;
  let bytes = 0;
  for (let i = off & 7; i >= 0 && slot.typeAt(i) === SLOT_SPILL; i--) bytes++;
  if (bytes !== keySize || !isConst(spilled)) return -1;
  v.bt.setSlot(reg.frameno, spi);
  markPrecisionBatch(v, v.state);
  return constUnsignedNumber(spilled);
}

function processTimer(v: Verifier, reg: Reg, regno: number, meta: CallMeta): void {
  checkFieldPointer(v, reg, regno, FIELD.TIMER);
  const problem = timerProblem(v.env);
  if (problem !== undefined) v.reject(problem.errno, problem.message);
  meta.mapUid = reg.mapUid;
  meta.map = reg.map;
}

export function checkConstString(v: Verifier, reg: Reg, regno: number): void {
  const map = reg.map!;
  if (!map.isReadOnly) v.denied(`R${regno} does not point to a readonly map'`);
  if (!isConst(reg)) v.denied(`R${regno} is not a constant address'`);
  if (!map.hasDirectValue) v.denied('no direct value access support for this map type');
  checkMapValue(v, regno, reg.off, map.valueSize - reg.off, false, false);
  const at = reg.off + constNumber(reg);
  if (!map.directValueFits(at)) v.reject(ERRNO.EINVAL, 'direct value access on string failed');
  // A map that was never written to holds zeros.
  const unterminated = map.data !== undefined && map.data.subarray(at, map.valueSize).indexOf(0) < 0;
  if (unterminated) v.invalid('string is not zero-terminated');
}
