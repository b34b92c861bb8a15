/** Rejections because of what is held, released or returned. */
import { ProgType } from '../../../../src/abi/prog-types.js';
import type { Case } from '../program.js';
import { SOCKET } from './common.js';

const tc = ProgType.sched_cls;

export const REFERENCES: readonly Case[] = [
  {
    name: 'socket not released on one branch',
    rule: 'reference-leak',
    message: 'Unreleased reference id=2 alloc_insn=8',
    type: tc,
    program: `${SOCKET}
      if r0 == 0 goto out
      r1 = *(u32 *)(r0 + 4)
      if r1 == 2 goto out2
      r1 = r0
      call bpf_sk_release
    out:
      r0 = 0
      exit
    out2:
      r0 = 0
      exit`,
    lines: [
      [0, 50, '  sk = bpf_sk_lookup_tcp(skb, &tuple, sizeof(tuple), 0, 0);'],
      [9, 51, '  if (!sk) return 0;'],
      [10, 53, '  if (sk->family == AF_INET)'],
      [16, 54, '    return 0;'],
    ],
  },
  {
    name: 'reservation overwritten',
    rule: 'reference-leak',
    message: 'Unreleased reference id=2 alloc_insn=4',
    program: `
      r1 = map 4
      r2 = 8
      r3 = 0
      call bpf_ringbuf_reserve
      r0 = 0
      exit`,
  },
  {
    name: 'released twice',
    rule: 'argument-type',
    message: 'R1 type=scalar expected=sock_common, sock, tcp_sock, xdp_sock, ptr_, trusted_ptr_',
    type: tc,
    program: `${SOCKET}
      if r0 == 0 goto out
      r7 = r0
      r1 = r0
      call bpf_sk_release
      r1 = r7
      call bpf_sk_release
    out:
      r0 = 0
      exit`,
  },
  {
    name: 'released though not acquired',
    rule: 'release-unreferenced',
    message: 'R1 must be referenced when passed to release function',
    type: tc,
    program: `
      r1 = *(u64 *)(r1 + 168)
      if r1 == 0 goto out
      call bpf_sk_release
    out:
      r0 = 0
      exit`,
  },
  {
    name: 'released from the middle',
    rule: 'release-offset',
    message: 'R1 must have zero offset when passed to release func or trusted arg to kfunc',
    program: `
      r1 = map 4
      r2 = 8
      r3 = 0
      call bpf_ringbuf_reserve
      if r0 == 0 goto out
      r1 = r0
      r1 += 4
      r2 = 0
      call bpf_ringbuf_submit
    out:
      r0 = 0
      exit`,
  },
  {
    name: 'return value out of range',
    rule: 'return-range',
    message: 'At program exit the register R0 has smin=0 smax=4294967295 should have been in [0, 1]',
    type: ProgType.cgroup_skb,
    program: `
      r0 = *(u32 *)(r1 + 0)
      exit`,
    extra: { expectedAttachType: 0 },
  },
  {
    name: 'pointer returned',
    rule: 'return-pointer',
    message: 'At program exit the register R0 is not a known value (ctx)',
    type: ProgType.cgroup_sock,
    program: `
      r0 = r1
      exit`,
  },
];
