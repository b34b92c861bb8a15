/** Kernel functions on dynptrs. Models kernel/bpf/helpers.c, net/core/filter.c and kernel/trace/bpf_trace.c of Linux 6.18. */
import { Errno } from '../../../abi/errno.js';
import { ProgType } from '../../../abi/prog-types.js';
import type { HelperCall } from '../../../vm/index.js';
import type { Machine } from '../../machine.js';
import { type Dynptr, DynptrKind, dynptrArg } from '../dynptr.js';
import { readMemory, readText, type Space } from '../helpers/probe-read.js';
import { addressHigh, E2BIG, EFAULT, EINVAL, setPointer } from '../helpers/table.js';
import type { KfuncRun, KfuncTable } from './table.js';

/** Program types that may write to their packet. */
const WRITERS: ReadonlySet<number> = new Set([
  ProgType.sched_cls,
  ProgType.sched_act,
  ProgType.lwt_xmit,
  ProgType.sk_skb,
]);

export function dynptrKfuncs(kernel: Machine): KfuncTable {
  const high = addressHigh(kernel);
  const slice =
    (write: boolean): KfuncRun =>
    (call) =>
      setPointer(call, sliceOf(kernel, call, write), high);
  const fromProbe =
    (space: Space, text: boolean): KfuncRun =>
    (call) =>
      probeInto(kernel, call, space, text);
  const packet =
    (init: (dynptr: Dynptr, call: HelperCall) => number | undefined): KfuncRun =>
    (call, { env }) => {
      const dynptr = dynptrArg(kernel, call, 3, true);
      dynptr.setNull();
      if (call.arg(2) !== 0n) return -EINVAL;
      const refused = init(dynptr, call);
      if (refused !== undefined) return refused;
      if (env.type !== ProgType.xdp && !WRITERS.has(env.type)) dynptr.setReadOnly();
      return 0;
    };
  return {
    bpf_dynptr_adjust(call) {
      const dynptr = dynptrArg(kernel, call, 1, true);
      const [start, end] = [call.argU32(2), call.argU32(3)];
      if (dynptr.isNull || start > end) return -EINVAL;
      if (start > dynptr.size || end > dynptr.size) return -Errno.ERANGE;
      dynptr.offset += start;
      dynptr.size = end - start;
      return 0;
    },
    bpf_dynptr_is_null: (call) => (dynptrArg(kernel, call, 1).isNull ? 1 : 0),
    bpf_dynptr_is_rdonly(call) {
      const dynptr = dynptrArg(kernel, call, 1);
      return !dynptr.isNull && dynptr.readOnly ? 1 : 0;
    },
    bpf_dynptr_size(call) {
      const dynptr = dynptrArg(kernel, call, 1);
      return dynptr.isNull ? -EINVAL : dynptr.size;
    },
    bpf_dynptr_clone(call) {
      const from = dynptrArg(kernel, call, 1);
      const to = dynptrArg(kernel, call, 2, true);
      if (from.isNull) {
        to.setNull();
        return -EINVAL;
      }
      to.copyFrom(from);
      return 0;
    },
    bpf_dynptr_slice: slice(false),
    bpf_dynptr_slice_rdwr: slice(true),
    bpf_dynptr_copy: (call) => copy(kernel, call),
    bpf_dynptr_memset: (call) => fill(kernel, call),
    bpf_dynptr_from_skb: packet((dynptr, call) => {
      const { skb } = kernel.net;
      if (skb?.isAt(call.argU32(1)) !== true) return -EINVAL;
      dynptr.init(skb.context.address32, DynptrKind.skb, 0, skb.length);
      return undefined;
    }),
    bpf_dynptr_from_xdp: packet((dynptr, call) => {
      const { xdp } = kernel.net;
      if (xdp === undefined || xdp.context.address32 !== call.argU32(1)) return -EINVAL;
      dynptr.init(xdp.context.address32, DynptrKind.xdp, 0, xdp.length);
      return undefined;
    }),
    // Packets here carry no metadata beside XDP's, which has gone by then.
    bpf_dynptr_from_skb_meta: packet((dynptr, call) => {
      const { skb } = kernel.net;
      if (skb === undefined || skb.context.address32 !== call.argU32(1)) return -EINVAL;
      dynptr.init(skb.data, DynptrKind.skbMeta, 0, 0);
      return undefined;
    }),
    bpf_probe_read_kernel_dynptr: fromProbe('kernel', false),
    bpf_probe_read_kernel_str_dynptr: fromProbe('kernel', true),
    bpf_probe_read_user_dynptr: fromProbe('user', false),
    bpf_probe_read_user_str_dynptr: fromProbe('user', true),
    bpf_copy_from_user_dynptr: fromProbe('user', false),
    bpf_copy_from_user_str_dynptr: fromProbe('user', true),
    bpf_copy_from_user_task_dynptr: fromProbe('user', false),
    bpf_copy_from_user_task_str_dynptr: fromProbe('user', true),
  };
}

/** Memory offset of bytes of a dynptr: in place where they are in one piece, else a copy in the caller's buffer. */
function sliceOf(kernel: Machine, call: HelperCall, write: boolean): number {
  const dynptr = dynptrArg(kernel, call, 1);
  const at = call.argU32(2);
  const size = call.argU32(4);
  if (dynptr.isNull || (write && dynptr.readOnly) || !dynptr.has(at, size)) return 0;
  const piece = dynptr.piece(at, size);
  if (piece >= 0) return piece;
  if (call.arg(3) === 0n) return 0;
  const buffer = call.pointer(3, size, true);
  return dynptr.load(at, buffer, size) === 0 ? buffer : 0;
}

/** bpf_dynptr_copy(to, offset, from, offset, size). */
function copy(kernel: Machine, call: HelperCall): number {
  const [to, from] = [dynptrArg(kernel, call, 1), dynptrArg(kernel, call, 3)];
  const [toAt, fromAt, size] = [call.argU32(2), call.argU32(4), call.argU32(5)];
  if (to.isNull || from.isNull) return -EINVAL;
  if (!to.has(toAt, size) || !from.has(fromAt, size)) return -E2BIG;
  if (to.readOnly) return -EINVAL;
  const room = kernel.memory.alloc(Math.max(size, 1), 'none');
  try {
    return from.load(fromAt, room.address32, size) || to.store(toAt, room.address32, size);
  } finally {
    kernel.memory.free(room);
  }
}

function fill(kernel: Machine, call: HelperCall): number {
  const dynptr = dynptrArg(kernel, call, 1);
  const [at, size] = [call.argU32(2), call.argU32(3)];
  if (dynptr.isNull || dynptr.readOnly) return -EINVAL;
  if (!dynptr.has(at, size)) return -E2BIG;
  const room = kernel.memory.alloc(Math.max(size, 1), 'none');
  room.bytes.fill(call.argU32(4) & 0xff);
  try {
    return dynptr.store(at, room.address32, size);
  } finally {
    kernel.memory.free(room);
  }
}

/** Reads (dynptr, offset, size, address): 0, for texts the length with the NUL, or a negative errno. */
function probeInto(kernel: Machine, call: HelperCall, space: Space, text: boolean): number {
  const dynptr = dynptrArg(kernel, call, 1);
  const [at, size] = [call.argU32(2), call.argU32(3)];
  if (dynptr.isNull || dynptr.readOnly) return -EINVAL;
  if (!dynptr.has(at, size)) return -E2BIG;
  const bytes = text
    ? readText(kernel, call, call.arg(4), size, space)
    : readMemory(kernel, call, call.arg(4), size, space);
  if (bytes === undefined) return -EFAULT;
  const room = kernel.memory.alloc(Math.max(bytes.length, 1), 'none');
  room.bytes.set(bytes);
  try {
    const stored = dynptr.store(at, room.address32, bytes.length);
    return stored === 0 && text ? bytes.length : stored;
  } finally {
    kernel.memory.free(room);
  }
}
