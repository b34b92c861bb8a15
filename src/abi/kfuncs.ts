/**
 * Kernel functions that programs may call (kfuncs): flags, and which program types may call which set. BTF tells their
 * prototypes, not this. Models `register_btf_kfunc_id_set` and its filters, include/linux/btf.h and
 * `bpf_prog_type_to_kfunc_hook` (kernel/bpf/btf.c) of Linux 6.18.
 */
import { AttachType } from './attach-types.js';
import { KFUNC_TABLE } from './kfuncs-table.js';
import { ProgType } from './prog-types.js';

/** `KF_*` as bits of our own. */
export const KF = {
  ACQUIRE: 1 << 0,
  RELEASE: 1 << 1,
  RET_NULL: 1 << 2,
  TRUSTED_ARGS: 1 << 3,
  SLEEPABLE: 1 << 4,
  DESTRUCTIVE: 1 << 5,
  RCU: 1 << 6,
  ITER_NEW: 1 << 7,
  ITER_NEXT: 1 << 8,
  ITER_DESTROY: 1 << 9,
  RCU_PROTECTED: 1 << 10,
  FASTCALL: 1 << 11,
  ARENA_RET: 1 << 12,
  ARENA_ARG1: 1 << 13,
  ARENA_ARG2: 1 << 14,
} as const;

const FLAG_WORDS: Readonly<Record<string, number>> = {
  acquire: KF.ACQUIRE,
  release: KF.RELEASE,
  ret_null: KF.RET_NULL,
  trusted: KF.TRUSTED_ARGS,
  sleepable: KF.SLEEPABLE,
  destructive: KF.DESTRUCTIVE,
  rcu: KF.RCU,
  iter_new: KF.ITER_NEW,
  iter_next: KF.ITER_NEXT,
  iter_destroy: KF.ITER_DESTROY,
  rcu_protected: KF.RCU_PROTECTED,
  fastcall: KF.FASTCALL,
  arena_ret: KF.ARENA_RET,
  arena_arg1: KF.ARENA_ARG1,
  arena_arg2: KF.ARENA_ARG2,
};

export type KfuncSet = keyof typeof KFUNC_TABLE;

export interface KfuncInfo {
  readonly name: string;
  readonly set: KfuncSet;
  /** `KF` bits. */
  readonly flags: number;
}

type Hook =
  | 'common'
  | 'xdp'
  | 'tc'
  | 'struct_ops'
  | 'tracing'
  | 'syscall'
  | 'cgroup'
  | 'sched_act'
  | 'sk_skb'
  | 'socket_filter'
  | 'lwt'
  | 'netfilter'
  | 'kprobe';

/** Program types that share a hook; a type that is not here may call the common set only. */
const HOOK_OF_TYPE: ReadonlyMap<number, Hook> = new Map<number, Hook>([
  [ProgType.xdp, 'xdp'],
  [ProgType.sched_cls, 'tc'],
  [ProgType.struct_ops, 'struct_ops'],
  [ProgType.tracing, 'tracing'],
  [ProgType.tracepoint, 'tracing'],
  [ProgType.perf_event, 'tracing'],
  [ProgType.lsm, 'tracing'],
  [ProgType.syscall, 'syscall'],
  [ProgType.cgroup_skb, 'cgroup'],
  [ProgType.cgroup_sock, 'cgroup'],
  [ProgType.cgroup_device, 'cgroup'],
  [ProgType.cgroup_sock_addr, 'cgroup'],
  [ProgType.cgroup_sockopt, 'cgroup'],
  [ProgType.cgroup_sysctl, 'cgroup'],
  [ProgType.sock_ops, 'cgroup'],
  [ProgType.sched_act, 'sched_act'],
  [ProgType.sk_skb, 'sk_skb'],
  [ProgType.socket_filter, 'socket_filter'],
  [ProgType.lwt_in, 'lwt'],
  [ProgType.lwt_out, 'lwt'],
  [ProgType.lwt_xmit, 'lwt'],
  [ProgType.lwt_seg6local, 'lwt'],
  [ProgType.netfilter, 'netfilter'],
  [ProgType.kprobe, 'kprobe'],
]);

const GENERIC: readonly Hook[] = ['tracing', 'tc', 'xdp', 'struct_ops', 'syscall', 'cgroup'];

/** Hooks that a set is registered for. */
const HOOKS_OF_SET: Readonly<Record<KfuncSet, readonly Hook[]>> = {
  common: ['common'],
  generic: GENERIC,
  cpumask: ['tracing', 'struct_ops', 'syscall'],
  crypto: ['tc', 'sched_act', 'xdp'],
  crypto_init: ['syscall'],
  skb: ['tc', 'sched_act', 'sk_skb', 'socket_filter', 'cgroup', 'lwt', 'netfilter', 'tracing'],
  skb_meta: ['tc', 'sched_act'],
  xdp: ['xdp'],
  xdp_metadata: ['xdp'],
  conntrack: ['xdp', 'tc'],
  flow_table: ['xdp'],
  tc: ['tc'],
  cgroup: ['cgroup'],
  tracing: ['tracing'],
  sock_iter: ['tracing'],
  fs: ['tracing'],
  session: ['kprobe'],
  test: ['tc', 'tracing', 'syscall'],
  tcp_ca: ['struct_ops'],
  crash: GENERIC,
  fou: ['tc'],
  xfrm_interface: ['tc'],
  qdisc: ['struct_ops'],
  hid: ['tracing', 'struct_ops'],
  hid_syscall: ['syscall'],
  hid_struct_ops: ['struct_ops'],
  scx_ops: ['struct_ops'],
  scx_unlocked: ['struct_ops', 'syscall'],
  scx_any: ['struct_ops', 'tracing', 'syscall'],
  /** Not to be called: targets of `fmod_ret`. */
  fmod_ret: [],
};

function readTable(): Map<string, KfuncInfo> {
  const found = new Map<string, KfuncInfo>();
  for (const [set, text] of Object.entries(KFUNC_TABLE)) {
    for (const line of text.split('\n')) {
      const [name = '', ...words] = line.trim().split(' ');
      if (name === '') continue;
      const flags = words.reduce((bits, word) => bits | (FLAG_WORDS[word] ?? 0), 0);
      found.set(name, { name, set: set as KfuncSet, flags });
    }
  }
  return found;
}

const KFUNCS: ReadonlyMap<string, KfuncInfo> = readTable();

/** All kernel functions of the table. */
export function allKfuncs(): IterableIterator<KfuncInfo> {
  return KFUNCS.values();
}

export function kfuncByName(name: string): KfuncInfo | undefined {
  return KFUNCS.get(name);
}

/** What decides whether a program may call a set. */
export interface KfuncCaller {
  readonly type: number;
  readonly expectedAttachType: number;
}

/** Conditions of sets beyond the program type (`btf_kfunc_id_set.filter`). */
const FILTERS: Partial<Record<KfuncSet, (caller: KfuncCaller) => boolean>> = {
  fs: ({ type }) => type === ProgType.lsm,
  sock_iter: ({ type, expectedAttachType }) =>
    type === ProgType.tracing && expectedAttachType === AttachType.trace_iter,
  session: ({ expectedAttachType }) =>
    expectedAttachType === AttachType.trace_kprobe_session ||
    expectedAttachType === AttachType.trace_uprobe_session,
};

/** May such a program call it (`btf_kfunc_is_allowed`)? */
export function mayCallKfunc(caller: KfuncCaller, kfunc: KfuncInfo): boolean {
  const hooks = HOOKS_OF_SET[kfunc.set];
  if (hooks.includes('common')) return true;
  const hook = HOOK_OF_TYPE.get(caller.type);
  if (hook === undefined || !hooks.includes(hook)) return false;
  return FILTERS[kfunc.set]?.(caller) ?? true;
}
