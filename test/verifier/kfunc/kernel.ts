/**
 * A kernel in miniature, with the kernel functions that the tests call: names and prototypes are Linux's. `bind` turns
 * `kcall name` of a program's text into the call by id.
 */

import { Btf, type BtfType, encodeBtf } from '../../../src/object/btf/index.js';
import { intType } from '../../support/btf-types.js';

const STRUCTS: readonly (readonly [name: string, size: number])[] = [
  ['bpf_iter_num', 8],
  ['bpf_iter_bits', 16],
  ['bpf_iter_task', 24],
  ['bpf_dynptr', 16],
  ['task_struct', 64],
  ['cgroup', 64],
  ['kmem_cache', 16],
  ['__sk_buff', 192],
  ['sk_buff', 232],
  ['xdp_md', 24],
  ['bpf_cpumask', 16],
  ['bpf_res_spin_lock', 8],
];

/** `name(parameter type, …): result`; types are `int`, `u64`, `void*`, `task_struct*`. */
const FUNCTIONS = [
  'bpf_iter_num_new(it bpf_iter_num*, start int, end int): int',
  'bpf_iter_num_next(it bpf_iter_num*): int*',
  'bpf_iter_num_destroy(it bpf_iter_num*): void',
  'bpf_iter_task_new(it bpf_iter_task*, task__nullable task_struct*, flags int): int',
  'bpf_iter_task_next(it bpf_iter_task*): task_struct*',
  'bpf_iter_task_destroy(it bpf_iter_task*): void',
  'bpf_rcu_read_lock(): void',
  'bpf_rcu_read_unlock(): void',
  'bpf_preempt_disable(): void',
  'bpf_preempt_enable(): void',
  'bpf_local_irq_save(flags__irq_flag u64*): void',
  'bpf_local_irq_restore(flags__irq_flag u64*): void',
  'bpf_task_from_pid(pid int): task_struct*',
  'bpf_task_acquire(p task_struct*): task_struct*',
  'bpf_task_release(p task_struct*): void',
  'bpf_cgroup_release(cgrp cgroup*): void',
  'bpf_cpumask_create(): bpf_cpumask*',
  'bpf_get_kmem_cache(addr u64): kmem_cache*',
  'bpf_cast_to_kern_ctx(obj void*): void*',
  'bpf_rdonly_cast(obj__ign void*, btf_id__k int): void*',
  'bpf_dynptr_from_skb(s __sk_buff*, flags u64, ptr__uninit bpf_dynptr*): int',
  'bpf_dynptr_slice(p bpf_dynptr*, offset int, buffer__opt void*, buffer__szk int): void*',
  'bpf_dynptr_slice_rdwr(p bpf_dynptr*, offset int, buffer__opt void*, buffer__szk int): void*',
  'bpf_dynptr_size(p bpf_dynptr*): int',
  'bpf_dynptr_clone(p bpf_dynptr*, clone__uninit bpf_dynptr*): int',
  'bpf_copy_from_user_str(dst void*, dst__sz int, unsafe_ptr__ign void*, flags u64): int',
  'bpf_obj_new_impl(local_type_id__k u64, meta__ign void*): void*',
  'bpf_throw(cookie u64): void',
  'bpf_xdp_metadata_rx_hash(ctx xdp_md*, hash int*, type int*): int',
  '__bpf_trap(): void',
  'not_callable(): int',
] as const;

class Builder {
  readonly types: BtfType[] = [];
  readonly #ids = new Map<string, number>();

  add(type: BtfType, name?: string): number {
    this.types.push(type);
    if (name !== undefined) this.#ids.set(name, this.types.length);
    return this.types.length;
  }

  id(name: string): number {
    if (name === 'void') return 0;
    const known = this.#ids.get(name);
    if (known !== undefined) return known;
    return this.add({ kind: 'ptr', name: '', type: this.id(name.slice(0, -1)) }, name);
  }
}

function build(): Btf {
  const builder = new Builder();
  for (const [name, size] of [
    ['int', 4],
    ['u64', 8],
  ] as const) {
    builder.add(intType(name, size, name === 'int' ? 1 : 0), name);
  }
  for (const [name, size] of STRUCTS) {
    // A pointer in each keeps plain memory from standing for it.
    const members = [{ name: 'self', type: builder.id('void*'), bitOffset: 0, bitfieldSize: 0 }];
    builder.add({ kind: 'struct', name, size, kindFlag: false, members }, name);
  }
  for (const text of FUNCTIONS) {
    const [, name = '', list = '', result = ''] = /^(\w+)\((.*)\): (.*)$/.exec(text)!;
    const params = list === '' ? [] : list.split(', ').map((param) => param.split(' ') as [string, string]);
    const type = builder.add({
      kind: 'func_proto',
      name: '',
      type: builder.id(result),
      params: params.map(([param, of]) => ({ name: param, type: builder.id(of) })),
    });
    builder.add({ kind: 'func', name, type, linkage: 1 });
  }
  return Btf.parse(encodeBtf(builder.types));
}

export const KERNEL = build();

/** The program with the ids of the kernel functions that it calls. */
export function bind(text: string, btf: Btf = KERNEL): string {
  return text
    .replaceAll('; ', '\n')
    .replaceAll(/kcall (\w+)/g, (_, name: string) => `call kfunc#${btf.findByName(name, 'func') ?? 0}`);
}
