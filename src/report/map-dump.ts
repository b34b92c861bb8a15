/** A map's contents after a run, as data and as text. Models what `bpftool map dump` shows. */
import { MapType, mapTypeName } from '../abi/map-types.js';
import { ArrayOfMapsMap, PerfEventArrayMap, ProgArrayMap } from '../kernel/bpf/fd-array.js';
import { HashMap } from '../kernel/bpf/hashtab.js';
import type { BpfMap } from '../kernel/bpf/map.js';
import { QueueStackMap } from '../kernel/bpf/queue-stack-maps.js';
import { RingbufMap } from '../kernel/bpf/ringbuf.js';
import { StackMap } from '../kernel/bpf/stackmap.js';
import type { Lab } from '../kernel/lab.js';
import type { Btf } from '../object/btf/btf.js';
import type { MapDef } from '../object/types.js';
import { type BtfValue, decodeValue, hexValue, isZero, type ValueBudget, valueText } from './btf-value.js';

export interface MapEntry {
  readonly key?: BtfValue;
  /** One value, or for maps with a value a CPU absent. */
  readonly value?: BtfValue;
  /** By CPU. */
  readonly values?: readonly BtfValue[];
  /** Every byte is zero. */
  readonly zero: boolean;
}

export interface MapDump {
  readonly name: string;
  readonly type: string;
  readonly maxEntries: number;
  readonly entries: readonly MapEntry[];
  /** What stands in place of entries. */
  readonly note?: string;
}

/** Entries of a map that are looked at: more is no reading matter. */
const MAX_ENTRIES = 65536;
/** Single values in the dump of all maps together: some 20 MB as JSON. */
const MAX_VALUES = 2 ** 20;
/** Characters of an entry's value in the text form. */
const MAX_VALUE_TEXT = 2000;

/** Contents of every map of an object, in the object's order. */
export function dumpMaps(lab: Lab): MapDump[] {
  let left = MAX_VALUES;
  return lab.maps.map((map, i) => {
    // What a map leaves of its share is for those that follow.
    const share = Math.floor(left / (lab.maps.length - i));
    const budget = { left: share };
    const dump = dumpMap(lab, map, lab.object.maps[i]!, budget);
    left -= share - Math.max(0, budget.left);
    return dump;
  });
}

function dumpMap(lab: Lab, map: BpfMap, def: MapDef, budget: ValueBudget): MapDump {
  const head = { name: def.name, type: mapTypeName(map.type), maxEntries: map.maxEntries };
  if (map instanceof RingbufMap || map instanceof PerfEventArrayMap) {
    return { ...head, entries: [], note: 'records are shown as output' };
  }
  if (map instanceof ProgArrayMap || map instanceof ArrayOfMapsMap) return { ...head, entries: slots(map) };
  if (map instanceof StackMap) return { ...head, entries: stacks(map) };
  if (map.type === MapType.xskmap) return { ...head, entries: [], note: 'sockets cannot be read back' };
  const entries: MapEntry[] = [];
  let cut = false;
  for (const { key, value } of contents(lab, map)) {
    cut = entries.length === MAX_ENTRIES || budget.left <= 0;
    if (cut) break;
    entries.push({
      ...(key === undefined ? {} : { key: decoded(lab.object.btf, def.btfKeyTypeId, key, budget) }),
      ...valueEntry(lab, def, map, value, budget),
    });
  }
  // A hash's own order is that of its buckets; by key it can be read, and compared.
  if (map instanceof HashMap) entries.sort(byKey);
  return { ...head, entries, ...(cut ? { note: shownNote(entries.length) } : {}) };
}

function shownNote(shown: number): string {
  return shown === 0 ? 'too much to show' : `only ${shown} entries are shown`;
}

function contents(
  lab: Lab,
  map: BpfMap,
): Iterable<{ readonly key?: Uint8Array; readonly value: Uint8Array }> {
  if (!(map instanceof QueueStackMap)) return lab.kernel.bpf.mapEntries(map);
  return [...map.values()].map((value) => ({ value }));
}

function valueEntry(
  lab: Lab,
  def: MapDef,
  map: BpfMap,
  value: Uint8Array,
  budget: ValueBudget,
): Omit<MapEntry, 'key'> {
  const { btf } = lab.object;
  const zero = isZero(value);
  if (!map.perCpu) return { value: decoded(btf, def.btfValueTypeId, value, budget), zero };
  const stride = value.length / lab.kernel.cpus;
  const values = Array.from({ length: lab.kernel.cpus }, (_, cpu) => {
    const bytes = value.subarray(cpu * stride, cpu * stride + map.valueSize);
    return decoded(btf, def.btfValueTypeId, bytes, budget);
  });
  return { values, zero };
}

function decoded(btf: Btf | undefined, id: number, bytes: Uint8Array, budget: ValueBudget): BtfValue {
  if (btf !== undefined && id !== 0) return decodeValue(btf, id, bytes, budget);
  if (bytes.length === 4) {
    budget.left--;
    return new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  }
  return hexValue(bytes, budget);
}

function slots(map: ProgArrayMap | ArrayOfMapsMap): MapEntry[] {
  const entries: MapEntry[] = [];
  map.slots.forEach((target, key) => {
    if (target !== undefined) entries.push({ key, value: target.name, zero: false });
  });
  return entries;
}

function stacks(map: StackMap): MapEntry[] {
  const entries: MapEntry[] = [];
  for (let id = 0; id < 2 ** Math.ceil(Math.log2(map.maxEntries)); id++) {
    const trace = map.trace(id);
    if (trace === undefined) continue;
    entries.push({ key: id, value: [...trace].map((ip) => `0x${ip.toString(16)}`), zero: false });
  }
  return entries;
}

function byKey(a: MapEntry, b: MapEntry): number {
  const [x, y] = [a.key, b.key];
  if (typeof x === 'number' && typeof y === 'number') return x - y;
  const [s, t] = [valueText(x ?? ''), valueText(y ?? '')];
  return s < t ? -1 : s > t ? 1 : 0;
}

/** Lines for a terminal; at most `limit` entries, and of arrays only those that are not zero. */
export function mapText(dump: MapDump, limit: number): string[] {
  const shown = dump.entries.filter((entry) => !entry.zero || !/array/.test(dump.type));
  const lines = [`${dump.name} (${dump.type}, ${dump.entries.length} of ${dump.maxEntries})`];
  if (dump.note !== undefined) lines[0] = `${dump.name} (${dump.type}): ${dump.note}`;
  for (const entry of shown.slice(0, limit)) lines.push(...entryText(entry));
  if (shown.length > limit) lines.push(`  … ${shown.length - limit} more`);
  const zero = dump.entries.length - shown.length;
  if (zero > 0) lines.push(`  ${shown.length === 0 ? 'all' : `${zero} more`} zero`);
  return lines;
}

function entryText(entry: MapEntry): string[] {
  const key = entry.key === undefined ? '' : `${valueText(entry.key)}: `;
  if (entry.values === undefined) return [`  ${key}${shortText(entry.value ?? '')}`];
  const blank = ' '.repeat(key.length);
  const texts = entry.values.map((value, cpu) => ({ cpu, text: shortText(value) }));
  // A CPU on which nothing happened says nothing: its value is the same as that of all the others, zero.
  const busy = texts.filter(({ text }) => /[1-9]/.test(text));
  return (busy.length === 0 ? texts.slice(0, 1) : busy).map(({ cpu, text }, i) => {
    return `  ${i === 0 ? key : blank}cpu${cpu} ${text}`;
  });
}

function shortText(value: BtfValue): string {
  const text = valueText(value);
  return text.length <= MAX_VALUE_TEXT ? text : `${text.slice(0, MAX_VALUE_TEXT)} … (--json has more)`;
}
