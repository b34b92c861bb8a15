/**
 * Helpers of tracing programs: what was traced, the task and its memory, counters, signals. Models kernel/trace/bpf_trace.c,
 * kernel/bpf/task_iter.c (`bpf_find_vma`) and kernel/events/core.c of Linux 6.18.
 */
import { offsetOf } from '../../../abi/context/layout.js';
import { PT_REGS } from '../../../abi/context/perf-event.js';
import { Errno } from '../../../abi/errno.js';
import { PerfOutputFlag } from '../../../abi/map-flags.js';
import { ProgType } from '../../../abi/prog-types.js';
import type { HelperCall } from '../../../vm/index.js';
import type { Machine } from '../../machine.js';
import { PerfEventArrayMap } from '../fd-array.js';
import { stateOf } from './state.js';
import {
  addressHigh,
  E2BIG,
  EFAULT,
  EINVAL,
  ENOENT,
  flagsArg,
  type HelperTable,
  mapArgOf,
  plainHelpers,
  setPointer,
  sizeArg,
} from './table.js';
import { taskAt } from './tasks.js';

const MAX_SIGNAL = 64;
/** struct perf_branch_entry. */
const BRANCH_ENTRY = 24;
const BPF_F_GET_BRANCH_RECORDS_SIZE = 1;
const PERF_VALUE = 24;
/** `proc_ns` of the first pid namespace: device and inode number of /proc/1/ns/pid. */
const PIDNS_DEV = 4n;
const PIDNS_INO = 0xeffffffcn;

export function traceHelpers(kernel: Machine, type: ProgType): HelperTable {
  const high = addressHigh(kernel);
  const run = () => stateOf(kernel).run;
  const kprobe = type === ProgType.kprobe;
  return plainHelpers({
    send_signal: (call) => signal(kernel, call, false),
    send_signal_thread: (call) => signal(kernel, call, true),
    get_attach_cookie: () => run().cookie ?? 0,
    get_func_ip(call) {
      const ip = run().funcIp;
      if (ip !== undefined || !kprobe) return ip ?? 0;
      return kernel.memory.view.getBigUint64(call.pointer(1, PT_REGS.size) + offsetOf(PT_REGS, 'ip'), true);
    },
    get_func_arg(call) {
      const to = call.pointer(3, 8, true);
      const n = call.argU32(2);
      if (call.arg(2) >= BigInt(run().argCount ?? 0)) return -EINVAL;
      kernel.memory.view.setBigUint64(to, wordOf(kernel, call, n), true);
      return 0;
    },
    get_func_ret(call) {
      const to = call.pointer(2, 8, true);
      const { argCount = 0, hasResult } = run();
      if (hasResult !== true) return -Errno.EOPNOTSUPP;
      kernel.memory.view.setBigUint64(to, wordOf(kernel, call, argCount), true);
      return 0;
    },
    get_func_arg_cnt: () => run().argCount ?? 0,
    override_return(call) {
      const at = call.pointer(1, PT_REGS.size);
      kernel.memory.view.setBigUint64(at + offsetOf(PT_REGS, 'ax'), call.arg(2), true);
      run().overridden = call.arg(2);
      return 0;
    },
    probe_write_user(call) {
      const size = sizeArg(call, 3);
      const from = call.pointer(2, size);
      if (kernel.current.attr.kthread === true) return -Errno.EPERM;
      const to = call.argU32(1);
      if (call.arg(1) >> 32n !== 0n || kernel.user.mappedFrom(to) < size) return -EFAULT;
      kernel.memory.u8.copyWithin(to, from, from + size);
      return 0;
    },
    copy_from_user_task(call) {
      const size = sizeArg(call, 2);
      const to = call.pointer(1, size, true);
      if (flagsArg(call, 5) !== 0) return -EINVAL;
      if (size === 0) return 0;
      const own = taskAt(kernel, call.argU32(4)) === kernel.current && call.arg(3) >> 32n === 0n;
      const { u8 } = kernel.memory;
      const from = call.argU32(3);
      if (!own || kernel.user.mappedFrom(from) < size) {
        u8.fill(0, to, to + size);
        return -EFAULT;
      }
      u8.copyWithin(to, from, from + size);
      return 0;
    },
    task_pt_regs: (call) => setPointer(call, stateOf(kernel).userRegs(call.argU32(1)), high),
    find_vma: (call) => findVma(kernel, call),
    get_ns_current_pid_tgid(call) {
      const size = call.argU32(4);
      const to = call.pointer(3, size, true);
      if (size !== 8 || call.arg(1) !== PIDNS_DEV || call.arg(2) !== PIDNS_INO) {
        kernel.memory.u8.fill(0, to, to + size);
        return -EINVAL;
      }
      kernel.memory.view.setUint32(to, kernel.current.attr.pid, true);
      kernel.memory.view.setUint32(to + 4, kernel.current.attr.tgid, true);
      return 0;
    },
    perf_event_read: (call) => readCounter(kernel, call),
    perf_event_read_value(call) {
      const size = call.argU32(4);
      const to = call.pointer(3, size, true);
      const result = size === PERF_VALUE ? readCounter(kernel, call) : -EINVAL;
      kernel.memory.u8.fill(0, to, to + size);
      if (typeof result === 'number' && result < 0) return result;
      putCounter(kernel, to, { counter: BigInt(result), enabled: 0n, running: 0n });
      return 0;
    },
    perf_prog_read_value(call) {
      const size = call.argU32(3);
      const to = call.pointer(2, size, true);
      const { event } = run();
      kernel.memory.u8.fill(0, to, to + size);
      if (size !== PERF_VALUE) return -EINVAL;
      if (event !== undefined) putCounter(kernel, to, event);
      return 0;
    },
    read_branch_records: (call) => branchRecords(kernel, call),
    get_branch_snapshot(call) {
      const size = sizeArg(call, 2);
      const to = call.pointer(1, size, true);
      if (flagsArg(call, 3) !== 0) return -EINVAL;
      const { branches } = run();
      if (branches === undefined) return -ENOENT;
      const bytes = branches.subarray(0, size - (size % BRANCH_ENTRY));
      kernel.memory.u8.set(bytes, to);
      return bytes.length;
    },
  });
}

function wordOf(kernel: Machine, call: HelperCall, n: number): bigint {
  return kernel.memory.view.getBigUint64(call.pointer(1, (n + 1) * 8) + n * 8, true);
}

function signal(kernel: Machine, call: HelperCall, thread: boolean): number {
  const number = call.argU32(1);
  const { attr } = kernel.current;
  // Nobody signals kernel threads or init.
  if (attr.kthread === true || attr.pid === 1) return -Errno.EPERM;
  if (number > MAX_SIGNAL) return -EINVAL;
  stateOf(kernel).signals.push({ signal: number, pid: thread ? attr.pid : attr.tgid, thread });
  return 0;
}

/** Calls back with the mapping that an address of the current task's user space lies in. */
function findVma(kernel: Machine, call: HelperCall): number {
  if (flagsArg(call, 5) !== 0) return -EINVAL;
  const task = call.arg(1) === 0n ? undefined : taskAt(kernel, call.argU32(1));
  if (task === undefined || task.attr.kthread === true) return -ENOENT;
  const address = call.argU32(2);
  if (task !== kernel.current || call.arg(2) >> 32n !== 0n) return -ENOENT;
  const left = kernel.user.mappedFrom(address);
  if (left === 0) return -ENOENT;
  const vma = stateOf(kernel).vmaOf(address, left);
  call.execution.callFunction(call.arg(3), [call.arg(1), vma, call.arg(4)]);
  return 0;
}

function readCounter(kernel: Machine, call: HelperCall): number | bigint {
  const map = mapArgOf(kernel, call, 1, PerfEventArrayMap);
  const flags = call.arg(2);
  if ((flags & ~PerfOutputFlag.BPF_F_INDEX_MASK) !== 0n) return -EINVAL;
  const index = flags === PerfOutputFlag.BPF_F_CURRENT_CPU ? kernel.cpu : Number(flags);
  if (index >= map.maxEntries) return -E2BIG;
  const event = map.slots[index];
  if (event === undefined) return -ENOENT;
  // Events that samples are sent to count what they were sent.
  return event.cpu === kernel.cpu ? BigInt(event.samples.length) : -Errno.EOPNOTSUPP;
}

interface Counter {
  readonly counter: bigint;
  readonly enabled: bigint;
  readonly running: bigint;
}

function putCounter(kernel: Machine, to: number, { counter, enabled, running }: Counter): void {
  [counter, enabled, running].forEach((value, i) => {
    kernel.memory.view.setBigUint64(to + 8 * i, value, true);
  });
}

function branchRecords(kernel: Machine, call: HelperCall): number {
  const size = sizeArg(call, 3);
  const flags = flagsArg(call, 4);
  if ((flags & ~BPF_F_GET_BRANCH_RECORDS_SIZE) !== 0) return -EINVAL;
  const { branches } = stateOf(kernel).run;
  if (branches === undefined) return -ENOENT;
  if (flags === BPF_F_GET_BRANCH_RECORDS_SIZE) return branches.length;
  if (call.arg(2) === 0n || size % BRANCH_ENTRY !== 0) return -EINVAL;
  const bytes = branches.subarray(0, size);
  kernel.memory.u8.set(bytes, call.pointer(2, size, true));
  return bytes.length;
}
