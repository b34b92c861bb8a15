/**
 * What becomes of a received packet above the device: the socket that it is for, the programs of that socket's control group,
 * the socket's filter. Models `__inet_lookup`, `sk_filter_trim_cap` (net/core/filter.c) and `BPF_CGROUP_RUN_PROG_INET_INGRESS`
 * as far as programs see them: TCP and UDP, no fragments.
 */
import { AttachType } from '../../abi/attach-types.js';
import { offsetOf } from '../../abi/context/layout.js';
import { SK_BUFF } from '../../abi/context/skb.js';
import { stateOf } from '../bpf/helpers/state.js';
import type { BpfProg } from '../bpf/prog.js';
import { pin, unpin } from '../bpf/recursion.js';
import { type EventStart, runProgFlow } from '../bpf/run-prog.js';
import type { Cgroups } from '../cgroup/attach.js';
import type { Cgroup } from '../cgroup/cgroup.js';
import type { Machine } from '../machine.js';
import type { Flow } from '../sched/flow.js';
import type { NetDevice, NetDevices, PacketResult } from './attach-device.js';
import { fillSkb } from './attach-skb.js';
import type { Endpoint, InetSock, InetSockAttr } from './inet-sock.js';
import type { SkBuff } from './skb.js';
import { SocketFamily, SocketProtocol } from './sock.js';

const ETH_HLEN = 14;
const ETH_P_IP = 0x0800;
const ETH_P_IPV6 = 0x86dd;
const IPV6_HLEN = 40;
const PORTS: readonly number[] = [SocketProtocol.IPPROTO_TCP, SocketProtocol.IPPROTO_UDP];

interface Tuple {
  readonly family: number;
  readonly protocol: number;
  readonly remote: Endpoint;
  readonly local: Endpoint;
}

export class SocketInput {
  private readonly filters = new WeakMap<InetSock, BpfProg>();
  private readonly groups = new WeakMap<InetSock, Cgroup>();

  constructor(
    private readonly kernel: Machine,
    private readonly devices: NetDevices,
    private readonly cgroups: Cgroups,
  ) {}

  /** A socket of a task in a control group; from now on packets are delivered. */
  open(attr: InetSockAttr, group: Cgroup): InetSock {
    const sock = stateOf(this.kernel).sockets.add(attr);
    this.groups.set(sock, group);
    this.devices.upper = (device, frame) => this.deliver(device, frame);
    return sock;
  }

  /** SO_ATTACH_BPF: in place of the filter that was there. */
  attachFilter(prog: BpfProg, sock: InetSock): () => void {
    this.filters.set(sock, prog);
    return () => {
      if (this.filters.get(sock) === prog) this.filters.delete(sock);
    };
  }

  /** The packet on its way to its socket; undefined where it is nobody's. */
  private *deliver(device: NetDevice, frame: Uint8Array): Flow<PacketResult | undefined> {
    const tuple = tupleOf(frame);
    if (tuple === undefined) return undefined;
    const { family, protocol, remote, local } = tuple;
    const sock = stateOf(this.kernel).sockets.lookup(protocol, family, remote, local);
    if (sock === undefined) return undefined;
    const skb = this.devices.skbs.take();
    fillSkb(skb, frame, { device, l3: true });
    const result = yield* this.filter(sock, skb, frame);
    this.devices.skbs.give(skb);
    return result;
  }

  private *filter(sock: InetSock, skb: SkBuff, data: Uint8Array): Flow<PacketResult | undefined> {
    const type = AttachType.cgroup_inet_ingress;
    const progs = this.cgroups.effective(this.groups.get(sock) ?? this.cgroups.root, type);
    let result: PacketResult | undefined;
    if (progs.length > 0) {
      const errno = yield* this.cgroups.run(progs, this.start(skb, sock, progs[0]!), type);
      result = { verdict: errno < 0 ? 'drop' : 'pass', hook: 'cgroup', retval: errno, data };
      if (errno < 0) return result;
    }
    const prog = this.filters.get(sock);
    if (prog === undefined) return result;
    const { sched } = this.kernel;
    sched.current.rcuDepth++;
    pin(sched, 'pinArray', 'bpf_prog_run_save_cb');
    const { r0 } = yield* runProgFlow(this.kernel, prog, this.start(skb, sock, prog));
    unpin(sched, 'pinArray');
    sched.current.rcuDepth--;
    yield* sched.resched();
    const keep = Number(BigInt.asUintN(32, r0));
    return { verdict: keep === 0 ? 'drop' : 'pass', hook: 'socket', retval: keep, data };
  }

  private start(skb: SkBuff, sock: InetSock, prog: BpfProg): EventStart {
    const { view } = this.kernel.memory;
    view.setBigUint64(skb.context.address32 + offsetOf(SK_BUFF, 'sk'), sock.address, true);
    skb.pointers.show(prog.verified);
    skb.sync();
    const packet = { region: skb.region, networkOffset: skb.networkHeader - skb.data };
    return { args: [skb.context.address], packet, net: { skb }, run: { sock } };
  }
}

/** Who sends what to whom; undefined for what is neither TCP nor UDP, or too short for it. */
function tupleOf(frame: Uint8Array): Tuple | undefined {
  const type = (frame[12]! << 8) | frame[13]!;
  const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
  const at = ETH_HLEN;
  const v4 = type === ETH_P_IP && frame.length >= at + 20;
  if (!v4 && !(type === ETH_P_IPV6 && frame.length >= at + IPV6_HLEN)) return undefined;
  const protocol = frame[at + (v4 ? 9 : 6)]!;
  const ports = at + (v4 ? (frame[at]! & 0xf) * 4 : IPV6_HLEN);
  if (!PORTS.includes(protocol) || frame.length < ports + 4) return undefined;
  const [source, destination, size] = v4 ? [at + 12, at + 16, 4] : [at + 8, at + 24, 16];
  return {
    family: v4 ? SocketFamily.AF_INET : SocketFamily.AF_INET6,
    protocol,
    remote: { address: frame.slice(source, source + size), port: view.getUint16(ports) },
    local: { address: frame.slice(destination, destination + size), port: view.getUint16(ports + 2) },
  };
}
