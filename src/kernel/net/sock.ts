/**
 * A socket as far as BPF sees one: what it is, which state it is in, and a cookie. Maps hold sockets, storages hang on
 * them. Models `struct sock` (include/net/sock.h) and net/core/sock_reuseport.c in part.
 */
import { KernelObject, type ObjectHost } from '../lib/kernel-object.js';

/** Address families (include/linux/socket.h). */
export const SocketFamily = {
  AF_UNSPEC: 0,
  AF_UNIX: 1,
  AF_INET: 2,
  AF_INET6: 10,
  AF_PACKET: 17,
  AF_XDP: 44,
} as const;
/** Socket types (include/linux/net.h). */
export const SocketType = { SOCK_STREAM: 1, SOCK_DGRAM: 2, SOCK_RAW: 3 } as const;
/** Protocols (include/uapi/linux/in.h). */
export const SocketProtocol = { IPPROTO_IP: 0, IPPROTO_TCP: 6, IPPROTO_UDP: 17 } as const;
/** States (include/net/tcp_states.h), which other protocols use too. */
export const SocketState = { ESTABLISHED: 1, CLOSE: 7, LISTEN: 10 } as const;

export interface SockAttr {
  readonly family: number;
  readonly type: number;
  readonly protocol: number;
  /** Default CLOSE. */
  readonly state?: number;
  /** Bound to a port: found by look-ups (`sk_hashed`). */
  readonly bound?: boolean;
  /** SO_REUSEPORT was set before it was bound. */
  readonly reusePort?: boolean;
}

/** Memory that storages on a socket may take in all (net.core.optmem_max). */
const OPTMEM_MAX = 131072;

export class Sock extends KernelObject {
  readonly family: number;
  readonly type: number;
  readonly protocol: number;
  state: number;
  bound: boolean;
  reusePort: boolean;
  /** Set while a reuseport array holds the socket (`sk_user_data`): it can be in one only. */
  userData: object | undefined;
  /** Slots of socket maps that hold it. */
  mapLinks = 0;
  /** The socket map that took it in last: its programs have a say in what the socket sends and receives. */
  socketMap: object | undefined;
  /** Elements of storages that hang on it. */
  storages = 0;
  /** Bytes charged for storages (`sk_omem_alloc`). */
  optionMemory = 0;

  constructor(
    host: ObjectHost,
    attr: SockAttr,
    /** Unique as long as the kernel runs (`SO_COOKIE`). */
    readonly cookie: bigint,
  ) {
    super(host, 'sock');
    this.family = attr.family;
    this.type = attr.type;
    this.protocol = attr.protocol;
    this.state = attr.state ?? SocketState.CLOSE;
    this.bound = attr.bound ?? false;
    this.reusePort = attr.reusePort ?? false;
  }

  get isInet(): boolean {
    return this.family === SocketFamily.AF_INET || this.family === SocketFamily.AF_INET6;
  }

  get isTcp(): boolean {
    return (
      this.isInet && this.type === SocketType.SOCK_STREAM && this.protocol === SocketProtocol.IPPROTO_TCP
    );
  }

  get isUdp(): boolean {
    return this.isInet && this.type === SocketType.SOCK_DGRAM && this.protocol === SocketProtocol.IPPROTO_UDP;
  }

  /** Takes `bytes` of the socket's option memory; false when there is not as much (`bpf_sk_storage_charge`). */
  charge(bytes: number): boolean {
    if (bytes > OPTMEM_MAX || this.optionMemory + bytes >= OPTMEM_MAX) return false;
    this.optionMemory += bytes;
    return true;
  }

  uncharge(bytes: number): void {
    this.optionMemory -= bytes;
  }

  protected override fill(): void {
    this.put('sk_protocol', BigInt(this.protocol), 2);
    this.put('sk_type', BigInt(this.type), 2);
  }
}
