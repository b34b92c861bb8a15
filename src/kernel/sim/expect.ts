/**
 * What a scenario says has to hold at its end: values of map elements, sums over CPUs, elements that are gone, numbers of
 * elements. Read from data like the rest of the scenario, and compared with the maps as system calls see them.
 */

import { QueueStackMap } from '../bpf/queue-stack-maps.js';
import type { Kernel } from '../kernel.js';
import { sameBytes } from '../lib/bytes.js';
import { bytesOf, type LoadedObject } from '../loaded-object.js';
import type { Reader } from './reader.js';

type Data = bigint | Uint8Array;

export type ExpectWant =
  /** The value, of one CPU or of all, byte for byte. */
  | { readonly kind: 'value'; readonly key: Data; readonly value: Data; readonly cpu: number | undefined }
  /** Values of all CPUs as numbers, added up. */
  | { readonly kind: 'sum'; readonly key: Data; readonly sum: bigint }
  | { readonly kind: 'absent'; readonly key: Data }
  /** Number of elements. */
  | { readonly kind: 'elements'; readonly elements: number };

export interface ExpectSpec {
  readonly map: string;
  readonly want: ExpectWant;
  readonly path: string;
}

const WANTS = ['value', 'sum', 'absent', 'elements'] as const;
const MAX_ELEMENTS = 0xffffffff;

export function readExpect(item: Reader, cpus: number, readData: (item: Reader) => Data): ExpectSpec {
  const map = item.get('map').text();
  const present = WANTS.filter((want) => item.has(want));
  if (present.length !== 1) item.fail('KEY', `one of these is wanted: ${WANTS.join(', ')}`);
  const key = (): Data => readData(item.get('key'));
  let want: ExpectWant;
  switch (present[0]!) {
    case 'value': {
      const cpu = item.maybe('cpu')?.integer(0, cpus - 1);
      want = { kind: 'value', key: key(), value: readData(item.get('value')), cpu };
      break;
    }
    case 'sum':
      want = { kind: 'sum', key: key(), sum: item.get('sum').word() };
      break;
    case 'absent':
      if (!item.get('absent').boolean()) item.fail('VALUE', '"absent" can only be true');
      want = { kind: 'absent', key: key() };
      break;
    case 'elements':
      want = { kind: 'elements', elements: item.get('elements').integer(0, MAX_ELEMENTS) };
  }
  item.end();
  return { map, want, path: item.path };
}

/** What does not hold, a sentence each. */
export function unmet(
  kernel: Kernel,
  loaded: LoadedObject<Kernel>,
  expectations: readonly ExpectSpec[],
): string[] {
  return expectations.flatMap((spec) => unmetOne(kernel, loaded, spec) ?? []);
}

function unmetOne(
  kernel: Kernel,
  loaded: LoadedObject<Kernel>,
  { map: name, want, path }: ExpectSpec,
): string | undefined {
  const map = loaded.map(name);
  if (want.kind === 'elements') {
    const count =
      map instanceof QueueStackMap ? [...map.values()].length : [...kernel.bpf.mapEntries(map)].length;
    return count === want.elements
      ? undefined
      : `${path}: ${name} has ${count} elements, not ${want.elements}`;
  }
  const element = `${path}: ${name}[${dataText(want.key)}]`;
  const value = kernel.bpf.mapLookup(map, bytesOf(want.key, map.keySize));
  if (typeof value === 'number')
    return want.kind === 'absent' ? undefined : `${element} is not there (${value})`;
  if (want.kind === 'absent') return `${element} is there`;
  const parts = map.perCpu ? perCpu(value, kernel.cpus, map.valueSize) : [value];
  if (want.kind === 'sum') {
    const sum = parts.reduce((all, part) => all + numberOf(part), 0n);
    return sum === want.sum ? undefined : `${element} adds up to ${sum}, not ${want.sum}`;
  }
  const wrong = parts.findIndex(
    (part, cpu) =>
      (want.cpu === undefined || !map.perCpu || cpu === want.cpu) &&
      !sameBytes(part, bytesOf(want.value, map.valueSize)),
  );
  if (wrong < 0) return undefined;
  const where = map.perCpu ? ` of CPU ${wrong}` : '';
  return `${element}${where} is ${bytesText(parts[wrong]!)}, not ${dataText(want.value)}`;
}

function perCpu(value: Uint8Array, cpus: number, size: number): Uint8Array[] {
  const stride = value.length / cpus;
  return Array.from({ length: cpus }, (_, cpu) => value.subarray(cpu * stride, cpu * stride + size));
}

function numberOf(bytes: Uint8Array): bigint {
  let value = 0n;
  for (let i = Math.min(bytes.length, 8) - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i]!);
  return value;
}

/** Up to 8 bytes as a number, more as hex digits. */
function bytesText(bytes: Uint8Array): string {
  return bytes.length <= 8 ? numberOf(bytes).toString() : `hex:${Buffer.from(bytes).toString('hex')}`;
}

function dataText(data: Data): string {
  return typeof data === 'bigint' ? data.toString() : bytesText(data);
}
