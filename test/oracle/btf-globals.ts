/** Random global functions for the BTF sweep: arguments of all kinds with all tags, called with all sorts of values. */
import { AttachType } from '../../src/abi/attach-types.js';
import { ProgType } from '../../src/abi/prog-types.js';
import { assemble, encodeInsns } from '../../src/isa/index.js';
import { Btf, type BtfType, encodeBtf } from '../../src/object/btf/index.js';
import type { SweepProgram } from './btf-programs.js';
import { Rng } from './verdicts-rng.js';

const TAGS = ['ctx', 'trusted', 'untrusted', 'nonnull', 'nullable', 'other'];
const STRUCTS = [
  'task_struct',
  'task_struct___flavour',
  'cgroup',
  'nf_conn',
  '__sk_buff',
  'sk_buff',
  'xdp_md',
  'bpf_sock',
  'pt_regs',
  'bpf_perf_event_data',
  'bpf_raw_tracepoint_args',
  'bpf_iter__task',
  'bpf_sock_addr',
  'nothing_of_the_kernel',
  '',
];
const PROGRAMS: readonly (readonly [type: number, attachType: number, target?: string])[] = [
  [ProgType.socket_filter, 0],
  [ProgType.sched_cls, 0],
  [ProgType.xdp, 0],
  [ProgType.kprobe, 0],
  [ProgType.perf_event, 0],
  [ProgType.tracepoint, 0],
  [ProgType.raw_tracepoint, 0],
  [ProgType.cgroup_sock_addr, AttachType.cgroup_inet4_bind],
  [ProgType.tracing, AttachType.trace_raw_tp, 'btf_trace_sched_switch'],
  [ProgType.tracing, AttachType.trace_iter, 'bpf_iter_task'],
];
/** What a caller passes in r1, and what a callee does with it. */
const PASSED = [
  'r1 = r1',
  'r1 = 0',
  'r1 = 5',
  'r1 = r10\nr1 += -16',
  'call 158\nr1 = r0',
  'call 158\nr1 = r0\nr1 += 8',
  'r1 = *(u64 *)(r1 + 0)',
  'call 158\nr1 = *(u64 *)(r0 + 0)',
];
const USED = [
  'r0 = 0',
  'r0 = *(u32 *)(r1 + 0)',
  'r0 = *(u64 *)(r1 + 8)',
  '*(u32 *)(r1 + 0) = 1',
  'if r1 == 0 goto end\nr0 = *(u64 *)(r1 + 0)',
  'if r1 == 0 goto end\n*(u8 *)(r1 + 0) = 1',
  'r1 += 4\nr0 = *(u8 *)(r1 + 0)',
  'call 175',
];

/** A small BTF: the callee's only argument is made from `rng`. */
function typesFor(rng: Rng): BtfType[] {
  const int = (name: string, size: number): BtfType => ({
    kind: 'int',
    name,
    size,
    encoding: 0,
    signed: false,
    char: false,
    bool: false,
    bits: size * 8,
    bitOffset: 0,
  });
  const struct = rng.pick(STRUCTS);
  const pointees: BtfType[] = [
    {
      kind: 'struct',
      name: struct,
      size: 16,
      kindFlag: false,
      members: [{ name: 'a', type: 1, bitOffset: 0, bitfieldSize: 0 }],
    },
    // Linux remembers what it found by name alone, so that names of other kinds have to be others
    { kind: 'fwd', name: rng.pick(['inode', 'x_fwd']), of: 'struct' },
    {
      kind: 'union',
      name: rng.pick(['bpf_attr', 'x_union']),
      size: 8,
      kindFlag: false,
      members: [{ name: 'a', type: 2, bitOffset: 0, bitfieldSize: 0 }],
    },
    { kind: 'typedef', name: rng.pick(['bpf_user_pt_regs_t', 'u64', 'thing']), type: 2 },
    { kind: 'enum', name: 'choice', size: 4, signed: false, values: [{ name: 'one', value: 1n }] },
    int('char', 1),
    { kind: 'func_proto', name: '', type: 0, params: [] },
  ];
  const pointee = rng.chance(0.1) ? 0 : 5;
  // 1 int, 2 u64, 3 pointer, 4 const, 5 pointee, 6 and 7 prototypes, 8 and 9 functions
  const argument = rng.chance(0.1) ? rng.pick([1, 2, 5]) : 3;
  const isFunction = pointees.indexOf(pointees.at(-1)!);
  const chosen = pointees[rng.range(0, argument === 5 ? isFunction - 2 : isFunction)]!;
  const types: BtfType[] = [
    int('int', 4),
    int('long long unsigned int', 8),
    { kind: 'ptr', name: '', type: rng.chance(0.3) && pointee === 5 ? 4 : pointee },
    { kind: 'const', name: '', type: 5 },
    chosen,
    { kind: 'func_proto', name: '', type: 1, params: [{ name: 'ctx', type: 3 }] },
    {
      kind: 'func_proto',
      name: '',
      type: rng.chance(0.05) ? 0 : 1,
      params: [{ name: 'arg', type: argument }],
    },
    { kind: 'func', name: 'main_prog', type: 6, linkage: 1 },
    { kind: 'func', name: 'callee', type: 7, linkage: rng.chance(0.1) ? 0 : 1 },
  ];
  const count = rng.pick([0, 1, 1, 1, 2]);
  for (let i = 0; i < count; i++) {
    types.push({
      kind: 'decl_tag',
      name: `arg:${rng.pick(TAGS)}`,
      type: 9,
      componentIndex: 0,
      attribute: false,
    });
  }
  return types;
}

/** Linux takes these types; otherwise the program would be loaded without. */
function isValid(types: Uint8Array): boolean {
  try {
    Btf.parse(types).validate();
    return true;
  } catch {
    return false;
  }
}

export function* globalPrograms(btf: Btf, seed: number, count: number): Generator<SweepProgram> {
  for (let n = 0; n < count; n++) {
    const rng = new Rng(seed * 7_919 + n);
    const [progType, attachType, target] = rng.pick(PROGRAMS);
    const kind = attachType === AttachType.trace_iter ? 'func' : 'typedef';
    const id = target === undefined ? 0 : btf.findByName(target, kind);
    if (id === undefined) continue;
    const text = `*(u64 *)(r10 - 8) = 0\n*(u64 *)(r10 - 16) = 0\n${rng.pick(PASSED)}\ncall callee\nr0 = 0\nexit\ncallee: ${rng.pick(USED)}\nend: r0 = 0\nexit`;
    const insns = assemble(text);
    const callee = insns.findIndex(({ code }) => code === 0x95) + 1;
    const records = new Uint32Array([0, 8, callee, 9]);
    const types = encodeBtf(typesFor(rng));
    if (!isValid(types)) continue;
    yield {
      what: `global ${n}, program type ${progType}`,
      request: {
        prog_type: progType,
        expected_attach_type: attachType,
        license: 'GPL',
        insns: Buffer.from(encodeInsns(insns)).toString('hex'),
        log_level: 2,
        btf: Buffer.from(types).toString('hex'),
        func_info: Buffer.from(records.buffer).toString('hex'),
        ...(id !== 0 && { attach_btf_id: id }),
      },
    };
  }
}
