/** Who sends what to whom, as a frame says it. Models what `__inet_lookup_skb` reads of a packet. */
import { ETH_HLEN, ETH_P_IP, ETH_P_IPV6 } from '../../abi/packet.js';
import type { Endpoint } from './inet-sock.js';
import { SocketFamily, SocketProtocol } from './sock.js';

const IPV4_HLEN = 20;
const IPV6_HLEN = 40;
const UDP_HLEN = 8;
const TCP_OFFSET_AT = 12;

/** The addresses of an IP packet. */
export interface PacketAddresses {
  readonly family: number;
  readonly protocol: number;
  readonly source: Uint8Array;
  readonly destination: Uint8Array;
  /** From the network header on. */
  readonly transportOffset: number;
}

/** A packet of TCP or UDP, from the receiver's side. Offsets count from the network header. */
export interface PacketTuple {
  readonly family: number;
  readonly protocol: number;
  readonly remote: Endpoint;
  readonly local: Endpoint;
  readonly transportOffset: number;
  readonly payloadOffset: number;
}

/** Undefined for a frame that is not IP, or too short for it. */
export function addressesOf(frame: Uint8Array): PacketAddresses | undefined {
  const type = (frame[12]! << 8) | frame[13]!;
  const v4 = type === ETH_P_IP && frame.length >= ETH_HLEN + IPV4_HLEN;
  if (!v4 && !(type === ETH_P_IPV6 && frame.length >= ETH_HLEN + IPV6_HLEN)) return undefined;
  const [source, destination, size] = v4 ? [12, 16, 4] : [8, 24, 16];
  const at = (offset: number): Uint8Array => frame.slice(ETH_HLEN + offset, ETH_HLEN + offset + size);
  return {
    family: v4 ? SocketFamily.AF_INET : SocketFamily.AF_INET6,
    protocol: frame[ETH_HLEN + (v4 ? 9 : 6)]!,
    source: at(source),
    destination: at(destination),
    transportOffset: v4 ? (frame[ETH_HLEN]! & 0xf) * 4 : IPV6_HLEN,
  };
}

/** Undefined for what is neither TCP nor UDP, or too short for its header. */
export function tupleOf(frame: Uint8Array): PacketTuple | undefined {
  const ip = addressesOf(frame);
  if (ip === undefined) return undefined;
  const { family, protocol, source, destination, transportOffset } = ip;
  const tcp = protocol === SocketProtocol.IPPROTO_TCP;
  const at = ETH_HLEN + transportOffset;
  if ((!tcp && protocol !== SocketProtocol.IPPROTO_UDP) || frame.length < at + 4) return undefined;
  const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
  const header = tcp ? ((frame[at + TCP_OFFSET_AT] ?? 0) >> 4) * 4 : UDP_HLEN;
  return {
    family,
    protocol,
    remote: { address: source, port: view.getUint16(at) },
    local: { address: destination, port: view.getUint16(at + 2) },
    transportOffset,
    payloadOffset: Math.min(frame.length - ETH_HLEN, transportOffset + header),
  };
}
