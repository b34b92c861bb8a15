/** Helpers about the current task. Models kernel/bpf/helpers.c and kernel/trace/bpf_trace.c of Linux 6.18. */
import type { Machine } from '../../machine.js';
import { TASK_COMM_LEN } from '../../sched/task.js';
import { EINVAL, type HelperTable, plainHelpers, sizeArg } from './table.js';

/** The root cgroup. */
const ROOT_CGROUP_ID = 1;

export function taskHelpers(kernel: Machine): HelperTable {
  return plainHelpers({
    get_current_pid_tgid: () => pair(kernel.current.attr.tgid, kernel.current.attr.pid),
    get_current_uid_gid: () => pair(kernel.current.attr.gid, kernel.current.attr.uid),
    get_current_comm(call) {
      const size = sizeArg(call, 2);
      if (size === 0) return -EINVAL;
      const at = call.pointer(1, size, true);
      // strscpy_pad(): the buffer is filled to its end, and always ends with a NUL.
      kernel.memory.u8.fill(0, at, at + size);
      kernel.memory.u8.set(kernel.current.comm.subarray(0, Math.min(size - 1, TASK_COMM_LEN)), at);
      return 0;
    },
    get_current_task: () => kernel.current.address,
    get_current_task_btf: () => kernel.current.address,
    get_current_cgroup_id: () => ROOT_CGROUP_ID,
    get_current_ancestor_cgroup_id: (call) => (call.argI32(1) === 0 ? ROOT_CGROUP_ID : 0),
  });
}

function pair(high: number, low: number): bigint {
  return (BigInt(high) << 32n) | BigInt(low);
}
