/**
 * System calls as the kernel's entry code sees them: seccomp, the tracepoints `raw_syscalls:*` and `syscalls:*`, the
 * function `__x64_sys_*`, and the way back. What a call does is its body; without one it returns what the caller says.
 * Models kernel/entry/common.c.
 */

import { PT_REGS } from '../../abi/context/perf-event.js';
import { Errno } from '../../abi/errno.js';
import { syscallNumber } from '../../abi/syscalls.js';
import type { Region } from '../../vm/index.js';
import { SyscallError } from '../errors.js';
import type { Flow } from '../sched/flow.js';
import type { Seccomp, SeccompVerdict } from '../seccomp.js';
import type { Tracing } from './bpf-trace.js';
import { firePoint, inFunction, type ProbeArg } from './probes.js';

/** What a call does, between entry and exit. */
export type SyscallBody = () => Flow<number>;

export interface SyscallResult {
  /** What the task gets: a value, or a negative errno. */
  readonly value: number;
  /** Where a seccomp filter had a say. */
  readonly seccomp?: SeccompVerdict;
}

/** Registers that carry the arguments of a system call. */
const ARGS = ['di', 'si', 'dx', 'r10', 'r8', 'r9'] as const;
const MAX_ARGS = 6;

export class Syscalls {
  constructor(
    private readonly tracing: Tracing,
    private readonly seccomp: Seccomp,
  ) {}

  /**
   * The current task makes a call. `args`: numbers, or texts for strings in its memory. Throws `SyscallError` (ENOSYS) for
   * a name that is no system call.
   */
  *invoke(name: string, args: readonly ProbeArg[], body: SyscallBody): Flow<SyscallResult> {
    const nr = syscallNumber(name);
    if (nr === undefined) throw SyscallError.of('ENOSYS', `there is no system call ${name}`);
    const { tracing } = this;
    const { sched } = tracing.kernel;
    const { calls } = sched.here;
    sched.charge(sched.costs.syscall);
    calls.push('entry_SYSCALL_64_after_hwframe', 'do_syscall_64');
    const words = args.slice(0, MAX_ARGS).map((arg) => tracing.memory.word(arg));
    while (words.length < MAX_ARGS) words.push(0n);
    const regs = this.regs(nr, words);
    const verdict = yield* this.seccomp.check(nr, words);
    const refused = refusal(verdict);
    let value = refused ?? 0;
    if (refused === undefined) {
      yield* this.enter(name, nr, words, regs);
      const fn = sched.probes.point(`__x64_sys_${name}`);
      value = Number(yield* inFunction<ProbeArg>(calls, fn, [regs.address], body));
      yield* this.exit(name, nr, value, regs);
    }
    tracing.memory.give(regs);
    calls.splice(-2);
    yield* sched.resched();
    tracing.kernel.lockdep.returnToUser();
    return verdict.action === 'ALLOW' ? { value } : { value, seccomp: verdict };
  }

  private *enter(name: string, nr: number, words: readonly bigint[], regs: Region): Flow<void> {
    const { probes } = this.tracing.kernel.sched;
    yield* firePoint(probes.point('raw_syscalls:sys_enter'), [nr, ...words], [regs.address, nr]);
    yield* firePoint(probes.point(`syscalls:sys_enter_${name}`), [nr, ...words]);
  }

  private *exit(name: string, nr: number, value: number, regs: Region): Flow<void> {
    const { probes } = this.tracing.kernel.sched;
    yield* firePoint(probes.point('raw_syscalls:sys_exit'), [nr, value], [regs.address, value]);
    yield* firePoint(probes.point(`syscalls:sys_exit_${name}`), [nr, value]);
  }

  /** The registers with which the task came into the kernel. */
  private regs(nr: number, words: readonly bigint[]): Region {
    const { memory } = this.tracing;
    const region = memory.take(PT_REGS.size);
    const named = Object.fromEntries(ARGS.map((name, i) => [name, words[i]!]));
    memory.setRegisters(region, { ...named, orig_ax: nr, ax: -Errno.ENOSYS, ip: 0x401000n, cs: 0x33 });
    return region;
  }
}

/** The call's result where the filters do not let it through. */
function refusal({ action, data }: SeccompVerdict): number | undefined {
  switch (action) {
    case 'ALLOW':
    case 'LOG':
      return undefined;
    case 'ERRNO':
      return -data;
    // Nobody traces or is told here.
    default:
      return -Errno.ENOSYS;
  }
}
