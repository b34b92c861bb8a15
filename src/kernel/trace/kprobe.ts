/**
 * Programs on functions of the kernel: kprobe, kretprobe, kprobe.multi, kprobe.session. They get the registers at the
 * function's entry or exit. Models kernel/trace/trace_kprobe.c and the multi links of kernel/trace/bpf_trace.c.
 */
import { AttachType } from '../../abi/attach-types.js';
import type { BpfLink } from '../bpf/link.js';
import type { RunContext } from '../bpf/run-context.js';
import type { EventStart } from '../bpf/run-prog.js';
import type { Flow } from '../sched/flow.js';
import type { Tracing } from './bpf-trace.js';
import type { ProbeArg, ProbePoint } from './probes.js';

/** A context with registers for the time that `body` takes. */
function* withRegs(
  tracing: Tracing,
  fn: string,
  args: readonly ProbeArg[],
  result: ProbeArg | undefined,
  body: (start: EventStart) => Flow<number>,
  run: RunContext = {},
): Flow<number> {
  const { memory } = tracing;
  const funcIp = tracing.text.address(fn);
  const regs = memory.functionRegs(args, result, funcIp);
  const value = yield* body({ ...tracing.start(regs.address), run: Object.assign(run, { funcIp }) });
  memory.give(regs);
  return value;
}

function single(tracing: Tracing, link: BpfLink, fn: string) {
  return (args: readonly ProbeArg[], result: ProbeArg | undefined, run: RunContext = {}): Flow<number> =>
    withRegs(tracing, fn, args, result, (start) => tracing.callBpf([link.prog], start), run);
}

/** A program at a function's entry; it may return in the function's stead (`bpf_override_return`). */
export function attachKprobe(tracing: Tracing, link: BpfLink, point: ProbePoint): () => void {
  const call = single(tracing, link, point.name);
  return point.attachModify(function* (args) {
    const run: RunContext = {};
    yield* tracing.kprobe(link, () => call(args, undefined, run));
    return run.overridden === undefined ? undefined : BigInt.asIntN(64, run.overridden);
  });
}

/** A program at a function's exit; the entry has to be seen, too. */
export function attachKretprobe(tracing: Tracing, link: BpfLink, point: ProbePoint): () => void {
  const call = single(tracing, link, point.name);
  return point.attachAround(function* (args) {
    const hooked = yield* tracing.kprobe(link, function* () {});
    if (!hooked) return undefined;
    return function* (result) {
      yield* tracing.kprobe(link, () => call(args, result));
    };
  });
}

/** One link on many functions, at entry or exit, or, for a session, at both where the entry says so. */
export function attachMulti(
  tracing: Tracing,
  link: BpfLink,
  points: readonly ProbePoint[],
  exit: boolean,
): () => void {
  const { prog } = link;
  const session = prog.expectedAttachType === AttachType.trace_kprobe_session;
  const undo = points.map((point) => {
    const run = (args: readonly ProbeArg[], result: ProbeArg | undefined): Flow<number> =>
      withRegs(tracing, point.name, args, result, (start) => tracing.multi(prog, start));
    if (!exit && !session) {
      return point.attach('entry', function* (args) {
        yield* tracing.fprobe(link, () => run(args, undefined));
      });
    }
    return point.attachAround(function* (args) {
      let skip = 0;
      const hooked = yield* tracing.fprobe(link, function* () {
        if (session) skip = yield* run(args, undefined);
      });
      if (!hooked || skip !== 0) return undefined;
      return function* (result) {
        yield* tracing.fprobe(link, () => run(args, result));
      };
    });
  });
  return () => {
    for (const take of undo) take();
  };
}
