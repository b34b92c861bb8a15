/** Helpers of programs that work on a socket buffer. Models net/core/filter.c of Linux 6.18. */
import { CsumFlag, PerfOutputFlag, RedirectFlag } from '../../../abi/map-flags.js';
import { TcAction } from '../../../abi/tc.js';
import { type HelperCall, HelperFault } from '../../../vm/index.js';
import type { Machine } from '../../machine.js';
import { csumReplace2, csumReplace4, csumReplaceByDiff } from '../../net/checksum.js';
import { MAX_LENGTH, type SkBuff } from '../../net/skb.js';
import { vlanPop, vlanPush } from '../../net/vlan.js';
import { csumHelpers } from './csum.js';
import { perfOutput } from './output.js';
import { EFAULT, EINVAL, ENOMEM, flagsArg, type HelperTable, plainHelpers, sizeArg } from './table.js';

const INT_MAX = 0x7fffffff;
const HDR_START_MAC = 0;
const HDR_START_NET = 1;
/** Length of the shortest packet that keeps its network header, by protocol: an Ethernet header at least. */
const MIN_LENGTH = 14;
/** A flow's hash where none was computed; any fixed number does. */
const HASH_SEED = 0x9e3779b1;

export function skbHelpers(kernel: Machine): HelperTable {
  return {
    ...readHelpers(kernel),
    ...csumHelpers(kernel),
    ...writeHelpers(kernel),
    ...tcHelpers(kernel),
    ...vlanHelpers(kernel),
  };
}

function readHelpers(kernel: Machine): HelperTable {
  return plainHelpers({
    skb_load_bytes: (call) => loadBytes(kernel, call, skbOf(kernel, call).data),
    skb_load_bytes_relative(call) {
      const skb = skbOf(kernel, call);
      const header = call.argU32(5);
      const start = header === HDR_START_MAC ? skb.macHeader : skb.networkHeader;
      if (header > HDR_START_NET) return zeroed(kernel, call);
      return loadBytes(kernel, call, start);
    },
    get_socket_cookie: (call) => (skbOf(kernel, call) === undefined ? 0 : 1),
    get_socket_uid: () => kernel.current.attr.uid,
    perf_event_output(call) {
      const skb = skbOf(kernel, call);
      const head = (size: number) => (size > skb.length ? undefined : skb.contents().subarray(0, size));
      return perfOutput(kernel, call, PerfOutputFlag.BPF_F_CTXLEN_MASK, head);
    },
  });
}

function writeHelpers(kernel: Machine): HelperTable {
  return plainHelpers({
    skb_store_bytes(call) {
      const size = sizeArg(call, 4);
      const from = call.pointer(3, size);
      const flags = flagsArg(call, 5);
      if ((flags & ~(CsumFlag.BPF_F_RECOMPUTE_CSUM | CsumFlag.BPF_F_INVALIDATE_HASH)) !== 0) return -EINVAL;
      const skb = skbOf(kernel, call);
      const to = call.argU32(2) > INT_MAX ? -1 : skb.at(call.argU32(2), size);
      if (to < 0) return -EFAULT;
      kernel.memory.u8.copyWithin(to, from, from + size);
      if ((flags & CsumFlag.BPF_F_INVALIDATE_HASH) !== 0) skb.set('hash', 0);
      return 0;
    },
    skb_pull_data(call) {
      const skb = skbOf(kernel, call);
      const wanted = call.argU32(2);
      if (wanted > skb.length) return -ENOMEM;
      skb.direct = true;
      return moved(call, skb);
    },
    skb_change_tail(call) {
      const skb = skbOf(kernel, call);
      const length = call.argU32(2);
      if (flagsArg(call, 3) !== 0 || length < MIN_LENGTH || length > MAX_LENGTH) return -EINVAL;
      return skb.resize(length) ? moved(call, skb) : -ENOMEM;
    },
    skb_change_head(call) {
      const skb = skbOf(kernel, call);
      const room = call.argU32(2);
      if (flagsArg(call, 3) !== 0 || skb.length + room > MAX_LENGTH) return -EINVAL;
      const grown = skb.push(room);
      if (grown) {
        kernel.memory.u8.fill(0, skb.data, skb.data + room);
        skb.macHeader = skb.data;
      }
      return grown ? moved(call, skb) : -ENOMEM;
    },
    l3_csum_replace: (call) => l3CsumReplace(kernel, call),
    l4_csum_replace: (call) => l4CsumReplace(kernel, call),
    set_hash_invalid(call) {
      skbOf(kernel, call).set('hash', 0);
      return 0;
    },
    get_hash_recalc(call) {
      const skb = skbOf(kernel, call);
      if (skb.get('hash') === 0) {
        let hash = HASH_SEED;
        for (const byte of skb.contents().subarray(0, 64)) hash = Math.imul(hash ^ byte, 16777619);
        skb.set('hash', hash === 0 ? 1 : hash);
      }
      return skb.get('hash');
    },
  });
}

function vlanHelpers(kernel: Machine): HelperTable {
  return plainHelpers({
    skb_vlan_push(call) {
      const skb = skbOf(kernel, call);
      const proto = call.argU32(2) & 0xffff;
      const hostOrder = ((proto & 0xff) << 8) | (proto >> 8);
      return vlanPush(skb, hostOrder, call.argU32(3) & 0xffff) ? moved(call, skb) : -ENOMEM;
    },
    skb_vlan_pop(call) {
      const skb = skbOf(kernel, call);
      vlanPop(skb);
      return moved(call, skb);
    },
  });
}

function tcHelpers(kernel: Machine): HelperTable {
  return plainHelpers({
    redirect(call) {
      const flags = flagsArg(call, 2);
      if ((flags & ~RedirectFlag.BPF_F_INGRESS) !== 0) return TcAction.TC_ACT_SHOT;
      kernel.net.redirect = { kind: 'ifindex', ifindex: call.argU32(1), flags, via: 'redirect' };
      return TcAction.TC_ACT_REDIRECT;
    },
    redirect_peer(call) {
      if (flagsArg(call, 2) !== 0) return TcAction.TC_ACT_SHOT;
      kernel.net.redirect = { kind: 'ifindex', ifindex: call.argU32(1), flags: 0, via: 'peer' };
      return TcAction.TC_ACT_REDIRECT;
    },
    clone_redirect(call) {
      const flags = flagsArg(call, 3);
      if ((flags & ~RedirectFlag.BPF_F_INGRESS) !== 0) return -EINVAL;
      const data = skbOf(kernel, call).contents();
      kernel.net.cloned.push({ ifindex: call.argU32(2), flags, data });
      return 0;
    },
  });
}

/** The caller's packet. Throws `HelperFault` when r1 is not its context. */
export function skbOf(kernel: Machine, call: HelperCall): SkBuff {
  const skb = kernel.net.skb;
  if (skb !== undefined && skb.context.address32 === call.argU32(1)) return skb;
  throw new HelperFault(`r1: 0x${call.arg(1).toString(16)} is not the program's context`);
}

/** The packet has another start or end: pointers in the context and the classic loads follow. */
export function moved(call: HelperCall, skb: SkBuff): number {
  skb.sync();
  call.setPacket(skb.data, skb.length, skb.networkHeader - skb.data);
  return 0;
}

/** Copies from `offset` behind a header that lies at memory offset `start`, which may be in front of the data. */
function loadBytes(kernel: Machine, call: HelperCall, start: number): number {
  const skb = skbOf(kernel, call);
  const size = sizeArg(call, 4);
  const offset = call.argU32(2);
  const from = start + offset;
  if (skb.bare || offset > INT_MAX || from + size > skb.data + skb.length) return zeroed(kernel, call);
  const to = call.pointer(3, size, true);
  kernel.memory.u8.copyWithin(to, from, from + size);
  return 0;
}

function zeroed(kernel: Machine, call: HelperCall): number {
  const size = sizeArg(call, 4);
  const to = call.pointer(3, size, true);
  kernel.memory.u8.fill(0, to, to + size);
  return -EFAULT;
}

/** Offset of a checksum field, or -1. */
function fieldAt(skb: SkBuff, offset: number): number {
  return offset > 0xffff || (offset & 1) !== 0 ? -1 : skb.at(offset, 2);
}

function l3CsumReplace(kernel: Machine, call: HelperCall): number {
  const { view } = kernel.memory;
  const flags = flagsArg(call, 5);
  if ((flags & ~CsumFlag.BPF_F_HDR_FIELD_MASK) !== 0) return -EINVAL;
  const at = fieldAt(skbOf(kernel, call), call.argU32(2));
  if (at < 0) return -EFAULT;
  const field = view.getUint16(at, true);
  const [from, to] = [call.arg(3), call.arg(4)];
  switch (flags) {
    case 0:
      if (from !== 0n) return -EINVAL;
      view.setUint16(at, csumReplaceByDiff(field, Number(to & 0xffffffffn)), true);
      return 0;
    case 2:
      view.setUint16(at, csumReplace2(field, Number(from & 0xffffn), Number(to & 0xffffn)), true);
      return 0;
    case 4:
      view.setUint16(at, csumReplace4(field, Number(from & 0xffffffffn), Number(to & 0xffffffffn)), true);
      return 0;
    default:
      return -EINVAL;
  }
}

function l4CsumReplace(kernel: Machine, call: HelperCall): number {
  const { view } = kernel.memory;
  const { BPF_F_MARK_MANGLED_0, BPF_F_MARK_ENFORCE, BPF_F_PSEUDO_HDR, BPF_F_IPV6, BPF_F_HDR_FIELD_MASK } =
    CsumFlag;
  const flags = flagsArg(call, 5);
  const known =
    BPF_F_MARK_MANGLED_0 | BPF_F_MARK_ENFORCE | BPF_F_PSEUDO_HDR | BPF_F_IPV6 | BPF_F_HDR_FIELD_MASK;
  if (flags > 0xffffffff || (flags & ~known) !== 0) return -EINVAL;
  const at = fieldAt(skbOf(kernel, call), call.argU32(2));
  if (at < 0) return -EFAULT;
  // A UDP checksum of 0 says that there is none; one that comes out as 0 is written as all ones.
  const udp = (flags & BPF_F_MARK_MANGLED_0) !== 0;
  const field = view.getUint16(at, true);
  if (udp && (flags & BPF_F_MARK_ENFORCE) === 0 && field === 0) return 0;
  const from = Number(call.arg(3) & 0xffffffffn);
  const to = Number(call.arg(4) & 0xffffffffn);
  let sum: number;
  switch (flags & BPF_F_HDR_FIELD_MASK) {
    case 0:
      if (from !== 0) return -EINVAL;
      sum = csumReplaceByDiff(field, to);
      break;
    case 2:
      sum = csumReplace4(field, from & 0xffff, to & 0xffff);
      break;
    case 4:
      sum = csumReplace4(field, from, to);
      break;
    default:
      return -EINVAL;
  }
  view.setUint16(at, udp && sum === 0 ? 0xffff : sum, true);
  return 0;
}
