/**
 * Which programs reach into packets: through pointers (`may_access_direct_pkt_data`), and with `LD_ABS` and `LD_IND`
 * (`may_access_skb`). kernel/bpf/verifier.c, Linux 6.18.
 */
import { ProgType } from '../../abi/prog-types.js';
import type { ProgEnv } from './types.js';

const READ_ONLY: ReadonlySet<number> = new Set([
  ProgType.lwt_in,
  ProgType.lwt_out,
  ProgType.lwt_seg6local,
  ProgType.sk_reuseport,
  ProgType.flow_dissector,
  ProgType.cgroup_skb,
]);
const READ_WRITE: ReadonlySet<number> = new Set([
  ProgType.sched_cls,
  ProgType.sched_act,
  ProgType.xdp,
  ProgType.lwt_xmit,
  ProgType.sk_skb,
  ProgType.sk_msg,
]);
const LD_ABS: ReadonlySet<number> = new Set([ProgType.socket_filter, ProgType.sched_cls, ProgType.sched_act]);

/**
 * May the program store into a packet, or hand a pointer into one to a helper? Loads are not asked about: whoever
 * got a packet pointer from its context may read through it.
 *
 * `helperTakesPacket`: for a helper's argument, the prototype's `pktAccess`; absent for a load or store.
 */
export function mayAccessPacket({ type }: ProgEnv, write: boolean, helperTakesPacket?: boolean): boolean {
  if (type === ProgType.cgroup_sockopt) return true;
  if (!write && helperTakesPacket === undefined) return true;
  if (!READ_WRITE.has(type) && (write || !READ_ONLY.has(type))) return false;
  return helperTakesPacket ?? true;
}

/** May the program use `LD_ABS` and `LD_IND`? */
export function mayLoadAbs({ type }: ProgEnv): boolean {
  return LD_ABS.has(type);
}
