/**
 * Test runs whose context Linux makes up of another one that the caller gives: flow dissectors and socket look-ups. Models
 * net/bpf/test_run.c of Linux 6.18.
 */

import { offsetOf } from '../../abi/context/layout.js';
import { FLOW_KEYS, SK_BUFF } from '../../abi/context/skb.js';
import { SK_LOOKUP } from '../../abi/context/sock.js';
import { ETH_HLEN, SK_DROP, SK_PASS } from '../../abi/packet.js';
import { SyscallError } from '../errors.js';
import type { Machine } from '../machine.js';
import { MAX_LINEAR, SkBuff } from '../net/skb.js';
import { SocketFamily } from '../net/sock.js';
import type { BpfProg } from './prog.js';
import type { RunContext } from './run-context.js';
import { runProg } from './run-prog.js';
import { contextBytes, requireInput, type TestRunAttr, type TestRunResult } from './test-run-types.js';

/** What a test run is given, with what belongs to the run. */
export interface RunningAttr extends TestRunAttr {
  readonly run: RunContext;
}

const FLOW_FLAGS = 7;

/** The packet from its Ethernet header on, and keys that the program fills; they come back as the data. */
export function testRunFlowDissector(kernel: Machine, prog: BpfProg, attr: RunningAttr): TestRunResult {
  const frame = attr.dataIn ?? new Uint8Array(0);
  requireInput(frame.length >= ETH_HLEN, prog, `a packet has at least ${ETH_HLEN} bytes`);
  requireInput(
    frame.length <= MAX_LINEAR,
    prog,
    `a packet has at most ${MAX_LINEAR} bytes, not ${frame.length}`,
  );
  const given = attr.ctxIn === undefined ? undefined : contextBytes(prog, attr.ctxIn, FLOW_KEYS.size);
  const flagsAt = offsetOf(FLOW_KEYS, 'flags');
  const others = given?.some((byte, i) => byte !== 0 && (i < flagsAt || i >= flagsAt + 4)) ?? false;
  const flags = given === undefined ? 0 : new DataView(given.buffer).getUint32(flagsAt, true);
  requireInput(!others && (flags & ~FLOW_FLAGS) === 0, prog, 'ctx_in: only known flags may be set');
  const skb = kernel.net.takeSkb(() => new SkBuff(kernel.memory));
  const keys = kernel.engine.alloc(FLOW_KEYS.size, 'readwrite');
  try {
    skb.pointers.show(prog.verified);
    skb.fill(frame);
    skb.bare = true;
    skb.networkHeader = skb.data + ETH_HLEN;
    skb.sync();
    const { view } = kernel.memory;
    const key = (name: string): number => keys.address32 + offsetOf(FLOW_KEYS, name);
    view.setBigUint64(skb.context.address32 + offsetOf(SK_BUFF, 'flow_keys'), keys.address, true);
    view.setUint16(key('n_proto'), view.getUint16(skb.data + 12, true), true);
    view.setUint16(key('nhoff'), ETH_HLEN, true);
    view.setUint16(key('thoff'), ETH_HLEN, true);
    view.setUint32(key('flags'), flags, true);
    const packet = { region: skb.region, networkOffset: ETH_HLEN };
    const { r0, instructions } = runProg(kernel, prog, { args: [skb.context.address], packet }, attr);
    const within = (value: number, least: number): number => Math.min(Math.max(value, least), frame.length);
    const after = kernel.memory.view;
    const nhoff = within(after.getUint16(key('nhoff'), true), ETH_HLEN);
    after.setUint16(key('nhoff'), nhoff, true);
    after.setUint16(key('thoff'), within(after.getUint16(key('thoff'), true), nhoff), true);
    return { retval: Number(r0 & 0xffffffffn), r0, instructions, dataOut: keys.bytes.slice() };
  } finally {
    kernel.engine.free(keys);
  }
}

/** The look-up that the context describes; afterwards it names the socket that was chosen. */
export function testRunSkLookup(kernel: Machine, prog: BpfProg, attr: RunningAttr): TestRunResult {
  requireInput((attr.dataIn?.length ?? 0) === 0, prog, 'sk_lookup programs take no data');
  requireInput(attr.ctxIn !== undefined, prog, 'a look-up needs a context');
  const bytes = contextBytes(prog, attr.ctxIn!, SK_LOOKUP.size);
  const view = new DataView(bytes.buffer);
  const word = (name: string): number => view.getUint32(offsetOf(SK_LOOKUP, name), true);
  requireInput(view.getBigUint64(0, true) === 0n, prog, 'ctx_in: sk must be 0');
  requireInput(word('ingress_ifindex') === 0, prog, 'ctx_in: ingress_ifindex must be 0');
  const refuse = (errno: 'ERANGE' | 'EAFNOSUPPORT', why: string): never => {
    throw SyscallError.of(errno, why, { symbol: prog.name });
  };
  if (word('local_port') > 0xffff) refuse('ERANGE', `ctx_in: ${word('local_port')} is no port`);
  const family = word('family') & 0xffff;
  if (family !== SocketFamily.AF_INET && family !== SocketFamily.AF_INET6) {
    refuse('EAFNOSUPPORT', `ctx_in: address family ${family} is not looked up`);
  }
  attr.run.lookupFamily = family;
  attr.run.lookupProtocol = word('protocol') & 0xffff;
  const context = kernel.engine.alloc(SK_LOOKUP.size, 'readwrite');
  try {
    context.bytes.set(bytes);
    const { r0, instructions } = runProg(kernel, prog, { args: [context.address] }, attr);
    const { selected } = attr.run;
    view.setBigUint64(0, selected?.cookie ?? 0n, true);
    const passes = Number(r0 & 0xffffffffn) === SK_PASS || selected !== undefined;
    return { retval: passes ? SK_PASS : SK_DROP, r0, instructions, ctxOut: bytes };
  } finally {
    kernel.engine.free(context);
  }
}
