/**
 * Programs that are called through a trampoline: fentry, fexit, fmod_ret, LSM. They get the traced function's arguments,
 * and its result behind them. Models kernel/bpf/trampoline.c: RCU, a pinned task (or preemption off), each program's own
 * recursion guard; nobody asks `bpf_prog_active`.
 */
import { AttachType } from '../../abi/attach-types.js';
import { ProgFlag } from '../../abi/prog-flags.js';
import { ProgType } from '../../abi/prog-types.js';
import type { KernelProfile } from '../profile.js';
import { mightSleep } from '../sched/debug.js';
import type { Flow } from '../sched/flow.js';
import type { Tracing } from '../trace/bpf-trace.js';
import type { ProbeArg, ProbePoint } from '../trace/probes.js';
import type { BpfLink } from './link.js';
import type { BpfProg } from './prog.js';
import { thisCpuAdd } from './recursion.js';
import { type EventStart, runProgFlow } from './run-prog.js';

const SLEEPABLE_AT = 'kernel/bpf/trampoline.c:979';

/** `__bpf_prog_enter`, the program, `__bpf_prog_exit`: r0, or 0 where the guard keeps the program from running. */
export function* runTrampolineProg(tracing: Tracing, prog: BpfProg, start: EventStart): Flow<bigint> {
  const { kernel } = tracing;
  const { sched, profile } = kernel;
  const sleepable = (prog.progFlags & ProgFlag.BPF_F_SLEEPABLE) !== 0;
  const perCgroup = prog.expectedAttachType === AttachType.lsm_cgroup;
  if (sleepable) mightSleep(sched, SLEEPABLE_AT);
  else sched.current.rcuDepth++;
  if (profile.trampPin === 'preempt') sched.preemptDisable('__bpf_prog_enter');
  else sched.migrateDisable('__bpf_prog_enter');
  const guarded = profile.guardTramp && !perCgroup && !exempt(prog.type, profile.guardTrampExcept);
  let r0 = 0n;
  if (guarded && (yield* thisCpuAdd(sched, prog.active, 1)) !== 1) {
    prog.stats.misses++;
    prog.stats.skipped++;
  } else r0 = (yield* runProgFlow(kernel, prog, start)).r0;
  if (guarded) yield* thisCpuAdd(sched, prog.active, -1);
  if (profile.trampPin === 'preempt') sched.preemptEnable();
  else sched.migrateEnable();
  if (!sleepable) sched.current.rcuDepth--;
  yield* sched.resched();
  return r0;
}

/** bpf_prog_check_recur: who is let in again. */
function exempt(type: ProgType, except: KernelProfile['guardTrampExcept']): boolean {
  if (type === ProgType.struct_ops) return except !== 'none';
  return type === ProgType.lsm && except === 'structOpsLsm';
}

/** How many arguments the kernel's types say that a function has; undefined where they say nothing of it. */
function argCount(tracing: Tracing, fn: string): number | undefined {
  const { btf } = tracing.kernel;
  const id = btf?.findByName(fn, 'func');
  const type = id === undefined ? undefined : btf!.type(id);
  const proto = type?.kind === 'func' ? btf!.type(type.type) : undefined;
  return proto?.kind === 'func_proto' ? proto.params.length : undefined;
}

/** The program on a function: where and when its expected attach type says. */
export function attachTrampoline(tracing: Tracing, link: BpfLink, point: ProbePoint): () => void {
  const { prog } = link;
  const count = argCount(tracing, point.name);
  function* run(args: readonly ProbeArg[], result?: ProbeArg): Flow<bigint> {
    const { memory } = tracing;
    const given = count === undefined ? args : args.slice(0, count);
    const context = memory.args(given, result, count);
    const run = {
      funcIp: tracing.text.address(point.name),
      argCount: count ?? given.length,
      hasResult: result !== undefined,
    };
    const start = { ...tracing.start(context.address), run };
    const r0 = yield* runTrampolineProg(tracing, prog, start);
    memory.give(context);
    return r0;
  }
  switch (prog.expectedAttachType) {
    case AttachType.trace_fexit:
      return point.attach('exit', function* (args, result) {
        yield* run(args, result);
      });
    case AttachType.modify_return:
    case AttachType.lsm_mac:
    case AttachType.lsm_cgroup:
      return point.attachModify(function* (args) {
        const result = BigInt.asIntN(32, yield* run(args, 0));
        return result === 0n ? undefined : result;
      });
    default:
      return point.attach('entry', function* (args) {
        yield* run(args);
      });
  }
}
