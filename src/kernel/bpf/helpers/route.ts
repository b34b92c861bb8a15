/**
 * Where packets go: routes, neighbours, devices, tunnels. Models `bpf_fib_lookup`, `bpf_check_mtu`, `bpf_redirect_neigh` and
 * the tunnel helpers of net/core/filter.c, Linux 6.18.
 */

import { Errno } from '../../../abi/errno.js';
import { ETH_HLEN } from '../../../abi/packet.js';
import { ProgType } from '../../../abi/prog-types.js';
import { TcAction } from '../../../abi/tc.js';
import type { HelperCall } from '../../../vm/index.js';
import type { Machine } from '../../machine.js';
import { MAIN_TABLE, type NetDevice, type Route } from '../../net/fib.js';
import { SocketFamily } from '../../net/sock.js';
import { stateOf } from './state.js';
import { EINVAL, flagsArg, type HelperTable, plainHelpers, sizeArg } from './table.js';

const MTU_CHECK_SEGMENTS = 1;
const FRAG_NEEDED = 1;
const PARAMS_SIZE = 64;
const REDIR_NEIGH_SIZE = 20;
/** BPF_FIB_LOOKUP_*. */
const Flag = { DIRECT: 1, OUTPUT: 2, SKIP_NEIGH: 4, TBID: 8, SRC: 16, MARK: 32 } as const;
const KNOWN_FLAGS = 63;
/** BPF_FIB_LKUP_RET_*. */
const Result = {
  SUCCESS: 0,
  BLACKHOLE: 1,
  UNREACHABLE: 2,
  PROHIBIT: 3,
  NOT_FWDED: 4,
  FWD_DISABLED: 5,
  NO_NEIGH: 7,
  FRAG_NEEDED: 8,
  NO_SRC_ADDR: 9,
} as const;
/** Offsets in `struct bpf_fib_lookup`. */
const At = {
  FAMILY: 0,
  TOT_LEN: 6,
  IFINDEX: 8,
  METRIC: 12,
  SRC: 16,
  DST: 32,
  VLAN: 48,
  SMAC: 52,
  DMAC: 58,
} as const;

export function routeHelpers(kernel: Machine, type: ProgType): HelperTable {
  return plainHelpers({
    fib_lookup: (call) => fibLookup(kernel, call, type === ProgType.xdp),
    check_mtu: (call) => checkMtu(kernel, call, type === ProgType.xdp),
    redirect_neigh(call) {
      const size = call.argU32(3);
      if ((size !== 0 && size < REDIR_NEIGH_SIZE) || flagsArg(call, 4) !== 0) return TcAction.TC_ACT_SHOT;
      kernel.net.redirect = { kind: 'ifindex', ifindex: call.argU32(1), flags: 0, via: 'neigh' };
      return TcAction.TC_ACT_REDIRECT;
    },
    get_route_realm: () => 0,
    skb_get_xfrm_state(call) {
      // No packet here has come through IPsec.
      const size = call.argU32(4);
      const to = call.pointer(3, size, true);
      kernel.memory.u8.fill(0, to, to + size);
      return -EINVAL;
    },
  });
}

function checkMtu(kernel: Machine, call: HelperCall, xdp: boolean): number {
  const at = call.pointer(3, 4, true);
  const flags = flagsArg(call, 5);
  const { view } = kernel.memory;
  const given = view.getUint32(at, true);
  const difference = call.argI32(4);
  if ((flags & ~(xdp ? 0 : MTU_CHECK_SEGMENTS)) !== 0) return -EINVAL;
  if (flags !== 0 && (difference !== 0 || given !== 0)) return -EINVAL;
  const ifindex = call.argU32(2);
  const device = stateOf(kernel).fib.device(ifindex === 0 ? currentDevice(kernel, xdp) : ifindex);
  if (device === undefined) return -Errno.ENODEV;
  const { net } = kernel;
  const own = xdp ? net.xdp!.dataEnd - net.xdp!.data : net.skb!.length;
  const length = ((given === 0 ? own : given + ETH_HLEN) + difference) | 0;
  view.setUint32(at, device.mtu, true);
  return length <= device.mtu + ETH_HLEN ? 0 : FRAG_NEEDED;
}

function currentDevice(kernel: Machine, xdp: boolean): number {
  return xdp ? kernel.net.xdp!.ingressIfindex : kernel.net.skb!.get('ifindex');
}

function fibLookup(kernel: Machine, call: HelperCall, xdp: boolean): number {
  const size = sizeArg(call, 3);
  const flags = flagsArg(call, 4);
  if (size < PARAMS_SIZE || (flags & ~KNOWN_FLAGS) !== 0) return -EINVAL;
  const at = call.pointer(2, PARAMS_SIZE, true);
  const { view, u8 } = kernel.memory;
  const family = u8[at + At.FAMILY]!;
  if (family !== SocketFamily.AF_INET && family !== SocketFamily.AF_INET6) return -Errno.EAFNOSUPPORT;
  const { fib } = stateOf(kernel);
  const device = fib.device(view.getUint32(at + At.IFINDEX, true));
  if (device === undefined) return -Errno.ENODEV;
  if (device.forwarding !== true) return Result.FWD_DISABLED;
  const bytes = family === SocketFamily.AF_INET ? 4 : 16;
  const destination = u8.slice(at + At.DST, at + At.DST + bytes);
  const table =
    (flags & Flag.DIRECT) !== 0 && (flags & Flag.TBID) !== 0
      ? view.getUint32(at + At.VLAN, true)
      : MAIN_TABLE;
  const route = fib.lookup(destination, table);
  if (route === undefined) return Result.NOT_FWDED;
  const refused = refusedBy(route);
  if (refused !== undefined) return refused;
  return writeAnswer(kernel, at, route, destination, flags, xdp);
}

function refusedBy(route: Route): number | undefined {
  switch (route.type) {
    case 'blackhole':
      return Result.BLACKHOLE;
    case 'unreachable':
      return Result.UNREACHABLE;
    case 'prohibit':
      return Result.PROHIBIT;
    case 'local':
      return Result.NOT_FWDED;
    default:
      return undefined;
  }
}

function writeAnswer(
  kernel: Machine,
  at: number,
  route: Route,
  destination: Uint8Array,
  flags: number,
  xdp: boolean,
): number {
  const { view, u8 } = kernel.memory;
  const { fib } = stateOf(kernel);
  const device = fib.device(route.ifindex) as NetDevice;
  const mtu = route.mtu ?? device.mtu;
  const length = view.getUint16(at + At.TOT_LEN, true);
  if (length > mtu) {
    view.setUint16(at + At.TOT_LEN, mtu & 0xffff, true);
    return Result.FRAG_NEEDED;
  }
  const nextHop = route.gateway ?? destination;
  if (route.gateway !== undefined) u8.set(route.gateway, at + At.DST);
  if ((flags & Flag.SRC) !== 0) {
    if (route.source === undefined) return Result.NO_SRC_ADDR;
    u8.set(route.source, at + At.SRC);
  }
  view.setUint32(at + At.METRIC, route.metric ?? 0, true);
  view.setUint32(at + At.IFINDEX, route.ifindex, true);
  if (xdp || length !== 0) view.setUint16(at + At.TOT_LEN, mtu & 0xffff, true);
  if ((flags & Flag.SKIP_NEIGH) === 0) {
    const neighbour = fib.neighbour(route.ifindex, nextHop);
    if (neighbour === undefined) return Result.NO_NEIGH;
    u8.set(neighbour.mac, at + At.DMAC);
    u8.set(device.mac, at + At.SMAC);
  }
  view.setUint16(at + At.VLAN, 0, true);
  view.setUint16(at + At.VLAN + 2, 0, true);
  return Result.SUCCESS;
}
