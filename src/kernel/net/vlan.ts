/**
 * The VLAN tag of a socket buffer: the outermost lies beside the packet, as hardware hands it over, the others in it. Models
 * `skb_vlan_push` and `skb_vlan_pop` (net/core/skbuff.c) of Linux 6.18.
 */
import { ETH_HLEN } from '../../abi/packet.js';
import { SKB_OFFSET, type SkBuff } from './skb.js';

const ETH_P_8021Q = 0x8100;
const ETH_P_8021AD = 0x88a8;
const VLAN_HLEN = 4;
const MAC_ADDRESSES = 12;

/** Pushes a tag; one that is there already moves into the packet. False without headroom. */
export function vlanPush(skb: SkBuff, protocol: number, tci: number): boolean {
  if (field(skb, 'vlan_present') === 1) {
    if (!skb.push(VLAN_HLEN)) return false;
    skb.u8.copyWithin(skb.data, skb.data + VLAN_HLEN, skb.data + VLAN_HLEN + MAC_ADDRESSES);
    const outer = swap(field(skb, 'vlan_proto'));
    skb.view.setUint16(skb.data + MAC_ADDRESSES, outer);
    skb.view.setUint16(skb.data + MAC_ADDRESSES + 2, field(skb, 'vlan_tci'));
    skb.macHeader = skb.data;
    // Linux keeps the network header's distance from the start, so it now points at the tag.
    skb.networkHeader -= VLAN_HLEN;
    skb.set('protocol', swap(outer));
  }
  setTag(skb, 1, tci, protocol === ETH_P_8021AD ? ETH_P_8021AD : ETH_P_8021Q);
  return true;
}

/** Takes the outermost tag away; the next one in the packet takes its place. */
export function vlanPop(skb: SkBuff): void {
  if (field(skb, 'vlan_present') === 1) setTag(skb, 0, 0, 0);
  else if (isVlan(skb)) takeFromPacket(skb);
  if (!isVlan(skb)) return;
  const outer = swap(skb.get('protocol'));
  setTag(skb, 1, takeFromPacket(skb), outer);
}

function takeFromPacket(skb: SkBuff): number {
  const tci = skb.view.getUint16(skb.data + ETH_HLEN);
  const inner = skb.view.getUint16(skb.data + ETH_HLEN + 2);
  skb.u8.copyWithin(skb.data + VLAN_HLEN, skb.data, skb.data + MAC_ADDRESSES);
  skb.pull(VLAN_HLEN);
  skb.macHeader = skb.data;
  skb.networkHeader = Math.max(skb.networkHeader, skb.data + ETH_HLEN);
  skb.set('protocol', swap(inner));
  return tci;
}

function isVlan(skb: SkBuff): boolean {
  const protocol = swap(skb.get('protocol'));
  const room = skb.length >= ETH_HLEN + VLAN_HLEN;
  return room && (protocol === ETH_P_8021Q || protocol === ETH_P_8021AD);
}

/** `protocol` in host order; the field holds it as it lies in a packet. */
function setTag(skb: SkBuff, present: number, tci: number, protocol: number): void {
  setField(skb, 'vlan_present', present);
  setField(skb, 'vlan_tci', tci);
  setField(skb, 'vlan_proto', swap(protocol));
}

type VlanField = 'vlan_present' | 'vlan_tci' | 'vlan_proto';

function field(skb: SkBuff, name: VlanField): number {
  return skb.view.getUint32(skb.context.address32 + SKB_OFFSET[name]!, true);
}

function setField(skb: SkBuff, name: VlanField, value: number): void {
  skb.view.setUint32(skb.context.address32 + SKB_OFFSET[name]!, value, true);
}

function swap(value: number): number {
  return ((value & 0xff) << 8) | ((value >> 8) & 0xff);
}
