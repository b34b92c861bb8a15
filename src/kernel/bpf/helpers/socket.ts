/**
 * Helpers on sockets: look-ups, casts, options, cookies, and what programs on sockets may ask and set. Models
 * net/core/filter.c and net/core/sock_map.c of Linux 6.18.
 */

import { offsetOf } from '../../../abi/context/layout.js';
import { SK_REUSEPORT_MD } from '../../../abi/context/sock.js';
import { Errno } from '../../../abi/errno.js';
import { SK_DROP, SK_PASS } from '../../../abi/packet.js';
import { ProgType } from '../../../abi/prog-types.js';
import type { HelperCall } from '../../../vm/index.js';
import type { Machine } from '../../machine.js';
import { InetSock } from '../../net/inet-sock.js';
import { Sock, SocketFamily, SocketProtocol, SocketState } from '../../net/sock.js';
import { isSockTarget, redirectAllowed } from '../sock-maps.js';
import { sockOptionHelpers } from './sock-options.js';
import { stateOf } from './state.js';
import {
  addressHigh,
  EINVAL,
  flagsArg,
  type HelperTable,
  mapArg,
  plainHelpers,
  setPointer,
  sizeArg,
} from './table.js';

const IPV4_TUPLE = 12;
const IPV6_TUPLE = 36;
/** BPF_SK_LOOKUP_F_REPLACE, BPF_SK_LOOKUP_F_NO_REUSEPORT. */
const SELECT_FLAGS = 3;
const REPLACE = 1;
const REDIRECT_FLAGS = 1;
/** Number of the first network namespace, for `bpf_get_netns_cookie`. */
const INIT_NETNS = 1n;

export function socketHelpers(kernel: Machine, type: ProgType): HelperTable {
  const high = addressHigh(kernel);
  const lookup = (protocol: number) => (call: HelperCall) =>
    setPointer(call, lookupSock(kernel, call, protocol)?.offset ?? 0, high);
  const cast = (is: (sock: Sock) => boolean) => (call: HelperCall) => {
    const sock = sockArg(kernel, call, 1);
    return sock !== undefined && is(sock) ? setPointer(call, call.argU32(1), high) : 0;
  };
  return {
    ...sockOptionHelpers(kernel),
    ...plainHelpers({
      sk_lookup_tcp: lookup(SocketProtocol.IPPROTO_TCP),
      sk_lookup_udp: lookup(SocketProtocol.IPPROTO_UDP),
      skc_lookup_tcp: lookup(SocketProtocol.IPPROTO_TCP),
      sk_release(call) {
        const sock = sockArg(kernel, call, 1);
        if (sock instanceof InetSock) sock.references--;
        return 0;
      },
      sk_fullsock: cast(() => true),
      tcp_sock(call) {
        const sock = sockArg(kernel, call, 1);
        return sock instanceof InetSock && sock.isTcp ? setPointer(call, sock.tcpOffset, high) : 0;
      },
      get_listener_sock: cast((sock) => sock.state === SocketState.LISTEN),
      skc_to_tcp_sock: cast((sock) => sock.isTcp),
      skc_to_tcp6_sock: cast((sock) => sock.isTcp && sock.family === SocketFamily.AF_INET6),
      skc_to_udp6_sock: cast((sock) => sock.isUdp && sock.family === SocketFamily.AF_INET6),
      skc_to_unix_sock: cast((sock) => sock.family === SocketFamily.AF_UNIX),
      // There are full sockets only.
      skc_to_tcp_timewait_sock: () => 0,
      skc_to_tcp_request_sock: () => 0,
      skc_to_mptcp_sock: () => 0,
      get_netns_cookie: () => stateOf(kernel).run.sock?.netnsCookie ?? INIT_NETNS,
      sk_assign: (call) =>
        type === ProgType.sk_lookup ? selectSock(kernel, call) : assignSock(kernel, call),
      sk_select_reuseport(call) {
        const map = mapArg(kernel, call, 2);
        const key = call.pointer(3, map.keySize);
        if (flagsArg(call, 4) !== 0) return -EINVAL;
        const sock = isSockTarget(map) ? map.sockAt(key) : undefined;
        if (!(sock instanceof InetSock)) return -Errno.ENOENT;
        stateOf(kernel).run.selected = sock;
        return 0;
      },
      ...(type === ProgType.sk_reuseport ? reuseportHelpers(kernel) : {}),
      sk_redirect_map: (call) => redirect(kernel, call),
      sk_redirect_hash: (call) => redirect(kernel, call),
      msg_redirect_map: (call) => redirect(kernel, call),
      msg_redirect_hash: (call) => redirect(kernel, call),
      sock_map_update: (call) => updateSockMap(kernel, call),
      sock_hash_update: (call) => updateSockMap(kernel, call),
      ...cookieHelpers(kernel, type),
    }),
  };
}

/** The packet lies between two pointers of the context, from its transport header on. */
function reuseportHelpers(kernel: Machine) {
  const load = (call: HelperCall): number => {
    const size = sizeArg(call, 4);
    const to = call.pointer(3, size, true);
    const at = call.pointer(1, SK_REUSEPORT_MD.size);
    const { view, u8 } = kernel.memory;
    const data = view.getUint32(at + offsetOf(SK_REUSEPORT_MD, 'data'), true);
    const end = view.getUint32(at + offsetOf(SK_REUSEPORT_MD, 'data_end'), true);
    const from = data + call.argU32(2);
    if (from + size > end) {
      u8.fill(0, to, to + size);
      return -Errno.EFAULT;
    }
    u8.copyWithin(to, from, from + size);
    return 0;
  };
  return { skb_load_bytes: load, skb_load_bytes_relative: load };
}

/** Of packets, `skbHelpers` knows the cookie; here are the others. */
function cookieHelpers(kernel: Machine, type: ProgType) {
  const cookie = (call: HelperCall): bigint => {
    const ofSocket =
      type === ProgType.tracing ||
      type === ProgType.lsm ||
      type === ProgType.syscall ||
      type === ProgType.sk_reuseport;
    const sock = ofSocket ? sockArg(kernel, call, 1) : stateOf(kernel).run.sock;
    return sock?.cookie ?? 0n;
  };
  return { get_socket_cookie: cookie };
}

/** The socket that register `n` points to; undefined for null and for what is none. */
export function sockArg(kernel: Machine, call: HelperCall, n: number): Sock | undefined {
  if (call.arg(n) === 0n) return undefined;
  const offset = call.argU32(n);
  const known = kernel.objects.get(offset);
  if (known instanceof Sock) return known;
  const { skb } = kernel.net;
  return skb !== undefined && skb.socket.address32 === offset
    ? stateOf(kernel).packetSock(offset)
    : undefined;
}

/** The socket that the tuple in r2 names; it is then held by the program. */
function lookupSock(kernel: Machine, call: HelperCall, protocol: number): InetSock | undefined {
  const size = call.argU32(3);
  const at = call.pointer(2, size);
  const netns = BigInt.asIntN(32, call.arg(4));
  const family =
    size === IPV4_TUPLE ? SocketFamily.AF_INET : size === IPV6_TUPLE ? SocketFamily.AF_INET6 : undefined;
  // Namespaces are named by numbers from 0 on, of which none was given out; the program's own is a negative number.
  if (family === undefined || flagsArg(call, 5) !== 0 || netns >= 0n) return undefined;
  const { u8, view } = kernel.memory;
  const bytes = family === SocketFamily.AF_INET ? 4 : 16;
  const endpoint = (which: 0 | 1) => ({
    address: u8.slice(at + which * bytes, at + (which + 1) * bytes),
    port: view.getUint16(at + 2 * bytes + 2 * which, false),
  });
  const sock = stateOf(kernel).sockets.lookup(protocol, family, endpoint(0), endpoint(1));
  if (sock !== undefined) sock.references++;
  return sock;
}

/** bpf_sk_assign of tc: a packet at ingress gets its socket; a test run's packet is not there. */
function assignSock(kernel: Machine, call: HelperCall): number {
  const sock = sockArg(kernel, call, 2);
  if (sock === undefined || flagsArg(call, 3) !== 0) return -EINVAL;
  if (kernel.net.skb?.atIngress !== true) return -Errno.EOPNOTSUPP;
  kernel.net.skb.assigned = sock;
  return 0;
}

function selectSock(kernel: Machine, call: HelperCall): number {
  const flags = flagsArg(call, 3);
  if ((flags & ~SELECT_FLAGS) !== 0) return -EINVAL;
  const { run } = stateOf(kernel);
  const sock = sockArg(kernel, call, 2);
  if (sock !== undefined) {
    const established = sock.isTcp && sock.state !== SocketState.LISTEN;
    if (!(sock instanceof InetSock) || established) return -Errno.ESOCKTNOSUPPORT;
    if (run.lookupProtocol !== undefined && sock.protocol !== run.lookupProtocol) return -Errno.EPROTOTYPE;
    const crossFamily = run.lookupFamily === SocketFamily.AF_INET6 && sock.family === SocketFamily.AF_INET;
    const wrong = run.lookupFamily === SocketFamily.AF_INET && sock.family === SocketFamily.AF_INET6;
    if (crossFamily || wrong) return -Errno.EAFNOSUPPORT;
  }
  if (run.selected !== undefined && (flags & REPLACE) === 0) return -Errno.EEXIST;
  run.selected = sock;
  return 0;
}

/** Of a message or packet to another socket: SK_PASS when it can go there. */
function redirect(kernel: Machine, call: HelperCall): number {
  const map = mapArg(kernel, call, 2);
  const flags = flagsArg(call, 4);
  if (!isSockTarget(map) || (flags & ~REDIRECT_FLAGS) !== 0) return SK_DROP;
  const key = call.i32[7] === 0 ? scratchKey(kernel, call) : call.pointer(3, map.keySize);
  const sock = map.sockAt(key);
  if (sock === undefined || !redirectAllowed(sock)) return SK_DROP;
  stateOf(kernel).run.redirectedTo = { sock, flags };
  return SK_PASS;
}

/** A sockmap is asked by a number, a sockhash by a pointer to a key. */
function scratchKey(kernel: Machine, call: HelperCall): number {
  const key = stateOf(kernel).scratch;
  kernel.memory.view.setUint32(key.address32, call.argU32(3), true);
  return key.address32;
}

function updateSockMap(kernel: Machine, call: HelperCall): number {
  const map = mapArg(kernel, call, 2);
  const { sock } = stateOf(kernel).run;
  const key = call.pointer(3, map.keySize);
  if (sock === undefined) return -Errno.EOPNOTSUPP;
  return map.update(key, sock.offset, flagsArg(call, 4));
}
