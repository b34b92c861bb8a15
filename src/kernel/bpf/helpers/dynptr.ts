/** Helpers on dynptrs, and ring-buffer records reached through them. Models kernel/bpf/helpers.c and ringbuf.c of Linux 6.18. */
import { Errno } from '../../../abi/errno.js';
import type { HelperCall } from '../../../vm/index.js';
import type { Machine } from '../../machine.js';
import { Dynptr, DynptrKind, dynptrArg, MAX_DYNPTR_SIZE } from '../dynptr.js';
import { RingbufMap } from '../ringbuf.js';
import { UserRingbufMap } from '../user-ringbuf.js';
import { commitRecord } from './output.js';
import {
  addressHigh,
  E2BIG,
  EINVAL,
  flagsArg,
  type HelperTable,
  mapArgOf,
  plainHelpers,
  setPointer,
  sizeArg,
} from './table.js';

/** BPF_RB_NO_WAKEUP and BPF_RB_FORCE_WAKEUP. */
export const DRAIN_FLAGS = 3;
const NO_WAKEUP = 1;
const FORCE_WAKEUP = 2;
/** BPF_MAX_USER_RINGBUF_SAMPLES. */
export const MAX_USER_SAMPLES = 128 * 1024;

export function dynptrHelpers(kernel: Machine): HelperTable {
  const high = addressHigh(kernel);
  return plainHelpers({
    dynptr_from_mem(call) {
      const dynptr = dynptrArg(kernel, call, 4, true);
      const size = call.argU32(2);
      const refused = size > MAX_DYNPTR_SIZE ? -E2BIG : flagsArg(call, 3) !== 0 ? -EINVAL : 0;
      if (refused !== 0) dynptr.setNull();
      else dynptr.init(call.pointer(1, size, true), DynptrKind.local, 0, size);
      return refused;
    },
    dynptr_read(call) {
      const size = sizeArg(call, 2);
      const to = call.pointer(1, size, true);
      const dynptr = dynptrArg(kernel, call, 3);
      if (dynptr.isNull || flagsArg(call, 5) !== 0) return -EINVAL;
      const at = call.argU32(4);
      return dynptr.has(at, size) ? dynptr.load(at, to, size) : -E2BIG;
    },
    dynptr_write(call) {
      const size = sizeArg(call, 4);
      const from = call.pointer(3, size);
      const dynptr = dynptrArg(kernel, call, 1);
      if (dynptr.isNull || dynptr.readOnly) return -EINVAL;
      const at = call.argU32(2);
      if (!dynptr.has(at, size)) return -E2BIG;
      // Only a socket buffer's bytes know flags: what becomes of its checksum and hash.
      const known = dynptr.kind === DynptrKind.skb ? 3 : 0;
      if ((flagsArg(call, 5) & ~known) !== 0) return -EINVAL;
      return dynptr.store(at, from, size);
    },
    dynptr_data(call) {
      const dynptr = dynptrArg(kernel, call, 1);
      const [at, size] = [call.argU32(2), call.argU32(3)];
      const plain = dynptr.kind === DynptrKind.local || dynptr.kind === DynptrKind.ringbuf;
      if (dynptr.isNull || dynptr.readOnly || !plain || !dynptr.has(at, size)) return 0;
      return setPointer(call, dynptr.piece(at, size), high);
    },
    ringbuf_reserve_dynptr(call) {
      const map = mapArgOf(kernel, call, 1, RingbufMap);
      const dynptr = dynptrArg(kernel, call, 4, true);
      const size = call.argU32(2);
      const refused = size > MAX_DYNPTR_SIZE ? -E2BIG : flagsArg(call, 3) !== 0 ? -EINVAL : 0;
      const record = refused === 0 ? map.reserve(size) : 0;
      if (record === 0) {
        dynptr.setNull();
        return refused === 0 ? -EINVAL : refused;
      }
      dynptr.init(record, DynptrKind.ringbuf, 0, size);
      return 0;
    },
    ringbuf_submit_dynptr: (call) => commit(kernel, call, false),
    ringbuf_discard_dynptr: (call) => commit(kernel, call, true),
    user_ringbuf_drain: (call) => drain(kernel, call),
  });
}

function commit(kernel: Machine, call: HelperCall, discard: boolean): number {
  const dynptr = dynptrArg(kernel, call, 1, true);
  if (dynptr.isNull) return 0;
  commitRecord(kernel, call, dynptr.data, discard);
  dynptr.setNull();
  return 0;
}

/** Calls back with a dynptr for each sample; the number of samples taken, or a negative errno. */
function drain(kernel: Machine, call: HelperCall): number {
  const map = mapArgOf(kernel, call, 1, UserRingbufMap);
  const flags = flagsArg(call, 4);
  if ((flags & ~DRAIN_FLAGS) !== 0) return -EINVAL;
  if (!map.startDrain()) return -Errno.EBUSY;
  const [callback, context] = [call.arg(2), call.arg(3)];
  const { execution } = call;
  const room = kernel.memory.alloc(16, 'readwrite');
  let samples = 0;
  let discarded = 0;
  let result = 0;
  try {
    for (; samples + discarded < MAX_USER_SAMPLES && result === 0; ) {
      const sample = map.nextSample();
      if (typeof sample === 'number') {
        if (sample === -Errno.ENODATA) break;
        if (sample !== -Errno.EAGAIN) return sample;
        discarded++;
        continue;
      }
      const dynptr = new Dynptr(kernel, room.address32);
      dynptr.init(sample.offset, DynptrKind.local, 0, sample.size);
      result = Number(execution.callFunction(callback, [room.address, context]) & 0xffffffffn);
      map.takeSample(sample);
      samples++;
    }
    return samples;
  } finally {
    map.endDrain(drainWakes(flags, samples));
    kernel.memory.free(room);
  }
}

/** Whether user space is woken once a program has drained. */
export function drainWakes(flags: number, samples: number): boolean {
  return (flags & FORCE_WAKEUP) !== 0 || ((flags & NO_WAKEUP) === 0 && samples > 0);
}
