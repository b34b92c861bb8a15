/**
 * What becomes of a received packet above IP: the socket that it is for, programs that choose that socket, the programs of
 * its control group, its filter, its socket map. Models `__inet_lookup`, `inet_lookup_run_sk_lookup`, `reuseport_select_sock`,
 * `sk_filter_trim_cap` and `BPF_CGROUP_RUN_PROG_INET_INGRESS` as far as programs see them: TCP and UDP, no fragments.
 */

import { AttachType } from '../../abi/attach-types.js';
import { offsetOf } from '../../abi/context/layout.js';
import { SK_BUFF } from '../../abi/context/skb.js';
import { SK_LOOKUP, SK_REUSEPORT_MD } from '../../abi/context/sock.js';
import { ETH_P_IP, ETH_P_IPV6, SK_PASS } from '../../abi/packet.js';
import { ProgType } from '../../abi/prog-types.js';
import { stateOf } from '../bpf/helpers/state.js';
import type { BpfProg } from '../bpf/prog.js';
import { pin, unpin } from '../bpf/recursion.js';
import type { RunContext } from '../bpf/run-context.js';
import { type EventStart, runProgFlow } from '../bpf/run-prog.js';
import type { Cgroups } from '../cgroup/attach.js';
import type { Cgroup } from '../cgroup/cgroup.js';
import type { Flow } from '../sched/flow.js';
import type { Tracing } from '../trace/bpf-trace.js';
import type { NetDevice } from './attach-device.js';
import { runOnContext } from './context-run.js';
import { InetSock, type InetSockAttr } from './inet-sock.js';
import type { MessagePart, PacketResult } from './packet-result.js';
import type { PacketTuple } from './packet-tuple.js';
import type { SkBuff } from './skb.js';
import { SocketFamily } from './sock.js';
import { SockmapProgs } from './sockmap-progs.js';

/** What the look-up found: a socket, nobody, or a refusal by a program. */
type Found = InetSock | 'nobody' | 'refused';

export class SocketInput {
  readonly maps: SockmapProgs;
  /** Programs of the network namespace that choose sockets. */
  private readonly lookups: BpfProg[] = [];
  private readonly filters = new WeakMap<InetSock, BpfProg>();
  private readonly selectors = new WeakMap<InetSock, BpfProg>();
  private readonly groups = new WeakMap<InetSock, Cgroup>();

  constructor(
    private readonly tracing: Tracing,
    private readonly cgroups: Cgroups,
  ) {
    this.maps = new SockmapProgs(tracing);
  }

  /** A socket of a task in a control group. */
  open(attr: InetSockAttr, group: Cgroup): InetSock {
    const sock = stateOf(this.tracing.kernel).sockets.add(attr);
    this.groups.set(sock, group);
    return sock;
  }

  groupOf(sock: InetSock): Cgroup {
    return this.groups.get(sock) ?? this.cgroups.root;
  }

  /** SO_ATTACH_BPF and SO_ATTACH_REUSEPORT_EBPF: in place of the program that was there. */
  attachTo(prog: BpfProg, sock: InetSock): () => void {
    const where = prog.type === ProgType.sk_reuseport ? this.selectors : this.filters;
    where.set(sock, prog);
    return () => {
      if (where.get(sock) === prog) where.delete(sock);
    };
  }

  /** A program of the namespace that chooses sockets, behind those that are there. */
  attachLookup(prog: BpfProg): () => void {
    this.lookups.push(prog);
    return () => {
      this.lookups.splice(this.lookups.indexOf(prog), 1);
    };
  }

  /** The packet on its way to its socket, from its network header on; undefined where it is nobody's. */
  *deliver(device: NetDevice, skb: SkBuff, tuple: PacketTuple): Flow<PacketResult | undefined> {
    const sock = yield* this.find(device, skb, tuple);
    const data = skb.contents();
    if (sock === 'nobody') return undefined;
    if (sock === 'refused') return { verdict: 'drop', hook: 'socket', retval: 0, data };
    const result = yield* this.filter(sock, skb, data);
    if (result?.verdict === 'drop' || !this.maps.receives(sock)) return result;
    skb.pull(tuple.payloadOffset);
    const parts = yield* this.maps.receive(sock, skb);
    return { ...mapResult(parts, data), parts };
  }

  /** Connected sockets first, then those that programs choose, then listeners. */
  private *find(device: NetDevice, skb: SkBuff, tuple: PacketTuple): Flow<Found> {
    const { family, protocol, remote, local } = tuple;
    const { sockets } = stateOf(this.tracing.kernel);
    const known = sockets.lookup(protocol, family, remote, local);
    if (known?.remote !== undefined) return known;
    const chosen = this.lookups.length === 0 ? 'nobody' : yield* this.choose(device, tuple);
    const found = chosen === 'nobody' ? known : chosen;
    if (found === undefined || found === 'refused') return found ?? 'nobody';
    return yield* this.amongSharers(found, skb, tuple);
  }

  /** BPF_PROG_SK_LOOKUP_RUN_ARRAY: the last choice counts, and one refusal where nobody chooses. */
  private *choose(device: NetDevice, tuple: PacketTuple): Flow<Found> {
    const { family, protocol, remote, local } = tuple;
    const v4 = family === SocketFamily.AF_INET;
    const fields = { family, protocol, local_port: local.port, ingress_ifindex: device.ifindex };
    const bytes = {
      remote_port: Uint8Array.of(remote.port >> 8, remote.port & 0xff),
      [v4 ? 'remote_ip4' : 'remote_ip6']: remote.address,
      [v4 ? 'local_ip4' : 'local_ip6']: local.address,
    };
    let chosen: InetSock | undefined;
    let allPass = true;
    for (const prog of [...this.lookups]) {
      const run: RunContext = { lookupFamily: family, lookupProtocol: protocol, selected: chosen };
      const given = { ...fields, sk: chosen?.address ?? 0n };
      const { retval } = yield* runOnContext(this.tracing, prog, SK_LOOKUP, { fields: given, bytes, run });
      if (retval === SK_PASS && run.selected instanceof InetSock) chosen = run.selected;
      else if (retval !== SK_PASS) allPass = false;
    }
    return chosen ?? (allPass ? 'nobody' : 'refused');
  }

  /** reuseport_select_sock: a program picks among sockets of one address, or the hash of the packet does. */
  private *amongSharers(sock: InetSock, skb: SkBuff, tuple: PacketTuple): Flow<Found> {
    if (!sock.reusePort) return sock;
    const { sockets } = stateOf(this.tracing.kernel).sockets;
    const group = sockets.filter((other) => other.reusePort && sharesAddress(other, sock));
    const prog = group.map((member) => this.selectors.get(member)).find((found) => found !== undefined);
    if (prog !== undefined) {
      const run: RunContext = { sock };
      const { transportOffset, local, remote, protocol } = tuple;
      const packet = skb.contents().subarray(transportOffset);
      const fields = {
        len: packet.length,
        eth_protocol: sock.family === SocketFamily.AF_INET ? swap16(ETH_P_IP) : swap16(ETH_P_IPV6),
        ip_protocol: protocol,
        bind_inany: sock.local.address.every((byte) => byte === 0) ? 1 : 0,
        hash: hashOf(remote.port, local.port),
        sk: sock.address,
      };
      const { retval } = yield* runOnContext(this.tracing, prog, SK_REUSEPORT_MD, {
        fields,
        data: packet,
        run,
      });
      if (retval !== SK_PASS) return 'refused';
      if (run.selected instanceof InetSock) return run.selected;
    }
    return group[hashOf(tuple.remote.port, tuple.local.port) % group.length] ?? sock;
  }

  private *filter(sock: InetSock, skb: SkBuff, data: Uint8Array): Flow<PacketResult | undefined> {
    const type = AttachType.cgroup_inet_ingress;
    const progs = this.cgroups.effective(this.groupOf(sock), type);
    let result: PacketResult | undefined;
    if (progs.length > 0) {
      const errno = yield* this.cgroups.run(progs, this.start(skb, sock, progs[0]!), type);
      result = { verdict: errno < 0 ? 'drop' : 'pass', hook: 'cgroup', retval: errno, data };
      if (errno < 0) return result;
    }
    const prog = this.filters.get(sock);
    if (prog === undefined) return result;
    const { sched } = this.tracing.kernel;
    sched.current.rcuDepth++;
    pin(sched, 'pinArray', 'bpf_prog_run_save_cb');
    const { r0 } = yield* runProgFlow(this.tracing.kernel, prog, this.start(skb, sock, prog));
    unpin(sched, 'pinArray');
    sched.current.rcuDepth--;
    yield* sched.resched();
    const keep = Number(BigInt.asUintN(32, r0));
    return { verdict: keep === 0 ? 'drop' : 'pass', hook: 'socket', retval: keep, data };
  }

  private start(skb: SkBuff, sock: InetSock, prog: BpfProg): EventStart {
    const { view } = this.tracing.kernel.memory;
    view.setBigUint64(skb.context.address32 + offsetOf(SK_BUFF, 'sk'), sock.address, true);
    skb.pointers.show(prog.verified);
    skb.sync();
    const packet = { region: skb.region, networkOffset: skb.networkHeader - skb.data };
    return { args: [skb.context.address], packet, net: { skb }, run: { sock } };
  }
}

/** Where a packet went whose bytes a socket map's programs have divided. */
function mapResult(parts: readonly MessagePart[], data: Uint8Array): PacketResult {
  const verdict = parts.at(-1)?.verdict ?? 'pass';
  return { verdict, hook: 'sockmap', retval: verdict === 'drop' ? 0 : SK_PASS, data };
}

function sharesAddress(a: InetSock, b: InetSock): boolean {
  const same = a.family === b.family && a.protocol === b.protocol && a.local.port === b.local.port;
  return same && a.remote === undefined && a.local.address.every((byte, i) => byte === b.local.address[i]);
}

const swap16 = (value: number): number => ((value & 0xff) << 8) | (value >> 8);

/** A number that tells flows of packets apart (Fibonacci hashing of the ports). */
function hashOf(from: number, to: number): number {
  return Math.imul((from << 16) | to, 0x61c88647) >>> 0;
}
