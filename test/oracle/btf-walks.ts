/**
 * Random walks through the kernel's structures: a program loads an argument of what it hangs on, follows members (mostly
 * such as exist), compares with null, adds, stores, hands pointers to helpers. Program *n* of a seed is always the same.
 */
import { AttachType } from '../../src/abi/attach-types.js';
import { MapType } from '../../src/abi/map-types.js';
import { ProgType } from '../../src/abi/prog-types.js';
import { type Btf, type BtfType, encodeBtf } from '../../src/object/btf/index.js';
import { requestFor, type SweepProgram, type Target, targetsOf } from './btf-programs.js';
import { Rng } from './verdicts-rng.js';

const VALUE_TYPES: readonly BtfType[] = [
  {
    kind: 'int',
    name: 'int',
    size: 4,
    encoding: 1,
    signed: true,
    char: false,
    bool: false,
    bits: 32,
    bitOffset: 0,
  },
  {
    kind: 'struct',
    name: 'val',
    size: 8,
    kindFlag: false,
    members: [
      { name: 'a', type: 1, bitOffset: 0, bitfieldSize: 0 },
      { name: 'b', type: 1, bitOffset: 32, bitfieldSize: 0 },
    ],
  },
];
const VALUE_BTF = Buffer.from(encodeBtf(VALUE_TYPES)).toString('hex');
const storage = (type: number): object => ({
  type,
  key_size: 4,
  value_size: 8,
  max_entries: 0,
  map_flags: 1,
  name: 's',
  btf: VALUE_BTF,
  btf_key_type_id: 1,
  btf_value_type_id: 2,
});
const MAPS = [
  { type: MapType.ringbuf, key_size: 0, value_size: 0, max_entries: 4096, map_flags: 0, name: 'r' },
  storage(MapType.sk_storage),
  storage(MapType.task_storage),
  storage(MapType.inode_storage),
  storage(MapType.cgrp_storage),
];

const KEEPERS = ['r6', 'r7', 'r8', 'r9'] as const;
const SIZES = [1, 2, 4, 8] as const;
const WORDS = new Map([
  [1, 'u8'],
  [2, 'u16'],
  [4, 'u32'],
  [8, 'u64'],
]);

/** Helpers with a pointer argument, a line each; `P` is the pointer, the result comes in r0. */
const CALLS = [
  'r1 = P\nr2 = r10\nr2 += -64\nr3 = 32\nr4 = 0\ncall 141',
  'r1 = P\ncall 162',
  'r1 = P\ncall 175',
  'r1 = P\ncall 136',
  'r1 = P\ncall 137',
  'r1 = P\ncall 138',
  'r1 = P\ncall 139',
  'r1 = P\ncall 140',
  'r1 = P\ncall 178',
  'call 158',
  'r1 = P\nr2 = r10\nr2 += -64\nr3 = 32\ncall 147',
  '*(u64 *)(r10 - 64) = 0\nr1 = P\nr2 = r10\nr2 += -64\nr3 = 8\ncall 127',
  'r1 = r10\nr1 += -64\nr2 = 8\nr3 = P\ncall 113',
  'r1 = map[fd:0]\nr2 = P\nr3 = 8\nr4 = 0\ncall 130',
  'r1 = map[fd:0]\nr2 = P\nr3 = 100000\nr4 = 0\ncall 130',
  'r1 = map[fd:1]\nr2 = P\nr3 = 0\nr4 = 1\ncall 107',
  'r1 = map[fd:2]\nr2 = P\nr3 = 0\nr4 = 1\ncall 156',
  'r1 = map[fd:2]\nr2 = P\ncall 157',
  'r1 = map[fd:3]\nr2 = P\nr3 = 0\nr4 = 0\ncall 145',
  'r1 = map[fd:4]\nr2 = P\nr3 = 0\nr4 = 1\ncall 210',
  'r1 = r10\nr1 += -64\nr2 = 8\nr3 = 0\nr4 = P\nr5 = 0\ncall 191',
  'r1 = P\nr2 = 5\ncall 116',
  'r1 = P\ncall 154',
  'r1 = P\nr2 = 1\ncall 153',
  'r1 = P\nr2 = 6\nr3 = 13\nr4 = r10\nr4 += -64\nr5 = 4\ncall 49',
  'r1 = P\nr2 = 6\nr3 = 13\nr4 = r10\nr4 += -64\nr5 = 4\ncall 57',
  'r1 = P\ncall 46',
  'r1 = P\ncall 86',
  'r1 = P\ncall 95',
  'r1 = P\ncall 96',
  'r1 = P\ncall 122',
  'r1 = P\ncall 128',
  'r1 = P\ncall 188',
  'r1 = P\ncall 196',
  'r1 = P\nr2 = r10\nr2 += -64\nr3 = 8\nr4 = 0\nr5 = 0\ncall 126',
  '*(u64 *)(r10 - 16) = 0\n*(u64 *)(r10 - 8) = 0\nr1 = P\nr2 = r10\nr2 += -16\nr3 = 16\nr4 = 0\ncall 150',
  'r1 = map[fd:1]\nr2 = P\ncall 108',
  'r1 = map[fd:3]\nr2 = P\ncall 146',
  'r1 = map[fd:4]\nr2 = P\ncall 211',
  'r1 = map[fd:1]\nr2 = P\nr3 = r10\nr3 += -64\nr4 = 1\ncall 107',
  '*(u64 *)(r10 - 8) = P',
];

const OPEN_FIELDS: ReadonlyMap<string, readonly string[]> = new Map([
  ['sock', ['sk_pacing_rate', 'sk_pacing_status']],
  ['tcp_sock', ['snd_cwnd', 'snd_cwnd_cnt', 'snd_ssthresh', 'ecn_flags', 'app_limited', 'mss_cache']],
  ['inet_connection_sock', ['icsk_ca_priv']],
  ['nf_conn', ['mark', 'timeout']],
  ['bpf_dummy_ops_state', ['val']],
]);
const CAST_TYPES = [
  'bpf_dummy_ops_state',
  'nf_conn',
  'tcp_sock',
  'task_struct',
  'tcp_sock',
  'sock',
  'sk_buff',
  'cgroup',
  'int',
  'cpumask_t',
  'file',
];

/** Calls of kernel functions, by name; `T` is a type's id. */
const KFUNC_CALLS = [
  'r1 = P\nr2 = T\ncall bpf_rdonly_cast',
  'r1 = P\nr2 = T\ncall bpf_rdonly_cast',
  'call bpf_rcu_read_lock',
  'call bpf_rcu_read_lock',
  'call bpf_rcu_read_unlock',
  'r1 = P\ncall bpf_task_acquire',
  'r1 = P\ncall bpf_task_release',
  'r1 = P\ncall bpf_cgroup_acquire',
  'r1 = P\ncall bpf_cgroup_release',
  'r1 = P\nr2 = 1\ncall bpf_cgroup_ancestor',
  'r1 = P\ncall bpf_task_get_cgroup1\nr2 = 0',
  'r1 = P\nr2 = r9\ncall bpf_task_under_cgroup',
  'r1 = 1\ncall bpf_task_from_pid',
  'r1 = 1\ncall bpf_cgroup_from_id',
];

class Walk {
  readonly #btf: Btf;
  readonly #rng: Rng;
  readonly #lines: string[] = [];
  /** Structures that registers are believed to point to. */
  readonly #types = new Map<string, number>();

  constructor(btf: Btf, rng: Rng) {
    this.#btf = btf;
    this.#rng = rng;
  }

  /** What came since `from` happens again: a counted number of times, or until chance ends it. */
  repeat(from: number): void {
    const rng = this.#rng;
    this.#lines.splice(from, 0, '*(u64 *)(r10 - 72) = 0', 'again:');
    const counted = 'r2 = *(u64 *)(r10 - 72)\nr2 += 1\n*(u64 *)(r10 - 72) = r2\nif r2 < 4 goto again';
    this.#lines.push(rng.chance(0.6) ? counted : 'call 7\nif r0 == 0 goto again');
  }

  get length(): number {
    return this.#lines.length;
  }

  text(): string {
    return `${this.#lines.join('\n')}\nend: r0 = 0\nexit`;
  }

  load({ slot, struct, opening }: Start): void {
    this.#lines.push(opening ?? `r7 = *(u64 *)(r1 + ${slot * 8})`);
    this.#types.set('r7', struct);
    if (this.#rng.chance(0.7)) this.#lines.push('if r7 == 0 goto end');
  }

  step(): void {
    const regs = [...this.#types.keys()];
    if (regs.length === 0) return;
    const reg = this.#rng.pick(regs);
    const kind = this.#rng.range(0, 19);
    if (kind < 12) this.#follow(reg);
    else if (kind < 14) this.#lines.push(`if ${reg} ${this.#rng.pick(['==', '!='])} 0 goto end`);
    else if (kind < 15)
      this.#lines.push(`${reg} += ${this.#rng.pick(['0', '8', '16', '-8', '4', '24', 'r0', 'r2'])}`);
    else if (kind < 16) this.#store(reg);
    else if (kind < 17) this.#spill(reg);
    else this.#call(reg);
  }

  #member(struct: number): { off: number; size: number; target: number | undefined } {
    const btf = this.#btf;
    let id = btf.skipModifiersAndTypedefs(struct);
    let off = 0;
    for (let depth = 0; depth < 4; depth++) {
      const type = btf.type(id);
      if ((type.kind !== 'struct' && type.kind !== 'union') || type.members.length === 0) break;
      const pointers = type.members.filter(
        (member) => btf.kindOf(btf.skipModifiersAndTypedefs(member.type)) === 'ptr',
      );
      const member = this.#rng.pick(pointers.length > 0 && this.#rng.chance(0.7) ? pointers : type.members);
      off += member.bitOffset >>> 3;
      id = btf.skipModifiersAndTypedefs(member.type);
    }
    const type = btf.type(id);
    const target = type.kind === 'ptr' ? btf.skipModifiersAndTypedefs(type.type) : undefined;
    const size = type.kind === 'ptr' ? 8 : 'size' in type && WORDS.has(type.size) ? type.size : 4;
    return { off, size, target };
  }

  #follow(reg: string): void {
    const rng = this.#rng;
    let { off, size, target } = this.#member(this.#types.get(reg)!);
    if (rng.chance(0.08)) off += rng.range(-9, 9);
    if (rng.chance(0.08)) size = rng.pick(SIZES);
    const dst = rng.pick(KEEPERS);
    const place = off < 0 ? `${reg} - ${-off}` : `${reg} + ${off}`;
    if (off > 32767 || off < -32768) return;
    this.#lines.push(`${dst} = *(${WORDS.get(size)} *)(${place})`);
    this.#types.delete(dst);
    const kind = target === undefined ? undefined : this.#btf.kindOf(target);
    if (target !== undefined && (kind === 'struct' || kind === 'union')) this.#types.set(dst, target);
    else if (rng.chance(0.2)) this.#lines.push(`r2 = *(u32 *)(${dst} + 4)`);
    if (this.#types.has(dst) && rng.chance(0.4)) this.#lines.push(`if ${dst} == 0 goto end`);
  }

  #store(reg: string): void {
    const struct = this.#types.get(reg)!;
    const open = this.#rng.chance(0.5) ? this.#openField(struct) : undefined;
    const { off, size } = open ?? this.#member(struct);
    if (off < 32768) this.#lines.push(`*(${WORDS.get(size)} *)(${reg} + ${off}) = 1`);
  }

  #spill(reg: string): void {
    const dst = this.#rng.pick(KEEPERS);
    this.#lines.push(`*(u64 *)(r10 - 80) = ${reg}`);
    if (this.#rng.chance(0.5)) this.#lines.push(`r2 = *(u32 *)(r10 - 80)`);
    this.#lines.push(`${dst} = *(u64 *)(r10 - 80)`);
    this.#types.set(dst, this.#types.get(reg)!);
  }

  /** A field that programs of some types may write. */
  #openField(struct: number): { off: number; size: number } | undefined {
    const name = OPEN_FIELDS.get(this.#btf.nameOf(struct));
    const found = name === undefined ? undefined : this.#btf.findMember(struct, this.#rng.pick(name));
    if (found === undefined) return undefined;
    return {
      off: (found.bitOffset >>> 3) + this.#rng.pick([0, 0, 0, 4]),
      size: this.#rng.pick([4, 4, 8, 1]),
    };
  }

  #kfuncCall(): string {
    const rng = this.#rng;
    const cast = rng.chance(0.8) ? rng.pick(CAST_TYPES) : 'nothing';
    const type = this.#btf.findByName(cast) ?? rng.range(0, 3000);
    return rng
      .pick(KFUNC_CALLS)
      .replace('T', `${type}`)
      .replace(
        /call (\w+)/,
        (_, name: string) => `call kfunc ${name}#${this.#btf.findByName(name, 'func') ?? 1}`,
      );
  }

  #call(reg: string): void {
    const text = this.#rng.chance(0.4) ? this.#kfuncCall() : this.#rng.pick(CALLS);
    this.#lines.push(text.replaceAll('P', reg));
    if (!this.#rng.chance(0.5)) return;
    const dst = this.#rng.pick(KEEPERS);
    this.#lines.push(`${dst} = r0`);
    this.#types.delete(dst);
    if (this.#rng.chance(0.7)) this.#lines.push(`if ${dst} == 0 goto end`);
    const task = this.#btf.findByName(
      this.#rng.pick(['task_struct', 'tcp_sock', 'pt_regs', 'socket']),
      'struct',
    );
    if (task !== undefined) this.#types.set(dst, task);
  }
}

interface Start {
  readonly target: Target;
  readonly slot: number;
  readonly struct: number;
  /** How programs that are not attached by BTF come by a pointer, in r7. */
  readonly opening?: string;
}

/** Contexts that hold kernel structures or sockets, and helpers that give them. */
const OPENINGS: readonly (readonly [
  type: keyof typeof ProgType,
  attachType: number,
  struct: string,
  text: string,
])[] = [
  ['netfilter', AttachType.netfilter, 'nf_hook_state', 'r7 = *(u64 *)(r1 + 0)'],
  ['netfilter', AttachType.netfilter, 'sk_buff', 'r7 = *(u64 *)(r1 + 8)'],
  ['sched_cls', 0, 'sock_common', 'r7 = *(u64 *)(r1 + 168)'],
  ['cgroup_skb', 0, 'sock_common', 'r7 = *(u64 *)(r1 + 168)'],
  ['sock_ops', AttachType.cgroup_sock_ops, 'sock_common', 'r7 = *(u64 *)(r1 + 184)'],
  ['sk_msg', AttachType.sk_msg_verdict, 'sock', 'r7 = *(u64 *)(r1 + 72)'],
  ['sk_lookup', AttachType.sk_lookup, 'sock', 'r7 = *(u64 *)(r1 + 0)'],
  ['raw_tracepoint', 0, 'task_struct', 'call 158\nr7 = r0'],
  ['kprobe', 0, 'task_struct', 'call 158\nr7 = r0'],
  ['perf_event', 0, 'task_struct', 'call 158\nr7 = r0'],
  ['xdp', 0, 'task_struct', 'call 158\nr7 = r0'],
];

function openings(btf: Btf): Start[] {
  return OPENINGS.flatMap(([type, attachType, name, opening]) => {
    const struct = btf.findByName(name, 'struct');
    const target = { name: `${type} ${opening}`, progType: ProgType[type], attachType, id: 0 };
    return struct === undefined ? [] : [{ target, slot: 0, struct, opening }];
  });
}

/** Arguments of attach points that point to structures. */
function startsOf(btf: Btf): Start[] {
  const starts: Start[] = [];
  for (const target of targetsOf(btf)) {
    const proto = protoOf(btf, target);
    if (proto?.kind !== 'func_proto') continue;
    const skip =
      target.attachType === AttachType.trace_raw_tp && target.progType === ProgType.tracing ? 1 : 0;
    proto.params.slice(skip).forEach(({ type }, slot) => {
      const pointer = btf.underlying(type);
      if (pointer.kind !== 'ptr') return;
      const struct = btf.skipModifiersAndTypedefs(pointer.type);
      if (btf.kindOf(struct) === 'struct') starts.push({ target, slot, struct });
    });
  }
  return starts;
}

function protoOf(btf: Btf, target: Target): BtfType | undefined {
  let type: BtfType = btf.type(target.id);
  if (type.kind === 'struct') {
    const member = type.members[target.attachType];
    if (member === undefined) return undefined;
    type = btf.underlying(member.type);
  } else if (type.kind === 'typedef' || type.kind === 'func') {
    type = btf.type(type.type);
  }
  return type.kind === 'ptr' ? btf.underlying(type.type) : type;
}

export function* walkPrograms(btf: Btf, seed: number, count: number): Generator<SweepProgram> {
  const starts = startsOf(btf);
  // tracepoints are many and alike; the others get their share
  const others = [
    ...starts.filter(({ target }) => target.attachType !== AttachType.trace_raw_tp),
    ...openings(btf),
  ];
  for (let n = 0; n < count; n++) {
    const rng = new Rng(seed * 1_000_003 + n);
    const start = rng.pick(rng.chance(0.4) ? others : starts);
    const { target } = start;
    const walk = new Walk(btf, rng);
    walk.load(start);
    const steps = rng.range(1, 10);
    const body = walk.length;
    for (let i = 0; i < steps; i++) walk.step();
    if (rng.chance(0.3)) walk.repeat(body);
    const text = walk.text();
    const license = rng.chance(0.02) ? 'Proprietary' : 'GPL';
    yield { what: `walk ${n}, ${target.name}`, request: requestFor(target, text, { maps: MAPS, license }) };
  }
}
