/**
 * Attach types of Linux 6.18 (`enum bpf_attach_type`, include/uapi/linux/bpf.h): number ↔ name in the
 * spelling of libbpf (`libbpf_bpf_attach_type_str`). Number 0 is `cgroup_inet_ingress` and also what is
 * handed to the kernel for program types that have no attach type.
 */
export const AttachType = {
  cgroup_inet_ingress: 0,
  cgroup_inet_egress: 1,
  cgroup_inet_sock_create: 2,
  cgroup_sock_ops: 3,
  sk_skb_stream_parser: 4,
  sk_skb_stream_verdict: 5,
  cgroup_device: 6,
  sk_msg_verdict: 7,
  cgroup_inet4_bind: 8,
  cgroup_inet6_bind: 9,
  cgroup_inet4_connect: 10,
  cgroup_inet6_connect: 11,
  cgroup_inet4_post_bind: 12,
  cgroup_inet6_post_bind: 13,
  cgroup_udp4_sendmsg: 14,
  cgroup_udp6_sendmsg: 15,
  lirc_mode2: 16,
  flow_dissector: 17,
  cgroup_sysctl: 18,
  cgroup_udp4_recvmsg: 19,
  cgroup_udp6_recvmsg: 20,
  cgroup_getsockopt: 21,
  cgroup_setsockopt: 22,
  trace_raw_tp: 23,
  trace_fentry: 24,
  trace_fexit: 25,
  modify_return: 26,
  lsm_mac: 27,
  trace_iter: 28,
  cgroup_inet4_getpeername: 29,
  cgroup_inet6_getpeername: 30,
  cgroup_inet4_getsockname: 31,
  cgroup_inet6_getsockname: 32,
  xdp_devmap: 33,
  cgroup_inet_sock_release: 34,
  xdp_cpumap: 35,
  sk_lookup: 36,
  xdp: 37,
  sk_skb_verdict: 38,
  sk_reuseport_select: 39,
  sk_reuseport_select_or_migrate: 40,
  perf_event: 41,
  trace_kprobe_multi: 42,
  lsm_cgroup: 43,
  struct_ops: 44,
  netfilter: 45,
  tcx_ingress: 46,
  tcx_egress: 47,
  trace_uprobe_multi: 48,
  cgroup_unix_connect: 49,
  cgroup_unix_sendmsg: 50,
  cgroup_unix_recvmsg: 51,
  cgroup_unix_getpeername: 52,
  cgroup_unix_getsockname: 53,
  netkit_primary: 54,
  netkit_peer: 55,
  trace_kprobe_session: 56,
  trace_uprobe_session: 57,
} as const;

/** Number of an attach type, as Linux has it. */
export type AttachType = (typeof AttachType)[keyof typeof AttachType];

/** libbpf's name of an attach type. */
export type AttachTypeName = keyof typeof AttachType;

const nameOf: ReadonlyMap<number, AttachTypeName> = new Map(
  (Object.keys(AttachType) as AttachTypeName[]).map((name) => [AttachType[name], name]),
);

/** True for a number that Linux 6.18 has an attach type for. */
export function isAttachType(value: number): value is AttachType {
  return nameOf.has(value);
}

/** libbpf's spelling, or `attach_type_N` for a number that Linux 6.18 does not know. */
export function attachTypeName(value: number): string {
  return nameOf.get(value) ?? `attach_type_${value}`;
}

/** The number behind a name (libbpf's spelling, any case, with or without `BPF_`); undefined if unknown. */
export function attachTypeByName(name: string): AttachType | undefined {
  const key = name.toLowerCase().replace(/^bpf_/, '');
  return Object.hasOwn(AttachType, key) ? AttachType[key as AttachTypeName] : undefined;
}
