/** Programs for the BTF sweep that try everything once: arguments of attach points, fields of maps, format strings. */
import { AttachType } from '../../src/abi/attach-types.js';
import { MapType } from '../../src/abi/map-types.js';
import { ProgType } from '../../src/abi/prog-types.js';
import { assemble, encodeInsns } from '../../src/isa/index.js';
import type { Btf } from '../../src/object/btf/index.js';
import { Rng } from './verdicts-rng.js';

export interface SweepProgram {
  readonly what: string;
  readonly request: Readonly<Record<string, unknown>>;
}

/** Something to attach to by BTF id. */
export interface Target {
  readonly name: string;
  readonly progType: number;
  readonly attachType: number;
  readonly id: number;
  readonly sleepable?: boolean;
}

export function requestFor(target: Target, text: string, more: object = {}): SweepProgram['request'] {
  return {
    prog_type: target.progType,
    expected_attach_type: target.attachType,
    prog_flags: target.sleepable === true ? 16 : 0,
    attach_btf_id: target.id,
    license: 'GPL',
    insns: Buffer.from(encodeInsns(assemble(text))).toString('hex'),
    log_level: 2,
    ...more,
  };
}

const STRUCT_OPS = ['tcp_congestion_ops', 'bpf_dummy_ops'];

/** Every tracepoint, iterator and struct_ops member of the kernel. */
export function targetsOf(btf: Btf): Target[] {
  const targets: Target[] = [];
  for (const [id, type] of btf.types()) {
    if (type.kind === 'typedef' && type.name.startsWith('btf_trace_')) {
      const { name } = type;
      targets.push({ name, progType: ProgType.tracing, attachType: AttachType.trace_raw_tp, id });
    } else if (type.kind === 'func' && type.name.startsWith('bpf_iter_')) {
      const target = { name: type.name, progType: ProgType.tracing, attachType: AttachType.trace_iter, id };
      targets.push(target, { ...target, sleepable: true });
    } else if (type.kind === 'struct' && STRUCT_OPS.includes(type.name)) {
      const members = [...type.members, { name: 'none' }];
      members.forEach((member, index) => {
        const name = `${type.name}.${member.name}`;
        targets.push({ name, progType: ProgType.struct_ops, attachType: index, id });
      });
    }
  }
  return targets;
}

const SLOTS = 14;

export function* argumentPrograms(btf: Btf): Generator<SweepProgram> {
  for (const target of targetsOf(btf)) {
    for (let slot = 0; slot < SLOTS; slot++) {
      const text = `r0 = *(u64 *)(r1 + ${slot * 8})\nr0 = 0\nexit`;
      yield { what: `${target.name} slot ${slot}`, request: requestFor(target, text) };
    }
    for (const access of ['u32 *)(r1 + 0', 'u8 *)(r1 + 8', 'u16 *)(r1 + 2', 'u64 *)(r1 - 8']) {
      const text = `r0 = *(${access})\nr0 = 0\nexit`;
      yield { what: `${target.name} ${access}`, request: requestFor(target, text) };
    }
    const store = '*(u64 *)(r1 + 0) = 0\nr0 = 0\nexit';
    yield { what: `${target.name} store`, request: requestFor(target, store) };
  }
}

const BIG = 4096;
const MAPS: readonly (readonly [
  type: number,
  keySize: number,
  valueSize: number,
  entries: number,
  flags: number,
])[] = [
  [MapType.hash, 4, 8, 2, 0],
  [MapType.array, 4, 8, 2, 0],
  [MapType.prog_array, 4, 4, 2, 0],
  [MapType.perf_event_array, 4, 4, 2, 0],
  [MapType.percpu_hash, 4, 8, 2, 0],
  [MapType.percpu_array, 4, 8, 2, 0],
  [MapType.stack_trace, 4, 8, 2, 0],
  [MapType.cgroup_array, 4, 4, 2, 0],
  [MapType.lru_hash, 4, 8, 2, 0],
  [MapType.lru_percpu_hash, 4, 8, 2, 0],
  [MapType.lpm_trie, 8, 8, 2, 1],
  [MapType.devmap, 4, 4, 2, 0],
  [MapType.sockmap, 4, 4, 2, 0],
  [MapType.cpumap, 4, 4, 2, 0],
  [MapType.xskmap, 4, 4, 2, 0],
  [MapType.sockhash, 4, 4, 2, 0],
  [MapType.cgroup_storage, 8, 8, 0, 0],
  [MapType.reuseport_sockarray, 4, 8, 2, 0],
  [MapType.percpu_cgroup_storage, 8, 8, 0, 0],
  [MapType.queue, 0, 8, 2, 0],
  [MapType.stack, 0, 8, 2, 0],
  [MapType.devmap_hash, 4, 4, 2, 0],
  [MapType.ringbuf, 0, 0, BIG, 0],
  [MapType.bloom_filter, 0, 8, 2, 0],
  [MapType.user_ringbuf, 0, 0, BIG, 0],
];

export function* mapPrograms(): Generator<SweepProgram> {
  for (const [type, keySize, valueSize, maxEntries, flags] of MAPS) {
    const maps = [
      {
        type,
        key_size: keySize,
        value_size: valueSize,
        max_entries: maxEntries,
        map_flags: flags,
        name: 'm',
      },
    ];
    const program = (what: string, text: string): SweepProgram => ({
      what: `map type ${type}, ${what}`,
      request: {
        prog_type: ProgType.cgroup_skb,
        expected_attach_type: 0,
        license: 'GPL',
        insns: Buffer.from(encodeInsns(assemble(`r1 = map[fd:0]\n${text}\nr0 = 0\nexit`))).toString('hex'),
        log_level: 2,
        maps,
      },
    });
    for (let off = -8; off < 520; off += 2) {
      for (const size of ['u8', 'u16', 'u32', 'u64']) {
        if (off % 8 !== 0 && size !== 'u16') continue;
        const place = off < 0 ? `r1 - ${-off}` : `r1 + ${off}`;
        yield program(`${size} at ${off}`, `r2 = *(${size} *)(${place})`);
      }
    }
    yield program('store', '*(u64 *)(r1 + 0) = 0');
    yield program('walk', 'r2 = *(u64 *)(r1 + 0)\nr3 = *(u64 *)(r2 + 0)');
  }
}

const FORMAT_BYTES = [...'%%%%%%psduxXclliI46kKBS 0+-19abz.,\n'].map((c) => c.charCodeAt(0));
const ODD_BYTES = [1, 7, 0x7f, 0x80, 0xff];

/** Random formats, as `bpf_snprintf` gets them from a read-only map. */
export function* formatPrograms(seed: number, count = 4000): Generator<SweepProgram> {
  const rng = new Rng(seed);
  for (let n = 0; n < count; n++) {
    const length = rng.range(0, 10 - 1);
    const bytes = Array.from({ length }, () =>
      rng.range(0, 40 - 1) === 0
        ? ODD_BYTES[rng.range(0, ODD_BYTES.length - 1)]!
        : FORMAT_BYTES[rng.range(0, FORMAT_BYTES.length - 1)]!,
    );
    const data = Buffer.from([...bytes, ...new Array<number>(16 - length).fill(0)]).toString('hex');
    const argBytes = rng.range(0, 12 - 1) === 0 ? rng.range(0, 30 - 1) : rng.range(0, 4 - 1) * 8;
    const text = `*(u64 *)(r10 - 8) = 0\n*(u64 *)(r10 - 16) = 0\n*(u64 *)(r10 - 24) = 0\n*(u64 *)(r10 - 32) = 0
      r1 = r10\nr1 += -64\nr2 = 32\nr3 = map[fd:0][0]+0\nr4 = r10\nr4 += -32\nr5 = ${argBytes}\ncall 165\nr0 = 0\nexit`;
    yield {
      what: `format ${JSON.stringify(Buffer.from(bytes).toString('latin1'))} with ${argBytes} bytes`,
      request: {
        prog_type: ProgType.raw_tracepoint,
        expected_attach_type: 0,
        license: 'GPL',
        insns: Buffer.from(encodeInsns(assemble(text))).toString('hex'),
        log_level: 2,
        maps: [
          {
            type: MapType.array,
            key_size: 4,
            value_size: 16,
            max_entries: 1,
            map_flags: 128,
            name: 'ro',
            data,
            frozen: true,
          },
        ],
      },
    };
  }
}

/** Stores to fields that programs of some types may write: exact, inside, beyond, moved, atomic, and through a cast. */
export function* writePrograms(btf: Btf): Generator<SweepProgram> {
  const cast = btf.findByName('bpf_rdonly_cast', 'func') ?? 0;
  const ops = btf.findByName('tcp_congestion_ops', 'struct') ?? 0;
  const dummy = btf.findByName('bpf_dummy_ops', 'struct') ?? 0;
  const tc = { name: 'tc', progType: ProgType.sched_cls, attachType: 0, id: 0 };
  const targets: readonly (readonly [target: Target, struct: string, fields: readonly string[]])[] = [
    [
      { name: 'tcp', progType: ProgType.struct_ops, attachType: 6, id: ops },
      'tcp_sock',
      ['snd_cwnd', 'snd_ssthresh', 'ecn_flags', 'mss_cache'],
    ],
    [
      { name: 'dummy', progType: ProgType.struct_ops, attachType: 1, id: dummy },
      'bpf_dummy_ops_state',
      ['val'],
    ],
    [tc, 'nf_conn', ['mark', 'timeout']],
  ];
  for (const [target, struct, fields] of targets) {
    const type = btf.findByName(struct, 'struct') ?? 0;
    const castTo = `r2 = ${type}\ncall kfunc bpf_rdonly_cast#${cast}\nr1 = r0`;
    for (const field of fields) {
      const off = (btf.findMember(type, field)?.bitOffset ?? 0) >>> 3;
      for (const opening of [
        'r1 = *(u64 *)(r1 + 0)',
        `r1 = *(u64 *)(r1 + 0)\n${castTo}`,
        `r1 = r10\n${castTo}`,
      ]) {
        for (const size of ['u8', 'u16', 'u32', 'u64']) {
          for (const shift of [0, 1, 4]) {
            const text = `${opening}\n*(${size} *)(r1 + ${off + shift}) = 1\nr0 = 0\nexit`;
            yield { what: `store to ${struct}.${field}`, request: requestFor(target, text) };
          }
        }
        const moved = `${opening}\nr1 += -8\n*(u32 *)(r1 + ${off + 8}) = 1\nr0 = 0\nexit`;
        yield { what: `moved store to ${struct}.${field}`, request: requestFor(target, moved) };
        const atomic = `${opening}\nr2 = 1\nlock *(u32 *)(r1 + ${off}) += r2\nr0 = 0\nexit`;
        yield { what: `atomic store to ${struct}.${field}`, request: requestFor(target, atomic) };
      }
    }
  }
}

/** One load or store that meets two kinds of pointers, on two paths. */
export function* mixedPrograms(btf: Btf): Generator<SweepProgram> {
  const id = btf.findByName('btf_trace_sched_switch', 'typedef') ?? 0;
  const target = {
    name: 'sched_switch',
    progType: ProgType.tracing,
    attachType: AttachType.trace_raw_tp,
    id,
  };
  const task = btf.findByName('task_struct', 'struct') ?? 0;
  const cast = btf.findByName('bpf_rdonly_cast', 'func') ?? 0;
  const mm = (btf.findMember(task, 'mm')?.bitOffset ?? 0) >>> 3;
  const stack = (btf.findMember(task, 'stack')?.bitOffset ?? 0) >>> 3;
  const kinds: readonly (readonly [name: string, text: string])[] = [
    ['stack', 'r2 = r10\nr2 += -16'],
    ['value', 'r2 = map[fd:0][0]+0'],
    ['map', 'r2 = map[fd:0]'],
    ['context', 'r2 = r6'],
    ['trusted', 'r2 = r7'],
    ['plain', `r2 = *(u64 *)(r7 + ${mm})`],
    ['opaque', `r2 = *(u64 *)(r7 + ${stack})`],
    ['untrusted', `r1 = r7\nr2 = ${task}\ncall kfunc bpf_rdonly_cast#${cast}\nr2 = r0`],
    ['memory', `r1 = r7\nr2 = 0\ncall kfunc bpf_rdonly_cast#${cast}\nr2 = r0`],
  ];
  const uses = [
    'r0 = *(u32 *)(r2 + 0)',
    'r0 = *(u64 *)(r2 + 8)',
    '*(u32 *)(r2 + 0) = 1',
    'r0 = 1\nlock *(u64 *)(r2 + 0) += r0',
    'r0 = load_acquire((u64 *)(r2 + 0))',
  ];
  const maps = [
    { type: MapType.array, key_size: 4, value_size: 64, max_entries: 1, map_flags: 0, name: 'm' },
  ];
  for (const [nameA, a] of kinds) {
    for (const [nameB, b] of kinds) {
      for (const use of uses) {
        const text = `*(u64 *)(r10 - 16) = 0\n*(u64 *)(r10 - 8) = 0\nr6 = r1\nr7 = *(u64 *)(r1 + 8)\ncall 7
          if r0 == 0 goto second\n${a}\ngoto use\nsecond: ${b}\nuse: ${use}\nr0 = 0\nexit`;
        yield { what: `${nameA} and ${nameB}: ${use}`, request: requestFor(target, text, { maps }) };
      }
    }
  }
}
