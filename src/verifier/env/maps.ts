/**
 * Which maps go with which helpers (`check_map_func_compatibility`) and with which programs
 * (`check_map_prog_compatibility`). kernel/bpf/verifier.c, Linux 6.18, with the rules that older kernels had for
 * maps that allocate at run time as a policy.
 */

import { AttachType } from '../../abi/attach-types.js';
import { Errno } from '../../abi/errno.js';
import { helperById, helperText } from '../../abi/helpers.js';
import { MapFlag } from '../../abi/map-flags.js';
import { MapType, type MapTypeName, mapTypeName } from '../../abi/map-types.js';
import { ProgType } from '../../abi/prog-types.js';
import { FIELD } from '../special-fields.js';
import type { PreallocPolicy, ProgEnv, Refusal } from './types.js';
import { refuse } from './types.js';

const words = (text: string): ReadonlySet<string> => new Set(text.split(' '));

const RINGBUF =
  'ringbuf_output ringbuf_reserve ringbuf_query ringbuf_reserve_dynptr ringbuf_submit_dynptr ringbuf_discard_dynptr';
const SOCKMAP = 'map_update_elem map_delete_elem map_lookup_elem sk_select_reuseport';

/** Helpers that take a map of the type; types that are not named go with every helper that does not name its own. */
const HELPERS_OF_MAP: Readonly<Partial<Record<MapTypeName, ReadonlySet<string>>>> = {
  prog_array: words('tail_call'),
  perf_event_array: words('perf_event_read perf_event_output skb_output perf_event_read_value xdp_output'),
  ringbuf: words(RINGBUF),
  user_ringbuf: words('user_ringbuf_drain'),
  stack_trace: words('get_stackid'),
  cgroup_array: words('skb_under_cgroup current_task_under_cgroup'),
  cgroup_storage: words('get_local_storage'),
  percpu_cgroup_storage: words('get_local_storage'),
  devmap: words('redirect_map map_lookup_elem'),
  devmap_hash: words('redirect_map map_lookup_elem'),
  cpumap: words('redirect_map'),
  xskmap: words('redirect_map map_lookup_elem'),
  array_of_maps: words('map_lookup_elem'),
  hash_of_maps: words('map_lookup_elem'),
  sockmap: words(`${SOCKMAP} sk_redirect_map sock_map_update msg_redirect_map`),
  sockhash: words(`${SOCKMAP} sk_redirect_hash sock_hash_update msg_redirect_hash`),
  reuseport_sockarray: words('sk_select_reuseport'),
  queue: words('map_peek_elem map_pop_elem map_push_elem'),
  stack: words('map_peek_elem map_pop_elem map_push_elem'),
  sk_storage: words('sk_storage_get sk_storage_delete kptr_xchg'),
  inode_storage: words('inode_storage_get inode_storage_delete kptr_xchg'),
  task_storage: words('task_storage_get task_storage_delete kptr_xchg'),
  cgrp_storage: words('cgrp_storage_get cgrp_storage_delete kptr_xchg'),
  bloom_filter: words('map_peek_elem map_push_elem'),
};

const ONE_TYPE: readonly (readonly [helpers: string, maps: string])[] = [
  ['tail_call', 'prog_array'],
  ['perf_event_read perf_event_output perf_event_read_value skb_output xdp_output', 'perf_event_array'],
  [RINGBUF, 'ringbuf'],
  ['user_ringbuf_drain', 'user_ringbuf'],
  ['get_stackid', 'stack_trace'],
  ['current_task_under_cgroup skb_under_cgroup', 'cgroup_array'],
  ['redirect_map', 'devmap devmap_hash cpumap xskmap'],
  ['sk_redirect_map msg_redirect_map sock_map_update', 'sockmap'],
  ['sk_redirect_hash msg_redirect_hash sock_hash_update', 'sockhash'],
  ['get_local_storage', 'cgroup_storage percpu_cgroup_storage'],
  ['sk_select_reuseport', 'reuseport_sockarray sockmap sockhash'],
  ['map_pop_elem', 'queue stack'],
  ['map_peek_elem map_push_elem', 'queue stack bloom_filter'],
  ['map_lookup_percpu_elem', 'percpu_array percpu_hash lru_percpu_hash'],
  ['sk_storage_get sk_storage_delete', 'sk_storage'],
  ['inode_storage_get inode_storage_delete', 'inode_storage'],
  ['task_storage_get task_storage_delete', 'task_storage'],
  ['cgrp_storage_get cgrp_storage_delete', 'cgrp_storage'],
];

/** Maps that a helper takes; helpers that are not named take what the maps allow. */
const MAPS_OF_HELPER: ReadonlyMap<string, ReadonlySet<string>> = new Map(
  ONE_TYPE.flatMap(([helpers, maps]) =>
    helpers.split(' ').map((helper) => [helper, words(maps)] as [string, ReadonlySet<string>]),
  ),
);

const SOCKMAP_UPDATERS: ReadonlySet<number> = new Set([
  ProgType.socket_filter,
  ProgType.sched_cls,
  ProgType.sched_act,
  ProgType.xdp,
  ProgType.sk_reuseport,
  ProgType.flow_dissector,
  ProgType.sk_lookup,
]);

/** Where a locked socket cannot be at hand, a program may change a sockmap (`may_update_sockmap`). */
function mayUpdateSockmap({ type, expectedAttachType }: ProgEnv, helper: string): boolean {
  if (type === ProgType.tracing) return expectedAttachType === AttachType.trace_iter;
  if (type === ProgType.sock_ops) return helper === 'map_delete_elem';
  return SOCKMAP_UPDATERS.has(type);
}

/** Why the program may not pass a map of `mapType` to helper `helperId`; undefined where it may. */
export function mapHelperProblem(env: ProgEnv, mapType: number, helperId: number): Refusal | undefined {
  const map = mapTypeName(mapType);
  const helper = helperById(helperId)?.name ?? '';
  const text = `cannot pass map_type ${mapType} into func ${helperText(helperId)}`;
  const allowed = HELPERS_OF_MAP[map as MapTypeName];
  if (allowed !== undefined && !allowed.has(helper)) return { errno: Errno.EINVAL, message: text };
  const isSockmap = mapType === MapType.sockmap || mapType === MapType.sockhash;
  const updates = helper === 'map_update_elem' || helper === 'map_delete_elem';
  if (isSockmap && updates && !mayUpdateSockmap(env, helper))
    return { errno: Errno.EINVAL, message: `cannot update sockmap in this context\n${text}` };
  const wanted = MAPS_OF_HELPER.get(helper);
  if (wanted !== undefined && !wanted.has(map)) return { errno: Errno.EINVAL, message: text };
  return undefined;
}

/** What the rules below need of a map. `fieldMask`: the special fields of its value, `FIELD` bits. */
export interface MapFacts {
  readonly type: number;
  readonly mapFlags: number;
  readonly fieldMask: number;
  readonly inner?: Pick<MapFacts, 'type' | 'mapFlags'> | undefined;
}

const TRACING_TYPES: ReadonlySet<number> = new Set([
  ProgType.kprobe,
  ProgType.tracepoint,
  ProgType.perf_event,
  ProgType.raw_tracepoint,
  ProgType.raw_tracepoint_writable,
]);
const ALLOCATING: ReadonlySet<number> = new Set([MapType.hash, MapType.percpu_hash, MapType.hash_of_maps]);
const SLEEPABLE_MAPS: ReadonlySet<string> = words(
  'hash lru_hash array percpu_hash percpu_array lru_percpu_hash array_of_maps hash_of_maps ringbuf user_ringbuf ' +
    'inode_storage sk_storage task_storage cgrp_storage queue stack arena',
);

/** Programs that may run inside the allocator or with any lock held (`is_tracing_prog_type`). */
export function isTracingType(type: number): boolean {
  return TRACING_TYPES.has(type);
}

const isPreallocated = ({ type, mapFlags }: Pick<MapFacts, 'type' | 'mapFlags'>): boolean =>
  !ALLOCATING.has(type) || (mapFlags & MapFlag.BPF_F_NO_PREALLOC) === 0;

/** What a policy says of one map: `errno` 0 is a warning, whose line goes to the log while the load goes on. */
export function preallocProblem(
  policy: PreallocPolicy,
  { type }: Pick<ProgEnv, 'type'>,
  map: Omit<MapFacts, 'fieldMask'>,
): Refusal | undefined {
  if (policy === 'none' || !isTracingType(type)) return undefined;
  const isPerf = type === ProgType.perf_event;
  const inner = map.inner === undefined || isPreallocated(map.inner);
  if (policy === 'perf_event') {
    if (!isPerf) return undefined;
    if (!isPreallocated(map)) return refuse('perf_event programs can only use preallocated hash map');
    return inner ? undefined : refuse('perf_event programs can only use preallocated inner hash map');
  }
  if (policy === 'rt' && (map.type === MapType.lpm_trie || map.inner?.type === MapType.lpm_trie))
    return refuse('trace type programs cannot use LPM trie maps, which are never preallocated');
  if (isPreallocated(map) && inner) return undefined;
  if (isPerf && policy !== 'rt') return refuse('perf_event programs can only use preallocated hash map');
  if (policy !== 'warn') return refuse('trace type programs can only use preallocated hash map');
  const warning =
    'trace type programs with run-time allocated hash maps are unsafe. Switch to preallocated hash maps.';
  return refuse(warning, 0);
}

function fieldProblem({ type }: ProgEnv, fieldMask: number): Refusal | undefined {
  const tracing = isTracingType(type);
  if ((fieldMask & (FIELD.LIST_HEAD | FIELD.RB_ROOT)) !== 0 && tracing)
    return refuse('tracing progs cannot use bpf_{list_head,rb_root} yet');
  if ((fieldMask & (FIELD.SPIN_LOCK | FIELD.RES_SPIN_LOCK)) !== 0) {
    if (type === ProgType.socket_filter) return refuse('socket filter progs cannot use bpf_spin_lock yet');
    if (tracing) return refuse('tracing progs cannot use bpf_spin_lock yet');
  }
  if ((fieldMask & FIELD.TIMER) !== 0 && tracing) return refuse('tracing progs cannot use bpf_timer yet');
  if ((fieldMask & FIELD.WORKQUEUE) !== 0 && tracing) return refuse('tracing progs cannot use bpf_wq yet');
  return undefined;
}

/**
 * Why a program may not use a map at all; undefined where it may. A refusal with `errno` 0 is a warning. Linux asks
 * this for each map when it resolves `LD_IMM64`, before anything is simulated.
 */
export function mapProgramProblem(policy: PreallocPolicy, env: ProgEnv, map: MapFacts): Refusal | undefined {
  const prealloc = preallocProblem(policy, env, map);
  if (prealloc !== undefined && prealloc.errno !== 0) return prealloc;
  const field = fieldProblem(env, map.fieldMask);
  if (field !== undefined) return field;
  if (map.type === MapType.struct_ops) return refuse('bpf_struct_ops map cannot be used in prog');
  if (env.sleepable && !SLEEPABLE_MAPS.has(mapTypeName(map.type)))
    return refuse('Sleepable programs can only use array, hash, ringbuf and local storage maps');
  return prealloc;
}

/** Timers need a lock that sleeps on PREEMPT_RT: asked when a timer helper is called. */
export function timerProblem({ config }: ProgEnv): Refusal | undefined {
  if (!config.features.has('preempt_rt')) return undefined;
  return refuse('bpf_timer cannot be used for PREEMPT_RT.', Errno.EOPNOTSUPP);
}
