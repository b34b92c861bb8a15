/**
 * Helpers that make or take room within a packet, and change what it is. Models `bpf_skb_adjust_room`,
 * `bpf_skb_change_proto` and `bpf_lwt_push_encap` of net/core/filter.c, Linux 6.18.
 */

import { Errno } from '../../../abi/errno.js';
import { ETH_HLEN } from '../../../abi/packet.js';
import type { HelperCall } from '../../../vm/index.js';
import type { Machine } from '../../machine.js';
import { MAX_LENGTH, type SkBuff } from '../../net/skb.js';
import { moved, skbOf } from './skb.js';
import { EFAULT, EINVAL, ENOMEM, flagsArg, type HelperTable, plainHelpers } from './table.js';

/** As `protocol` holds them: in network order. */
const IPV4 = 0x0008;
const IPV6 = 0xdd86;
const HEADER: Readonly<Record<number, number>> = { [IPV4]: 20, [IPV6]: 40 };
const MODE_NET = 0;
const MODE_MAC = 1;
const Flag = {
  FIXED_GSO: 1,
  ENCAP_L3_IPV4: 2,
  ENCAP_L3_IPV6: 4,
  ENCAP_L4_GRE: 8,
  ENCAP_L4_UDP: 16,
  NO_CSUM_RESET: 32,
  ENCAP_L2_ETH: 64,
  DECAP_L3_IPV4: 128,
  DECAP_L3_IPV6: 256,
} as const;
const ENCAP_L3 = Flag.ENCAP_L3_IPV4 | Flag.ENCAP_L3_IPV6;
const DECAP_L3 = Flag.DECAP_L3_IPV4 | Flag.DECAP_L3_IPV6;
/** The inner MAC header's length lies in the top byte of the flags' 64 bits. */
const L2_SHIFT = 56n;
const FLAGS = 0x1ffn | (0xffn << L2_SHIFT);
const MAX_DIFFERENCE = 0xfff;
const LWT_ENCAP_IP = 2;
const LWT_MAX_HEADROOM = 256;

export function skbRoomHelpers(kernel: Machine): HelperTable {
  return plainHelpers({
    skb_adjust_room: (call) => adjustRoom(kernel, call),
    skb_change_proto(call) {
      const skb = skbOf(kernel, call);
      const protocol = call.argU32(2) & 0xffff;
      if (flagsArg(call, 3) !== 0) return -EINVAL;
      const from = skb.get('protocol');
      const off = skb.networkHeader - skb.macHeader;
      const difference = HEADER[IPV6]! - HEADER[IPV4]!;
      let result: number = -Errno.ENOTSUPP;
      if (from === IPV4 && protocol === IPV6) result = push(skb, off, difference);
      else if (from === IPV6 && protocol === IPV4) result = pop(skb, off, difference);
      if (result === 0) {
        skb.set('protocol', protocol);
        skb.set('hash', 0);
      }
      moved(call, skb);
      return result;
    },
    lwt_push_encap(call) {
      const skb = skbOf(kernel, call);
      const size = call.argU32(4);
      const from = call.pointer(3, size);
      if (call.argU32(2) !== LWT_ENCAP_IP) return -EINVAL;
      const version = kernel.memory.u8[from]! >> 4;
      const header = version === 4 ? (kernel.memory.u8[from]! & 15) * 4 : HEADER[IPV6]!;
      const least = version === 4 ? HEADER[IPV4]! : HEADER[IPV6]!;
      if ((version !== 4 && version !== 6) || size < least || size > LWT_MAX_HEADROOM || header > size)
        return -EINVAL;
      if (!skb.push(size)) return -ENOMEM;
      kernel.memory.u8.copyWithin(skb.data, from, from + size);
      skb.networkHeader = skb.data;
      skb.macHeader = skb.data;
      skb.set('protocol', version === 4 ? IPV4 : IPV6);
      return moved(call, skb);
    },
  });
}

/** Makes `size` bytes of room behind the first `off` bytes; headers before it move to the front. */
function push(skb: SkBuff, off: number, size: number): number {
  if (!skb.push(size)) return -ENOMEM;
  skb.u8.copyWithin(skb.data, skb.data + size, skb.data + size + off);
  skb.u8.fill(0, skb.data + off, skb.data + off + size);
  skb.macHeader -= size;
  skb.networkHeader -= size;
  return 0;
}

function pop(skb: SkBuff, off: number, size: number): number {
  if (skb.length < off + size) return -ENOMEM;
  skb.u8.copyWithin(skb.data + size, skb.data, skb.data + off);
  skb.pull(size);
  skb.macHeader += size;
  skb.networkHeader += size;
  return 0;
}

function adjustRoom(kernel: Machine, call: HelperCall): number {
  const skb = skbOf(kernel, call);
  const difference = call.argI32(2);
  const mode = call.argU32(3);
  const wide = call.arg(4);
  const size = Math.abs(difference);
  const protocol = skb.get('protocol');
  const shrink = difference < 0;
  if ((wide & ~FLAGS) !== 0n) return -EINVAL;
  if (size > MAX_DIFFERENCE) return -EFAULT;
  let least = HEADER[protocol];
  if (least === undefined) return -Errno.ENOTSUPP;
  if (mode !== MODE_NET && mode !== MODE_MAC) return -Errno.ENOTSUPP;
  const off = skb.networkHeader - skb.macHeader + (mode === MODE_NET ? least : 0);
  const flags = Number(wide & 0x1ffn);
  if ((flags & DECAP_L3) !== 0) {
    if (!shrink || (flags & DECAP_L3) === DECAP_L3) return -EINVAL;
    least = HEADER[(flags & Flag.DECAP_L3_IPV4) !== 0 ? IPV4 : IPV6]!;
  }
  const current = skb.length - (skb.networkHeader - skb.data);
  const tooShort = shrink && (size >= current || current - size < least);
  if (tooShort || (!shrink && skb.length + size > MAX_LENGTH)) return -Errno.ENOTSUPP;
  const result = shrink
    ? shrinkBy(skb, off, size, wide)
    : growBy(skb, off, size, flags, Number(wide >> L2_SHIFT));
  moved(call, skb);
  return result;
}

function shrinkBy(skb: SkBuff, off: number, size: number, wide: bigint): number {
  if ((wide & ~BigInt(Flag.FIXED_GSO | DECAP_L3 | Flag.NO_CSUM_RESET)) !== 0n) return -EINVAL;
  const result = pop(skb, off, size);
  if (result !== 0) return result;
  if ((wide & BigInt(Flag.DECAP_L3_IPV6)) !== 0n) skb.set('protocol', IPV6);
  if ((wide & BigInt(Flag.DECAP_L3_IPV4)) !== 0n) skb.set('protocol', IPV4);
  return 0;
}

function growBy(skb: SkBuff, off: number, size: number, flags: number, innerMac: number): number {
  const encap = (flags & ENCAP_L3) !== 0;
  if (encap) {
    const both = (pair: number): boolean => (flags & pair) === pair;
    if (both(ENCAP_L3) || both(Flag.ENCAP_L4_GRE | Flag.ENCAP_L4_UDP)) return -EINVAL;
    if ((flags & Flag.ENCAP_L2_ETH) !== 0 && innerMac < ETH_HLEN) return -EINVAL;
    if (skb.encapsulated) return -Errno.EALREADY;
    if (innerMac > size) return -EINVAL;
  }
  const macLength = skb.networkHeader - skb.macHeader;
  const result = push(skb, off, size);
  if (result !== 0 || !encap) return result;
  skb.encapsulated = true;
  skb.networkHeader = skb.data + macLength;
  if ((flags & Flag.ENCAP_L3_IPV6) !== 0) skb.set('protocol', IPV6);
  else skb.set('protocol', IPV4);
  return 0;
}
