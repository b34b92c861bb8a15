/**
 * seccomp: classic BPF filters that a task puts in front of its system calls, the last one first. All are run, and the
 * most severe result counts; the profile says whether the task is pinned for each filter or cannot be preempted for the
 * whole list. Models kernel/seccomp.c.
 */

import { offsetOf } from '../abi/context/layout.js';
import { SECCOMP_DATA } from '../abi/context/seccomp.js';
import { MAX_ERRNO } from '../abi/errno.js';
import { ProgType } from '../abi/prog-types.js';
import { AUDIT_ARCH_X86_64 } from '../abi/syscalls.js';
import { convertClassic, type SockFilter } from '../isa/classic/index.js';
import type { BpfProg } from './bpf/prog.js';
import { pin, unpin } from './bpf/recursion.js';
import { runProgFlow } from './bpf/run-prog.js';
import type { Machine } from './machine.js';
import { type Flow, point } from './sched/flow.js';
import type { Task } from './sched/task.js';
import type { ContextMemory } from './trace/context-memory.js';

/** SECCOMP_RET_*: the upper half of a filter's result; the lower half is data. */
const SeccompAction = {
  KILL_PROCESS: 0x80000000,
  KILL_THREAD: 0x00000000,
  TRAP: 0x00030000,
  ERRNO: 0x00050000,
  USER_NOTIF: 0x7fc00000,
  TRACE: 0x7ff00000,
  LOG: 0x7ffc0000,
  ALLOW: 0x7fff0000,
} as const;

export type SeccompActionName = keyof typeof SeccompAction;

/** What becomes of a system call. */
export interface SeccompVerdict {
  readonly action: SeccompActionName;
  /** The result's lower 16 bits: an errno, what the tracer is told. */
  readonly data: number;
}

const ALLOWED: SeccompVerdict = { action: 'ALLOW', data: 0 };
const BETWEEN_FILTERS = point('between two seccomp filters');

export class Seccomp {
  /** The last filter first. */
  private readonly filters = new WeakMap<Task, BpfProg[]>();
  private count = 0;

  constructor(
    private readonly kernel: Machine,
    private readonly memory: ContextMemory,
  ) {}

  /** SECCOMP_SET_MODE_FILTER. Throws `ClassicError` for a filter that Linux refuses. */
  addFilter(task: Task, filter: readonly SockFilter[]): BpfProg {
    const { insns } = convertClassic(filter, { context: 'seccomp' });
    const name = `seccomp${this.count++}`;
    const { kernel } = this;
    const prog: BpfProg = {
      id: 0,
      name,
      type: ProgType.unspec,
      expectedAttachType: 0,
      progFlags: 0,
      program: kernel.engine.load({ name, insns }, { checked: true }),
      verified: true,
      maps: [],
      lineInfo: [],
      section: '',
      active: new Int32Array(kernel.cpus),
      stats: { runs: 0, instructions: 0, misses: 0, skipped: 0 },
    };
    this.filters.set(task, [prog, ...(this.filters.get(task) ?? [])]);
    return prog;
  }

  /** What the current task's filters say of a system call (`seccomp_run_filters`). */
  *check(nr: number, args: readonly bigint[]): Flow<SeccompVerdict> {
    const { kernel } = this;
    const { sched } = kernel;
    const filters = this.filters.get(sched.current);
    if (filters === undefined) return ALLOWED;
    sched.here.calls.push('__seccomp_filter');
    const context = this.memory.take(SECCOMP_DATA.size);
    const { view } = kernel.memory;
    const at = context.address32;
    view.setInt32(at + offsetOf(SECCOMP_DATA, 'nr'), nr, true);
    view.setUint32(at + offsetOf(SECCOMP_DATA, 'arch'), AUDIT_ARCH_X86_64, true);
    args.slice(0, 6).forEach((arg, i) => {
      view.setBigUint64(at + offsetOf(SECCOMP_DATA, 'args') + 8 * i, BigInt.asUintN(64, arg), true);
    });
    const list = kernel.profile.seccompPin === 'list';
    if (list) sched.preemptDisable('seccomp_run_filters');
    let worst: number = SeccompAction.ALLOW;
    for (const prog of filters) {
      if (!list) pin(sched, 'pinSimple', 'bpf_prog_run_pin_on_cpu');
      const { r0 } = yield* runProgFlow(kernel, prog, { args: [context.address] });
      if (!list) {
        unpin(sched, 'pinSimple');
        yield* sched.point(BETWEEN_FILTERS);
      }
      const result = Number(r0 & 0xffffffffn);
      if (rank(result) < rank(worst)) worst = result;
    }
    if (list) {
      sched.preemptEnable();
      yield* sched.resched();
    }
    this.memory.give(context);
    sched.here.calls.pop();
    return verdictOf(worst);
  }
}

/** ACTION_ONLY: compared as a signed number, so that KILL_PROCESS comes before all others. */
function rank(result: number): number {
  return (result & 0xffff0000) | 0;
}

function verdictOf(result: number): SeccompVerdict {
  const data = result & 0xffff;
  const full = (result & 0xffff0000) >>> 0;
  const found = (Object.keys(SeccompAction) as SeccompActionName[]).find(
    (name) => SeccompAction[name] === full,
  );
  // An action that the kernel does not know kills.
  const action = found ?? 'KILL_PROCESS';
  return { action, data: action === 'ERRNO' ? Math.min(data, MAX_ERRNO) : data };
}
