/**
 * Which helpers a program may call. Each set answers for the helpers that it lists and hands the rest to its
 * parent, as the `get_func_proto` functions of Linux do (kernel/bpf/helpers.c, kernel/trace/bpf_trace.c,
 * kernel/bpf/cgroup.c, net/core/filter.c, 6.18). Checked whole against a running kernel: test/oracle/helper-sweep.ts.
 */
import { AttachType } from '../../abi/attach-types.js';
import { ProgType, type ProgTypeName, progTypeName } from '../../abi/prog-types.js';
import type { ProgEnv } from './types.js';

/** Conditions under which a group of helpers is there. */
export type Condition = keyof typeof CONDITIONS;

const NO_RETVAL: ReadonlySet<number> = new Set([
  AttachType.cgroup_inet_ingress,
  AttachType.cgroup_inet_egress,
  AttachType.cgroup_sock_ops,
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
const TRAMPOLINE: ReadonlySet<number> = new Set([
  AttachType.trace_fentry,
  AttachType.trace_fexit,
  AttachType.modify_return,
]);
const MULTI: ReadonlySet<number> = new Set([
  AttachType.trace_kprobe_multi,
  AttachType.trace_kprobe_session,
  AttachType.trace_uprobe_multi,
  AttachType.trace_uprobe_session,
]);
/** Hooks of LSM that run with the socket locked, and those that do not (kernel/bpf/bpf_lsm.c). */
const LOCKED_SOCKOPT_HOOKS: ReadonlySet<string> = new Set([
  'bpf_lsm_sock_graft',
  'bpf_lsm_inet_csk_clone',
  'bpf_lsm_inet_conn_established',
]);
const UNLOCKED_SOCKOPT_HOOKS: ReadonlySet<string> = new Set([
  'bpf_lsm_socket_post_create',
  'bpf_lsm_socket_socketpair',
]);
const SOCKOPT_ITERATORS: ReadonlySet<string> = new Set(['bpf_iter_tcp', 'bpf_iter_unix']);

/** The program runs from a BPF trampoline (`bpf_prog_has_trampoline`). */
export function hasTrampoline({ type, expectedAttachType }: ProgEnv): boolean {
  if (type === ProgType.tracing) return TRAMPOLINE.has(expectedAttachType);
  return type === ProgType.lsm && expectedAttachType === AttachType.lsm_mac;
}

const attachedTo =
  (...types: readonly number[]) =>
  (env: ProgEnv): boolean =>
    types.includes(env.expectedAttachType);

const CONDITIONS = {
  never: () => false,
  bpf: (env: ProgEnv) => env.capabilities.bpf,
  perfmon: (env: ProgEnv) => env.capabilities.bpf && env.capabilities.perfmon,
  perfmonOnly: (env: ProgEnv) => env.capabilities.perfmon,
  sleepable: (env: ProgEnv) => env.sleepable,
  perfmonSleepable: (env: ProgEnv) => env.sleepable && env.capabilities.bpf && env.capabilities.perfmon,
  kprobeOverride: (env: ProgEnv) => env.config.features.has('kprobe_override'),
  probeWriteUser: (env: ProgEnv) => env.config.features.has('probe_write_user'),
  multi: (env: ProgEnv) => MULTI.has(env.expectedAttachType),
  trampoline: hasTrampoline,
  cookie: (env: ProgEnv) =>
    hasTrampoline(env) ||
    (env.type === ProgType.tracing && env.expectedAttachType === AttachType.trace_raw_tp),
  iter: attachedTo(AttachType.trace_iter),
  sockoptIter: (env: ProgEnv) =>
    env.expectedAttachType === AttachType.trace_iter && SOCKOPT_ITERATORS.has(env.attach?.name ?? ''),
  retval: (env: ProgEnv) => !NO_RETVAL.has(env.expectedAttachType),
  connect: attachedTo(AttachType.cgroup_inet4_connect, AttachType.cgroup_inet6_connect),
  setsockopt: attachedTo(AttachType.cgroup_setsockopt),
  lsmCgroup: attachedTo(AttachType.lsm_cgroup),
  lsmSockopt: (env: ProgEnv) =>
    env.expectedAttachType === AttachType.lsm_cgroup &&
    (LOCKED_SOCKOPT_HOOKS.has(env.attach?.name ?? '') || UNLOCKED_SOCKOPT_HOOKS.has(env.attach?.name ?? '')),
  notRelease: (env: ProgEnv) => env.attach?.member !== 'release',
} as const satisfies Record<string, (env: ProgEnv) => boolean>;

/** Helpers that are there under one condition; `name=variant` where the prototype is not the common one. */
type Group = readonly [helpers: string, when?: Condition];

interface HelperSet {
  readonly parent?: string;
  readonly groups: readonly Group[];
}

const SOCK_CASTS =
  'skc_to_tcp6_sock skc_to_tcp_sock skc_to_tcp_timewait_sock skc_to_tcp_request_sock skc_to_udp6_sock ' +
  'skc_to_unix_sock skc_to_mptcp_sock';
const SK_LOOKUPS = 'sk_lookup_tcp sk_lookup_udp skc_lookup_tcp sk_release';
const SYNCOOKIES =
  'tcp_check_syncookie tcp_gen_syncookie tcp_raw_gen_syncookie_ipv4 tcp_raw_gen_syncookie_ipv6 ' +
  'tcp_raw_check_syncookie_ipv4 tcp_raw_check_syncookie_ipv6';
const SK_STORAGE = 'sk_storage_get sk_storage_delete';
const CGROUP_COMMON: readonly Group[] = [['get_local_storage'], ['get_retval set_retval', 'retval']];
const TUNNEL = 'skb_get_tunnel_key skb_set_tunnel_key skb_get_tunnel_opt skb_set_tunnel_opt';

const SETS: Readonly<Record<string, HelperSet>> = {
  base: {
    groups: [
      ['map_lookup_elem map_update_elem map_delete_elem map_push_elem map_pop_elem map_peek_elem'],
      ['map_lookup_percpu_elem get_prandom_u32 get_smp_processor_id=raw get_numa_node_id tail_call'],
      ['ktime_get_ns ktime_get_boot_ns ktime_get_tai_ns strncmp strtol strtoul'],
      ['ringbuf_output ringbuf_reserve ringbuf_submit ringbuf_discard ringbuf_query'],
      ['get_current_pid_tgid get_ns_current_pid_tgid get_current_uid_gid'],
      ['spin_lock spin_unlock jiffies64 per_cpu_ptr this_cpu_ptr kptr_xchg', 'bpf'],
      ['timer_init timer_set_callback timer_start timer_cancel', 'bpf'],
      ['for_each_map_elem loop user_ringbuf_drain', 'bpf'],
      ['ringbuf_reserve_dynptr ringbuf_submit_dynptr ringbuf_discard_dynptr', 'bpf'],
      ['dynptr_from_mem dynptr_read dynptr_write dynptr_data', 'bpf'],
      ['cgrp_storage_get cgrp_storage_delete task_storage_get task_storage_delete', 'bpf'],
      ['get_current_cgroup_id get_current_ancestor_cgroup_id current_task_under_cgroup', 'bpf'],
      ['get_cgroup_classid=current', 'bpf'],
      ['trace_printk trace_vprintk snprintf snprintf_btf', 'perfmon'],
      ['get_current_task get_current_task_btf get_current_comm task_pt_regs find_vma', 'perfmon'],
      ['probe_read_user probe_read_user_str probe_read_kernel probe_read_kernel_str', 'perfmon'],
      ['copy_from_user copy_from_user_task perf_event_read perf_event_read_value', 'perfmon'],
      ['send_signal send_signal_thread get_branch_snapshot', 'perfmon'],
      ['get_task_stack=sleepable', 'perfmonSleepable'],
      ['get_task_stack', 'perfmon'],
    ],
  },
  sk_base: { parent: 'base', groups: [[SOCK_CASTS, 'perfmonOnly'], ['ktime_get_coarse_ns']] },

  socket_filter: {
    parent: 'sk_base',
    groups: [
      ['skb_load_bytes skb_load_bytes_relative get_socket_cookie get_socket_uid perf_event_output'],
      ['get_netns_cookie'],
    ],
  },
  cgroup_skb: {
    parent: 'socket_filter',
    groups: [
      ...CGROUP_COMMON,
      [`sk_fullsock ${SK_STORAGE} ${SK_LOOKUPS} tcp_sock get_listener_sock skb_ecn_set_ce`],
      ['skb_cgroup_id skb_ancestor_cgroup_id sk_cgroup_id sk_ancestor_cgroup_id'],
    ],
  },
  sched_cls: {
    parent: 'sk_base',
    groups: [
      [
        'skb_store_bytes skb_load_bytes skb_load_bytes_relative skb_pull_data csum_diff csum_update csum_level',
      ],
      ['l3_csum_replace l4_csum_replace clone_redirect get_cgroup_classid skb_vlan_push skb_vlan_pop'],
      ['skb_change_proto skb_change_type skb_adjust_room skb_change_tail skb_change_head'],
      [`${TUNNEL} redirect redirect_neigh redirect_peer get_route_realm`],
      ['get_hash_recalc set_hash_invalid set_hash perf_event_output get_smp_processor_id skb_under_cgroup'],
      ['get_socket_cookie get_netns_cookie get_socket_uid fib_lookup check_mtu sk_fullsock'],
      [`${SK_STORAGE} skb_get_xfrm_state skb_cgroup_classid skb_cgroup_id skb_ancestor_cgroup_id`],
      [`${SK_LOOKUPS} tcp_sock get_listener_sock skb_ecn_set_ce sk_assign skb_set_tstamp`],
      [SYNCOOKIES],
    ],
  },
  xdp: {
    parent: 'sk_base',
    groups: [
      ['perf_event_output get_smp_processor_id csum_diff redirect redirect_map fib_lookup check_mtu'],
      ['xdp_adjust_head xdp_adjust_meta xdp_adjust_tail xdp_get_buff_len xdp_load_bytes xdp_store_bytes'],
      [`${SK_LOOKUPS} ${SYNCOOKIES}`],
    ],
  },
  cgroup_sock: {
    parent: 'base',
    groups: [
      ...CGROUP_COMMON,
      ['get_socket_cookie get_netns_cookie perf_event_output sk_storage_get=ctx ktime_get_coarse_ns'],
    ],
  },
  cgroup_sock_addr: {
    parent: 'sk_base',
    groups: [
      ...CGROUP_COMMON,
      ['bind', 'connect'],
      ['setsockopt getsockopt get_socket_cookie get_netns_cookie perf_event_output sk_release'],
      ['sk_lookup_tcp=sock_addr sk_lookup_udp=sock_addr skc_lookup_tcp=sock_addr'],
      [SK_STORAGE],
    ],
  },
  cgroup_device: { parent: 'base', groups: [...CGROUP_COMMON, ['perf_event_output']] },
  cgroup_sysctl: {
    parent: 'base',
    groups: [
      ...CGROUP_COMMON,
      ['sysctl_get_name sysctl_get_current_value sysctl_get_new_value sysctl_set_new_value'],
      ['ktime_get_coarse_ns perf_event_output'],
    ],
  },
  cgroup_sockopt: {
    parent: 'base',
    groups: [
      ...CGROUP_COMMON,
      [`get_netns_cookie ${SK_STORAGE} tcp_sock perf_event_output`],
      ['setsockopt=sk getsockopt=sk', 'setsockopt'],
    ],
  },
  sock_ops: {
    parent: 'sk_base',
    groups: [
      ...CGROUP_COMMON,
      ['setsockopt getsockopt sock_ops_cb_flags_set sock_map_update sock_hash_update get_socket_cookie'],
      [
        `perf_event_output ${SK_STORAGE} get_netns_cookie load_hdr_opt store_hdr_opt reserve_hdr_opt tcp_sock`,
      ],
    ],
  },
  sk_msg: {
    parent: 'sk_base',
    groups: [
      ['msg_redirect_map msg_redirect_hash msg_apply_bytes msg_cork_bytes msg_pull_data msg_push_data'],
      [`msg_pop_data perf_event_output ${SK_STORAGE} get_netns_cookie`],
    ],
  },
  sk_skb: {
    parent: 'sk_base',
    groups: [
      ['skb_store_bytes skb_load_bytes skb_pull_data skb_change_tail skb_change_head skb_adjust_room'],
      [`get_socket_cookie get_socket_uid sk_redirect_map sk_redirect_hash perf_event_output ${SK_LOOKUPS}`],
    ],
  },
  flow_dissector: { parent: 'sk_base', groups: [['skb_load_bytes']] },
  sk_reuseport: {
    parent: 'base',
    groups: [
      ['sk_select_reuseport skb_load_bytes skb_load_bytes_relative get_socket_cookie=sk ktime_get_coarse_ns'],
    ],
  },
  sk_lookup: { parent: 'sk_base', groups: [['perf_event_output sk_assign=sk_lookup sk_release']] },
  lwt_out: {
    parent: 'sk_base',
    groups: [
      ['skb_load_bytes skb_pull_data csum_diff get_cgroup_classid get_route_realm get_hash_recalc'],
      ['perf_event_output get_smp_processor_id skb_under_cgroup'],
    ],
  },
  lwt_in: { parent: 'lwt_out', groups: [['lwt_push_encap']] },
  lwt_xmit: {
    parent: 'lwt_out',
    groups: [
      [`${TUNNEL} redirect clone_redirect skb_change_tail skb_change_head skb_store_bytes csum_update`],
      ['csum_level l3_csum_replace l4_csum_replace set_hash_invalid lwt_push_encap'],
    ],
  },
  lwt_seg6local: {
    parent: 'lwt_out',
    groups: [['lwt_seg6_store_bytes lwt_seg6_action lwt_seg6_adjust_srh']],
  },
  lirc_mode2: {
    groups: [
      ['rc_repeat rc_keydown rc_pointer_rel map_lookup_elem map_update_elem map_delete_elem map_push_elem'],
      ['map_pop_elem map_peek_elem ktime_get_ns ktime_get_boot_ns tail_call get_prandom_u32'],
      ['trace_printk', 'perfmonOnly'],
    ],
  },

  trace: {
    parent: 'base',
    groups: [
      ['get_smp_processor_id probe_read probe_read_str get_func_ip'],
      ['probe_write_user', 'probeWriteUser'],
    ],
  },
  kprobe: {
    parent: 'trace',
    groups: [
      ['perf_event_output get_stackid get_attach_cookie'],
      ['get_stack=sleepable', 'sleepable'],
      ['get_stack'],
      ['override_return', 'kprobeOverride'],
      ['get_func_ip=multi', 'multi'],
      ['get_func_ip'],
    ],
  },
  tracepoint: { parent: 'trace', groups: [['perf_event_output get_stackid get_stack get_attach_cookie']] },
  perf_event: {
    parent: 'trace',
    groups: [
      ['perf_event_output get_stackid=perf_event get_stack perf_prog_read_value read_branch_records'],
      ['get_attach_cookie'],
    ],
  },
  raw_tracepoint: {
    parent: 'trace',
    groups: [['perf_event_output get_stackid get_stack get_attach_cookie']],
  },
  tracing: {
    parent: 'raw_tracepoint',
    groups: [
      [`${SOCK_CASTS} skb_output xdp_output sock_from_file d_path get_socket_cookie=sk`],
      ['sk_storage_get=tracing sk_storage_delete=tracing xdp_get_buff_len=trace'],
      ['seq_printf seq_write seq_printf_btf', 'iter'],
      ['get_func_arg get_func_ret get_func_arg_cnt', 'trampoline'],
      ['get_attach_cookie', 'cookie'],
      ['setsockopt=sk getsockopt=sk', 'sockoptIter'],
    ],
  },
  lsm: {
    parent: 'tracing',
    groups: [
      ['get_local_storage get_retval set_retval', 'lsmCgroup'],
      [`inode_storage_get inode_storage_delete ${SK_STORAGE} spin_lock spin_unlock`],
      ['bprm_opts_set ima_inode_hash ima_file_hash'],
      ['get_attach_cookie', 'trampoline'],
      ['setsockopt=sk getsockopt=sk', 'lsmSockopt'],
    ],
  },
  syscall: {
    parent: 'tracing',
    groups: [['sys_bpf', 'perfmonOnly'], ['btf_find_by_name_kind sys_close kallsyms_lookup_name']],
  },
  tcp_congestion_ops: {
    parent: 'base',
    groups: [
      [`tcp_send_ack ${SK_STORAGE} ktime_get_coarse_ns`],
      ['setsockopt=sk getsockopt=sk', 'notRelease'],
    ],
  },
  Qdisc_ops: { parent: 'base', groups: [['tail_call', 'never']] },
  bpf_dummy_ops: { groups: [] },
};

/** Program types that go by another's set, or by one that has another name. */
const SET_OF_TYPE: Readonly<Partial<Record<ProgTypeName, string>>> = {
  sched_act: 'sched_cls',
  raw_tracepoint_writable: 'raw_tracepoint',
  netfilter: 'base',
};

/** struct_ops types with a set of their own name; the others have the base set. */
const STRUCT_OPS_SETS: ReadonlySet<string> = new Set(['tcp_congestion_ops', 'Qdisc_ops', 'bpf_dummy_ops']);

function setName(env: ProgEnv): string | undefined {
  const type = progTypeName(env.type) as ProgTypeName;
  if (type === 'struct_ops') {
    const ops = env.attach?.name ?? '';
    return STRUCT_OPS_SETS.has(ops) ? ops : 'base';
  }
  const name = SET_OF_TYPE[type] ?? type;
  return SETS[name] === undefined ? undefined : name;
}

/** `helper → [variant, condition]` of a set, first match first. */
type Choices = ReadonlyMap<string, readonly (readonly [variant: string, when: Condition | undefined])[]>;

const choicesOfSet = new Map<string, Choices>();

function choices(name: string): Choices {
  const known = choicesOfSet.get(name);
  if (known !== undefined) return known;
  const found = new Map<string, [string, Condition | undefined][]>();
  for (const [helpers, when] of SETS[name]!.groups) {
    for (const word of helpers.split(' ')) {
      const [helper, variant = ''] = word.split('=') as [string, string?];
      found.set(helper, [...(found.get(helper) ?? []), [variant, when]]);
    }
  }
  choicesOfSet.set(name, found);
  return found;
}

/**
 * The variant of a helper that a program gets (`''`: the common prototype), or undefined where programs like it
 * may not call the helper. `helper` without the `bpf_` prefix.
 */
export function helperVariant(env: ProgEnv, helper: string): string | undefined {
  for (let name = setName(env); name !== undefined; name = SETS[name]!.parent) {
    const list = choices(name).get(helper);
    if (list !== undefined) return list.find(([, when]) => when === undefined || CONDITIONS[when](env))?.[0];
  }
  return undefined;
}

/** Every helper with the variants that some set names: `helper=variant`. For tests of the tables. */
export function namedVariants(): string[] {
  return Object.values(SETS).flatMap(({ groups }) => groups.flatMap(([helpers]) => helpers.split(' ')));
}
