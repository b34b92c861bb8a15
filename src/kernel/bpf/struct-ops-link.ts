/**
 * Tables of functions that are in use: struct_ops maps that a link registered, or that were registered as they were filled.
 * The subsystem that a table is for calls its members. Models `bpf_struct_ops_link_create` and `st_ops->reg`
 * (kernel/bpf/bpf_struct_ops.c).
 */
import { SyscallError } from '../errors.js';
import type { Machine } from '../machine.js';
import type { Flow } from '../sched/flow.js';
import type { Tracing } from '../trace/bpf-trace.js';
import type { ProbeArg } from '../trace/probes.js';
import { StructOpsMap } from './struct-ops.js';
import { runTrampolineProg } from './trampoline.js';

/** Keeps a table registered. */
export class StructOpsLink {
  private registered = true;

  constructor(
    readonly map: StructOpsMap,
    private readonly undo: () => void,
  ) {}

  get attached(): boolean {
    return this.registered;
  }

  /** Nothing the second time. */
  detach(): void {
    if (this.registered) this.undo();
    this.registered = false;
  }
}

export class StructOpsTables {
  private readonly linked = new Set<StructOpsMap>();

  constructor(private readonly tracing: Tracing) {}

  private get kernel(): Machine {
    return this.tracing.kernel;
  }

  /**
   * BPF_LINK_CREATE for a map. Throws `SyscallError`: EINVAL for one that has not been filled, or is registered without
   * a link, EEXIST where a table of its name is in use.
   */
  link(map: StructOpsMap): StructOpsLink {
    const place = { symbol: map.name };
    if (!map.isReady || this.linked.has(map))
      throw SyscallError.of('EINVAL', 'the table is not ready', place);
    const name = map.text('name');
    if (name !== '' && this.find(map.typeName, name) !== undefined)
      throw SyscallError.of('EEXIST', `there is a ${map.typeName} named ${name}`, place);
    this.linked.add(map);
    return new StructOpsLink(map, () => {
      this.linked.delete(map);
    });
  }

  /** The table of a kind (`tcp_congestion_ops`) that bears a name. */
  find(kind: string, name: string): StructOpsMap | undefined {
    return this.inUse(kind).find((map) => map.text('name') === name);
  }

  /** Tables of a kind in use. */
  inUse(kind: string): StructOpsMap[] {
    return this.kernel
      .allMaps()
      .filter((map): map is StructOpsMap => map instanceof StructOpsMap)
      .filter((map) => map.typeName === kind && (map.isRegistered || this.linked.has(map)));
  }

  /** Calls a member; undefined where no program takes its place. */
  *call(map: StructOpsMap, member: string, args: readonly ProbeArg[]): Flow<bigint | undefined> {
    const prog = map.member(member);
    if (prog === undefined) return undefined;
    const { memory } = this.tracing;
    const context = memory.args(args);
    const result = yield* runTrampolineProg(this.tracing, prog, this.tracing.start(context.address));
    memory.give(context);
    return result;
  }
}
