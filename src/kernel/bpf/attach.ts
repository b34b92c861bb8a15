/**
 * BPF_LINK_CREATE and its older kin: puts a program where its target says, and gives the link that keeps it there. What
 * the program then runs in, and who guards it, is the attach point's affair.
 */
import { AttachType, attachTypeName } from '../../abi/attach-types.js';
import { ProgType } from '../../abi/prog-types.js';
import type { Btf } from '../../object/btf/btf.js';
import type { Cgroups } from '../cgroup/attach.js';
import { SyscallError } from '../errors.js';
import type { PerfEvents } from '../events/perf-event.js';
import type { LircDevices } from '../media/lirc.js';
import type { NetDevices } from '../net/attach-device.js';
import type { SocketInput } from '../net/attach-socket.js';
import type { IpLayer } from '../net/ip-layer.js';
import type { Tracing } from '../trace/bpf-trace.js';
import { fullEventName } from '../trace/event-names.js';
import { attachKprobe, attachKretprobe, attachMulti } from '../trace/kprobe.js';
import type { ProbePoint } from '../trace/probes.js';
import type { Tracepoints } from '../trace/tracepoint.js';
import type { Uprobes } from '../trace/uprobe.js';
import { type AttachTarget, parseTarget, targetText } from './attach-target.js';
import { attachFreplace } from './freplace.js';
import type { Iterators } from './iter.js';
import { BpfLink } from './link.js';
import type { BpfProg } from './prog.js';
import { attachTrampoline } from './trampoline.js';

/** Everything that programs can be attached to. */
export interface AttachPoints {
  readonly tracing: Tracing;
  readonly tracepoints: Tracepoints;
  readonly uprobes: Uprobes;
  readonly perf: PerfEvents;
  readonly devices: NetDevices;
  readonly cgroups: Cgroups;
  readonly ip: IpLayer;
  readonly lirc: LircDevices;
  readonly iterators: Iterators;
  readonly sockets: SocketInput;
}

type NetKind = 'socket' | 'netns' | 'netfilter' | 'route' | 'sockmap' | 'lirc' | 'freplace';

/** Functions that every kernel has. */
const WELL_KNOWN = ['schedule', 'vfs_read', 'do_exit'];

/** Functions of the kernel on its list for error injection (ALLOW_ERROR_INJECTION): system calls, allocations. */
const INJECTABLE = /^(__(x64|ia32)_(compat_)?sys_\w+|should_(failslab|fail_alloc_page|fail_bio)|open_ctree)$/;

export interface FunctionOptions {
  /** It is on the list for error injection: `bpf_override_return` may have it return at once. */
  readonly errorInjection?: boolean;
}

export class Attacher {
  /** In the order in which they were made; detached ones too. */
  readonly links: BpfLink[] = [];
  /** Functions that somebody has said exist, beside those of the kernel's types. */
  private readonly declared = new Set<string>();
  /** Of those, the ones on the list for error injection. */
  private readonly injectable = new Set<string>();

  constructor(private readonly points: AttachPoints) {}

  /** Says that there is a function of this name, to be called by `callFunction`. */
  declareFunction(name: string, { errorInjection = false }: FunctionOptions = {}): void {
    this.declared.add(name);
    if (errorInjection) this.injectable.add(name);
  }

  /** Throws `SyscallError` for a target that is not there, `UnsupportedError` for one that cannot be simulated. */
  attach(prog: BpfProg, target?: AttachTarget | string): BpfLink {
    const where = target === undefined || typeof target === 'string' ? parseTarget(prog, target) : target;
    const link = new BpfLink(this.links.length + 1, prog, targetText(where));
    link.hold(this.put(link, where));
    this.links.push(link);
    return link;
  }

  private put(link: BpfLink, target: AttachTarget): () => void {
    const { tracing, tracepoints, uprobes, perf, devices, cgroups, iterators } = this.points;
    const { prog } = link;
    requireType(prog, target);
    switch (target.kind) {
      case 'kprobe':
        this.requireInjectable(prog, [target.fn]);
        return attachKprobe(tracing, link, this.fn(prog, target.fn));
      case 'kretprobe':
        this.requireInjectable(prog, []);
        return attachKretprobe(tracing, link, this.fn(prog, target.fn));
      case 'kprobe.multi':
      case 'kretprobe.multi': {
        const exit = target.kind === 'kretprobe.multi';
        const points = this.matching(prog, target.fns);
        this.requireInjectable(prog, exit ? [] : points.map(({ name }) => name));
        return attachMulti(tracing, link, points, exit);
      }
      case 'uprobe':
      case 'uretprobe':
        return uprobes.attach(link, target.place, target.kind === 'uretprobe');
      case 'tracepoint':
        return tracepoints.attach(link, this.event(prog, target.event));
      case 'raw_tp':
        return tracepoints.attachRaw(link, this.event(prog, target.event));
      case 'function':
        return attachTrampoline(tracing, link, this.fn(prog, target.fn));
      case 'lsm':
        return attachTrampoline(tracing, link, this.fn(prog, `bpf_lsm_${target.hook}`));
      case 'perf_event':
        return perf.attach(link, target);
      case 'xdp':
        return devices.attachXdp(prog, devices.get(target.device));
      case 'tc':
        return devices.attachTc(prog, devices.get(target.device), target.hook);
      case 'cgroup':
        if (prog.type === ProgType.cgroup_skb) this.points.ip.enable();
        return cgroups.attach(prog, cgroups.make(target.path), cgroupType(prog));
      case 'iter':
        return iterators.attach(link, target.target, target.map);
      default:
        return this.putOnNet(link, target);
    }
  }

  private putOnNet(link: BpfLink, target: Extract<AttachTarget, { kind: NetKind }>): () => void {
    const { ip, lirc, sockets, tracing } = this.points;
    switch (target.kind) {
      case 'socket':
        return sockets.attachTo(link.prog, target.sock);
      case 'netns':
        return ip.attachNetns(link);
      case 'netfilter':
        return ip.attachNetfilter(link, target);
      case 'route':
        return ip.attachRoute(link, target.prefix);
      case 'sockmap':
        return sockets.maps.attach(link, target.map);
      case 'lirc':
        return lirc.attach(link, target.device);
      case 'freplace':
        return attachFreplace(tracing.kernel, link, target);
    }
  }

  /** A function of the kernel: one of its types', one that the simulation runs through, or a declared one. */
  private fn(prog: BpfProg, name: string): ProbePoint {
    const { kernel } = this.points.tracing;
    const { probes } = kernel.sched;
    const { btf } = kernel;
    const there =
      btf === undefined ||
      !listsFunctions(btf) ||
      btf.findByName(name, 'func') !== undefined ||
      probes.names().includes(name) ||
      this.declared.has(name);
    if (there && /^[A-Za-z_.][\w.]*$/.test(name)) return probes.point(name);
    throw SyscallError.of('ENOENT', `the kernel has no function ${name}`, { symbol: prog.name });
  }

  /** A program that has functions return at once goes to their entry, and only where the kernel is ready for that. */
  private requireInjectable(prog: BpfProg, names: readonly string[]): void {
    if (prog.overrides !== true) return;
    const wrong = names.find((name) => !INJECTABLE.test(name) && !this.injectable.has(name));
    if (wrong === undefined && names.length > 0) return;
    const what =
      wrong === undefined ? 'a function cannot be left at its exit' : `${wrong} is not for error injection`;
    throw SyscallError.of('EINVAL', what, { symbol: prog.name });
  }

  private matching(prog: BpfProg, patterns: readonly string[]): ProbePoint[] {
    const { probes } = this.points.tracing.kernel.sched;
    const points = patterns.flatMap((pattern) => {
      if (!pattern.includes('*')) return [this.fn(prog, pattern)];
      const matches = new RegExp(`^${pattern.replaceAll('*', '.*')}$`);
      const names = [...new Set([...probes.names(), ...this.declared])];
      return names
        .filter((name) => !name.includes(':') && matches.test(name))
        .map((name) => probes.point(name));
    });
    if (points.length > 0) return points;
    throw SyscallError.of('ENOENT', `no function matches ${patterns.join(',')}`, { symbol: prog.name });
  }

  private event(prog: BpfProg, name: string): ProbePoint {
    const { probes } = this.points.tracing.kernel.sched;
    if (/^\w+(:\w+)?$/.test(name)) return probes.point(fullEventName(name, probes.names()));
    throw SyscallError.of('ENOENT', `"${name}" names no tracepoint`, { symbol: prog.name });
  }
}

/** Whether types name the kernel's functions: a whole kernel's do, an extract of one does not. */
function listsFunctions(btf: Btf): boolean {
  return WELL_KNOWN.every((name) => btf.findByName(name, 'func') !== undefined);
}

/** The types of programs that a target takes. */
const TYPES: Readonly<Record<AttachTarget['kind'], readonly ProgType[]>> = {
  kprobe: [ProgType.kprobe],
  kretprobe: [ProgType.kprobe],
  'kprobe.multi': [ProgType.kprobe],
  'kretprobe.multi': [ProgType.kprobe],
  uprobe: [ProgType.kprobe],
  uretprobe: [ProgType.kprobe],
  tracepoint: [ProgType.tracepoint],
  raw_tp: [ProgType.raw_tracepoint, ProgType.raw_tracepoint_writable, ProgType.tracing],
  function: [ProgType.tracing],
  lsm: [ProgType.lsm],
  perf_event: [ProgType.perf_event],
  xdp: [ProgType.xdp],
  tc: [ProgType.sched_cls, ProgType.sched_act],
  cgroup: [
    ProgType.cgroup_skb,
    ProgType.cgroup_sock,
    ProgType.cgroup_sock_addr,
    ProgType.cgroup_device,
    ProgType.cgroup_sysctl,
    ProgType.cgroup_sockopt,
    ProgType.sock_ops,
  ],
  socket: [ProgType.socket_filter, ProgType.sk_reuseport],
  netns: [ProgType.sk_lookup, ProgType.flow_dissector],
  netfilter: [ProgType.netfilter],
  route: [ProgType.lwt_in, ProgType.lwt_out, ProgType.lwt_xmit, ProgType.lwt_seg6local],
  sockmap: [ProgType.sk_msg, ProgType.sk_skb],
  lirc: [ProgType.lirc_mode2],
  freplace: [ProgType.ext],
  iter: [ProgType.tracing],
};

function requireType(prog: BpfProg, target: AttachTarget): void {
  if (TYPES[target.kind].includes(prog.type)) return;
  throw SyscallError.of('EINVAL', `the program's type does not go with ${targetText(target)}`, {
    symbol: prog.name,
  });
}

/** Types with one hook, whatever they expect. */
const ONLY_HOOK: Partial<Record<ProgType, AttachType>> = {
  [ProgType.sock_ops]: AttachType.cgroup_sock_ops,
  [ProgType.cgroup_device]: AttachType.cgroup_device,
  [ProgType.cgroup_sysctl]: AttachType.cgroup_sysctl,
};

/** What the program expects; a `cgroup/skb` program that expects nothing goes on the way in. */
function cgroupType(prog: BpfProg): AttachType {
  const only = ONLY_HOOK[prog.type];
  if (only !== undefined) return only;
  if (attachTypeName(prog.expectedAttachType).startsWith('cgroup')) return prog.expectedAttachType;
  return AttachType.cgroup_inet_ingress;
}
