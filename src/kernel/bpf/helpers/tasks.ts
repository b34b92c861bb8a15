/** Tasks as programs point to them: which task an address is, and the other way. */
import type { Machine } from '../../machine.js';
import type { Task } from '../../sched/task.js';
import { TaskImage } from '../../sched/task-image.js';

/** Address of a task's `struct task_struct`. */
export function taskAddress(kernel: Machine, task: Task): bigint {
  task.image ??= new TaskImage(task.attr, kernel.memory, kernel.btf);
  return task.image.address;
}

/** The task whose image starts at a memory offset. */
export function taskAt(kernel: Machine, offset: number): Task | undefined {
  const address = kernel.memory.addressOf(offset);
  const { current } = kernel;
  if (taskAddress(kernel, current) === address) return current;
  for (const task of kernel.sched.tasks.values()) if (task.image?.address === address) return task;
  return undefined;
}
