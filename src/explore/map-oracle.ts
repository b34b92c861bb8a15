/**
 * Holds the operations on maps in a run against a sequential reference of each: updates that are lost, values that are torn
 * or never were, elements that come back or go twice. Hashes, LRU hashes, arrays, their per-CPU kinds (of which only what is
 * there is compared), queues and stacks. Where programs can write through pointers, values are nobody's promise.
 */
import { MapType } from '../abi/map-types.js';
import { HashMap } from '../kernel/bpf/hashtab.js';
import type { BpfMap } from '../kernel/bpf/map.js';
import { QueueStackMap } from '../kernel/bpf/queue-stack-maps.js';
import type { Kernel } from '../kernel/kernel.js';
import { History, type MapOp } from './history.js';
import { linearizable } from './linearize.js';
import { ABSENT, elementModel, queueModel, UNKNOWN } from './map-models.js';

const KEYED: readonly MapType[] = [
  MapType.hash,
  MapType.percpu_hash,
  MapType.lru_hash,
  MapType.lru_percpu_hash,
  MapType.array,
  MapType.percpu_array,
];
const ARRAYS: readonly MapType[] = [MapType.array, MapType.percpu_array];
const FORGETTING: readonly MapType[] = [MapType.lru_hash, MapType.lru_percpu_hash];
/** Operations that a message names. */
const SHOWN = 8;

export class MapOracle {
  readonly history: History;
  /** By map and key: the value before the first operation. */
  private readonly initial = new Map<BpfMap, Map<string, string>>();
  private readonly queues = new Map<QueueStackMap, readonly string[]>();
  /** Changed in ways that are not recorded. */
  private readonly spoiled = new Set<BpfMap>();

  constructor(private readonly kernel: Kernel) {
    this.history = new History(kernel.sched, kernel.memory, (map, key, at) => this.first(map, key, at));
    for (const map of kernel.allMaps()) {
      // Sections of global data are written without any operation.
      if (map.name.includes('.')) continue;
      if (KEYED.includes(map.type)) this.initial.set(map, new Map());
      else if (map instanceof QueueStackMap) this.queues.set(map, [...map.values()].map(hex));
      else continue;
      this.history.watch(map);
      this.watchBeside(map);
    }
  }

  /** Walks give programs pointers, batches of buckets delete: neither is an operation on a key. */
  private watchBeside(map: BpfMap): void {
    const { walk } = map;
    map.walk = (visit) => {
      this.spoiled.add(map);
      return walk.call(map, visit);
    };
    if (!(map instanceof HashMap)) return;
    const { readBucket } = map;
    map.readBucket = (bucket, room, remove, visit) => {
      if (remove) this.spoiled.add(map);
      return readBucket.call(map, bucket, room, remove, visit);
    };
  }

  private first(map: BpfMap, key: string, at: number): void {
    const known = this.initial.get(map);
    if (known === undefined || known.has(key)) return;
    const { memory } = this.kernel;
    const region = memory.alloc(map.syscallValueSize, 'none');
    const found = map.sysLookup(at, region.address32) === 0;
    const value = memory.u8.subarray(region.address32, region.address32 + map.syscallValueSize);
    known.set(key, found ? hex(value) : ABSENT);
    memory.free(region);
  }

  /** What no sequential map could have answered, or undefined. */
  verdict(): string | undefined {
    for (const [map, keys] of this.initial) {
      if (this.spoiled.has(map)) continue;
      const ops = this.history.ops.filter((op) => op.map === map);
      for (const [key, initial] of keys) {
        const found = this.element(
          map,
          initial,
          ops.filter((op) => op.key === key),
        );
        if (found !== undefined) return found;
      }
    }
    for (const [map, initial] of this.queues) {
      const ops = this.history.ops.filter((op) => op.map === map);
      const { maxEntries, type } = map;
      const model = queueModel({ initial, maxEntries, fifo: type === MapType.queue });
      if (linearizable(ops, model) === 'no') return sentence(map, ops);
    }
    return undefined;
  }

  private element(map: BpfMap, before: string, ops: readonly MapOp[]): string | undefined {
    const loose = this.isLoose(map, ops);
    const initial = loose && before !== ABSENT ? UNKNOWN : before;
    const model = elementModel({ initial, forgets: FORGETTING.includes(map.type) });
    const compared = loose ? ops.map((op) => ({ ...op, value: undefined })) : ops;
    return linearizable(compared, model) === 'no' ? sentence(map, ops) : undefined;
  }

  /** Whether values are out of the reference's reach: written by pointer, one a CPU, or with fields of their own. */
  private isLoose(map: BpfMap, ops: readonly MapOp[]): boolean {
    if (map.perCpu || map.record !== undefined || ops.some(({ pointer }) => pointer)) return true;
    // Look-ups in arrays are done by the program's own instructions.
    return ARRAYS.includes(map.type) && this.kernel.progs.some(({ maps }) => maps.includes(map));
  }
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

function sentence(map: BpfMap, ops: readonly MapOp[]): string {
  const [first] = ops;
  const element = first === undefined || first.key === '' ? map.name : `${map.name}[${text(first.key)}]`;
  const told = ops.slice(0, SHOWN).map(opText);
  const more = ops.length > SHOWN ? [`${ops.length - SHOWN} more`] : [];
  return `${element}: no order explains what its operations gave: ${[...told, ...more].join('; ')}`;
}

function opText({ by, kind, value, result, end }: MapOp): string {
  const shown = value === undefined || value === '' ? '' : ` ${text(value)}`;
  const gave = end === Number.POSITIVE_INFINITY ? 'is under way' : `gives ${result}`;
  return `${by} ${kind}${shown} ${gave}`;
}

/** Up to 8 bytes as a number, more as they are. */
function text(digits: string): string {
  if (digits.length > 16) return `hex:${digits}`;
  const bytes = digits.match(/../g) ?? [];
  return BigInt(`0x${bytes.reverse().join('') || '0'}`).toString();
}
