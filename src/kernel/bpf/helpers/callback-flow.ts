/**
 * Helpers that call back, in kernels whose flows interleave: what they call may wait, so that they are flows. What they walk
 * over is what there is when they begin. Otherwise they do what those of `map.ts` and `dynptr.ts` do.
 */
import { Errno } from '../../../abi/errno.js';
import { type Caller, Execution, type HelperCall } from '../../../vm/index.js';
import type { Machine } from '../../machine.js';
import { Dynptr, DynptrKind } from '../dynptr.js';
import { UserRingbufMap } from '../user-ringbuf.js';
import { DRAIN_FLAGS, drainWakes, MAX_USER_SAMPLES } from './dynptr.js';
import { EINVAL, flagsArg, type HelperTable, mapArg, mapArgOf } from './table.js';

type Steps = Generator<unknown, number, unknown>;

/** The caller's registers, as plain helpers see them. */
function callOf(kernel: Machine, caller: Caller): HelperCall {
  if (caller instanceof Execution) kernel.engine.switchTo(caller);
  return kernel.engine.call;
}

export function callbackFlowHelpers(kernel: Machine): HelperTable {
  return {
    for_each_map_elem: {
      kind: 'flow',
      name: 'bpf_for_each_map_elem',
      run: (caller) => forEach(kernel, caller),
    },
    user_ringbuf_drain: {
      kind: 'flow',
      name: 'bpf_user_ringbuf_drain',
      run: (caller) => drain(kernel, caller),
    },
  };
}

function* forEach(kernel: Machine, caller: Caller): Steps {
  const call = callOf(kernel, caller);
  const map = mapArg(kernel, call, 1);
  const [callback, context] = [call.arg(2), call.arg(3)];
  if (flagsArg(call, 4) !== 0) return -EINVAL;
  const { memory } = kernel;
  const elements: { readonly key: Uint8Array; readonly value: number }[] = [];
  const found = map.walk((key, value) => {
    elements.push({ key: memory.u8.slice(key, key + map.keySize), value });
    return false;
  });
  if (found < 0) return found;
  const key = memory.alloc(Math.max(8, map.keySize), 'read');
  let count = 0;
  try {
    for (const element of elements) {
      key.bytes.set(element.key);
      count++;
      const args = [map.header.address, key.address, memory.addressOf(element.value), context];
      if ((yield* caller.driveFunction(callback, args)) !== 0n) break;
    }
    return count;
  } finally {
    memory.free(key);
  }
}

function* drain(kernel: Machine, caller: Caller): Steps {
  const call = callOf(kernel, caller);
  const map = mapArgOf(kernel, call, 1, UserRingbufMap);
  const flags = flagsArg(call, 4);
  const [callback, context] = [call.arg(2), call.arg(3)];
  if ((flags & ~DRAIN_FLAGS) !== 0) return -EINVAL;
  if (!map.startDrain()) return -Errno.EBUSY;
  const room = kernel.memory.alloc(16, 'readwrite');
  let samples = 0;
  try {
    for (let seen = 0, result = 0n; seen < MAX_USER_SAMPLES && result === 0n; seen++) {
      const sample = map.nextSample();
      if (sample === -Errno.ENODATA) break;
      if (sample === -Errno.EAGAIN) continue;
      if (typeof sample === 'number') return sample;
      new Dynptr(kernel, room.address32).init(sample.offset, DynptrKind.local, 0, sample.size);
      result = (yield* caller.driveFunction(callback, [room.address, context])) & 0xffffffffn;
      map.takeSample(sample);
      samples++;
    }
    return samples;
  } finally {
    map.endDrain(drainWakes(flags, samples));
    kernel.memory.free(room);
  }
}
