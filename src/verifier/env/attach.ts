/**
 * What `BPF_PROG_LOAD` asks before and beside the instructions: capabilities, attach type, sleepability
 * (`bpf_prog_load`, `bpf_prog_load_check_attach`, kernel/bpf/syscall.c; `check_attach_btf_id`, kernel/bpf/verifier.c;
 * Linux 6.18).
 */

import { AttachType, type AttachTypeName } from '../../abi/attach-types.js';
import { Errno } from '../../abi/errno.js';
import { isProgType, ProgType } from '../../abi/prog-types.js';
import { DISABLED_LSM_HOOKS } from '../../abi/verifier-lsm-hooks.js';
import { isSleepableLsmHook } from './helper-conditions.js';
import type { Capabilities, EnvConfig, ProgEnv, Refusal } from './types.js';
import { refuse } from './types.js';

const attachTypes = (names: string): ReadonlySet<number> =>
  new Set(names.split(' ').map((name) => AttachType[name as AttachTypeName]));

/** Program types that want one of these attach types, and no other. */
const ATTACH_TYPES: ReadonlyMap<number, ReadonlySet<number>> = new Map([
  [
    ProgType.cgroup_sock,
    attachTypes(
      'cgroup_inet_sock_create cgroup_inet_sock_release cgroup_inet4_post_bind cgroup_inet6_post_bind',
    ),
  ],
  [
    ProgType.cgroup_sock_addr,
    attachTypes(
      'cgroup_inet4_bind cgroup_inet6_bind cgroup_inet4_connect cgroup_inet6_connect cgroup_unix_connect ' +
        'cgroup_inet4_getpeername cgroup_inet6_getpeername cgroup_unix_getpeername ' +
        'cgroup_inet4_getsockname cgroup_inet6_getsockname cgroup_unix_getsockname ' +
        'cgroup_udp4_sendmsg cgroup_udp6_sendmsg cgroup_unix_sendmsg ' +
        'cgroup_udp4_recvmsg cgroup_udp6_recvmsg cgroup_unix_recvmsg',
    ),
  ],
  [ProgType.cgroup_skb, attachTypes('cgroup_inet_ingress cgroup_inet_egress')],
  [ProgType.cgroup_sockopt, attachTypes('cgroup_setsockopt cgroup_getsockopt')],
  [ProgType.sk_lookup, attachTypes('sk_lookup')],
  [ProgType.sk_reuseport, attachTypes('sk_reuseport_select sk_reuseport_select_or_migrate')],
  [ProgType.netfilter, attachTypes('netfilter')],
  [ProgType.syscall, new Set([0])],
  [ProgType.ext, new Set([0])],
]);
/** Types that may name an attach target by BTF id. */
const BTF_TARGETS: ReadonlySet<number> = new Set([
  ProgType.tracing,
  ProgType.lsm,
  ProgType.struct_ops,
  ProgType.ext,
]);
const NET_ADMIN: ReadonlySet<number> = new Set([
  ProgType.sched_cls,
  ProgType.sched_act,
  ProgType.xdp,
  ProgType.lwt_in,
  ProgType.lwt_out,
  ProgType.lwt_xmit,
  ProgType.lwt_seg6local,
  ProgType.sk_skb,
  ProgType.sk_msg,
  ProgType.flow_dissector,
  ProgType.cgroup_device,
  ProgType.cgroup_sock,
  ProgType.cgroup_sock_addr,
  ProgType.cgroup_sockopt,
  ProgType.cgroup_sysctl,
  ProgType.sock_ops,
  ProgType.ext,
  ProgType.netfilter,
]);
const PERFMON: ReadonlySet<number> = new Set([
  ProgType.kprobe,
  ProgType.tracepoint,
  ProgType.perf_event,
  ProgType.raw_tracepoint,
  ProgType.raw_tracepoint_writable,
  ProgType.tracing,
  ProgType.lsm,
  ProgType.struct_ops,
  ProgType.ext,
]);
const UNPRIVILEGED: ReadonlySet<number> = new Set([ProgType.socket_filter, ProgType.cgroup_skb]);
const SLEEPABLE_TRACING = attachTypes('trace_fentry trace_fexit modify_return trace_iter');

/** Most instructions of a program: with CAP_BPF, and without. */
export const MAX_INSNS = 1_000_000;
export const MAX_INSNS_UNPRIVILEGED = 4096;

/** Two program types take attach type 0 for their usual one (`bpf_prog_load_fixup_attach_type`). */
export function fixupAttachType(progType: number, expectedAttachType: number): number {
  if (expectedAttachType !== 0) return expectedAttachType;
  if (progType === ProgType.cgroup_sock) return AttachType.cgroup_inet_sock_create;
  if (progType === ProgType.sk_reuseport) return AttachType.sk_reuseport_select;
  return 0;
}

/** What a load request says of itself, before `fixupAttachType`. */
export interface LoadFacts {
  readonly progType: number;
  readonly expectedAttachType: number;
  readonly attachBtfId: number;
  /** In slots. */
  readonly insnCount: number;
  /** `BPF_F_*` of the load. */
  readonly progFlags?: number;
  readonly logLevel?: number;
  readonly capabilities: Capabilities;
  readonly config: EnvConfig;
}

/** `prog_flags` that 6.18 takes from whoever has no token, and levels of the log with `BPF_LOG_FIXED`. */
const PROG_FLAGS = 0xff;
const LOG_LEVELS = 0xf;

const silent = (errno: number): Refusal => ({ errno, message: '' });
/** The first capability that a program type takes and its loader lacks. */
export function missingCapability(
  progType: number,
  { bpf, perfmon, netAdmin }: Capabilities,
): 'CAP_BPF' | 'CAP_NET_ADMIN' | 'CAP_PERFMON' | undefined {
  if (!UNPRIVILEGED.has(progType) && !bpf) return 'CAP_BPF';
  if (NET_ADMIN.has(progType) && !netAdmin) return 'CAP_NET_ADMIN';
  return PERFMON.has(progType) && !perfmon ? 'CAP_PERFMON' : undefined;
}

/** Why `bpf()` refuses a load before the verifier starts: an errno and no line. Undefined: it starts. */
export function loadProblem(facts: LoadFacts): Refusal | undefined {
  const { progType, attachBtfId, insnCount, capabilities, progFlags = 0, logLevel = 0 } = facts;
  if ((progFlags & ~PROG_FLAGS) !== 0 || (logLevel & ~LOG_LEVELS) !== 0) return silent(Errno.EINVAL);
  if (insnCount === 0 || insnCount > (capabilities.bpf ? MAX_INSNS : MAX_INSNS_UNPRIVILEGED))
    return silent(Errno.E2BIG);
  if (missingCapability(progType, capabilities) !== undefined) return silent(Errno.EPERM);
  if (attachBtfId !== 0 && !BTF_TARGETS.has(progType)) return silent(Errno.EINVAL);
  const wanted = ATTACH_TYPES.get(progType);
  if (wanted !== undefined && !wanted.has(fixupAttachType(progType, facts.expectedAttachType)))
    return silent(Errno.EINVAL);
  const known = isProgType(progType) && progType !== ProgType.unspec;
  const built = progType !== ProgType.lirc_mode2 || facts.config.features.has('lirc');
  return known && built ? undefined : silent(Errno.EINVAL);
}

function canBeSleepable({ type, expectedAttachType }: ProgEnv): boolean {
  if (type === ProgType.tracing) return SLEEPABLE_TRACING.has(expectedAttachType);
  if (type === ProgType.lsm) return expectedAttachType !== AttachType.lsm_cgroup;
  return type === ProgType.kprobe || type === ProgType.struct_ops;
}

/** What a program's type says of sleeping, whatever it hangs on: asked first. */
export function sleepableProblem(env: ProgEnv): Refusal | undefined {
  if (env.type === ProgType.syscall) {
    return env.sleepable ? undefined : refuse('Syscall programs can only be sleepable');
  }
  if (!env.sleepable || canBeSleepable(env)) return undefined;
  return refuse('Only fentry/fexit/fmod_ret, lsm, iter, uprobe, and struct_ops programs can be sleepable');
}

/** True for program types that hang on something that a BTF id names. */
export function hasBtfTarget(progType: number): boolean {
  return BTF_TARGETS.has(progType);
}

/**
 * Why the verifier refuses a program for what it hangs on: asked after control flow has been checked and before
 * the first instruction is simulated. `env.attach` undefined: the request names no target. Undefined: no objection.
 */
export function attachProblem(env: ProgEnv, attachBtfId: number): Refusal | undefined {
  const { type, attach } = env;
  const sleepable = sleepableProblem(env);
  if (sleepable !== undefined || type === ProgType.syscall) return sleepable;
  if (type === ProgType.struct_ops) {
    if (!env.gpl) return refuse('struct ops programs must have a GPL compatible license');
    return attachBtfId === 0 ? silent(Errno.ENOTSUPP) : undefined;
  }
  if (!BTF_TARGETS.has(type)) return undefined;
  if (attachBtfId === 0) return refuse('Tracing programs must provide btf_id');
  if (attach === undefined) return refuse(`attach_btf_id ${attachBtfId} is invalid`);
  return type === ProgType.lsm ? lsmProblem(env, attachBtfId, attach.name) : undefined;
}

function lsmProblem(env: ProgEnv, attachBtfId: number, name: string): Refusal | undefined {
  if (env.sleepable && !isSleepableLsmHook(env)) return refuse(`${name} is not sleepable`);
  if (!env.gpl) return refuse('LSM programs must have a GPL compatible license');
  if (!name.startsWith('bpf_lsm_'))
    return refuse(`attach_btf_id ${attachBtfId} points to wrong type name ${name}`);
  if (DISABLED_LSM_HOOKS.has(name.slice(8)))
    return refuse(`attach_btf_id ${attachBtfId} points to disabled hook ${name}`);
  return undefined;
}
