/**
 * Network devices with programs on them: XDP on what they receive, tc on what they receive and send. Reception is a
 * softirq's work: programs run on top of whatever the CPU did, or, on RT, in a thread that may be preempted. Nobody
 * asks `bpf_prog_active` here. Models net/core/dev.c (`netif_receive_skb`, `__dev_queue_xmit`) as far as programs see it.
 */
import { ETH_HLEN } from '../../abi/packet.js';
import { PAGE_SIZE } from '../../abi/page.js';
import { TcAction } from '../../abi/tc.js';
import { XdpAction } from '../../abi/xdp.js';
import type { BpfProg } from '../bpf/prog.js';
import { type RunPacket, runProgFlow, runProgNow } from '../bpf/run-prog.js';
import { SyscallError } from '../errors.js';
import type { Machine } from '../machine.js';
import type { Flow } from '../sched/flow.js';
import { fillSkb, SkbPool } from './attach-skb.js';
import type { Redirect } from './net-state.js';
import type { FlowKeys, PacketResult } from './packet-result.js';
import { MAX_LINEAR } from './skb.js';
import { XDP_PACKET_HEADROOM, XDP_TAILROOM, XdpBuff } from './xdp.js';

const LINEAR = PAGE_SIZE - XDP_PACKET_HEADROOM - XDP_TAILROOM;
const { TC_ACT_UNSPEC, TC_ACT_REDIRECT, TC_ACT_SHOT, TC_ACT_STOLEN, TC_ACT_QUEUED, TC_ACT_TRAP } = TcAction;
const TAKEN: readonly number[] = [TC_ACT_STOLEN, TC_ACT_QUEUED, TC_ACT_TRAP];

export type { PacketResult } from './packet-result.js';

export class NetDevice {
  xdp: BpfProg | undefined;
  readonly ingress: BpfProg[] = [];
  readonly egress: BpfProg[] = [];
  readonly received = { packets: 0, dropped: 0 };

  constructor(
    readonly name: string,
    readonly ifindex: number,
    /** Hardware address. */
    readonly address: Uint8Array,
  ) {}
}

export class NetDevices {
  private readonly byName = new Map<string, NetDevice>();
  private readonly idleXdp: XdpBuff[] = [];
  readonly skbs: SkbPool;
  /** What receives packets that pass; its result, where programs had a say. */
  upper: ((device: NetDevice, frame: Uint8Array) => Flow<PacketResult | undefined>) | undefined;
  /** What packets come through on their way out. */
  lower: ((device: NetDevice, frame: Uint8Array) => Flow<PacketResult | undefined>) | undefined;
  /** What looks into a packet whose transmit queue is chosen. */
  hashes: ((device: NetDevice, frame: Uint8Array) => Flow<FlowKeys | undefined>) | undefined;

  constructor(private readonly kernel: Machine) {
    this.skbs = new SkbPool(kernel.memory);
    this.add('lo');
    this.add('eth0');
  }

  get list(): readonly NetDevice[] {
    return [...this.byName.values()];
  }

  /** A new device; its index is the next one. */
  add(name: string): NetDevice {
    if (this.byName.has(name)) throw SyscallError.of('EEXIST', `there is a device ${name} already`);
    const ifindex = this.byName.size + 1;
    const last = name === 'lo' ? 0 : ifindex;
    const device = new NetDevice(name, ifindex, Uint8Array.of(last === 0 ? 0 : 2, 0, 0, 0, 0, last));
    this.byName.set(name, device);
    return device;
  }

  get(name: string): NetDevice {
    const device = this.byName.get(name);
    if (device !== undefined) return device;
    throw SyscallError.of('ENODEV', `there is no network device ${name}`);
  }

  /** One program at a time, as native XDP has it. */
  attachXdp(prog: BpfProg, device: NetDevice): () => void {
    if (device.xdp !== undefined) {
      throw SyscallError.of('EBUSY', `${device.name} has an XDP program`, { symbol: prog.name });
    }
    device.xdp = prog;
    return () => {
      device.xdp = undefined;
    };
  }

  /** Behind those that are there. */
  attachTc(prog: BpfProg, device: NetDevice, hook: 'ingress' | 'egress'): () => void {
    const list = device[hook];
    list.push(prog);
    return () => {
      list.splice(list.indexOf(prog), 1);
    };
  }

  /** A frame comes in (`__netif_receive_skb`), in the context of the softirq that polls the device. */
  *receive(device: NetDevice, frame: Uint8Array): Flow<PacketResult> {
    checkFrame(frame);
    device.received.packets++;
    let data = frame;
    let last: PacketResult = { verdict: 'pass', hook: 'none', retval: undefined, data };
    if (device.xdp !== undefined) {
      last = yield* this.runXdp(device.xdp, device, data);
      if (last.verdict !== 'pass') return counted(device, last);
      data = last.data;
    }
    if (device.ingress.length > 0) last = yield* this.runTc(device.ingress, device, 'ingress', data);
    if (last.verdict === 'pass' && this.upper !== undefined)
      last = (yield* this.upper(device, last.data)) ?? last;
    return counted(device, last);
  }

  /** The same where nothing interleaves and nothing is probed. */
  receiveNow(device: NetDevice, frame: Uint8Array): PacketResult {
    const { xdp: prog } = device;
    if (prog === undefined || device.ingress.length > 0 || this.upper !== undefined) {
      return this.kernel.executor.drive(this.receive(device, frame));
    }
    checkFrame(frame);
    device.received.packets++;
    const { xdp, net } = this.fillXdp(device, prog, frame);
    const r0 = runProgNow(this.kernel, prog, { args: [xdp.context.address], net });
    return counted(device, this.afterXdp(xdp, net, r0));
  }

  /** A frame goes out (`ip_local_out`, `__dev_queue_xmit`), in the context of the task that sends it. */
  *transmit(device: NetDevice, frame: Uint8Array): Flow<PacketResult> {
    checkFrame(frame);
    const sent = this.lower === undefined ? undefined : yield* this.lower(device, frame);
    if (sent !== undefined && sent.verdict !== 'pass') return sent;
    const { softirq } = this.kernel.irq;
    yield* softirq.disable('__dev_queue_xmit');
    const result = yield* this.queue(device, sent ?? { ...UNSEEN, data: frame });
    yield* softirq.enable();
    return result;
  }

  private *queue(device: NetDevice, sent: PacketResult): Flow<PacketResult> {
    const { data } = sent;
    const last = device.egress.length === 0 ? sent : yield* this.runTc(device.egress, device, 'egress', data);
    if (last.verdict !== 'pass' || this.hashes === undefined) return last;
    const flow = yield* this.hashes(device, last.data);
    return flow === undefined ? last : { ...last, flow };
  }

  /** One XDP program on a frame. */
  *runXdp(prog: BpfProg, device: NetDevice, frame: Uint8Array): Flow<PacketResult> {
    const { xdp, net } = this.fillXdp(device, prog, frame);
    const { r0 } = yield* runProgFlow(this.kernel, prog, { args: [xdp.context.address], net });
    return this.afterXdp(xdp, net, r0);
  }

  /** tc programs on a frame, one after the other. */
  *runTc(
    progs: readonly BpfProg[],
    device: NetDevice,
    hook: 'ingress' | 'egress',
    frame: Uint8Array,
  ): Flow<PacketResult> {
    const { kernel } = this;
    const skb = this.skbs.take();
    fillSkb(skb, frame, { device, outgoing: hook === 'egress' });
    const net: RunPacket = { skb };
    let retval: number = TC_ACT_UNSPEC;
    kernel.sched.current.rcuDepth++;
    for (const prog of [...progs]) {
      skb.pointers.show(prog.verified);
      skb.sync();
      net.redirect = undefined;
      const packet = { region: skb.region, networkOffset: skb.networkHeader - skb.data };
      const { r0 } = yield* runProgFlow(kernel, prog, { args: [skb.context.address], packet, net });
      retval = Number(BigInt.asIntN(32, r0));
      if (retval !== TC_ACT_UNSPEC) break;
    }
    kernel.sched.current.rcuDepth--;
    const data = skb.contents();
    this.skbs.give(skb);
    const { redirect } = net;
    return {
      verdict: tcVerdict(retval),
      hook,
      retval,
      data,
      ...redirected(retval === TC_ACT_REDIRECT, redirect),
    };
  }

  private fillXdp(device: NetDevice, prog: BpfProg, frame: Uint8Array): { xdp: XdpBuff; net: RunPacket } {
    const xdp = this.idleXdp.pop() ?? new XdpBuff(this.kernel.memory);
    xdp.pointers.show(prog.verified);
    const whole = frame.length <= LINEAR;
    xdp.fill(
      whole ? frame : frame.subarray(0, LINEAR),
      0,
      whole ? NOTHING : frame.slice(LINEAR),
      device.ifindex,
      0,
    );
    return { xdp, net: { xdp } };
  }

  private afterXdp(xdp: XdpBuff, { redirect }: RunPacket, r0: bigint): PacketResult {
    const retval = Number(BigInt.asIntN(32, r0));
    const data = xdp.contents().subarray(xdp.data - xdp.dataMeta);
    this.idleXdp.push(xdp);
    return {
      verdict: xdpVerdict(retval),
      hook: 'xdp',
      retval,
      data,
      ...redirected(retval === XdpAction.XDP_REDIRECT, redirect),
    };
  }
}

const NOTHING = new Uint8Array(0);
const UNSEEN = { verdict: 'pass', hook: 'none', retval: undefined } as const;

function redirected(asked: boolean, redirect: Redirect | undefined): { redirect?: Redirect } {
  return asked && redirect !== undefined ? { redirect } : {};
}

function counted(device: NetDevice, result: PacketResult): PacketResult {
  if (result.verdict === 'drop') device.received.dropped++;
  return result;
}

function xdpVerdict(action: number): PacketResult['verdict'] {
  switch (action) {
    case XdpAction.XDP_PASS:
      return 'pass';
    case XdpAction.XDP_TX:
      return 'tx';
    case XdpAction.XDP_REDIRECT:
      return 'redirect';
    default:
      return 'drop';
  }
}

function tcVerdict(action: number): PacketResult['verdict'] {
  if (action === TC_ACT_SHOT) return 'drop';
  if (action === TC_ACT_REDIRECT) return 'redirect';
  return TAKEN.includes(action) ? 'stolen' : 'pass';
}

export function checkFrame(frame: Uint8Array): void {
  if (frame.length >= ETH_HLEN && frame.length <= MAX_LINEAR) return;
  throw SyscallError.of('EINVAL', `a packet has ${ETH_HLEN} to ${MAX_LINEAR} bytes, not ${frame.length}`);
}
