/**
 * The way of a packet through IP, where anything is attached to it: flow dissection, netfilter's hooks, programs on routes,
 * control groups on the way out, sockets on the way in. Every packet received is for this host. Models net/ipv4/ip_input.c,
 * ip_output.c and `bpf_flow_dissect` (net/core/flow_dissector.c) as far as programs see them.
 */

import { AttachType } from '../../abi/attach-types.js';
import { FLOW_KEYS, SK_BUFF } from '../../abi/context/skb.js';
import { ETH_HLEN } from '../../abi/packet.js';
import { ProgType } from '../../abi/prog-types.js';
import type { BpfLink } from '../bpf/link.js';
import type { BpfProg } from '../bpf/prog.js';
import type { Cgroups } from '../cgroup/attach.js';
import { SyscallError } from '../errors.js';
import type { Flow } from '../sched/flow.js';
import type { Tracing } from '../trace/bpf-trace.js';
import type { NetDevice, NetDevices } from './attach-device.js';
import { fillSkb } from './attach-skb.js';
import type { SocketInput } from './attach-socket.js';
import { fieldsOf, runOnce } from './context-run.js';
import { LwtAction, type LwtHook, TunnelRoutes } from './lwt.js';
import { Netfilter, type NfHookName, type NfTarget } from './netfilter.js';
import type { FlowKeys, PacketResult } from './packet-result.js';
import { addressesOf, type PacketAddresses, tupleOf } from './packet-tuple.js';
import type { SkBuff } from './skb.js';

const BPF_OK = 0;

/** A packet between two of its stations. */
interface Passage {
  readonly skb: SkBuff;
  readonly ip: PacketAddresses;
  /** What the last program said. */
  last: PacketResult | undefined;
  readonly ethernet: Uint8Array;
}

export class IpLayer {
  readonly netfilter: Netfilter;
  readonly routes: TunnelRoutes;
  private dissector: BpfProg | undefined;

  constructor(
    private readonly tracing: Tracing,
    private readonly devices: NetDevices,
    private readonly sockets: SocketInput,
    private readonly cgroups: Cgroups,
  ) {
    this.netfilter = new Netfilter(tracing);
    this.routes = new TunnelRoutes(tracing);
  }

  /** From now on packets go through here. */
  enable(): void {
    this.devices.upper = (device, frame) => this.receive(device, frame);
    this.devices.lower = (device, frame) => this.send(device, frame);
    this.devices.hashes = (device, frame) => this.dissect(device, frame, true);
  }

  attachNetfilter(link: BpfLink, target: NfTarget): () => void {
    this.enable();
    return this.netfilter.attach(link, target);
  }

  attachRoute(link: BpfLink, prefix: string): () => void {
    this.enable();
    return this.routes.attach(link, prefix);
  }

  /** A program of the network namespace. Throws `SyscallError` (EEXIST) for a second flow dissector. */
  attachNetns({ prog }: BpfLink): () => void {
    this.enable();
    if (prog.type === ProgType.sk_lookup) return this.sockets.attachLookup(prog);
    if (this.dissector !== undefined)
      throw SyscallError.of('EEXIST', 'the namespace has a flow dissector', { symbol: prog.name });
    this.dissector = prog;
    return () => {
      this.dissector = undefined;
    };
  }

  /** Above the device, in the softirq; undefined where no program has anything to say. */
  private *receive(device: NetDevice, frame: Uint8Array): Flow<PacketResult | undefined> {
    const flow = yield* this.dissect(device, frame, false);
    const found = yield* this.through(device, frame, false, (at) => this.inwards(device, frame, at));
    if (flow === undefined) return found;
    return { ...(found ?? { verdict: 'pass', hook: 'none', retval: undefined, data: frame }), flow };
  }

  private *inwards(device: NetDevice, frame: Uint8Array, at: Passage): Flow<boolean> {
    const { ip, skb } = at;
    if (!(yield* this.filtered('prerouting', at))) return false;
    if (!(yield* this.routed('in', ip.destination, at))) return false;
    if (!(yield* this.filtered('input', at))) return false;
    const tuple = tupleOf(frame);
    if (tuple === undefined) return true;
    const result = yield* this.sockets.deliver(device, skb, tuple);
    if (result !== undefined) at.last = result;
    return true;
  }

  /** Below the socket, in the task that sends, its softirqs off or on as the caller has them. */
  private *send(device: NetDevice, frame: Uint8Array): Flow<PacketResult | undefined> {
    return yield* this.through(device, frame, true, (at) => this.outwards(at));
  }

  private *outwards(at: Passage): Flow<boolean> {
    const { destination } = at.ip;
    if (!(yield* this.filtered('output', at))) return false;
    if (!(yield* this.routed('out', destination, at))) return false;
    if (!(yield* this.filtered('postrouting', at))) return false;
    if (!(yield* this.allowed(at))) return false;
    return yield* this.routed('xmit', destination, at);
  }

  private *through(
    device: NetDevice,
    frame: Uint8Array,
    outgoing: boolean,
    way: (at: Passage) => Flow<boolean>,
  ): Flow<PacketResult | undefined> {
    const ip = addressesOf(frame);
    if (ip === undefined) return undefined;
    const skb = this.devices.skbs.take();
    fillSkb(skb, frame, { device, outgoing, l3: true });
    const at: Passage = { skb, ip, last: undefined, ethernet: frame.subarray(0, ETH_HLEN) };
    yield* way(at);
    this.devices.skbs.give(skb);
    return at.last;
  }

  /** Netfilter's programs; false where the packet ends. */
  private *filtered(hook: NfHookName, at: Passage): Flow<boolean> {
    const answer = yield* this.netfilter.run(hook, at.ip.family, at.skb);
    if (answer === undefined) return true;
    at.last = said(at, answer === 0 ? 'drop' : 'pass', 'netfilter', answer);
    return answer !== 0;
  }

  /** The program of the packet's route. */
  private *routed(hook: LwtHook, to: Uint8Array, at: Passage): Flow<boolean> {
    const answer = yield* this.routes.run(hook, to, at.skb);
    if (answer === undefined) return true;
    const goesOn = answer === LwtAction.BPF_OK || answer === LwtAction.BPF_LWT_REROUTE;
    const verdict = goesOn ? 'pass' : answer === LwtAction.BPF_REDIRECT ? 'redirect' : 'drop';
    at.last = said(at, verdict, 'lwt', answer);
    return goesOn;
  }

  /** BPF_CGROUP_RUN_PROG_INET_EGRESS of the task that sends. */
  private *allowed(at: Passage): Flow<boolean> {
    const type = AttachType.cgroup_inet_egress;
    const { skb } = at;
    const progs = this.cgroups.effective(this.cgroups.of(this.tracing.kernel.sched.current), type);
    if (progs.length === 0) return true;
    skb.pointers.show(progs[0]!.verified);
    skb.sync();
    const packet = { region: skb.region, networkOffset: 0 };
    const errno = yield* this.cgroups.run(progs, { args: [skb.context.address], packet, net: { skb } }, type);
    at.last = said(at, errno < 0 ? 'drop' : 'pass', 'cgroup', errno);
    return errno === 0;
  }

  /** bpf_flow_dissect: on a packet that is steered, or whose transmit queue is chosen. */
  private *dissect(device: NetDevice, frame: Uint8Array, outgoing: boolean): Flow<FlowKeys | undefined> {
    const prog = this.dissector;
    if (prog === undefined) return undefined;
    const { tracing, devices } = this;
    const { memory } = tracing;
    const skb = devices.skbs.take();
    fillSkb(skb, frame, { device, outgoing, l3: !outgoing });
    const nhoff = skb.networkHeader - skb.data;
    const keys = memory.take(FLOW_KEYS.size);
    memory.putFields(keys, FLOW_KEYS, { nhoff, thoff: nhoff, n_proto: skb.get('protocol') });
    memory.putFields(skb.context, SK_BUFF, { flow_keys: keys.address });
    skb.pointers.show(prog.verified);
    skb.sync();
    const packet = { region: skb.region, networkOffset: nhoff };
    const answer = yield* runOnce(tracing, prog, { args: [skb.context.address], packet, net: { skb } });
    const found = answer === BPF_OK ? fieldsOf(FLOW_KEYS, keys) : undefined;
    memory.give(keys);
    devices.skbs.give(skb);
    return found;
  }
}

/** The packet with its Ethernet header in front again. */
function said(
  { skb, ethernet }: Passage,
  verdict: PacketResult['verdict'],
  hook: PacketResult['hook'],
  retval: number,
): PacketResult {
  const data = new Uint8Array(ETH_HLEN + skb.length);
  data.set(ethernet);
  data.set(skb.contents(), ETH_HLEN);
  return { verdict, hook, retval, data };
}
