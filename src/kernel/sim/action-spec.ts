/** What can happen in a scenario, one kind a key of an event, and how each is read. */
import { type AttachType, attachTypeByName, attachTypeName } from '../../abi/attach-types.js';
import { UpdateFlag } from '../../abi/map-flags.js';
import { BpflabError } from '../../errors.js';
import { CLOCK_EVENTS, HARDWARE_EVENTS, type PerfEventName, SOFTWARE_EVENTS } from '../events/perf-event.js';
import { readPcap } from '../net/pcap.js';
import type { ProbeArg } from '../trace/probes.js';
import type { Reader } from './reader.js';

type Data = bigint | Uint8Array;

export type ActionSpec =
  | { readonly kind: 'packet'; readonly device: string; readonly frames: readonly TimedFrame[] }
  | { readonly kind: 'transmit'; readonly device: string; readonly frame: Uint8Array }
  | {
      readonly kind: 'perf';
      readonly event: PerfEventName | undefined;
      readonly user: readonly bigint[] | undefined;
      readonly addr: bigint | undefined;
    }
  | {
      readonly kind: 'syscall';
      readonly name: string;
      readonly args: readonly ProbeArg[];
      readonly result: bigint;
      readonly during: readonly ActionSpec[];
    }
  | { readonly kind: 'connect' | 'bind'; readonly ip: string; readonly port: number }
  | { readonly kind: 'tracepoint'; readonly name: string; readonly fields: readonly ProbeArg[] }
  | {
      readonly kind: 'call';
      readonly fn: string;
      readonly args: readonly ProbeArg[];
      readonly result: bigint;
      readonly during: readonly ActionSpec[];
    }
  | {
      readonly kind: 'uprobe';
      readonly place: string;
      readonly args: readonly ProbeArg[];
      readonly result: bigint | undefined;
    }
  | { readonly kind: 'lsm'; readonly hook: string; readonly args: readonly ProbeArg[] }
  | {
      readonly kind: 'trigger';
      readonly prog: string;
      readonly fields: Readonly<Record<string, bigint>>;
      readonly data: Uint8Array | undefined;
    }
  | {
      readonly kind: 'cgroup';
      readonly hook: AttachType;
      readonly fields: Readonly<Record<string, bigint>>;
      readonly data: Uint8Array | undefined;
    }
  | {
      readonly kind: 'testRun';
      readonly prog: string;
      readonly data: Uint8Array | undefined;
      readonly repeat: number;
    }
  | {
      readonly kind: 'mapUpdate';
      readonly map: string;
      readonly key: Data;
      readonly value: Data;
      readonly flags: number;
    }
  | { readonly kind: 'mapDelete' | 'mapLookup'; readonly map: string; readonly key: Data }
  | {
      readonly kind: 'mapBatch';
      readonly map: string;
      readonly count: number;
      /** Takes the elements out as well. */
      readonly remove: boolean;
    }
  | { readonly kind: 'setAffinity'; readonly task: string; readonly cpus: readonly number[] }
  | { readonly kind: 'spend'; readonly ns: number }
  | { readonly kind: 'sleep'; readonly ns: number };

/** A frame, and when it comes, in nanoseconds from the first. */
export interface TimedFrame {
  readonly frame: Uint8Array;
  readonly afterNs: number;
}

const KINDS: readonly ActionSpec['kind'][] = [
  'packet',
  'transmit',
  'perf',
  'syscall',
  'connect',
  'bind',
  'tracepoint',
  'call',
  'uprobe',
  'lsm',
  'trigger',
  'cgroup',
  'testRun',
  'mapUpdate',
  'mapDelete',
  'mapLookup',
  'mapBatch',
  'setAffinity',
  'spend',
  'sleep',
];
const FLAGS = {
  any: UpdateFlag.BPF_ANY,
  noexist: UpdateFlag.BPF_NOEXIST,
  exist: UpdateFlag.BPF_EXIST,
} as const;
const DEVICE = 'eth0';
const MAX_NS = 3_600_000_000_000;
const MAX_DEPTH = 8;
const MAX_RUNS = 1_000_000;
const MAX_BATCH = 1_000_000;
const MAX_CPU = 63;

interface Context {
  readonly readFile: (name: string) => Uint8Array;
  readonly readData: (item: Reader) => Data;
  readonly depth: number;
}

/** The one action of an event. */
export function readAction(
  event: Reader,
  readFile: Context['readFile'],
  readData: Context['readData'],
  depth = 0,
): ActionSpec {
  const present = KINDS.filter((kind) => event.has(kind));
  if (present.length !== 1) {
    const what = present.length === 0 ? 'nothing happens' : `${present.join(' and ')} exclude each other`;
    event.fail('KEY', `${what}; an event has one of: ${KINDS.join(', ')}`);
  }
  const kind = present[0]!;
  const item = event.get(kind);
  if (depth > MAX_DEPTH) item.fail('VALUE', `more than ${MAX_DEPTH} deep`);
  const action = READERS[kind](item, { readFile, readData, depth });
  item.end();
  return action;
}

const READERS: { readonly [K in ActionSpec['kind']]: (item: Reader, context: Context) => ActionSpec } = {
  packet: (item, { readFile }) => ({ kind: 'packet', device: device(item), frames: frames(item, readFile) }),
  transmit: (item) => ({ kind: 'transmit', device: device(item), frame: item.get('hex').hex() }),
  perf: (item) => ({
    kind: 'perf',
    event: item
      .maybe('event')
      ?.oneOf<PerfEventName>([...HARDWARE_EVENTS, ...CLOCK_EVENTS, ...SOFTWARE_EVENTS]),
    user: item
      .maybe('user')
      ?.items()
      .map((address) => address.word()),
    addr: item.maybe('addr')?.word(),
  }),
  syscall: (item, context) => ({
    kind: 'syscall',
    name: item.get('name').text(),
    args: args(item, 'args'),
    result: item.maybe('result')?.word() ?? 0n,
    during: during(item, context),
  }),
  connect: (item) => address(item, 'connect'),
  bind: (item) => address(item, 'bind'),
  tracepoint: (item) => ({ kind: 'tracepoint', name: item.get('name').text(), fields: args(item, 'fields') }),
  call: (item, context) => ({
    kind: 'call',
    fn: item.get('function').text(),
    args: args(item, 'args'),
    result: item.maybe('result')?.word() ?? 0n,
    during: during(item, context),
  }),
  uprobe: (item) => ({
    kind: 'uprobe',
    place: item.get('place').text(),
    args: args(item, 'args'),
    result: item.maybe('result')?.word(),
  }),
  lsm: (item) => ({ kind: 'lsm', hook: item.get('hook').text(), args: args(item, 'args') }),
  cgroup: (item) => ({
    kind: 'cgroup',
    hook: cgroupHook(item.get('hook')),
    fields: fields(item),
    data: item.maybe('data')?.hex(),
  }),
  trigger: (item) => ({
    kind: 'trigger',
    prog: item.get('prog').text(),
    fields: fields(item),
    data: item.maybe('data')?.hex(),
  }),
  testRun: (item) => ({
    kind: 'testRun',
    prog: item.get('prog').text(),
    data: item.maybe('data')?.hex(),
    repeat: item.maybe('repeat')?.integer(1, MAX_RUNS) ?? 1,
  }),
  mapUpdate: (item, { readData }) => ({
    kind: 'mapUpdate',
    map: item.get('map').text(),
    key: readData(item.get('key')),
    value: readData(item.get('value')),
    flags: FLAGS[item.maybe('flags')?.oneOf(['any', 'noexist', 'exist'] as const) ?? 'any'],
  }),
  mapDelete: (item, { readData }) => ({
    kind: 'mapDelete',
    map: item.get('map').text(),
    key: readData(item.get('key')),
  }),
  mapLookup: (item, { readData }) => ({
    kind: 'mapLookup',
    map: item.get('map').text(),
    key: readData(item.get('key')),
  }),
  mapBatch: (item) => ({
    kind: 'mapBatch',
    map: item.get('map').text(),
    count: item.get('count').integer(1, MAX_BATCH),
    remove: item.maybe('remove')?.boolean() ?? false,
  }),
  setAffinity: (item) => ({
    kind: 'setAffinity',
    task: item.get('task').text(),
    cpus: readCpus(item.get('cpus'), MAX_CPU),
  }),
  spend: (item) => ({ kind: 'spend', ns: item.get('ns').integer(1, MAX_NS) }),
  sleep: (item) => ({ kind: 'sleep', ns: item.get('ns').integer(1, MAX_NS) }),
};

/** CPUs that a task may use: at least one. */
export function readCpus(item: Reader, last: number): number[] {
  const cpus = item.items().map((cpu) => cpu.integer(0, last));
  return cpus.length > 0 ? cpus : item.fail('VALUE', 'at least one CPU is wanted');
}

function device(item: Reader): string {
  return item.maybe('device')?.text() ?? DEVICE;
}

/** One frame as hex digits, or those of a capture with their times. */
function frames(item: Reader, readFile: Context['readFile']): TimedFrame[] {
  const hex = item.maybe('hex');
  const pcap = item.maybe('pcap');
  if ((hex === undefined) === (pcap === undefined)) item.fail('KEY', 'one of "hex" and "pcap" is wanted');
  if (hex !== undefined) return [{ frame: hex.hex(), afterNs: 0 }];
  try {
    const captured = readPcap(readFile(pcap!.text()));
    const first = captured[0]?.timeNs ?? 0n;
    // Captures may step back in time.
    return captured.map(({ data, timeNs }) => ({
      frame: data,
      afterNs: Math.max(0, Number(timeNs - first)),
    }));
  } catch (error) {
    if (error instanceof BpflabError) return pcap!.fail('VALUE', `${pcap!.text()}: ${error.detail}`);
    throw error;
  }
}

/** Numbers, or texts for what points to a string; a text of digits is a number. */
function args(item: Reader, key: string): ProbeArg[] {
  return (
    item
      .maybe(key)
      ?.items()
      .map((arg) => {
        const { value } = arg;
        const text = typeof value === 'string' && !/^-?(0x[0-9a-f]+|\d+)$/i.test(value);
        return text ? value : arg.word();
      }) ?? []
  );
}

function fields(item: Reader): Record<string, bigint> {
  const members = item.maybe('fields')?.members() ?? [];
  return Object.fromEntries(members.map(([name, field]) => [name, field.word()]));
}

/** Attach type of a control group's hook, in libbpf's spelling. */
function cgroupHook(item: Reader): AttachType {
  const type = attachTypeByName(item.text());
  if (type !== undefined && attachTypeName(type).startsWith('cgroup')) return type;
  return item.fail('VALUE', `"${item.text()}" is no hook of control groups, such as cgroup_setsockopt`);
}

function during(item: Reader, { readFile, readData, depth }: Context): ActionSpec[] {
  return (
    item
      .maybe('during')
      ?.items()
      .map((inner) => {
        const action = readAction(inner, readFile, readData, depth + 1);
        inner.end();
        return action;
      }) ?? []
  );
}

function address(item: Reader, kind: 'connect' | 'bind'): ActionSpec {
  const ip = item.get('ip');
  const text = ip.text();
  const bytes = text.split('.');
  const valid = bytes.length === 4 && bytes.every((byte) => /^\d{1,3}$/.test(byte) && Number(byte) < 256);
  if (!valid) ip.fail('VALUE', `"${text}" is no IPv4 address`);
  return { kind, ip: text, port: item.get('port').integer(0, 65535) };
}
