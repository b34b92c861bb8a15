/**
 * What a program's return value is called, by program type: `XDP_PASS`, `TC_ACT_OK`, …
 * Names are those of include/uapi/linux/bpf.h, pkt_cls.h and netfilter.h; where Linux gives a type's
 * values a meaning but no name, there is no name here either.
 */
import { ProgType } from './prog-types.js';
import { TcAction } from './tc.js';
import { XdpAction } from './xdp.js';

type Names = Readonly<Record<string, number>>;

/** Types whose 0 is a refusal and whose 1 lets the operation go on; the constants are SK_DROP and SK_PASS. */
const SK_ACTION: Names = { SK_DROP: 0, SK_PASS: 1 };
const LWT: Names = { BPF_OK: 0, BPF_DROP: 2, BPF_REDIRECT: 7, BPF_LWT_REROUTE: 128 };
const NETFILTER: Names = { NF_DROP: 0, NF_ACCEPT: 1 };
const FLOW_DISSECTOR: Names = { BPF_OK: 0, BPF_DROP: 2, BPF_FLOW_DISSECTOR_CONTINUE: 129 };

const NAMES: ReadonlyMap<ProgType, Names> = new Map<ProgType, Names>([
  [ProgType.xdp, XdpAction],
  [ProgType.sched_cls, TcAction],
  [ProgType.sched_act, TcAction],
  [ProgType.lwt_in, LWT],
  [ProgType.lwt_out, LWT],
  [ProgType.lwt_xmit, LWT],
  [ProgType.lwt_seg6local, LWT],
  [ProgType.sk_skb, SK_ACTION],
  [ProgType.sk_msg, SK_ACTION],
  [ProgType.sk_reuseport, SK_ACTION],
  [ProgType.sk_lookup, SK_ACTION],
  [ProgType.netfilter, NETFILTER],
  [ProgType.flow_dissector, FLOW_DISSECTOR],
]);

/**
 * Name of a return value, or undefined where the type's values have none.
 * @param retval the low 32 bits of r0, signed or unsigned
 */
export function returnName(type: ProgType, retval: number): string | undefined {
  const names = NAMES.get(type);
  if (names === undefined) return undefined;
  return Object.entries(names).find(([, value]) => value === (retval | 0))?.[0];
}
