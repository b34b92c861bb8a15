/**
 * Helpers on single words and locks in map values: kernel pointers, spin locks, timers, per-CPU variables. Models
 * kernel/bpf/helpers.c of Linux 6.18.
 */

import { FIELD } from '../../../verifier/special-fields.js';
import { type Caller, type HelperCall, HelperFault } from '../../../vm/index.js';
import type { Machine } from '../../machine.js';
import type { BpfMap } from '../map.js';
import { acquireLock, acquireLockFlow, releaseLock } from '../spin-lock.js';
import { stateOf } from './state.js';
import { addressHigh, flagsArg, type HelperTable, mapArg, plainHelpers, setPointer } from './table.js';

export function kptrHelpers(kernel: Machine): HelperTable {
  const high = addressHigh(kernel);
  const timers = () => stateOf(kernel).timers;
  return plainHelpers({
    kptr_xchg(call) {
      const at = call.pointer(1, 8, true);
      const { view } = kernel.memory;
      const old = view.getBigUint64(at, true);
      view.setBigUint64(at, call.arg(2), true);
      return old;
    },
    spin_lock(call) {
      acquireLock(kernel, call.pointer(1, 4, true));
      return 0;
    },
    spin_unlock(call) {
      releaseLock(kernel, call.pointer(1, 4, true));
      return 0;
    },
    per_cpu_ptr: (call) => perCpu(kernel, call, call.argU32(2), high),
    this_cpu_ptr: (call) => perCpu(kernel, call, kernel.cpu, high),
    timer_init(call) {
      const map = mapArg(kernel, call, 2);
      const at = call.pointer(1, 16, true);
      return timers().init(at, map, at - fieldOffset(map, FIELD.TIMER), flagsArg(call, 3));
    },
    timer_set_callback: (call) => timers().setCallback(call.pointer(1, 16, true), call.arg(2)),
    timer_start: (call) => timers().start(call.pointer(1, 16, true), call.arg(2), flagsArg(call, 3)),
    timer_cancel: (call) => timers().cancel(call.pointer(1, 16, true)),
  });
}

/** Where in a map's value a field of a kind lies. */
export function fieldOffset(map: BpfMap, kind: number): number {
  return map.record?.fields.find((field) => field.kind === kind)?.offset ?? 0;
}

/** A CPU's copy of a variable or of an object that a program allocated; null for a CPU that is not there. */
function perCpu(kernel: Machine, call: HelperCall, cpu: number, high: number): undefined | number {
  if (cpu >= kernel.cpus) return 0;
  const variable = kernel.symbols.variableAt(call.arg(1));
  const stride = variable?.cpuStride ?? stateOf(kernel).objects.at(call.argU32(1))?.cpuStride;
  if (stride === undefined) throw new HelperFault(`r1: 0x${call.arg(1).toString(16)} has no copy a CPU`);
  return setPointer(call, call.argU32(1) + stride * cpu, high);
}

/** Locks where others may have them: the helper waits. */
export function lockFlowHelpers(kernel: Machine): HelperTable {
  return {
    spin_lock: {
      kind: 'flow',
      name: 'bpf_spin_lock',
      run: (caller) => spin(kernel, lockOf(kernel, caller)),
    },
  };
}

function* spin(kernel: Machine, at: number): Generator<unknown, number, unknown> {
  yield* acquireLockFlow(kernel, at) as Generator<unknown, void, unknown>;
  return 0;
}

/** Memory offset of the lock in r1. */
export function lockOf(kernel: Machine, caller: Caller): number {
  const address = caller.reg(1);
  const at = kernel.memory.offsetOf(address, 4);
  if (at < 0) throw new HelperFault(`r1: 0x${address.toString(16)} is no lock`, address, 4);
  return at;
}
