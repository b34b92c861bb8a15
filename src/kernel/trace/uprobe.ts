/**
 * Programs on functions of user space: uprobe and uretprobe. The task has come through a breakpoint into the kernel, where
 * it may be preempted and may sleep; the profile says whether the programs may. Models kernel/trace/trace_uprobe.c.
 */
import type { BpfLink } from '../bpf/link.js';
import type { BpfProg } from '../bpf/prog.js';
import type { Flow } from '../sched/flow.js';
import type { Tracing } from './bpf-trace.js';
import type { ProbeArg } from './probes.js';

/** Where functions of user space lie, as far as anybody asks. */
const USER_TEXT = 0x401000n;

interface Consumer {
  readonly prog: BpfProg;
  readonly exit: boolean;
}

export class Uprobes {
  /** By `path:function`. */
  private readonly consumers = new Map<string, Consumer[]>();

  constructor(private readonly tracing: Tracing) {}

  attach(link: BpfLink, place: string, exit: boolean): () => void {
    const consumer = { prog: link.prog, exit };
    const list = this.consumers.get(place) ?? [];
    list.push(consumer);
    this.consumers.set(place, list);
    return () => {
      list.splice(list.indexOf(consumer), 1);
    };
  }

  /** A task calls the function, and, where there is a result, returns from it: whether anybody watches it. */
  *hit(place: string, args: readonly ProbeArg[], result?: ProbeArg): Flow<boolean> {
    const watched = (this.consumers.get(place) ?? []).length > 0;
    yield* this.run(place, false, args, undefined);
    if (result !== undefined) yield* this.run(place, true, args, result);
    return watched;
  }

  private *run(place: string, exit: boolean, args: readonly ProbeArg[], result?: ProbeArg): Flow<void> {
    const { tracing } = this;
    const { memory } = tracing;
    const { calls } = tracing.kernel.sched.here;
    const progs = (this.consumers.get(place) ?? []).filter((c) => c.exit === exit).map(({ prog }) => prog);
    if (progs.length === 0) return;
    const names = ['uprobe_notify_resume', 'uprobe_dispatcher', '__uprobe_perf_func'];
    calls.push(...names);
    const regs = memory.functionRegs(args, result, USER_TEXT, true);
    yield* tracing.uprobe(progs, tracing.start(regs.address, [USER_TEXT]));
    memory.give(regs);
    calls.splice(-names.length);
  }
}
