/**
 * What the helpers of one kernel keep: timers, objects that programs allocated, sockets, routes, control groups, tasks.
 * It hangs on the machine without the machine knowing.
 */
import { PT_REGS } from '../../../abi/context/perf-event.js';
import type { Region } from '../../../vm/index.js';
import { Cgroup } from '../../cgroup/cgroup.js';
import { KernelObject } from '../../lib/kernel-object.js';
import type { Machine } from '../../machine.js';
import { Fib } from '../../net/fib.js';
import { Sock } from '../../net/sock.js';
import { SockTable } from '../../net/sock-table.js';
import { Callbacks } from '../callbacks.js';
import { BpfObjects } from '../kfuncs/object-store.js';
import type { RunContext } from '../run-context.js';
import { BpfTimers } from '../timers.js';

export class HelperState {
  readonly sockets: SockTable;
  readonly fib = new Fib();
  readonly objects: BpfObjects;
  readonly callbacks: Callbacks;
  readonly timers: BpfTimers;
  /** The root of the control groups. */
  readonly rootCgroup: Cgroup;
  /** Groups by number. */
  readonly cgroups = new Map<bigint, Cgroup>();
  /** Groups of tasks that are not in the root, by pid. */
  readonly cgroupOfTask = new Map<number, Cgroup>();
  /** Signals that `bpf_send_signal` has queued. */
  readonly signals: { readonly signal: number; readonly pid: number; readonly thread: boolean }[] = [];
  /** 64 bytes for keys and the like. */
  readonly scratch: Region;
  /** What programs printed to their streams. */
  readonly streams: { readonly stream: number; readonly text: string }[] = [];
  /** What `bpf_d_path` says of a `struct path`, by its memory offset. */
  readonly paths = new Map<number, string>();
  /** The run under way. */
  run: RunContext = {};

  constructor(readonly kernel: Machine) {
    this.scratch = kernel.memory.alloc(64, 'none');
    this.sockets = new SockTable(kernel);
    this.objects = new BpfObjects(kernel);
    this.callbacks = new Callbacks(kernel);
    this.timers = new BpfTimers(kernel, this.callbacks, (entering) => this.swapRun(entering));
    this.rootCgroup = new Cgroup(kernel, 1n);
    this.cgroups.set(1n, this.rootCgroup);
  }

  private readonly packetSocks = new Map<number, Sock>();
  private readonly regs = new Map<number, Region>();
  private vma: VmArea | undefined;

  /** The socket that a test run's packet has, known by the offset of what programs see of it. */
  packetSock(offset: number): Sock {
    let sock = this.packetSocks.get(offset);
    if (sock === undefined) {
      sock = new Sock(this.kernel, { family: 0, type: 0, protocol: 0 }, this.sockets.nextCookie());
      this.packetSocks.set(offset, sock);
    }
    return sock;
  }

  /** Memory offset of the user registers of the task whose image is at `task`. */
  userRegs(task: number): number {
    let region = this.regs.get(task);
    if (region === undefined) {
      region = this.kernel.memory.alloc(PT_REGS.size, 'read');
      this.regs.set(task, region);
    }
    return region.address32;
  }

  /** Address of a `vm_area_struct` for the mapping around a user address. */
  vmaOf(address: number, left: number): bigint {
    this.vma ??= new VmArea(this.kernel, 'vm_area_struct');
    this.vma.show(BigInt(address & ~0xfff), BigInt((address + left + 0xfff) & ~0xfff));
    return this.vma.address;
  }

  private message: Region | undefined;

  /** Memory for a message that a program has changed; the one before goes. */
  messageBuffer(size: number): Region {
    if (this.message !== undefined) this.kernel.memory.free(this.message);
    this.message = this.kernel.memory.alloc(size, 'readwrite');
    return this.message;
  }

  private interrupted: RunContext[] = [];

  /** A callback has a run of its own, whatever it comes upon. */
  private swapRun(entering: boolean): void {
    if (entering) {
      this.interrupted.push(this.run);
      this.run = {};
    } else this.run = this.interrupted.pop() ?? {};
  }

  /** The current task's group. */
  get currentCgroup(): Cgroup {
    return this.cgroupOfTask.get(this.kernel.current.pid) ?? this.rootCgroup;
  }

  /** A new group below another. */
  makeCgroup(id: bigint, parent: Cgroup = this.rootCgroup): Cgroup {
    const group = new Cgroup(this.kernel, id, parent);
    this.cgroups.set(id, group);
    return group;
  }
}

class VmArea extends KernelObject {
  show(start: bigint, end: bigint): void {
    this.put('vm_start', start, 8);
    this.put('vm_end', end, 8);
  }
}

const states = new WeakMap<Machine, HelperState>();

/** The state of a kernel's helpers; made when first asked for. */
export function stateOf(kernel: Machine): HelperState {
  let state = states.get(kernel);
  if (state === undefined) {
    state = new HelperState(kernel);
    states.set(kernel, state);
  }
  return state;
}

/** Runs `body` with a run's own context in place. */
export function withRun<T>(kernel: Machine, run: RunContext, body: () => T): T {
  const state = stateOf(kernel);
  const outer = state.run;
  state.run = run;
  try {
    return body();
  } finally {
    state.run = outer;
  }
}
