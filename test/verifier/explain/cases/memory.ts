/** Rejections of loads and stores in general. */
import { ProgType } from '../../../../src/abi/prog-types.js';
import type { Case } from '../program.js';
import { FOUND, SOCKET } from './common.js';

export const MEMORY: readonly Case[] = [
  {
    name: 'register never set',
    rule: 'uninitialised-register',
    message: 'R2 !read_ok',
    program: `
      r0 = r2
      exit`,
  },
  {
    name: 'register lost by a call',
    rule: 'uninitialised-register',
    message: 'R1 !read_ok',
    program: `
      call bpf_get_prandom_u32
      r0 = *(u32 *)(r1 + 0)
      exit`,
    lines: [
      [0, 5, '  bpf_get_prandom_u32();'],
      [1, 6, '  return skb->len;'],
    ],
  },
  {
    name: 'no return value on one branch',
    rule: 'uninitialised-register',
    message: 'R0 !read_ok',
    program: `
      r2 = *(u32 *)(r1 + 0)
      if r2 > 64 goto out
      r0 = 1
    out:
      exit`,
  },
  {
    name: 'number used as a pointer',
    rule: 'scalar-dereference',
    message: "R1 invalid mem access 'scalar'",
    program: `${FOUND}
      r1 = *(u64 *)(r0 + 8)
      r0 = *(u64 *)(r1 + 0)
    out:
      exit`,
    lines: [
      [6, 20, '  if (!v) return 0;'],
      [7, 22, '  return v->next->count;'],
    ],
  },
  {
    name: 'NULL on the wrong branch',
    rule: 'scalar-dereference',
    message: "R0 invalid mem access 'scalar'",
    program: `
      *(u64 *)(r10 - 8) = 0
      r2 = r10
      r2 += -8
      r1 = map 0
      call bpf_map_lookup_elem
      if r0 != 0 goto out
      r1 = *(u64 *)(r0 + 0)
    out:
      r0 = 0
      exit`,
  },
  {
    name: 'socket not tested for NULL',
    rule: 'nullable-dereference',
    message: "R1 invalid mem access 'sock_common_or_null'",
    type: ProgType.sched_cls,
    program: `
      r1 = *(u64 *)(r1 + 168)
      r0 = *(u32 *)(r1 + 4)
      exit`,
  },
  {
    name: 'field of the context that there is not',
    rule: 'context-access',
    message: 'invalid bpf_context access off=76 size=4',
    program: `
      r0 = *(u32 *)(r1 + 76)
      exit`,
  },
  {
    name: 'context field that cannot be written',
    rule: 'context-access',
    message: 'invalid bpf_context access off=0 size=4',
    program: `
      *(u32 *)(r1 + 0) = 1
      r0 = 0
      exit`,
  },
  {
    name: 'context moved by a constant, then passed on',
    rule: 'context-modified',
    message: 'dereference of modified ctx ptr R1 off=4 disallowed',
    type: ProgType.sched_cls,
    program: `
      r1 += 4
      r2 = 0
      r3 = 0
      call bpf_skb_pull_data
      r0 = 0
      exit`,
  },
  {
    name: 'context moved by a variable',
    rule: 'context-modified',
    message: 'variable ctx access var_off=(0x0; 0x4) disallowed',
    program: `
      r2 = *(u32 *)(r1 + 0)
      r2 &= 4
      r1 += r2
      r0 = *(u32 *)(r1 + 0)
      exit`,
  },
  {
    name: 'misaligned context access',
    rule: 'misaligned',
    message: 'misaligned context access off 0+0+49 size 2',
    extra: { progFlags: 1 },
    program: `
      r0 = *(u16 *)(r1 + 49)
      exit`,
  },
  {
    name: 'misaligned map value under strict alignment',
    rule: 'misaligned',
    message: 'misaligned value access off 0+0+4 size 8',
    extra: { progFlags: 1 },
    program: `${FOUND}
      r0 = *(u64 *)(r0 + 4)
    out:
      exit`,
  },
  {
    name: 'one load for context and map value',
    rule: 'mixed-pointers',
    message: 'same insn cannot be used with different pointers',
    program: `
      r6 = r1
      r7 = *(u32 *)(r1 + 0)
      *(u64 *)(r10 - 8) = 0
      r2 = r10
      r2 += -8
      r1 = map 0
      call bpf_map_lookup_elem
      if r0 == 0 goto out
      r1 = r6
      if r7 > 5 goto load
      r1 = r0
    load:
      r0 = *(u32 *)(r1 + 4)
    out:
      exit`,
  },
  {
    name: 'socket field that cannot be read',
    rule: 'socket-access',
    message: 'R0 invalid sock access off=0 size=8',
    type: ProgType.sched_cls,
    program: `${SOCKET}
      if r0 == 0 goto out
      r7 = r0
      r1 = *(u64 *)(r0 + 0)
      r1 = r7
      call bpf_sk_release
    out:
      r0 = 0
      exit`,
  },
  {
    name: 'store into a socket',
    rule: 'read-only-memory',
    message: 'R1 cannot write into sock_common',
    type: ProgType.sched_cls,
    program: `
      r1 = *(u64 *)(r1 + 168)
      if r1 == 0 goto out
      *(u32 *)(r1 + 4) = 1
    out:
      r0 = 0
      exit`,
  },
  {
    name: 'reserved memory left',
    rule: 'memory-range',
    message: 'invalid access to memory, mem_size=8 off=8 size=8',
    program: `
      r1 = map 4
      r2 = 8
      r3 = 0
      call bpf_ringbuf_reserve
      if r0 == 0 goto out
      *(u64 *)(r0 + 8) = 1
      r1 = r0
      r2 = 0
      call bpf_ringbuf_submit
    out:
      r0 = 0
      exit`,
  },
  {
    name: 'atomic operation on the context',
    rule: 'atomic-target',
    message: 'BPF_ATOMIC stores into R1 ctx is not allowed',
    program: `
      r2 = 1
      lock *(u32 *)(r1 + 8) += r2
      r0 = 0
      exit`,
  },
  {
    name: 'variable offset into a trace record',
    rule: 'buffer-bounds',
    message: 'R6 invalid variable buffer offset: off=0, var_off=(0x0; 0x7)',
    type: ProgType.raw_tracepoint_writable,
    program: `
      r6 = *(u64 *)(r1 + 0)
      r2 = *(u64 *)(r6 + 0)
      r2 &= 7
      r6 += r2
      r0 = *(u64 *)(r6 + 0)
      r0 = 0
      exit`,
  },
  {
    name: 'outside the flow keys',
    rule: 'flow-keys-bounds',
    message: 'invalid access to flow keys off=56 size=4',
    type: ProgType.flow_dissector,
    program: `
      r1 = *(u64 *)(r1 + 144)
      r0 = *(u32 *)(r1 + 56)
      r0 = 0
      exit`,
  },
];
