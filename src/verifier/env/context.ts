/**
 * Which bytes of its context a program may touch, how, and what a load yields: `is_valid_access` of every program
 * type of Linux 6.18. Checked byte by byte against a running kernel: test/oracle/context-sweep.ts.
 */
import { AttachType } from '../../abi/attach-types.js';
import { PERF_EVENT_DATA, PT_REGS } from '../../abi/context/perf-event.js';
import { MAX_TRACE_SIZE, MAX_TRACING_ARGS } from '../../abi/context/tracing.js';
import { XDP_MD } from '../../abi/context/xdp.js';
import { Errno } from '../../abi/errno.js';
import { ProgType } from '../../abi/prog-types.js';
import {
  PTR_TO_PACKET,
  PTR_TO_PACKET_END,
  PTR_TO_PACKET_META,
  PTR_TO_SOCK_COMMON,
  PTR_TO_SOCKET,
  PTR_TO_TCP_SOCK,
  PTR_TO_TP_BUFFER,
  PTR_TO_XDP_SOCK,
  SCALAR_VALUE,
} from '../reg-type.js';
import { exact, narrow, type Rule, rulesOf, within } from './context-rules.js';
import * as skb from './context-skb.js';
import * as sock from './context-sock.js';
import type { ProgEnv, Refusal } from './types.js';

/** An access that is allowed. */
export interface CtxField {
  /** The field's name, for explanations. */
  readonly name: string;
  /** What a load leaves in the register: `SCALAR_VALUE` or a pointer, with its flags. */
  readonly regType: number;
  /** Bytes that Linux loads before it narrows (`ctx_field_size`), 0 for a whole access. */
  readonly fieldSize: number;
  /** Kernel structure that a `PTR_TO_BTF_ID` points to. */
  readonly struct?: string;
  /** The type comes from the BTF of what the program hangs on: slot of 8 bytes, from 0. */
  readonly btfSlot?: number;
}

const XDP_RULES = rulesOf(XDP_MD, [
  ['data', { read: exact(4), type: PTR_TO_PACKET, noSext: true }],
  ['data_end', { read: exact(4), type: PTR_TO_PACKET_END, noSext: true }],
  ['data_meta', { read: exact(4), type: PTR_TO_PACKET_META, noSext: true }],
  ['ingress_ifindex rx_queue_index', { read: exact(4) }],
  ['egress_ifindex', { read: exact(4), when: (env) => env.expectedAttachType === AttachType.xdp_devmap }],
]);

const KPROBE_RULES = rulesOf(
  PT_REGS,
  PT_REGS.fields.map(({ name }) => [name, { read: within }]),
);

const PERF_EVENT_RULES = rulesOf(
  PERF_EVENT_DATA,
  PERF_EVENT_DATA.fields.map(({ name }) => [name, { read: name.startsWith('regs.') ? exact(8) : narrow(8) }]),
);

const span = (name: string, from: number, to: number): Rule => ({ name, from, to, read: within });
/** Linux compares a signed offset with an unsigned size here, so that negative offsets pass (seen on 6.18). */
const TRACEPOINT_RULES = [span('record', 8, MAX_TRACE_SIZE), span('before the record', -(2 ** 31), 0)];
const RAW_TP_RULES = [span('args', 0, MAX_TRACING_ARGS * 8)];
const RAW_TP_WRITABLE_RULES: readonly Rule[] = [
  { name: 'args[0]', from: 0, to: 1, read: exact(8), type: PTR_TO_TP_BUFFER },
  ...RAW_TP_RULES,
];
/** The largest context of a syscall program is one byte short of 64 KiB; the last access may end past it. */
const SYSCALL_RULES: readonly Rule[] = [{ name: 'ctx', from: 0, to: 0xffff, read: () => 0, write: () => 0 }];

const RULES: ReadonlyMap<number, readonly Rule[]> = new Map<number, readonly Rule[]>([
  [ProgType.socket_filter, skb.SOCKET_FILTER_RULES],
  [ProgType.kprobe, KPROBE_RULES],
  [ProgType.sched_cls, skb.TC_RULES],
  [ProgType.sched_act, skb.TC_RULES],
  [ProgType.tracepoint, TRACEPOINT_RULES],
  [ProgType.xdp, XDP_RULES],
  [ProgType.perf_event, PERF_EVENT_RULES],
  [ProgType.cgroup_skb, skb.CGROUP_SKB_RULES],
  [ProgType.cgroup_sock, sock.CGROUP_SOCK_RULES],
  [ProgType.lwt_in, skb.LWT_RULES],
  [ProgType.lwt_out, skb.LWT_RULES],
  [ProgType.lwt_xmit, skb.LWT_RULES],
  [ProgType.lwt_seg6local, skb.LWT_RULES],
  [ProgType.sock_ops, sock.SOCK_OPS_RULES],
  [ProgType.sk_skb, skb.SK_SKB_RULES],
  [ProgType.cgroup_device, sock.CGROUP_DEVICE_RULES],
  [ProgType.sk_msg, sock.SK_MSG_RULES],
  [ProgType.raw_tracepoint, RAW_TP_RULES],
  [ProgType.raw_tracepoint_writable, RAW_TP_WRITABLE_RULES],
  [ProgType.cgroup_sock_addr, sock.SOCK_ADDR_RULES],
  [ProgType.lirc_mode2, [{ name: 'sample', from: 0, to: 4, read: exact(4) }]],
  [ProgType.sk_reuseport, sock.SK_REUSEPORT_RULES],
  [ProgType.flow_dissector, skb.FLOW_DISSECTOR_RULES],
  [ProgType.cgroup_sysctl, sock.SYSCTL_RULES],
  [ProgType.cgroup_sockopt, sock.SOCKOPT_RULES],
  [ProgType.tracing, RAW_TP_RULES],
  [ProgType.struct_ops, RAW_TP_RULES],
  [ProgType.lsm, RAW_TP_RULES],
  [ProgType.sk_lookup, sock.SK_LOOKUP_RULES],
  [ProgType.syscall, SYSCALL_RULES],
  [ProgType.netfilter, sock.NETFILTER_RULES],
]);

/** Program types whose context is an array of arguments that BTF describes. */
const BY_BTF: ReadonlySet<number> = new Set([ProgType.tracing, ProgType.struct_ops, ProgType.lsm]);

const SOCKETS: ReadonlyMap<number, readonly Rule[]> = new Map([
  [PTR_TO_SOCKET, sock.SOCK_RULES],
  [PTR_TO_SOCK_COMMON, sock.SOCK_COMMON_RULES],
  [PTR_TO_TCP_SOCK, sock.TCP_SOCK_RULES],
  [PTR_TO_XDP_SOCK, sock.XDP_SOCK_RULES],
]);

/** The first row that covers `off` decides. */
function lookUp(
  rules: readonly Rule[],
  env: ProgEnv | undefined,
  off: number,
  size: number,
  write: boolean,
  sext: boolean,
): CtxField | undefined {
  if (off % size !== 0) return undefined;
  const rule = rules.find(({ from, to }) => off >= from && off < to);
  if (rule === undefined || (sext && rule.noSext === true)) return undefined;
  if (env !== undefined) {
    if (rule.when !== undefined && !rule.when(env)) return undefined;
    if (write && rule.writeWhen !== undefined && !rule.writeWhen(env)) return undefined;
  }
  const fieldSize = (write ? rule.write : rule.read)?.({ from: rule.from, to: rule.to, off, size });
  if (fieldSize === undefined) return undefined;
  const { name, struct } = rule;
  const regType = write ? SCALAR_VALUE : (rule.type ?? SCALAR_VALUE);
  return { name, regType, fieldSize, ...(struct !== undefined && { struct }) };
}

/**
 * What an access of `size` bytes at `off` of the context means, or undefined where Linux refuses it.
 * `sext`: a sign-extending load.
 */
export function ctxAccess(
  env: ProgEnv,
  off: number,
  size: number,
  write: boolean,
  sext = false,
): CtxField | undefined {
  const field = lookUp(RULES.get(env.type) ?? [], env, off, size, write, sext);
  if (field === undefined || !BY_BTF.has(env.type)) return field;
  return { ...field, btfSlot: Math.floor(off / 8) };
}

/** A read through a socket pointer of the verifier's own: `PTR_TO_SOCKET` and its like, without flags. */
export function sockAccess(regType: number, off: number, size: number): CtxField | undefined {
  return lookUp(SOCKETS.get(regType) ?? [], undefined, off, size, false, false);
}

/** The line that Linux writes when it refuses an access to the context. */
export function ctxRefusal(off: number, size: number): Refusal {
  return { errno: Errno.EACCES, message: `invalid bpf_context access off=${off} size=${size}` };
}
