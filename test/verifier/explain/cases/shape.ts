/** Rejections for the program's shape: control flow, encoding, limits, loading, policies. */
import { MapType } from '../../../../src/abi/map-types.js';
import { ProgType } from '../../../../src/abi/prog-types.js';
import { type Case, MAPS } from '../program.js';

const NO_PREALLOC = 1;
const allocating = [{ ...MAPS[0]!, name: 'events_by_pid', mapFlags: NO_PREALLOC }];
const uses = `
      r1 = map 0
      r0 = 0
      exit`;

export const SHAPE: readonly Case[] = [
  {
    name: 'dead code',
    rule: 'unreachable',
    message: 'unreachable insn 2',
    program: `
      r0 = 0
      exit
      r0 = 1
      exit`,
  },
  {
    name: 'jump past the end',
    rule: 'jump-range',
    message: 'jump out of range from insn 0 to 6',
    program: `
      if r1 == 0 goto +5
      r0 = 0
      exit`,
  },
  {
    name: 'no exit',
    rule: 'last-insn',
    message: 'last insn is not an exit or jmp',
    program: `
      r0 = 0`,
  },
  {
    name: 'jump into a wide instruction',
    rule: 'jump-into-ld-imm64',
    message: 'jump into the middle of ldimm64 insn 1',
    program: `
      if r1 == 0 goto +1
      r0 = 1 ll
      exit`,
  },
  {
    name: 'endless loop',
    rule: 'infinite-loop',
    message: 'infinite loop detected at insn 1',
    program: `
      r0 = 0
    again:
      if r0 == 0 goto again
      exit`,
  },
  {
    name: 'endless loop over a counter that is reset',
    rule: 'infinite-loop',
    message: 'infinite loop detected at insn 2',
    program: `
    again:
      r6 = 0
      r6 += 1
      if r6 < 10 goto again
      r0 = 0
      exit`,
  },
  {
    name: 'call of nothing',
    rule: 'call-target',
    message: 'call to invalid destination',
    program: `
      call pc+9
      r0 = 0
      exit`,
  },
  {
    name: 'recursion',
    rule: 'call-depth',
    message: 'the call stack of 9 frames is too deep',
    program: `
      call sub
      exit
    sub:
      r0 = 0
      call sub
      exit`,
  },
  {
    name: 'unknown opcode',
    rule: 'opcode',
    message: 'unknown opcode ff',
    program: `
      r0 = 0
      r0 = 0
      exit`,
    patch: (insns) => {
      insns[1]!.code = 0xff;
    },
  },
  {
    name: 'reserved field',
    rule: 'reserved-fields',
    message: 'BPF_ALU uses reserved fields',
    program: `
      r0 = 0
      r0 += 1
      exit`,
    patch: (insns) => {
      insns[1]!.off = 7;
    },
  },
  {
    name: 'reserved field of a jump',
    rule: 'reserved-fields',
    message: 'BPF_EXIT uses reserved fields',
    program: `
      r0 = 0
      exit`,
    patch: (insns) => {
      insns[1]!.imm = 7;
    },
  },
  {
    name: 'no such register',
    rule: 'register-number',
    message: 'R12 is invalid',
    program: `
      r0 = 0
      exit`,
    patch: (insns) => {
      insns[0]!.dst = 12;
    },
  },
  {
    name: 'half of a wide instruction',
    rule: 'ld-imm64',
    message: 'invalid bpf_ld_imm64 insn',
    program: `
      r0 = 1 ll
      exit`,
    patch: (insns) => {
      insns[1]!.code = 0xb7;
    },
  },
  {
    name: 'packet load without a packet',
    rule: 'ld-abs-type',
    message: 'BPF_LD_[ABS|IND] instructions not allowed for this program type',
    type: ProgType.kprobe,
    program: `
      r6 = r1
      r0 = *(u8 *)skb[4]
      exit`,
  },
  {
    name: 'packet load with r6 overwritten',
    rule: 'ld-abs-type',
    message: 'at the time of BPF_LD_ABS|IND R6 != pointer to skb',
    program: `
      r6 = 0
      r0 = *(u8 *)skb[4]
      exit`,
  },
  {
    name: 'stack over three functions',
    rule: 'stack-combined',
    message: 'combined stack size of 3 calls is 624. Too large',
    program: `
      *(u64 *)(r10 - 200) = 0
      call one
      exit
    one:
      *(u64 *)(r10 - 200) = 0
      call two
      exit
    two:
      *(u64 *)(r10 - 200) = 0
      r0 = 0
      exit`,
  },
  {
    name: 'a million instructions',
    rule: 'too-complex',
    message: 'BPF program is too large. Processed 1000001 insn',
    program: `
      r6 = 0
    again:
      r6 += 1
      if r6 != 600000 goto again
      r0 = 0
      exit`,
  },
  {
    name: 'no such map',
    rule: 'map-fd',
    message: 'fd 9 is not pointing to valid bpf_map',
    program: `
      r1 = map 9
      r0 = 0
      exit`,
  },
  {
    name: 'run-time allocation in a kprobe, rt',
    rule: 'prealloc-hash',
    message: 'trace type programs can only use preallocated hash map',
    type: ProgType.kprobe,
    maps: allocating,
    extra: { policy: { prealloc: 'rt' } },
    program: uses,
    lines: [[0, 17, '  bpf_map_update_elem(&events_by_pid, &pid, &now, BPF_ANY);']],
  },
  {
    name: 'run-time allocation in perf_event',
    rule: 'prealloc-hash',
    message: 'perf_event programs can only use preallocated hash map',
    type: ProgType.perf_event,
    maps: allocating,
    extra: { policy: { prealloc: 'perf_event' } },
    program: uses,
  },
  {
    name: 'inner map that allocates at run time',
    rule: 'prealloc-hash',
    message: 'perf_event programs can only use preallocated inner hash map',
    type: ProgType.perf_event,
    maps: [
      {
        ...MAPS[0]!,
        name: 'outer',
        type: MapType.array_of_maps,
        keySize: 4,
        valueSize: 4,
        inner: allocating[0]!,
      },
    ],
    extra: { policy: { prealloc: 'perf_event' } },
    program: uses,
  },
  {
    name: 'LPM trie in a tracepoint, rt',
    rule: 'prealloc-lpm',
    message: 'trace type programs cannot use LPM trie maps, which are never preallocated',
    type: ProgType.tracepoint,
    maps: [{ ...MAPS[0]!, name: 'routes', type: MapType.lpm_trie, mapFlags: NO_PREALLOC }],
    extra: { policy: { prealloc: 'rt' } },
    program: uses,
  },
  {
    name: 'socket map in a sleepable program',
    rule: 'sleepable-map',
    message: 'Sleepable programs can only use array, hash, ringbuf and local storage maps',
    type: ProgType.syscall,
    maps: [MAPS[5]!],
    extra: { progFlags: 16 },
    program: uses,
  },
  {
    name: 'too many maps',
    rule: 'too-many-maps',
    message: 'The total number of maps per program has reached the limit of 64',
    maps: Array.from({ length: 65 }, (_, i) => ({ ...MAPS[0]!, name: `table${i}` })),
    program: `
      ${Array.from({ length: 65 }, (_, i) => `r1 = map ${i}`).join('\n')}
      r0 = 0
      exit`,
  },
  {
    name: 'sleepable XDP program',
    rule: 'attach-sleepable',
    message: 'Only fentry/fexit/fmod_ret, lsm, iter, uprobe, and struct_ops programs can be sleepable',
    type: ProgType.xdp,
    extra: { progFlags: 16 },
    program: `
      r0 = 0
      exit`,
  },
  {
    name: 'stack of one function',
    rule: 'stack-bounds',
    message: 'invalid write to stack R10 off=-520 size=8',
    program: `
      *(u64 *)(r10 - 520) = 0
      r0 = 0
      exit`,
  },
];
