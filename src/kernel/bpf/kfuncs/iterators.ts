/**
 * Open-coded iterators: numbers, bits, tasks, control groups. Their state lies on the program's stack; what they walk over
 * is taken down when they begin. Models kernel/bpf/helpers.c, task_iter.c and cgroup_iter.c of Linux 6.18.
 */

import type { HelperCall } from '../../../vm/index.js';
import type { Cgroup } from '../../cgroup/cgroup.js';
import { Cgroup as CgroupClass } from '../../cgroup/cgroup.js';
import type { Machine } from '../../machine.js';
import type { Task } from '../../sched/task.js';
import { readMemory } from '../helpers/probe-read.js';
import { stateOf } from '../helpers/state.js';
import { addressHigh, E2BIG, EFAULT, EINVAL, setPointer } from '../helpers/table.js';
import { taskAddress, taskAt } from '../helpers/tasks.js';
import type { KfuncRun, KfuncTable } from './table.js';

/** BPF_MAX_LOOPS. */
const MAX_LOOPS = 8 * 1024 * 1024;
const MAX_WORDS = 511;
/** BPF_TASK_ITER_*. */
const ALL_PROCS = 0;
const ALL_THREADS = 1;
const PROC_THREADS = 2;
/** BPF_CGROUP_ITER_*. */
const DESCENDANTS_PRE = 2;
const DESCENDANTS_POST = 3;
const ANCESTORS_UP = 4;

export function iteratorKfuncs(kernel: Machine): KfuncTable {
  return {
    ...numbers(kernel),
    ...bits(kernel),
    ...list(kernel, 'bpf_iter_task', 24, (call) => tasks(kernel, call)),
    ...list(kernel, 'bpf_iter_css', 24, (call) => groups(kernel, call)),
    ...list(kernel, 'bpf_iter_css_task', 8, (call) => {
      const group = groupArg(kernel, call, 2);
      if (group === undefined) return -EINVAL;
      return allTasks(kernel)
        .filter((task) => groupOf(kernel, task).isDescendantOf(group))
        .map((task) => taskAddress(kernel, task));
    }),
  };
}

function numbers(kernel: Machine): KfuncTable {
  const high = addressHigh(kernel);
  return {
    bpf_iter_num_new(call) {
      const at = call.pointer(1, 8, true) >> 2;
      const { i32 } = kernel.memory;
      const [start, end] = [call.argI32(2), call.argI32(3)];
      i32[at] = 0;
      i32[at + 1] = 0;
      if (start > end) return -EINVAL;
      if (end - start > MAX_LOOPS) return -E2BIG;
      i32[at] = start - 1;
      i32[at + 1] = end;
      return 0;
    },
    bpf_iter_num_next(call) {
      const at = call.pointer(1, 8, true);
      const { i32 } = kernel.memory;
      const next = i32[at >> 2]! + 1;
      if (next >= i32[(at >> 2) + 1]!) {
        i32[at >> 2] = 0;
        i32[(at >> 2) + 1] = 0;
        return 0;
      }
      i32[at >> 2] = next;
      return setPointer(call, at, high);
    },
    bpf_iter_num_destroy(call) {
      const at = call.pointer(1, 8, true);
      kernel.memory.u8.fill(0, at, at + 8);
      return 0;
    },
  };
}

/** Words of bits: the one itself, or the offset of a copy of several; then number of bits, and the bit. */
function bits(kernel: Machine): KfuncTable {
  const high = addressHigh(kernel);
  const copies = new Map<number, Uint8Array>();
  return {
    bpf_iter_bits_new(call) {
      const at = call.pointer(1, 16, true);
      const { view, u8 } = kernel.memory;
      copies.delete(at);
      u8.fill(0, at, at + 16);
      view.setInt32(at + 12, -1, true);
      const words = call.argU32(3);
      if (call.arg(2) === 0n || words === 0) return -EINVAL;
      if (words > MAX_WORDS) return -E2BIG;
      const bytes = readMemory(kernel, call, call.arg(2), words * 8, 'kernel');
      if (bytes === undefined) return -EFAULT;
      copies.set(at, bytes);
      view.setInt32(at + 8, words * 64, true);
      return 0;
    },
    bpf_iter_bits_next(call) {
      const at = call.pointer(1, 16, true);
      const { view } = kernel.memory;
      const count = view.getInt32(at + 8, true);
      const bytes = copies.get(at);
      let bit = view.getInt32(at + 12, true) + 1;
      while (bytes !== undefined && bit < count && (bytes[bit >> 3]! & (1 << (bit & 7))) === 0) bit++;
      if (bytes === undefined || bit >= count) {
        view.setInt32(at + 8, 0, true);
        return 0;
      }
      view.setInt32(at + 12, bit, true);
      return setPointer(call, at + 12, high);
    },
    bpf_iter_bits_destroy(call) {
      copies.delete(call.pointer(1, 16, true));
      return 0;
    },
  };
}

/** An iterator over addresses that are known when it begins. */
function list(
  kernel: Machine,
  name: string,
  size: number,
  begin: (call: HelperCall) => readonly bigint[] | number,
): KfuncTable {
  const walks = new Map<number, { readonly items: readonly bigint[]; next: number }>();
  const run: Record<string, KfuncRun> = {
    [`${name}_new`](call) {
      const at = call.pointer(1, size, true);
      kernel.memory.u8.fill(0, at, at + size);
      walks.delete(at);
      const items = begin(call);
      if (typeof items === 'number') return items;
      walks.set(at, { items, next: 0 });
      return 0;
    },
    [`${name}_next`](call) {
      const walk = walks.get(call.pointer(1, size, true));
      if (walk === undefined || walk.next === walk.items.length) return 0;
      return walk.items[walk.next++]!;
    },
    [`${name}_destroy`](call) {
      walks.delete(call.pointer(1, size, true));
      return 0;
    },
  };
  return run;
}

/** Tasks of the kernel by pid, the current one among them. */
export function allTasks(kernel: Machine): Task[] {
  const found = new Set<Task>([...kernel.sched.tasks.values(), kernel.current]);
  return [...found].filter(({ state, pid }) => state !== 'dead' && pid > 0).sort((a, b) => a.pid - b.pid);
}

function groupOf(kernel: Machine, task: Task): Cgroup {
  const state = stateOf(kernel);
  return state.cgroupOfTask.get(task.pid) ?? state.rootCgroup;
}

function tasks(kernel: Machine, call: HelperCall): readonly bigint[] | number {
  const flags = call.argU32(3);
  if (flags > PROC_THREADS) return -EINVAL;
  const of = call.arg(2) === 0n ? undefined : taskAt(kernel, call.argU32(2));
  if (flags === PROC_THREADS && of === undefined) return -EINVAL;
  const wanted = (task: Task): boolean => {
    if (flags === ALL_THREADS) return true;
    return flags === ALL_PROCS ? task.attr.pid === task.attr.tgid : task.attr.tgid === of!.attr.tgid;
  };
  return allTasks(kernel)
    .filter(wanted)
    .map((task) => taskAddress(kernel, task));
}

/** A group by its `cgroup_subsys_state`, which lies at its beginning. */
function groupArg(kernel: Machine, call: HelperCall, n: number): Cgroup | undefined {
  const found = kernel.objects.get(call.argU32(n));
  return found instanceof CgroupClass ? found : undefined;
}

function groups(kernel: Machine, call: HelperCall): readonly bigint[] | number {
  const start = groupArg(kernel, call, 2);
  const order = call.argU32(3);
  if (start === undefined || ![DESCENDANTS_PRE, DESCENDANTS_POST, ANCESTORS_UP].includes(order))
    return -EINVAL;
  const found: Cgroup[] = [];
  if (order === ANCESTORS_UP) {
    for (let at: Cgroup | undefined = start; at !== undefined; at = at.parent) found.push(at);
  } else {
    const children = [...stateOf(kernel).cgroups.values()];
    const visit = (group: Cgroup): void => {
      if (order === DESCENDANTS_PRE) found.push(group);
      for (const child of children) if (child.parent === group) visit(child);
      if (order === DESCENDANTS_POST) found.push(group);
    };
    visit(start);
  }
  return found.map(({ address }) => address);
}
