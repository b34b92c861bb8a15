/** Rejections of accesses to map values, and of maps that do not go with a helper. */
import { ProgType } from '../../../../src/abi/prog-types.js';
import type { Case } from '../program.js';
import { END, FOUND, LOOKUP } from './common.js';

export const MAP: readonly Case[] = [
  {
    name: 'result of a look-up not tested',
    rule: 'map-value-null',
    message: "R0 invalid mem access 'map_value_or_null'",
    program: `${LOOKUP}
      r0 = *(u64 *)(r0 + 0)
      exit`,
    lines: [
      [0, 12, '  u64 key = 0;'],
      [1, 14, '  value = bpf_map_lookup_elem(&table, &key);'],
      [6, 15, '  return value->count;'],
    ],
  },
  {
    name: 'constant offset past the end',
    rule: 'map-value-bounds',
    message: 'invalid access to map value, value_size=48 off=44 size=8',
    program: `${FOUND}
      r0 = *(u64 *)(r0 + 44)${END}`,
  },
  {
    name: 'index bounded too widely',
    rule: 'map-value-bounds',
    message: 'invalid access to map value, value_size=48 off=60 size=8',
    program: `${FOUND}
      r1 = *(u32 *)(r0 + 0)
      if r1 > 60 goto out
      r0 += r1
      r0 = *(u64 *)(r0 + 0)${END}`,
    lines: [
      [0, 8, '  v = bpf_map_lookup_elem(&table, &key);'],
      [6, 9, '  if (!v)'],
      [7, 11, '  if (v->index > 60)'],
      [9, 13, '  return v->bytes[v->index];'],
    ],
  },
  {
    name: 'value passed on the stack of a function',
    rule: 'map-value-bounds',
    message: 'invalid access to map value, value_size=48 off=48 size=8',
    program: `${FOUND}
      r1 = r0
      call sub
      r0 = 0
    out:
      exit
    sub:
      *(u64 *)(r10 - 8) = r1
      r2 = *(u64 *)(r10 - 8)
      r0 = *(u64 *)(r2 + 48)
      exit`,
  },
  {
    name: 'result of a function as an index',
    rule: 'map-value-bounds',
    message: 'invalid access to map value, value_size=48 off=63 size=8',
    program: `${FOUND}
      r6 = r0
      r1 = *(u32 *)(r0 + 0)
      call index
      r6 += r0
      r0 = *(u64 *)(r6 + 0)
      r0 = 0
    out:
      exit
    index:
      r0 = r1
      r0 &= 63
      exit`,
  },
  {
    name: 'index without a bound',
    rule: 'unbounded-access',
    message: 'R0 unbounded memory access, make sure to bounds check any such access',
    program: `${FOUND}
      r1 = *(u32 *)(r0 + 0)
      r0 += r1
      r0 = *(u8 *)(r0 + 0)${END}`,
  },
  {
    name: 'signed index tested on one side',
    rule: 'pointer-unbounded',
    message: 'math between map_value pointer and register with unbounded min value is not allowed',
    program: `${FOUND}
      r1 = *(u64 *)(r0 + 0)
      if r1 s> 40 goto out
      r0 += r1
      r0 = *(u8 *)(r0 + 0)${END}`,
  },
  {
    name: 'index that may be negative',
    rule: 'negative-index',
    message: 'R0 min value is negative, either use unsigned index or do a if (index >=0) check.',
    program: `${FOUND}
      r1 = *(u32 *)(r0 + 0)
      if r1 > 40 goto out
      r1 -= 4
      r0 += r1
      r0 = *(u8 *)(r0 + 0)${END}`,
  },
  {
    name: 'write to a read-only map',
    rule: 'map-permission',
    message: 'write into map forbidden, value_size=16 off=8 size=8',
    program: `
      r1 = value 2 + 8
      *(u64 *)(r1 + 0) = 1
      r0 = 0
      exit`,
  },
  {
    name: 'helper writes to a read-only map',
    rule: 'map-permission',
    message: 'write into map forbidden, value_size=16 off=0 size=8',
    type: ProgType.kprobe,
    program: `
      r1 = value 2 + 0
      r2 = 8
      r3 = 0
      call bpf_probe_read_kernel
      r0 = 0
      exit`,
  },
  {
    name: 'direct address past the value',
    rule: 'map-direct-value',
    message: 'invalid access to map value pointer, value_size=16 off=16',
    program: `
      r1 = value 2 + 16
      r0 = 0
      exit`,
  },
  {
    name: 'direct address in a hash map',
    rule: 'map-direct-value-type',
    message: 'no direct value access support for this map type',
    program: `
      r1 = value 0 + 0
      r0 = 0
      exit`,
  },
  {
    name: 'look-up in a program array',
    rule: 'map-helper-mismatch',
    message: 'cannot pass map_type 3 into func bpf_map_lookup_elem#1',
    program: `
      *(u32 *)(r10 - 4) = 0
      r2 = r10
      r2 += -4
      r1 = map 3
      call bpf_map_lookup_elem
      r0 = 0
      exit`,
  },
  {
    name: 'socket map changed from a tracing program',
    rule: 'map-sockmap-update',
    message: 'cannot update sockmap in this context',
    type: ProgType.kprobe,
    program: `
      *(u32 *)(r10 - 4) = 0
      r2 = r10
      r2 += -4
      r1 = map 5
      call bpf_map_delete_elem
      r0 = 0
      exit`,
  },
  {
    name: 'key too short on the stack',
    rule: 'stack-bounds',
    message: 'invalid read from stack R2 off=-4 size=8',
    program: `
      *(u32 *)(r10 - 4) = 0
      r2 = r10
      r2 += -4
      r1 = map 0
      call bpf_map_lookup_elem
      r0 = 0
      exit`,
  },
];
