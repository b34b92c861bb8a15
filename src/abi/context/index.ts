/**
 * The context that a program of each type is handed in r1. Types whose context is whatever they are
 * attached to (tracepoint records, struct_ops, the target of `ext`, a syscall program's own buffer) have none here.
 */
import { ProgType } from '../prog-types.js';
import { CGROUP_DEV_CTX, SOCK_ADDR, SOCKOPT, SYSCTL } from './cgroup.js';
import type { ContextLayout } from './layout.js';
import { LIRC_SAMPLE } from './lirc.js';
import { NF_CTX } from './netfilter.js';
import { PERF_EVENT_DATA, PT_REGS } from './perf-event.js';
import { SK_BUFF, SOCK } from './skb.js';
import { SK_LOOKUP, SK_MSG_MD, SK_REUSEPORT_MD, SOCK_OPS } from './sock.js';
import { RAW_TRACEPOINT_ARGS } from './tracing.js';
import { XDP_MD } from './xdp.js';

const CONTEXTS: ReadonlyMap<ProgType, ContextLayout> = new Map<ProgType, ContextLayout>([
  [ProgType.socket_filter, SK_BUFF],
  [ProgType.kprobe, PT_REGS],
  [ProgType.sched_cls, SK_BUFF],
  [ProgType.sched_act, SK_BUFF],
  [ProgType.xdp, XDP_MD],
  [ProgType.perf_event, PERF_EVENT_DATA],
  [ProgType.cgroup_skb, SK_BUFF],
  [ProgType.cgroup_sock, SOCK],
  [ProgType.lwt_in, SK_BUFF],
  [ProgType.lwt_out, SK_BUFF],
  [ProgType.lwt_xmit, SK_BUFF],
  [ProgType.lwt_seg6local, SK_BUFF],
  [ProgType.sock_ops, SOCK_OPS],
  [ProgType.sk_skb, SK_BUFF],
  [ProgType.cgroup_device, CGROUP_DEV_CTX],
  [ProgType.sk_msg, SK_MSG_MD],
  [ProgType.raw_tracepoint, RAW_TRACEPOINT_ARGS],
  [ProgType.raw_tracepoint_writable, RAW_TRACEPOINT_ARGS],
  [ProgType.cgroup_sock_addr, SOCK_ADDR],
  [ProgType.lirc_mode2, LIRC_SAMPLE],
  [ProgType.sk_reuseport, SK_REUSEPORT_MD],
  [ProgType.flow_dissector, SK_BUFF],
  [ProgType.cgroup_sysctl, SYSCTL],
  [ProgType.cgroup_sockopt, SOCKOPT],
  [ProgType.tracing, RAW_TRACEPOINT_ARGS],
  [ProgType.lsm, RAW_TRACEPOINT_ARGS],
  [ProgType.sk_lookup, SK_LOOKUP],
  [ProgType.netfilter, NF_CTX],
]);

/** Layout of the context of a program type, or undefined where it depends on the attach point. */
export function contextOf(type: ProgType): ContextLayout | undefined {
  return CONTEXTS.get(type);
}
