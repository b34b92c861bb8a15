/** Rejections around kernel functions, on the miniature kernel of their tests. */
import { ProgType } from '../../../../src/abi/prog-types.js';
import { bind, KERNEL } from '../../kfunc/kernel.js';
import type { Case } from '../program.js';

const TC = { type: ProgType.sched_cls, extra: { policy: { vmlinux: KERNEL } } };
const SYSCALL = { type: ProgType.syscall, extra: { policy: { vmlinux: KERNEL }, progFlags: 16 } };

const END = '\nr0 = 0\nexit';
const program = (text: string): string => bind(`${text}${END}`);

export const KFUNCS: readonly Case[] = [
  {
    name: 'licence',
    rule: 'kfunc-licence',
    message: 'cannot call kernel function from non-GPL compatible program',
    type: ProgType.sched_cls,
    extra: { policy: { vmlinux: KERNEL }, license: 'Proprietary' },
    program: program('kcall bpf_rcu_read_lock'),
  },
  {
    name: 'missing function',
    rule: 'kfunc-missing',
    message: 'invalid kernel function call not eliminated in verifier pass',
    ...TC,
    program: program('call kfunc#0'),
  },
  {
    name: 'sleeping function',
    rule: 'kfunc-sleeps',
    message: 'program must be sleepable to call sleepable kfunc bpf_copy_from_user_str',
    ...TC,
    program: program('r1 = r10; r1 += -8; r2 = 8; r3 = 0; r4 = 0; kcall bpf_copy_from_user_str'),
  },
  {
    name: 'no constant',
    rule: 'kfunc-argument',
    message: 'R2 must be a known constant',
    ...TC,
    program: program('r2 = *(u32 *)(r1 + 0); kcall bpf_rdonly_cast'),
  },
  {
    name: 'no context',
    rule: 'kfunc-argument',
    message: 'arg#0 expected pointer to ctx, but got fp',
    ...TC,
    program: program('r1 = r10; r1 += -8; kcall bpf_cast_to_kern_ctx'),
  },
  {
    name: 'RCU twice',
    rule: 'rcu-section',
    message: 'nested rcu read lock (kernel function bpf_rcu_read_lock)',
    ...TC,
    program: program('kcall bpf_rcu_read_lock; kcall bpf_rcu_read_lock'),
  },
  {
    name: 'outside RCU',
    rule: 'rcu-section',
    message: 'kernel func bpf_iter_task_new requires RCU critical section protection',
    ...SYSCALL,
    program: program('r1 = r10; r1 += -24; r2 = 0; r3 = 0; kcall bpf_iter_task_new'),
  },
  {
    name: 'preemption',
    rule: 'preempt-section',
    message: 'unmatched attempt to enable preemption (kernel function bpf_preempt_enable)',
    ...TC,
    program: program('kcall bpf_preempt_enable'),
  },
  {
    name: 'interrupt flags',
    rule: 'irq-flags',
    message: 'expected an initialized irq flag as arg#0',
    ...TC,
    program: program('r1 = r10; r1 += -8; kcall bpf_local_irq_restore'),
  },
  {
    name: 'object without types',
    rule: 'allocated-type',
    message: 'bpf_obj_new/bpf_percpu_obj_new requires prog BTF',
    ...TC,
    program: program('r1 = 1; r2 = 0; kcall bpf_obj_new_impl'),
  },
  {
    name: 'element of an iterator',
    rule: 'scalar-dereference',
    message: "R0 invalid mem access 'scalar'",
    ...TC,
    program: program(
      'r6 = r10; r6 += -8; r1 = r6; r2 = 0; r3 = 10; kcall bpf_iter_num_new; r1 = r6; kcall bpf_iter_num_next; r7 = *(u32 *)(r0 + 0); r1 = r6; kcall bpf_iter_num_destroy',
    ),
  },
];
