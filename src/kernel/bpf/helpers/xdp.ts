/** Helpers of XDP programs. Models net/core/filter.c of Linux 6.18. */
import { PerfOutputFlag, RedirectMapFlag } from '../../../abi/map-flags.js';
import { MapType } from '../../../abi/map-types.js';
import { XdpAction } from '../../../abi/xdp.js';
import { type HelperCall, HelperFault } from '../../../vm/index.js';
import type { Machine } from '../../machine.js';
import type { XdpBuff } from '../../net/xdp.js';
import { isRedirectTarget } from '../redirect-maps.js';
import { csumHelpers } from './csum.js';
import { perfOutput } from './output.js';
import { EFAULT, EINVAL, flagsArg, type HelperTable, mapArg, plainHelpers, sizeArg } from './table.js';

const MAX_OFFSET = 0xffff;

export function xdpHelpers(kernel: Machine): HelperTable {
  return {
    ...csumHelpers(kernel),
    ...plainHelpers({
      xdp_adjust_head: (call) => buffOf(kernel, call).adjustHead(call.argI32(2)),
      xdp_adjust_meta: (call) => buffOf(kernel, call).adjustMeta(call.argI32(2)),
      xdp_adjust_tail: (call) => buffOf(kernel, call).adjustTail(call.argI32(2)),
      xdp_get_buff_len: (call) => buffOf(kernel, call).length,
      xdp_load_bytes(call) {
        const size = sizeArg(call, 4);
        const to = call.pointer(3, size, true);
        const at = call.argU32(2);
        if (at > MAX_OFFSET || size > MAX_OFFSET) return -EFAULT;
        return buffOf(kernel, call).load(at, to, size) ? 0 : -EINVAL;
      },
      xdp_store_bytes(call) {
        const size = sizeArg(call, 4);
        const from = call.pointer(3, size);
        const at = call.argU32(2);
        if (at > MAX_OFFSET || size > MAX_OFFSET) return -EFAULT;
        return buffOf(kernel, call).store(at, from, size) ? 0 : -EINVAL;
      },
      redirect(call) {
        if (flagsArg(call, 2) !== 0) return XdpAction.XDP_ABORTED;
        kernel.net.redirect = { kind: 'ifindex', ifindex: call.argU32(1), flags: 0, via: 'redirect' };
        return XdpAction.XDP_REDIRECT;
      },
      redirect_map: (call) => redirectMap(kernel, call),
      perf_event_output(call) {
        const xdp = buffOf(kernel, call);
        return perfOutput(kernel, call, PerfOutputFlag.BPF_F_CTXLEN_MASK, (size) => xdp.head(size));
      },
    }),
  };
}

function buffOf(kernel: Machine, call: HelperCall): XdpBuff {
  const xdp = kernel.net.xdp;
  if (xdp !== undefined && xdp.context.address32 === call.argU32(1)) return xdp;
  throw new HelperFault(`r1: 0x${call.arg(1).toString(16)} is not the program's context`);
}

/** With no target at the index, the action in the flags' low two bits is what the helper returns. */
function redirectMap(kernel: Machine, call: HelperCall): number {
  const map = mapArg(kernel, call, 1);
  if (!isRedirectTarget(map)) throw new HelperFault(`r1: map ${map.name} cannot be redirected to`);
  const index = call.argU32(2);
  const flags = flagsArg(call, 3);
  const { BPF_F_ACTION_MASK, BPF_F_BROADCAST, BPF_F_EXCLUDE_INGRESS } = RedirectMapFlag;
  const device = map.type === MapType.devmap || map.type === MapType.devmap_hash;
  const known = BPF_F_ACTION_MASK | (device ? BPF_F_BROADCAST | BPF_F_EXCLUDE_INGRESS : 0);
  if (flags > 0xffffffff || (flags & ~known) !== 0) return XdpAction.XDP_ABORTED;
  if ((flags & BPF_F_BROADCAST) !== 0) {
    kernel.net.redirect = { kind: 'broadcast', map: map.name, flags };
    return XdpAction.XDP_REDIRECT;
  }
  const target = map.target(index);
  if (target === undefined) {
    kernel.net.redirect = undefined;
    return flags & BPF_F_ACTION_MASK;
  }
  kernel.net.redirect = { kind: 'map', map: map.name, index, target, flags };
  return XdpAction.XDP_REDIRECT;
}
