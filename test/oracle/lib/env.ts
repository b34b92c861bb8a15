/**
 * The environments that the sweeps of the verifier's tables go through: every program type with the attach types
 * that change anything, as a request to the running kernel and as what our tables are asked with.
 */
import { existsSync, readFileSync } from 'node:fs';
import { AttachType, attachTypeName } from '../../../src/abi/attach-types.js';
import { ProgFlag } from '../../../src/abi/prog-flags.js';
import { ProgType, progTypeName } from '../../../src/abi/prog-types.js';
import { assemble, encodeInsns } from '../../../src/isa/index.js';
import { Btf } from '../../../src/object/btf/btf.js';
import type { BtfKind } from '../../../src/object/btf/types.js';
import { FULL_CAPABILITIES, type ProgEnv, RECORDED_CONFIG } from '../../../src/verifier/env/index.js';
import type { RecordedEnv } from '../../verifier/env/matrix.js';

const VMLINUX = '/sys/kernel/btf/vmlinux';

/** One environment. `attachBtfId` is 0 where the type has no target. */
export interface SweepEnv {
  readonly name: string;
  readonly env: ProgEnv;
  readonly attachBtfId: number;
}

const A = AttachType;
const ATTACH_TYPES: readonly (readonly [type: number, attachTypes: readonly number[]])[] = [
  [ProgType.socket_filter, [0]],
  [ProgType.kprobe, [0, A.trace_kprobe_multi, A.trace_uprobe_multi, A.trace_kprobe_session]],
  [ProgType.kprobe, [A.trace_uprobe_session]],
  [ProgType.sched_cls, [0, A.tcx_ingress, A.netkit_primary]],
  [ProgType.sched_act, [0]],
  [ProgType.tracepoint, [0]],
  [ProgType.xdp, [0, A.xdp_devmap, A.xdp_cpumap, A.xdp]],
  [ProgType.perf_event, [0, A.perf_event]],
  [ProgType.cgroup_skb, [A.cgroup_inet_ingress, A.cgroup_inet_egress]],
  [ProgType.cgroup_sock, [A.cgroup_inet_sock_create, A.cgroup_inet_sock_release]],
  [ProgType.cgroup_sock, [A.cgroup_inet4_post_bind, A.cgroup_inet6_post_bind]],
  [ProgType.lwt_in, [0]],
  [ProgType.lwt_out, [0]],
  [ProgType.lwt_xmit, [0]],
  [ProgType.sock_ops, [0, A.cgroup_sock_ops]],
  [ProgType.sk_skb, [0, A.sk_skb_stream_parser, A.sk_skb_stream_verdict, A.sk_skb_verdict]],
  [ProgType.cgroup_device, [0, A.cgroup_device]],
  [ProgType.sk_msg, [0, A.sk_msg_verdict]],
  [ProgType.raw_tracepoint, [0]],
  [ProgType.cgroup_sock_addr, [A.cgroup_inet4_bind, A.cgroup_inet6_bind, A.cgroup_inet4_connect]],
  [ProgType.cgroup_sock_addr, [A.cgroup_inet6_connect, A.cgroup_udp4_sendmsg, A.cgroup_udp6_sendmsg]],
  [ProgType.cgroup_sock_addr, [A.cgroup_udp4_recvmsg, A.cgroup_udp6_recvmsg, A.cgroup_unix_connect]],
  [ProgType.cgroup_sock_addr, [A.cgroup_inet4_getpeername, A.cgroup_inet6_getpeername]],
  [ProgType.cgroup_sock_addr, [A.cgroup_inet4_getsockname, A.cgroup_inet6_getsockname]],
  [ProgType.cgroup_sock_addr, [A.cgroup_unix_sendmsg, A.cgroup_unix_recvmsg]],
  [ProgType.cgroup_sock_addr, [A.cgroup_unix_getpeername, A.cgroup_unix_getsockname]],
  [ProgType.lwt_seg6local, [0]],
  [ProgType.sk_reuseport, [A.sk_reuseport_select, A.sk_reuseport_select_or_migrate]],
  [ProgType.flow_dissector, [0, A.flow_dissector]],
  [ProgType.cgroup_sysctl, [0, A.cgroup_sysctl]],
  [ProgType.raw_tracepoint_writable, [0]],
  [ProgType.cgroup_sockopt, [A.cgroup_getsockopt, A.cgroup_setsockopt]],
  [ProgType.sk_lookup, [A.sk_lookup]],
  [ProgType.syscall, [0]],
  [ProgType.netfilter, [A.netfilter]],
];
/** Kernel types to attach to by BTF; fentry, fexit and LSM are not among them, since the recorded kernel refuses those. */
const TARGETS: readonly (readonly [attachType: number, name: string, kind: 'func' | 'typedef'])[] = [
  [A.trace_raw_tp, 'btf_trace_sched_switch', 'typedef'],
  [A.trace_iter, 'bpf_iter_task', 'func'],
  [A.trace_iter, 'bpf_iter_bpf_map_elem', 'func'],
  [A.trace_iter, 'bpf_iter_tcp', 'func'],
  [A.trace_iter, 'bpf_iter_unix', 'func'],
];

/** Members of kernel structures that programs implement. */
const STRUCT_OPS: readonly (readonly [struct: string, members: readonly string[]])[] = [
  ['tcp_congestion_ops', ['ssthresh', 'cong_avoid', 'init', 'release']],
  ['bpf_dummy_ops', ['test_1']],
];

/** Types that may sleep: in the list once as they are and once sleepable. */
const MAY_SLEEP = new Set<number>([A.trace_iter, A.trace_uprobe_multi]);

function make(
  type: number,
  expectedAttachType: number,
  sleepable: boolean,
  target?: [string, number],
): SweepEnv {
  const words = [
    progTypeName(type),
    attachTypeName(expectedAttachType),
    target?.[0],
    sleepable && 'sleepable',
  ];
  return {
    name: words.filter((word) => word !== undefined && word !== false).join(' '),
    attachBtfId: target?.[1] ?? 0,
    env: {
      type,
      expectedAttachType,
      sleepable,
      gpl: true,
      capabilities: FULL_CAPABILITIES,
      config: RECORDED_CONFIG,
      ...(target !== undefined && { attach: { name: target[0] } }),
    },
  };
}

let vmlinux: Btf | undefined;

/** Id of a type in the running kernel's BTF; undefined where it has none. */
export function vmlinuxId(name: string, kind: BtfKind): number | undefined {
  if (!existsSync(VMLINUX)) return undefined;
  vmlinux ??= Btf.parse(new Uint8Array(readFileSync(VMLINUX)));
  return vmlinux.findByName(name, kind);
}

/** Programs for members of a kernel structure; none where the kernel has no such structure. */
function structOpsEnvs(struct: string, members: readonly string[]): SweepEnv[] {
  const id = vmlinuxId(struct, 'struct');
  const type = id === undefined ? undefined : vmlinux!.type(id);
  if (id === undefined || type?.kind !== 'struct') return [];
  return members.map((member) => {
    const index = type.members.findIndex(({ name }) => name === member);
    const plain = make(ProgType.struct_ops, index, false, [struct, id]);
    const pointer = vmlinux!.type(type.members[index]!.type);
    const proto = pointer.kind === 'ptr' ? vmlinux!.type(pointer.type) : undefined;
    const returnsVoid = proto?.kind === 'func_proto' && proto.type === 0;
    const attach = { name: struct, member, returnsVoid };
    return { ...plain, name: `struct_ops ${struct}.${member}`, env: { ...plain.env, attach } };
  });
}

/** Every environment that the running kernel can be asked for. */
export function sweepEnvs(): SweepEnv[] {
  const found = ATTACH_TYPES.flatMap(([type, attachTypes]) =>
    attachTypes.flatMap((attachType) => {
      if (type === ProgType.syscall) return [make(type, attachType, true)];
      const plain = make(type, attachType, false);
      return MAY_SLEEP.has(attachType) ? [plain, make(type, attachType, true)] : [plain];
    }),
  );
  for (const [attachType, name, kind] of TARGETS) {
    const id = vmlinuxId(name, kind);
    if (id === undefined) continue;
    found.push(make(ProgType.tracing, attachType, false, [name, id]));
    if (MAY_SLEEP.has(attachType)) found.push(make(ProgType.tracing, attachType, true, [name, id]));
  }
  for (const [struct, members] of STRUCT_OPS) found.push(...structOpsEnvs(struct, members));
  return found;
}

/** A load request for `kraw.py`. `text` is assembly, or instructions as hex. */
export function request({ env, attachBtfId }: SweepEnv, text: string, more: object = {}): object {
  const insns = /^[0-9a-f]+$/.test(text) ? text : Buffer.from(encodeInsns(assemble(text))).toString('hex');
  return {
    prog_type: env.type,
    expected_attach_type: env.expectedAttachType,
    prog_flags: env.sleepable ? ProgFlag.BPF_F_SLEEPABLE : 0,
    license: env.gpl ? 'GPL' : 'Proprietary',
    insns,
    log_level: 2,
    ...(attachBtfId !== 0 && { attach_btf_id: attachBtfId }),
    ...more,
  };
}

const NOISE =
  /^(\d+: \(|\d+: R\d|\s*\d+: [.0-9]{10} |func#|processed |Live regs|verification time|stack depth|mark_precise|from |propagating|\(\d+\) live stack |\(\d+\) frame \d+ insn |func '.*' arg\d+ has |Global|Using|$)/;

/**
 * The first line of a log that says what is wrong; empty where none does. `logChars`: how much of the log's end was
 * kept; in one that is as long, the first line is cut.
 */
export function complaint(log = '', logChars = 1200): string {
  const lines = log.split('\n').slice(log.length >= logChars ? 1 : 0);
  return lines.find((line) => !NOISE.test(line)) ?? '';
}

/** An environment as the recordings name it. */
export function recordedEnv({ env }: SweepEnv): RecordedEnv {
  return {
    type: progTypeName(env.type),
    attachTypes: env.type === ProgType.struct_ops ? [] : [attachTypeName(env.expectedAttachType)],
    ...(env.sleepable && { sleepable: true as const }),
    ...(env.attach !== undefined && { target: env.attach.name }),
    ...(env.attach?.member !== undefined && { member: env.attach.member }),
  };
}

/** Rows as lines of JSON; those that differ in nothing but their attach type are one. */
export function mergeRows(rows: readonly RecordedEnv[]): string {
  const merged = new Map<string, RecordedEnv>();
  for (const row of rows) {
    const key = JSON.stringify({ ...row, attachTypes: [] });
    const attachTypes = [...(merged.get(key)?.attachTypes ?? []), ...row.attachTypes];
    merged.set(key, { ...row, attachTypes });
  }
  return [...merged.values()].map((row) => `${JSON.stringify(row)}\n`).join('');
}
