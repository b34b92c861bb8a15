import { describe, expect, test } from '@jest/globals';
import { helperId } from '../../../src/abi/helpers.js';
import { MapFlag } from '../../../src/abi/map-flags.js';
import { mapTypeByName } from '../../../src/abi/map-types.js';
import { ProgType } from '../../../src/abi/prog-types.js';
import {
  attachProblem,
  FULL_CAPABILITIES,
  FULL_CONFIG,
  fixupAttachType,
  isTracingType,
  type LoadFacts,
  loadProblem,
  type MapFacts,
  mapHelperProblem,
  mapProgramProblem,
  mayAccessPacket,
  mayLoadAbs,
  NO_CAPABILITIES,
  type PreallocPolicy,
  type ProgEnv,
  RECORDED_CONFIG,
  returnRange,
  returnRule,
  timerProblem,
} from '../../../src/verifier/env/index.js';
import { FIELD } from '../../../src/verifier/special-fields.js';
import { progEnv } from './support.js';

describe('return values', () => {
  test.each<[string, string | undefined, readonly [number, number] | undefined]>([
    ['socket_filter', undefined, undefined],
    ['xdp', undefined, undefined],
    ['kprobe', 'trace_kprobe_multi', undefined],
    ['kprobe', 'trace_kprobe_session', [0, 1]],
    ['kprobe', 'trace_uprobe_session', [0, 1]],
    ['cgroup_skb', 'cgroup_inet_ingress', [0, 1]],
    ['cgroup_skb', 'cgroup_inet_egress', [0, 3]],
    ['cgroup_sock_addr', 'cgroup_inet4_bind', [0, 3]],
    ['cgroup_sock_addr', 'cgroup_inet4_connect', [0, 1]],
    ['cgroup_sock_addr', 'cgroup_udp6_recvmsg', [1, 1]],
    ['cgroup_sock_addr', 'cgroup_unix_getsockname', [1, 1]],
    ['cgroup_sock', 'cgroup_inet_sock_create', [0, 1]],
    ['cgroup_device', undefined, [0, 1]],
    ['cgroup_sockopt', 'cgroup_setsockopt', [0, 1]],
    ['sock_ops', undefined, [0, 1]],
    ['sk_lookup', 'sk_lookup', [0, 1]],
    ['netfilter', 'netfilter', [0, 1]],
    ['tracing', 'trace_fentry', [0, 0]],
    ['tracing', 'trace_fexit', [0, 0]],
    ['tracing', 'trace_iter', [0, 1]],
    ['tracing', 'trace_raw_tp', undefined],
    ['tracing', 'modify_return', undefined],
  ])('%s %s: %j', (type, attachType, expected) => {
    const range = returnRange(progEnv(type, attachType));
    expect(range && [range.min, range.max, range.is32Bit]).toEqual(expected && [...expected, false]);
  });

  test('LSM hooks and struct_ops', () => {
    const lsm = (attachType: string, name: string, returnsVoid = false): ProgEnv =>
      progEnv('lsm', attachType, { attach: { name: `bpf_lsm_${name}`, returnsVoid } });
    expect(returnRule(lsm('lsm_mac', 'file_open'))).toEqual({ min: -4095, max: 0, is32Bit: true });
    expect(returnRule(lsm('lsm_mac', 'audit_rule_known'))).toEqual({ min: 0, max: 1, is32Bit: true });
    expect(returnRule(lsm('lsm_mac', 'task_free', true))).toBe('unchecked');
    expect(returnRule(lsm('lsm_cgroup', 'file_open'))).toMatchObject({ min: 0, max: 1 });
    expect(returnRule(lsm('lsm_cgroup', 'task_free', true))).toMatchObject({
      min: 1,
      max: 1,
      note: "Note, BPF_LSM_CGROUP that attach to void LSM hooks can't modify return value!",
    });
    const ops = (returnsVoid: boolean): ProgEnv =>
      progEnv('struct_ops', undefined, { attach: { name: 'tcp_congestion_ops', returnsVoid } });
    expect(returnRule(ops(true))).toBe('unchecked');
    expect(returnRule(ops(false))).toBe('any');
  });
});

test.each<[string, boolean, boolean | undefined, boolean]>([
  ['xdp', true, undefined, true],
  ['xdp', false, true, true],
  ['xdp', false, false, false],
  ['cgroup_skb', false, undefined, true],
  ['cgroup_skb', true, undefined, false],
  ['cgroup_skb', false, true, true],
  ['socket_filter', true, undefined, false],
  ['socket_filter', false, true, false],
  ['sock_ops', false, undefined, true],
  ['sock_ops', false, true, false],
  ['cgroup_sockopt', true, false, true],
])('%s: packet, write %s, helper %s: %s', (type, write, helper, allowed) => {
  expect(mayAccessPacket(progEnv(type), write, helper)).toBe(allowed);
});

test.each([
  ['socket_filter', true],
  ['sched_act', true],
  ['xdp', false],
  ['cgroup_skb', false],
])('%s: LD_ABS %s', (type, allowed) => {
  expect(mayLoadAbs(progEnv(type))).toBe(allowed);
});

describe('maps and helpers', () => {
  const problem = (env: ProgEnv, map: string, helper: string): string | undefined =>
    mapHelperProblem(env, mapTypeByName(map)!, helperId(helper)!)?.message;
  const xdp = progEnv('xdp');

  test.each([
    ['hash', 'map_lookup_elem', undefined],
    ['prog_array', 'map_lookup_elem', 'cannot pass map_type 3 into func bpf_map_lookup_elem#1'],
    ['hash', 'tail_call', 'cannot pass map_type 1 into func bpf_tail_call#12'],
    ['prog_array', 'tail_call', undefined],
    ['devmap', 'redirect_map', undefined],
    ['devmap', 'map_update_elem', 'cannot pass map_type 14 into func bpf_map_update_elem#2'],
    ['array', 'map_lookup_percpu_elem', 'cannot pass map_type 2 into func bpf_map_lookup_percpu_elem#195'],
    ['lru_percpu_hash', 'map_lookup_percpu_elem', undefined],
    ['bloom_filter', 'map_pop_elem', 'cannot pass map_type 30 into func bpf_map_pop_elem#88'],
    ['array', 'for_each_map_elem', undefined],
  ])('%s in %s: %s', (map, helper, text) => {
    expect(problem(xdp, map, helper)).toBe(text);
  });

  const update =
    'cannot update sockmap in this context\ncannot pass map_type 15 into func bpf_map_update_elem#2';
  test.each<[string, string | undefined, string, string | undefined]>([
    ['xdp', undefined, 'map_update_elem', undefined],
    ['kprobe', undefined, 'map_update_elem', update],
    ['sock_ops', undefined, 'map_update_elem', update],
    ['sock_ops', undefined, 'map_delete_elem', undefined],
    ['tracing', 'trace_iter', 'map_update_elem', undefined],
    ['tracing', 'trace_raw_tp', 'map_update_elem', update],
  ])('%s %s: sockmap, %s', (type, attachType, helper, text) => {
    expect(problem(progEnv(type, attachType), 'sockmap', helper)).toBe(text);
  });
});

describe('maps and programs', () => {
  const map = (type: string, more: Partial<MapFacts> = {}): MapFacts => ({
    type: mapTypeByName(type)!,
    mapFlags: 0,
    fieldMask: 0,
    ...more,
  });
  const lazy = (type: string): MapFacts => map(type, { mapFlags: MapFlag.BPF_F_NO_PREALLOC });
  const said = (
    policy: PreallocPolicy,
    env: ProgEnv,
    facts: MapFacts,
  ): readonly [number, string] | undefined => {
    const found = mapProgramProblem(policy, env, facts);
    return found && [found.errno, found.message];
  };
  const TRACE: readonly [number, string] = [22, 'trace type programs can only use preallocated hash map'];
  const PERF: readonly [number, string] = [22, 'perf_event programs can only use preallocated hash map'];
  const INNER: readonly [number, string] = [
    22,
    'perf_event programs can only use preallocated inner hash map',
  ];
  const LPM: readonly [number, string] = [
    22,
    'trace type programs cannot use LPM trie maps, which are never preallocated',
  ];
  const WARNING: readonly [number, string] = [
    0,
    'trace type programs with run-time allocated hash maps are unsafe. Switch to preallocated hash maps.',
  ];
  const nested = map('array_of_maps', { inner: lazy('hash') });

  test.each<[PreallocPolicy, string, MapFacts, readonly [number, string] | undefined]>([
    ['none', 'kprobe', lazy('hash'), undefined],
    ['perf_event', 'kprobe', lazy('hash'), undefined],
    ['perf_event', 'perf_event', lazy('hash'), PERF],
    ['perf_event', 'perf_event', nested, INNER],
    ['perf_event', 'perf_event', map('hash'), undefined],
    ['warn', 'kprobe', lazy('percpu_hash'), WARNING],
    ['warn', 'kprobe', nested, WARNING],
    ['warn', 'perf_event', lazy('hash'), PERF],
    ['warn', 'perf_event', nested, PERF],
    ['warn', 'xdp', lazy('hash'), undefined],
    ['refuse', 'tracepoint', lazy('hash'), TRACE],
    ['refuse', 'tracepoint', map('hash'), undefined],
    ['refuse', 'raw_tracepoint', lazy('lpm_trie'), undefined],
    ['refuse', 'perf_event', lazy('hash'), PERF],
    ['rt', 'perf_event', lazy('hash'), TRACE],
    ['rt', 'raw_tracepoint_writable', nested, TRACE],
    ['rt', 'kprobe', lazy('lpm_trie'), LPM],
    ['rt', 'kprobe', map('hash_of_maps', { inner: lazy('lpm_trie') }), LPM],
    ['rt', 'sched_cls', lazy('lpm_trie'), undefined],
    ['rt', 'kprobe', map('lru_hash'), undefined],
  ])('%s, %s: %#', (policy, type, facts, expected) => {
    expect(said(policy, progEnv(type), facts)).toEqual(expected);
  });

  test.each<[string, number, string | undefined]>([
    ['socket_filter', FIELD.SPIN_LOCK, 'socket filter progs cannot use bpf_spin_lock yet'],
    ['socket_filter', FIELD.TIMER, undefined],
    ['kprobe', FIELD.RES_SPIN_LOCK, 'tracing progs cannot use bpf_spin_lock yet'],
    ['perf_event', FIELD.TIMER, 'tracing progs cannot use bpf_timer yet'],
    ['tracepoint', FIELD.WORKQUEUE, 'tracing progs cannot use bpf_wq yet'],
    ['raw_tracepoint', FIELD.LIST_HEAD, 'tracing progs cannot use bpf_{list_head,rb_root} yet'],
    ['kprobe', FIELD.TASK_WORK, undefined],
    ['xdp', FIELD.SPIN_LOCK | FIELD.TIMER, undefined],
  ])('%s with fields %i: %s', (type, fieldMask, text) => {
    expect(said('none', progEnv(type), map('array', { fieldMask }))?.[1]).toBe(text);
  });

  test('a warning gives way to a refusal', () => {
    const facts = map('hash', { mapFlags: MapFlag.BPF_F_NO_PREALLOC, fieldMask: FIELD.TIMER });
    expect(said('warn', progEnv('kprobe'), facts)).toEqual([22, 'tracing progs cannot use bpf_timer yet']);
  });

  test('sleepable programs, struct_ops maps, timers on PREEMPT_RT', () => {
    const uprobe = progEnv('kprobe', 'trace_uprobe_multi', { sleepable: true });
    expect(said('none', uprobe, map('hash'))).toBeUndefined();
    expect(said('none', uprobe, map('sockmap'))).toEqual([
      22,
      'Sleepable programs can only use array, hash, ringbuf and local storage maps',
    ]);
    expect(said('none', progEnv('xdp'), map('struct_ops'))?.[1]).toBe(
      'bpf_struct_ops map cannot be used in prog',
    );
    expect(timerProblem(progEnv('xdp'))).toBeUndefined();
    expect(
      timerProblem(progEnv('xdp', undefined, { config: { features: new Set(['preempt_rt']) } })),
    ).toEqual({
      errno: 95,
      message: 'bpf_timer cannot be used for PREEMPT_RT.',
    });
  });

  test('tracing types', () => {
    const names = (Object.keys(ProgType) as (keyof typeof ProgType)[]).filter((n) =>
      isTracingType(ProgType[n]),
    );
    expect(names).toEqual([
      'kprobe',
      'tracepoint',
      'perf_event',
      'raw_tracepoint',
      'raw_tracepoint_writable',
    ]);
  });
});

describe('loading', () => {
  const facts = (more: Partial<LoadFacts>): LoadFacts => ({
    progType: ProgType.xdp,
    expectedAttachType: 0,
    attachBtfId: 0,
    insnCount: 2,
    capabilities: FULL_CAPABILITIES,
    config: RECORDED_CONFIG,
    ...more,
  });

  test.each<[Partial<LoadFacts>, number | undefined]>([
    [{}, undefined],
    [{ insnCount: 0 }, 7],
    [{ insnCount: 1_000_001 }, 7],
    [{ progType: ProgType.socket_filter, capabilities: NO_CAPABILITIES, insnCount: 4096 }, undefined],
    [{ progType: ProgType.socket_filter, capabilities: NO_CAPABILITIES, insnCount: 4097 }, 7],
    [{ capabilities: NO_CAPABILITIES }, 1],
    [{ capabilities: { ...NO_CAPABILITIES, bpf: true } }, 1],
    [{ progType: ProgType.kprobe, capabilities: { ...FULL_CAPABILITIES, perfmon: false } }, 1],
    [{ progFlags: 0xff, logLevel: 15 }, undefined],
    [{ progFlags: 0x100 }, 22],
    [{ progFlags: 2 ** 31 }, 22],
    [{ logLevel: 16 }, 22],
    [{ attachBtfId: 1 }, 22],
    [{ progType: ProgType.tracing, attachBtfId: 1 }, undefined],
    [{ progType: ProgType.cgroup_sock }, undefined],
    [{ progType: ProgType.cgroup_sock, expectedAttachType: 8 }, 22],
    [{ progType: ProgType.sk_lookup }, 22],
    [{ progType: ProgType.unspec }, 22],
    [{ progType: 33 }, 22],
    [{ progType: ProgType.lirc_mode2 }, 22],
    [{ progType: ProgType.lirc_mode2, config: FULL_CONFIG }, undefined],
  ])('%j: errno %s', (more, errno) => {
    expect(loadProblem(facts(more))).toEqual(errno === undefined ? undefined : { errno, message: '' });
  });

  test('attach types that stand for the usual one', () => {
    expect(fixupAttachType(ProgType.cgroup_sock, 0)).toBe(2);
    expect(fixupAttachType(ProgType.sk_reuseport, 0)).toBe(39);
    expect(fixupAttachType(ProgType.sk_reuseport, 40)).toBe(40);
    expect(fixupAttachType(ProgType.xdp, 0)).toBe(0);
  });

  const lsm = (name: string, more: Partial<ProgEnv> = {}): ProgEnv =>
    progEnv('lsm', 'lsm_mac', { attach: { name }, ...more });
  test.each<[string, ProgEnv, number, readonly [number, string] | undefined]>([
    ['xdp', progEnv('xdp'), 0, undefined],
    ['syscall', progEnv('syscall'), 0, [22, 'Syscall programs can only be sleepable']],
    ['sleepable uprobe', progEnv('kprobe', undefined, { sleepable: true }), 0, undefined],
    [
      'sleepable xdp',
      progEnv('xdp', undefined, { sleepable: true }),
      0,
      [22, 'Only fentry/fexit/fmod_ret, lsm, iter, uprobe, and struct_ops programs can be sleepable'],
    ],
    ['tracing', progEnv('tracing', 'trace_fentry'), 0, [22, 'Tracing programs must provide btf_id']],
    ['tracing', progEnv('tracing', 'trace_fentry'), 9, [22, 'attach_btf_id 9 is invalid']],
    ['struct_ops', progEnv('struct_ops'), 0, [524, '']],
    [
      'struct_ops',
      progEnv('struct_ops', undefined, { gpl: false }),
      1,
      [22, 'struct ops programs must have a GPL compatible license'],
    ],
    ['LSM', lsm('bpf_lsm_file_open'), 5, undefined],
    [
      'LSM',
      lsm('bpf_lsm_file_open', { gpl: false }),
      5,
      [22, 'LSM programs must have a GPL compatible license'],
    ],
    ['LSM', lsm('vfs_read'), 5, [22, 'attach_btf_id 5 points to wrong type name vfs_read']],
    [
      'LSM',
      lsm('bpf_lsm_getprocattr'),
      5,
      [22, 'attach_btf_id 5 points to disabled hook bpf_lsm_getprocattr'],
    ],
    ['LSM', lsm('bpf_lsm_task_free', { sleepable: true }), 5, [22, 'bpf_lsm_task_free is not sleepable']],
  ])('%s %#', (_, env, attachBtfId, expected) => {
    const found = attachProblem(env, attachBtfId);
    expect(found && [found.errno, found.message]).toEqual(expected);
  });
});
