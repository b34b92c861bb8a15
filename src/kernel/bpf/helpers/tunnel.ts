/** Metadata of tunnels on a packet. Models `bpf_skb_{get,set}_tunnel_{key,opt}` of net/core/filter.c, Linux 6.18. */
import { Errno } from '../../../abi/errno.js';
import type { HelperCall } from '../../../vm/index.js';
import type { Machine } from '../../machine.js';
import { skbOf } from './skb.js';
import { EINVAL, ENOENT, ENOMEM, flagsArg, type HelperTable, plainHelpers, sizeArg } from './table.js';

/** Sizes that `struct bpf_tunnel_key` has had, the present one last. */
const KEY_SIZES: readonly number[] = [8, 22, 24, 28, 44];
const KEY_SIZE = 44;
/** Of the first layout, with room for one IPv6 word less. */
const OLDEST_KEY_SIZE = 8;
/** BPF_F_TUNINFO_IPV6, BPF_F_TUNINFO_FLAGS. */
const IPV6 = 1;
const GET_FLAGS = 1 | 16;
/** …, BPF_F_ZERO_CSUM_TX, BPF_F_DONT_FRAGMENT, BPF_F_SEQ_NUMBER, BPF_F_NO_TUNNEL_KEY. */
const SET_FLAGS = 31;
const MAX_OPTIONS = 255;
/** `TUNNEL_*` as `tunnel_flags` shows them, in network order. */
const TunnelFlag = {
  CSUM: 0x0100,
  KEY: 0x0400,
  SEQ: 0x0800,
  DONT_FRAGMENT: 0x0001,
  NOCACHE: 0x0020,
  OPTIONS: 0x00d8,
} as const;
const At = { ID: 0, REMOTE: 4, TOS: 20, TTL: 21, EXT: 22, LABEL: 24, LOCAL: 28 } as const;

export function tunnelHelpers(kernel: Machine): HelperTable {
  return plainHelpers({
    skb_get_tunnel_key: (call) => getKey(kernel, call),
    skb_set_tunnel_key: (call) => setKey(kernel, call),
    skb_get_tunnel_opt(call) {
      const size = sizeArg(call, 3);
      const to = call.pointer(2, size, true);
      const options = skbOf(kernel, call).tunnel?.options ?? new Uint8Array(0);
      const { u8 } = kernel.memory;
      u8.fill(0, to, to + size);
      if (options.length === 0) return -ENOENT;
      if (size < options.length) return -ENOMEM;
      u8.set(options, to);
      return options.length;
    },
    skb_set_tunnel_opt(call) {
      const size = sizeArg(call, 3);
      const from = call.bytes(2, size);
      const { tunnel } = skbOf(kernel, call);
      if (tunnel === undefined || size % 4 !== 0) return -EINVAL;
      if (size > MAX_OPTIONS) return -ENOMEM;
      tunnel.options = from.slice();
      tunnel.flags |= TunnelFlag.OPTIONS;
      return 0;
    },
  });
}

/** Addresses of IPv4 are shown in host order, those of IPv6 as they are. */
function putAddress(view: DataView, u8: Uint8Array, at: number, address: Uint8Array): void {
  if (address.length === 16) u8.set(address, at);
  else view.setUint32(at, new DataView(address.buffer, address.byteOffset).getUint32(0, false), true);
}

function getKey(kernel: Machine, call: HelperCall): number {
  const size = sizeArg(call, 3);
  const to = call.pointer(2, size, true);
  const flags = flagsArg(call, 4);
  const { u8 } = kernel.memory;
  const { tunnel } = skbOf(kernel, call);
  u8.fill(0, to, to + size);
  if (tunnel === undefined || (flags & ~GET_FLAGS) !== 0) return -EINVAL;
  if (tunnel.ipv6 !== ((flags & IPV6) !== 0)) return -Errno.EPROTO;
  if (!KEY_SIZES.includes(size)) return -EINVAL;
  if (size === OLDEST_KEY_SIZE && tunnel.ipv6) return -EINVAL;
  const key = new Uint8Array(KEY_SIZE);
  const keyView = new DataView(key.buffer);
  keyView.setUint32(At.ID, tunnel.id, true);
  putAddress(keyView, key, At.REMOTE, tunnel.source);
  key[At.TOS] = tunnel.tos;
  key[At.TTL] = tunnel.ttl;
  if ((flags & ~IPV6) !== 0) keyView.setUint16(At.EXT, tunnel.flags, true);
  if (tunnel.ipv6) keyView.setUint32(At.LABEL, tunnel.label, true);
  putAddress(keyView, key, At.LOCAL, tunnel.destination);
  u8.set(key.subarray(0, size), to);
  return 0;
}

function setKey(kernel: Machine, call: HelperCall): number {
  const size = sizeArg(call, 3);
  const from = call.pointer(2, size);
  const flags = flagsArg(call, 4);
  const skb = skbOf(kernel, call);
  if ((flags & ~SET_FLAGS) !== 0 || !KEY_SIZES.includes(size)) return -EINVAL;
  const key = new Uint8Array(KEY_SIZE);
  key.set(kernel.memory.u8.subarray(from, from + size));
  const view = new DataView(key.buffer);
  const ipv6 = (flags & IPV6) !== 0;
  const label = view.getUint32(At.LABEL, true);
  if ((!ipv6 && label !== 0) || view.getUint16(At.EXT, true) !== 0) return -EINVAL;
  const address = (at: number): Uint8Array => {
    if (ipv6) return key.slice(at, at + 16);
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setUint32(0, view.getUint32(at, true), false);
    return bytes;
  };
  skb.tunnel = {
    id: view.getUint32(At.ID, true),
    ipv6,
    source: address(At.LOCAL),
    destination: address(At.REMOTE),
    tos: key[At.TOS]!,
    ttl: key[At.TTL]!,
    label,
    flags: tunnelFlags(flags),
    options: new Uint8Array(0),
  };
  return 0;
}

/** From BPF_F_ZERO_CSUM_TX, _DONT_FRAGMENT, _SEQ_NUMBER, _NO_TUNNEL_KEY. */
function tunnelFlags(flags: number): number {
  const { CSUM, KEY, SEQ, DONT_FRAGMENT, NOCACHE } = TunnelFlag;
  return (
    NOCACHE |
    ((flags & 2) === 0 ? CSUM : 0) |
    ((flags & 4) !== 0 ? DONT_FRAGMENT : 0) |
    ((flags & 8) !== 0 ? SEQ : 0) |
    ((flags & 16) === 0 ? KEY : 0)
  );
}
