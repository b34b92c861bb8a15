/**
 * The map helpers of kernels whose flows interleave: others may run where a map takes a lock, so that the core returns to
 * the host for them. They do what those of `map.ts` and `output.ts` do in kernels where nothing comes in between.
 */
import { type Caller, Execution, type HelperCall, type HelperDef } from '../../../vm/index.js';
import type { Machine } from '../../machine.js';
import { type Flow, point } from '../../sched/flow.js';
import type { BpfMap } from '../map.js';
import { RingbufMap } from '../ringbuf.js';
import { writable } from './map.js';
import { flagsArg, type HelperTable, mapArg, mapArgOf, sizeArg } from './table.js';

const BEFORE = point('a map helper');

/** What a helper reads of its arguments at once, and what it then does. */
type Begin = (call: HelperCall) => Flow<number>;

export function mapFlowHelpers(kernel: Machine): HelperTable {
  const { memory, engine } = kernel;
  /** `pointer`: the result is a memory offset, 0 for none. */
  const helper = (name: string, begin: Begin, pointer = false): HelperDef => ({
    kind: 'flow',
    name: `bpf_${name}`,
    *run(caller: Caller) {
      yield BEFORE;
      if (caller instanceof Execution) engine.switchTo(caller);
      const result = yield* begin(engine.call);
      if (!pointer) return result;
      return result === 0 ? 0 : memory.addressOf(result);
    },
  });
  const value = (call: HelperCall, n: number, map: BpfMap, write = false): number =>
    call.pointer(n, map.valueSize, write);
  return {
    map_lookup_elem: helper(
      'map_lookup_elem',
      (call) => {
        const map = mapArg(kernel, call, 1);
        return map.lookupFlow(call.pointer(2, map.keySize));
      },
      true,
    ),
    map_update_elem: helper('map_update_elem', (call) => {
      const map = writable(mapArg(kernel, call, 1));
      return map.updateFlow(call.pointer(2, map.keySize), value(call, 3, map), flagsArg(call, 4));
    }),
    map_delete_elem: helper('map_delete_elem', (call) => {
      const map = writable(mapArg(kernel, call, 1));
      return map.deleteFlow(call.pointer(2, map.keySize));
    }),
    map_push_elem: helper('map_push_elem', (call) => {
      const map = mapArg(kernel, call, 1);
      return map.pushFlow(value(call, 2, map), flagsArg(call, 3));
    }),
    map_pop_elem: helper('map_pop_elem', (call) => {
      const map = mapArg(kernel, call, 1);
      return map.popFlow(value(call, 2, map, true));
    }),
    map_peek_elem: helper('map_peek_elem', (call) => {
      const map = mapArg(kernel, call, 1);
      return map.peekFlow(value(call, 2, map, true));
    }),
    ringbuf_output: helper('ringbuf_output', (call) => {
      const map = mapArgOf(kernel, call, 1, RingbufMap);
      const size = sizeArg(call, 3);
      return map.outputFlow(call.pointer(2, size), size, flagsArg(call, 4));
    }),
    ringbuf_reserve: helper(
      'ringbuf_reserve',
      (call) => {
        const map = mapArgOf(kernel, call, 1, RingbufMap);
        return flagsArg(call, 3) === 0 ? map.reserveFlow(sizeArg(call, 2)) : none();
      },
      true,
    ),
  };
}

function* none(): Flow<number> {
  return 0;
}
