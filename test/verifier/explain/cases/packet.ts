/** Rejections of packet accesses. */
import { ProgType } from '../../../../src/abi/prog-types.js';
import type { Case } from '../program.js';
import { XDP } from './common.js';

const xdp = ProgType.xdp;

export const PACKET: readonly Case[] = [
  {
    name: 'beyond the checked bytes, with source lines',
    rule: 'packet-range',
    message: 'invalid access to packet, off=30 size=4, R2(id=0,off=30,r=14)',
    type: xdp,
    program: `${XDP}
      r4 = r2
      r4 += 14
      if r4 > r3 goto out
      r0 = *(u16 *)(r2 + 12)
      if r0 != 8 goto out
      r0 = *(u32 *)(r2 + 30)
    out:
      r0 = 2
      exit`,
    lines: [
      [0, 27, '  void *data = (void *)(long)ctx->data;'],
      [1, 28, '  void *data_end = (void *)(long)ctx->data_end;'],
      [2, 31, '  if (data + 14 > data_end)'],
      [5, 33, '  if (eth->h_proto != bpf_htons(ETH_P_IP))'],
      [7, 36, '  return ip->daddr == 0;'],
    ],
  },
  {
    name: 'no comparison at all',
    rule: 'packet-range',
    message: 'invalid access to packet, off=0 size=1, R2(id=0,off=0,r=0)',
    type: xdp,
    program: `${XDP}
      r0 = *(u8 *)(r2 + 0)
      exit`,
  },
  {
    name: 'checked in a copy before a variable length was added',
    rule: 'packet-range',
    message: 'invalid access to packet, off=0 size=1, R2(id=1,off=0,r=0)',
    type: xdp,
    program: `${XDP}
      r4 = r2
      r4 += 20
      if r4 > r3 goto out
      r5 = *(u8 *)(r2 + 0)
      r2 += r5
      r0 = *(u8 *)(r2 + 0)
    out:
      r0 = 2
      exit`,
  },
  {
    name: 'on the branch past the end',
    rule: 'packet-outside',
    message: 'R2 offset is outside of the packet',
    type: xdp,
    program: `${XDP}
      r2 += 8
      if r2 > r3 goto bad
      r0 = 2
      exit
    bad:
      r0 = *(u8 *)(r2 - 8)
      exit`,
  },
  {
    name: 'packet moved by a helper',
    rule: 'scalar-dereference',
    message: "R7 invalid mem access 'scalar'",
    type: xdp,
    program: `
      r6 = r1
      r7 = *(u32 *)(r1 + 0)
      r3 = *(u32 *)(r1 + 4)
      r4 = r7
      r4 += 14
      if r4 > r3 goto out
      r1 = r6
      r2 = 0
      call bpf_xdp_adjust_head
      r0 = *(u8 *)(r7 + 0)
    out:
      r0 = 2
      exit`,
  },
  {
    name: 'write in a program that may only read',
    rule: 'packet-write',
    message: 'cannot write into packet',
    type: ProgType.cgroup_skb,
    program: `
      r2 = *(u32 *)(r1 + 76)
      r3 = *(u32 *)(r1 + 80)
      r4 = r2
      r4 += 8
      if r4 > r3 goto out
      *(u8 *)(r2 + 0) = 1
    out:
      r0 = 1
      exit`,
  },
  {
    name: 'packet memory for a helper that does not take it',
    rule: 'packet-to-helper',
    message: 'helper access to the packet is not allowed',
    type: ProgType.sched_cls,
    program: `
      r6 = *(u32 *)(r1 + 76)
      r3 = *(u32 *)(r1 + 80)
      r4 = r6
      r4 += 8
      if r4 > r3 goto out
      r2 = 0
      r3 = r6
      r4 = 4
      call bpf_skb_load_bytes
    out:
      r0 = 0
      exit`,
  },
  {
    name: 'end of the packet moved',
    rule: 'pointer-opaque-arithmetic',
    message: 'R3 pointer arithmetic on pkt_end prohibited',
    type: xdp,
    program: `${XDP}
      r3 -= 14
      r0 = 2
      exit`,
  },
  {
    name: 'end of the packet dereferenced',
    rule: 'opaque-dereference',
    message: "R3 invalid mem access 'pkt_end'",
    type: xdp,
    program: `${XDP}
      r0 = *(u8 *)(r3 + 0)
      exit`,
  },
  {
    name: 'misaligned under strict alignment',
    rule: 'packet-alignment',
    message: 'misaligned packet access off 2+0+0+1 size 4',
    type: xdp,
    extra: { progFlags: 1 },
    program: `${XDP}
      r4 = r2
      r4 += 14
      if r4 > r3 goto out
      r0 = *(u32 *)(r2 + 1)
    out:
      r0 = 2
      exit`,
  },
];
