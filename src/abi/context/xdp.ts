/**
 * Context of XDP programs: `struct xdp_md` of include/uapi/linux/bpf.h, Linux 6.18.
 */
import { type ContextLayout, layout } from './layout.js';

/** `data`, `data_end` and `data_meta` are packet pointers squeezed into 32 bits. */
export const XDP_MD: ContextLayout = layout('xdp_md', 24, [
  ['data', 0, 4],
  ['data_end', 4, 4],
  ['data_meta', 8, 4],
  ['ingress_ifindex', 12, 4],
  ['rx_queue_index', 16, 4],
  ['egress_ifindex', 20, 4],
]);
