/**
 * Section names → program type, attach type and load flags: libbpf's table (`section_defs` in libbpf.c,
 * as of mid 2026) restricted to what Linux 6.18 knows, then the looser prefixes of libbpf 0.x, iproute2 and
 * the kernel's samples for objects written before libbpf 1.0. Pure data and a matcher.
 */
import { AttachType, type AttachTypeName } from '../abi/attach-types.js';
import { ProgType, type ProgTypeName } from '../abi/prog-types.js';

/** `BPF_F_*` flags of `BPF_PROG_LOAD` that a section name can imply. */
export const BPF_F_SLEEPABLE = 1 << 4;
export const BPF_F_XDP_HAS_FRAGS = 1 << 5;

type Flag = 'sleepable' | 'frags' | 'btf';

/**
 * `name` (exact), `name+` (alone or followed by `/target`). `btf`: the target is looked up by BTF id
 * in the kernel (or, for `freplace`, in another program).
 */
type Row = readonly [pattern: string, type: ProgTypeName, attach: AttachTypeName | '', ...flags: Flag[]];

const libbpfRows: readonly Row[] = [
  ['socket', 'socket_filter', ''],
  ['sk_reuseport/migrate', 'sk_reuseport', 'sk_reuseport_select_or_migrate'],
  ['sk_reuseport', 'sk_reuseport', 'sk_reuseport_select'],
  ['kprobe+', 'kprobe', ''],
  ['uprobe+', 'kprobe', ''],
  ['uprobe.s+', 'kprobe', '', 'sleepable'],
  ['kretprobe+', 'kprobe', ''],
  ['uretprobe+', 'kprobe', ''],
  ['uretprobe.s+', 'kprobe', '', 'sleepable'],
  ['kprobe.multi+', 'kprobe', 'trace_kprobe_multi'],
  ['kretprobe.multi+', 'kprobe', 'trace_kprobe_multi'],
  ['kprobe.session+', 'kprobe', 'trace_kprobe_session'],
  ['uprobe.multi+', 'kprobe', 'trace_uprobe_multi'],
  ['uretprobe.multi+', 'kprobe', 'trace_uprobe_multi'],
  ['uprobe.session+', 'kprobe', 'trace_uprobe_session'],
  ['uprobe.multi.s+', 'kprobe', 'trace_uprobe_multi', 'sleepable'],
  ['uretprobe.multi.s+', 'kprobe', 'trace_uprobe_multi', 'sleepable'],
  ['uprobe.session.s+', 'kprobe', 'trace_uprobe_session', 'sleepable'],
  ['ksyscall+', 'kprobe', ''],
  ['kretsyscall+', 'kprobe', ''],
  // libbpf hands USDT programs to a kernel with uprobe_multi links (6.6 and later) as such
  ['usdt+', 'kprobe', 'trace_uprobe_multi'],
  ['usdt.s+', 'kprobe', 'trace_uprobe_multi', 'sleepable'],
  ['tc/ingress', 'sched_cls', 'tcx_ingress'],
  ['tc/egress', 'sched_cls', 'tcx_egress'],
  ['tcx/ingress', 'sched_cls', 'tcx_ingress'],
  ['tcx/egress', 'sched_cls', 'tcx_egress'],
  ['tc', 'sched_cls', ''],
  ['classifier', 'sched_cls', ''],
  ['action', 'sched_act', ''],
  ['netkit/primary', 'sched_cls', 'netkit_primary'],
  ['netkit/peer', 'sched_cls', 'netkit_peer'],
  ['tracepoint+', 'tracepoint', ''],
  ['tp+', 'tracepoint', ''],
  ['tracepoint.s+', 'tracepoint', '', 'sleepable'],
  ['tp.s+', 'tracepoint', '', 'sleepable'],
  ['raw_tracepoint+', 'raw_tracepoint', ''],
  ['raw_tp+', 'raw_tracepoint', ''],
  ['raw_tracepoint.s+', 'raw_tracepoint', '', 'sleepable'],
  ['raw_tp.s+', 'raw_tracepoint', '', 'sleepable'],
  ['raw_tracepoint.w+', 'raw_tracepoint_writable', ''],
  ['raw_tp.w+', 'raw_tracepoint_writable', ''],
  ['tp_btf+', 'tracing', 'trace_raw_tp', 'btf'],
  ['tp_btf.s+', 'tracing', 'trace_raw_tp', 'btf', 'sleepable'],
  ['fentry+', 'tracing', 'trace_fentry', 'btf'],
  ['fmod_ret+', 'tracing', 'modify_return', 'btf'],
  ['fexit+', 'tracing', 'trace_fexit', 'btf'],
  ['fentry.s+', 'tracing', 'trace_fentry', 'btf', 'sleepable'],
  ['fmod_ret.s+', 'tracing', 'modify_return', 'btf', 'sleepable'],
  ['fexit.s+', 'tracing', 'trace_fexit', 'btf', 'sleepable'],
  ['freplace+', 'ext', '', 'btf'],
  ['lsm+', 'lsm', 'lsm_mac', 'btf'],
  ['lsm.s+', 'lsm', 'lsm_mac', 'btf', 'sleepable'],
  ['lsm_cgroup+', 'lsm', 'lsm_cgroup', 'btf'],
  ['iter+', 'tracing', 'trace_iter', 'btf'],
  ['iter.s+', 'tracing', 'trace_iter', 'btf', 'sleepable'],
  ['syscall', 'syscall', '', 'sleepable'],
  ['xdp.frags/devmap', 'xdp', 'xdp_devmap', 'frags'],
  ['xdp/devmap', 'xdp', 'xdp_devmap'],
  ['xdp.frags/cpumap', 'xdp', 'xdp_cpumap', 'frags'],
  ['xdp/cpumap', 'xdp', 'xdp_cpumap'],
  ['xdp.frags', 'xdp', 'xdp', 'frags'],
  ['xdp', 'xdp', 'xdp'],
  ['perf_event', 'perf_event', ''],
  ['lwt_in', 'lwt_in', ''],
  ['lwt_out', 'lwt_out', ''],
  ['lwt_xmit', 'lwt_xmit', ''],
  ['lwt_seg6local', 'lwt_seg6local', ''],
  ['sockops', 'sock_ops', 'cgroup_sock_ops'],
  ['sk_skb/stream_parser', 'sk_skb', 'sk_skb_stream_parser'],
  ['sk_skb/stream_verdict', 'sk_skb', 'sk_skb_stream_verdict'],
  ['sk_skb/verdict', 'sk_skb', 'sk_skb_verdict'],
  ['sk_skb', 'sk_skb', ''],
  ['sk_msg', 'sk_msg', 'sk_msg_verdict'],
  ['lirc_mode2', 'lirc_mode2', 'lirc_mode2'],
  ['flow_dissector', 'flow_dissector', 'flow_dissector'],
  ['cgroup_skb/ingress', 'cgroup_skb', 'cgroup_inet_ingress'],
  ['cgroup_skb/egress', 'cgroup_skb', 'cgroup_inet_egress'],
  ['cgroup/skb', 'cgroup_skb', ''],
  ['cgroup/sock_create', 'cgroup_sock', 'cgroup_inet_sock_create'],
  ['cgroup/sock_release', 'cgroup_sock', 'cgroup_inet_sock_release'],
  ['cgroup/sock', 'cgroup_sock', 'cgroup_inet_sock_create'],
  ['cgroup/post_bind4', 'cgroup_sock', 'cgroup_inet4_post_bind'],
  ['cgroup/post_bind6', 'cgroup_sock', 'cgroup_inet6_post_bind'],
  ['cgroup/bind4', 'cgroup_sock_addr', 'cgroup_inet4_bind'],
  ['cgroup/bind6', 'cgroup_sock_addr', 'cgroup_inet6_bind'],
  ['cgroup/connect4', 'cgroup_sock_addr', 'cgroup_inet4_connect'],
  ['cgroup/connect6', 'cgroup_sock_addr', 'cgroup_inet6_connect'],
  ['cgroup/connect_unix', 'cgroup_sock_addr', 'cgroup_unix_connect'],
  ['cgroup/sendmsg4', 'cgroup_sock_addr', 'cgroup_udp4_sendmsg'],
  ['cgroup/sendmsg6', 'cgroup_sock_addr', 'cgroup_udp6_sendmsg'],
  ['cgroup/sendmsg_unix', 'cgroup_sock_addr', 'cgroup_unix_sendmsg'],
  ['cgroup/recvmsg4', 'cgroup_sock_addr', 'cgroup_udp4_recvmsg'],
  ['cgroup/recvmsg6', 'cgroup_sock_addr', 'cgroup_udp6_recvmsg'],
  ['cgroup/recvmsg_unix', 'cgroup_sock_addr', 'cgroup_unix_recvmsg'],
  ['cgroup/getpeername4', 'cgroup_sock_addr', 'cgroup_inet4_getpeername'],
  ['cgroup/getpeername6', 'cgroup_sock_addr', 'cgroup_inet6_getpeername'],
  ['cgroup/getpeername_unix', 'cgroup_sock_addr', 'cgroup_unix_getpeername'],
  ['cgroup/getsockname4', 'cgroup_sock_addr', 'cgroup_inet4_getsockname'],
  ['cgroup/getsockname6', 'cgroup_sock_addr', 'cgroup_inet6_getsockname'],
  ['cgroup/getsockname_unix', 'cgroup_sock_addr', 'cgroup_unix_getsockname'],
  ['cgroup/sysctl', 'cgroup_sysctl', 'cgroup_sysctl'],
  ['cgroup/getsockopt', 'cgroup_sockopt', 'cgroup_getsockopt'],
  ['cgroup/setsockopt', 'cgroup_sockopt', 'cgroup_setsockopt'],
  ['cgroup/dev', 'cgroup_device', 'cgroup_device'],
  ['struct_ops+', 'struct_ops', ''],
  ['struct_ops.s+', 'struct_ops', '', 'sleepable'],
  ['sk_lookup', 'sk_lookup', 'sk_lookup'],
  ['netfilter', 'netfilter', 'netfilter'],
];

/**
 * Plain prefixes (`kprobe_foo`, `xdp_pass`, `socket1`), tried in order after libbpf's own exact names have been
 * tried as prefixes, which is what libbpf 0.x did.
 */
const legacyRows: readonly Row[] = [
  ['cgroup', 'cgroup_skb', ''],
  ['sk_filter', 'socket_filter', ''],
  ['filter', 'socket_filter', ''],
  ['kprobe', 'kprobe', ''],
  ['kretprobe', 'kprobe', ''],
  ['uprobe', 'kprobe', ''],
  ['uretprobe', 'kprobe', ''],
  ['tracepoint', 'tracepoint', ''],
  ['raw_tracepoint', 'raw_tracepoint', ''],
  ['raw_tp', 'raw_tracepoint', ''],
  ['from-', 'sched_cls', ''],
  ['to-', 'sched_cls', ''],
  ['ingress', 'sched_cls', ''],
  ['egress', 'sched_cls', ''],
];

const prefixRows: readonly Row[] = [
  ...libbpfRows.filter(([pattern]) => !pattern.endsWith('+')),
  ...legacyRows,
];

/** What a section name says about the programs in it. */
export interface SectionDef {
  readonly type: ProgType;
  readonly expectedAttachType: AttachType;
  readonly progFlags: number;
  readonly attachTarget?: string;
  /** The target is found by BTF id. */
  readonly attachBtf: boolean;
  readonly autoload: boolean;
  /** Whose convention matched: libbpf 1.x, an older loader's, or nobody's (`type` is `unspec`). */
  readonly convention: 'libbpf' | 'legacy' | 'none';
}

function matches(pattern: string, name: string): boolean {
  if (!pattern.endsWith('+')) return pattern === name;
  const stem = pattern.slice(0, -1);
  return name === stem || name.startsWith(`${stem}/`);
}

/** Reads a section name, `?` prefix included. Never fails: an unknown name gives `unspec`. */
export function sectionDef(sectionName: string): SectionDef {
  const autoload = !sectionName.startsWith('?');
  const name = autoload ? sectionName : sectionName.slice(1);
  const exact = libbpfRows.find(([pattern]) => matches(pattern, name));
  const row = exact ?? prefixRows.find(([prefix]) => name.startsWith(prefix));
  const [pattern, type, attach, ...flags] = row ?? (['', 'unspec', ''] as const satisfies Row);
  let progFlags = 0;
  if (flags.includes('sleepable')) progFlags |= BPF_F_SLEEPABLE;
  if (flags.includes('frags')) progFlags |= BPF_F_XDP_HAS_FRAGS;
  const stem = `${pattern.replace('+', '')}/`;
  const target = row !== undefined && name.startsWith(stem) ? { attachTarget: name.slice(stem.length) } : {};
  return {
    type: ProgType[type],
    expectedAttachType: attach === '' ? 0 : AttachType[attach],
    progFlags,
    ...target,
    attachBtf: flags.includes('btf'),
    autoload,
    convention: exact !== undefined ? 'libbpf' : row !== undefined ? 'legacy' : 'none',
  };
}

/** The patterns of libbpf's table, for documentation and completion. */
export const knownSections: readonly string[] = libbpfRows.map(([pattern]) => pattern);
