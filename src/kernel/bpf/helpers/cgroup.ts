/** Helpers about control groups, of the current task and of sockets. Models kernel/bpf/helpers.c and net/core/filter.c. */
import { Errno } from '../../../abi/errno.js';
import type { HelperCall } from '../../../vm/index.js';
import type { Cgroup } from '../../cgroup/cgroup.js';
import type { Machine } from '../../machine.js';
import { CgroupArrayMap } from '../fd-array.js';
import { stateOf } from './state.js';
import { E2BIG, EINVAL, type HelperTable, mapArgOf, plainHelpers } from './table.js';

/** Groups that a packet's socket is in: that of the task that opened it. */
export function cgroupHelpers(kernel: Machine): HelperTable {
  const here = (): Cgroup => stateOf(kernel).currentCgroup;
  const ancestorId = (call: HelperCall, n: number): bigint => here().ancestor(call.argI32(n))?.id ?? 0n;
  const under = (call: HelperCall, mapAt: number): number => {
    const map = mapArgOf(kernel, call, mapAt, CgroupArrayMap);
    const index = call.argU32(mapAt + 1);
    if (index >= map.maxEntries) return -E2BIG;
    const group = map.slots[index];
    if (group === undefined) return -Errno.EAGAIN;
    return here().isDescendantOf(group) ? 1 : 0;
  };
  return plainHelpers({
    get_current_cgroup_id: () => here().id,
    get_current_ancestor_cgroup_id: (call) => ancestorId(call, 1),
    current_task_under_cgroup: (call) => under(call, 1),
    skb_under_cgroup: (call) => under(call, 2),
    skb_cgroup_id: () => here().id,
    skb_ancestor_cgroup_id: (call) => ancestorId(call, 2),
    sk_cgroup_id: (call) => (call.arg(1) === 0n ? 0 : here().id),
    sk_ancestor_cgroup_id: (call) => (call.arg(1) === 0n ? 0 : ancestorId(call, 2)),
    // No version 1 hierarchy: no class.
    get_cgroup_classid: () => 0,
    skb_cgroup_classid: () => 0,
    get_retval: () => stateOf(kernel).run.retval ?? 0,
    set_retval(call) {
      stateOf(kernel).run.retval = call.argI32(1);
      return 0;
    },
    bprm_opts_set(call) {
      if ((call.arg(2) & ~1n) !== 0n) return -EINVAL;
      stateOf(kernel).run.secureExec = (call.arg(2) & 1n) !== 0n;
      return 0;
    },
    // Nothing is measured: as where IMA has no policy.
    ima_inode_hash: () => -Errno.EOPNOTSUPP,
    ima_file_hash: () => -Errno.EOPNOTSUPP,
    sock_from_file: () => 0,
    sysctl_get_name: (call) => sysctlName(kernel, call),
    sysctl_get_current_value: (call) => copyValue(kernel, call, stateOf(kernel).run.sysctl?.current),
    sysctl_get_new_value: (call) => copyValue(kernel, call, stateOf(kernel).run.sysctl?.written),
    sysctl_set_new_value(call) {
      const size = call.argU32(3);
      const { sysctl } = stateOf(kernel).run;
      if (sysctl?.written === undefined || size === 0) return -EINVAL;
      if (size > 4095) return -E2BIG;
      sysctl.replacement = call.bytes(2, size).slice();
      return 0;
    },
  });
}

/** Copies a text to r2, cut and closed with a NUL; its length, or -E2BIG where it was cut. */
function sysctlName(kernel: Machine, call: HelperCall): number {
  const size = call.argU32(3);
  const to = call.pointer(2, size, true);
  const full = stateOf(kernel).run.sysctl?.name ?? '';
  const text = (call.arg(4) & 1n) !== 0n ? full.slice(full.lastIndexOf('/') + 1) : full;
  if (size === 0) return -E2BIG;
  const bytes = Buffer.from(text.slice(0, size - 1), 'latin1');
  kernel.memory.u8.fill(0, to, to + size);
  kernel.memory.u8.set(bytes, to);
  return text.length < size ? text.length : -E2BIG;
}

function copyValue(kernel: Machine, call: HelperCall, value: Uint8Array | undefined): number {
  const size = call.argU32(3);
  const to = call.pointer(2, size, true);
  const { u8 } = kernel.memory;
  if (size === 0) return -E2BIG;
  u8.fill(0, to, to + size);
  if (value === undefined || value.length === 0) return -EINVAL;
  u8.set(value.subarray(0, size), to);
  if (size > value.length) return value.length;
  u8[to + size - 1] = 0;
  return -E2BIG;
}
