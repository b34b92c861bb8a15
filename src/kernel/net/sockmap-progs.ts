/**
 * Programs on socket maps: on messages that a socket of the map sends (sk_msg), and on what one receives (a parser that
 * says where a message ends, a verdict on it). Models net/core/skmsg.c and net/ipv4/tcp_bpf.c of Linux 6.18 as far as
 * programs see them.
 */

import { AttachType, attachTypeName } from '../../abi/attach-types.js';
import { SK_MSG_MD } from '../../abi/context/sock.js';
import { SK_PASS } from '../../abi/packet.js';
import { ProgType } from '../../abi/prog-types.js';
import type { BpfLink } from '../bpf/link.js';
import type { BpfMap } from '../bpf/map.js';
import type { BpfProg } from '../bpf/prog.js';
import type { RunContext, SkMsg } from '../bpf/run-context.js';
import { isSockTarget } from '../bpf/sock-maps.js';
import { SyscallError } from '../errors.js';
import type { Flow } from '../sched/flow.js';
import type { Tracing } from '../trace/bpf-trace.js';
import { runOnContext, runOnce } from './context-run.js';
import type { InetSock } from './inet-sock.js';
import type { MessagePart } from './packet-result.js';
import type { SkBuff } from './skb.js';
import { type Sock, SocketFamily } from './sock.js';

/** The places that a map has for programs. */
const PLACES = ['msg', 'parser', 'verdict'] as const;
type Place = (typeof PLACES)[number];
type MapProgs = Partial<Record<Place, BpfProg>>;

/** Messages whose decision waits, or has been taken in advance. */
interface Pending {
  /** Sent, and waiting until there are `cork` bytes. */
  corked: Uint8Array;
  cork: number;
  /** Bytes to which the last verdict still applies. */
  apply: number;
  last: Omit<MessagePart, 'data'> | undefined;
  /** Received, and waiting for the rest of a message. */
  partial: Uint8Array;
}

export class SockmapProgs {
  private readonly ofMap = new WeakMap<object, MapProgs>();
  private readonly pending = new WeakMap<InetSock, Pending>();

  constructor(private readonly tracing: Tracing) {}

  /** Throws `SyscallError`: EINVAL for a map that is none of sockets, EBUSY for a verdict beside another kind of verdict. */
  attach(link: BpfLink, map: BpfMap): () => void {
    const { prog } = link;
    const symbol = { symbol: prog.name };
    if (!isSockTarget(map) || map.type === undefined)
      throw SyscallError.of('EINVAL', `map ${map.name} is no map of sockets`, symbol);
    const place = placeOf(prog);
    const progs = this.ofMap.get(map) ?? {};
    this.ofMap.set(map, progs);
    const { verdict } = progs;
    if (
      place === 'verdict' &&
      verdict !== undefined &&
      verdict.expectedAttachType !== prog.expectedAttachType
    )
      throw SyscallError.of(
        'EBUSY',
        `map ${map.name} has a ${attachTypeName(verdict.expectedAttachType)}`,
        symbol,
      );
    progs[place] = prog;
    return () => {
      if (progs[place] === prog) delete progs[place];
    };
  }

  /** Whether programs look at what a socket receives. */
  receives(sock: Sock): boolean {
    return this.progsOf(sock)?.verdict !== undefined;
  }

  /** sendmsg() on a socket: what becomes of the message, part by part; nothing while it is held back. */
  *send(sock: InetSock, message: Uint8Array): Flow<MessagePart[]> {
    const prog = this.progsOf(sock)?.msg;
    if (prog === undefined) return [{ verdict: 'pass', data: message }];
    const pending = this.pendingOf(sock);
    let data = join(pending.corked, message);
    pending.corked = NOTHING;
    const parts: MessagePart[] = [];
    while (data.length > 0) {
      if (data.length < pending.cork) {
        pending.corked = data;
        break;
      }
      pending.cork = 0;
      if (pending.last === undefined || pending.apply === 0) {
        const decided = yield* this.decide(prog, sock, data);
        data = decided.data;
        if (decided.corkBytes > data.length) {
          pending.cork = decided.corkBytes;
          continue;
        }
        pending.apply = decided.applyBytes;
        pending.last = decided.part;
      }
      const length = pending.apply === 0 ? data.length : Math.min(pending.apply, data.length);
      parts.push({ ...pending.last, data: data.subarray(0, length) });
      pending.apply = Math.max(0, pending.apply - length);
      data = data.subarray(length);
    }
    return parts;
  }

  /** sk_psock_msg_verdict. */
  private *decide(prog: BpfProg, sock: InetSock, data: Uint8Array) {
    const msg: SkMsg = { data, applyBytes: 0, corkBytes: 0 };
    const run: RunContext = { sock, msg };
    const input = { ...addresses(sock), data, run };
    const fields = { ...input.fields, size: data.length };
    const { retval, data: after } = yield* runOnContext(this.tracing, prog, SK_MSG_MD, { ...input, fields });
    // A program without helpers changes the message where it lies.
    const whole = msg.data === data ? (after ?? data) : msg.data;
    return {
      part: verdictOf(retval, run),
      data: whole,
      applyBytes: msg.applyBytes,
      corkBytes: msg.corkBytes,
    };
  }

  /** What a socket has received, as a packet from its payload on: sk_psock_strp_read, or sk_psock_verdict_recv. */
  *receive(sock: InetSock, skb: SkBuff): Flow<MessagePart[]> {
    const { parser, verdict } = this.progsOf(sock) ?? {};
    if (verdict === undefined) return [{ verdict: 'pass', data: skb.contents() }];
    const parts: MessagePart[] = [];
    const pending = this.pendingOf(sock);
    const streams = parser !== undefined && verdict.expectedAttachType !== AttachType.sk_skb_verdict;
    let data = join(streams ? pending.partial : NOTHING, skb.contents());
    pending.partial = NOTHING;
    while (data.length > 0) {
      const length = streams ? (yield* this.onData(parser, sock, skb, data)).retval : data.length;
      if (length < 0) break;
      if (length === 0 || length > data.length) {
        pending.partial = data;
        break;
      }
      const { retval, run } = yield* this.onData(verdict, sock, skb, data.subarray(0, length));
      parts.push({ ...verdictOf(retval, run), data: skb.contents() });
      data = data.subarray(length);
    }
    return parts;
  }

  private *onData(prog: BpfProg, sock: InetSock, skb: SkBuff, data: Uint8Array) {
    skb.fill(data);
    skb.networkHeader = skb.data;
    skb.pointers.show(prog.verified);
    skb.sync();
    const run: RunContext = { sock };
    const packet = { region: skb.region, networkOffset: 0 };
    const start = { args: [skb.context.address], packet, net: { skb }, run };
    return { retval: yield* runOnce(this.tracing, prog, start), run };
  }

  private progsOf(sock: Sock): MapProgs | undefined {
    return sock.socketMap === undefined ? undefined : this.ofMap.get(sock.socketMap);
  }

  private pendingOf(sock: InetSock): Pending {
    let pending = this.pending.get(sock);
    if (pending === undefined) {
      pending = { corked: NOTHING, cork: 0, apply: 0, last: undefined, partial: NOTHING };
      this.pending.set(sock, pending);
    }
    return pending;
  }
}

const NOTHING = new Uint8Array(0);

function placeOf(prog: BpfProg): Place {
  if (prog.type === ProgType.sk_msg) return 'msg';
  return prog.expectedAttachType === AttachType.sk_skb_stream_parser ? 'parser' : 'verdict';
}

function join(a: Uint8Array, b: Uint8Array): Uint8Array {
  if (a.length === 0) return b;
  const both = new Uint8Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}

/** sk_psock_map_verd: a program that passes may have chosen who gets it. */
function verdictOf(retval: number, { redirectedTo }: RunContext): Omit<MessagePart, 'data'> {
  if (retval !== SK_PASS) return { verdict: 'drop' };
  if (redirectedTo === undefined) return { verdict: 'pass' };
  return { verdict: 'redirect', to: redirectedTo.sock, ingress: (redirectedTo.flags & 1) !== 0 };
}

/** A socket's addresses as `sk_msg_md`, `bpf_sock_ops` and their kin have them: ports in the order that each has. */
export function addresses(sock: InetSock) {
  const v6 = sock.family === SocketFamily.AF_INET6;
  const { local, remote } = sock;
  const bytes: Record<string, Uint8Array> = { [v6 ? 'local_ip6' : 'local_ip4']: local.address };
  if (remote !== undefined) bytes[v6 ? 'remote_ip6' : 'remote_ip4'] = remote.address;
  const port = remote?.port ?? 0;
  const fields = {
    family: sock.family,
    local_port: local.port,
    // The network's order, in the upper half of the word as `skc_dport << 16` gives it.
    remote_port: ((((port & 0xff) << 8) | (port >> 8)) << 16) >>> 0,
    sk: sock.address,
  };
  return { bytes, fields };
}
