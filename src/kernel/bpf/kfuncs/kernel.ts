/**
 * Kernel functions on tasks, control groups, critical sections, deferred work, casts and the rest of what programs commonly
 * call. Models kernel/bpf/helpers.c and kernel/bpf/cpumask.c's neighbours of Linux 6.18.
 */
import { Errno } from '../../../abi/errno.js';
import type { ProgType } from '../../../abi/prog-types.js';
import { FIELD } from '../../../verifier/special-fields.js';
import { type HelperCall, HelperExit, HelperFault } from '../../../vm/index.js';
import { Cgroup } from '../../cgroup/cgroup.js';
import { bpfPrintf } from '../../lib/vsprintf.js';
import type { Machine } from '../../machine.js';
import { ArenaMap } from '../arena.js';
import { fieldOffset } from '../helpers/kptr.js';
import { argArray, cString } from '../helpers/print.js';
import { readText } from '../helpers/probe-read.js';
import { stateOf } from '../helpers/state.js';
import {
  addressHigh,
  E2BIG,
  EFAULT,
  EINVAL,
  flagsArg,
  mapArg,
  mapArgOf,
  setPointer,
  sizeArg,
} from '../helpers/table.js';
import { taskAddress, taskAt } from '../helpers/tasks.js';
import { acquireLock, releaseLock } from '../spin-lock.js';
import { allTasks } from './iterators.js';
import { kernelContext } from './kernel-context.js';
import type { KfuncTable } from './table.js';

/** BPF_F_PAD_ZEROS. */
const PAD_ZEROS = 1;
const MAX_SIGNAL = 64;
const PLACE = 'bpf_preempt_disable';

export function kernelKfuncs(kernel: Machine): KfuncTable {
  return {
    ...sectionKfuncs(kernel),
    ...taskKfuncs(kernel),
    ...cgroupKfuncs(kernel),
    ...workKfuncs(kernel),
    ...miscKfuncs(kernel),
  };
}

function sectionKfuncs(kernel: Machine): KfuncTable {
  const { sched } = kernel;
  const saveIrq = (call: HelperCall, n: number): void => {
    const at = call.pointer(n, 8, true);
    kernel.memory.view.setBigUint64(at, sched.irqSave(PLACE) ? 1n : 0n, true);
  };
  const restoreIrq = (call: HelperCall, n: number): void => {
    sched.irqRestore(kernel.memory.view.getBigUint64(call.pointer(n, 8), true) !== 0n);
  };
  const lock = (call: HelperCall): number => {
    const at = call.pointer(1, 4, true);
    // Whoever holds it would be this very run.
    if (kernel.memory.i32[at >> 2] !== 0) return -Errno.EDEADLK;
    acquireLock(kernel, at);
    return 0;
  };
  return {
    bpf_rcu_read_lock() {
      sched.current.rcuDepth++;
      return 0;
    },
    bpf_rcu_read_unlock() {
      sched.current.rcuDepth--;
      return 0;
    },
    bpf_preempt_disable() {
      sched.preemptDisable(PLACE);
      return 0;
    },
    bpf_preempt_enable() {
      sched.preemptEnable();
      return 0;
    },
    bpf_local_irq_save(call) {
      saveIrq(call, 1);
      return 0;
    },
    bpf_local_irq_restore(call) {
      restoreIrq(call, 1);
      return 0;
    },
    bpf_res_spin_lock: lock,
    bpf_res_spin_unlock(call) {
      releaseLock(kernel, call.pointer(1, 4, true));
      return 0;
    },
    bpf_res_spin_lock_irqsave(call) {
      saveIrq(call, 2);
      const result = lock(call);
      if (result !== 0) restoreIrq(call, 2);
      return result;
    },
    bpf_res_spin_unlock_irqrestore(call) {
      releaseLock(kernel, call.pointer(1, 4, true));
      restoreIrq(call, 2);
      return 0;
    },
  };
}

function taskKfuncs(kernel: Machine): KfuncTable {
  const same = (call: HelperCall): undefined => setPointer(call, call.argU32(1), addressHigh(kernel));
  const byPid = (call: HelperCall): bigint => {
    const pid = call.argI32(1);
    const task = allTasks(kernel).find((known) => known.pid === pid);
    return task === undefined ? 0n : taskAddress(kernel, task);
  };
  return {
    bpf_task_acquire: same,
    bpf_task_release: () => 0,
    bpf_task_from_pid: byPid,
    bpf_task_from_vpid: byPid,
    // There is no hierarchy of version 1.
    bpf_task_get_cgroup1: () => 0,
    bpf_task_under_cgroup(call) {
      const task = taskAt(kernel, call.argU32(1));
      const group = kernel.objects.get(call.argU32(2));
      const state = stateOf(kernel);
      const own = task === undefined ? undefined : (state.cgroupOfTask.get(task.pid) ?? state.rootCgroup);
      return group instanceof Cgroup && own?.isDescendantOf(group) === true ? 1 : 0;
    },
    bpf_send_signal_task(call) {
      const task = taskAt(kernel, call.argU32(1));
      const signal = call.argU32(2);
      if (task === undefined || signal > MAX_SIGNAL || call.argU32(3) > 1) return -EINVAL;
      stateOf(kernel).signals.push({ signal, pid: task.pid, thread: call.argU32(3) === 0 });
      return 0;
    },
  };
}

function cgroupKfuncs(kernel: Machine): KfuncTable {
  const group = (call: HelperCall): Cgroup => {
    const found = kernel.objects.get(call.argU32(1));
    if (found instanceof Cgroup) return found;
    throw new HelperFault(`r1: 0x${call.arg(1).toString(16)} is no control group`);
  };
  return {
    bpf_cgroup_acquire: (call) => group(call).address,
    bpf_cgroup_release: () => 0,
    bpf_cgroup_ancestor: (call) => group(call).ancestor(call.argI32(2))?.address ?? 0n,
    bpf_cgroup_from_id: (call) => stateOf(kernel).cgroups.get(call.arg(1))?.address ?? 0n,
  };
}

function workKfuncs(kernel: Machine): KfuncTable {
  const timers = () => stateOf(kernel).timers;
  const schedule = (call: HelperCall): number => {
    const map = mapArg(kernel, call, 3);
    const at = call.pointer(2, 8, true);
    if (timers().isQueued(at)) return -Errno.EBUSY;
    // The same field serves again once its work is done.
    timers().initWork(at, map, at - fieldOffset(map, FIELD.TASK_WORK));
    return timers().setCallback(at, call.arg(4)) || timers().startWork(at);
  };
  return {
    bpf_wq_init(call) {
      const map = mapArg(kernel, call, 2);
      const at = call.pointer(1, 16, true);
      if (flagsArg(call, 3) !== 0) return -EINVAL;
      return timers().initWork(at, map, at - fieldOffset(map, FIELD.WORKQUEUE));
    },
    bpf_wq_set_callback_impl(call) {
      if (call.argU32(3) !== 0) return -EINVAL;
      return timers().setCallback(call.pointer(1, 16, true), call.arg(2));
    },
    bpf_wq_start(call) {
      if (call.argU32(2) !== 0) return -EINVAL;
      return timers().startWork(call.pointer(1, 16, true));
    },
    bpf_task_work_schedule_signal_impl: schedule,
    bpf_task_work_schedule_resume_impl: schedule,
  };
}

function miscKfuncs(kernel: Machine): KfuncTable {
  return {
    bpf_throw(call) {
      throw new HelperExit(call.arg(1));
    },
    bpf_cast_to_kern_ctx: (call, { env }) => kernelContext(kernel, call, env.type as ProgType),
    bpf_rdonly_cast: (call) => call.arg(1),
    bpf_map_sum_elem_count(call) {
      const map = mapArg(kernel, call, 1);
      const count = map.walk(() => false);
      return count < 0 ? 0 : count;
    },
    bpf_copy_from_user_str: (call) => copyText(kernel, call, 4),
    bpf_copy_from_user_task_str: (call) => copyText(kernel, call, 5),
    bpf_stream_vprintk_impl(call) {
      const args = argArray(kernel, call, 3, sizeArg(call, 4));
      if (args === undefined) return -EINVAL;
      const text = bpfPrintf(cString(kernel, call.pointer(2, 1)), args);
      if (typeof text === 'number') return text;
      stateOf(kernel).streams.push({ stream: call.argI32(1), text });
      return 0;
    },
    bpf_xdp_metadata_rx_timestamp: () => -Errno.EOPNOTSUPP,
    bpf_xdp_metadata_rx_hash: () => -Errno.EOPNOTSUPP,
    bpf_xdp_metadata_rx_vlan_tag: () => -Errno.EOPNOTSUPP,
    bpf_session_is_return: () => (stateOf(kernel).run.session?.isReturn === true ? 1 : 0),
    bpf_session_cookie: (call) =>
      setPointer(call, stateOf(kernel).run.session?.cookie ?? 0, addressHigh(kernel)),
    bpf_arena_alloc_pages(call) {
      const map = mapArgOf(kernel, call, 1, ArenaMap);
      if (call.arg(5) !== 0n || call.argU32(3) === 0) return 0;
      return map.allocPages(call.arg(2), call.argU32(3), call.argI32(4));
    },
    bpf_arena_free_pages(call) {
      mapArgOf(kernel, call, 1, ArenaMap).freePages(call.arg(2), call.argU32(3));
      return 0;
    },
    bpf_arena_reserve_pages: (call) =>
      mapArgOf(kernel, call, 1, ArenaMap).reservePages(call.arg(2), call.argU32(3)),
    bpf_path_d_path(call) {
      const size = sizeArg(call, 3);
      const path = stateOf(kernel).paths.get(call.argU32(1));
      if (size === 0 || path === undefined) return -EINVAL;
      if (path.length + 1 > size) return -Errno.ENAMETOOLONG;
      const to = call.pointer(2, size, true);
      kernel.memory.u8.set(Buffer.from(`${path}\0`, 'latin1'), to);
      return path.length + 1;
    },
  };
}

/** (destination, size, address[, task], flags): length with the NUL, or a negative errno. */
function copyText(kernel: Machine, call: HelperCall, flagsAt: number): number {
  const size = sizeArg(call, 2);
  const flags = flagsArg(call, flagsAt);
  if ((flags & ~PAD_ZEROS) !== 0) return -EINVAL;
  if (size === 0) return 0;
  if (size > 0x7fffffff) return -E2BIG;
  const to = call.pointer(1, size, true);
  const other = flagsAt === 5 && taskAt(kernel, call.argU32(4)) !== kernel.current;
  const text = other ? undefined : readText(kernel, call, call.arg(3), size, 'user');
  const { u8 } = kernel.memory;
  if (text === undefined) {
    if ((flags & PAD_ZEROS) !== 0) u8.fill(0, to, to + size);
    return -EFAULT;
  }
  u8.set(text, to);
  if ((flags & PAD_ZEROS) !== 0) u8.fill(0, to + text.length, to + size);
  return text.length;
}
