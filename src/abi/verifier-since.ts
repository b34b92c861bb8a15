/**
 * Since which Linux there is what a program may need: helpers, program, map and attach types, instructions and
 * loader features. Mainline releases; distributions carry some of it further back. Facts from the history of
 * include/uapi/linux/bpf.h and kernel/bpf.
 */
import { AttachType, type AttachTypeName } from './attach-types.js';
import { HELPERS } from './helpers.js';
import { MapType, type MapTypeName } from './map-types.js';
import { ProgType, type ProgTypeName } from './prog-types.js';

/** A mainline release: `5.15`. */
export type KernelVersion = `${number}.${number}`;

/** Negative, zero or positive as `a` is older than, the same as or newer than `b`. */
export function compareVersions(a: KernelVersion, b: KernelVersion): number {
  const [majorA, minorA] = a.split('.').map(Number) as [number, number];
  const [majorB, minorB] = b.split('.').map(Number) as [number, number];
  return majorA - majorB || minorA - minorB;
}

/** Helpers are numbered in the order in which they came: the last one of each release that had new ones. */
const LAST_HELPER: readonly (readonly [version: KernelVersion, id: number])[] = [
  ['3.19', 3],
  ['4.1', 11],
  ['4.2', 16],
  ['4.3', 22],
  ['4.4', 25],
  ['4.5', 26],
  ['4.6', 30],
  ['4.8', 36],
  ['4.9', 41],
  ['4.10', 44],
  ['4.11', 45],
  ['4.12', 47],
  ['4.13', 50],
  ['4.14', 53],
  ['4.15', 57],
  ['4.16', 59],
  ['4.17', 64],
  ['4.18', 80],
  ['4.19', 83],
  ['4.20', 90],
  ['5.0', 92],
  ['5.1', 98],
  ['5.2', 108],
  ['5.3', 109],
  ['5.4', 110],
  ['5.5', 115],
  ['5.6', 118],
  ['5.7', 124],
  ['5.8', 135],
  ['5.9', 141],
  ['5.10', 155],
  ['5.11', 162],
  ['5.12', 163],
  ['5.13', 165],
  ['5.14', 168],
  ['5.15', 175],
  ['5.16', 179],
  ['5.17', 185],
  ['5.18', 193],
  ['5.19', 203],
  ['6.0', 207],
  ['6.1', 209],
  ['6.2', 211],
];

const PROG_TYPES: readonly (readonly [version: KernelVersion, names: string])[] = [
  ['3.19', 'socket_filter'],
  ['4.1', 'kprobe sched_cls sched_act'],
  ['4.7', 'tracepoint'],
  ['4.8', 'xdp'],
  ['4.9', 'perf_event'],
  ['4.10', 'cgroup_skb cgroup_sock lwt_in lwt_out lwt_xmit'],
  ['4.13', 'sock_ops'],
  ['4.14', 'sk_skb'],
  ['4.15', 'cgroup_device'],
  ['4.17', 'sk_msg raw_tracepoint cgroup_sock_addr'],
  ['4.18', 'lwt_seg6local lirc_mode2'],
  ['4.19', 'sk_reuseport'],
  ['4.20', 'flow_dissector'],
  ['5.2', 'cgroup_sysctl raw_tracepoint_writable'],
  ['5.3', 'cgroup_sockopt'],
  ['5.5', 'tracing'],
  ['5.6', 'struct_ops ext'],
  ['5.7', 'lsm'],
  ['5.9', 'sk_lookup'],
  ['5.14', 'syscall'],
  ['6.4', 'netfilter'],
];

const MAP_TYPES: readonly (readonly [version: KernelVersion, names: string])[] = [
  ['3.19', 'hash array'],
  ['4.2', 'prog_array'],
  ['4.3', 'perf_event_array'],
  ['4.6', 'percpu_hash percpu_array stack_trace'],
  ['4.8', 'cgroup_array'],
  ['4.10', 'lru_hash lru_percpu_hash'],
  ['4.11', 'lpm_trie'],
  ['4.12', 'array_of_maps hash_of_maps'],
  ['4.14', 'devmap sockmap'],
  ['4.15', 'cpumap'],
  ['4.18', 'xskmap sockhash'],
  ['4.19', 'cgroup_storage reuseport_sockarray'],
  ['4.20', 'percpu_cgroup_storage queue stack'],
  ['5.2', 'sk_storage'],
  ['5.4', 'devmap_hash'],
  ['5.6', 'struct_ops'],
  ['5.8', 'ringbuf'],
  ['5.10', 'inode_storage'],
  ['5.11', 'task_storage'],
  ['5.16', 'bloom_filter'],
  ['6.1', 'user_ringbuf'],
  ['6.2', 'cgrp_storage'],
  ['6.9', 'arena'],
];

const ATTACH_TYPES: readonly (readonly [version: KernelVersion, names: string])[] = [
  ['4.10', 'cgroup_inet_ingress cgroup_inet_egress cgroup_inet_sock_create'],
  ['4.13', 'cgroup_sock_ops'],
  ['4.14', 'sk_skb_stream_parser sk_skb_stream_verdict'],
  ['4.15', 'cgroup_device'],
  ['4.17', 'sk_msg_verdict cgroup_inet4_bind cgroup_inet6_bind cgroup_inet4_connect cgroup_inet6_connect'],
  ['4.17', 'cgroup_inet4_post_bind cgroup_inet6_post_bind'],
  ['4.18', 'cgroup_udp4_sendmsg cgroup_udp6_sendmsg lirc_mode2'],
  ['4.20', 'flow_dissector'],
  ['5.2', 'cgroup_sysctl cgroup_udp4_recvmsg cgroup_udp6_recvmsg'],
  ['5.3', 'cgroup_getsockopt cgroup_setsockopt'],
  ['5.5', 'trace_raw_tp trace_fentry trace_fexit'],
  ['5.7', 'modify_return lsm_mac'],
  ['5.8', 'trace_iter cgroup_inet4_getpeername cgroup_inet6_getpeername xdp_devmap'],
  ['5.8', 'cgroup_inet4_getsockname cgroup_inet6_getsockname'],
  ['5.9', 'cgroup_inet_sock_release xdp_cpumap sk_lookup xdp'],
  ['5.13', 'sk_skb_verdict'],
  ['5.14', 'sk_reuseport_select sk_reuseport_select_or_migrate'],
  ['5.15', 'perf_event'],
  ['5.18', 'trace_kprobe_multi'],
  ['6.0', 'lsm_cgroup'],
  ['6.4', 'struct_ops netfilter'],
  ['6.6', 'tcx_ingress tcx_egress trace_uprobe_multi'],
  ['6.7', 'cgroup_unix_connect cgroup_unix_sendmsg cgroup_unix_recvmsg cgroup_unix_getpeername'],
  ['6.7', 'cgroup_unix_getsockname netkit_primary netkit_peer'],
  ['6.10', 'trace_kprobe_session'],
  ['6.13', 'trace_uprobe_session'],
];

/** What else came with a release and shows in a program. */
export const FEATURE_SINCE = {
  /** `jlt`, `jle`, `jslt`, `jsle` (cpu v2). */
  jumpLess: '4.14',
  /** Calls between functions of a program. */
  localCalls: '4.16',
  /** 32-bit compares and jumps (cpu v3). */
  jump32: '5.1',
  /** Addresses of global data, and a million instructions for whoever has the privilege (4,096 before). */
  globalData: '5.2',
  largePrograms: '5.2',
  boundedLoops: '5.3',
  /** Functions that are verified by themselves. */
  globalFunctions: '5.6',
  /** `BPF_F_SLEEPABLE`. */
  sleepable: '5.10',
  /** Addresses of kernel variables. */
  kernelSymbols: '5.10',
  /** Atomics that fetch, exchange and compare; before, only addition. */
  atomics: '5.12',
  /** Callbacks and calls of kernel functions. */
  callbacks: '5.13',
  kernelFunctions: '5.13',
  /** Maps by index into an array of file descriptors. */
  mapIndex: '5.14',
  /** Signed division, sign-extending moves and loads, byte swaps, long jumps (cpu v4). */
  cpuV4: '6.6',
  mayGoto: '6.9',
  addressSpaceCast: '6.9',
  /** Load-acquire and store-release. */
  loadAcquire: '6.15',
} as const satisfies Record<string, KernelVersion>;

/** Name of a row of `FEATURE_SINCE`. */
export type LoaderFeature = keyof typeof FEATURE_SINCE;

function numbered<Name extends string>(
  rows: readonly (readonly [version: KernelVersion, names: string])[],
  numbers: Readonly<Record<Name, number>>,
): ReadonlyMap<number, KernelVersion> {
  return new Map(
    rows.flatMap(([version, names]) =>
      names.split(' ').map((name) => [numbers[name as Name], version] as [number, KernelVersion]),
    ),
  );
}

const progTypes = numbered<ProgTypeName>(PROG_TYPES, ProgType);
const mapTypes = numbered<MapTypeName>(MAP_TYPES, MapType);
const attachTypes = numbered<AttachTypeName>(ATTACH_TYPES, AttachType);

/** First release with this helper; undefined for ids that are none. */
export function helperSince(id: number): KernelVersion | undefined {
  if (id < 1 || id > HELPERS.length) return undefined;
  return LAST_HELPER.find(([, last]) => id <= last)?.[0];
}

/** First release with this program type; undefined for numbers that Linux 6.18 does not know, and `unspec`. */
export function progTypeSince(type: number): KernelVersion | undefined {
  return progTypes.get(type);
}

/** First release with this map type; undefined for numbers that Linux 6.18 does not know, and `unspec`. */
export function mapTypeSince(type: number): KernelVersion | undefined {
  return mapTypes.get(type);
}

/** First release with this attach type; undefined for numbers that Linux 6.18 does not know. */
export function attachTypeSince(type: number): KernelVersion | undefined {
  return attachTypes.get(type);
}
