/** Rejections of helper calls: arguments, and helpers that a program may not call. */
import { MapType } from '../../../../src/abi/map-types.js';
import { ProgType } from '../../../../src/abi/prog-types.js';
import type { Case } from '../program.js';
import { LOOKUP } from './common.js';

const kprobe = ProgType.kprobe;

/** A read of `r2` bytes to the stack; `r2` by the program. */
const read = (size: string): string => `
      ${size}
      *(u64 *)(r10 - 8) = 0
      *(u64 *)(r10 - 16) = 0
      r1 = r10
      r1 += -16
      r3 = 0
      call bpf_probe_read_kernel
      r0 = 0
      exit`;

export const HELPERS: readonly Case[] = [
  {
    name: 'number for the context',
    rule: 'argument-type',
    message: 'R1 type=scalar expected=ctx',
    type: ProgType.sched_cls,
    program: `
      r1 = 0
      r2 = 0
      call bpf_skb_pull_data
      r0 = 0
      exit`,
  },
  {
    name: 'number for memory',
    rule: 'argument-type',
    message:
      'R2 type=scalar expected=fp, pkt, pkt_meta, map_key, map_value, mem, ringbuf_mem, buf, trusted_ptr_',
    program: `
      r1 = map 0
      r2 = 8
      call bpf_map_lookup_elem
      r0 = 0
      exit`,
  },
  {
    name: 'value for a map',
    rule: 'argument-type',
    message: 'R1 type=map_value_or_null expected=map_ptr',
    program: `${LOOKUP}
      r1 = r0
      r2 = r10
      r2 += -8
      call bpf_map_lookup_elem
      r0 = 0
      exit`,
  },
  {
    name: 'socket not tested',
    rule: 'argument-type',
    message: 'R1 type=sock_common_or_null expected=sock_common, sock, tcp_sock, xdp_sock',
    type: ProgType.sched_cls,
    program: `
      r1 = *(u64 *)(r1 + 168)
      call bpf_tcp_sock
      r0 = 0
      exit`,
  },
  {
    name: 'size that may be negative',
    rule: 'size-negative',
    message: "R2 min value is negative, either use unsigned or 'var &= const'",
    type: kprobe,
    program: read('r2 = *(u64 *)(r1 + 0)\n if r2 s< 17 goto +1\n r2 = 16'),
    lines: [
      [0, 40, '  long len = PT_REGS_PARM1(ctx);'],
      [1, 41, '  if (len > 16) len = 16;'],
      [3, 42, '  bpf_probe_read_kernel(buf, len, 0);'],
    ],
  },
  {
    name: 'size without a bound',
    rule: 'size-unbounded',
    message: "R2 unbounded memory access, use 'var &= const' or 'if (var < const)'",
    type: kprobe,
    program: read('r2 = *(u64 *)(r1 + 0)\n r2 <<= 32\n r2 >>= 32'),
  },
  {
    name: 'size too large for the buffer',
    rule: 'stack-bounds',
    message: 'invalid write to stack R1 off=-16 size=31',
    type: kprobe,
    program: read('r2 = *(u64 *)(r1 + 0)\n r2 &= 31'),
  },
  {
    name: 'size that is zero',
    rule: 'size-zero',
    message: 'R2 invalid zero-sized read: u64=[0,0]',
    type: kprobe,
    program: `
      *(u64 *)(r10 - 8) = 0
      r1 = r10
      r1 += -8
      r2 = 0
      r3 = 0
      call bpf_trace_printk
      r0 = 0
      exit`,
  },
  {
    name: 'size of a reservation not constant',
    rule: 'constant-argument',
    message: "R2 is not a known constant'",
    type: kprobe,
    program: `
      r2 = *(u64 *)(r1 + 0)
      r2 &= 7
      r1 = map 4
      r3 = 0
      call bpf_ringbuf_reserve
      r0 = 0
      exit`,
  },
  {
    name: 'string that does not end',
    rule: 'format-string',
    message: 'string is not zero-terminated',
    type: kprobe,
    program: `
      *(u64 *)(r10 - 8) = 0
      r1 = r10
      r1 += -8
      r2 = 8
      r3 = value 2 + 0
      call bpf_strncmp
      r0 = 0
      exit`,
  },
  {
    name: 'string in memory that may change',
    rule: 'format-string',
    message: "R3 does not point to a readonly map'",
    type: kprobe,
    program: `
      *(u64 *)(r10 - 8) = 0
      r1 = r10
      r1 += -8
      r2 = 8
      r3 = value 1 + 0
      call bpf_strncmp
      r0 = 0
      exit`,
  },
  {
    name: 'tail call without a program array',
    rule: 'prog-array-expected',
    message: 'expected prog array map for tail call',
    program: `
      r2 = map 0
      r3 = 0
      call bpf_tail_call
      r0 = 0
      exit`,
  },
  {
    name: 'not for this program type',
    rule: 'helper-not-for-type',
    message: 'program of this type cannot use helper bpf_override_return#58',
    program: `
      call bpf_get_current_task
      r1 = 0
      r2 = 0
      call bpf_override_return
      r0 = 0
      exit`,
  },
  {
    name: 'no such helper',
    rule: 'helper-unknown',
    message: 'invalid func unknown#9999',
    program: `
      call 9999
      r0 = 0
      exit`,
  },
  {
    name: 'GPL only',
    rule: 'helper-gpl',
    message: 'cannot call GPL-restricted function from non-GPL compatible program',
    type: kprobe,
    extra: { license: 'Proprietary' },
    program: read('r2 = 8'),
  },
  {
    name: 'may sleep',
    rule: 'helper-sleeps',
    message: 'helper call might sleep in a non-sleepable prog',
    type: kprobe,
    program: `
      *(u64 *)(r10 - 8) = 0
      r1 = r10
      r1 += -8
      r2 = 8
      r3 = 0
      call bpf_copy_from_user
      r0 = 0
      exit`,
  },
  {
    name: 'flags of a cgroup storage',
    rule: 'storage-flags',
    message: "get_local_storage() doesn't support non-zero flags",
    type: ProgType.cgroup_skb,
    maps: [
      {
        name: 'per_cgroup',
        type: MapType.cgroup_storage,
        keySize: 16,
        valueSize: 8,
        maxEntries: 0,
        mapFlags: 0,
      },
    ],
    program: `
      r1 = map 0
      r2 = 7
      call bpf_get_local_storage
      r0 = 1
      exit`,
  },
  {
    name: 'traced function asked for in a tracepoint',
    rule: 'helper-in-probe',
    message: 'func bpf_get_func_ip#173 not supported for program type 5',
    type: ProgType.tracepoint,
    program: `
      call bpf_get_func_ip
      r0 = 0
      exit`,
  },
];
