/**
 * Socket buffers for packets that are under way: each has its own as long as programs work on it. Models `eth_type_trans`
 * (net/ethernet/eth.c) for what a buffer says of its frame.
 */
import { ETH_HLEN, ETH_P_802_2, ETH_P_802_3, PACKET_MULTICAST, PACKET_OTHERHOST } from '../../abi/packet.js';
import type { EngineMemory } from '../../vm/index.js';
import { SkBuff } from './skb.js';

const PACKET_HOST = 0;
const PACKET_OUTGOING = 4;
const ETH_P_802_3_MIN = 0x600;

/** The device that a packet comes from or goes to. */
export interface PacketDevice {
  readonly ifindex: number;
  readonly address: Uint8Array;
}

export interface SkbSetup {
  readonly device: PacketDevice;
  readonly outgoing?: boolean;
  /** Programs see the packet from its network header on. */
  readonly l3?: boolean;
}

export class SkbPool {
  private readonly idle: SkBuff[] = [];

  constructor(private readonly memory: EngineMemory) {}

  take(): SkBuff {
    return this.idle.pop() ?? new SkBuff(this.memory);
  }

  give(skb: SkBuff): void {
    this.idle.push(skb);
  }
}

/** Puts a frame in: on the way in as its device would, on the way out as its sender's. */
export function fillSkb(skb: SkBuff, frame: Uint8Array, setup: SkbSetup): void {
  const { device, outgoing = false, l3 = false } = setup;
  skb.fill(frame);
  const type = (frame[12]! << 8) | frame[13]!;
  const raw = frame[14] === 0xff && frame[15] === 0xff;
  const protocol = type >= ETH_P_802_3_MIN ? type : raw ? ETH_P_802_3 : ETH_P_802_2;
  const ours = device.address.every((byte, i) => byte === frame[i]);
  const incoming = ours ? PACKET_HOST : (frame[0]! & 1) === 1 ? PACKET_MULTICAST : PACKET_OTHERHOST;
  skb.set('pkt_type', outgoing ? PACKET_OUTGOING : incoming);
  skb.set('protocol', ((protocol & 0xff) << 8) | (protocol >> 8));
  skb.set('ifindex', device.ifindex);
  if (!outgoing) skb.set('ingress_ifindex', device.ifindex);
  skb.networkHeader = skb.data + ETH_HLEN;
  if (l3) skb.pull(ETH_HLEN);
  skb.set('wire_len', skb.length);
}
