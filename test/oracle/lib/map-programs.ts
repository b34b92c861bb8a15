/** Small programs that do one operation on a map, with arguments from the io page and the result put there. */
import { helperId } from '../../../src/abi/helpers.js';
import { ProgType } from '../../../src/abi/prog-types.js';
import { assemble, encodeInsns } from '../../../src/isa/index.js';
import type { ScenarioMap, ScenarioOp, ScenarioProg } from './map-scenario.js';

/** The io page: result, flags, another number, key, value, and what was found. */
const RESULT = 0;
const FLAGS = 8;
const NUMBER = 16;
const KEY = 24;

const round8 = (size: number): number => Math.ceil(size / 8) * 8;

export const IO_MAP: ScenarioMap = { type: 2, key: 4, value: 4096, max: 1, flags: 1 << 10, io: true };

export type MapAction =
  | 'lookup'
  | 'update'
  | 'delete'
  | 'push'
  | 'pop'
  | 'peek'
  | 'has'
  | 'percpu'
  | 'inner'
  | 'output'
  | 'query'
  | 'reserve'
  | 'perf'
  | 'redirect';

/** Where things lie for a map. */
export class IoLayout {
  readonly value: number;
  readonly found: number;
  readonly size: number;

  constructor(map: ScenarioMap) {
    this.value = KEY + round8(map.key);
    this.found = this.value + round8(Math.max(map.value, 8));
    this.size = this.found + round8(Math.max(map.value, 8));
  }
}

function copyOut(size: number, to: number): string {
  const lines: string[] = [];
  for (let at = 0; at < size; ) {
    const step = size - at >= 8 ? 8 : size - at >= 4 ? 4 : 1;
    lines.push(`r1 = *(u${step * 8} *)(r0 + ${at})`, `*(u${step * 8} *)(r6 + ${to + at}) = r1`);
    at += step;
  }
  return lines.join('\n');
}

const pointer = (reg: number, at: number): string => `r${reg} = r6\nr${reg} += ${at}`;
const DONE = `*(u64 *)(r6 + ${RESULT}) = r0\nr0 = 0\nexit`;
const found = (size: number, to: number): string =>
  `if r0 == 0 goto done\n${copyOut(size, to)}\nr0 = 1\ndone:\n${DONE}`;

function body(action: MapAction, map: ScenarioMap, layout: IoLayout): string {
  const key = pointer(2, KEY);
  const flags = (reg: number): string => `r${reg} = *(u64 *)(r6 + ${FLAGS})`;
  const number = (reg: number): string => `r${reg} = *(u64 *)(r6 + ${NUMBER})`;
  switch (action) {
    case 'lookup':
      return `r1 = map[fd:0]\n${key}\ncall bpf_map_lookup_elem\n${found(map.value, layout.found)}`;
    case 'inner':
      return `r1 = map[fd:0]\n${key}\ncall bpf_map_lookup_elem\nif r0 == 0 goto done\nr1 = r0\n*(u32 *)(r10 - 4) = 1
        r2 = r10\nr2 += -4\ncall bpf_map_lookup_elem\n${found(4, layout.found)}`;
    case 'percpu':
      return `r1 = map[fd:0]\n${key}\n${number(3)}\ncall bpf_map_lookup_percpu_elem\n${found(map.value, layout.found)}`;
    case 'update':
      return `r1 = map[fd:0]\n${key}\n${pointer(3, layout.value)}\n${flags(4)}\ncall bpf_map_update_elem\n${DONE}`;
    case 'delete':
      return `r1 = map[fd:0]\n${key}\ncall bpf_map_delete_elem\n${DONE}`;
    case 'push':
      return `r1 = map[fd:0]\n${pointer(2, layout.value)}\n${flags(3)}\ncall bpf_map_push_elem\n${DONE}`;
    case 'pop':
      return `r1 = map[fd:0]\n${pointer(2, layout.found)}\ncall bpf_map_pop_elem\n${DONE}`;
    case 'peek':
      return `r1 = map[fd:0]\n${pointer(2, layout.found)}\ncall bpf_map_peek_elem\n${DONE}`;
    case 'has':
      return `r1 = map[fd:0]\n${pointer(2, layout.value)}\ncall bpf_map_peek_elem\n${DONE}`;
    case 'output':
      return `r1 = map[fd:0]\n${pointer(2, layout.value)}\n${number(3)}\nr3 &= 1023\n${flags(4)}\ncall bpf_ringbuf_output\n${DONE}`;
    case 'query':
      return `r1 = map[fd:0]\n${flags(2)}\ncall bpf_ringbuf_query\n${DONE}`;
    case 'reserve':
      return `r7 = *(u64 *)(r6 + ${NUMBER})\nr8 = *(u64 *)(r6 + ${FLAGS})\nr1 = map[fd:0]\nr2 = 24\nr3 = 0
        call bpf_ringbuf_reserve\nif r0 == 0 goto done\n*(u64 *)(r0 + 0) = r7\n*(u64 *)(r0 + 8) = r7\n*(u64 *)(r0 + 16) = r8
        r1 = r0\nr2 = r8\nif r7 s> 100 goto drop\ncall bpf_ringbuf_submit\nr0 = 1\ngoto done
        drop:\ncall bpf_ringbuf_discard\nr0 = 2\ndone:\n${DONE}`;
    case 'perf':
      return `r1 = r9\nr2 = map[fd:0]\n${flags(3)}\n${pointer(4, KEY)}\nr5 = 8\ncall bpf_perf_event_output\n${DONE}`;
    default:
      return `r1 = map[fd:0]\nr2 = *(u64 *)(r6 + ${KEY})\n${flags(3)}\ncall bpf_redirect_map\n${DONE}`;
  }
}

/** A program for an action on map 0; the io map is the one at index `io`. */
export function actionProgram(action: MapAction, map: ScenarioMap, io: number): ScenarioProg {
  const text = `r9 = r1\nr6 = map[fd:${io}][0]+0\n${body(action, map, new IoLayout(map))}`;
  const insns = Buffer.from(encodeInsns(assemble(text, { helperId }))).toString('hex');
  const type = action === 'redirect' ? ProgType.xdp : ProgType.sched_cls;
  return { type, insns };
}

const u64 = (value: number): string => {
  const out = Buffer.alloc(8);
  out.writeBigUInt64LE(BigInt.asUintN(64, BigInt(value)));
  return out.toString('hex');
};
const padded = (hex: string, size: number): string => hex.padEnd(2 * round8(size), '0');

/** A run of the program at an index. */
export function actionOp(
  prog: number,
  map: ScenarioMap,
  args: { readonly key?: string; readonly value?: string; readonly flags?: number; readonly number?: number },
): ScenarioOp {
  const { size } = new IoLayout(map);
  const head = u64(0x77) + u64(args.flags ?? 0) + u64(args.number ?? 0);
  const rest = padded(args.key ?? '', map.key) + padded(args.value ?? '', Math.max(map.value, 8));
  return ['p', prog, head + rest + '00'.repeat(round8(Math.max(map.value, 8))), size];
}
