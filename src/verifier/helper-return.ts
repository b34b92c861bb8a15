/** R0 after a helper (`check_helper_call`, `do_refine_retval_range` of Linux 6.18, kernel/bpf/verifier.c). */
import { MAX_ERRNO } from '../abi/errno.js';
import type { HelperProto } from '../abi/helper-protos.js';
import { helperText } from '../abi/helpers.js';
import { MapType } from '../abi/map-types.js';
import { checkBoundsSane } from './bounds-sanity.js';
import { setPerCpuResult, setStructResult } from './btf/helper-arg.js';
import type { Verifier } from './context.js';
import type { CallMeta } from './helper-args.js';
import { setExchanged } from './kptr.js';
import { acquireRef } from './refs.js';
import { markKnownZero, markUnknown, type Reg } from './reg.js';
import {
  MEM_RDONLY,
  MEM_RINGBUF,
  mayBeNull,
  PTR_MAYBE_NULL,
  PTR_TO_MAP_VALUE,
  PTR_TO_MEM,
  PTR_TO_SOCK_COMMON,
  PTR_TO_SOCKET,
  PTR_TO_TCP_SOCK,
  PTR_TRUSTED,
} from './reg-type.js';
import { setS32Range, setSmax, setSmin, setU32Range, setUmax, setUmin, syncBounds } from './scalar/index.js';
import { FIELD } from './special-fields.js';

/** Processors of the machine that the recorded verdicts come from. */
const CPU_COUNT = 2;

const CASTS = new Set([
  'tcp_sock',
  'sk_fullsock',
  'skc_to_tcp_sock',
  'skc_to_tcp6_sock',
  'skc_to_udp6_sock',
  'skc_to_mptcp_sock',
  'skc_to_tcp_timewait_sock',
  'skc_to_tcp_request_sock',
]);
const ACQUIRES = new Set([
  'sk_lookup_tcp',
  'sk_lookup_udp',
  'skc_lookup_tcp',
  'ringbuf_reserve',
  'kptr_xchg',
]);
/** Return an error, or at most the size they were given. */
const SIZED = new Set([
  'get_stack',
  'get_task_stack',
  'probe_read_str',
  'probe_read_kernel_str',
  'probe_read_user_str',
]);

export function setReturnValue(v: Verifier, proto: HelperProto, meta: CallMeta, insnIdx: number): void {
  const r0 = v.reg(0);
  const { ret, name } = proto;
  let flags = 0;
  if (ret.nullable) flags |= PTR_MAYBE_NULL;
  if (ret.readOnly) flags |= MEM_RDONLY;
  if (ret.ringbuf) flags |= MEM_RINGBUF;
  if (ret.trusted) flags |= PTR_TRUSTED;
  setType(v, proto, meta, r0, flags);
  if (mayBeNull(r0.type)) r0.id = v.newId();
  if (name === 'dynptr_data') r0.dynptrId = meta.dynptrId;
  if (CASTS.has(name) || name === 'dynptr_data') {
    r0.refObjId = meta.refObjId;
  } else if (acquires(name, meta)) {
    const id = acquireRef(v, insnIdx);
    r0.id = id;
    r0.refObjId = id;
  }
  if (ret.kind === 'int') refine(v, r0, name, meta);
}

function acquires(name: string, meta: CallMeta): boolean {
  if (ACQUIRES.has(name)) return true;
  const type = meta.map?.type;
  return name === 'map_lookup_elem' && (type === MapType.sockmap || type === MapType.sockhash);
}

function setType(v: Verifier, proto: HelperProto, meta: CallMeta, r0: Reg, flags: number): void {
  switch (proto.ret.kind) {
    case 'int':
      markUnknown(r0);
      return;
    case 'void':
      return;
    case 'map_value':
      setMapValue(v, proto, meta, r0, flags);
      return;
    case 'socket':
      setPointer(r0, PTR_TO_SOCKET | flags);
      return;
    case 'sock_common':
      setPointer(r0, PTR_TO_SOCK_COMMON | flags);
      return;
    case 'tcp_sock':
      setPointer(r0, PTR_TO_TCP_SOCK | flags);
      return;
    case 'mem':
      setPointer(r0, PTR_TO_MEM | flags);
      r0.memSize = meta.memSize;
      return;
    case 'btf_id':
      if (meta.kptr !== null) setExchanged(v, r0, meta.kptr);
      else setStructResult(v, proto, r0, flags);
      return;
    case 'mem_or_btf_id':
      setPerCpuResult(v, r0, flags, meta.perCpu!);
      return;
    default:
      v.unsupported(`result of ${helperText(proto.id)}`);
  }
}

function setPointer(reg: Reg, type: number): void {
  markKnownZero(reg);
  reg.type = type;
}

function setMapValue(v: Verifier, proto: HelperProto, meta: CallMeta, r0: Reg, flags: number): void {
  const map = meta.map!;
  const isArray = map.type === MapType.array || map.type === MapType.percpu_array;
  const found =
    proto.name === 'map_lookup_elem' && isArray && meta.constKey >= 0 && meta.constKey < map.maxEntries;
  const kept = found ? flags & ~PTR_MAYBE_NULL : flags;
  setPointer(r0, PTR_TO_MAP_VALUE | kept);
  r0.map = map;
  r0.mapUid = meta.mapUid;
  if (!mayBeNull(kept) && map.has(FIELD.SPIN_LOCK | FIELD.RES_SPIN_LOCK)) r0.id = v.newId();
}

function refine(v: Verifier, r0: Reg, name: string, meta: CallMeta): void {
  if (SIZED.has(name)) {
    setSmax(r0, meta.sizeMax);
    setSmin(r0, -MAX_ERRNO);
    setS32Range(r0, -MAX_ERRNO, meta.sizeMax);
    syncBounds(r0);
  } else if (name === 'get_smp_processor_id') {
    setUmin(r0, 0);
    setUmax(r0, CPU_COUNT - 1);
    setSmin(r0, 0);
    setSmax(r0, CPU_COUNT - 1);
    setU32Range(r0, 0, CPU_COUNT - 1);
    setS32Range(r0, 0, CPU_COUNT - 1);
    syncBounds(r0);
  }
  checkBoundsSane(v, r0, 'retval');
}
