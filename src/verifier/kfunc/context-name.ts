/**
 * How a kernel function's prototype may name the program's context, and what the kernel calls it itself
 * (`btf_is_prog_ctx_type`, `get_kern_ctx_btf_id` of Linux 6.18, kernel/bpf/btf.c; include/linux/bpf_types.h).
 */
import { ProgType } from '../../abi/prog-types.js';

type Names = readonly [user: string, kernel: string];

const SKB: Names = ['__sk_buff', 'sk_buff'];
const REGS: Names = ['pt_regs', 'pt_regs'];

const BY_TYPE: ReadonlyMap<number, Names> = new Map([
  [ProgType.socket_filter, SKB],
  [ProgType.sched_cls, SKB],
  [ProgType.sched_act, SKB],
  [ProgType.xdp, ['xdp_md', 'xdp_buff']],
  [ProgType.cgroup_skb, SKB],
  [ProgType.cgroup_sock, ['bpf_sock', 'sock']],
  [ProgType.cgroup_sock_addr, ['bpf_sock_addr', 'bpf_sock_addr_kern']],
  [ProgType.lwt_in, SKB],
  [ProgType.lwt_out, SKB],
  [ProgType.lwt_xmit, SKB],
  [ProgType.lwt_seg6local, SKB],
  [ProgType.sock_ops, ['bpf_sock_ops', 'bpf_sock_ops_kern']],
  [ProgType.sk_skb, SKB],
  [ProgType.sk_msg, ['sk_msg_md', 'sk_msg']],
  [ProgType.flow_dissector, ['__sk_buff', 'bpf_flow_dissector']],
  [ProgType.kprobe, REGS],
  [ProgType.perf_event, ['bpf_perf_event_data', 'bpf_perf_event_data_kern']],
  [ProgType.raw_tracepoint, ['bpf_raw_tracepoint_args', '']],
  [ProgType.raw_tracepoint_writable, ['bpf_raw_tracepoint_args', '']],
  [ProgType.cgroup_device, ['bpf_cgroup_dev_ctx', 'bpf_cgroup_dev_ctx']],
  [ProgType.cgroup_sysctl, ['bpf_sysctl', 'bpf_sysctl_kern']],
  [ProgType.cgroup_sockopt, ['bpf_sockopt', 'bpf_sockopt_kern']],
  [ProgType.sk_reuseport, ['sk_reuseport_md', 'sk_reuseport_kern']],
  [ProgType.sk_lookup, ['bpf_sk_lookup', 'bpf_sk_lookup_kern']],
  [ProgType.netfilter, ['bpf_nf_ctx', 'bpf_nf_ctx']],
]);

/** What a program sees of a structure, and the structure: one may stand for the other (`btf_is_projection_of`). */
export function isProjection(user: string, kernel: string): boolean {
  return (user === '__sk_buff' && kernel === 'sk_buff') || (user === 'xdp_md' && kernel === 'xdp_buff');
}

/** Is a pointer to structure `name` the context of such a program? */
export function isContextStruct(progType: number, name: string): boolean {
  const user = BY_TYPE.get(progType)?.[0];
  if (user === undefined || name === '') return false;
  return user === name || isProjection(user, name);
}

/** The structure behind the context; undefined where it is none. */
export function kernelContext(progType: number): string | undefined {
  const name = BY_TYPE.get(progType)?.[1];
  return name === '' ? undefined : name;
}
