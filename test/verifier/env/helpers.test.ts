import { describe, expect, test } from '@jest/globals';
import { HELPER_PROTOS, helperProtoOf } from '../../../src/abi/helper-protos.js';
import { HELPERS, helperId } from '../../../src/abi/helpers.js';
import { helperVariant, namedVariants } from '../../../src/verifier/env/helper-sets.js';
import {
  attachProblem,
  type Capabilities,
  FULL_CONFIG,
  funcIpProblem,
  helperLogText,
  helperProto,
  isRefusal,
  NO_CAPABILITIES,
  type ProgEnv,
} from '../../../src/verifier/env/index.js';
import { type HelperRow, readRanges } from './matrix.js';
import { progEnv, recordedEnvs, recording } from './support.js';

/** The refusal's text, or the variant's name. */
function answer(env: ProgEnv, name: string, inSleepable?: boolean): string {
  const found = helperProto(env, helperId(name)!, inSleepable);
  return isRefusal(found) ? found.message : `ok ${found.variant}`.trim();
}
const cannot = (name: string): string =>
  `program of this type cannot use helper bpf_${name}#${helperId(name)}`;

describe('recorded on Linux 6.18', () => {
  // `bpf_get_func_ip` is refused later, for the attach point; struct_ops programs as a whole, for their licence.
  const asRecorded = (env: ProgEnv, id: number): boolean =>
    attachProblem(env, 1) === undefined &&
    !isRefusal(helperProto(env, id)) &&
    (id !== 173 || funcIpProblem(env) === undefined);

  test.each(recording<HelperRow>('helpers-6.18.jsonl'))('$type $attachTypes $target $member', (row) => {
    for (const env of recordedEnvs(row)) {
      const allowed = HELPERS.map(({ id }) => id).filter((id) => asRecorded(env, id));
      expect(allowed).toEqual(readRanges(row.helpers));
      const proprietary = { ...env, gpl: false };
      expect(allowed.filter((id) => !asRecorded(proprietary, id))).toEqual(readRanges(row.gpl));
    }
  });
});

describe('who may call what', () => {
  test.each<[string, Partial<ProgEnv>, string, string]>([
    ['socket_filter', {}, 'map_lookup_elem', 'ok'],
    ['socket_filter', {}, 'redirect', cannot('redirect')],
    ['socket_filter', {}, 'get_smp_processor_id', 'ok raw'],
    ['xdp', {}, 'get_smp_processor_id', 'ok'],
    ['cgroup_sock', {}, 'sk_storage_get', 'ok ctx'],
    ['perf_event', {}, 'get_stackid', 'ok perf_event'],
    ['kprobe', { sleepable: true }, 'get_stack', 'ok sleepable'],
    ['kprobe', {}, 'copy_from_user', 'helper call might sleep in a non-sleepable prog'],
    ['kprobe', {}, 'override_return', cannot('override_return')],
    ['kprobe', { config: FULL_CONFIG }, 'override_return', 'ok'],
    ['kprobe', { config: FULL_CONFIG }, 'probe_write_user', 'ok'],
    ['lirc_mode2', {}, 'rc_keydown', 'ok'],
    ['lirc_mode2', {}, 'ktime_get_coarse_ns', cannot('ktime_get_coarse_ns')],
    [
      'kprobe',
      { gpl: false },
      'get_stackid',
      'cannot call GPL-restricted function from non-GPL compatible program',
    ],
    ['ext', {}, 'map_lookup_elem', cannot('map_lookup_elem')],
  ])('%s %j: %s: %s', (type, more, name, expected) => {
    expect(answer(progEnv(type, undefined, more), name)).toBe(expected);
  });

  test('ids that are none', () => {
    const env = progEnv('xdp');
    expect(helperProto(env, 212)).toEqual({ errno: 22, message: 'invalid func unknown#212' });
    expect(helperProto(env, -1)).toEqual({ errno: 22, message: 'invalid func unknown#-1' });
    expect(helperProto(env, 0)).toEqual({
      errno: 22,
      message: 'program of this type cannot use helper bpf_unspec#0',
    });
    expect(helperLogText(1)).toBe('bpf_map_lookup_elem#1');
  });

  test('a place that sleeps in a program that does not, and the other way round', () => {
    expect(answer(progEnv('xdp'), 'copy_from_user', true)).toBe('ok');
    expect(
      answer(progEnv('kprobe', 'trace_uprobe_multi', { sleepable: true }), 'copy_from_user', false),
    ).toBe('helper call might sleep in a non-sleepable prog');
  });

  const caps = (given: Partial<Capabilities>): Partial<ProgEnv> => ({
    capabilities: { ...NO_CAPABILITIES, ...given },
  });
  test.each<[string, Partial<Capabilities>, string, boolean]>([
    ['socket_filter', {}, 'get_current_uid_gid', true],
    ['socket_filter', {}, 'jiffies64', false],
    ['socket_filter', { bpf: true }, 'jiffies64', true],
    ['socket_filter', { bpf: true }, 'trace_printk', false],
    ['socket_filter', { bpf: true, perfmon: true }, 'trace_printk', true],
    ['socket_filter', { bpf: true }, 'skc_to_tcp_sock', false],
    ['socket_filter', { perfmon: true }, 'trace_printk', false],
    ['sched_cls', { bpf: true, netAdmin: true }, 'redirect', true],
  ])('%s with %j: %s: %s', (type, given, name, allowed) => {
    expect(answer(progEnv(type, undefined, caps(given)), name) === 'ok').toBe(allowed);
  });
});

describe('programs that this kernel refuses to load', () => {
  const lsm = (hook: string, more: Partial<ProgEnv> = {}): ProgEnv =>
    progEnv('lsm', 'lsm_mac', { attach: { name: `bpf_lsm_${hook}` }, ...more });
  const lsmCgroup = (hook: string): ProgEnv =>
    progEnv('lsm', 'lsm_cgroup', { attach: { name: `bpf_lsm_${hook}` } });
  const fentry = (name: string): ProgEnv => progEnv('tracing', 'trace_fentry', { attach: { name } });
  const ops = (name: string, member: string): ProgEnv =>
    progEnv('struct_ops', undefined, { attach: { name, member } });
  const probe = 'helper call is not allowed in probe';

  test.each<[string, ProgEnv, string, string]>([
    ['sleepable hook', lsm('file_open', { sleepable: true }), 'd_path', 'ok'],
    ['atomic hook', lsm('task_free'), 'd_path', probe],
    ['atomic hook', lsm('task_free', { sleepable: true }), 'ima_file_hash', probe],
    ['sleepable hook', lsm('file_open', { sleepable: true }), 'ima_file_hash', 'ok'],
    ['LSM', lsm('file_open'), 'inode_storage_get', 'ok'],
    ['LSM', lsm('file_open'), 'sk_storage_get', 'ok'],
    ['LSM', lsm('file_open'), 'get_attach_cookie', 'ok'],
    ['LSM', lsm('file_open'), 'get_retval', cannot('get_retval')],
    ['LSM', lsm('sock_graft'), 'setsockopt', cannot('setsockopt')],
    ['LSM cgroup', lsmCgroup('sock_graft'), 'setsockopt', 'ok sk'],
    ['LSM cgroup', lsmCgroup('socket_post_create'), 'getsockopt', 'ok sk'],
    ['LSM cgroup', lsmCgroup('file_open'), 'getsockopt', cannot('getsockopt')],
    ['LSM cgroup', lsmCgroup('file_open'), 'set_retval', 'ok'],
    ['fentry', fentry('vfs_truncate'), 'd_path', 'ok'],
    ['fentry', fentry('do_nanosleep'), 'd_path', probe],
    ['fentry', fentry('do_nanosleep'), 'get_func_ret', 'ok'],
    ['fentry', fentry('do_nanosleep'), 'sk_storage_get', 'ok tracing'],
    ['fentry', fentry('bpf_sk_storage_get'), 'sk_storage_get', probe],
    ['struct_ops', ops('tcp_congestion_ops', 'ssthresh'), 'setsockopt', 'ok sk'],
    ['struct_ops', ops('tcp_congestion_ops', 'release'), 'setsockopt', cannot('setsockopt')],
    ['struct_ops', ops('tcp_congestion_ops', 'ssthresh'), 'tcp_send_ack', 'ok'],
    ['struct_ops', ops('sched_ext_ops', 'enqueue'), 'tcp_send_ack', cannot('tcp_send_ack')],
    ['struct_ops', ops('sched_ext_ops', 'enqueue'), 'tail_call', 'ok'],
    ['struct_ops', ops('Qdisc_ops', 'enqueue'), 'tail_call', cannot('tail_call')],
  ])('%s %#: %s: %s', (_, env, name, expected) => {
    expect(answer(env, name)).toBe(expected);
  });

  test('where a function address may be asked for', () => {
    expect(funcIpProblem(fentry('do_nanosleep'))).toBeUndefined();
    expect(funcIpProblem(progEnv('kprobe'))).toBeUndefined();
    expect(funcIpProblem(progEnv('tracepoint'))).toEqual({
      errno: 524,
      message: 'func bpf_get_func_ip#173 not supported for program type 5',
    });
    expect(funcIpProblem(progEnv('tracing', 'trace_iter'))?.message).toBe(
      'func bpf_get_func_ip#173 supported only for fentry/fexit/fmod_ret programs',
    );
  });
});

test('sets name helpers and variants that exist, and every variant is named', () => {
  const named = new Set(namedVariants());
  for (const word of named) {
    const [name, variant = ''] = word.split('=') as [string, string?];
    expect([word, helperProtoOf(helperId(name) ?? 0, variant)?.name]).toEqual([word, name]);
  }
  for (const { name, variant } of HELPER_PROTOS)
    expect(named).toContain(variant === '' ? name : `${name}=${variant}`);
  expect(helperVariant(progEnv('unspec'), 'map_lookup_elem')).toBeUndefined();
});
