/**
 * Helpers that change what a packet's `struct sk_buff` says of it: type, checksum state, hash, time, congestion mark. Models
 * net/core/filter.c of Linux 6.18.
 */

import { Errno } from '../../../abi/errno.js';
import { PACKET_OTHERHOST } from '../../../abi/packet.js';
import type { HelperCall } from '../../../vm/index.js';
import type { Machine } from '../../machine.js';
import { SKB_OFFSET, type SkBuff } from '../../net/skb.js';
import { skbOf } from './skb.js';
import { EINVAL, type HelperTable, plainHelpers } from './table.js';

const IPV4 = 0x0008;
const IPV6 = 0xdd86;
/** BPF_CSUM_LEVEL_QUERY and the last of its kin, RESET. */
const LEVEL_QUERY = 0;
const LEVEL_RESET = 3;
/** SKB_CLOCK_REALTIME, SKB_CLOCK_TAI. */
const CLOCK_REALTIME = 0;
const CLOCK_TAI = 2;
const ECN_MASK = 3;

export function skbFieldHelpers(kernel: Machine): HelperTable {
  return plainHelpers({
    skb_change_type(call) {
      const skb = skbOf(kernel, call);
      const type = call.argU32(2);
      if (skb.get('pkt_type') > PACKET_OTHERHOST || type > PACKET_OTHERHOST) return -EINVAL;
      skb.set('pkt_type', type);
      return 0;
    },
    // No device has summed these packets up.
    csum_update: () => -Errno.ENOTSUPP,
    csum_level(call) {
      const level = call.arg(2);
      if (level > BigInt(LEVEL_RESET)) return -EINVAL;
      return level === BigInt(LEVEL_QUERY) ? -Errno.EACCES : 0;
    },
    set_hash(call) {
      skbOf(kernel, call).set('hash', call.argU32(2));
      return 0;
    },
    skb_set_tstamp: (call) => setTimestamp(kernel, call),
    skb_ecn_set_ce(call) {
      const skb = skbOf(kernel, call);
      const protocol = skb.get('protocol');
      if (protocol === IPV4) return markIpv4(skb);
      return protocol === IPV6 ? markIpv6(skb) : 0;
    },
  });
}

function setTimestamp(kernel: Machine, call: HelperCall): number {
  const skb = skbOf(kernel, call);
  const [time, type] = [call.arg(2), call.argU32(3)];
  const protocol = skb.get('protocol');
  if (protocol !== IPV4 && protocol !== IPV6) return -Errno.EOPNOTSUPP;
  if (type > CLOCK_TAI || (type !== CLOCK_REALTIME && time === 0n)) return -EINVAL;
  const at = skb.context.address32;
  skb.view.setBigUint64(at + SKB_OFFSET.tstamp!, time, true);
  skb.view.setUint8(at + SKB_OFFSET.tstamp_type!, type);
  return 0;
}

/** 1 when the packet bears the mark now (`IP_ECN_set_ce`). */
function markIpv4(skb: SkBuff): number {
  const at = skb.at(skb.networkHeader - skb.data, 20);
  if (at < 0) return 0;
  const tos = skb.u8[at + 1]!;
  const ecn = (tos + 1) & ECN_MASK;
  if ((ecn & 2) === 0) return ecn === 0 ? 1 : 0;
  // The sum changes by what the mark adds to the word that it is in.
  const add = 0xfffb + ecn;
  const sum = skb.view.getUint16(at + 10, false) + add;
  skb.view.setUint16(at + 10, ((sum & 0xffff) + (sum >> 16)) & 0xffff, false);
  skb.u8[at + 1] = tos | ECN_MASK;
  return 1;
}

function markIpv6(skb: SkBuff): number {
  const at = skb.at(skb.networkHeader - skb.data, 40);
  if (at < 0) return 0;
  // Bits 20 and 21 of the first word.
  const ecn = (skb.u8[at + 1]! >> 4) & ECN_MASK;
  if (ecn === 0) return 0;
  skb.u8[at + 1]! |= ECN_MASK << 4;
  return 1;
}
