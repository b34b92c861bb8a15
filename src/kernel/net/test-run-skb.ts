/** Test runs of programs that work on a socket buffer. Models `bpf_prog_test_run_skb` in net/bpf/test_run.c of Linux 6.18. */

import { offsetOf } from '../../abi/context/layout.js';
import { SK_BUFF, SOCK } from '../../abi/context/skb.js';
import {
  ETH_HLEN,
  ETH_P_802_2,
  ETH_P_802_3,
  ETH_P_IP,
  ETH_P_IPV6,
  PACKET_MULTICAST,
  PACKET_OTHERHOST,
} from '../../abi/packet.js';
import { ProgType } from '../../abi/prog-types.js';
import { TcAction } from '../../abi/tc.js';
import type { BpfProg } from '../bpf/prog.js';
import { runProg } from '../bpf/run-prog.js';
import { contextBytes, requireInput, type TestRunAttr, type TestRunResult } from '../bpf/test-run-types.js';
import { SyscallError } from '../errors.js';
import type { Machine } from '../machine.js';
import { MAX_LINEAR, SkBuff } from './skb.js';
import { SocketState } from './sock.js';

const AF_INET = 2;
const AF_INET6 = 10;
const IPV4_HEADER = 20;
const IPV6_HEADER = 40;
const LOOPBACK_IFINDEX = 1;
const GSO_LEGACY_MAX_SIZE = 65536;
const GSO_MAX_SEGS = 65535;

/** Programs that see the Ethernet header; for the others the packet starts at its network header. */
const L2_TYPES: readonly ProgType[] = [ProgType.sched_cls, ProgType.sched_act];

/** Fields of `__sk_buff` that a context may set; all others have to be zero. */
const SETTABLE: readonly string[] = [
  'mark',
  'priority',
  'ingress_ifindex',
  'ifindex',
  'cb',
  'tstamp',
  'wire_len',
  'gso_segs',
  'gso_size',
  'hwtstamp',
];

/** What the context shows afterwards. */
const SHOWN: readonly string[] = [...SETTABLE.filter((name) => name !== 'gso_size'), 'gso_size'];

export function testRunSkb(kernel: Machine, prog: BpfProg, attr: TestRunAttr): TestRunResult {
  const frame = attr.dataIn ?? new Uint8Array(0);
  requireInput(frame.length >= ETH_HLEN, prog, `a packet has at least ${ETH_HLEN} bytes`);
  requireInput(
    frame.length <= MAX_LINEAR,
    prog,
    `a packet has at most ${MAX_LINEAR} bytes, not ${frame.length}`,
  );
  const context = attr.ctxIn === undefined ? undefined : contextBytes(prog, attr.ctxIn, SK_BUFF.size);
  const skb = kernel.net.takeSkb(() => new SkBuff(kernel.memory));
  const l2 = L2_TYPES.includes(prog.type);
  skb.pointers.show(prog.verified);
  receive(skb, frame, prog, l2);
  if (context !== undefined) applyContext(skb, context, prog);
  skb.sync();
  const packet = { region: skb.region, networkOffset: skb.networkHeader - skb.data };
  const start = { args: [skb.context.address], packet };
  const { r0, instructions } = runProg(kernel, prog, start, attr);
  if (!l2) {
    // The packet is given back with a header, but not with the one that it came with.
    skb.push(ETH_HLEN);
    kernel.memory.u8.fill(0, skb.data, skb.data + ETH_HLEN);
  }
  const retval = Number(r0 & 0xffffffffn);
  const { redirect } = kernel.net;
  const redirected = L2_TYPES.includes(prog.type) && retval === TcAction.TC_ACT_REDIRECT;
  return {
    retval,
    r0,
    instructions,
    dataOut: skb.contents(),
    ...(context === undefined ? {} : { ctxOut: contextAfter(skb, context) }),
    ...(redirected && redirect !== undefined ? { redirect } : {}),
  };
}

/** As if the loopback device had received the frame. */
function receive(skb: SkBuff, frame: Uint8Array, prog: BpfProg, l2: boolean): void {
  skb.fill(frame);
  const type = (frame[12]! << 8) | frame[13]!;
  const protocol =
    type >= 0x600 ? type : frame[14] === 0xff && frame[15] === 0xff ? ETH_P_802_3 : ETH_P_802_2;
  const toUs = frame.subarray(0, 6).every((byte) => byte === 0);
  skb.set('pkt_type', toUs ? 0 : (frame[0]! & 1) === 1 ? PACKET_MULTICAST : PACKET_OTHERHOST);
  skb.set('protocol', ((protocol & 0xff) << 8) | (protocol >> 8));
  skb.set('ifindex', LOOPBACK_IFINDEX);
  skb.pull(ETH_HLEN);
  skb.networkHeader = skb.data;
  fillSocket(skb, protocol, prog);
  const { view } = skb;
  view.setBigUint64(skb.context.address32 + offsetOf(SK_BUFF, 'sk'), skb.socket.address, true);
  if (l2) skb.push(ETH_HLEN);
}

/** The packet's socket has the packet's addresses: its source is ours, as far as Linux's test run goes. */
function fillSocket(skb: SkBuff, protocol: number, prog: BpfProg): void {
  const socket = skb.socket.address32;
  const { view, u8 } = skb;
  const header = skb.networkHeader;
  view.setUint32(socket + offsetOf(SOCK, 'state'), SocketState.CLOSE, true);
  view.setUint32(socket + offsetOf(SOCK, 'rx_queue_mapping'), 0xffffffff, true);
  if (protocol === ETH_P_IP) {
    requireInput(skb.length >= IPV4_HEADER, prog, 'the packet ends in its IPv4 header');
    view.setUint32(socket + offsetOf(SOCK, 'family'), AF_INET, true);
    u8.copyWithin(socket + offsetOf(SOCK, 'src_ip4'), header + 12, header + 16);
    u8.copyWithin(socket + offsetOf(SOCK, 'dst_ip4'), header + 16, header + 20);
  } else if (protocol === ETH_P_IPV6) {
    requireInput(skb.length >= IPV6_HEADER, prog, 'the packet ends in its IPv6 header');
    view.setUint32(socket + offsetOf(SOCK, 'family'), AF_INET6, true);
    u8.copyWithin(socket + offsetOf(SOCK, 'src_ip6'), header + 8, header + 24);
    u8.copyWithin(socket + offsetOf(SOCK, 'dst_ip6'), header + 24, header + 40);
  }
}

function applyContext(skb: SkBuff, context: Uint8Array, prog: BpfProg): void {
  const view = new DataView(context.buffer);
  const u32 = (name: string) => view.getUint32(offsetOf(SK_BUFF, name), true);
  for (const { name, offset, size, count } of SK_BUFF.fields) {
    const given = context.subarray(offset, offset + size * count).some((byte) => byte !== 0);
    requireInput(!given || SETTABLE.includes(name), prog, `ctx_in: ${name} must be 0`);
  }
  const ifindex = u32('ifindex');
  if (ifindex > LOOPBACK_IFINDEX) {
    throw SyscallError.of('ENODEV', `ctx_in: there is no interface ${ifindex}`, { symbol: prog.name });
  }
  const wireLength = u32('wire_len');
  const wireOk = wireLength === 0 || (wireLength >= skb.length && wireLength <= GSO_LEGACY_MAX_SIZE);
  requireInput(
    wireOk,
    prog,
    `ctx_in: wire_len ${wireLength} is not within ${skb.length} and ${GSO_LEGACY_MAX_SIZE}`,
  );
  requireInput(u32('gso_segs') <= GSO_MAX_SEGS, prog, `ctx_in: gso_segs is more than ${GSO_MAX_SEGS}`);
  for (const name of SETTABLE) {
    if (name === 'ifindex') continue;
    const field = SK_BUFF.fields.find((f) => f.name === name)!;
    const bytes = context.subarray(field.offset, field.offset + field.size * field.count);
    skb.u8.set(bytes, skb.context.address32 + field.offset);
  }
  if (wireLength === 0) skb.set('wire_len', skb.length);
}

function contextAfter(skb: SkBuff, given: Uint8Array): Uint8Array {
  const after = given.slice();
  for (const name of SHOWN) {
    const { offset, size, count } = SK_BUFF.fields.find((f) => f.name === name)!;
    after.set(skb.context.bytes.subarray(offset, offset + size * count), offset);
  }
  return after;
}
