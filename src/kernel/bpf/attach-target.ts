/**
 * What a program is attached to, as text or as an object: the section names of libbpf (`kprobe/vfs_read`), the same with a
 * colon, and what section names leave open (a device, a control group, a perf event).
 */
import { AttachType } from '../../abi/attach-types.js';
import { ProgType, progTypeName } from '../../abi/prog-types.js';
import { SyscallError, UnsupportedError } from '../errors.js';
import type { PerfEventAttr, PerfEventName } from '../events/perf-event.js';
import { CLOCK_EVENTS, HARDWARE_EVENTS, SOFTWARE_EVENTS } from '../events/perf-event.js';
import { DEFAULT_LIRC } from '../media/lirc.js';
import type { InetSock } from '../net/inet-sock.js';
import { NfHook, type NfHookName, NfProto, type NfProtoName, type NfTarget } from '../net/netfilter.js';
import type { BpfMap } from './map.js';
import type { BpfProg } from './prog.js';

export type AttachTarget =
  | { readonly kind: 'kprobe' | 'kretprobe'; readonly fn: string }
  /** Names with `*` for any characters. */
  | { readonly kind: 'kprobe.multi' | 'kretprobe.multi'; readonly fns: readonly string[] }
  /** `place`: `path:function`. */
  | { readonly kind: 'uprobe' | 'uretprobe'; readonly place: string }
  /** `category:event`. */
  | { readonly kind: 'tracepoint'; readonly event: string }
  | { readonly kind: 'raw_tp'; readonly event: string }
  /** fentry, fexit or fmod_ret, as the program says. */
  | { readonly kind: 'function'; readonly fn: string }
  | { readonly kind: 'lsm'; readonly hook: string }
  | ({ readonly kind: 'perf_event' } & PerfEventAttr)
  | { readonly kind: 'xdp'; readonly device: string }
  | { readonly kind: 'tc'; readonly device: string; readonly hook: 'ingress' | 'egress' }
  | { readonly kind: 'cgroup'; readonly path: string }
  /** sk_lookup and flow_dissector. */
  | { readonly kind: 'netns' }
  | ({ readonly kind: 'netfilter' } & NfTarget)
  /** Programs of light-weight tunnels; `prefix`: such as `10.0.0.0/8`. */
  | { readonly kind: 'route'; readonly prefix: string }
  /** sk_msg and sk_skb: for the sockets that a sockmap or sockhash holds. */
  | { readonly kind: 'sockmap'; readonly map: BpfMap }
  | { readonly kind: 'lirc'; readonly device: string }
  /** In place of a function of a loaded program; `fn`: its name. */
  | { readonly kind: 'freplace'; readonly prog: BpfProg; readonly fn: string }
  /** A filter on a socket (`Kernel.openSocket`), or what picks among the sockets that share its address. */
  | { readonly kind: 'socket'; readonly sock: InetSock }
  /** `map`: that whose elements are walked. */
  | { readonly kind: 'iter'; readonly target: string; readonly map?: BpfMap };

const DEFAULT_DEVICE = 'eth0';
const CGROUP_TYPES: readonly ProgType[] = [
  ProgType.cgroup_skb,
  ProgType.cgroup_sock,
  ProgType.cgroup_sock_addr,
  ProgType.cgroup_device,
  ProgType.cgroup_sysctl,
  ProgType.cgroup_sockopt,
  ProgType.sock_ops,
];
const PERF_EVENTS: readonly string[] = [...HARDWARE_EVENTS, ...CLOCK_EVENTS, ...SOFTWARE_EVENTS];

/** What the text says, or, without one, the section that the program comes from. Throws `SyscallError` (EINVAL). */
export function parseTarget(prog: BpfProg, text?: string): AttachTarget {
  const section = prog.section.replace(/^\?/, '');
  const whole = text ?? section;
  const at = whole.search(/[:/]/);
  const head = at < 0 ? whole : whole.slice(0, at);
  const rest = at < 0 ? '' : whole.slice(at + 1);
  switch (prog.type) {
    case ProgType.kprobe:
      return probeTarget(prog, head, rest);
    case ProgType.tracepoint:
      return { kind: 'tracepoint', event: named(prog, rest || whole, 'category:event').replace('/', ':') };
    case ProgType.raw_tracepoint:
    case ProgType.raw_tracepoint_writable:
      return { kind: 'raw_tp', event: named(prog, rest, 'a tracepoint') };
    case ProgType.tracing:
      return tracingTarget(prog, rest || prog.attachTarget || '');
    case ProgType.lsm:
      return { kind: 'lsm', hook: named(prog, rest || prog.attachTarget || '', 'a hook') };
    case ProgType.perf_event:
      return { kind: 'perf_event', ...perfTarget(prog, rest) };
    case ProgType.xdp:
      return { kind: 'xdp', device: (text === undefined ? '' : rest) || DEFAULT_DEVICE };
    case ProgType.sched_cls:
    case ProgType.sched_act:
      return tcTarget(prog, text === undefined ? '' : rest);
    default:
      return otherTarget(prog, head, text === undefined ? '' : rest);
  }
}

function otherTarget(prog: BpfProg, head: string, rest: string): AttachTarget {
  if (CGROUP_TYPES.includes(prog.type)) {
    const path = head === 'cgroup' && rest !== '' ? rest : '/';
    return { kind: 'cgroup', path: path.startsWith('/') ? path : `/${path}` };
  }
  switch (prog.type) {
    case ProgType.sk_lookup:
    case ProgType.flow_dissector:
      return { kind: 'netns' };
    case ProgType.netfilter:
      return { kind: 'netfilter', ...nfTarget(prog, rest) };
    case ProgType.lwt_in:
    case ProgType.lwt_out:
    case ProgType.lwt_xmit:
    case ProgType.lwt_seg6local:
      return { kind: 'route', prefix: named(prog, rest, 'a route') };
    case ProgType.lirc_mode2:
      return { kind: 'lirc', device: rest || DEFAULT_LIRC };
    default: {
      const what = `programs of type ${progTypeName(prog.type)} cannot be attached by name`;
      throw new UnsupportedError('UNSUPPORTED_ATTACH', what, { symbol: prog.name });
    }
  }
}

/** `PROTO:HOOK:PRIORITY`. */
function nfTarget(prog: BpfProg, rest: string): NfTarget {
  const [proto = '', hook = '', priority = ''] = rest.split(':');
  if (Object.hasOwn(NfProto, proto) && Object.hasOwn(NfHook, hook) && /^-?\d+$/.test(priority))
    return { proto: proto as NfProtoName, hook: hook as NfHookName, priority: Number(priority) };
  throw SyscallError.of('EINVAL', `"${rest}" is no hook of netfilter, such as ipv4:input:0`, {
    symbol: prog.name,
  });
}

function named(prog: BpfProg, name: string, what: string): string {
  if (name !== '') return name;
  throw SyscallError.of('EINVAL', `attach to what? ${what} is missing`, { symbol: prog.name });
}

function probeTarget(prog: BpfProg, head: string, rest: string): AttachTarget {
  const kind = head.replace(/\.s$/, '');
  switch (kind) {
    case 'kprobe':
    case 'kretprobe':
      return { kind, fn: named(prog, rest, 'a function').replace(/\+0x?[0-9a-f]*$/, '') };
    case 'ksyscall':
    case 'kretsyscall':
      return {
        kind: kind === 'ksyscall' ? 'kprobe' : 'kretprobe',
        fn: `__x64_sys_${named(prog, rest, 'a system call')}`,
      };
    case 'kprobe.multi':
    case 'kprobe.session':
    case 'kretprobe.multi':
      return {
        kind: kind === 'kretprobe.multi' ? kind : 'kprobe.multi',
        fns: named(prog, rest, 'a function').split(','),
      };
    case 'uprobe':
    case 'uretprobe':
      return { kind, place: named(prog, rest, 'path:function') };
    default: {
      const what = `a program of type kprobe cannot be attached to ${head}`;
      throw new UnsupportedError('UNSUPPORTED_ATTACH', what, { symbol: prog.name });
    }
  }
}

function tracingTarget(prog: BpfProg, name: string): AttachTarget {
  const fn = named(prog, name.replace(/^vmlinux:/, ''), 'a function');
  if (prog.expectedAttachType === AttachType.trace_raw_tp) return { kind: 'raw_tp', event: fn };
  if (prog.expectedAttachType === AttachType.trace_iter) return { kind: 'iter', target: fn };
  return { kind: 'function', fn };
}

/** `EVENT@CPU`. */
function perfTarget(prog: BpfProg, rest: string): PerfEventAttr {
  const [event = '', cpu = '0'] = rest.split('@');
  const name = event === '' ? 'cpu-cycles' : event;
  if (PERF_EVENTS.includes(name) && /^\d+$/.test(cpu))
    return { event: name as PerfEventName, cpu: Number(cpu) };
  throw SyscallError.of('EINVAL', `"${rest}" is no perf event`, { symbol: prog.name });
}

/** `DEVICE:ingress`, `DEVICE:egress`, `DEVICE`. */
function tcTarget(prog: BpfProg, rest: string): AttachTarget {
  const [device = '', hook] = rest.split(':');
  const own = prog.expectedAttachType === AttachType.tcx_egress ? 'egress' : 'ingress';
  if (hook !== undefined && hook !== 'ingress' && hook !== 'egress') {
    throw SyscallError.of('EINVAL', `tc has the hooks ingress and egress, not "${hook}"`, {
      symbol: prog.name,
    });
  }
  return { kind: 'tc', device: device === '' ? DEFAULT_DEVICE : device, hook: hook ?? own };
}

/** As a link shows it. */
export function targetText(target: AttachTarget): string {
  switch (target.kind) {
    case 'kprobe':
    case 'kretprobe':
    case 'function':
      return `${target.kind}:${target.fn}`;
    case 'kprobe.multi':
    case 'kretprobe.multi':
      return `${target.kind}:${target.fns.join(',')}`;
    case 'uprobe':
    case 'uretprobe':
      return `${target.kind}:${target.place}`;
    case 'tracepoint':
    case 'raw_tp':
      return `${target.kind}:${target.event}`;
    case 'lsm':
      return `lsm:${target.hook}`;
    case 'perf_event':
      return `perf_event:${target.event}@${target.cpu}`;
    case 'xdp':
      return `xdp:${target.device}`;
    case 'tc':
      return `tc:${target.device}:${target.hook}`;
    case 'cgroup':
      return `cgroup:${target.path}`;
    case 'iter':
      return `iter:${target.target}`;
    case 'socket':
      return `socket:${target.sock.local.port}`;
    case 'netfilter':
      return `netfilter:${target.proto}:${target.hook}:${target.priority}`;
    case 'route':
      return `route:${target.prefix}`;
    case 'sockmap':
      return `sockmap:${target.map.name}`;
    case 'lirc':
      return `lirc:${target.device}`;
    case 'freplace':
      return `freplace:${target.prog.name}:${target.fn}`;
    case 'netns':
      return 'netns';
  }
}
