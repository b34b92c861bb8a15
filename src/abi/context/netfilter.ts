/**
 * Context of netfilter programs: two pointers (include/linux/bpf.h's `struct bpf_nf_ctx`, Linux 6.18).
 */
import { type ContextLayout, layout } from './layout.js';

/** Hook state and packet. */
export const NF_CTX: ContextLayout = layout('bpf_nf_ctx', 16, [
  ['state', 0, 8],
  ['skb', 8, 8],
]);
