/**
 * Programs on control groups, and the hooks that run them: a group's own, then those of the groups above it. A program
 * that returns 0 refuses. Models kernel/bpf/cgroup.c (`bpf_prog_run_array_cg`); links attach with BPF_F_ALLOW_MULTI.
 */
import { type AttachType, attachTypeName } from '../../abi/attach-types.js';
import { CGROUP_DEV_CTX, SOCK_ADDR, SOCKOPT, SYSCTL } from '../../abi/context/cgroup.js';
import { type ContextLayout, offsetOf } from '../../abi/context/layout.js';
import { SOCK } from '../../abi/context/skb.js';
import { SOCK_OPS } from '../../abi/context/sock.js';
import { Errno } from '../../abi/errno.js';
import type { Region } from '../../vm/index.js';
import { type HelperState, stateOf } from '../bpf/helpers/state.js';
import type { BpfProg } from '../bpf/prog.js';
import { pin, unpin } from '../bpf/recursion.js';
import type { RunContext, SysctlAccess } from '../bpf/run-context.js';
import { type EventStart, runProgFlow } from '../bpf/run-prog.js';
import { SyscallError, UnsupportedError } from '../errors.js';
import type { Machine } from '../machine.js';
import type { Flow } from '../sched/flow.js';
import type { Task } from '../sched/task.js';
import type { ContextMemory } from '../trace/context-memory.js';
import type { Cgroup } from './cgroup.js';

/** Fields of a context by name. */
export type ContextFields = Readonly<Record<string, number | bigint>>;

/** What the programs of a hook left: 0 or a negative errno, and the context. */
export interface HookResult {
  readonly errno: number;
  readonly fields: Readonly<Record<string, number>>;
  /** Fields that were given as bytes. */
  readonly bytes: Readonly<Record<string, Uint8Array>>;
  /** The buffer between the context's pointers, where it has one. */
  readonly data?: Uint8Array;
}

/** What an event has beside its fields. */
export interface CgroupEventOptions {
  /** Contents of the option that is set or got. */
  readonly data?: Uint8Array;
  /** The entry of /proc/sys that is read or written. */
  readonly sysctl?: SysctlAccess;
  /** Fields of any size, as they lie in memory. */
  readonly bytes?: Readonly<Record<string, Uint8Array>>;
  /** What helpers ask about the event; changed by the run. */
  readonly run?: RunContext;
}

export class Cgroups {
  readonly root: Cgroup;
  private readonly byPath = new Map<string, Cgroup>();
  private readonly state: HelperState;
  private readonly progs = new Map<Cgroup, Map<AttachType, BpfProg[]>>();

  constructor(
    private readonly kernel: Machine,
    private readonly memory: ContextMemory,
  ) {
    this.state = stateOf(kernel);
    this.root = this.state.rootCgroup;
    this.byPath.set('/', this.root);
  }

  /** The group of an absolute path; it and those above it are made where they are missing. */
  make(path: string): Cgroup {
    const parts = path.split('/').filter((part) => part !== '');
    if (!path.startsWith('/')) throw SyscallError.of('ENOENT', `${path} is no path of a control group`);
    let group = this.root;
    for (let i = 0; i < parts.length; i++) {
      const name = `/${parts.slice(0, i + 1).join('/')}`;
      const known = this.byPath.get(name);
      const next = known ?? this.state.makeCgroup(this.root.id + BigInt(this.byPath.size), group);
      this.byPath.set(name, next);
      group = next;
    }
    return group;
  }

  /** Moves a task into a group. */
  join(task: Task, group: Cgroup): void {
    this.state.cgroupOfTask.set(task.pid, group);
  }

  of(task: Task): Cgroup {
    return this.state.cgroupOfTask.get(task.pid) ?? this.root;
  }

  attach(prog: BpfProg, group: Cgroup, type: AttachType): () => void {
    const types = this.progs.get(group) ?? new Map<AttachType, BpfProg[]>();
    this.progs.set(group, types);
    const list = types.get(type) ?? [];
    types.set(type, list);
    list.push(prog);
    return () => {
      list.splice(list.indexOf(prog), 1);
    };
  }

  /** Programs that an event in a group runs, in order. */
  effective(group: Cgroup, type: AttachType): BpfProg[] {
    const found: BpfProg[] = [];
    for (let at: Cgroup | undefined = group; at !== undefined; at = at.parent) {
      found.push(...(this.progs.get(at)?.get(type) ?? []));
    }
    return found;
  }

  /** bpf_prog_run_array_cg: 0 or what a program has set, -EPERM where one returned 0 and had set nothing. */
  *run(progs: readonly BpfProg[], given: EventStart, type: AttachType, retval = 0): Flow<number> {
    const { sched } = this.kernel;
    const run: RunContext = { ...given.run, retval, attachType: type, cgroup: this.of(sched.current) };
    const start = { ...given, run };
    pin(sched, 'pinArray', 'bpf_prog_run_array_cg');
    sched.current.rcuDepth++;
    for (const prog of progs) {
      const { r0 } = yield* runProgFlow(this.kernel, prog, start);
      if ((r0 & 1n) === 0n && (run.retval ?? 0) >= 0) run.retval = -Errno.EPERM;
    }
    sched.current.rcuDepth--;
    unpin(sched, 'pinArray');
    yield* sched.resched();
    return run.retval ?? 0;
  }

  /** An event that concerns the current task: what its group's programs of a type make of the context. */
  hook(type: AttachType, given: ContextFields, options: CgroupEventOptions = {}): Flow<HookResult> {
    return this.runHook(this.effective(this.of(this.kernel.sched.current), type), type, given, options);
  }

  /** What programs make of a context. */
  *runHook(
    progs: readonly BpfProg[],
    type: AttachType,
    given: ContextFields,
    { data, sysctl, bytes = {}, run = {} }: CgroupEventOptions = {},
  ): Flow<HookResult> {
    const { memory } = this;
    const layout = layoutOf(type);
    const context = memory.take(Math.max(layout.size, 8));
    const buffer = data === undefined ? undefined : memory.take(Math.max(data.length, 1));
    if (buffer !== undefined) buffer.bytes.set(data!);
    const pointers = buffer === undefined ? {} : pointersTo(buffer, data!.length);
    memory.putFields(context, layout, { ...given, ...pointers });
    for (const [name, value] of Object.entries(bytes)) context.bytes.set(value, offsetOf(layout, name));
    const start = { args: [context.address], run: sysctl === undefined ? run : { ...run, sysctl } };
    const errno = progs.length === 0 ? 0 : yield* this.run(progs, start, type, Number(given.retval ?? 0));
    const fields = read(layout, context);
    const after = buffer?.bytes.slice(0, Math.min(data!.length, fields.optlen ?? data!.length));
    const left = Object.entries(bytes).map(([name, { length }]) => {
      const at = offsetOf(layout, name);
      return [name, context.bytes.slice(at, at + length)] as const;
    });
    memory.give(context);
    if (buffer !== undefined) memory.give(buffer);
    return { errno, fields, bytes: Object.fromEntries(left), ...(after !== undefined && { data: after }) };
  }
}

function pointersTo(buffer: Region, length: number): ContextFields {
  return { optval: buffer.address, optval_end: buffer.address + BigInt(length) };
}

/** 32-bit fields by name; of an array, its first element. */
function read(layout: ContextLayout, context: Region): Record<string, number> {
  const view = new DataView(context.bytes.buffer, context.bytes.byteOffset);
  const fields: Record<string, number> = {};
  for (const { name, offset, size } of layout.fields)
    if (size === 4) fields[name] = view.getUint32(offset, true);
  return fields;
}

/** The context of an attach type's programs. */
function layoutOf(type: AttachType): ContextLayout {
  const name = attachTypeName(type);
  if (name === 'cgroup_device') return CGROUP_DEV_CTX;
  if (name === 'cgroup_sysctl') return SYSCTL;
  if (name === 'cgroup_sock_ops') return SOCK_OPS;
  if (name.endsWith('sockopt')) return SOCKOPT;
  if (/sock_create|sock_release|post_bind/.test(name)) return SOCK;
  if (/bind|connect|sendmsg|recvmsg|peername|sockname/.test(name)) return SOCK_ADDR;
  throw new UnsupportedError('UNSUPPORTED_ATTACH', `control groups have no hook ${name} here`);
}
