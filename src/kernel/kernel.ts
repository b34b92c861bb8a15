/**
 * The simulated kernel: the machine, `bpf()` on it, everything that programs can be attached to, and the events that make
 * them run. What is called here happens before the call returns, on the host's own task unless it says where; the same
 * events as flows, for what simulated tasks do, are `events`.
 */
import type { AttachType } from '../abi/attach-types.js';
import type { SockFilter } from '../isa/classic/index.js';
import type { LoadableObject } from '../object/types.js';
import { Attacher, type FunctionOptions } from './bpf/attach.js';
import type { AttachTarget } from './bpf/attach-target.js';
import { BpfCommands } from './bpf/commands.js';
import { helperResolver } from './bpf/helpers/index.js';
import { Iterators } from './bpf/iter.js';
import { dropField } from './bpf/kfuncs/drop-field.js';
import type { BpfLink } from './bpf/link.js';
import type { BpfProg } from './bpf/prog.js';
import { StructOpsTables } from './bpf/struct-ops-link.js';
import { type CgroupEventOptions, Cgroups, type ContextFields, type HookResult } from './cgroup/attach.js';
import type { AddressCall, SocketAddress } from './cgroup/sock-addr.js';
import type { Splat } from './console.js';
import { SyscallError } from './errors.js';
import { type AddressResult, Events } from './events/events.js';
import { type PerfEventName, PerfEvents, type PerfSample } from './events/perf-event.js';
import { beginSoftirq, endSoftirq } from './events/quiet-softirq.js';
import { type LoadedObject, type LoadObjectOptions, loadObject } from './loaded-object.js';
import { Machine, type MachineOptions } from './machine.js';
import { LircDevices } from './media/lirc.js';
import { type NetDevice, NetDevices, type PacketResult } from './net/attach-device.js';
import { NetHooks, type TriggerInput, type TriggerResult } from './net/attach-hooks.js';
import { NetRx } from './net/attach-rx.js';
import { SocketInput } from './net/attach-socket.js';
import type { InetSock, InetSockAttr } from './net/inet-sock.js';
import { IpLayer } from './net/ip-layer.js';
import type { MessagePart } from './net/packet-result.js';
import { type SockOpsEvent, TcpEvents } from './net/sock-ops.js';
import { TcpCongestion } from './net/tcp-cong.js';
import type { Flow } from './sched/flow.js';
import { waitable } from './sched/sched.js';
import { sleepUntil } from './sched/sleep.js';
import { DEFAULT_TASK, Task, type TaskAttr } from './sched/task.js';
import { Seccomp } from './seccomp.js';
import { Tracing } from './trace/bpf-trace.js';
import type { ProbeArg } from './trace/probes.js';
import { type SyscallBody, type SyscallResult, Syscalls } from './trace/syscalls.js';
import { Tracepoints } from './trace/tracepoint.js';
import { Uprobes } from './trace/uprobe.js';

export type KernelOptions = MachineOptions;

/** Where an event happens; by default on the host's task, where that is. */
export interface Where {
  readonly task?: Task;
  readonly cpu?: number;
}

/** What a called function does and gives. */
export interface CallOptions extends Where {
  /** What it returns; default 0. */
  readonly result?: number | bigint;
  /** What it does; its result is then the function's. */
  readonly body?: () => Flow<number>;
}

/** Where and when a frame arrives that nobody waits for. */
export interface ArrivalOptions {
  readonly device?: string;
  readonly cpu?: number;
  /** Nanoseconds since boot; default at once. */
  readonly atNs?: number;
  /** Told when it is `atNs`, and what became of the frame. */
  readonly arrived?: () => void;
  readonly done?: (result: PacketResult) => void;
}

const ARRIVAL = waitable('a frame to be received');
/** Numbers of tasks that nobody has numbered. */
const FIRST_PID = 2000;

export class Kernel extends Machine {
  readonly bpf: BpfCommands;
  readonly tracing: Tracing;
  readonly netDevices: NetDevices;
  readonly cgroups: Cgroups;
  readonly perf: PerfEvents;
  /** Events as flows. */
  readonly events: Events;
  private readonly seccompFilters: Seccomp;
  private readonly iterators: Iterators;
  private readonly sockets: SocketInput;
  private readonly ip: IpLayer;
  /** TCP's congestion control where programs do it. */
  private readonly congestion: TcpCongestion;
  private readonly attacher: Attacher;
  private readonly rx: NetRx;
  private pids = FIRST_PID;

  constructor(options: KernelOptions = {}) {
    super(options);
    const helpers = helperResolver(this, () => this.bpf);
    const tracing = new Tracing(this);
    this.tracing = tracing;
    const tables = new StructOpsTables(tracing);
    this.bpf = new BpfCommands(this, helpers, {
      attach: (prog, target) => this.attach(prog, target),
      tables,
    });
    this.congestion = new TcpCongestion(this, tables);
    this.netDevices = new NetDevices(this);
    this.cgroups = new Cgroups(this, tracing.memory);
    this.perf = new PerfEvents(tracing);
    this.seccompFilters = new Seccomp(this, tracing.memory);
    this.rx = new NetRx(this, this.netDevices);
    const tracepoints = new Tracepoints(tracing);
    const uprobes = new Uprobes(tracing);
    const hooks = new NetHooks(tracing, this.netDevices);
    const { netDevices: devices, cgroups, perf } = this;
    this.iterators = new Iterators(tracing, () => this.links);
    this.sockets = new SocketInput(tracing, cgroups);
    const { iterators, sockets } = this;
    this.ip = new IpLayer(tracing, devices, sockets, cgroups);
    const lirc = new LircDevices(tracing);
    this.attacher = new Attacher({
      tracing,
      tracepoints,
      uprobes,
      perf,
      devices,
      cgroups,
      ip: this.ip,
      lirc,
      iterators,
      sockets,
    });
    const syscalls = new Syscalls(tracing, this.seccompFilters);
    const tcp = new TcpEvents(cgroups, sockets);
    this.events = new Events({ tracing, syscalls, uprobes, devices, cgroups, hooks, sockets, tcp, lirc });
  }

  /** A field of a map's value goes: what it holds goes with it. */
  dropField(kind: number, offset: number): void {
    dropField(this, kind, offset);
  }

  /** Creates an object's maps; its programs are loaded as they are asked for. Throws as `loadObject` does. */
  load(object: LoadableObject, options: LoadObjectOptions = {}): LoadedObject<Kernel> {
    return loadObject<Kernel>(this, object, options);
  }

  // Attaching

  /**
   * Attaches a program: to a target such as `kprobe:vfs_read`, `tracepoint:sched:sched_switch`, `perf_event:cpu-cycles@0`,
   * `xdp:eth0`, `tc:eth0:egress`, `cgroup:/web`, or to what its section name says. Throws `SyscallError` for a target that
   * is not there or taken, `UnsupportedError` for one that is not simulated.
   */
  attach(prog: BpfProg, target?: AttachTarget | string): BpfLink {
    return this.attacher.attach(prog, target);
  }

  /** Links in the order in which they were made. */
  get links(): readonly BpfLink[] {
    return this.attacher.links;
  }

  /** Says that the kernel has a function of this name, for `attach` and `callFunction`. */
  declareFunction(name: string, options: FunctionOptions = {}): void {
    this.attacher.declareFunction(name, options);
  }

  /** Puts a classic filter in front of a task's system calls. Throws `ClassicError` for what Linux refuses. */
  seccomp(task: Task, filter: readonly SockFilter[]): BpfProg {
    return this.seccompFilters.addFilter(task, filter);
  }

  // Tasks

  /** A task for events to happen in. What is not said is a new process of root's. */
  newTask(attr: Partial<TaskAttr> = {}): Task {
    const pid = attr.pid ?? this.pids++;
    return new Task({ ...DEFAULT_TASK, tgid: pid, comm: 'task', uid: 0, gid: 0, ...attr, pid });
  }

  /**
   * Does something as a task, on a CPU. The task that was there goes on afterwards. Throws `SyscallError`: EINVAL for a CPU
   * that is not there, EBUSY for a task that was spawned with a flow.
   */
  run<T>(where: Where, flow: () => Flow<T>): T {
    const { sched, executor } = this;
    const home = sched.here;
    const host = sched.current;
    const task = where.task ?? host;
    const cpu = sched.cpus[where.cpu ?? (where.task === undefined ? home.id : freeCpu(task, home.id))];
    if (cpu === undefined) throw SyscallError.of('EINVAL', `there is no CPU ${where.cpu}`);
    if (task === host && cpu === home) return executor.drive(flow());
    if (task.flow !== undefined) {
      throw SyscallError.of('EBUSY', `${task.label} does things of its own: have them be part of its flow`);
    }
    this.place(task, cpu.id);
    try {
      return executor.drive(flow());
    } finally {
      if (task !== host) {
        task.state = 'sleeping';
        task.sleepsOn = undefined;
      }
      this.place(host, home.id);
    }
  }

  /** Makes a task the one that runs on a CPU, and that CPU the one that runs. */
  private place(task: Task, id: number): void {
    const { sched } = this;
    const from = sched.cpus[task.cpu]!;
    if (from.current === task) sched.install(from, from.idle);
    const to = sched.cpus[id]!;
    sched.enter(to);
    const displaced = to.current;
    sched.tasks.set(task.pid, task);
    task.state = 'running';
    sched.install(to, task);
    // One that has work of its own goes on when there is a CPU for it.
    if (displaced.flow !== undefined && displaced.state === 'running') sched.enqueue(displaced, to);
  }

  /** A socket of a task's (default: the current one), for packets to be delivered to. */
  openSocket(attr: InetSockAttr, task: Task = this.current): InetSock {
    this.ip.enable();
    return this.sockets.open(attr, this.cgroups.of(task));
  }

  /** setsockopt(TCP_CONGESTION). Throws `SyscallError` (ENOENT) for a name that no table in use bears. */
  setCongestion(sock: InetSock, name: string, where: Where = {}): void {
    this.run(where, () => this.congestion.use(sock, name));
  }

  // Events

  /**
   * A frame arrives at a device, on a CPU: an interrupt, the softirq, XDP, tc. Throws `SyscallError` for a device that is
   * not there or a frame of impossible length.
   */
  packet(frame: Uint8Array, options: { readonly device?: string; readonly cpu?: number } = {}): PacketResult {
    const { sched } = this;
    const device = this.netDevices.get(options.device ?? 'eth0');
    const cpu = options.cpu ?? sched.here.id;
    if (sched.cpus[cpu] === undefined) throw SyscallError.of('EINVAL', `there is no CPU ${cpu}`);
    const plain = sched.quiet && this.netDevices.upper === undefined;
    if (plain && cpu === sched.here.id) return this.receiveQuietly(device, frame);
    let result: PacketResult | undefined;
    const host = sched.current;
    this.rx.arrive(cpu, device, frame, (came) => {
      result = came;
      sched.wake(host);
    });
    this.executor.drive(sleepUntil(sched, ARRIVAL, () => result !== undefined));
    return result!;
  }

  /** The same where nothing can observe how the CPU comes to it: in the softirq, on RT in the queue's thread, at once. */
  private receiveQuietly(device: NetDevice, frame: Uint8Array): PacketResult {
    const { sched, rx } = this;
    const { here } = sched;
    const host = here.current;
    if (sched.rt) sched.standIn(here, rx.thread(here.id));
    beginSoftirq(sched, 'net_rx_action');
    try {
      return this.netDevices.receiveNow(device, frame);
    } finally {
      endSoftirq(sched);
      if (sched.rt) sched.standIn(here, host);
    }
  }

  /** A frame arrives, now or at a simulated time; nobody waits for what becomes of it. */
  packetArrives(frame: Uint8Array, options: ArrivalOptions): void {
    const { cpu = this.sched.here.id, done = () => {}, arrived = () => {}, atNs } = options;
    const device = this.netDevices.get(options.device ?? 'eth0');
    if (atNs === undefined) this.rx.arrive(cpu, device, frame, done);
    else this.rx.arriveAt(atNs, cpu, { device, frame, done }, arrived);
  }

  /** A frame is sent. */
  transmit(frame: Uint8Array, options: Where & { readonly device?: string } = {}): PacketResult {
    const device = this.netDevices.get(options.device ?? 'eth0');
    return this.run(options, () => this.events.transmit(device, frame));
  }

  /** A system call by name; `args` are numbers, or texts for strings. Throws `SyscallError` (ENOSYS) for no such call. */
  syscall(name: string, args: readonly ProbeArg[] = [], options: CallOptions = {}): SyscallResult {
    return this.run(options, () => this.events.syscall(name, args, bodyOf(options)));
  }

  /** A system call about an address, of IPv4 or IPv6; what the programs of the task's control group leave of it. */
  address(call: AddressCall, address: SocketAddress, where: Where = {}): AddressResult {
    return this.run(where, () => this.events.address(call, address));
  }

  connect(address: SocketAddress, where: Where = {}): AddressResult {
    return this.address('connect', address, where);
  }

  bind(address: SocketAddress, where: Where = {}): AddressResult {
    return this.address('bind', address, where);
  }

  /** A message is sent on a socket: what the programs of its socket map make of it, part by part. */
  sendmsg(sock: InetSock, message: Uint8Array, where: Where = {}): MessagePart[] {
    return this.run(where, () => this.events.sendmsg(sock, message));
  }

  /** Something happens to a TCP socket: what the `sock_ops` programs of its control group answer, -1 for nothing. */
  sockOps(sock: InetSock, event: SockOpsEvent, where: Where = {}): number {
    return this.run(where, () => this.events.sockOps(sock, event));
  }

  /** Data of a TCP socket is acknowledged or lost; the congestion window afterwards. */
  tcpAck(sock: InetSock, acked = 1, where: Where = {}): number {
    return this.run(where, () => this.congestion.ack(sock, acked));
  }

  tcpLoss(sock: InetSock, where: Where = {}): number {
    return this.run(where, () => this.congestion.loss(sock));
  }

  /** A sample of an infrared receiver (`LIRC_MODE2_PULSE | microseconds`). */
  lirc(sample: number, options: Where & { readonly device?: string } = {}): void {
    this.run(options, () => this.events.lirc(sample, options.device));
  }

  /**
   * Perf events of a CPU overflow: hardware events in an NMI, clocks in a timer interrupt, others where the task is.
   * Throws `SyscallError` (ENOENT) where no such event is open there.
   */
  perfSample(cpu = this.sched.here.id, sample: PerfSample & { readonly event?: PerfEventName } = {}): void {
    const { sched, executor, perf } = this;
    const events = perf.on(cpu, sample.event);
    if (events.length === 0) throw SyscallError.of('ENOENT', `no perf event is open on CPU ${cpu}`);
    for (const event of events) {
      if (event.via === 'inline') {
        this.run({ cpu }, () => perf.softwareEvent(event.attr.event, sample));
        continue;
      }
      let done = false;
      perf.raise(event, sample, () => {
        done = true;
      });
      executor.drive(spinUntil('a perf event', () => done || sched.here.pending.length > 0));
      executor.takeInterrupts();
    }
  }

  /** A tracepoint by `category:event`, or by its name alone; `fields` are its record's, in order. */
  tracepoint(
    name: string,
    fields: readonly ProbeArg[] = [],
    options: Where & { raw?: readonly ProbeArg[] } = {},
  ): void {
    this.run(options, () => this.events.tracepoint(name, fields, options.raw));
  }

  /** A function of the kernel is called; its result. */
  callFunction(name: string, args: readonly ProbeArg[] = [], options: CallOptions = {}): ProbeArg {
    return this.run(options, () => this.events.callFunction(name, args, bodyOf(options)));
  }

  /** A function of user space is called, at `path:function`; with a result it returns, too. */
  uprobe(place: string, args: readonly ProbeArg[] = [], options: Where & { result?: ProbeArg } = {}): void {
    this.run(options, () => this.events.uprobe(place, args, options.result));
  }

  /**
   * An event that programs of the task's control group have a say in, such as `setsockopt`: its type, the fields of the
   * context, what they point to. Throws `UnsupportedError` for a type that has no hook here.
   */
  cgroupEvent(
    type: AttachType,
    fields: ContextFields = {},
    options: Where & CgroupEventOptions = {},
  ): HookResult {
    return this.run(options, () => this.events.cgroup(type, fields, options));
  }

  /** A hook of the security modules: 0 or a negative errno. */
  lsm(hook: string, args: readonly ProbeArg[] = [], where: Where = {}): number {
    return this.run(where, () => this.events.lsm(hook, args));
  }

  /** The event of a program that nothing else brings about, such as one of sk_msg, sk_lookup or lwt. */
  trigger(prog: BpfProg, input: TriggerInput = {}, where: Where = {}): TriggerResult {
    return this.run(where, () => this.events.trigger(prog, input));
  }

  /** What an iterator's program prints, read to its end. Throws `SyscallError` for a link that is none of an iterator. */
  readIterator(link: BpfLink, where: Where = {}): Uint8Array {
    return this.run(where, () => this.iterators.read(link));
  }

  /** Lets simulated time pass: timers, samples, threads, whatever is under way. */
  runFor(ns: number): void {
    this.executor.settle(this.sched.clock.nanos + ns);
  }

  // What came of it

  /** What went wrong, in order. */
  get splats(): readonly Splat[] {
    return this.sched.console.splats;
  }

  /** The kernel's log. */
  get console(): readonly string[] {
    return this.sched.console.lines;
  }
}

function bodyOf({ result = 0, body }: CallOptions): SyscallBody {
  return (
    body ??
    function* () {
      return Number(result);
    }
  );
}

/** A CPU that the task may run on: the one given where that is one. */
function freeCpu(task: Task, preferred: number): number {
  return task.allows(preferred) ? preferred : [...(task.affinity ?? [])][0]!;
}

function* spinUntil(name: string, until: () => boolean): Flow<void> {
  if (!until()) yield { kind: 'spin', until, on: waitable(name) };
}
