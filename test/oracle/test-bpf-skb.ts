/**
 * The packet that the kernel's interpreter test module hands to its programs (lib/test_bpf.c,
 * `populate_skb`), as our converted filters see it: a `struct __sk_buff`, packet bytes behind
 * LD_ABS and LD_IND, and the metadata calls.
 */
import { CLASSIC_CALLS, type ClassicCall, classicCallOf, SKB_OFFSETS } from '../../src/isa/classic/index.js';
import type { Engine, HelperDef, Region } from '../../src/vm/index.js';

const ETH_P_IP = 0x0800;
const ETH_HLEN = 14;
const DEVICE_TYPE = 588;
const FIELDS: Readonly<Record<keyof typeof SKB_OFFSETS, number>> = {
  len: 0,
  pktType: 3,
  mark: 0x1234aaaa,
  queueMapping: 123,
  protocol: ((ETH_P_IP & 0xff) << 8) | (ETH_P_IP >> 8),
  vlanPresent: 1,
  vlanTci: 0xffff,
  vlanProto: ((ETH_P_IP & 0xff) << 8) | (ETH_P_IP >> 8),
  ifindex: 577,
  hash: 0x1234aaab,
};
const CONTEXT_SIZE = 192;

export interface Skb {
  readonly context: Region;
  readonly packet: Region;
  readonly networkOffset: number;
}

export function makeSkb(engine: Engine, head: Uint8Array, fragment: Uint8Array): Skb {
  const context = engine.alloc(CONTEXT_SIZE, 'read');
  const packet = engine.alloc(head.length + fragment.length);
  packet.bytes.set(head);
  packet.bytes.set(fragment, head.length);
  const view = new DataView(context.bytes.buffer, context.address32, CONTEXT_SIZE);
  for (const [name, offset] of Object.entries(SKB_OFFSETS)) {
    view.setUint32(offset, FIELDS[name as keyof typeof SKB_OFFSETS], true);
  }
  view.setUint32(SKB_OFFSETS.len, packet.size, true);
  return { context, packet, networkOffset: Math.min(head.length, ETH_HLEN) };
}

/** Offset of the attribute of type `x` among netlink attributes from `a` to `end`, or 0 (`nla_find`). */
function findAttribute(packet: DataView, a: number, x: number, end: number): number {
  let at = a;
  while (at + 4 <= end) {
    const length = packet.getUint16(at, true);
    if (length < 4 || at + length > end) return 0;
    if (packet.getUint16(at + 2, true) === x) return at;
    at += (length + 3) & ~3;
  }
  return 0;
}

/** `ld [SKF_AD_OFF + SKF_AD_NLATTR…]`: A is where to look, X what for (net/core/filter.c). */
function attribute(packet: DataView, a: number, x: number, nested: boolean): number {
  const size = packet.byteLength;
  if (size < 4 || a > size - 4) return 0;
  if (!nested) return findAttribute(packet, a, x, size);
  const length = packet.getUint16(a, true);
  if (length > size - a) return 0;
  return findAttribute(packet, a + 4, x, a + length);
}

/** Payload offset as the flow dissector finds it, for what the vectors hold: Ethernet and IPv4 with UDP, TCP or ICMP. */
function payloadOffset(packet: DataView, protocol: number, network: number): number {
  if (protocol !== ETH_P_IP || network + 20 > packet.byteLength) return 0;
  const at = network + (packet.getUint8(network) & 15) * 4;
  if (packet.getUint8(network) >> 4 !== 4 || at < network + 20) return 0;
  const headerSizes: Readonly<Record<number, number>> = { 1: 8, 6: 20, 17: 8 };
  return at + (headerSizes[packet.getUint8(network + 9)] ?? 0);
}

/** Metadata calls of converted filters: r1 = context, r2 = A, r3 = X. */
export function metadataCall(id: number, skb: () => Skb): HelperDef | undefined {
  const name = classicCallOf(id);
  if (name === undefined || !CLASSIC_CALLS.includes(name)) return undefined;
  const view = (): DataView => {
    const { bytes } = skb().packet;
    return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  };
  const results: Readonly<Record<ClassicCall, (a: number, x: number) => number>> = {
    nla: (a, x) => attribute(view(), a, x, false),
    nlan: (a, x) => attribute(view(), a, x, true),
    hatype: () => DEVICE_TYPE,
    cpu: () => 0,
    poff: () => payloadOffset(view(), ETH_P_IP, skb().networkOffset),
    rand: () => 4,
  };
  return { kind: 'plain', name, run: (call) => results[name](call.argU32(2), call.argU32(3)) };
}
