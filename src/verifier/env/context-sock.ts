/**
 * Access to the contexts of socket and cgroup programs, and to the sockets that the verifier itself knows
 * (net/core/filter.c, kernel/bpf/cgroup.c, net/netfilter/nf_bpf_link.c, Linux 6.18).
 */
import { AttachType } from '../../abi/attach-types.js';
import { CGROUP_DEV_CTX, SOCK_ADDR, SOCKOPT, SYSCTL } from '../../abi/context/cgroup.js';
import { NF_CTX } from '../../abi/context/netfilter.js';
import { SOCK, TCP_SOCK } from '../../abi/context/skb.js';
import { SK_LOOKUP, SK_MSG_MD, SK_REUSEPORT_MD, SOCK_OPS } from '../../abi/context/sock.js';
import {
  PTR_MAYBE_NULL,
  PTR_TO_BTF_ID,
  PTR_TO_PACKET,
  PTR_TO_PACKET_END,
  PTR_TO_SOCK_COMMON,
  PTR_TO_SOCKET,
  PTR_TRUSTED,
} from '../reg-type.js';
import {
  atLeastHalf,
  exact,
  narrow,
  narrowAtStart,
  orPair,
  port,
  portWhole,
  type Rule,
  rulesOf,
  without,
} from './context-rules.js';
import type { ProgEnv } from './types.js';

const on =
  (...types: readonly number[]) =>
  (env: ProgEnv): boolean =>
    types.includes(env.expectedAttachType);

const pointer = (type: number) => ({ read: exact(8), type });
const PACKET = pointer(PTR_TO_PACKET);
const PACKET_END = pointer(PTR_TO_PACKET_END);
const FULL_SOCK = pointer(PTR_TO_SOCKET);

/** `struct bpf_sock`, as reads through `PTR_TO_SOCKET` see it. */
export const SOCK_RULES: readonly Rule[] = rulesOf(SOCK, [
  ['bound_dev_if mark priority', { read: exact(4) }],
  ['family type protocol src_port state rx_queue_mapping', { read: narrowAtStart }],
  ['src_ip4 src_ip6 dst_ip4 dst_ip6', { read: narrow(4) }],
  ['dst_port', { read: port }],
]);

/** Reads through `PTR_TO_SOCK_COMMON`. */
export const SOCK_COMMON_RULES: readonly Rule[] = without(SOCK_RULES, 'type protocol mark priority');

/** Reads through `PTR_TO_TCP_SOCK`. */
export const TCP_SOCK_RULES: readonly Rule[] = rulesOf(
  TCP_SOCK,
  TCP_SOCK.fields.map(({ name, size }) => [name, { read: exact(size) }]),
);

/** Reads through `PTR_TO_XDP_SOCK`: `queue_id`. */
export const XDP_SOCK_RULES: readonly Rule[] = [{ name: 'queue_id', from: 0, to: 4, read: exact(4) }];

const creating = on(AttachType.cgroup_inet_sock_create, AttachType.cgroup_inet_sock_release);
const bound4 = on(AttachType.cgroup_inet4_post_bind);
const bound6 = on(AttachType.cgroup_inet6_post_bind);

/** cgroup_sock. */
export const CGROUP_SOCK_RULES: readonly Rule[] = rulesOf(SOCK, [
  ['bound_dev_if mark priority', { read: exact(4), write: exact(4), when: creating }],
  ['family type protocol state rx_queue_mapping', { read: narrowAtStart }],
  ['src_ip4', { read: narrow(4), when: bound4 }],
  ['src_ip6', { read: narrow(4), when: bound6 }],
  ['src_port', { read: narrowAtStart, when: (env) => bound4(env) || bound6(env) }],
  ['dst_ip4 dst_ip6', { read: narrow(4) }],
  ['dst_port', { read: port }],
]);

const send4 = on(AttachType.cgroup_udp4_sendmsg);
const send6 = on(AttachType.cgroup_udp6_sendmsg);
const inet4 = on(
  AttachType.cgroup_inet4_bind,
  AttachType.cgroup_inet4_connect,
  AttachType.cgroup_inet4_getpeername,
  AttachType.cgroup_inet4_getsockname,
  AttachType.cgroup_udp4_sendmsg,
  AttachType.cgroup_udp4_recvmsg,
);
const inet6 = on(
  AttachType.cgroup_inet6_bind,
  AttachType.cgroup_inet6_connect,
  AttachType.cgroup_inet6_getpeername,
  AttachType.cgroup_inet6_getsockname,
  AttachType.cgroup_udp6_sendmsg,
  AttachType.cgroup_udp6_recvmsg,
);
const address = { read: narrow(4), write: exact(4) };
const address6 = { read: orPair(narrow(4)), write: orPair(exact(4)) };

/** cgroup_sock_addr. */
export const SOCK_ADDR_RULES: readonly Rule[] = rulesOf(SOCK_ADDR, [
  ['user_family family type protocol', { read: exact(4) }],
  ['user_ip4', { ...address, when: inet4 }],
  ['user_ip6', { ...address6, when: inet6 }],
  ['user_port', address],
  ['msg_src_ip4', { ...address, when: send4 }],
  ['msg_src_ip6', { ...address6, when: send6 }],
  ['sk', FULL_SOCK],
]);

/** sock_ops. */
export const SOCK_OPS_RULES: readonly Rule[] = [
  ...rulesOf(SOCK_OPS, [
    ['reply sk_txhash', { read: exact(4), write: exact(4) }],
    ['skb_tcp_flags', { read: narrowAtStart }],
    ['bytes_received bytes_acked skb_hwtstamp', { read: exact(8) }],
    ['sk', pointer(PTR_TO_SOCKET | PTR_MAYBE_NULL)],
    ['skb_data', PACKET],
    ['skb_data_end', PACKET_END],
  ]),
  { name: 'word', from: 0, to: SOCK_OPS.size, read: exact(4) },
];

/** sk_msg. */
export const SK_MSG_RULES: readonly Rule[] = rulesOf(SK_MSG_MD, [
  ['data', PACKET],
  ['data_end', PACKET_END],
  ['family remote_ip4 local_ip4 remote_ip6 local_ip6 remote_port local_port size', { read: exact(4) }],
  ['sk', FULL_SOCK],
]);

/** sk_reuseport. */
export const SK_REUSEPORT_RULES: readonly Rule[] = rulesOf(SK_REUSEPORT_MD, [
  ['data', PACKET],
  ['data_end', PACKET_END],
  ['len ip_protocol bind_inany', { read: narrow(4) }],
  ['eth_protocol', { read: atLeastHalf }],
  ['hash', { read: exact(4) }],
  ['sk', FULL_SOCK],
  ['migrating_sk', pointer(PTR_TO_SOCK_COMMON | PTR_MAYBE_NULL)],
]);

/** sk_lookup: the two bytes behind `remote_port` read as zero. */
export const SK_LOOKUP_RULES: readonly Rule[] = rulesOf(SK_LOOKUP, [
  ['sk', pointer(PTR_TO_SOCKET | PTR_MAYBE_NULL)],
  [
    'family protocol remote_ip4 local_ip4 remote_ip6 local_ip6 local_port ingress_ifindex',
    { read: narrow(4) },
  ],
  ['remote_port', { read: portWhole }],
  [[38, 40], { read: narrow(2) }],
]);

/** cgroup_device. */
export const CGROUP_DEVICE_RULES: readonly Rule[] = rulesOf(CGROUP_DEV_CTX, [
  ['access_type', { read: narrow(4) }],
  ['major minor', { read: exact(4) }],
]);

/** cgroup_sysctl. */
export const SYSCTL_RULES: readonly Rule[] = rulesOf(SYSCTL, [
  ['write', { read: narrow(4) }],
  ['file_pos', address],
]);

const getting = on(AttachType.cgroup_getsockopt);
const setting = on(AttachType.cgroup_setsockopt);

/** cgroup_sockopt. */
export const SOCKOPT_RULES: readonly Rule[] = rulesOf(SOCKOPT, [
  ['sk', FULL_SOCK],
  ['optval', PACKET],
  ['optval_end', PACKET_END],
  ['level optname', { read: exact(4), write: exact(4), writeWhen: setting }],
  ['optlen', { read: exact(4), write: exact(4) }],
  ['retval', { read: exact(4), write: exact(4), when: getting }],
]);

/** netfilter: both are pointers to kernel structures. */
export const NETFILTER_RULES: readonly Rule[] = rulesOf(NF_CTX, [
  ['state', { ...pointer(PTR_TO_BTF_ID | PTR_TRUSTED), struct: 'nf_hook_state' }],
  ['skb', { ...pointer(PTR_TO_BTF_ID | PTR_TRUSTED), struct: 'sk_buff' }],
]);
