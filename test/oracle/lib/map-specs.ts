/** How random scenarios for each map type look: sizes and flags, keys, values, objects, and how often which operation comes. */
import { MapType } from '../../../src/abi/map-types.js';
import type { Rng } from '../verdicts-rng.js';
import { BTF_INT, BTF_LOCKED, BTF_MAP_TYPES, MAP_BTF } from './map-btf.js';
import type { MapAction } from './map-programs.js';
import type { ScenarioMap, ScenarioObject, ScenarioProg } from './map-scenario.js';

/** Operations of system calls, as in `ScenarioOp`. */
export type SysOp = 'u' | 'l' | 'x' | 'd' | 'n' | 'bl' | 'bx' | 'bu' | 'bd' | 'f' | 'i' | 'c' | 'rc';

export interface Setup {
  /** Map 0 is the one under test. */
  readonly map: ScenarioMap;
  readonly others?: readonly ScenarioMap[];
  readonly objects?: Readonly<Record<string, ScenarioObject>>;
  readonly progs?: readonly ScenarioProg[];
  readonly key: (rng: Rng) => string;
  /** What a system call stores. */
  readonly value: (rng: Rng) => string;
  /** What a program stores; by default the first `value` bytes of the same. */
  readonly programValue?: (rng: Rng) => string;
  readonly ops: Readonly<Partial<Record<SysOp, number>>>;
  readonly actions?: readonly MapAction[];
  /** The order of keys is chance: nothing that shows it is compared. */
  readonly unordered?: boolean;
}

export type Spec = (rng: Rng) => Setup;

const ZERO_SEED = 1 << 6;
const NO_PREALLOC = 1;
const NO_COMMON_LRU = 2;
const NUMA = 1 << 2;
const MMAPABLE = 1 << 10;
const CPUS = 2;
/** `r0 = 2; exit`. */
const PASS = 'b7000000020000009500000000000000';

export const randomHex = (rng: Rng, size: number): string => {
  let text = '';
  for (let i = 0; i < size; i++) text += rng.range(0, 255).toString(16).padStart(2, '0');
  return text;
};

const le = (value: number, size: number): string => {
  const out = Buffer.alloc(Math.max(size, 8));
  out.writeUInt32LE(value >>> 0, 0);
  return out.subarray(0, size).toString('hex');
};
const round8 = (size: number): number => Math.ceil(size / 8) * 8;

/** One of a few keys, sometimes one that differs in its last byte only. */
const someKey = (size: number, count: number) => (rng: Rng) => {
  const hex = le(rng.range(0, count), size);
  return rng.chance(0.1) ? `${hex.slice(0, -2)}0${rng.range(0, 3)}` : hex;
};
const someIndex = (max: number) => (rng: Rng) =>
  le(rng.chance(0.08) ? rng.pick([max, max + 1, 0xffffffff]) : rng.range(0, max - 1), 4);

const ALL: Setup['ops'] = {
  u: 30,
  l: 10,
  x: 6,
  d: 12,
  n: 10,
  bl: 6,
  bx: 3,
  bu: 4,
  bd: 3,
  f: 0.05,
  i: 0.3,
  c: 3,
};
const HASH_ACTIONS: readonly MapAction[] = ['lookup', 'update', 'delete'];

function hashLike(type: number, flags: readonly number[], more: Partial<Setup> = {}): Spec {
  return (rng) => {
    const perCpu = type === MapType.percpu_hash || type === MapType.lru_percpu_hash;
    const key = rng.pick([1, 3, 4, 7, 8, 12, 16, 20, 33]);
    const value = rng.pick([1, 4, 6, 8, 12, 16, 40]);
    const max = rng.pick([1, 2, 3, 4, 7, 16, 33, 64, 300]);
    const unordered = rng.chance(0.15);
    return {
      map: { type, key, value, max, flags: rng.pick(flags) | (unordered ? 0 : ZERO_SEED) },
      key: someKey(key, Math.ceil(max * rng.pick([1, 1.5, 3]))),
      value: (r) => randomHex(r, perCpu ? round8(value) * CPUS : value),
      programValue: (r) => randomHex(r, value),
      ops: ALL,
      actions: perCpu ? [...HASH_ACTIONS, 'percpu'] : HASH_ACTIONS,
      unordered,
      ...more,
    };
  };
}

const lockedHash: Spec = (rng) => {
  const setup = hashLike(MapType.hash, [0, NO_PREALLOC])(rng);
  const btf = { btf: MAP_BTF, btf_key: BTF_INT, btf_value: BTF_LOCKED };
  const { max, flags } = setup.map;
  return {
    ...setup,
    map: { type: MapType.hash, key: 4, value: 16, max, flags, ...btf },
    key: someKey(4, max * 2),
    value: (r) => randomHex(r, 16),
    actions: [],
  };
};

function arrayLike(type: number): Spec {
  return (rng) => {
    const perCpu = type === MapType.percpu_array;
    const value = rng.pick([1, 4, 6, 8, 12, 40]);
    const max = rng.pick([1, 2, 5, 17, 100]);
    const locked = !perCpu && rng.chance(0.2);
    const size = locked ? 16 : value;
    return {
      map: {
        type,
        key: 4,
        value: size,
        max,
        flags: 0,
        ...(locked && { btf: MAP_BTF, btf_key: BTF_INT, btf_value: BTF_LOCKED }),
      },
      key: someIndex(max),
      value: (r) => randomHex(r, perCpu ? round8(size) * CPUS : size),
      programValue: (r) => randomHex(r, size),
      ops: ALL,
      actions: locked ? [] : perCpu ? [...HASH_ACTIONS, 'percpu'] : HASH_ACTIONS,
    };
  };
}

const lpm: Spec = (rng) => {
  const data = rng.pick([1, 2, 4, 5, 16]);
  const value = rng.pick([1, 4, 8, 13]);
  const max = rng.pick([1, 3, 8, 40, 200]);
  const narrow = rng.chance(0.5);
  return {
    map: { type: MapType.lpm_trie, key: 4 + data, value, max, flags: NO_PREALLOC },
    key: (r) => {
      const prefix = r.chance(0.03) ? 8 * data + r.range(1, 3) : r.range(0, 8 * data);
      const bits = narrow ? Buffer.alloc(data, r.pick([0, 0x80, 0xff])).toString('hex') : randomHex(r, data);
      const first = (r.range(0, 255) & 0xe3).toString(16).padStart(2, '0');
      return le(prefix, 4) + first + bits.slice(2);
    },
    value: (r) => randomHex(r, value),
    ops: { ...ALL, x: 2 },
    actions: HASH_ACTIONS,
  };
};

function queueLike(type: number): Spec {
  return (rng) => {
    const value = rng.pick([1, 4, 7, 8, 24]);
    const max = rng.pick([1, 2, 5, 16]);
    return {
      map: { type, key: 0, value, max, flags: 0 },
      key: () => '',
      value: (r) => randomHex(r, value),
      ops: { u: 30, l: 12, x: 25, d: 2, n: 2, bl: 1, bu: 1, f: 0.05, i: 0.3, c: 1 },
      actions: ['push', 'pop', 'peek'],
    };
  };
}

const bloom: Spec = (rng) => {
  const value = rng.pick([1, 3, 4, 8, 12, 17]);
  const max = rng.pick([1, 4, 20, 100]);
  const small = (r: Rng) =>
    le(r.range(0, max * 4), Math.max(value, 1))
      .padEnd(2 * value, '0')
      .slice(0, 2 * value);
  return {
    map: {
      type: MapType.bloom_filter,
      key: 0,
      value,
      max,
      flags: ZERO_SEED,
      extra: rng.pick([0, 0, 1, 3, 7, 15]),
    },
    key: () => '',
    value: small,
    ops: { u: 20, l: 50, x: 1, d: 1, n: 1, bl: 1, bu: 1, f: 0.02, i: 0.3 },
    actions: ['push', 'has'],
  };
};

const XDP_PROG = { type: 6, insns: PASS } as const;
const PROGS: readonly ScenarioProg[] = [
  { type: 1, insns: PASS },
  { type: 6, insns: PASS },
  { type: 1, insns: PASS },
];

const progArray: Spec = (rng) => ({
  map: { type: MapType.prog_array, key: 4, value: 4, max: rng.pick([1, 3, 8]), flags: 0 },
  progs: PROGS,
  key: someIndex(8),
  value: (r) => `fd:${r.pick(['prog0', 'prog1', 'prog2', 'prog0', 'none', 'map0'])}`,
  ops: ALL,
});

const INNER_A: ScenarioMap = { type: MapType.array, key: 4, value: 4, max: 2, flags: 0 };
const INNERS: readonly ScenarioMap[] = [
  INNER_A,
  INNER_A,
  { ...INNER_A, max: 3 },
  { ...INNER_A, value: 8 },
  { type: MapType.hash, key: 4, value: 4, max: 2, flags: 0 },
];
const innerValue = (r: Rng): string =>
  `fd:${r.pick(['map1', 'map2', 'map1', 'map2', 'map3', 'map4', 'map5', 'none'])}`;

const arrayOfMaps: Spec = (rng) => {
  const max = rng.pick([1, 3, 8]);
  return {
    map: { type: MapType.array_of_maps, key: 4, value: 4, max, flags: 0, inner: 1 },
    others: INNERS,
    key: someIndex(max),
    value: innerValue,
    ops: ALL,
    actions: ['inner'],
  };
};

const hashOfMaps: Spec = (rng) => {
  const max = rng.pick([1, 3, 8, 20]);
  const flags = rng.pick([0, NO_PREALLOC]) | ZERO_SEED;
  return {
    map: { type: MapType.hash_of_maps, key: 4, value: 4, max, flags, inner: 1 },
    others: INNERS,
    key: someKey(4, max * 2),
    value: innerValue,
    ops: ALL,
    actions: ['inner'],
  };
};

function deviceLike(type: number): Spec {
  return (rng) => {
    const value = rng.pick([4, 8]);
    const max = rng.pick([1, 3, 8]);
    const cpu = type === MapType.cpumap;
    const first = (r: Rng): string =>
      le(cpu ? r.pick([0, 1, 8, 192, 16384, 16385]) : r.pick([1, 1, 1, 0, 77]), 4);
    const second = (r: Rng): string =>
      r.pick(['00000000', '00000000', 'fd:prog0', 'fd:prog1', 'fd:none', 'ffffffff']);
    return {
      map: { type, key: 4, value, max, flags: 0 },
      progs: [XDP_PROG, { type: 6, attach: cpu ? 35 : 33, insns: PASS }],
      key: type === MapType.devmap_hash ? someKey(4, max * 2) : someIndex(max),
      value: (r) => (value === 4 ? first(r) : `${first(r)}+${second(r)}`),
      // Entries of a cpumap are threads: fewer of them.
      ops: cpu ? { ...ALL, u: 6 } : ALL,
    };
  };
}

const SOCKETS: Readonly<Record<string, ScenarioObject>> = {
  udp: { kind: 'udp', bound: true },
  udpr: { kind: 'udp', bound: true, reuse: true },
  udps: { kind: 'udp', bound: true, reuse: true },
  udpx: { kind: 'udp' },
  tcpx: { kind: 'tcp' },
  tcpl: { kind: 'tcp', listen: true, reuse: true },
  tcpc: { kind: 'tcp', connected: true },
  unixd: { kind: 'unix', type: 'SOCK_DGRAM' },
  unixs: { kind: 'unix', type: 'SOCK_STREAM' },
  unixp: { kind: 'unixpair', type: 'SOCK_STREAM' },
  nl: { kind: 'netlink' },
  xdp: { kind: 'xdp' },
  xdpb: { kind: 'xdp' },
  file: { kind: 'file' },
};
const someSock = (r: Rng): string => r.pick([...Object.keys(SOCKETS), 'udp', 'udpr', 'tcpl', 'none', 'map0']);

function sockLike(type: number): Spec {
  return (rng) => {
    const value = type === MapType.xskmap ? 4 : rng.pick([8, 8, 4]);
    const max = rng.pick([1, 3, 8]);
    const key = type === MapType.sockhash ? rng.pick([4, 7, 16]) : 4;
    const xdp = (r: Rng): string => r.pick(['xdp', 'xdpb', 'xdp', 'xdpb', 'udp', 'none', 'file']);
    return {
      map: { type, key, value, max, flags: 0 },
      objects: SOCKETS,
      key: type === MapType.sockhash ? someKey(key, max * 2) : someIndex(max),
      value: (r) => `${value === 8 ? 'fd8' : 'fd'}:${type === MapType.xskmap ? xdp(r) : someSock(r)}`,
      ops: ALL,
    };
  };
}

function storageLike(type: number, objects: Readonly<Record<string, ScenarioObject>>): Spec {
  return (rng) => {
    const locked = rng.chance(0.4);
    const size = locked ? 16 : 4;
    const btf = { btf: MAP_BTF, btf_key: BTF_INT, btf_value: locked ? BTF_LOCKED : BTF_INT };
    return {
      map: { type, key: 4, value: size, max: 0, flags: NO_PREALLOC, ...btf },
      objects: { ...objects, file: { kind: 'file' } },
      key: (r) => `fd:${r.pick([...Object.keys(objects), ...Object.keys(objects), 'none', 'map0'])}`,
      value: (r) => randomHex(r, size),
      ops: { ...ALL, bl: 1, bx: 1, bu: 1, bd: 1, n: 2 },
    };
  };
}

function cgroupStorage(type: number): Spec {
  return (rng) => {
    const key = rng.pick([8, 16]);
    const perCpu = type === MapType.percpu_cgroup_storage;
    return {
      map: { type, key, value: 8, max: 0, flags: 0 },
      key: someKey(key, 3),
      value: (r) => randomHex(r, perCpu ? 8 * CPUS : 8),
      ops: ALL,
    };
  };
}

const GROUPS: Readonly<Record<string, ScenarioObject>> = { root: { kind: 'cgroup', number: 0 } };

const cgroupArray: Spec = (rng) => ({
  map: { type: MapType.cgroup_array, key: 4, value: 4, max: rng.pick([1, 4]), flags: 0 },
  objects: { ...GROUPS, file: { kind: 'file' } },
  key: someIndex(4),
  value: (r) => `fd:${r.pick(['root', 'root', 'none', 'file', 'map0'])}`,
  ops: ALL,
});

const perfArray: Spec = (rng) => ({
  map: { type: MapType.perf_event_array, key: 4, value: 4, max: rng.pick([1, 2, 4]), flags: 0 },
  objects: { e0: { kind: 'event', cpu: 0 }, e1: { kind: 'event', cpu: 1 }, file: { kind: 'file' } },
  key: someIndex(4),
  value: (r) => `fd:${r.pick(['e0', 'e1', 'e0', 'none', 'file', 'map0'])}`,
  ops: ALL,
  actions: ['perf'],
});

const ringbuf: Spec = () => ({
  map: { type: MapType.ringbuf, key: 0, value: 0, max: 4096, flags: 0, mapped: true },
  key: () => '',
  value: () => '',
  programValue: (r) => randomHex(r, 8),
  ops: { rc: 25, u: 1, l: 1, d: 1, n: 1, x: 1, bl: 1, i: 1, c: 2 },
  actions: ['output', 'output', 'output', 'query', 'reserve', 'reserve'],
});

const keyless =
  (type: number): Spec =>
  () => ({
    map:
      type === MapType.arena
        ? { type, key: 0, value: 0, max: 2, flags: MMAPABLE }
        : { type, key: 0, value: 0, max: 4096, flags: 0 },
    key: () => '',
    value: () => '',
    ops: { u: 3, l: 3, d: 3, n: 3, x: 3, bl: 1, bu: 1, bd: 1, bx: 1, i: 1, f: 0.2 },
  });

const stackTrace: Spec = () => ({
  map: { type: MapType.stack_trace, key: 4, value: 64, max: 5, flags: 0 },
  key: someIndex(8),
  value: (r) => randomHex(r, 64),
  ops: ALL,
});

/** All but BPF_F_TOKEN_FD, which names a descriptor. */
const FLAG_BITS = Array.from({ length: 19 }, (_, bit) => 1 << bit).filter((flag) => flag !== 1 << 16);

/** Attributes of a map of any type, mostly near those that there can be. */
export function randomMap(rng: Rng): ScenarioMap {
  const type = rng.range(0, 34);
  const wild = rng.chance(0.2);
  const sizes = [0, 1, 4, 8, 16];
  const btf = rng.chance(0.4);
  const typeId = (): readonly [number, number] => rng.pick(BTF_MAP_TYPES);
  const [btf_key, keySize] = rng.chance(0.2) ? [0, 0] : typeId();
  const [btf_value, valueSize] = rng.chance(0.1) ? [0, 0] : typeId();
  const key = btf && rng.chance(0.8) ? keySize : rng.pick(sizes);
  const value =
    btf && rng.chance(0.8) ? valueSize : rng.pick([...sizes, 12, 32, 1016, 1024, 32768, 32769, 65407, 65408]);
  const flag = (): number => (rng.chance(0.5) ? 0 : rng.pick(FLAG_BITS));
  const usual = rng.pick([0, 0, 1, 1, MMAPABLE]);
  return {
    type,
    key: wild ? rng.pick([3, 5, 260, 261, 512, 513, 4000]) : key,
    value,
    max: wild
      ? rng.pick(value > 1024 ? [5, 257] : [5, 4095, 8192, 257, 300])
      : rng.pick(value > 1024 ? [0, 1, 2] : [0, 1, 1, 2, 4096]),
    flags: usual | flag() | flag(),
    extra: rng.chance(0.8) ? 0 : rng.pick([1, 15, 16, 4096, 2 ** 32 - 4096]),
    numa: rng.chance(0.1) ? 1 : 0,
    ...(btf && { btf: MAP_BTF, btf_key, btf_value }),
  };
}

/** Specs by name; most names are those of map types. */
export const SPECS: Readonly<Record<string, Spec>> = {
  hash: hashLike(MapType.hash, [0, NO_PREALLOC, NUMA]),
  'hash, locks': lockedHash,
  percpu_hash: hashLike(MapType.percpu_hash, [0, NO_PREALLOC]),
  lru_hash: hashLike(MapType.lru_hash, [0, NO_COMMON_LRU]),
  lru_percpu_hash: hashLike(MapType.lru_percpu_hash, [0, NO_COMMON_LRU]),
  array: arrayLike(MapType.array),
  percpu_array: arrayLike(MapType.percpu_array),
  lpm_trie: lpm,
  queue: queueLike(MapType.queue),
  stack: queueLike(MapType.stack),
  bloom_filter: bloom,
  prog_array: progArray,
  perf_event_array: perfArray,
  cgroup_array: cgroupArray,
  array_of_maps: arrayOfMaps,
  hash_of_maps: hashOfMaps,
  devmap: deviceLike(MapType.devmap),
  devmap_hash: deviceLike(MapType.devmap_hash),
  cpumap: deviceLike(MapType.cpumap),
  xskmap: sockLike(MapType.xskmap),
  sockmap: sockLike(MapType.sockmap),
  sockhash: sockLike(MapType.sockhash),
  reuseport_sockarray: sockLike(MapType.reuseport_sockarray),
  sk_storage: storageLike(MapType.sk_storage, SOCKETS),
  task_storage: storageLike(MapType.task_storage, { pid: { kind: 'pid' } }),
  cgrp_storage: storageLike(MapType.cgrp_storage, GROUPS),
  inode_storage: storageLike(MapType.inode_storage, { file: { kind: 'file' } }),
  cgroup_storage: cgroupStorage(MapType.cgroup_storage),
  percpu_cgroup_storage: cgroupStorage(MapType.percpu_cgroup_storage),
  stack_trace: stackTrace,
  ringbuf,
  user_ringbuf: keyless(MapType.user_ringbuf),
  arena: keyless(MapType.arena),
};
