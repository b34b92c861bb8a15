/**
 * The event of any program of the network, of a kernel structure's operations and of syscall programs, brought about by
 * hand: whoever wants it gives the context's fields and the packet, and it runs where Linux runs it. The events that the
 * simulation brings about by itself are those of `attach-*.ts` beside this.
 */

import { contextOf } from '../../abi/context/index.js';
import { FLOW_KEYS, SK_BUFF } from '../../abi/context/skb.js';
import { ETH_HLEN } from '../../abi/packet.js';
import { ProgType, progTypeName } from '../../abi/prog-types.js';
import type { BpfProg } from '../bpf/prog.js';
import { runTrampolineProg } from '../bpf/trampoline.js';
import { SyscallError, UnsupportedError } from '../errors.js';
import type { Flow } from '../sched/flow.js';
import type { Tracing } from '../trace/bpf-trace.js';
import type { ProbeArg } from '../trace/probes.js';
import type { NetDevice, NetDevices } from './attach-device.js';
import { fillSkb } from './attach-skb.js';
import {
  type ContextInput,
  type ContextOutput,
  fieldsOf,
  runOnContext,
  runOnce,
  triggeredIn,
} from './context-run.js';

/** What a triggered event gives its program; `data`: the packet, from its Ethernet header on. */
export interface TriggerInput extends ContextInput {
  /** Arguments of a struct_ops operation. */
  readonly args?: readonly ProbeArg[];
}

export type TriggerResult = ContextOutput;

const SKB_TYPES: readonly ProgType[] = [
  ProgType.socket_filter,
  ProgType.cgroup_skb,
  ProgType.lwt_in,
  ProgType.lwt_out,
  ProgType.lwt_xmit,
  ProgType.lwt_seg6local,
  ProgType.sk_skb,
  ProgType.flow_dissector,
];
/** Their packet begins with its Ethernet header. */
const L2_TYPES: readonly ProgType[] = [ProgType.flow_dissector];
const MAX_CONTEXT = 0xffff;

export class NetHooks {
  constructor(
    private readonly tracing: Tracing,
    private readonly devices: NetDevices,
  ) {}

  /** The event happens here. Throws `UnsupportedError` for types that have attach points of their own. */
  *trigger(prog: BpfProg, input: TriggerInput): Flow<TriggerResult> {
    if (SKB_TYPES.includes(prog.type)) return yield* this.withPacket(prog, input);
    if (prog.type === ProgType.struct_ops) return yield* this.operation(prog, input.args ?? []);
    if (prog.type === ProgType.syscall) return yield* this.withBytes(prog, input);
    const layout = contextOf(prog.type);
    if (layout !== undefined) return yield* runOnContext(this.tracing, prog, layout, input);
    const what = `programs of type ${progTypeName(prog.type)} cannot be triggered`;
    throw new UnsupportedError('UNSUPPORTED_ATTACH', what, { symbol: prog.name });
  }

  private *operation(prog: BpfProg, args: readonly ProbeArg[]): Flow<TriggerResult> {
    const { memory } = this.tracing;
    const context = memory.args(args);
    const r0 = yield* runTrampolineProg(this.tracing, prog, this.tracing.start(context.address));
    memory.give(context);
    return { retval: Number(BigInt.asIntN(32, r0)), fields: {} };
  }

  /** A syscall program's context is whatever its caller has. */
  private *withBytes(prog: BpfProg, { data = new Uint8Array(0) }: TriggerInput): Flow<TriggerResult> {
    const { memory } = this.tracing;
    if (data.length > MAX_CONTEXT) {
      throw SyscallError.of('EINVAL', `a context has at most ${MAX_CONTEXT} bytes`, { symbol: prog.name });
    }
    const context = memory.take(Math.max(8, data.length));
    context.bytes.set(data);
    const retval = yield* runOnce(this.tracing, prog, { args: [context.address] });
    const after = context.bytes.slice(0, data.length);
    memory.give(context);
    return { retval, fields: {}, data: after };
  }

  private *withPacket(prog: BpfProg, input: TriggerInput): Flow<TriggerResult> {
    const { memory } = this.tracing;
    const { skbs } = this.devices;
    const frame = input.data ?? new Uint8Array(0);
    if (frame.length < ETH_HLEN) {
      throw SyscallError.of('EINVAL', `a packet has at least ${ETH_HLEN} bytes`, { symbol: prog.name });
    }
    const device: NetDevice = this.devices.get('eth0');
    const skb = skbs.take();
    const outgoing = triggeredIn(prog.type) === 'task';
    fillSkb(skb, frame, { device, outgoing, l3: !L2_TYPES.includes(prog.type) });
    memory.putFields(skb.context, SK_BUFF, input.fields ?? {});
    const keys = prog.type === ProgType.flow_dissector ? memory.take(FLOW_KEYS.size) : undefined;
    if (keys !== undefined) {
      memory.putFields(keys, FLOW_KEYS, { nhoff: ETH_HLEN, n_proto: skb.get('protocol') });
      memory.putFields(skb.context, SK_BUFF, { flow_keys: keys.address });
    }
    skb.pointers.show(prog.verified);
    skb.sync();
    const packet = { region: skb.region, networkOffset: skb.networkHeader - skb.data };
    const start = { args: [skb.context.address], packet, net: { skb }, run: input.run ?? {} };
    const retval = yield* runOnce(this.tracing, prog, start);
    const fields = keys === undefined ? fieldsOf(SK_BUFF, skb.context) : fieldsOf(FLOW_KEYS, keys);
    if (keys !== undefined) memory.give(keys);
    const data = skb.contents();
    skbs.give(skb);
    return { retval, fields, data };
  }
}
