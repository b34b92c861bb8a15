/**
 * Addresses of sockets as programs of control groups see and change them: connect, bind, sendmsg, recvmsg, getpeername and
 * getsockname, of IPv4 and IPv6. Models the `BPF_CGROUP_RUN_PROG_INET*` macros (include/linux/bpf-cgroup.h).
 */
import { AttachType } from '../../abi/attach-types.js';
import { SyscallError } from '../errors.js';
import { addressOf, addressText } from '../net/ip-address.js';
import { SocketFamily, SocketProtocol, SocketType } from '../net/sock.js';
import type { Flow } from '../sched/flow.js';
import type { Cgroups } from './attach.js';

/** An IPv4 or IPv6 address and port of a system call. */
export interface SocketAddress {
  /** Dotted, or words in hexadecimal between colons. */
  readonly ip: string;
  readonly port: number;
}

const TYPES = {
  connect: [AttachType.cgroup_inet4_connect, AttachType.cgroup_inet6_connect],
  bind: [AttachType.cgroup_inet4_bind, AttachType.cgroup_inet6_bind],
  sendmsg: [AttachType.cgroup_udp4_sendmsg, AttachType.cgroup_udp6_sendmsg],
  recvmsg: [AttachType.cgroup_udp4_recvmsg, AttachType.cgroup_udp6_recvmsg],
  getpeername: [AttachType.cgroup_inet4_getpeername, AttachType.cgroup_inet6_getpeername],
  getsockname: [AttachType.cgroup_inet4_getsockname, AttachType.cgroup_inet6_getsockname],
} as const;

/** System calls that programs of control groups hear of. */
export type AddressCall = keyof typeof TYPES;

/** 0 or a negative errno, and the address that the programs left. Throws `SyscallError` (EINVAL) for a bad address. */
export function* checkAddress(
  cgroups: Cgroups,
  call: AddressCall,
  { ip, port }: SocketAddress,
): Flow<{ readonly errno: number; readonly address: SocketAddress }> {
  const bytes = addressOf(ip);
  if (bytes === undefined) throw SyscallError.of('EINVAL', `"${ip}" is no address`);
  const v6 = bytes.length === 16;
  const field = v6 ? 'user_ip6' : 'user_ip4';
  const datagram = call === 'sendmsg' || call === 'recvmsg';
  const family = v6 ? SocketFamily.AF_INET6 : SocketFamily.AF_INET;
  const given = {
    user_family: family,
    user_port: swap16(port),
    family,
    type: datagram ? SocketType.SOCK_DGRAM : SocketType.SOCK_STREAM,
    protocol: datagram ? SocketProtocol.IPPROTO_UDP : SocketProtocol.IPPROTO_TCP,
  };
  const {
    errno,
    fields,
    bytes: after,
  } = yield* cgroups.hook(TYPES[call][v6 ? 1 : 0], given, {
    bytes: { [field]: bytes },
  });
  const address = { ip: addressText(after[field]!), port: swap16(fields.user_port! & 0xffff) };
  return { errno, address };
}

const swap16 = (value: number): number => ((value & 0xff) << 8) | (value >> 8);
