/**
 * The sockets that look-ups find: connected ones by all four parts, then listeners and unconnected ones by the local
 * address and port, the closest match first. Models `__inet_lookup` and `__udp4_lib_lookup` as far as programs can tell.
 */
import { sameBytes } from '../lib/bytes.js';
import type { ObjectHost } from '../lib/kernel-object.js';
import { type Endpoint, InetSock, type InetSockAttr } from './inet-sock.js';
import { SocketState } from './sock.js';

const isAny = (address: Uint8Array): boolean => address.every((byte) => byte === 0);

export class SockTable {
  readonly sockets: InetSock[] = [];
  private cookies = 1n;

  constructor(private readonly host: ObjectHost) {}

  /** Opens a socket that look-ups find. */
  add(attr: InetSockAttr): InetSock {
    const sock = new InetSock(this.host, attr, this.nextCookie());
    this.sockets.push(sock);
    return sock;
  }

  nextCookie(): bigint {
    return this.cookies++;
  }

  remove(sock: InetSock): void {
    const at = this.sockets.indexOf(sock);
    if (at >= 0) this.sockets.splice(at, 1);
  }

  /** The socket that a packet from `remote` to `local` belongs to. */
  lookup(protocol: number, family: number, remote: Endpoint, local: Endpoint): InetSock | undefined {
    let best: InetSock | undefined;
    let bestScore = -1;
    for (const sock of this.sockets) {
      const score = scoreOf(sock, protocol, family, remote, local);
      if (score > bestScore) {
        best = sock;
        bestScore = score;
      }
    }
    return best;
  }
}

function scoreOf(
  sock: InetSock,
  protocol: number,
  family: number,
  remote: Endpoint,
  local: Endpoint,
): number {
  if (sock.protocol !== protocol || sock.family !== family || sock.local.port !== local.port) return -1;
  const wild = isAny(sock.local.address);
  if (!wild && !sameBytes(sock.local.address, local.address)) return -1;
  if (sock.remote !== undefined) {
    return sock.remote.port === remote.port && sameBytes(sock.remote.address, remote.address) ? 4 : -1;
  }
  if (sock.isTcp && sock.state !== SocketState.LISTEN) return -1;
  return wild ? 0 : 1;
}
