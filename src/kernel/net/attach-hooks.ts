/**
 * Programs whose events the simulation does not bring about by itself: on a network namespace, on sockets, on routes, as
 * operations of a kernel structure. Whoever wants the event triggers it, with the context's fields and the packet; it then
 * runs where Linux runs it. Models the call sites of net/core/filter.c, net/core/skmsg.c, net/core/flow_dissector.c,
 * net/core/lwt_bpf.c and net/ipv4/inet_hashtables.c as far as programs see them.
 */
import { contextOf } from '../../abi/context/index.js';
import { type ContextLayout, offsetOf } from '../../abi/context/layout.js';
import { FLOW_KEYS, SK_BUFF } from '../../abi/context/skb.js';
import { ProgType, progTypeName } from '../../abi/prog-types.js';
import type { Region } from '../../vm/index.js';
import type { BpfLink } from '../bpf/link.js';
import type { BpfProg } from '../bpf/prog.js';
import { pin, unpin } from '../bpf/recursion.js';
import { type EventStart, runProgFlow } from '../bpf/run-prog.js';
import { runTrampolineProg } from '../bpf/trampoline.js';
import { SyscallError, UnsupportedError } from '../errors.js';
import type { Flow } from '../sched/flow.js';
import type { Tracing } from '../trace/bpf-trace.js';
import type { ProbeArg } from '../trace/probes.js';
import type { NetDevice, NetDevices } from './attach-device.js';
import { fillSkb } from './attach-skb.js';

/** What a triggered event gives its program. */
export interface TriggerInput {
  /** 32- and 64-bit fields of the context by name. */
  readonly fields?: Readonly<Record<string, number | bigint>>;
  /** The packet, from its Ethernet header on; for contexts with `data` pointers of 64 bits, what they point to. */
  readonly data?: Uint8Array;
  /** Arguments of a struct_ops operation. */
  readonly args?: readonly ProbeArg[];
}

export interface TriggerResult {
  /** r0, 32 bits signed. */
  readonly retval: number;
  /** The context's fields afterwards: numbers of 32 bits and less, of arrays the first element. */
  readonly fields: Readonly<Record<string, number>>;
  /** The packet or the data afterwards. */
  readonly data?: Uint8Array;
}

/** Where an event of a type happens: in the softirq that receives, or in the task that calls, which is then pinned. */
export function triggeredIn(type: ProgType): 'softirq' | 'task' {
  return TASK_TYPES.includes(type) ? 'task' : 'softirq';
}

const TASK_TYPES: readonly ProgType[] = [
  ProgType.sk_msg,
  ProgType.lwt_out,
  ProgType.lwt_xmit,
  ProgType.struct_ops,
  ProgType.syscall,
  ProgType.lirc_mode2,
];
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
const DATA_FIELDS = [
  ['data', 'data_end'],
  ['skb_data', 'skb_data_end'],
] as const;
const MAX_CONTEXT = 0xffff;

export class NetHooks {
  private readonly netns: BpfProg[] = [];

  constructor(
    private readonly tracing: Tracing,
    private readonly devices: NetDevices,
  ) {}

  attach(link: BpfLink): () => void {
    const single = link.prog.type === ProgType.flow_dissector;
    if (single && this.netns.some(({ type }) => type === link.prog.type)) {
      throw SyscallError.of('EEXIST', 'the namespace has a flow dissector', { symbol: link.prog.name });
    }
    this.netns.push(link.prog);
    return () => {
      this.netns.splice(this.netns.indexOf(link.prog), 1);
    };
  }

  /** Programs of the namespace, of a type. */
  inNetns(type: ProgType): BpfProg[] {
    return this.netns.filter((prog) => prog.type === type);
  }

  /** The event happens here. Throws `UnsupportedError` for types that have attach points of their own. */
  *trigger(prog: BpfProg, input: TriggerInput): Flow<TriggerResult> {
    if (SKB_TYPES.includes(prog.type)) return yield* this.withPacket(prog, input);
    if (prog.type === ProgType.struct_ops) return yield* this.operation(prog, input.args ?? []);
    const layout = contextOf(prog.type);
    if (layout === undefined && prog.type !== ProgType.syscall) {
      const what = `programs of type ${progTypeName(prog.type)} cannot be triggered`;
      throw new UnsupportedError('UNSUPPORTED_ATTACH', what, { symbol: prog.name });
    }
    return yield* layout === undefined ? this.withBytes(prog, input) : this.withContext(prog, layout, input);
  }

  private *run(prog: BpfProg, start: EventStart): Flow<number> {
    const { sched } = this.tracing.kernel;
    const task = triggeredIn(prog.type) === 'task' || prog.type === ProgType.flow_dissector;
    sched.current.rcuDepth++;
    if (task) pin(sched, 'pinSimple', 'bpf_prog_run_pin_on_cpu');
    const { r0 } = yield* runProgFlow(this.tracing.kernel, prog, start);
    if (task) unpin(sched, 'pinSimple');
    sched.current.rcuDepth--;
    yield* sched.resched();
    return Number(BigInt.asIntN(32, r0));
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
    const retval = yield* this.run(prog, { args: [context.address] });
    const after = context.bytes.slice(0, data.length);
    memory.give(context);
    return { retval, fields: {}, data: after };
  }

  private *withContext(prog: BpfProg, layout: ContextLayout, input: TriggerInput): Flow<TriggerResult> {
    const { memory } = this.tracing;
    const context = memory.take(Math.max(8, layout.size));
    const { data } = input;
    const buffer = data === undefined ? undefined : memory.take(Math.max(1, data.length));
    memory.putFields(context, layout, input.fields ?? {});
    if (buffer !== undefined) this.point(prog, layout, context, buffer, data!);
    const retval = yield* this.run(prog, { args: [context.address] });
    const fields = kernelFields(layout, context);
    const after = buffer?.bytes.slice(0, data!.length);
    memory.give(context);
    if (buffer !== undefined) memory.give(buffer);
    return { retval, fields, ...(after !== undefined && { data: after }) };
  }

  private point(
    prog: BpfProg,
    layout: ContextLayout,
    context: Region,
    buffer: Region,
    data: Uint8Array,
  ): void {
    const pair = DATA_FIELDS.find(([start]) => layout.fields.some((f) => f.name === start && f.size === 8));
    if (pair === undefined) {
      throw SyscallError.of('EINVAL', `${progTypeName(prog.type)} programs take no data`, {
        symbol: prog.name,
      });
    }
    buffer.bytes.set(data);
    const { view } = this.tracing.kernel.memory;
    view.setBigUint64(context.address32 + offsetOf(layout, pair[0]), buffer.address, true);
    view.setBigUint64(
      context.address32 + offsetOf(layout, pair[1]),
      buffer.address + BigInt(data.length),
      true,
    );
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
    const start = { args: [skb.context.address], packet, net: { skb } };
    const retval = yield* this.run(prog, start);
    const fields = keys === undefined ? kernelFields(SK_BUFF, skb.context) : kernelFields(FLOW_KEYS, keys);
    if (keys !== undefined) memory.give(keys);
    const data = skb.contents();
    skbs.give(skb);
    return { retval, fields, data };
  }
}

const ETH_HLEN = 14;

/** Fields of at most 32 bits by name; of an array, its first element. */
function kernelFields(layout: ContextLayout, context: Region): Record<string, number> {
  const { bytes } = context;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const fields: Record<string, number> = {};
  for (const { name, offset, size } of layout.fields) {
    if (size === 1) fields[name] = view.getUint8(offset);
    else if (size === 2) fields[name] = view.getUint16(offset, true);
    else if (size === 4) fields[name] = view.getUint32(offset, true);
  }
  return fields;
}
