/**
 * Contexts of the programs that sit on sockets (include/uapi/linux/bpf.h, Linux 6.18). Addresses are in
 * network order; of the ports `remote_port` is mostly network and `local_port` host order.
 */
import { type ContextLayout, layout } from './layout.js';

/** sk_msg: a message about to be sent. */
export const SK_MSG_MD: ContextLayout = layout('sk_msg_md', 80, [
  ['data', 0, 8],
  ['data_end', 8, 8],
  ['family', 16, 4],
  ['remote_ip4', 20, 4],
  ['local_ip4', 24, 4],
  ['remote_ip6', 28, 4, 4],
  ['local_ip6', 44, 4, 4],
  ['remote_port', 60, 4],
  ['local_port', 64, 4],
  ['size', 68, 4],
  ['sk', 72, 8],
]);

/** sock_ops: a TCP event; `op` tells which, `args` and `reply` share their place. */
export const SOCK_OPS: ContextLayout = layout('bpf_sock_ops', 224, [
  ['op', 0, 4],
  ['args', 4, 4, 4],
  ['reply', 4, 4],
  ['replylong', 4, 4, 4],
  ['family', 20, 4],
  ['remote_ip4', 24, 4],
  ['local_ip4', 28, 4],
  ['remote_ip6', 32, 4, 4],
  ['local_ip6', 48, 4, 4],
  ['remote_port', 64, 4],
  ['local_port', 68, 4],
  ['is_fullsock', 72, 4],
  ['snd_cwnd', 76, 4],
  ['srtt_us', 80, 4],
  ['bpf_sock_ops_cb_flags', 84, 4],
  ['state', 88, 4],
  ['rtt_min', 92, 4],
  ['snd_ssthresh', 96, 4],
  ['rcv_nxt', 100, 4],
  ['snd_nxt', 104, 4],
  ['snd_una', 108, 4],
  ['mss_cache', 112, 4],
  ['ecn_flags', 116, 4],
  ['rate_delivered', 120, 4],
  ['rate_interval_us', 124, 4],
  ['packets_out', 128, 4],
  ['retrans_out', 132, 4],
  ['total_retrans', 136, 4],
  ['segs_in', 140, 4],
  ['data_segs_in', 144, 4],
  ['segs_out', 148, 4],
  ['data_segs_out', 152, 4],
  ['lost_out', 156, 4],
  ['sacked_out', 160, 4],
  ['sk_txhash', 164, 4],
  ['bytes_received', 168, 8],
  ['bytes_acked', 176, 8],
  ['sk', 184, 8],
  ['skb_data', 192, 8],
  ['skb_data_end', 200, 8],
  ['skb_len', 208, 4],
  ['skb_tcp_flags', 212, 4],
  ['skb_hwtstamp', 216, 8],
]);

/** sk_reuseport: choose a socket of a group. */
export const SK_REUSEPORT_MD: ContextLayout = layout('sk_reuseport_md', 56, [
  ['data', 0, 8],
  ['data_end', 8, 8],
  ['len', 16, 4],
  ['eth_protocol', 20, 4],
  ['ip_protocol', 24, 4],
  ['bind_inany', 28, 4],
  ['hash', 32, 4],
  ['sk', 40, 8],
  ['migrating_sk', 48, 8],
]);

/** sk_lookup: choose a socket for a new connection. */
export const SK_LOOKUP: ContextLayout = layout('bpf_sk_lookup', 72, [
  ['sk', 0, 8],
  ['cookie', 0, 8],
  ['family', 8, 4],
  ['protocol', 12, 4],
  ['remote_ip4', 16, 4],
  ['remote_ip6', 20, 4, 4],
  ['remote_port', 36, 2],
  ['local_ip4', 40, 4],
  ['local_ip6', 44, 4, 4],
  ['local_port', 60, 4],
  ['ingress_ifindex', 64, 4],
]);
