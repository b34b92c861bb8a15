/**
 * One run of a program whose context is a structure of the network: made up of fields, run where Linux runs programs of
 * its type, read back. Models `bpf_prog_run_pin_on_cpu` (include/linux/filter.h).
 */
import { type ContextLayout, offsetOf } from '../../abi/context/layout.js';
import { ProgFlag } from '../../abi/prog-flags.js';
import { ProgType, progTypeName } from '../../abi/prog-types.js';
import type { Region } from '../../vm/index.js';
import type { BpfProg } from '../bpf/prog.js';
import { pin, unpin } from '../bpf/recursion.js';
import type { RunContext } from '../bpf/run-context.js';
import { type EventStart, runProgFlow } from '../bpf/run-prog.js';
import { SyscallError } from '../errors.js';
import type { Flow } from '../sched/flow.js';
import type { Tracing } from '../trace/bpf-trace.js';

/** What a context is made of. */
export interface ContextInput {
  /** 32- and 64-bit fields by name. */
  readonly fields?: Readonly<Record<string, number | bigint>>;
  /** Fields of any size, as they lie in memory. */
  readonly bytes?: Readonly<Record<string, Uint8Array>>;
  /** What the context's `data` pointers of 64 bits lead to. */
  readonly data?: Uint8Array;
  /** What helpers ask about the event; changed by the run. */
  readonly run?: RunContext;
}

export interface ContextOutput {
  /** r0, 32 bits signed. */
  readonly retval: number;
  /** The context's fields afterwards: numbers of 32 bits and less, of arrays the first element. */
  readonly fields: Readonly<Record<string, number>>;
  /** What lies between the context's pointers afterwards. */
  readonly data?: Uint8Array;
}

/** Where an event of a type happens: in the softirq that receives, or in the task that calls. */
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
  ProgType.sock_ops,
];
/** Run by `bpf_prog_run_pin_on_cpu` or an array's macro; the others rely on their softirq. */
const PINNED: readonly ProgType[] = [
  ...TASK_TYPES,
  ProgType.flow_dissector,
  ProgType.netfilter,
  ProgType.sk_lookup,
  ProgType.sk_skb,
];
const DATA_FIELDS = [
  ['data', 'data_end'],
  ['skb_data', 'skb_data_end'],
] as const;

/** One run: RCU (for those that may sleep the tasks' own), the task pinned where the type asks for it; r0 as 32 bits signed. */
export function* runOnce(tracing: Tracing, prog: BpfProg, start: EventStart): Flow<number> {
  const { kernel } = tracing;
  const { sched, rcuTasksTrace } = kernel;
  const pinned = PINNED.includes(prog.type);
  const sleepable = (prog.progFlags & ProgFlag.BPF_F_SLEEPABLE) !== 0;
  if (sleepable) rcuTasksTrace.readLock();
  else sched.current.rcuDepth++;
  if (pinned) pin(sched, 'pinSimple', 'bpf_prog_run_pin_on_cpu');
  const { r0 } = yield* runProgFlow(kernel, prog, start);
  if (pinned) unpin(sched, 'pinSimple');
  if (sleepable) rcuTasksTrace.readUnlock();
  else sched.current.rcuDepth--;
  yield* sched.resched();
  return Number(BigInt.asIntN(32, r0));
}

/** The same on a context that is made for the run. Throws `SyscallError` (EINVAL) for data where the context has no place. */
export function* runOnContext(
  tracing: Tracing,
  prog: BpfProg,
  layout: ContextLayout,
  input: ContextInput,
): Flow<ContextOutput> {
  const { memory } = tracing;
  const context = memory.take(Math.max(8, layout.size));
  const { data } = input;
  const buffer = data === undefined ? undefined : memory.take(Math.max(1, data.length));
  memory.putFields(context, layout, input.fields ?? {});
  for (const [name, bytes] of Object.entries(input.bytes ?? {}))
    context.bytes.set(bytes, offsetOf(layout, name));
  if (buffer !== undefined) pointTo(tracing, prog, layout, { context, buffer, data: data! });
  const start = { ...tracing.start(context.address), run: input.run ?? {} };
  const retval = yield* runOnce(tracing, prog, start);
  const fields = fieldsOf(layout, context);
  const after = buffer?.bytes.slice(0, data!.length);
  memory.give(context);
  if (buffer !== undefined) memory.give(buffer);
  return { retval, fields, ...(after !== undefined && { data: after }) };
}

function pointTo(
  { kernel }: Tracing,
  prog: BpfProg,
  layout: ContextLayout,
  { context, buffer, data }: { readonly context: Region; readonly buffer: Region; readonly data: Uint8Array },
): void {
  const pair = DATA_FIELDS.find(([start]) => layout.fields.some((f) => f.name === start && f.size === 8));
  if (pair === undefined) {
    throw SyscallError.of('EINVAL', `${progTypeName(prog.type)} programs take no data`, {
      symbol: prog.name,
    });
  }
  buffer.bytes.set(data);
  const { view } = kernel.memory;
  const at = (name: string): number => context.address32 + offsetOf(layout, name);
  view.setBigUint64(at(pair[0]), buffer.address, true);
  view.setBigUint64(at(pair[1]), buffer.address + BigInt(data.length), true);
}

/** Fields of at most 32 bits by name; of an array, its first element. */
export function fieldsOf(layout: ContextLayout, context: Region): Record<string, number> {
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
