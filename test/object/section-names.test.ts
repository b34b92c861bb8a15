/** Section names: libbpf's conventions as its table has them, older ones, and names that say nothing. */
import { describe, expect, test } from '@jest/globals';
import { attachTypeName } from '../../src/abi/attach-types.js';
import { progTypeName } from '../../src/abi/prog-types.js';
import { knownSections, sectionDef } from '../../src/object/index.js';
import { dataMapName, objectName } from '../../src/object/names.js';

const SLEEPABLE = 16;
const FRAGS = 32;

/** name → program type, attach type (empty: 0), flags, target. */
const LIBBPF: readonly (readonly [string, string, string, number?, string?])[] = [
  ['socket', 'socket_filter', ''],
  ['xdp', 'xdp', 'xdp'],
  ['xdp.frags', 'xdp', 'xdp', FRAGS],
  ['xdp/devmap', 'xdp', 'xdp_devmap'],
  ['xdp.frags/cpumap', 'xdp', 'xdp_cpumap', FRAGS],
  ['tc', 'sched_cls', ''],
  ['tcx/ingress', 'sched_cls', 'tcx_ingress'],
  ['tc/egress', 'sched_cls', 'tcx_egress'],
  ['netkit/peer', 'sched_cls', 'netkit_peer'],
  ['action', 'sched_act', ''],
  ['kprobe', 'kprobe', ''],
  ['kprobe/do_exit', 'kprobe', '', 0, 'do_exit'],
  ['kprobe.multi/tcp_*', 'kprobe', 'trace_kprobe_multi', 0, 'tcp_*'],
  ['kprobe.session/x', 'kprobe', 'trace_kprobe_session', 0, 'x'],
  ['uprobe.s//bin/sh:main', 'kprobe', '', SLEEPABLE, '/bin/sh:main'],
  ['usdt/./prog:p:n', 'kprobe', 'trace_uprobe_multi', 0, './prog:p:n'],
  ['ksyscall/nanosleep', 'kprobe', '', 0, 'nanosleep'],
  ['tracepoint/sched/sched_switch', 'tracepoint', '', 0, 'sched/sched_switch'],
  ['tp/syscalls/sys_enter_open', 'tracepoint', '', 0, 'syscalls/sys_enter_open'],
  ['raw_tp/sys_enter', 'raw_tracepoint', '', 0, 'sys_enter'],
  ['raw_tp.w/x', 'raw_tracepoint_writable', '', 0, 'x'],
  ['tp_btf/task_newtask', 'tracing', 'trace_raw_tp', 0, 'task_newtask'],
  ['fentry/do_exit', 'tracing', 'trace_fentry', 0, 'do_exit'],
  ['fmod_ret.s/x', 'tracing', 'modify_return', SLEEPABLE, 'x'],
  ['fexit.s/x', 'tracing', 'trace_fexit', SLEEPABLE, 'x'],
  ['freplace/subprog', 'ext', '', 0, 'subprog'],
  ['lsm/file_open', 'lsm', 'lsm_mac', 0, 'file_open'],
  ['lsm.s/bprm_check_security', 'lsm', 'lsm_mac', SLEEPABLE, 'bprm_check_security'],
  ['lsm_cgroup/socket_bind', 'lsm', 'lsm_cgroup', 0, 'socket_bind'],
  ['iter/task', 'tracing', 'trace_iter', 0, 'task'],
  ['iter.s/task', 'tracing', 'trace_iter', SLEEPABLE, 'task'],
  ['syscall', 'syscall', '', SLEEPABLE],
  ['cgroup_skb/egress', 'cgroup_skb', 'cgroup_inet_egress'],
  ['cgroup/skb', 'cgroup_skb', ''],
  ['cgroup/connect6', 'cgroup_sock_addr', 'cgroup_inet6_connect'],
  ['cgroup/sendmsg_unix', 'cgroup_sock_addr', 'cgroup_unix_sendmsg'],
  ['cgroup/sysctl', 'cgroup_sysctl', 'cgroup_sysctl'],
  ['cgroup/dev', 'cgroup_device', 'cgroup_device'],
  ['sk_skb/stream_parser', 'sk_skb', 'sk_skb_stream_parser'],
  ['sk_skb', 'sk_skb', ''],
  ['sk_msg', 'sk_msg', 'sk_msg_verdict'],
  ['sk_reuseport/migrate', 'sk_reuseport', 'sk_reuseport_select_or_migrate'],
  ['sk_lookup', 'sk_lookup', 'sk_lookup'],
  ['sockops', 'sock_ops', 'cgroup_sock_ops'],
  ['struct_ops/ssthresh', 'struct_ops', '', 0, 'ssthresh'],
  ['struct_ops.s/init', 'struct_ops', '', SLEEPABLE, 'init'],
  ['netfilter', 'netfilter', 'netfilter'],
  ['perf_event', 'perf_event', ''],
  ['lwt_seg6local', 'lwt_seg6local', ''],
  ['lirc_mode2', 'lirc_mode2', 'lirc_mode2'],
  ['flow_dissector', 'flow_dissector', 'flow_dissector'],
];

const LEGACY: typeof LIBBPF = [
  ['socket1', 'socket_filter', ''],
  ['socket/2', 'socket_filter', '', 0, '2'],
  ['xdp_pass', 'xdp', 'xdp'],
  ['xdp/foo', 'xdp', 'xdp', 0, 'foo'],
  ['xdp.frags/foo', 'xdp', 'xdp', FRAGS, 'foo'],
  ['lirc_mode2/nec', 'lirc_mode2', 'lirc_mode2', 0, 'nec'],
  ['kprobe_exit', 'kprobe', ''],
  ['tracepoint_x', 'tracepoint', ''],
  ['classifier/ingress', 'sched_cls', '', 0, 'ingress'],
  ['from-container', 'sched_cls', ''],
  ['cgroup/connect4_foo', 'cgroup_sock_addr', 'cgroup_inet4_connect'],
  ['cgroup/other', 'cgroup_skb', '', 0, 'other'],
  ['sk_filter', 'socket_filter', ''],
];

describe.each([
  ['libbpf', LIBBPF],
  ['legacy', LEGACY],
] as const)('%s names', (convention, rows) => {
  test.each(rows)('%s', (name, type, attach, flags = 0, target) => {
    const def = sectionDef(name);
    expect([
      progTypeName(def.type),
      def.expectedAttachType === 0 ? '' : attachTypeName(def.expectedAttachType),
    ]).toEqual([
      type,
      // attach type 0 has a name, too
      attach === 'cgroup_inet_ingress' ? '' : attach,
    ]);
    expect([def.progFlags, def.attachTarget, def.convention, def.autoload]).toEqual([
      flags,
      target,
      convention,
      true,
    ]);
  });
});

test.each(['', 'foo', 'static', '1/0x1010', 'kprob', '.text', 'xd'])('%j tells no program type', (name) => {
  expect(sectionDef(name)).toMatchObject({ type: 0, expectedAttachType: 0, convention: 'none' });
});

test('a question mark only turns loading off', () => {
  expect(sectionDef('?fentry.s/x')).toEqual({ ...sectionDef('fentry.s/x'), autoload: false });
});

test('every pattern of the table matches itself, alone and, where it says so, with a target', () => {
  for (const pattern of knownSections) {
    const stem = pattern.replace('+', '');
    expect(sectionDef(stem).convention).toBe('libbpf');
    expect(sectionDef(`${stem}/x`).convention === 'libbpf').toBe(pattern.endsWith('+'));
  }
  expect(new Set(knownSections).size).toBe(knownSections.length);
});

test.each([
  ['/a/b/my_object_name.bpf.o', 'my_object_name'],
  ['a_very_long_object_name.o', 'a_very_long_obj'],
  ['x.o', 'x'],
  ['plain', 'plain'],
  ['.hidden', ''],
])('object name of %s', (file, name) => {
  expect(objectName(file)).toBe(name);
});

test.each([
  ['my_object_name', '.rodata', 'my_objec.rodata'],
  ['my_object_name', '.bss', 'my_objec.bss'],
  ['my_object_name', '.kconfig', 'my_obje.kconfig'],
  ['my_object_name', '.rodata.abracadabra', '.rodata.abracad'],
  ['my_object_name', '.data.x', '.data.x'],
  ['a-b c', '.data', 'a_b_c.data'],
  ['x', '.bss', 'x.bss'],
])('the kernel names the data of %s in %s %s', (object, section, name) => {
  expect(dataMapName(object, section)).toBe(name);
});
