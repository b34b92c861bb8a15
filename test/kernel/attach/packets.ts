/** Frames for the tests of the network's attach points. */
import type { Kernel } from '../../../src/kernel/kernel.js';
import type { InetSock } from '../../../src/kernel/net/inet-sock.js';
import { SocketFamily, SocketProtocol, SocketState, SocketType } from '../../../src/kernel/net/sock.js';

export const HERE = Uint8Array.of(10, 0, 0, 1);
export const THERE = Uint8Array.of(192, 168, 0, 9);
const ETH = 14;

export interface FrameOptions {
  readonly protocol?: 'tcp' | 'udp';
  readonly from?: number;
  readonly to?: number;
  readonly payload?: string;
}

/** An IPv4 frame from THERE to HERE. */
export function frameOf({
  protocol = 'udp',
  from = 4000,
  to = 80,
  payload = '',
}: FrameOptions = {}): Uint8Array {
  const header = protocol === 'tcp' ? 20 : 8;
  const data = new TextEncoder().encode(payload);
  const frame = new Uint8Array(ETH + 20 + header + data.length);
  const view = new DataView(frame.buffer);
  view.setUint16(12, 0x0800);
  frame.set([0x45, 0], ETH);
  view.setUint16(ETH + 2, frame.length - ETH);
  frame[ETH + 8] = 64;
  frame[ETH + 9] = protocol === 'tcp' ? SocketProtocol.IPPROTO_TCP : SocketProtocol.IPPROTO_UDP;
  frame.set(THERE, ETH + 12);
  frame.set(HERE, ETH + 16);
  view.setUint16(ETH + 20, from);
  view.setUint16(ETH + 22, to);
  if (protocol === 'tcp') frame[ETH + 32] = 5 << 4;
  frame.set(data, ETH + 20 + header);
  return frame;
}

export interface SocketOptions {
  readonly protocol?: 'tcp' | 'udp';
  readonly port?: number;
  readonly reusePort?: boolean;
  /** Connected to THERE at this port. */
  readonly peer?: number;
}

export function socketOf(kernel: Kernel, options: SocketOptions = {}): InetSock {
  const { protocol = 'udp', port = 80, reusePort = false, peer } = options;
  const tcp = protocol === 'tcp';
  return kernel.openSocket({
    family: SocketFamily.AF_INET,
    type: tcp ? SocketType.SOCK_STREAM : SocketType.SOCK_DGRAM,
    protocol: tcp ? SocketProtocol.IPPROTO_TCP : SocketProtocol.IPPROTO_UDP,
    state: peer !== undefined ? SocketState.ESTABLISHED : tcp ? SocketState.LISTEN : SocketState.CLOSE,
    bound: true,
    reusePort,
    local: { address: HERE, port },
    ...(peer !== undefined && { remote: { address: THERE, port: peer } }),
  });
}
