/**
 * A kernel in miniature: the types that tests of BTF pointers need, encoded like a real kernel's. Names and relations are
 * Linux's, sizes and offsets are not. Types are written as `int`, `char[16]`, `task_struct*`, `rcu css_set*`.
 */

import { Btf, type BtfMember, type BtfType, encodeBtf } from '../../../src/object/btf/index.js';
import { intType } from '../../support/btf-types.js';

/** Member: name, type, offset in bytes; bits and first bit where it is a bit-field. */
type Field = readonly [name: string, type: string, off: number, bits?: number, bit?: number];
type Param = readonly [name: string, type: string];

const SCALARS: readonly (readonly [name: string, size: number])[] = [
  ['int', 4],
  ['u64', 8],
  ['char', 1],
];

/** Structures; `union …` is a union, a leading `?` leaves out the name. */
const COMPOSITES: readonly (readonly [name: string, size: number, fields: readonly Field[]])[] = [
  [
    'mm_struct',
    16,
    [
      ['map_count', 'int', 0],
      ['exe_file', 'rcu file*', 8],
    ],
  ],
  ['mm_struct__safe_rcu_or_null', 8, [['exe_file', 'file*', 0]]],
  [
    'file',
    16,
    [
      ['f_inode', 'inode*', 0],
      ['f_flags', 'int', 8],
    ],
  ],
  ['file__safe_trusted', 8, [['f_inode', 'inode*', 0]]],
  ['inode', 8, [['i_mode', 'int', 0]]],
  ['css_set', 8, [['dfl_cgrp', 'cgroup*', 0]]],
  ['css_set__safe_rcu', 8, [['dfl_cgrp', 'cgroup*', 0]]],
  [
    'cgroup',
    16,
    [
      ['id', 'u64', 0],
      ['level', 'int', 8],
    ],
  ],
  [
    'union ?pick',
    8,
    [
      ['tp', 'tcp_sock*', 0],
      ['number', 'u64', 0],
    ],
  ],
  ['list_head', 8, [['next', 'list_head*', 0]]],
  [
    'union ?either',
    8,
    [
      ['leader', 'task_struct*', 0],
      ['number', 'u64', 0],
    ],
  ],
  [
    'task_struct',
    104,
    [
      ['flags', 'int', 0],
      ['low', 'int', 4, 3, 0],
      ['high', 'int', 4, 5, 3],
      ['mm', 'mm_struct*', 8],
      ['cgroups', 'rcu css_set*', 16],
      ['comm', 'char[16]', 24],
      ['user_mem', 'user mm_struct*', 40],
      ['percpu_mem', 'percpu mm_struct*', 48],
      ['', '?either', 56],
      ['children', 'list_head[2]', 64],
      ['private', 'void*', 80],
      ['last_siginfo', 'list_head', 96],
    ],
  ],
  ['task_struct__safe_rcu', 8, [['cgroups', 'rcu css_set*', 0]]],
  [
    'flexible',
    8,
    [
      ['count', 'int', 0],
      ['list', 'list_head[0]', 8],
    ],
  ],
  ['sock_common', 16, [['skc_family', 'int', 0]]],
  [
    'sock',
    40,
    [
      ['__sk_common', 'sock_common', 0],
      ['sk_pacing_rate', 'u64', 16],
      ['sk_priority', 'int', 24],
      ['', '?pick', 32],
    ],
  ],
  [
    'inet_connection_sock',
    40,
    [
      ['icsk_ca_priv', 'u64', 0],
      ['icsk_ack', 'icsk_ack', 8],
    ],
  ],
  ['icsk_ack', 8, [['pending', 'char', 0]]],
  [
    'tcp_sock',
    48,
    [
      ['sk', 'sock', 0],
      ['snd_cwnd', 'int', 40],
      ['mss_cache', 'int', 44],
    ],
  ],
  [
    'bpf_array',
    16,
    [
      ['count', 'int', 0],
      ['owner', 'task_struct*', 8],
    ],
  ],
  ['vm_area_struct', 16, [['vm_start', 'u64', 0]]],
  ['seq_file', 8, [['count', 'u64', 0]]],
  [
    'bpf_iter_meta',
    16,
    [
      ['seq', 'seq_file*', 0],
      ['session_id', 'u64', 8],
    ],
  ],
  ['bpf_iter_meta__safe_trusted', 8, [['seq', 'seq_file*', 0]]],
  [
    'tcp_congestion_ops',
    24,
    [
      ['init', 'fn(void, sock*)*', 0],
      ['ssthresh', 'fn(int, sock*)*', 8],
      ['flags', 'int', 16],
    ],
  ],
  ['bpf_struct_ops_tcp_congestion_ops', 24, [['data', 'tcp_congestion_ops', 0]]],
  ['bpf_dummy_ops_state', 4, [['val', 'int', 0]]],
  [
    'bpf_dummy_ops',
    16,
    [
      ['test_1', 'fn(int, bpf_dummy_ops_state*)*', 0],
      ['test_2', 'fn(int, int)*', 8],
    ],
  ],
  ['bpf_struct_ops_bpf_dummy_ops', 16, [['data', 'bpf_dummy_ops', 0]]],
  ['module_state', 8, []],
];

const FUNCS: readonly (readonly [name: string, result: string, params: readonly Param[]])[] = [
  [
    'do_work',
    'int',
    [
      ['task', 'task_struct*'],
      ['n', 'int'],
      ['big', 'tcp_sock'],
    ],
  ],
  [
    'do_little',
    'int',
    [
      ['task', 'task_struct*'],
      ['n', 'int'],
    ],
  ],
  ['do_exit', 'void', [['code', 'int']]],
  ['migrate_disable', 'void', []],
  ['security_file_open', 'int', [['file', 'file*']]],
  ['bpf_lsm_file_open', 'int', [['file', 'file*']]],
  ['bpf_lsm_task_free', 'void', [['task', 'task_struct*']]],
  ['bpf_lsm_vm_enough_memory', 'int', [['mm', 'mm_struct*']]],
  ['__x64_sys_getpid', 'int', [['file', 'file*']]],
  [
    'bpf_iter_task',
    'int',
    [
      ['meta', 'bpf_iter_meta*'],
      ['task', 'task_struct*'],
    ],
  ],
  [
    'bpf_iter_bpf_map_elem',
    'int',
    [
      ['meta', 'bpf_iter_meta*'],
      ['map', 'bpf_array*'],
      ['key', 'void*'],
      ['value', 'void*'],
    ],
  ],
  ['bpf_iter_nothing', 'int', []],
  [
    '__bpf_trace_task_seen',
    'void',
    [
      ['__data', 'void*'],
      ['task', 'task_struct*'],
      ['other__nullable', 'task_struct*'],
      ['name', 'char*'],
    ],
  ],
  ['bpf_dummy_ops__test_1', 'int', [['cb__nullable', 'bpf_dummy_ops_state*']]],
  ['bpf_tcp_ca_init', 'void', [['sk', 'sock*']]],
];

/** Tracepoints and their arguments, `__data` left out. */
const TRACEPOINTS: readonly (readonly [name: string, params: readonly string[]])[] = [
  ['task_seen', ['task_struct*', 'task_struct*', 'char*']],
  ['kfree_skb', ['sock*', 'int', 'u64', 'sock*']],
  ['mr_integ_alloc', ['int', 'int', 'int', 'sock*']],
];

class Builder {
  readonly #types: BtfType[] = [];
  readonly #ids = new Map<string, number>([['void', 0]]);

  add(type: BtfType, name?: string): number {
    const id = this.#types.push(type);
    if (name !== undefined) this.#ids.set(name, id);
    return id;
  }

  /** Takes the next id for a type that others may refer to before it is written. */
  reserve(name: string): void {
    this.add({ kind: 'fwd', name: '', of: 'struct' }, name);
  }

  set(name: string, type: BtfType): void {
    this.#types[this.id(name) - 1] = type;
  }

  /** Id of a type expression; derived types are made once. */
  id(text: string): number {
    const known = this.#ids.get(text);
    if (known !== undefined) return known;
    const id = this.add(this.#derive(text));
    this.#ids.set(text, id);
    return id;
  }

  #derive(text: string): BtfType {
    const tag = /^(rcu|user|percpu) (.*)\*$/.exec(text);
    if (tag !== null) {
      const target = this.add({ kind: 'type_tag', name: tag[1]!, type: this.id(tag[2]!), attribute: false });
      return { kind: 'ptr', name: '', type: target };
    }
    const proto = /^fn\((\w+)(?:, (.*))?\)$/.exec(text);
    if (proto !== null)
      return this.proto(
        proto[1]!,
        (proto[2] ?? '').split(', ').map((type) => ['', type]),
      );
    if (text.endsWith('*')) return { kind: 'ptr', name: '', type: this.id(text.slice(0, -1)) };
    const array = /^(.*)\[(\d+)\]$/.exec(text);
    if (array === null) throw new Error(`test kernel: what is ${text}?`);
    return { kind: 'array', name: '', type: this.id(array[1]!), indexType: 1, count: Number(array[2]) };
  }

  proto(result: string, params: readonly Param[]): BtfType {
    return {
      kind: 'func_proto',
      name: '',
      type: this.id(result),
      params: params.map(([name, type]) => ({ name, type: this.id(type) })),
    };
  }

  btf(): Btf {
    return Btf.parse(encodeBtf(this.#types));
  }
}

const bareName = (name: string): string => name.replace(/^union /, '');

function build(): Btf {
  const builder = new Builder();
  for (const [name, size] of SCALARS) {
    const type = intType(name, size, 0);
    builder.add(type, name);
  }
  for (const [name] of COMPOSITES) builder.reserve(bareName(name));
  for (const [name, size, fields] of COMPOSITES) {
    const members = fields.map(
      ([field, type, off, bits = 0, bit = 0]): BtfMember => ({
        name: field,
        type: builder.id(type),
        bitOffset: off * 8 + bit,
        bitfieldSize: bits,
      }),
    );
    builder.set(bareName(name), {
      kind: name.startsWith('union ') ? 'union' : 'struct',
      name: bareName(name).startsWith('?') ? '' : bareName(name),
      size,
      kindFlag: fields.some(([, , , bits]) => bits !== undefined),
      members,
    });
  }
  for (const [name, result, params] of FUNCS) {
    const proto = builder.add(builder.proto(result, params));
    builder.add({ kind: 'func', name, type: proto, linkage: 0 });
  }
  for (const [name, params] of TRACEPOINTS) {
    const proto = builder.add(
      builder.proto(
        'void',
        ['void*', ...params].map((type) => ['', type]),
      ),
    );
    const pointer = builder.add({ kind: 'ptr', name: '', type: proto });
    builder.add({ kind: 'typedef', name: `btf_trace_${name}`, type: pointer });
  }
  builder.add({ kind: 'var', name: 'counters', type: builder.id('u64'), linkage: 1 });
  return builder.btf();
}

/** The types; made once, never changed. */
export const KERNEL: Btf = build();

/** Id of a function, structure or typedef of the miniature kernel. */
export function kernelId(name: string): number {
  const [id] = KERNEL.idsByName(name);
  if (id === undefined) throw new Error(`test kernel: no ${name}`);
  return id;
}
