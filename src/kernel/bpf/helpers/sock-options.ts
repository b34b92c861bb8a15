/**
 * Options of sockets, addresses to bind to, TCP header options, callbacks of TCP events. Models `__bpf_setsockopt`,
 * `__bpf_getsockopt`, `bpf_bind` and the `bpf_sock_ops_*` helpers of net/core/filter.c, Linux 6.18.
 */
import { Errno } from '../../../abi/errno.js';
import type { HelperCall } from '../../../vm/index.js';
import type { Machine } from '../../machine.js';
import type { InetSock } from '../../net/inet-sock.js';
import { SocketFamily } from '../../net/sock.js';
import { stateOf } from './state.js';
import { E2BIG, EFAULT, EINVAL, flagsArg, type HelperTable, plainHelpers, sizeArg } from './table.js';

const SOL_IP = 0;
const SOL_SOCKET = 1;
const SOL_TCP = 6;
const SOL_IPV6 = 41;
const SO_BINDTODEVICE = 25;
const TCP_CONGESTION = 13;
/** By level: options of one word that programs may set (`sol_*_sockopt`). */
const WORD_OPTIONS: Readonly<Record<number, readonly number[]>> = {
  [SOL_SOCKET]: [2, 7, 8, 9, 12, 15, 18, 36, 47, 62, 74],
  [SOL_IP]: [1],
  [SOL_IPV6]: [67, 70],
  [SOL_TCP]: [1, 4, 5, 6, 7, 10, 18, 23, 25, 27, 28, 1001, 1002, 1003, 1004, 1008],
};
/** BPF_SOCK_OPS_ALL_CB_FLAGS. */
const CALLBACK_FLAGS = 0x7f;
const SOCKADDR_IN = 16;
const SOCKADDR_IN6 = 24;
const MAX_TCP_OPTIONS = 40;
/** BPF_LOAD_HDR_OPT_TCP_SYN. */
const FROM_SYN = 1;
const OPT_EOL = 0;
const OPT_NOP = 1;

export function sockOptionHelpers(kernel: Machine): HelperTable {
  const sockOf = (): InetSock | undefined => stateOf(kernel).run.sock;
  return plainHelpers({
    setsockopt(call) {
      const size = sizeArg(call, 5);
      const from = call.bytes(4, size);
      const sock = sockOf();
      const [level, name] = [call.argI32(2), call.argI32(3)];
      const refused = optionRefused(sock, level, name, size);
      if (refused !== 0) return refused;
      sock!.options.set(`${level}:${name}`, from.slice());
      return 0;
    },
    getsockopt(call) {
      const size = sizeArg(call, 5);
      const to = call.pointer(4, size, true);
      const { u8 } = kernel.memory;
      const sock = sockOf();
      const [level, name] = [call.argI32(2), call.argI32(3)];
      const refused =
        level === SOL_SOCKET && name === SO_BINDTODEVICE ? -EINVAL : optionRefused(sock, level, name, size);
      u8.fill(0, to, to + size);
      if (refused !== 0) return refused;
      u8.set((sock!.options.get(`${level}:${name}`) ?? new Uint8Array(0)).subarray(0, size), to);
      return 0;
    },
    bind(call) {
      const size = sizeArg(call, 3);
      const at = call.pointer(2, size);
      const sock = sockOf();
      const { u8, view } = kernel.memory;
      if (size < 2) return -EINVAL;
      const family = view.getUint16(at, true);
      const known = family === SocketFamily.AF_INET || family === SocketFamily.AF_INET6;
      if (!known) return -Errno.EAFNOSUPPORT;
      const v4 = family === SocketFamily.AF_INET;
      if (size < (v4 ? SOCKADDR_IN : SOCKADDR_IN6)) return -EINVAL;
      if (sock === undefined) return -EINVAL;
      if (sock.family !== family) return -Errno.EAFNOSUPPORT;
      sock.local = {
        address: v4 ? u8.slice(at + 4, at + 8) : u8.slice(at + 8, at + 24),
        port: view.getUint16(at + 2, false),
      };
      sock.refresh();
      return 0;
    },
    sock_ops_cb_flags_set(call) {
      const sock = sockOf();
      if (sock === undefined) return -EINVAL;
      const flags = call.argI32(2);
      sock.callbackFlags = flags & CALLBACK_FLAGS;
      return flags & ~CALLBACK_FLAGS;
    },
    load_hdr_opt: (call) => loadOption(kernel, call),
    store_hdr_opt: (call) => storeOption(kernel, call),
    reserve_hdr_opt(call) {
      const { headerOptions } = stateOf(kernel).run;
      const size = call.argU32(2);
      if (flagsArg(call, 3) !== 0 || size < 2) return -EINVAL;
      if (headerOptions === undefined) return -Errno.EPERM;
      if (size > headerOptions.room) return -Errno.ENOSPC;
      headerOptions.room -= size;
      return 0;
    },
    tcp_send_ack: () => 0,
  });
}

function optionRefused(sock: InetSock | undefined, level: number, name: number, size: number): number {
  if (sock === undefined) return -EINVAL;
  const names = WORD_OPTIONS[level];
  if (names === undefined) return -EINVAL;
  if (level === SOL_IP && sock.family !== SocketFamily.AF_INET) return -EINVAL;
  if (level === SOL_IPV6 && sock.family !== SocketFamily.AF_INET6) return -EINVAL;
  if (level === SOL_TCP && !sock.isTcp) return -EINVAL;
  if (level === SOL_SOCKET && name === SO_BINDTODEVICE) return 0;
  if (level === SOL_TCP && name === TCP_CONGESTION) return size < 2 ? -EINVAL : 0;
  return names.includes(name) && size === 4 ? 0 : -EINVAL;
}

/** The next option of a kind (and magic number) among a packet's; its length. */
function loadOption(kernel: Machine, call: HelperCall): number {
  const size = sizeArg(call, 3);
  const to = call.pointer(2, size, true);
  const { u8 } = kernel.memory;
  const { headerOptions } = stateOf(kernel).run;
  if ((flagsArg(call, 4) & ~FROM_SYN) !== 0) return -EINVAL;
  if (headerOptions === undefined) return -Errno.EPERM;
  if (size < 2) return -EINVAL;
  const kind = u8[to]!;
  if (kind === OPT_EOL || kind === OPT_NOP) return -EINVAL;
  const experimental = kind === 253 || kind === 254;
  const wanted = experimental ? u8.slice(to + 2, to + u8[to + 1]!) : new Uint8Array(0);
  const { options } = headerOptions;
  for (let at = 0; at < options.length; ) {
    if (options[at] === OPT_EOL) break;
    if (options[at] === OPT_NOP) {
      at++;
      continue;
    }
    const length = options[at + 1] ?? 0;
    if (length < 2 || at + length > options.length) return -EFAULT;
    const option = options.subarray(at, at + length);
    if (option[0] === kind && wanted.every((byte, i) => option[2 + i] === byte)) {
      u8.set(option.subarray(0, size), to);
      return length > size ? -Errno.ENOSPC : length;
    }
    at += length;
  }
  return -Errno.ENOMSG;
}

function storeOption(kernel: Machine, call: HelperCall): number {
  const size = sizeArg(call, 3);
  const from = call.bytes(2, size);
  const { headerOptions } = stateOf(kernel).run;
  if (flagsArg(call, 4) !== 0) return -EINVAL;
  if (headerOptions === undefined) return -Errno.EPERM;
  if (size < 2) return -EINVAL;
  const length = from[1]!;
  if (length < 2 || length > size || from[0] === OPT_EOL || from[0] === OPT_NOP) return -EINVAL;
  if (length > MAX_TCP_OPTIONS) return -E2BIG;
  if (length > headerOptions.room) return -Errno.ENOSPC;
  headerOptions.room -= length;
  headerOptions.written.push(...from.subarray(0, length));
  return 0;
}
