/**
 * SYN cookies: a connection's parts, folded into a sequence number. The hash is not the kernel's, whose key is random at
 * each boot; the form of the number, its age and its check are. Models net/ipv4/syncookies.c and net/core/filter.c.
 */
import type { HelperCall } from '../../../vm/index.js';
import { jhash } from '../../lib/jhash.js';
import type { Machine } from '../../machine.js';
import { InetSock } from '../../net/inet-sock.js';
import { SocketState } from '../../net/sock.js';
import { sockArg } from './socket.js';
import { EACCES, EINVAL, ENOENT, type HelperTable, plainHelpers } from './table.js';

const TCP_HEADER = 20;
const COOKIE_BITS = 24;
const COOKIE_MASK = (1 << COOKIE_BITS) - 1;
/** Minutes for which a cookie is good (MAX_SYNCOOKIE_AGE). */
const MAX_AGE = 2;
const MINUTE_NS = 60_000_000_000n;
/** Sizes that a cookie can carry; IPv6 has its own. */
const MSS_IPV4: readonly number[] = [536, 1300, 1440, 1460];
const MSS_IPV6: readonly number[] = [1280, 1480, 1500, 9000].map((mtu) => mtu - 60);
const DEFAULT_MSS: Readonly<Record<4 | 6, number>> = { 4: 536, 6: 1220 };
const IP_SIZE: Readonly<Record<4 | 6, number>> = { 4: 20, 6: 40 };
const SYN = 2;
const ACK = 16;
const FIN_RST = 5;

export function syncookieHelpers(kernel: Machine): HelperTable {
  const generate = (version: 4 | 6) => (call: HelperCall) => rawGenerate(kernel, call, version);
  const check = (version: 4 | 6) => (call: HelperCall) => rawCheck(kernel, call, version);
  return plainHelpers({
    tcp_raw_gen_syncookie_ipv4: generate(4),
    tcp_raw_gen_syncookie_ipv6: generate(6),
    tcp_raw_check_syncookie_ipv4: check(4),
    tcp_raw_check_syncookie_ipv6: check(6),
    tcp_gen_syncookie(call) {
      const found = listener(kernel, call);
      if (typeof found === 'number') return found;
      const { tcp, flags, version, ip } = found;
      if ((flags & (SYN | ACK | FIN_RST)) !== SYN) return -EINVAL;
      return cookieWithMss(kernel, version, ip, tcp, call.argU32(5));
    },
    tcp_check_syncookie(call) {
      const found = listener(kernel, call);
      if (typeof found === 'number') return found;
      const { tcp, flags, version, ip } = found;
      if ((flags & ACK) === 0 || (flags & (SYN | 4)) !== 0) return -ENOENT;
      return isCookie(kernel, version, ip, tcp) ? 0 : -ENOENT;
    },
  });
}

/** Headers of a packet to a listening socket whose queue is full, or what keeps it from being answered by a cookie. */
function listener(kernel: Machine, call: HelperCall) {
  const sock = sockArg(kernel, call, 1);
  const [ipSize, tcpSize] = [call.argU32(3), call.argU32(5)];
  const [ip, tcp] = [call.pointer(2, ipSize), call.pointer(4, tcpSize)];
  if (tcpSize < TCP_HEADER) return -EINVAL;
  if (!(sock instanceof InetSock) || !sock.isTcp || sock.state !== SocketState.LISTEN) return -EINVAL;
  if (!sock.queueOverflowed) return -ENOENT;
  const version = (kernel.memory.u8[ip]! >> 4) as 4 | 6;
  if ((version !== 4 && version !== 6) || ipSize < IP_SIZE[version]) return -EINVAL;
  return { tcp, ip, version, flags: kernel.memory.u8[tcp + 13]! };
}

function rawGenerate(kernel: Machine, call: HelperCall, version: 4 | 6): number | bigint {
  const size = call.argU32(3);
  const [ip, tcp] = [call.pointer(1, IP_SIZE[version]), call.pointer(2, size)];
  if (size < TCP_HEADER || size !== (kernel.memory.u8[tcp + 12]! >> 4) * 4) return -EINVAL;
  return cookieWithMss(kernel, version, ip, tcp, size);
}

function rawCheck(kernel: Machine, call: HelperCall, version: 4 | 6): number {
  const [ip, tcp] = [call.pointer(1, IP_SIZE[version]), call.pointer(2, TCP_HEADER)];
  return isCookie(kernel, version, ip, tcp) ? 0 : -EACCES;
}

/** The cookie, and the segment size that it carries above it. */
function cookieWithMss(kernel: Machine, version: 4 | 6, ip: number, tcp: number, tcpSize: number): bigint {
  const sizes = version === 4 ? MSS_IPV4 : MSS_IPV6;
  const wanted = mssOption(kernel, tcp, tcpSize) ?? DEFAULT_MSS[version];
  let index = sizes.length - 1;
  while (index > 0 && wanted < sizes[index]!) index--;
  const cookie = hashOf(
    kernel,
    version,
    ip,
    tcp,
    minutes(kernel),
    kernel.memory.view.getUint32(tcp + 4, false),
    index,
  );
  return BigInt(cookie >>> 0) | (BigInt(sizes[index]!) << 32n);
}

function minutes(kernel: Machine): number {
  return Number(kernel.clock.now / MINUTE_NS);
}

/** hash + sequence + (minutes << 24) + ((hash of minutes + data) & 0xffffff). */
function hashOf(
  kernel: Machine,
  version: 4 | 6,
  ip: number,
  tcp: number,
  count: number,
  sequence: number,
  data: number,
): number {
  const { base, aged } = hashes(kernel, version, ip, tcp, count);
  return (base + sequence + (count << COOKIE_BITS) + ((aged + data) & COOKIE_MASK)) | 0;
}

function hashes(kernel: Machine, version: 4 | 6, ip: number, tcp: number, count: number) {
  const { u8 } = kernel.memory;
  const parts = new Uint8Array(40);
  const [from, size] = version === 4 ? [12, 8] : [8, 32];
  parts.set(u8.subarray(ip + from, ip + from + size));
  parts.set(u8.subarray(tcp, tcp + 4), 32);
  return { base: jhash(parts, 0, 36, 0), aged: jhash(parts, 0, 36, count + 1) };
}

/** Whether an acknowledgement's number is a cookie of ours, not too old. */
function isCookie(kernel: Machine, version: 4 | 6, ip: number, tcp: number): boolean {
  const { view } = kernel.memory;
  const sequence = (view.getUint32(tcp + 4, false) - 1) | 0;
  const cookie = (view.getUint32(tcp + 8, false) - 1) | 0;
  const now = minutes(kernel);
  const { base } = hashes(kernel, version, ip, tcp, now);
  const rest = (cookie - base - sequence) | 0;
  const age = (now - (rest >>> COOKIE_BITS)) & 0xff;
  if (age >= MAX_AGE) return false;
  const { aged } = hashes(kernel, version, ip, tcp, now - age);
  return ((rest - aged) & COOKIE_MASK) < MSS_IPV4.length;
}

/** The largest segment that the sender takes. */
function mssOption(kernel: Machine, tcp: number, size: number): number | undefined {
  const { u8, view } = kernel.memory;
  for (let at = tcp + TCP_HEADER; at < tcp + size; ) {
    const kind = u8[at]!;
    if (kind === 0) return undefined;
    const length = kind === 1 ? 1 : u8[at + 1]!;
    if (kind === 2 && length === 4) return view.getUint16(at + 2, false);
    if (length < 1 || (kind !== 1 && length < 2)) return undefined;
    at += length;
  }
  return undefined;
}
