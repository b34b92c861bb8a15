/** Helpers that send data to user space, and stacks. Models kernel/bpf/ringbuf.c, stackmap.c and kernel/trace/bpf_trace.c. */
import { Errno } from '../../../abi/errno.js';
import { PerfOutputFlag, StackFlag } from '../../../abi/map-flags.js';
import { type HelperCall, HelperFault } from '../../../vm/index.js';
import type { Machine } from '../../machine.js';
import { PerfEventArrayMap } from '../fd-array.js';
import { RingbufMap } from '../ringbuf.js';
import { MAX_STACK_DEPTH, StackMap } from '../stackmap.js';
import {
  addressHigh,
  E2BIG,
  EFAULT,
  EINVAL,
  ENOENT,
  EOPNOTSUPP,
  flagsArg,
  type HelperTable,
  mapArgOf,
  plainHelpers,
  setPointer,
  sizeArg,
} from './table.js';

const STACKID_FLAGS =
  StackFlag.BPF_F_SKIP_FIELD_MASK |
  StackFlag.BPF_F_USER_STACK |
  StackFlag.BPF_F_FAST_STACK_CMP |
  StackFlag.BPF_F_REUSE_STACKID;
const STACK_FLAGS =
  StackFlag.BPF_F_SKIP_FIELD_MASK | StackFlag.BPF_F_USER_STACK | StackFlag.BPF_F_USER_BUILD_ID;

export function outputHelpers(kernel: Machine): HelperTable {
  const high = addressHigh(kernel);
  return plainHelpers({
    ringbuf_output(call) {
      const map = mapArgOf(kernel, call, 1, RingbufMap);
      const size = sizeArg(call, 3);
      return map.output(call.pointer(2, size), size, flagsArg(call, 4));
    },
    ringbuf_reserve(call) {
      const map = mapArgOf(kernel, call, 1, RingbufMap);
      if (flagsArg(call, 3) !== 0) return 0;
      return setPointer(call, map.reserve(sizeArg(call, 2)), high);
    },
    ringbuf_submit: (call) => commit(kernel, call, false),
    ringbuf_discard: (call) => commit(kernel, call, true),
    ringbuf_query: (call) => mapArgOf(kernel, call, 1, RingbufMap).query(flagsArg(call, 2)),
    perf_event_output: (call) => perfOutput(kernel, call, 0n, () => new Uint8Array(0)),
    xdp_output: (call) => xdpOutput(kernel, call),
    skb_output: (call) => perfOutput(kernel, call, PerfOutputFlag.BPF_F_CTXLEN_MASK, noPacket),
    xdp_get_buff_len(call) {
      const buff = call.pointer(1, XDP_BUFF_DATA_END + 8);
      const { view } = kernel.memory;
      const data = view.getBigUint64(buff + XDP_BUFF_DATA, true);
      return view.getBigUint64(buff + XDP_BUFF_DATA_END, true) - data;
    },
    // Same places for buffer, size and flags; only the current task's stack is known.
    get_task_stack: (call) => getStack(kernel, call, call.arg(1) !== kernel.taskAddress),
    get_stackid: (call) => getStackId(kernel, call),
    get_stack: (call) => getStack(kernel, call),
  });
}

function commit(kernel: Machine, call: HelperCall, discard: boolean): number {
  return commitRecord(kernel, call, call.argU32(1), discard);
}

/** Publishes or drops the record at a memory offset; the flags are in r2. */
export function commitRecord(kernel: Machine, call: HelperCall, record: number, discard: boolean): number {
  for (const map of kernel.ringbufs) {
    if (map.holds(record) && map.commit(record, flagsArg(call, 2), discard)) return 0;
  }
  throw new HelperFault(`r1: 0x${call.arg(1).toString(16)} is not an open record of a ring buffer`);
}

/**
 * bpf_perf_event_output. `contextFlags` are the flag bits with which a packet program asks for the start of its
 * packet behind the data; `packet` gives that many bytes, or undefined when there are fewer.
 */
export function perfOutput(
  kernel: Machine,
  call: HelperCall,
  contextFlags: bigint,
  packet: (size: number) => Uint8Array | undefined,
): number {
  const map = mapArgOf(kernel, call, 2, PerfEventArrayMap);
  const flags = call.arg(3);
  if ((flags & ~(PerfOutputFlag.BPF_F_INDEX_MASK | contextFlags)) !== 0n) return -EINVAL;
  const extra = packet(Number(flags >> 32n));
  if (extra === undefined) return -EFAULT;
  const size = sizeArg(call, 5);
  const data = call.bytes(4, size);
  const wanted = flags & PerfOutputFlag.BPF_F_INDEX_MASK;
  const index = wanted === PerfOutputFlag.BPF_F_CURRENT_CPU ? kernel.cpu : Number(wanted);
  if (index >= map.maxEntries) return -E2BIG;
  const event = map.slots[index];
  if (event === undefined) return -ENOENT;
  if (event.cpu !== kernel.cpu) return -EOPNOTSUPP;
  const sample = new Uint8Array(size + extra.length);
  sample.set(data);
  sample.set(extra, size);
  event.samples.push(sample);
  return 0;
}

/** Offsets in struct xdp_buff, which tracing programs on XDP get as an argument (include/net/xdp.h). */
const XDP_BUFF_DATA = 0;
const XDP_BUFF_DATA_END = 8;

/** The packet of a traced function is not to be had from its `struct sk_buff`. */
const noPacket = (size: number): Uint8Array | undefined => (size === 0 ? new Uint8Array(0) : undefined);

/** bpf_xdp_output: a sample with the start of the packet of the traced XDP program. */
function xdpOutput(kernel: Machine, call: HelperCall): number {
  const buff = call.pointer(1, XDP_BUFF_DATA_END + 8);
  const { memory } = kernel;
  const data = memory.view.getBigUint64(buff + XDP_BUFF_DATA, true);
  const length = memory.view.getBigUint64(buff + XDP_BUFF_DATA_END, true) - data;
  return perfOutput(kernel, call, PerfOutputFlag.BPF_F_CTXLEN_MASK, (size) => {
    const at = memory.offsetOf(data, size);
    return BigInt(size) > length || at < 0 ? undefined : memory.u8.slice(at, at + size);
  });
}

function traceFor(kernel: Machine, flags: number): BigUint64Array {
  return (flags & StackFlag.BPF_F_USER_STACK) !== 0 ? kernel.callchain.user : kernel.callchain.kernel;
}

function getStackId(kernel: Machine, call: HelperCall): number {
  const map = mapArgOf(kernel, call, 2, StackMap);
  const flags = flagsArg(call, 3);
  if (flags > 0xffffffff || (flags & ~STACKID_FLAGS) !== 0) return -EINVAL;
  return map.store(traceFor(kernel, flags), flags);
}

/** Copies the stack itself; returns how many bytes it took. */
function getStack(kernel: Machine, call: HelperCall, unknown = false): number {
  const size = sizeArg(call, 3);
  const flags = flagsArg(call, 4);
  const to = call.pointer(2, size, true);
  const { u8 } = kernel.memory;
  const refuse = (errno: number) => {
    u8.fill(0, to, to + size);
    return -errno;
  };
  if (flags > 0xffffffff || (flags & ~STACK_FLAGS) !== 0) return refuse(EINVAL);
  if ((flags & StackFlag.BPF_F_USER_BUILD_ID) !== 0) return refuse(Errno.EOPNOTSUPP);
  if (size % 8 !== 0) return refuse(EINVAL);
  const skip = flags & StackFlag.BPF_F_SKIP_FIELD_MASK;
  const trace = unknown ? new BigUint64Array(0) : traceFor(kernel, flags);
  if (trace.length < skip || trace.length === 0) return refuse(EFAULT);
  const depth = Math.min(trace.length - skip, size / 8, MAX_STACK_DEPTH - skip);
  const bytes = new Uint8Array(trace.slice(skip, skip + depth).buffer);
  u8.set(bytes, to);
  u8.fill(0, to + bytes.length, to + size);
  return bytes.length;
}
