/**
 * Access to `struct __sk_buff` by program type (`*_is_valid_access` over `bpf_skb_is_valid_access`, net/core/filter.c,
 * Linux 6.18): one table of all fields, and what each program type may not see or may write.
 */
import { SK_BUFF } from '../../abi/context/skb.js';
import {
  PTR_MAYBE_NULL,
  PTR_TO_FLOW_KEYS,
  PTR_TO_PACKET,
  PTR_TO_PACKET_END,
  PTR_TO_PACKET_META,
  PTR_TO_SOCK_COMMON,
} from '../reg-type.js';
import { alter, exact, narrow, type Rule, rulesOf, within, without, writableOnly } from './context-rules.js';
import type { ProgEnv } from './types.js';

/** `family` to `local_port`: the socket's addresses. */
const ADDRESSES = 'family remote_ip4 local_ip4 remote_ip6 local_ip6 remote_port local_port';

const word = { read: narrow(4), write: exact(4) };

const SKB = rulesOf(SK_BUFF, [
  ['len pkt_type mark queue_mapping protocol vlan_present vlan_tci vlan_proto priority', word],
  ['ingress_ifindex ifindex tc_index hash tc_classid napi_id', word],
  ['family remote_port local_port wire_len gso_segs gso_size', word],
  ['remote_ip4 local_ip4 remote_ip6 local_ip6', { read: exact(4), write: exact(4) }],
  ['cb', { read: within, write: within }],
  ['data', { read: exact(4), type: PTR_TO_PACKET, noSext: true }],
  ['data_end', { read: exact(4), type: PTR_TO_PACKET_END, noSext: true }],
  ['data_meta', { read: exact(4), type: PTR_TO_PACKET_META, noSext: true }],
  ['tstamp', { read: exact(8), write: exact(8) }],
  ['sk', { read: exact(8), type: PTR_TO_SOCK_COMMON | PTR_MAYBE_NULL }],
  ['hwtstamp', { read: exact(8) }],
]);

const bpf = (env: ProgEnv): boolean => env.capabilities.bpf;

/** socket_filter. */
export const SOCKET_FILTER_RULES: readonly Rule[] = writableOnly(
  without(SKB, `tc_classid data data_meta data_end ${ADDRESSES} tstamp wire_len hwtstamp`),
  'cb',
);

/** cgroup_skb: packet and time stamp only with CAP_BPF. */
export const CGROUP_SKB_RULES: readonly Rule[] = alter(
  alter(
    writableOnly(without(SKB, 'tc_classid data_meta wire_len'), 'mark priority cb tstamp'),
    'data data_end',
    () => ({ when: bpf }),
  ),
  'tstamp',
  () => ({ writeWhen: bpf }),
);

/** lwt_in, lwt_out, lwt_xmit, lwt_seg6local. */
export const LWT_RULES: readonly Rule[] = writableOnly(
  without(SKB, `tc_classid ${ADDRESSES} data_meta tstamp wire_len hwtstamp`),
  'mark priority cb',
);

/** sched_cls, sched_act. */
export const TC_RULES: readonly Rule[] = [
  ...writableOnly(without(SKB, ADDRESSES), 'mark tc_index priority tc_classid cb tstamp queue_mapping'),
  ...rulesOf(SK_BUFF, [['tstamp_type', { read: exact(1) }]]),
];

/** sk_skb. */
export const SK_SKB_RULES: readonly Rule[] = writableOnly(
  without(SKB, 'tc_classid data_meta tstamp wire_len hwtstamp mark'),
  'tc_index priority',
);

/** flow_dissector. */
export const FLOW_DISSECTOR_RULES: readonly Rule[] = rulesOf(SK_BUFF, [
  ['data', { read: exact(4), type: PTR_TO_PACKET, noSext: true }],
  ['data_end', { read: exact(4), type: PTR_TO_PACKET_END, noSext: true }],
  ['flow_keys', { read: exact(8), type: PTR_TO_FLOW_KEYS }],
]);
