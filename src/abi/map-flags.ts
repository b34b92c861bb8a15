/**
 * Flags of maps, of updates and of the helpers that work on maps, as Linux 6.18 numbers them.
 * Models the flag enums of include/uapi/linux/bpf.h.
 */
import { flagsText } from './flag-text.js';

/** `map_flags` of BPF_MAP_CREATE. */
export const MapFlag = {
  BPF_F_NO_PREALLOC: 1 << 0,
  BPF_F_NO_COMMON_LRU: 1 << 1,
  BPF_F_NUMA_NODE: 1 << 2,
  BPF_F_RDONLY: 1 << 3,
  BPF_F_WRONLY: 1 << 4,
  BPF_F_STACK_BUILD_ID: 1 << 5,
  BPF_F_ZERO_SEED: 1 << 6,
  BPF_F_RDONLY_PROG: 1 << 7,
  BPF_F_WRONLY_PROG: 1 << 8,
  BPF_F_CLONE: 1 << 9,
  BPF_F_MMAPABLE: 1 << 10,
  BPF_F_PRESERVE_ELEMS: 1 << 11,
  BPF_F_INNER_MAP: 1 << 12,
  BPF_F_LINK: 1 << 13,
  BPF_F_PATH_FD: 1 << 14,
  BPF_F_VTYPE_BTF_OBJ_FD: 1 << 15,
  BPF_F_TOKEN_FD: 1 << 16,
  BPF_F_SEGV_ON_FAULT: 1 << 17,
  BPF_F_NO_USER_CONV: 1 << 18,
} as const;

/** Flags of `map_update_elem`, of the syscall and of the helper. */
export const UpdateFlag = {
  BPF_ANY: 0,
  BPF_NOEXIST: 1,
  BPF_EXIST: 2,
  BPF_F_LOCK: 4,
} as const;

/** Flags of `bpf_get_stackid` and `bpf_get_stack`. */
export const StackFlag = {
  BPF_F_SKIP_FIELD_MASK: 0xff,
  BPF_F_USER_STACK: 1 << 8,
  BPF_F_FAST_STACK_CMP: 1 << 9,
  BPF_F_REUSE_STACKID: 1 << 10,
  BPF_F_USER_BUILD_ID: 1 << 11,
} as const;

/** Flags and queries of the ring buffer's helpers, and the bits of a record's header. */
export const RingbufFlag = {
  BPF_RB_NO_WAKEUP: 1 << 0,
  BPF_RB_FORCE_WAKEUP: 1 << 1,
  BPF_RB_AVAIL_DATA: 0,
  BPF_RB_RING_SIZE: 1,
  BPF_RB_CONS_POS: 2,
  BPF_RB_PROD_POS: 3,
  BPF_RINGBUF_BUSY_BIT: 0x80000000,
  BPF_RINGBUF_DISCARD_BIT: 0x40000000,
  BPF_RINGBUF_HDR_SZ: 8,
} as const;

/** Flags of `bpf_perf_event_output` and `bpf_perf_event_read_value`, 64 bits wide. */
export const PerfOutputFlag = {
  BPF_F_INDEX_MASK: 0xffffffffn,
  BPF_F_CURRENT_CPU: 0xffffffffn,
  BPF_F_CTXLEN_MASK: 0xfffffn << 32n,
} as const;

/** Flags of `bpf_redirect_map`; the low two bits are the action taken when the look-up fails. */
export const RedirectMapFlag = {
  BPF_F_ACTION_MASK: 3,
  BPF_F_BROADCAST: 1 << 3,
  BPF_F_EXCLUDE_INGRESS: 1 << 4,
} as const;

/** Flags of `bpf_redirect` on the skb path. */
export const RedirectFlag = { BPF_F_INGRESS: 1 << 0, BPF_F_EGRESS: 1 << 1 } as const;

/** Flags of the checksum helpers and of `bpf_skb_store_bytes`. */
export const CsumFlag = {
  BPF_F_RECOMPUTE_CSUM: 1 << 0,
  BPF_F_INVALIDATE_HASH: 1 << 1,
  BPF_F_HDR_FIELD_MASK: 0xf,
  BPF_F_PSEUDO_HDR: 1 << 4,
  BPF_F_MARK_MANGLED_0: 1 << 5,
  BPF_F_MARK_ENFORCE: 1 << 6,
  BPF_F_IPV6: 1 << 7,
} as const;

/** Names of the map flags set in `mapFlags`; `0` for none. */
export function mapFlagsText(mapFlags: number): string {
  return flagsText(MapFlag, mapFlags);
}
