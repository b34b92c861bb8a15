/** Helpers on maps. Models kernel/bpf/helpers.c, kernel/bpf/hashtab.c and kernel/bpf/arraymap.c of Linux 6.18. */
import { MapFlag } from '../../../abi/map-flags.js';
import { type HelperCall, HelperFault } from '../../../vm/index.js';
import type { Machine } from '../../machine.js';
import { PerCpuArrayMap } from '../arraymap.js';
import { ProgArrayMap } from '../fd-array.js';
import { HashMap } from '../hashtab.js';
import type { BpfMap } from '../map.js';
import {
  addressHigh,
  EINVAL,
  flagsArg,
  type HelperTable,
  mapArg,
  mapArgOf,
  plainHelpers,
  setPointer,
} from './table.js';

/** What the verifier keeps a program from doing: to change a map that it may only read. */
export function writable(map: BpfMap): BpfMap {
  if ((map.mapFlags & MapFlag.BPF_F_RDONLY_PROG) === 0) return map;
  throw new HelperFault(`map ${map.name} is read-only for programs`);
}

export function mapHelpers(kernel: Machine): HelperTable {
  const high = addressHigh(kernel);
  return {
    // Arrays have a descriptor where their header is, so that the engine's core finds their elements itself.
    map_lookup_elem: {
      kind: 'indexed',
      name: 'bpf_map_lookup_elem',
      run(call) {
        const map = mapArg(kernel, call, 1);
        return setPointer(call, map.lookup(call.pointer(2, map.keySize)), high);
      },
    },
    ...plainHelpers({
      map_update_elem(call) {
        const map = writable(mapArg(kernel, call, 1));
        const key = call.pointer(2, map.keySize);
        return map.update(key, call.pointer(3, map.valueSize), flagsArg(call, 4));
      },
      map_delete_elem(call) {
        const map = writable(mapArg(kernel, call, 1));
        return map.delete(call.pointer(2, map.keySize));
      },
      map_push_elem(call) {
        const map = mapArg(kernel, call, 1);
        return map.push(call.pointer(2, map.valueSize), flagsArg(call, 3));
      },
      map_pop_elem(call) {
        const map = mapArg(kernel, call, 1);
        return map.pop(call.pointer(2, map.valueSize, true));
      },
      map_peek_elem(call) {
        const map = mapArg(kernel, call, 1);
        return map.peek(call.pointer(2, map.valueSize, true));
      },
      map_lookup_percpu_elem(call) {
        const map = mapArg(kernel, call, 1);
        const key = call.pointer(2, map.keySize);
        const perCpu = map.perCpu && (map instanceof HashMap || map instanceof PerCpuArrayMap);
        if (!perCpu) throw new HelperFault(`r1: map ${map.name} has no value a CPU`);
        return setPointer(call, map.lookupCpu(key, call.argU32(3)), high);
      },
      for_each_map_elem: (call) => forEachElem(kernel, call),
    }),
    tail_call: {
      kind: 'tail',
      name: 'bpf_tail_call',
      run: (call) => mapArgOf(kernel, call, 2, ProgArrayMap).slots[call.argU32(3)]?.program,
    },
  };
}

function forEachElem(kernel: Machine, call: HelperCall): number {
  const map = mapArg(kernel, call, 1);
  const callback = call.arg(2);
  const context = call.arg(3);
  if (flagsArg(call, 4) !== 0) return -EINVAL;
  const { execution } = call;
  const { memory } = kernel;
  return map.walk((key, value) => {
    const args = [map.header.address, memory.addressOf(key), memory.addressOf(value), context];
    return execution.callFunction(callback, args) !== 0n;
  });
}
