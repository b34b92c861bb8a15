/**
 * What a program may return: the ranges of `check_return_code` (kernel/bpf/verifier.c) and of LSM hooks
 * (`bpf_lsm_get_retval_range`, kernel/bpf/bpf_lsm.c), Linux 6.18.
 */

import { AttachType } from '../../abi/attach-types.js';
import { MAX_ERRNO } from '../../abi/errno.js';
import { ProgType } from '../../abi/prog-types.js';
import type { ProgEnv } from './types.js';

/** Both ends belong to it. */
export interface ReturnRange {
  readonly min: number;
  readonly max: number;
  /** The range is that of the lower half of R0; else of all 64 bits. */
  readonly is32Bit: boolean;
  /** A further line of the log when it is violated. */
  readonly note?: string;
}

/** `unchecked`: R0 need not even be set, since what the program stands for returns nothing. */
export type ReturnRule = ReturnRange | 'any' | 'unchecked';

const range = (min: number, max: number, more: Partial<ReturnRange> = {}): ReturnRange => ({
  min,
  max,
  is32Bit: false,
  ...more,
});
const BOOL = range(0, 1);

const ALWAYS_ONE: ReadonlySet<number> = new Set([
  AttachType.cgroup_udp4_recvmsg,
  AttachType.cgroup_udp6_recvmsg,
  AttachType.cgroup_unix_recvmsg,
  AttachType.cgroup_inet4_getpeername,
  AttachType.cgroup_inet6_getpeername,
  AttachType.cgroup_unix_getpeername,
  AttachType.cgroup_inet4_getsockname,
  AttachType.cgroup_inet6_getsockname,
  AttachType.cgroup_unix_getsockname,
]);
const BINDS: ReadonlySet<number> = new Set([AttachType.cgroup_inet4_bind, AttachType.cgroup_inet6_bind]);
const SESSIONS: ReadonlySet<number> = new Set([
  AttachType.trace_kprobe_session,
  AttachType.trace_uprobe_session,
]);
const BOOL_TYPES: ReadonlySet<number> = new Set([
  ProgType.cgroup_sock,
  ProgType.sock_ops,
  ProgType.cgroup_device,
  ProgType.cgroup_sysctl,
  ProgType.cgroup_sockopt,
  ProgType.sk_lookup,
  ProgType.netfilter,
]);
/** LSM hooks that answer a question instead of giving an error. */
const BOOL_LSM_HOOKS: ReadonlySet<string> = new Set([
  'bpf_lsm_xfrm_state_pol_flow_match',
  'bpf_lsm_audit_rule_known',
  'bpf_lsm_inode_xattr_skipcap',
]);

function lsm({ expectedAttachType, attach }: ProgEnv): ReturnRule {
  const isVoid = attach?.returnsVoid === true;
  if (expectedAttachType === AttachType.lsm_cgroup) {
    const note = "Note, BPF_LSM_CGROUP that attach to void LSM hooks can't modify return value!";
    return isVoid ? range(1, 1, { note }) : BOOL;
  }
  if (isVoid) return 'unchecked';
  if (expectedAttachType !== AttachType.lsm_mac) return 'any';
  return BOOL_LSM_HOOKS.has(attach?.name ?? '')
    ? range(0, 1, { is32Bit: true })
    : range(-MAX_ERRNO, 0, { is32Bit: true });
}

function tracing(attachType: number): ReturnRule {
  if (attachType === AttachType.trace_iter) return BOOL;
  const isHook = attachType === AttachType.trace_fentry || attachType === AttachType.trace_fexit;
  return isHook ? range(0, 0) : 'any';
}

/** The rule for R0 at the exit of the main program. */
export function returnRule(env: ProgEnv): ReturnRule {
  const { type, expectedAttachType } = env;
  if (BOOL_TYPES.has(type)) return BOOL;
  switch (type) {
    case ProgType.cgroup_sock_addr:
      if (ALWAYS_ONE.has(expectedAttachType)) return range(1, 1);
      return BINDS.has(expectedAttachType) ? range(0, 3) : BOOL;
    case ProgType.cgroup_skb:
      return expectedAttachType === AttachType.cgroup_inet_egress ? range(0, 3) : BOOL;
    case ProgType.kprobe:
      return SESSIONS.has(expectedAttachType) ? BOOL : 'any';
    case ProgType.tracing:
      return tracing(expectedAttachType);
    case ProgType.lsm:
      return lsm(env);
    case ProgType.struct_ops:
      return env.attach?.returnsVoid === true ? 'unchecked' : 'any';
    default:
      return 'any';
  }
}

/** The range of R0 at the exit of the main program; undefined where any value will do, or none is looked at. */
export function returnRange(env: ProgEnv): ReturnRange | undefined {
  const rule = returnRule(env);
  return typeof rule === 'string' ? undefined : rule;
}
