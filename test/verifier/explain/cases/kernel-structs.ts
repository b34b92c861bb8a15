/** Rejections around kernel structures, on the miniature kernel of the BTF tests. */
import { AttachType } from '../../../../src/abi/attach-types.js';
import { ProgType } from '../../../../src/abi/prog-types.js';
import type { VerifyRequest } from '../../../../src/verifier/index.js';
import { KERNEL, kernelId } from '../../btf/kernel.js';
import type { Case } from '../program.js';

type Extra = { type: number; extra: Partial<VerifyRequest> };

const attached = (type: number, expectedAttachType: number, target: string): Extra => ({
  type,
  extra: { expectedAttachType, attachBtfId: kernelId(target), policy: { vmlinux: KERNEL } },
});
const SEEN = attached(ProgType.tracing, AttachType.trace_raw_tp, 'btf_trace_task_seen');
const SKB = attached(ProgType.tracing, AttachType.trace_raw_tp, 'btf_trace_kfree_skb');
const CONGESTION = attached(ProgType.struct_ops, 0, 'tcp_congestion_ops');
const FENTRY = attached(ProgType.tracing, AttachType.trace_fentry, 'do_little');
const END = '\n      r0 = 0\n      exit';

export const KERNEL_STRUCTS: readonly Case[] = [
  {
    name: 'no member',
    rule: 'kernel-member-missing',
    message: "struct task_struct doesn't have field at offset 88",
    ...SEEN,
    program: `
      r6 = *(u64 *)(r1 + 0)
      r0 = *(u32 *)(r6 + 88)${END}`,
    lines: [
      [0, 11, 'int BPF_PROG(on_seen, struct task_struct *task)'],
      [1, 13, 'return task->gone;'],
    ],
  },
  {
    name: 'beyond a structure',
    rule: 'kernel-struct-end',
    message: 'access beyond struct mm_struct at off 16 size 8',
    ...SEEN,
    program: `
      r6 = *(u64 *)(r1 + 0)
      r7 = *(u64 *)(r6 + 8)
      r0 = *(u64 *)(r7 + 16)${END}`,
  },
  {
    name: 'beyond a member',
    rule: 'kernel-member-end',
    message: 'access beyond the end of member comm (mend:40) in struct task_struct with off 36 size 8',
    ...SEEN,
    program: `
      r6 = *(u64 *)(r1 + 0)
      r0 = *(u64 *)(r6 + 36)${END}`,
  },
  {
    name: 'half a pointer',
    rule: 'kernel-member-pointer',
    message: 'cannot access ptr member mm with moff 8 in struct task_struct with off 8 size 4',
    ...SEEN,
    program: `
      r6 = *(u64 *)(r1 + 0)
      r0 = *(u32 *)(r6 + 8)${END}`,
  },
  {
    name: 'a walk that a helper made',
    rule: 'kernel-member-pointer',
    message: 'cannot access ptr member f_inode with moff 0 in struct file with off 0 size 1',
    ...SEEN,
    program: `
      r6 = *(u64 *)(r1 + 0)
      r7 = *(u64 *)(r6 + 8)
      r1 = *(u64 *)(r7 + 8)
      if r1 == 0 goto end
      call bpf_task_pt_regs
      end: r0 = 0
      exit`,
  },
  {
    name: 'user memory',
    rule: 'kernel-foreign-memory',
    message: 'R7 is ptr_mm_struct access user memory: off=0',
    ...SEEN,
    program: `
      r6 = *(u64 *)(r1 + 0)
      r7 = *(u64 *)(r6 + 40)
      r0 = *(u32 *)(r7 + 0)${END}`,
  },
  {
    name: 'per-CPU memory',
    rule: 'kernel-foreign-memory',
    message: 'R7 is ptr_mm_struct access percpu memory: off=0',
    ...SEEN,
    program: `
      r6 = *(u64 *)(r1 + 0)
      r7 = *(u64 *)(r6 + 48)
      r0 = *(u32 *)(r7 + 0)${END}`,
  },
  {
    name: 'licence',
    rule: 'kernel-license',
    message: "Cannot access kernel 'struct task_struct' from non-GPL compatible program",
    ...SEEN,
    extra: { ...SEEN.extra, license: 'Proprietary' },
    program: `
      r6 = *(u64 *)(r1 + 0)
      r0 = *(u32 *)(r6 + 0)${END}`,
  },
  {
    name: 'argument that may be null',
    rule: 'nullable-dereference',
    message: "R7 invalid mem access 'trusted_ptr_or_null_'",
    ...SEEN,
    program: `
      r7 = *(u64 *)(r1 + 8)
      r0 = *(u32 *)(r7 + 0)${END}`,
  },
  {
    name: 'another structure',
    rule: 'kernel-argument-type',
    message: 'R1 is of type mm_struct but task_struct is expected',
    ...SEEN,
    program: `
      r6 = *(u64 *)(r1 + 0)
      r1 = *(u64 *)(r6 + 8)
      call bpf_task_pt_regs${END}`,
  },
  {
    name: 'untrusted pointer',
    rule: 'argument-type',
    message: 'R1 type=untrusted_ptr_ expected=ptr_, trusted_ptr_, rcu_ptr_',
    ...SEEN,
    program: `
      r6 = *(u64 *)(r1 + 0)
      r1 = *(u64 *)(r6 + 56)
      call bpf_task_pt_regs${END}`,
  },
  {
    name: 'kernel structure as a buffer',
    rule: 'kernel-argument-write',
    message: 'bpf_probe_read_kernel() may write into memory pointed by R1 type=trusted_ptr_',
    ...SEEN,
    program: `
      r1 = *(u64 *)(r1 + 0)
      r2 = 8
      r3 = r1
      call bpf_probe_read_kernel${END}`,
  },
  {
    name: 'store',
    rule: 'kernel-object-write',
    message: 'only read is supported',
    ...SEEN,
    program: `
      r6 = *(u64 *)(r1 + 0)
      *(u32 *)(r6 + 0) = 1${END}`,
  },
  {
    name: 'store beside the open members',
    rule: 'kernel-object-write',
    message: 'no write support to tcp_sock at off 44',
    ...CONGESTION,
    program: `
      r6 = *(u64 *)(r1 + 0)
      *(u32 *)(r6 + 44) = 1${END}`,
  },
  {
    name: 'store beyond a member',
    rule: 'kernel-write-end',
    message: 'write access at off 40 with size 8 beyond the member of tcp_sock ended at 44',
    ...CONGESTION,
    program: `
      r6 = *(u64 *)(r1 + 0)
      *(u64 *)(r6 + 40) = 1${END}`,
  },
  {
    name: 'cast that may fail',
    rule: 'nullable-dereference',
    message: "R0 invalid mem access 'ptr_or_null_'",
    ...SKB,
    program: `
      r1 = *(u64 *)(r1 + 0)
      call bpf_skc_to_tcp_sock
      r0 = *(u32 *)(r0 + 40)${END}`,
  },
  {
    name: 'argument that is not there',
    rule: 'attach-argument',
    message: "func 'do_little' doesn't have 4-th argument",
    ...FENTRY,
    program: `
      r0 = *(u64 *)(r1 + 24)${END}`,
  },
  {
    name: 'half an argument',
    rule: 'attach-argument',
    message: "func 'task_seen' size 4 must be 8",
    ...SEEN,
    program: `
      r0 = *(u32 *)(r1 + 0)${END}`,
  },
  {
    name: 'function with a structure as argument',
    rule: 'attach-function',
    message: 'The function do_work arg2 type STRUCT is unsupported.',
    ...attached(ProgType.tracing, AttachType.trace_fentry, 'do_work'),
    program: END,
  },
  {
    name: 'function whose result is its own',
    rule: 'attach-function',
    message: 'do_little() is not modifiable',
    ...attached(ProgType.tracing, AttachType.modify_return, 'do_little'),
    program: END,
  },
  {
    name: 'format',
    rule: 'format-arguments',
    message: 'Invalid format string',
    ...SEEN,
    extra: {
      ...SEEN.extra,
      maps: [
        {
          name: 'fmt',
          type: 2,
          keySize: 4,
          valueSize: 8,
          maxEntries: 1,
          mapFlags: 0x80,
          frozen: true,
          data: new TextEncoder().encode('%d %f\0\0\0'),
        },
      ],
    },
    program: `
      *(u64 *)(r10 - 8) = 1
      *(u64 *)(r10 - 16) = 2
      r1 = r10
      r1 += -48
      r2 = 32
      r3 = value 0
      r4 = r10
      r4 += -16
      r5 = 16
      call bpf_snprintf${END}`,
  },
];
