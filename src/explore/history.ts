/**
 * What was done to maps in a run: each look-up, update, delete, push and pop with when it began and ended, its arguments
 * and its result. Recorded around the operations' flows, which all of programs' helpers and system calls go through.
 */
import type { BpfMap } from '../kernel/bpf/map.js';
import type { Flow } from '../kernel/sched/flow.js';
import type { Sched } from '../kernel/sched/sched.js';
import type { EngineMemory } from '../vm/index.js';

export type MapOpKind = 'lookup' | 'update' | 'delete' | 'take' | 'push' | 'pop' | 'peek';

export interface MapOp {
  readonly map: BpfMap;
  /** `take`: a look-up that deletes. */
  readonly kind: MapOpKind;
  /** Whose it is, e.g. `writer/2000`. */
  readonly by: string;
  /** Hex digits; empty where the map has no keys. */
  readonly key: string;
  /** Hex digits: what was written, or what was read; undefined where only a pointer was given, or nothing. */
  value: string | undefined;
  readonly flags: number;
  /** Numbers of the moments at which it began and ended; without an end it is still under way. */
  readonly begin: number;
  end: number;
  /** 0 or a negative errno; of a look-up by a program 0 where there was an element. */
  result: number;
  /** A program got a pointer to the value, by which it can change it at any time. */
  readonly pointer: boolean;
}

/** Errno of a look-up that found nothing (-ENOENT). */
const NOTHING = -2;

/** What is known of an operation when it begins. */
type Begun = Pick<MapOp, 'kind' | 'key'> & Partial<Pick<MapOp, 'value' | 'flags'>>;

export class History {
  readonly ops: MapOp[] = [];
  private moments = 0;
  /** Calls under way, by thread: a call that the operation itself makes is no operation of its own. */
  private readonly inside = new Map<object, { readonly map: BpfMap; readonly depth: number }[]>();

  /** @param onFirst told of a key before the first operation on it begins; `at` is its memory offset */
  constructor(
    private readonly sched: Sched,
    private readonly memory: EngineMemory,
    private readonly onFirst: (map: BpfMap, key: string, at: number) => void = () => {},
  ) {}

  /** Records what is done to a map from now on. */
  watch(map: BpfMap): void {
    this.watchPrograms(map);
    this.watchSystemCalls(map);
  }

  private watchPrograms(map: BpfMap): void {
    const { lookupFlow, updateFlow, deleteFlow, pushFlow, popFlow, peekFlow } = map;
    const size = map.perCpu ? 0 : map.valueSize;
    map.lookupFlow = (key) =>
      this.record(map, this.begun('lookup', map, key), () => lookupFlow.call(map, key), { pointer: true });
    map.updateFlow = (key, value, flags) => {
      const begun = { ...this.begun('update', map, key), value: this.hex(value, size), flags };
      return this.record(map, begun, () => updateFlow.call(map, key, value, flags));
    };
    map.deleteFlow = (key) =>
      this.record(map, this.begun('delete', map, key), () => deleteFlow.call(map, key));
    map.pushFlow = (value, flags) => {
      const begun = { kind: 'push', key: '', value: this.hex(value, size), flags } as const;
      return this.record(map, begun, () => pushFlow.call(map, value, flags));
    };
    map.popFlow = (value) => {
      const read = (): string => this.hex(value, size);
      return this.record(map, { kind: 'pop', key: '' }, () => popFlow.call(map, value), { read });
    };
    map.peekFlow = (value) => {
      const read = (): string => this.hex(value, size);
      return this.record(map, { kind: 'peek', key: '' }, () => peekFlow.call(map, value), { read });
    };
  }

  /** Those of a queue or a stack are the ones that programs have. */
  private watchSystemCalls(map: BpfMap): void {
    if (map.keySize === 0) return;
    const { sysLookupFlow, sysUpdateFlow, sysDeleteFlow, sysLookupAndDeleteFlow } = map;
    const size = map.syscallValueSize;
    map.sysLookupFlow = (key, value, flags) => {
      const read = (): string => this.hex(value, size);
      const flow = () => sysLookupFlow.call(map, key, value, flags);
      return this.record(map, this.begun('lookup', map, key), flow, { read });
    };
    map.sysUpdateFlow = (key, value, flags) => {
      const begun = { ...this.begun('update', map, key), value: this.hex(value, size), flags };
      return this.record(map, begun, () => sysUpdateFlow.call(map, key, value, flags));
    };
    map.sysDeleteFlow = (key) =>
      this.record(map, this.begun('delete', map, key), () => sysDeleteFlow.call(map, key));
    map.sysLookupAndDeleteFlow = (key, value, flags) => {
      const read = (): string => this.hex(value, size);
      const flow = () => sysLookupAndDeleteFlow.call(map, key, value, flags);
      return this.record(map, this.begun('take', map, key), flow, { read });
    };
  }

  private begun(kind: MapOpKind, map: BpfMap, key: number): Begun & { readonly at: number } {
    return { kind, key: this.hex(key, map.keySize), at: key };
  }

  /** The operation around its flow; `read` tells the value once it has been read, `pointer` is what a program gets. */
  private *record(
    map: BpfMap,
    begun: Begun & { readonly at?: number },
    flow: () => Flow<number>,
    { read, pointer = false }: { readonly read?: () => string; readonly pointer?: boolean } = {},
  ): Flow<number> {
    const { here } = this.sched;
    const thread = here.top ?? here.current;
    const depth = here.calls.length;
    const open = this.inside.get(thread) ?? [];
    this.inside.set(thread, open);
    if (open.some((outer) => outer.map === map && outer.depth === depth)) return yield* flow();
    const { kind, key, value, flags = 0, at } = begun;
    if (at !== undefined) this.onFirst(map, key, at);
    const by = here.top === undefined ? here.current.label : `${here.top.kind} ${here.top.name}`;
    const begin = this.moments++;
    const op: MapOp = {
      map,
      kind,
      by,
      key,
      value,
      flags,
      begin,
      end: Number.POSITIVE_INFINITY,
      result: 0,
      pointer,
    };
    this.ops.push(op);
    open.push({ map, depth });
    try {
      const result = yield* flow();
      if (pointer) op.result = result === 0 ? NOTHING : 0;
      else op.result = result;
      op.end = this.moments++;
      if (read !== undefined && op.result === 0) op.value = read();
      return result;
    } finally {
      open.pop();
    }
  }

  private hex(at: number, size: number): string {
    return Buffer.from(this.memory.u8.subarray(at, at + size)).toString('hex');
  }
}
