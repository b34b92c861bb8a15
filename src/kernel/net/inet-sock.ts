/**
 * Sockets with addresses, options and TCP state, as look-ups find them and programs read them. A program's pointer to one
 * is the image of `struct bpf_sock`, kept up to date; a TCP socket's `struct bpf_tcp_sock` lies behind it. Models the socket
 * casts of net/core/filter.c of Linux 6.18.
 */
import { offsetOf } from '../../abi/context/layout.js';
import { SOCK, TCP_SOCK } from '../../abi/context/skb.js';
import type { Region } from '../../vm/index.js';
import type { ObjectHost } from '../lib/kernel-object.js';
import { Sock, type SockAttr, SocketFamily } from './sock.js';

/** Address bytes in network order: 4 for IPv4, 16 for IPv6. */
export interface Endpoint {
  readonly address: Uint8Array;
  readonly port: number;
}

export interface InetSockAttr extends SockAttr {
  readonly local: Endpoint;
  /** Absent: not connected. */
  readonly remote?: Endpoint;
  readonly boundDevice?: number;
  readonly netnsCookie?: bigint;
  readonly mark?: number;
  readonly priority?: number;
  readonly uid?: number;
}

/** Values of `struct bpf_tcp_sock` by name. */
export type TcpState = Partial<Record<string, number | bigint>>;

export class InetSock extends Sock {
  local: Endpoint;
  remote: Endpoint | undefined;
  readonly netnsCookie: bigint;
  readonly uid: number;
  /** Options set by `bpf_setsockopt`, by level and name. */
  readonly options = new Map<string, Uint8Array>();
  /** References that programs hold. */
  references = 0;
  /** `bpf_sock_ops_cb_flags_set`. */
  callbackFlags = 0;
  /** Connections wait that do not fit its queue: it answers with SYN cookies. */
  queueOverflowed = false;
  tcp: TcpState = {};
  private view: Region | undefined;

  constructor(
    host: ObjectHost,
    readonly attr: InetSockAttr,
    cookie: bigint,
  ) {
    super(host, attr, cookie);
    this.local = attr.local;
    this.remote = attr.remote;
    this.netnsCookie = attr.netnsCookie ?? 1n;
    this.uid = attr.uid ?? 0;
  }

  /** Memory offset of the image that programs get. */
  override get offset(): number {
    return this.shown().address32;
  }

  override get address(): bigint {
    return this.shown().address;
  }

  /** Memory offset of its `struct bpf_tcp_sock`. */
  get tcpOffset(): number {
    return this.shown().address32 + SOCK.size;
  }

  override release(): void {
    if (this.view === undefined) return;
    this.host.objects.delete(this.view.address32);
    this.host.objects.delete(this.view.address32 + SOCK.size);
    this.host.memory.free(this.view);
    this.view = undefined;
  }

  /** Writes what has changed where programs read it. */
  refresh(): void {
    if (this.view !== undefined) this.write(this.view);
  }

  private shown(): Region {
    if (this.view === undefined) {
      const { memory, objects } = this.host;
      this.view = memory.alloc(SOCK.size + TCP_SOCK.size, 'read');
      objects.set(this.view.address32, this);
      objects.set(this.view.address32 + SOCK.size, this);
      this.write(this.view);
    }
    return this.view;
  }

  private write(region: Region): void {
    const { view, u8 } = this.host.memory;
    const at = region.address32;
    const put = (name: string, value: number): void => view.setUint32(at + offsetOf(SOCK, name), value, true);
    const address = (side: 'src' | 'dst', bytes: Uint8Array): void => {
      const name = this.family === SocketFamily.AF_INET ? `${side}_ip4` : `${side}_ip6`;
      u8.set(bytes, at + offsetOf(SOCK, name));
    };
    put('bound_dev_if', this.attr.boundDevice ?? 0);
    put('family', this.family);
    put('type', this.type);
    put('protocol', this.protocol);
    put('mark', this.attr.mark ?? 0);
    put('priority', this.attr.priority ?? 0);
    address('src', this.local.address);
    put('src_port', this.local.port);
    if (this.remote !== undefined) {
      address('dst', this.remote.address);
      view.setUint16(at + offsetOf(SOCK, 'dst_port'), this.remote.port, false);
    }
    put('state', this.state);
    put('rx_queue_mapping', 0xffffffff);
    for (const { name, offset, size } of TCP_SOCK.fields) {
      const value = BigInt(this.tcp[name] ?? 0);
      if (size === 8) view.setBigUint64(at + SOCK.size + offset, value, true);
      else view.setUint32(at + SOCK.size + offset, Number(value & 0xffffffffn), true);
    }
  }
}
