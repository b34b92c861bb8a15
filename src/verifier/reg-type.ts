/**
 * Register types: a base in the low eight bits, flags above, numbered as Linux 6.18 numbers them
 * (`enum bpf_reg_type`, `enum bpf_type_flag`, include/linux/bpf.h), and how its log spells them
 * (`reg_type_str`, kernel/bpf/log.c).
 */
export const NOT_INIT = 0;
export const SCALAR_VALUE = 1;
export const PTR_TO_CTX = 2;
export const CONST_PTR_TO_MAP = 3;
export const PTR_TO_MAP_VALUE = 4;
export const PTR_TO_MAP_KEY = 5;
export const PTR_TO_STACK = 6;
export const PTR_TO_PACKET_META = 7;
export const PTR_TO_PACKET = 8;
export const PTR_TO_PACKET_END = 9;
export const PTR_TO_FLOW_KEYS = 10;
export const PTR_TO_SOCKET = 11;
export const PTR_TO_SOCK_COMMON = 12;
export const PTR_TO_TCP_SOCK = 13;
export const PTR_TO_TP_BUFFER = 14;
export const PTR_TO_XDP_SOCK = 15;
export const PTR_TO_BTF_ID = 16;
export const PTR_TO_MEM = 17;
export const PTR_TO_ARENA = 18;
export const PTR_TO_BUF = 19;
export const PTR_TO_FUNC = 20;
export const CONST_PTR_TO_DYNPTR = 21;

export const PTR_MAYBE_NULL = 1 << 8;
export const MEM_RDONLY = 1 << 9;
export const MEM_RINGBUF = 1 << 10;
export const MEM_USER = 1 << 11;
export const MEM_PERCPU = 1 << 12;
export const OBJ_RELEASE = 1 << 13;
export const PTR_UNTRUSTED = 1 << 14;
export const MEM_UNINIT = 1 << 15;
export const DYNPTR_TYPE_LOCAL = 1 << 16;
export const DYNPTR_TYPE_RINGBUF = 1 << 17;
export const MEM_FIXED_SIZE = 1 << 18;
export const MEM_ALLOC = 1 << 19;
export const PTR_TRUSTED = 1 << 20;
export const MEM_RCU = 1 << 21;
export const NON_OWN_REF = 1 << 22;
export const DYNPTR_TYPE_SKB = 1 << 23;
export const DYNPTR_TYPE_XDP = 1 << 24;
export const MEM_ALIGNED = 1 << 25;
export const MEM_WRITE = 1 << 26;
export const DYNPTR_TYPE_SKB_META = 1 << 27;

const BASE_MASK = 0xff;

export function baseType(type: number): number {
  return type & BASE_MASK;
}

export function typeFlags(type: number): number {
  return type & ~BASE_MASK;
}

export function mayBeNull(type: number): boolean {
  return (type & PTR_MAYBE_NULL) !== 0;
}

/** Flags that each make a pointer trusted, if it has no others (`BPF_REG_TRUSTED_MODIFIERS`). */
export const TRUSTED_MODIFIERS = MEM_ALLOC | PTR_TRUSTED | NON_OWN_REF;

/** Flags under which a pointer is not trusted (`bpf_type_has_unsafe_modifiers`). */
export function hasUnsafeModifiers(type: number): boolean {
  return (typeFlags(type) & ~TRUSTED_MODIFIERS) !== 0;
}

/** The program allocated it (`type_is_alloc`). */
export function isAlloc(type: number): boolean {
  return (type & MEM_ALLOC) !== 0;
}

/** An object of the program's own that it may write to (`type_is_ptr_alloc_obj`). */
export function isAllocatedObject(type: number): boolean {
  return baseType(type) === PTR_TO_BTF_ID && isAlloc(type) && (type & PTR_UNTRUSTED) === 0;
}

/** `type_is_non_owning_ref`. */
export function isNonOwningRef(type: number): boolean {
  return isAllocatedObject(type) && (type & NON_OWN_REF) !== 0;
}

const NAMES = [
  '?',
  'scalar',
  'ctx',
  'map_ptr',
  'map_value',
  'map_key',
  'fp',
  'pkt_meta',
  'pkt',
  'pkt_end',
  'flow_keys',
  'sock',
  'sock_common',
  'tcp_sock',
  'tp_buffer',
  'xdp_sock',
  'ptr_',
  'mem',
  'arena',
  'buf',
  'func',
  'dynptr_ptr',
] as const;

const PREFIXES: readonly (readonly [flag: number, text: string])[] = [
  [MEM_RDONLY, 'rdonly_'],
  [MEM_RINGBUF, 'ringbuf_'],
  [MEM_USER, 'user_'],
  [MEM_PERCPU, 'percpu_'],
  [MEM_RCU, 'rcu_'],
  [PTR_UNTRUSTED, 'untrusted_'],
  [PTR_TRUSTED, 'trusted_'],
];

/** A register type as log lines spell it: `map_value_or_null`, `rdonly_mem`, `trusted_ptr_`. */
export function regTypeText(type: number): string {
  const base = baseType(type);
  let prefix = '';
  for (const [flag, text] of PREFIXES) if ((type & flag) !== 0) prefix += text;
  const nullable = mayBeNull(type) ? (base === PTR_TO_BTF_ID ? 'or_null_' : '_or_null') : '';
  return `${prefix}${NAMES[base] ?? '?'}${nullable}`;
}

const SPILLABLE: ReadonlySet<number> = new Set([
  PTR_TO_MAP_VALUE,
  PTR_TO_STACK,
  PTR_TO_CTX,
  PTR_TO_PACKET,
  PTR_TO_PACKET_META,
  PTR_TO_PACKET_END,
  PTR_TO_FLOW_KEYS,
  CONST_PTR_TO_MAP,
  PTR_TO_SOCKET,
  PTR_TO_SOCK_COMMON,
  PTR_TO_TCP_SOCK,
  PTR_TO_XDP_SOCK,
  PTR_TO_BTF_ID,
  PTR_TO_BUF,
  PTR_TO_MEM,
  PTR_TO_FUNC,
  PTR_TO_MAP_KEY,
  PTR_TO_ARENA,
]);

/** Pointers that keep their type on the stack (`is_spillable_regtype`). */
export function isSpillable(type: number): boolean {
  return SPILLABLE.has(baseType(type));
}

/** Into the packet or its metadata (`type_is_pkt_pointer`). */
export function isPacketPointer(type: number): boolean {
  return type === PTR_TO_PACKET || type === PTR_TO_PACKET_META;
}

/** Into the packet, its metadata, or just past it. */
export function isPacketAny(type: number): boolean {
  return type === PTR_TO_PACKET || type === PTR_TO_PACKET_META || type === PTR_TO_PACKET_END;
}

/** `DYNPTR_TYPE_FLAG_MASK`. */
export const DYNPTR_TYPES =
  DYNPTR_TYPE_LOCAL | DYNPTR_TYPE_RINGBUF | DYNPTR_TYPE_SKB | DYNPTR_TYPE_XDP | DYNPTR_TYPE_SKB_META;

/** Memory of a dynptr that stands for the packet (`reg_is_dynptr_slice_pkt`). */
export function isPacketSlice(type: number): boolean {
  return baseType(type) === PTR_TO_MEM && (type & PACKET_DYNPTRS) !== 0;
}

const PACKET_DYNPTRS = DYNPTR_TYPE_SKB | DYNPTR_TYPE_XDP | DYNPTR_TYPE_SKB_META;

/** `type_is_sk_pointer`. */
export function isSocketPointer(type: number): boolean {
  return (
    type === PTR_TO_SOCKET ||
    type === PTR_TO_SOCK_COMMON ||
    type === PTR_TO_TCP_SOCK ||
    type === PTR_TO_XDP_SOCK
  );
}
