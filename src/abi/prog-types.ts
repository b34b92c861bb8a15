/**
 * Program types of Linux 6.18 (`enum bpf_prog_type`, include/uapi/linux/bpf.h): number ↔ name in the
 * spelling of libbpf and bpftool. Data only; what a type allows is the verifier's business.
 */
export const ProgType = {
  unspec: 0,
  socket_filter: 1,
  kprobe: 2,
  sched_cls: 3,
  sched_act: 4,
  tracepoint: 5,
  xdp: 6,
  perf_event: 7,
  cgroup_skb: 8,
  cgroup_sock: 9,
  lwt_in: 10,
  lwt_out: 11,
  lwt_xmit: 12,
  sock_ops: 13,
  sk_skb: 14,
  cgroup_device: 15,
  sk_msg: 16,
  raw_tracepoint: 17,
  cgroup_sock_addr: 18,
  lwt_seg6local: 19,
  lirc_mode2: 20,
  sk_reuseport: 21,
  flow_dissector: 22,
  cgroup_sysctl: 23,
  raw_tracepoint_writable: 24,
  cgroup_sockopt: 25,
  tracing: 26,
  struct_ops: 27,
  ext: 28,
  lsm: 29,
  sk_lookup: 30,
  syscall: 31,
  netfilter: 32,
} as const;

/** Number of a program type, as Linux has it. */
export type ProgType = (typeof ProgType)[keyof typeof ProgType];

/** libbpf's name of a program type. */
export type ProgTypeName = keyof typeof ProgType;

const nameOf: ReadonlyMap<number, ProgTypeName> = new Map(
  (Object.keys(ProgType) as ProgTypeName[]).map((name) => [ProgType[name], name]),
);

/** True for a number that Linux 6.18 has a program type for. */
export function isProgType(value: number): value is ProgType {
  return nameOf.has(value);
}

/** libbpf's spelling, or `prog_type_N` for a number that Linux 6.18 does not know. */
export function progTypeName(value: number): string {
  return nameOf.get(value) ?? `prog_type_${value}`;
}

/** The number behind a name (libbpf's spelling, any case, with or without `BPF_PROG_TYPE_`); undefined if unknown. */
export function progTypeByName(name: string): ProgType | undefined {
  const key = name.toLowerCase().replace(/^bpf_prog_type_/, '');
  return Object.hasOwn(ProgType, key) ? ProgType[key as ProgTypeName] : undefined;
}
