/** Programs that call kernel functions, for `helper-runs.ts`: ids are those of the running kernel's types. */
import type { Btf } from '../../src/object/btf/index.js';
import { fold, type HelperCase, IPV4, program, put } from './helper-cases.js';

const at = (reg: number, offset: number): string => `r${reg} = r10\nr${reg} += -${offset}`;
const text = (value: string): string => Buffer.from(`${value}\0`, 'latin1').toString('hex');

export function kfuncCases(btf: Btf): HelperCase[] {
  const id = (name: string): number => btf.findByName(name, 'func') ?? 0;
  const kfunc = (name: string): string => `call kfunc ${id(name)}`;
  const one = (name: string, body: string, type = 'sched_cls'): HelperCase => ({
    name,
    type,
    ...(type === 'syscall' ? {} : { data: IPV4 }),
    asm: program(body, type),
  });
  const two = (name: string, a: string, b: string): HelperCase =>
    one(
      `${name} ${JSON.stringify([a, b])}`,
      `${put(64, text(a))}\n${put(32, text(b))}\n${at(1, 64)}\n${at(2, 32)}\n${kfunc(name)}`,
    );
  const withNumbers = (name: string, a: string, ...numbers: number[]): HelperCase =>
    one(
      `${name} ${JSON.stringify([a, ...numbers])}`,
      `${put(64, text(a))}\n${at(1, 64)}\n${numbers.map((n, i) => `r${i + 2} = ${n}`).join('\n')}\n${kfunc(name)}`,
    );
  return [
    ...['bpf_strcmp', 'bpf_strcasecmp', 'bpf_strstr', 'bpf_strspn', 'bpf_strcspn'].flatMap((name) =>
      [
        ['abc', 'abc'],
        ['abc', 'ABC'],
        ['abcabd', 'abd'],
        ['abc', ''],
        ['', 'abc'],
        ['', ''],
        ['hello', 'lo'],
        ['hello', 'xyz'],
        ['aab', 'ab'],
      ].map(([a, b]) => two(name, a!, b!)),
    ),
    ...[0, 2, 3, 5, 6, 10].map((n) =>
      one(
        `bpf_strnstr ${n}`,
        `${put(64, text('hello'))}\n${put(32, text('lo'))}\n${at(1, 64)}\n${at(2, 32)}\nr3 = ${n}\n${kfunc('bpf_strnstr')}`,
      ),
    ),
    ...['', 'a', 'hello'].flatMap((a) => [
      withNumbers('bpf_strlen', a),
      ...[0, 1, 3, 5, 6, 9].map((n) => withNumbers('bpf_strnlen', a, n)),
      ...[0, 97, 108, 122].flatMap((c) => [
        withNumbers('bpf_strchr', a, c),
        withNumbers('bpf_strrchr', a, c),
        withNumbers('bpf_strchrnul', a, c),
        ...[0, 2, 3, 6].map((n) => withNumbers('bpf_strnchr', a, n, c)),
      ]),
    ]),
    ...['bpf_strcmp', 'bpf_strlen'].flatMap((name) =>
      [0, 16, -4096].map((address) =>
        one(`${name} of ${address}`, `r1 = ${address}\nr2 = ${address}\n${kfunc(name)}`),
      ),
    ),
    ...[
      [0, 3],
      [3, 0],
      [-2, 2],
      [5, 5],
      [0, 8388609],
      [-2147483648, 2147483647],
    ].map(([start, end]) =>
      one(
        `bpf_iter_num ${start} ${end}`,
        `r9 = 0\n${at(1, 8)}\nr2 = ${start}\nr3 = ${end}\n${kfunc('bpf_iter_num_new')}\nr8 = r0\nagain:\n${at(1, 8)}\n${kfunc('bpf_iter_num_next')}\nif r0 == 0 goto done\nr1 = *(s32 *)(r0 + 0)\nr9 *= 3\nr9 += r1\ngoto again\ndone:\n${at(1, 8)}\n${kfunc('bpf_iter_num_destroy')}\nr0 = r9\nr0 ^= r8`,
      ),
    ),
    ...[0, 1, 2].map((words) =>
      one(
        `bpf_iter_bits ${words}`,
        `${put(32, '0500000000000080ff00000000000000')}\nr9 = 0\n${at(1, 16)}\n${at(2, 32)}\nr3 = ${words}\n${kfunc('bpf_iter_bits_new')}\nr8 = r0\nagain:\n${at(1, 16)}\n${kfunc('bpf_iter_bits_next')}\nif r0 == 0 goto done\nr1 = *(s32 *)(r0 + 0)\nr9 *= 3\nr9 += r1\ngoto again\ndone:\n${at(1, 16)}\n${kfunc('bpf_iter_bits_destroy')}\nr0 = r9\nr0 ^= r8`,
      ),
    ),
    ...[0, 1, 64, -1].map((value) =>
      one(`bpf_throw ${value}`, `r1 = ${value}\n${kfunc('bpf_throw')}\nr0 = 5`),
    ),
    one(
      'bpf_throw from a function',
      `r1 = r6\ncall pc+1\nexit\nr1 = *(u32 *)(r1 + 0)\nif r1 == 0 goto out\nr1 = 77\n${kfunc('bpf_throw')}\nout:\nr0 = 3`,
    ),
    ...packetDynptrs(one, kfunc),
    ...cpumasks(one, kfunc),
    one(
      'sections',
      `${kfunc('bpf_rcu_read_lock')}\n${kfunc('bpf_rcu_read_unlock')}\n${kfunc('bpf_preempt_disable')}\n${kfunc('bpf_preempt_enable')}\n${at(1, 8)}\n${kfunc('bpf_local_irq_save')}\n${at(1, 8)}\n${kfunc('bpf_local_irq_restore')}\nr0 = 1`,
    ),
    one(
      'bpf_task_from_pid',
      `r1 = 99999999\n${kfunc('bpf_task_from_pid')}\nif r0 == 0 goto none\nr1 = r0\n${kfunc('bpf_task_release')}\nr0 = 1\nnone:`,
      'syscall',
    ),
    one(
      'bpf_cgroup_from_id',
      `r1 = 99999999\n${kfunc('bpf_cgroup_from_id')}\nif r0 == 0 goto none\nr1 = r0\n${kfunc('bpf_cgroup_release')}\nr0 = 1\nnone:`,
      'syscall',
    ),
    ...['bpf_xdp_metadata_rx_timestamp'].map((name) =>
      one(name, `${put(8, '0000000000000000')}\nr1 = r6\n${at(2, 8)}\n${kfunc(name)}`, 'xdp'),
    ),
  ];
}

type One = (name: string, body: string, type?: string) => HelperCase;

function packetDynptrs(one: One, kfunc: (name: string) => string): HelperCase[] {
  const from = (type: string, flags = 0): string =>
    `r1 = r6\nr2 = ${flags}\n${at(3, 16)}\n${kfunc(type === 'xdp' ? 'bpf_dynptr_from_xdp' : 'bpf_dynptr_from_skb')}\nr8 = r0`;
  return ['sched_cls', 'xdp', 'socket_filter', 'cgroup_skb'].flatMap((type) => {
    const body = (what: string): HelperCase => one(`packet dynptr ${shown(what)}`, what, type);
    return [
      body(`${from(type, 0)}\nr0 = r8`),
      body(`${from(type, 1)}\nr0 = r8`),
      ...['bpf_dynptr_size', 'bpf_dynptr_is_null', 'bpf_dynptr_is_rdonly'].flatMap((name) =>
        [0, 1].map((flags) =>
          body(`${from(type, flags)}\n${at(1, 16)}\n${kfunc(name)}\nr0 &= 255\nr0 += ${name.length}`),
        ),
      ),
      ...[
        [0, 10],
        [5, 66],
        [66, 66],
        [67, 68],
        [10, 5],
        [0, 200],
      ].map(([start, end]) =>
        body(
          `${from(type)}\n${at(1, 16)}\nr2 = ${start}\nr3 = ${end}\n${kfunc('bpf_dynptr_adjust')}\nr7 = r0\n${at(1, 16)}\n${kfunc('bpf_dynptr_size')}\nr0 <<= 8\nr0 ^= r7`,
        ),
      ),
      ...[0, 14, 60, 62, 63, 66].map((offset) =>
        body(
          `${from(type)}\n${put(32, '0000000000000000')}\n${at(1, 16)}\nr2 = ${offset}\n${at(3, 32)}\nr4 = 4\n${kfunc('bpf_dynptr_slice')}\nif r0 == 0 goto none\nr0 = *(u32 *)(r0 + 0)\nnone:`,
        ),
      ),
      ...[0, 14, 62, 63].flatMap((offset) =>
        [0, 1].map((flags) =>
          body(
            `${from(type)}\n${put(32, '0000000000000000')}\n${at(1, 32)}\nr2 = 4\n${at(3, 16)}\nr4 = ${offset}\nr5 = ${flags}\ncall bpf_dynptr_read\n${fold(32, 8)}`,
          ),
        ),
      ),
      ...[0, 20, 62, 63].flatMap((offset) =>
        [0, 1, 2, 4].map((flags) =>
          body(
            `${from(type)}\n${put(32, '0102030405060708')}\n${at(1, 16)}\nr2 = ${offset}\n${at(3, 32)}\nr4 = 4\nr5 = ${flags}\ncall bpf_dynptr_write`,
          ),
        ),
      ),
      body(
        `${from(type)}\n${at(1, 16)}\n${at(2, 32)}\n${kfunc('bpf_dynptr_clone')}\nr7 = r0\n${at(1, 32)}\n${kfunc('bpf_dynptr_size')}\nr0 <<= 8\nr0 ^= r7`,
      ),
      ...[0, 30, 60].map((offset) =>
        body(`${from(type)}\n${at(1, 16)}\nr2 = ${offset}\nr3 = 8\nr4 = 90\n${kfunc('bpf_dynptr_memset')}`),
      ),
      ...[0, 30, 60].map((offset) =>
        body(
          `${from(type)}\n${at(1, 16)}\n${at(2, 32)}\n${kfunc('bpf_dynptr_clone')}\n${at(1, 16)}\nr2 = 20\n${at(3, 32)}\nr4 = ${offset}\nr5 = 8\n${kfunc('bpf_dynptr_copy')}`,
        ),
      ),
    ];
  });
}

function cpumasks(one: One, kfunc: (name: string) => string): HelperCase[] {
  const masks = (body: string): HelperCase =>
    one(
      `cpumask ${shown(body)}`,
      `${kfunc('bpf_cpumask_create')}\nr7 = r0\nif r7 == 0 goto none\nr9 = 0\n${body}\nr1 = r7\n${kfunc('bpf_cpumask_release')}\nr0 = r9\ngoto end\nnone:\nr0 = 0\nend:`,
      'syscall',
    );
  const set = (cpu: number): string => `r1 = ${cpu}\nr2 = r7\n${kfunc('bpf_cpumask_set_cpu')}`;
  // Of a truth value only the lowest byte is said to be anything.
  const note = 'r0 &= 255\nr9 <<= 4\nr9 += r0';
  return [
    ...['bpf_cpumask_empty', 'bpf_cpumask_weight'].map((name) => masks(`r1 = r7\n${kfunc(name)}\n${note}`)),
    ...['bpf_cpumask_empty', 'bpf_cpumask_weight', 'bpf_cpumask_first', 'bpf_cpumask_first_zero'].map(
      (name) => masks(`${set(0)}\nr1 = r7\n${kfunc(name)}\n${note}`),
    ),
    masks(
      `${set(1)}\nr1 = r7\n${kfunc('bpf_cpumask_first')}\n${note}\nr1 = 1\nr2 = r7\n${kfunc('bpf_cpumask_test_cpu')}\n${note}`,
    ),
    masks(
      `r1 = 0\nr2 = r7\n${kfunc('bpf_cpumask_test_and_set_cpu')}\n${note}\nr1 = 0\nr2 = r7\n${kfunc('bpf_cpumask_test_and_clear_cpu')}\n${note}`,
    ),
    masks(`r1 = r7\n${kfunc('bpf_cpumask_setall')}\nr1 = r7\n${kfunc('bpf_cpumask_full')}\n${note}`),
    masks(
      `${set(1)}\nr1 = r7\nr2 = r7\n${kfunc('bpf_cpumask_equal')}\n${note}\nr1 = r7\nr2 = r7\n${kfunc('bpf_cpumask_intersects')}\n${note}\nr1 = r7\nr2 = r7\n${kfunc('bpf_cpumask_subset')}\n${note}`,
    ),
  ];
}

/** The beginning of a program, without numbers that differ from kernel to kernel. */
function shown(body: string): string {
  return body
    .replaceAll(/kfunc \d+/g, 'kfunc')
    .replaceAll('\n', '; ')
    .slice(-60);
}
