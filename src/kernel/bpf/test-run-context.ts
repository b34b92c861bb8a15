/**
 * Test runs of programs that get a context and no packet. Linux has them for raw tracepoints, sk_lookup and syscall
 * programs (net/bpf/test_run.c); the others run here in the same way: the context is what the caller gives, padded with
 * zeros to its structure's size, and comes back as the program left it.
 */
import { contextOf } from '../../abi/context/index.js';
import { type ContextLayout, offsetOf } from '../../abi/context/layout.js';
import { MAX_TRACE_SIZE, MAX_TRACING_ARGS } from '../../abi/context/tracing.js';
import { ProgType, progTypeName } from '../../abi/prog-types.js';
import { SyscallError } from '../errors.js';
import type { CallchainInput } from '../events/callchain.js';
import type { Machine } from '../machine.js';
import type { BpfProg } from './prog.js';
import { runProg } from './run-prog.js';
import { contextBytes, requireInput, type TestRunAttr, type TestRunResult } from './test-run-types.js';

/** Largest context of a syscall program. */
const MAX_SYSCALL_CONTEXT = 0xffff;
/**
 * Readable bytes in front of a tracepoint's record: Linux compares the offset of an access unsigned, so that it lets
 * programs read what its trace buffer holds before the record, as far as an instruction's offset reaches.
 */
const BEFORE_RECORD = 0x8000;
/** Types whose context is an array of arguments, as long as the attach point has them. */
const ARGUMENT_TYPES: readonly ProgType[] = [
  ProgType.raw_tracepoint,
  ProgType.raw_tracepoint_writable,
  ProgType.tracing,
  ProgType.lsm,
];
/** Types on which Linux repeats nothing. */
const ONCE: readonly ProgType[] = [
  ProgType.raw_tracepoint,
  ProgType.raw_tracepoint_writable,
  ProgType.tracing,
  ProgType.syscall,
];

export function testRunContext(kernel: Machine, prog: BpfProg, attr: TestRunAttr): TestRunResult {
  const { type } = prog;
  const { repeat = 0 } = attr;
  requireInput(repeat <= 1 || !ONCE.includes(type), prog, `${progTypeName(type)} programs do not repeat`);
  const layout = contextOf(type);
  const given = attr.ctxIn ?? new Uint8Array(0);
  const bytes = contextFor(prog, layout, given);
  const data = attr.dataIn ?? new Uint8Array(0);
  const [start, end] = dataFields(layout);
  requireInput(data.length === 0 || start !== undefined, prog, `${progTypeName(type)} programs take no data`);
  // A tracepoint's record may be read to the longest that there can be; what is not given is zero.
  const room = type === ProgType.tracepoint ? MAX_TRACE_SIZE : Math.max(8, bytes.length);
  const before = type === ProgType.tracepoint && prog.verified ? BEFORE_RECORD : 0;
  const context = kernel.engine.alloc(before + room, 'readwrite');
  const buffer = kernel.engine.alloc(data.length, 'readwrite');
  const at = context.address32 + before;
  try {
    kernel.memory.u8.set(bytes, at);
    if (layout !== undefined && start !== undefined && data.length > 0) {
      buffer.bytes.set(data);
      const { view } = kernel.memory;
      view.setBigUint64(at + offsetOf(layout, start), buffer.address, true);
      view.setBigUint64(at + offsetOf(layout, end!), buffer.address + BigInt(data.length), true);
    }
    const callchain = attr.callchain ?? interruptedAt(layout, bytes);
    const { r0, instructions } = runProg(
      kernel,
      prog,
      { args: [kernel.memory.addressOf(at)] },
      { ...attr, callchain },
    );
    return {
      retval: Number(r0 & 0xffffffffn),
      r0,
      instructions,
      ctxOut: kernel.memory.u8.slice(at, at + bytes.length),
      ...(data.length > 0 ? { dataOut: buffer.bytes.slice() } : {}),
    };
  } finally {
    kernel.engine.free(context);
    kernel.engine.free(buffer);
  }
}

/** Where registers say that something was interrupted, a stack trace has at least that place. */
function interruptedAt(layout: ContextLayout | undefined, context: Uint8Array): CallchainInput {
  const ip = layout?.fields.find(({ name }) => name === 'ip' || name === 'regs.ip');
  if (ip === undefined) return {};
  const address = new DataView(context.buffer).getBigUint64(ip.offset, true);
  if (address === 0n) return {};
  return address >> 63n === 1n ? { kernel: [address] } : { user: [address] };
}

/** The context that the program gets: exactly what is given where the attach point decides its size. */
function contextFor(prog: BpfProg, layout: ContextLayout | undefined, given: Uint8Array): Uint8Array {
  const { type } = prog;
  if (ARGUMENT_TYPES.includes(type)) {
    const most = MAX_TRACING_ARGS * 8;
    requireInput(
      given.length <= most,
      prog,
      `${given.length} bytes are more than ${MAX_TRACING_ARGS} arguments`,
    );
    if (type !== ProgType.tracing && type !== ProgType.lsm) requireWhole(prog, given);
    return contextBytes(prog, given, Math.ceil(given.length / 8) * 8);
  }
  if (layout !== undefined) return contextBytes(prog, given, layout.size);
  const most = type === ProgType.syscall ? MAX_SYSCALL_CONTEXT : MAX_TRACE_SIZE;
  requireInput(given.length <= most, prog, `a context has at most ${most} bytes, not ${given.length}`);
  if (type === ProgType.syscall) requireWhole(prog, given);
  return given.slice();
}

/** All that the program uses of a context has to be given. */
function requireWhole(prog: BpfProg, { length }: Uint8Array): void {
  const { maxCtxOffset = 0 } = prog;
  requireInput(
    length >= maxCtxOffset,
    prog,
    `the program uses ${maxCtxOffset} bytes of its context, not ${length}`,
  );
}

/** Names of the full pointers between which the context shows data. */
function dataFields(layout: ContextLayout | undefined): [string, string] | [undefined, undefined] {
  for (const [start, end] of [
    ['data', 'data_end'],
    ['optval', 'optval_end'],
    ['skb_data', 'skb_data_end'],
  ] as const) {
    if (layout?.fields.some((field) => field.name === start && field.size === 8) === true)
      return [start, end];
  }
  return [undefined, undefined];
}

/** Infrared decoders get a stream: every four bytes of the context are a sample, and the program runs on each. */
export function testRunSamples(kernel: Machine, prog: BpfProg, attr: TestRunAttr): TestRunResult {
  const samples = attr.ctxIn ?? new Uint8Array(0);
  if (samples.length === 0 || samples.length % 4 !== 0) {
    throw SyscallError.of('EINVAL', `${samples.length} bytes are no samples of 4 bytes`, {
      symbol: prog.name,
    });
  }
  const context = kernel.engine.alloc(4, 'readwrite');
  let instructions = 0;
  let r0 = 0n;
  try {
    for (let at = 0; at < samples.length; at += 4) {
      context.bytes.set(samples.subarray(at, at + 4));
      const result = runProg(kernel, prog, { args: [context.address] }, attr);
      instructions += result.instructions;
      r0 = result.r0;
    }
  } finally {
    kernel.engine.free(context);
  }
  return { retval: Number(r0 & 0xffffffffn), r0, instructions };
}
