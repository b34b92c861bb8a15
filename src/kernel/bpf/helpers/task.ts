/** Helpers about the current task. Models kernel/bpf/helpers.c and kernel/trace/bpf_trace.c of Linux 6.18. */
import type { Machine } from '../../machine.js';
import { TASK_COMM_LEN } from '../../sched/task.js';
import { EINVAL, type HelperTable, plainHelpers, sizeArg } from './table.js';

export function taskHelpers(kernel: Machine): HelperTable {
  const words = (name: string, offset: number) =>
    ({ kind: 'slot', name: `bpf_${name}`, offset, size: 8 }) as const;
  return {
    get_current_pid_tgid: words('get_current_pid_tgid', kernel.taskOffset),
    get_current_uid_gid: words('get_current_uid_gid', kernel.taskOffset + 8),
    ...plainHelpers({
      get_current_comm(call) {
        const size = sizeArg(call, 2);
        if (size === 0) return -EINVAL;
        const at = call.pointer(1, size, true);
        // strscpy_pad(): the buffer is filled to its end, and always ends with a NUL.
        kernel.memory.u8.fill(0, at, at + size);
        kernel.memory.u8.set(kernel.current.commBytes.subarray(0, Math.min(size - 1, TASK_COMM_LEN)), at);
        return 0;
      },
      get_current_task: () => kernel.taskAddress,
      get_current_task_btf: () => kernel.taskAddress,
    }),
  };
}
