/**
 * Scenarios as mutants: those of programs/scenarios, of which members go, come, take each other's places or become something
 * that nobody expects there. A mutant's description begins with the object that it is for, as its seed's does.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Rng } from './rng.js';

const FOLDER = fileURLToPath(new URL('../../programs/scenarios/', import.meta.url));
/** Repetitions beyond are taken back now and then: what takes long is not what is looked for. */
const MOST_TIMES = 20;

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

let seeds: readonly Json[] | undefined;

function readSeeds(): readonly Json[] {
  return readdirSync(FOLDER)
    .filter((name) => name.endsWith('.json'))
    .sort()
    .map((name) => JSON.parse(readFileSync(FOLDER + name, 'utf8')) as Json)
    .map(fewTimes);
}

/** The same with few repetitions of each event. */
function fewTimes(value: Json): Json {
  if (Array.isArray(value)) return value.map(fewTimes);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).map(([key, member]): [string, Json] => {
    const many = (key === 'repeat' || key === 'count') && typeof member === 'number' && member > MOST_TIMES;
    return [key, many ? MOST_TIMES : fewTimes(member)];
  });
  return Object.fromEntries(entries);
}

const ODD: readonly Json[] = [
  null,
  true,
  '',
  'hex:',
  'hex:00',
  '0x',
  '-1',
  'a\nb',
  'constructor',
  '__proto__',
  '0xffffffffffffffff',
  0,
  -1,
  0.5,
  1e300,
  63,
  64,
  4294967295,
  9007199254740991,
  [],
  {},
  [[]],
  [0],
];
const ACTIONS: readonly Json[] = [
  { spend: { ns: 3_600_000_000_000 } },
  { sleep: { ns: 1 } },
  { setAffinity: { task: 'cpu0', cpus: [0] } },
  { packet: { pcap: '../data/traffic.pcap' } },
  { packet: { hex: 'ff'.repeat(60), device: 'lo' } },
  { transmit: { hex: '00'.repeat(4000) } },
  { perf: {} },
  { perf: { event: 'page-faults' } },
  { syscall: { name: 'openat', args: ['x', 1, 2, 3, 4, 5, 6], during: [{ perf: {} }] } },
  {
    call: {
      function: 'do_work',
      during: [{ call: { function: 'do_work', during: [{ sleep: { ns: 5 } }] } }],
    },
  },
  { tracepoint: { name: 'sched:sched_switch', fields: [1, 2, 3] } },
  { uprobe: { place: '/bin/x:f', args: [1] } },
  { lsm: { hook: 'file_open' } },
  { cgroup: { hook: 'cgroup_setsockopt', fields: { level: 1 }, data: '00' } },
  { connect: { ip: '10.0.0.1', port: 80 } },
  { trigger: { prog: 'count_packets', fields: { mark: 1 } } },
  { testRun: { prog: 'count_packets', data: 'ff'.repeat(60), repeat: 3 } },
  { mapBatch: { map: 'preallocated', count: 3, remove: true } },
  { mapDelete: { map: 'preallocated', key: 1 } },
];

/** All places in a value that something can be put into. */
function places(
  value: Json,
  into: { readonly holder: Json[] | { [key: string]: Json }; readonly key: string }[],
) {
  if (typeof value !== 'object' || value === null) return into;
  for (const [key, member] of Object.entries(value)) {
    into.push({ holder: value, key });
    places(member, into);
  }
  return into;
}

/** Lists get members, objects any name, `__proto__` too. */
function set(holder: Json[] | { [key: string]: Json }, key: string, value: Json): void {
  if (Array.isArray(holder) && !/^\d+$/.test(key)) holder.push(value);
  else Object.defineProperty(holder, key, { value, writable: true, enumerable: true, configurable: true });
}

function mutate(root: Json, other: Json, rng: Rng): void {
  const found = places(root, []);
  if (found.length === 0) return;
  const { holder, key } = rng.pick(found);
  const theirs = places(other, []);
  switch (rng.below(10)) {
    case 0:
      set(holder, key, rng.pick(ODD));
      return;
    case 1: {
      const from = rng.pick(theirs);
      set(holder, key, structuredClone((from.holder as { [key: string]: Json })[from.key]!));
      return;
    }
    case 2:
      if (Array.isArray(holder)) holder.splice(Number(key), 1);
      else delete holder[key];
      return;
    case 3: {
      const from = rng.pick(theirs);
      set(holder, from.key, structuredClone((from.holder as { [key: string]: Json })[from.key]!));
      return;
    }
    case 4: {
      const value = (holder as { [key: string]: Json })[key]!;
      if (typeof value === 'number') set(holder, key, value + rng.pick([-1, 1, 1000, 0.5]));
      return;
    }
    default: {
      const { events } = root as { events?: Json };
      if (Array.isArray(events)) {
        const at = { cpu: rng.below(4), at: rng.below(3000), repeat: 1 + rng.below(4) };
        events.splice(rng.below(events.length + 1), 0, {
          ...at,
          ...(structuredClone(rng.pick(ACTIONS)) as object),
        });
      }
    }
  }
}

/** A mutant as the bytes of its file. */
export function mutateScenario(rng: Rng): Uint8Array {
  seeds ??= readSeeds();
  const root = structuredClone(rng.pick(seeds));
  const other = rng.pick(seeds);
  const { description } = root as { description?: Json };
  for (let i = rng.pick([1, 1, 1, 1, 2, 2, 4]); i > 0; i--) mutate(root, other, rng);
  const whole = typeof root === 'object' && root !== null && !Array.isArray(root);
  if (whole && rng.oneIn(2)) set(root, 'interleaved', rng.oneIn(2));
  const named = whole ? { ...(fewTimes(root) as object), description } : root;
  const text = JSON.stringify(named);
  return new TextEncoder().encode(rng.oneIn(30) ? text.slice(0, rng.below(text.length)) : text);
}
