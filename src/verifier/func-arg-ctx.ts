/**
 * Which types of a function's argument stand for the program's context, by program type: `btf_is_prog_ctx_type` and
 * `btf_validate_prog_ctx_type` of Linux 6.18 (kernel/bpf/btf.c), with the types of include/linux/bpf_types.h.
 */
import { AttachType } from '../abi/attach-types.js';
import { ProgType } from '../abi/prog-types.js';
import type { Btf } from '../object/btf/btf.js';
import { isModifier } from '../object/btf/layout.js';
import type { BtfType, BtfTypeId } from '../object/btf/types.js';
import type { Verifier } from './context.js';

const SKB = '__sk_buff';

/** The structure that programs see. Types that are missing have no structure of their own. */
const CONTEXTS: ReadonlyMap<number, string> = new Map([
  [ProgType.socket_filter, SKB],
  [ProgType.sched_cls, SKB],
  [ProgType.sched_act, SKB],
  [ProgType.xdp, 'xdp_md'],
  [ProgType.cgroup_skb, SKB],
  [ProgType.cgroup_sock, 'bpf_sock'],
  [ProgType.cgroup_sock_addr, 'bpf_sock_addr'],
  [ProgType.lwt_in, SKB],
  [ProgType.lwt_out, SKB],
  [ProgType.lwt_xmit, SKB],
  [ProgType.lwt_seg6local, SKB],
  [ProgType.sock_ops, 'bpf_sock_ops'],
  [ProgType.sk_skb, SKB],
  [ProgType.sk_msg, 'sk_msg_md'],
  [ProgType.flow_dissector, SKB],
  [ProgType.kprobe, 'pt_regs'],
  [ProgType.perf_event, 'bpf_perf_event_data'],
  [ProgType.raw_tracepoint, 'bpf_raw_tracepoint_args'],
  [ProgType.raw_tracepoint_writable, 'bpf_raw_tracepoint_args'],
  [ProgType.cgroup_device, 'bpf_cgroup_dev_ctx'],
  [ProgType.cgroup_sysctl, 'bpf_sysctl'],
  [ProgType.cgroup_sockopt, 'bpf_sockopt'],
  [ProgType.sk_reuseport, 'sk_reuseport_md'],
  [ProgType.sk_lookup, 'bpf_sk_lookup'],
  [ProgType.netfilter, 'bpf_nf_ctx'],
]);
/** The kernel's own structure behind what programs see, which will do as well. */
const PROJECTIONS: ReadonlyMap<string, string> = new Map([
  [SKB, 'sk_buff'],
  ['xdp_md', 'xdp_buff'],
]);
const PT_REGS = 'bpf_user_pt_regs_t';
/** Types whose context is an array of 64-bit numbers. */
const NUMBER_ARRAYS: ReadonlySet<number> = new Set([
  ProgType.raw_tracepoint,
  ProgType.raw_tracepoint_writable,
  ProgType.lsm,
  ProgType.struct_ops,
]);
const TRACED_AS_NUMBERS: ReadonlySet<number> = new Set([
  AttachType.trace_raw_tp,
  AttachType.trace_fentry,
  AttachType.trace_fexit,
  AttachType.modify_return,
]);
/** Types that take anything for their context where the tag says so. */
const ANYTHING: ReadonlySet<number> = new Set([ProgType.tracepoint, ProgType.syscall, ProgType.ext]);

/** True for a typedef of this name, qualifiers left out. */
function isTypedef(btf: Btf, id: BtfTypeId, name: string): boolean {
  let type = btf.type(id);
  while (isModifier(type)) type = btf.type(type.type);
  return type.kind === 'typedef' && type.name === name;
}

/** A pointer to `pointee` is the context by its type alone. */
export function isContextType(progType: number, btf: Btf, pointee: BtfTypeId): boolean {
  if (progType === ProgType.kprobe && isTypedef(btf, pointee, PT_REGS)) return true;
  const type = btf.underlying(pointee);
  if (type.kind !== 'struct' && type.kind !== 'union') return false;
  const wanted = CONTEXTS.get(progType);
  if (wanted === undefined) return false;
  // a structure that bears the typedef's name will do
  if (progType === ProgType.kprobe && type.name === PT_REGS) return true;
  return type.name === wanted || type.name === PROJECTIONS.get(wanted);
}

/** Refuses an argument that is tagged as the context and has a type that cannot be it. `i`: its number, from 0. */
export function checkContextTag(v: Verifier, btf: Btf, pointee: BtfTypeId, i: number): void {
  const progType = v.env.type;
  const takesTypedef = progType === ProgType.kprobe || progType === ProgType.perf_event;
  if (takesTypedef && isTypedef(btf, pointee, PT_REGS)) return;
  const type = btf.underlying(pointee);
  if (type.kind === 'void') return;
  if (type.name === '') v.invalid(`arg#${i} type doesn't have a name`);
  if (takesTypedef && type.kind === 'struct' && type.name === 'pt_regs') return;
  const isNumber = type.kind === 'int' && type.size === 8;
  if (isNumber && NUMBER_ARRAYS.has(progType)) return;
  if (progType === ProgType.tracing && isTracingContext(v, type, isNumber)) return;
  if (ANYTHING.has(progType)) return;
  const wanted = CONTEXTS.get(progType);
  if (wanted === undefined) v.invalid(`arg#${i} should be void pointer`);
  if (type.kind === 'struct' && type.name === wanted) return;
  v.invalid(`arg#${i} should be \`struct ${wanted} *\``);
}

function isTracingContext(v: Verifier, type: BtfType, isNumber: boolean): boolean {
  const { expectedAttachType } = v.env;
  if (isNumber && TRACED_AS_NUMBERS.has(expectedAttachType)) return true;
  if (type.kind !== 'struct') return false;
  if (expectedAttachType === AttachType.trace_raw_tp) return type.name === 'bpf_raw_tracepoint_args';
  return expectedAttachType === AttachType.trace_iter && type.name.startsWith('bpf_iter__');
}
