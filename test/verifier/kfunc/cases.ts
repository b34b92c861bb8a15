/**
 * Programs that call kernel functions, with what Linux 6.18.44 says of them: errno, first line, instructions processed.
 * `test/oracle/kfunc-sweep.ts` asks the running kernel again.
 */
export type KfuncCase = readonly [
  name: string,
  type: string,
  text: string,
  answer: readonly [errno: number, message: string, processed: number],
];

const ITER = 'r6 = r10; r6 += -8; r1 = r6; r2 = 0; r3 = 10; kcall bpf_iter_num_new; ';
const NEXT = 'r1 = r6; kcall bpf_iter_num_next; ';
const DESTROY = 'r1 = r6; kcall bpf_iter_num_destroy; ';
const END = 'r0 = 0; exit';
const SKB = 'r2 = 0; r3 = r10; r3 += -16; kcall bpf_dynptr_from_skb; ';
const SLICE = 'r1 = r10; r1 += -16; r2 = 0; r3 = r10; r3 += -24; *(u64 *)(r10 - 24) = 0; r4 = 8; ';

export const KFUNC_CASES: readonly KfuncCase[] = [
  [
    'nothing to call',
    'sched_cls',
    `call kfunc#0; ${END}`,
    [22, 'invalid kernel function call not eliminated in verifier pass', 3],
  ],
  [
    'nothing to call, not reached',
    'sched_cls',
    `r0 = 0; if r0 == 0 goto out; call kfunc#0; out: exit`,
    [0, '', 3],
  ],
  [
    'not a set of the type',
    'socket_filter',
    `r1 = 1; kcall bpf_task_from_pid; ${END}`,
    [13, 'calling kernel function bpf_task_from_pid is not allowed', 2],
  ],
  [
    'a set of all types',
    'socket_filter',
    `kcall bpf_rcu_read_lock; kcall bpf_rcu_read_unlock; ${END}`,
    [0, '', 4],
  ],
  [
    'of a module',
    'sched_cls',
    '.insn 0x85, 0, 2, 1, 5; exit',
    [71, 'kfunc offset > 0 without fd_array is invalid', 0],
  ],
  [
    'device-bound programs only',
    'xdp',
    `kcall bpf_xdp_metadata_rx_hash; ${END}`,
    [22, 'metadata kfuncs require device-bound program', 0],
  ],
  [
    'trap',
    'sched_cls',
    `kcall __bpf_trap; ${END}`,
    [14, 'unexpected __bpf_trap() due to uninitialized variable?', 1],
  ],
  [
    'sleepable',
    'sched_cls',
    `kcall bpf_copy_from_user_str; ${END}`,
    [13, 'program must be sleepable to call sleepable kfunc bpf_copy_from_user_str', 1],
  ],
  ['number expected', 'sched_cls', `kcall bpf_task_from_pid; ${END}`, [22, 'R1 is not a scalar', 1]],
  [
    'constant expected',
    'sched_cls',
    `r2 = *(u32 *)(r1 + 0); kcall bpf_rdonly_cast; ${END}`,
    [22, 'R2 must be a known constant', 2],
  ],
  [
    'context expected',
    'sched_cls',
    `r1 = r10; kcall bpf_cast_to_kern_ctx; ${END}`,
    [22, 'arg#0 expected pointer to ctx, but got fp', 2],
  ],
  ['context', 'sched_cls', `kcall bpf_cast_to_kern_ctx; ${END}`, [0, '', 3]],
  [
    'nested RCU',
    'sched_cls',
    `kcall bpf_rcu_read_lock; kcall bpf_rcu_read_lock; ${END}`,
    [22, 'nested rcu read lock (kernel function bpf_rcu_read_lock)', 2],
  ],
  [
    'RCU not opened',
    'sched_cls',
    `kcall bpf_rcu_read_unlock; ${END}`,
    [22, 'unmatched rcu read unlock (kernel function bpf_rcu_read_unlock)', 1],
  ],
  [
    'RCU left open',
    'sched_cls',
    `kcall bpf_rcu_read_lock; ${END}`,
    [22, 'BPF_EXIT instruction in main prog cannot be used inside bpf_rcu_read_lock-ed region', 3],
  ],
  [
    'preemption nests',
    'sched_cls',
    `kcall bpf_preempt_disable; kcall bpf_preempt_disable; kcall bpf_preempt_enable; kcall bpf_preempt_enable; ${END}`,
    [0, '', 6],
  ],
  [
    'preemption not off',
    'sched_cls',
    `kcall bpf_preempt_enable; ${END}`,
    [22, 'unmatched attempt to enable preemption (kernel function bpf_preempt_enable)', 1],
  ],
  [
    'interrupts saved and restored',
    'sched_cls',
    `r1 = r10; r1 += -8; kcall bpf_local_irq_save; r1 = r10; r1 += -8; kcall bpf_local_irq_restore; ${END}`,
    [0, '', 8],
  ],
  [
    'interrupts left off',
    'sched_cls',
    `r1 = r10; r1 += -8; kcall bpf_local_irq_save; ${END}`,
    [22, 'BPF_EXIT instruction in main prog cannot be used inside bpf_local_irq_save-ed region', 5],
  ],
  [
    'flags saved twice',
    'sched_cls',
    `r1 = r10; r1 += -8; kcall bpf_local_irq_save; r1 = r10; r1 += -8; kcall bpf_local_irq_save; ${END}`,
    [22, 'expected uninitialized irq flag as arg#0', 6],
  ],
  [
    'flags never saved',
    'sched_cls',
    `r1 = r10; r1 += -8; kcall bpf_local_irq_restore; ${END}`,
    [22, 'expected an initialized irq flag as arg#0', 3],
  ],
  [
    'flags out of order',
    'sched_cls',
    `r1 = r10; r1 += -8; kcall bpf_local_irq_save; r1 = r10; r1 += -16; kcall bpf_local_irq_save; r1 = r10; r1 += -8; kcall bpf_local_irq_restore; ${END}`,
    [13, 'cannot restore irq state out of order, expected id=2 acquired at insn_idx=5', 9],
  ],
  [
    'task not released',
    'sched_cls',
    `r1 = 1; kcall bpf_task_from_pid; ${END}`,
    [22, 'Unreleased reference id=2 alloc_insn=1', 4],
  ],
  [
    'task not tested',
    'sched_cls',
    `r1 = 1; kcall bpf_task_from_pid; r1 = r0; kcall bpf_task_release; ${END}`,
    [13, 'Possibly NULL pointer passed to trusted arg0', 4],
  ],
  [
    'task released',
    'sched_cls',
    `r1 = 1; kcall bpf_task_from_pid; if r0 == 0 goto out; r1 = r0; kcall bpf_task_release; out: ${END}`,
    [0, '', 9],
  ],
  [
    'task released twice',
    'sched_cls',
    `r1 = 1; kcall bpf_task_from_pid; if r0 == 0 goto out; r6 = r0; r1 = r0; kcall bpf_task_release; r1 = r6; kcall bpf_task_release; out: ${END}`,
    [22, 'arg#0 pointer type STRUCT task_struct must point to scalar, or struct with scalar', 8],
  ],
  [
    'task as a cgroup',
    'sched_cls',
    `r1 = 1; kcall bpf_task_from_pid; if r0 == 0 goto out; r1 = r0; kcall bpf_cgroup_release; out: ${END}`,
    [
      22,
      'kernel function bpf_cgroup_release args#0 expected pointer to STRUCT cgroup but R1 has a pointer to STRUCT task_struct',
      5,
    ],
  ],
  [
    'untrusted result',
    'sched_cls',
    `r1 = 1; kcall bpf_get_kmem_cache; r1 = r0; kcall bpf_task_acquire; ${END}`,
    [22, 'R1 must be a rcu pointer', 4],
  ],
  [
    'objects need a type',
    'sched_cls',
    `r1 = 1; r2 = 0; kcall bpf_obj_new_impl; ${END}`,
    [22, 'bpf_obj_new/bpf_percpu_obj_new requires prog BTF', 3],
  ],
  ['iterator', 'socket_filter', `${ITER}again: ${NEXT}if r0 != 0 goto again; ${DESTROY}${END}`, [0, '', 16]],
  [
    'iterator not destroyed',
    'socket_filter',
    `${ITER}${END}`,
    [22, 'Unreleased reference id=1 alloc_insn=5', 8],
  ],
  [
    'iterator never made',
    'socket_filter',
    `r6 = r10; r6 += -8; ${NEXT}${END}`,
    [22, 'expected an initialized iter_num as arg #0', 4],
  ],
  [
    'iterator made twice',
    'socket_filter',
    `${ITER}${ITER}${END}`,
    [22, 'expected uninitialized iter_num as arg #0', 12],
  ],
  [
    'iterator not on the stack',
    'socket_filter',
    `r2 = 0; r3 = 1; kcall bpf_iter_num_new; ${END}`,
    [22, 'arg#0 expected pointer to an iterator on stack', 3],
  ],
  [
    'iterator at an odd place',
    'socket_filter',
    `r1 = r10; r1 += -12; r2 = 0; r3 = 1; kcall bpf_iter_num_new; ${END}`,
    [22, 'cannot pass in iter at an offset=-12', 5],
  ],
  [
    'iterator overwritten',
    'socket_filter',
    `${ITER}*(u64 *)(r10 - 8) = 0; ${DESTROY}${END}`,
    [22, 'expected an initialized iter_num as arg #0', 9],
  ],
  [
    'iterator read',
    'socket_filter',
    `${ITER}r0 = *(u64 *)(r10 - 8); ${DESTROY}${END}`,
    [13, 'invalid read from stack off -8+0 size 8', 7],
  ],
  [
    'element not tested',
    'socket_filter',
    `${ITER}${NEXT}r0 = *(u32 *)(r0 + 0); ${DESTROY}${END}`,
    [13, "R0 invalid mem access 'scalar'", 9],
  ],
  [
    'element beyond its end',
    'socket_filter',
    `${ITER}again: ${NEXT}if r0 == 0 goto out; r1 = *(u32 *)(r0 + 4); goto again; out: ${DESTROY}${END}`,
    [13, 'invalid access to memory, mem_size=4 off=4 size=4', 15],
  ],
  [
    'sum over an iterator',
    'socket_filter',
    `r7 = 0; ${ITER}again: ${NEXT}if r0 == 0 goto out; r1 = *(u32 *)(r0 + 0); r7 += r1; goto again; out: ${DESTROY}r0 = r7; exit`,
    [0, '', 42],
  ],
  [
    'counter that has to stay small',
    'socket_filter',
    `r7 = 0; ${ITER}again: ${NEXT}if r0 == 0 goto out; r7 += 1; r8 = r10; r8 += -64; r8 += r7; *(u8 *)(r8 + 0) = 1; goto again; out: ${DESTROY}${END}`,
    [22, 'expected an initialized iter_num as arg #0', 793],
  ],
  [
    'tasks outside RCU',
    'syscall',
    `r6 = r10; r6 += -24; r1 = r6; r2 = 0; r3 = 0; kcall bpf_iter_task_new; ${END}`,
    [13, 'kernel func bpf_iter_task_new requires RCU critical section protection', 6],
  ],
  [
    'dynptr of a packet',
    'sched_cls',
    `${SKB}${SLICE}kcall bpf_dynptr_slice; if r0 == 0 goto out; r0 = *(u64 *)(r0 + 0); out: exit`,
    [0, '', 16],
  ],
  [
    'slice not tested',
    'sched_cls',
    `${SKB}${SLICE}kcall bpf_dynptr_slice; r0 = *(u64 *)(r0 + 0); exit`,
    [13, "R0 invalid mem access 'rdonly_mem_or_null'", 13],
  ],
  [
    'slice written',
    'sched_cls',
    `${SKB}${SLICE}kcall bpf_dynptr_slice; if r0 == 0 goto out; *(u64 *)(r0 + 0) = 0; out: ${END}`,
    [13, 'R0 cannot write into rdonly_mem', 14],
  ],
  [
    'slice of a packet not to be written',
    'socket_filter',
    `${SKB}${SLICE}kcall bpf_dynptr_slice_rdwr; ${END}`,
    [22, 'the prog does not allow writes to packet data', 12],
  ],
  [
    'slice beyond its end',
    'sched_cls',
    `${SKB}${SLICE}kcall bpf_dynptr_slice; if r0 == 0 goto out; r0 = *(u64 *)(r0 + 1); out: exit`,
    [13, 'invalid access to memory, mem_size=8 off=1 size=8', 14],
  ],
  [
    'slice without its dynptr',
    'sched_cls',
    `${SKB}${SLICE}kcall bpf_dynptr_slice_rdwr; r6 = r0; if r0 == 0 goto out; *(u64 *)(r10 - 16) = 0; r0 = *(u64 *)(r6 + 0); out: ${END}`,
    [0, '', 20],
  ],
  [
    'dynptr never made',
    'sched_cls',
    `r1 = r10; r1 += -16; *(u64 *)(r10 - 16) = 0; kcall bpf_dynptr_size; ${END}`,
    [22, 'Expected an initialized dynptr as arg #0', 4],
  ],
  [
    'half a dynptr',
    'sched_cls',
    `${SKB}r1 = r10; r1 += -8; kcall bpf_dynptr_size; ${END}`,
    [22, 'cannot pass in dynptr at an offset=-8', 7],
  ],
  [
    'buffer and its size',
    'syscall',
    `r1 = r10; r1 += -8; r2 = 16; r3 = 0; r4 = 0; kcall bpf_copy_from_user_str; ${END}`,
    [22, 'invalid read from stack R1 off=-8 size=16', 6],
  ],
  ['thrown', 'sched_cls', `r1 = 0; kcall bpf_throw; ${END}`, [0, '', 2]],
  [
    'thrown with a reference held',
    'sched_cls',
    `r1 = 1; kcall bpf_task_from_pid; if r0 == 0 goto out; r1 = 0; kcall bpf_throw; out: ${END}`,
    [22, 'Unreleased reference id=2 alloc_insn=1', 5],
  ],
  [
    'thrown inside RCU',
    'sched_cls',
    `kcall bpf_rcu_read_lock; r1 = 0; kcall bpf_throw; ${END}`,
    [22, 'bpf_throw cannot be used inside bpf_rcu_read_lock-ed region', 3],
  ],
];
