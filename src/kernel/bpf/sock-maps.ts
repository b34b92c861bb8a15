/**
 * Maps of sockets: sockmap and sockhash, to redirect between them, and the reuseport array, from which a program picks
 * who gets a packet. Models net/core/sock_map.c and kernel/bpf/reuseport_array.c of Linux 6.18.
 */
import { Errno } from '../../abi/errno.js';
import { MapFlag, UpdateFlag } from '../../abi/map-flags.js';
import { Sock, SocketFamily, SocketState, SocketType } from '../net/sock.js';
import { checkArrayAttr, IndexedMap } from './arraymap.js';
import { HashBackedMap } from './hashtab.js';
import { type BatchOps, type BpfMap, type MapAttr, type MapHost, requireAttr, requireMemory } from './map.js';
import { sockFromFd } from './redirect-maps.js';

const SOCK_FLAGS = MapFlag.BPF_F_NUMA_NODE | MapFlag.BPF_F_RDONLY | MapFlag.BPF_F_WRONLY;
/** Longest key of a sockhash (MAX_BPF_STACK). */
const MAX_KEY = 512;
const INT_MAX = 0x7fffffff;

/** A map from which programs take sockets. */
export interface SockTarget {
  /** The socket at a key, undefined where there is none. */
  sockAt(key: number): Sock | undefined;
}

export function isSockTarget(map: BpfMap): map is BpfMap & SockTarget {
  return map instanceof SockMap || map instanceof SockHashMap || map instanceof ReuseportArrayMap;
}

/** The descriptor in a value of 4 or 8 bytes; -1 for one that no descriptor can be. */
function fdIn(map: BpfMap, view: DataView, value: number): number {
  const fd = map.valueSize === 8 ? Number(view.getBigUint64(value, true)) : view.getUint32(value, true);
  return fd > INT_MAX ? -1 : fd;
}

/** Protocols whose sockets messages can be taken from (`psock_update_sk_prot`). */
function isSuitable(sock: Sock): boolean {
  if (sock.family === SocketFamily.AF_UNIX) return sock.type !== SocketType.SOCK_RAW;
  return sock.isTcp || sock.isUdp;
}

function stateAllowed(sock: Sock): boolean {
  if (sock.isTcp) return sock.state === SocketState.ESTABLISHED || sock.state === SocketState.LISTEN;
  if (sock.isUdp) return sock.bound;
  const stream = sock.family === SocketFamily.AF_UNIX && sock.type === SocketType.SOCK_STREAM;
  return !stream || sock.state === SocketState.ESTABLISHED;
}

/** Whether a packet or message can be sent on to a socket (`sock_map_redirect_allowed`). */
export function redirectAllowed(sock: Sock): boolean {
  return sock.isTcp ? sock.state !== SocketState.LISTEN : sock.state === SocketState.ESTABLISHED;
}

/** Whether a socket map may take the socket: 0 or a negative errno. */
function refusal(sock: Sock): number {
  if (!isSuitable(sock) || !stateAllowed(sock)) return -Errno.EOPNOTSUPP;
  return 0;
}

/** The socket's hook is set while any map holds it, and excludes a reuseport array. */
function link(sock: Sock, map: BpfMap): number {
  if (sock.mapLinks === 0 && sock.userData !== undefined) return -Errno.EBUSY;
  sock.mapLinks++;
  sock.socketMap = map;
  return 0;
}

function unlink(sock: Sock): void {
  sock.mapLinks--;
  if (sock.mapLinks === 0) sock.socketMap = undefined;
}

/** User space sees cookies, where the values have room for them. */
function readCookie(host: MapHost, map: BpfMap, sock: Sock | undefined, value: number): number {
  if (map.valueSize !== 8) return -Errno.ENOSPC;
  if (sock === undefined) return -Errno.ENOENT;
  host.memory.view.setBigUint64(value, sock.cookie, true);
  return 0;
}

/** The socket of a program's update, which passes the socket's image; a negative errno for one that cannot be held. */
function sockFromProgram(host: MapHost, value: number): Sock | number {
  const sock = host.objects.get(value);
  if (!(sock instanceof Sock)) return -Errno.EINVAL;
  return refusal(sock) || sock;
}

/** The socket of an update by user space, which passes a descriptor. */
function sockFromUser(host: MapHost, map: BpfMap, value: number): Sock | number {
  const fd = fdIn(map, host.memory.view, value);
  if (fd < 0) return -Errno.EINVAL;
  const sock = sockFromFd(host, fd);
  return typeof sock === 'number' ? sock : refusal(sock) || sock;
}

function modeRefused(old: Sock | undefined, flags: number): number {
  if (old !== undefined && flags === UpdateFlag.BPF_NOEXIST) return -Errno.EEXIST;
  return old === undefined && flags === UpdateFlag.BPF_EXIST ? -Errno.ENOENT : 0;
}

/** Sockets by index. */
abstract class SockArray extends IndexedMap implements SockTarget {
  protected readonly sockets: (Sock | undefined)[];

  constructor(attr: MapAttr, host: MapHost) {
    requireMemory(attr, attr.maxEntries * 8);
    super(attr, host);
    this.sockets = new Array<Sock | undefined>(attr.maxEntries).fill(undefined);
  }

  sockAt(key: number): Sock | undefined {
    return this.sockets[this.index(key)];
  }

  /** A program gets the socket. */
  override lookup(key: number): number {
    return this.sockAt(key)?.offset ?? 0;
  }

  override sysLookup(key: number, value: number, _flags = 0): number {
    return readCookie(this.host, this, this.sockAt(key), value);
  }
}

export class SockMap extends SockArray {
  static check(attr: MapAttr): void {
    const sizes = attr.keySize === 4 && (attr.valueSize === 4 || attr.valueSize === 8);
    requireAttr(sizes, attr, 'EINVAL', 'key size is not 4 or value size not 4 or 8');
    requireAttr(attr.maxEntries > 0 && attr.maxEntries <= INT_MAX, attr, 'EINVAL', 'bad max_entries');
    requireAttr((attr.mapFlags & ~SOCK_FLAGS) === 0, attr, 'EINVAL', 'flags it does not take');
  }

  override update(key: number, value: number, flags: number): number {
    const sock = sockFromProgram(this.host, value);
    return typeof sock === 'number' ? sock : this.store(this.index(key), sock, flags);
  }

  override sysUpdate(key: number, value: number, flags: number): number {
    const sock = sockFromUser(this.host, this, value);
    return typeof sock === 'number' ? sock : this.store(this.index(key), sock, flags);
  }

  override delete(key: number): number {
    const index = this.index(key);
    const sock = this.sockets[index];
    if (sock === undefined) return -Errno.EINVAL;
    this.sockets[index] = undefined;
    unlink(sock);
    return 0;
  }

  override release(): void {
    for (const sock of this.sockets) if (sock !== undefined) unlink(sock);
    super.release();
  }

  private store(index: number, sock: Sock, flags: number): number {
    if (flags > UpdateFlag.BPF_EXIST) return -Errno.EINVAL;
    if (index >= this.maxEntries) return -Errno.E2BIG;
    const busy = link(sock, this);
    if (busy !== 0) return busy;
    const old = this.sockets[index];
    const refused = modeRefused(old, flags);
    if (refused !== 0) {
      unlink(sock);
      return refused;
    }
    this.sockets[index] = sock;
    if (old !== undefined) unlink(old);
    return 0;
  }
}

/** Sockets by keys of any size. Elements hold the low half of the cookie; the sockets are beside them. */
export class SockHashMap extends HashBackedMap implements SockTarget {
  private readonly byCookie = new Map<number, Sock>();
  private readonly scratchValue;

  static override check(attr: MapAttr): void {
    const sizes = attr.keySize > 0 && (attr.valueSize === 4 || attr.valueSize === 8);
    requireAttr(
      sizes && attr.maxEntries > 0,
      attr,
      'EINVAL',
      'key size or max_entries is 0, or value size not 4 or 8',
    );
    requireAttr((attr.mapFlags & ~SOCK_FLAGS) === 0, attr, 'EINVAL', 'flags it does not take');
    requireAttr(attr.keySize <= MAX_KEY, attr, 'E2BIG', `key size is past ${MAX_KEY}`);
  }

  constructor(attr: MapAttr, host: MapHost) {
    super(attr, host, { prealloc: false, zeroSeed: true });
    this.scratchValue = host.memory.alloc(8, 'none');
  }

  override get batchOps(): BatchOps {
    return {};
  }

  sockAt(key: number): Sock | undefined {
    const value = super.lookup(key);
    return value === 0 ? undefined : this.held(value);
  }

  override lookup(key: number): number {
    return this.sockAt(key)?.offset ?? 0;
  }

  override update(key: number, value: number, flags: number): number {
    const sock = sockFromProgram(this.host, value);
    return typeof sock === 'number' ? sock : this.storeSock(key, sock, flags);
  }

  override sysUpdate(key: number, value: number, flags: number): number {
    const sock = sockFromUser(this.host, this, value);
    return typeof sock === 'number' ? sock : this.storeSock(key, sock, flags);
  }

  override sysLookup(key: number, value: number, _flags = 0): number {
    return readCookie(this.host, this, this.sockAt(key), value);
  }

  override delete(key: number): number {
    const sock = this.sockAt(key);
    const result = super.delete(key);
    if (sock !== undefined) unlink(sock);
    return result;
  }

  override release(): void {
    this.walk((_key, value) => {
      unlink(this.held(value)!);
      return false;
    });
    this.memory.free(this.scratchValue);
    super.release();
  }

  /** The socket of the element whose value lies at a memory offset. */
  private held(value: number): Sock | undefined {
    return this.byCookie.get(this.memory.view.getUint32(value, true));
  }

  private storeSock(key: number, sock: Sock, flags: number): number {
    if (flags > UpdateFlag.BPF_EXIST) return -Errno.EINVAL;
    const busy = link(sock, this);
    if (busy !== 0) return busy;
    const old = this.sockAt(key);
    this.memory.view.setBigUint64(this.scratchValue.address32, sock.cookie, true);
    const result = super.update(key, this.scratchValue.address32, flags);
    if (result !== 0) {
      unlink(sock);
      return result;
    }
    this.byCookie.set(Number(sock.cookie & 0xffffffffn), sock);
    if (old !== undefined) unlink(old);
    return 0;
  }
}

/** Sockets that share a port, by index. */
export class ReuseportArrayMap extends SockArray {
  static check(attr: MapAttr): void {
    requireAttr(attr.valueSize === 4 || attr.valueSize === 8, attr, 'EINVAL', 'value size is not 4 or 8');
    checkArrayAttr(attr);
  }

  override sysUpdate(key: number, value: number, flags: number): number {
    const index = this.index(key);
    if (flags > UpdateFlag.BPF_EXIST) return -Errno.EINVAL;
    if (index >= this.maxEntries) return -Errno.E2BIG;
    const { view } = this.memory;
    const fd = this.valueSize === 8 ? fdIn(this, view, value) : view.getInt32(value, true);
    if (this.valueSize === 8 && fd < 0) return -Errno.EINVAL;
    const sock = sockFromFd(this.host, fd);
    if (typeof sock === 'number') return sock;
    const old = this.sockets[index];
    const refused = modeRefused(old, flags) || reuseportRefusal(sock);
    if (refused !== 0) return refused;
    sock.userData = this;
    this.sockets[index] = sock;
    if (old !== undefined) old.userData = undefined;
    return 0;
  }

  override delete(key: number): number {
    const index = this.index(key);
    if (index >= this.maxEntries) return -Errno.E2BIG;
    const sock = this.sockets[index];
    if (sock === undefined) return -Errno.ENOENT;
    sock.userData = undefined;
    this.sockets[index] = undefined;
    return 0;
  }

  override release(): void {
    for (const sock of this.sockets) if (sock !== undefined) sock.userData = undefined;
    super.release();
  }
}

/** Only a TCP listener or a bound UDP socket with SO_REUSEPORT that no other map holds. */
function reuseportRefusal(sock: Sock): number {
  if (!sock.isTcp && !sock.isUdp) return -Errno.ENOTSUPP;
  const hashed = sock.isUdp ? sock.bound : sock.state === SocketState.LISTEN;
  if (!hashed || !sock.reusePort) return -Errno.EINVAL;
  return sock.userData !== undefined || sock.mapLinks > 0 ? -Errno.EBUSY : 0;
}
