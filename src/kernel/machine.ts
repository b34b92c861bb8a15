/**
 * The machine and the state of the kernel on it: an engine, CPUs, a clock, random numbers, the current task, the maps.
 * One CPU runs at a time. Nothing in it depends on the host's time or chance: the same seed gives the same run.
 */
import type { Btf } from '../object/btf/btf.js';
import { Engine, type Execution, type Region } from '../vm/index.js';
import { type BpfMap, MAP_ID, type MapHost } from './bpf/map.js';
import type { BpfProg } from './bpf/prog.js';
import { Instrumentation } from './bpf/recursion.js';
import { RingbufMap } from './bpf/ringbuf.js';
import { SyscallError } from './errors.js';
import { Callchain } from './events/callchain.js';
import { FileTable } from './fs/file-table.js';
import { Irqs } from './irq/index.js';
import { KernelSymbols } from './kallsyms.js';
import type { KernelObject } from './lib/kernel-object.js';
import { Prandom } from './lib/random.js';
import { Locks } from './locking/index.js';
import type { Lockdep, LockdepMode } from './locking/lockdep.js';
import type { RcEvent } from './media/rc-event.js';
import { Mm } from './mm/index.js';
import { UserMemory } from './mm/user-memory.js';
import { NetState } from './net/net-state.js';
import { DEFAULT_KERNEL_PROFILE, type KernelProfile, kernelProfile } from './profile.js';
import { Rcu } from './rcu/rcu.js';
import { RcuTasksTrace } from './rcu/tasks-trace.js';
import type { Costs } from './sched/costs.js';
import type { Cpu } from './sched/cpu.js';
import { Executor } from './sched/executor.js';
import type { Flow } from './sched/flow.js';
import { WorkQueue } from './sched/kthread.js';
import type { LatencyReport } from './sched/latency.js';
import { Sched } from './sched/sched.js';
import { DEFAULT_TASK, Task, type TaskAttr } from './sched/task.js';
import { TaskImage } from './sched/task-image.js';
import { Clock } from './time/clock.js';
import { Hrtimers } from './time/hrtimer.js';
import { Tick } from './time/tick.js';
import { TracePipe } from './trace/trace-pipe.js';

/** Instructions after which others may run in an interleaved kernel, where nothing else is said. */
const INSN_QUANTUM = 100;

/**
 * `convert`: what it accepts runs as Linux would run it, with context accesses converted; what it does not runs as it is.
 * `enforce`: what it does not accept is not loaded. `never`: it is not asked.
 */
export type VerifyMode = 'convert' | 'enforce' | 'never';

export interface MachineOptions {
  /** Number of CPUs, 1 to 64; default 4. */
  readonly cpus?: number;
  /** Seed of everything random; default 1. */
  readonly seed?: number;
  /** Check every memory access of programs against what it may touch; default true. Verified programs need it not. */
  readonly checked?: boolean;
  /** What the verifier is asked for before a program is loaded; default `convert`. */
  readonly verify?: VerifyMode;
  /** Types of the kernel that programs were relocated for. */
  readonly btf?: Btf;
  /** Most bytes of memory that programs can be given. */
  readonly memoryLimitBytes?: number;
  readonly task?: TaskAttr;
  /** Which kernel is simulated: a preset's name such as `5.7-rt`, or knobs; default `6.18`. */
  readonly profile?: string | KernelProfile;
  /** Flows pause wherever others could run; default false, when each runs until it has to wait. */
  readonly interleaved?: boolean;
  /** Whether locks are validated, and whether that goes on after the first report; default `once`. */
  readonly lockdep?: LockdepMode;
  /** Pages of 4 KiB that the kernel's own allocators have; default 4 GiB of them. */
  readonly memoryPages?: number;
  /** The periodic tick runs: equal tasks take turns, CPUs are balanced; default false. */
  readonly tick?: boolean;
  /** Interrupt handlers run in threads without RT too; default false. */
  readonly threadirqs?: boolean;
  /** How long things take in simulated time. */
  readonly costs?: Partial<Costs>;
}

export class Machine implements MapHost {
  readonly engine: Engine;
  readonly cpus: number;
  readonly checked: boolean;
  readonly verifyMode: VerifyMode;
  readonly btf: Btf | undefined;
  readonly clock: Clock;
  readonly random: Prandom;
  readonly tracePipe: TracePipe;
  readonly net: NetState;
  readonly callchain: Callchain;
  readonly user: UserMemory;
  readonly symbols: KernelSymbols;
  /** What infrared decoders reported. */
  readonly rcEvents: RcEvent[] = [];
  /** Ring buffers: a record's address says to which it belongs. */
  readonly ringbufs = new Set<RingbufMap>();
  readonly files = new FileTable();
  /** Kernel objects that programs may point to, by the offset of their image. */
  readonly objects = new Map<number, KernelObject>();
  /** Indices of the network devices; undefined where any will do. */
  devices: ReadonlySet<number> | undefined;
  /** The BPF security module is active. */
  bpfLsm = true;
  readonly profile: KernelProfile;
  readonly sched: Sched;
  readonly executor: Executor;
  readonly locks: Locks;
  /** Interrupts, NMIs, softirqs, irq_work. */
  readonly irq: Irqs;
  readonly hrtimers: Hrtimers;
  readonly tick: Tick;
  readonly rcu: Rcu;
  readonly rcuTasksTrace: RcuTasksTrace;
  readonly workqueue: WorkQueue;
  /** The kernel's own memory. */
  readonly mm: Mm;
  /** `bpf_prog_active` and who takes it. */
  readonly instrumentation: Instrumentation;
  /** Programs in the order in which they were loaded. */
  readonly progs: BpfProg[] = [];
  /** Told when a run of a program that an event causes starts and ends; for whoever wants to see where it is. */
  onRun: ((phase: 'start' | 'end', prog: BpfProg, execution: Execution) => void) | undefined;
  /** Instructions after which others may run; for kernels that interleave. */
  insnQuantum = INSN_QUANTUM;
  /** The task on top of which the host's own calls run. */
  private host: Task;
  private readonly hashSeeds: Prandom;
  /** By number; no map has number 0. */
  private readonly maps: (BpfMap | undefined)[] = [undefined];
  /** Two words: the current CPU's number, and how many probes there are (`TableElements.state`). */
  private readonly cpuSlot: Region;
  /** `bpf_get_current_pid_tgid` and `bpf_get_current_uid_gid` of the current task, 8 bytes each. */
  private readonly taskSlot: Region;

  constructor(options: MachineOptions = {}) {
    const { seed = 1, memoryLimitBytes } = options;
    this.engine = new Engine(memoryLimitBytes === undefined ? {} : { memoryLimitBytes });
    this.cpus = options.cpus ?? 4;
    if (!(Number.isInteger(this.cpus) && this.cpus >= 1 && this.cpus <= 64)) {
      throw SyscallError.of('EINVAL', `a kernel has 1 to 64 CPUs, not ${this.cpus}`);
    }
    this.checked = options.checked ?? true;
    this.verifyMode = options.verify ?? 'convert';
    this.btf = options.btf;
    this.clock = new Clock(this.memory);
    this.random = new Prandom(seed);
    this.hashSeeds = new Prandom(seed ^ 0x5bd1e995);
    this.cpuSlot = this.engine.alloc(8, 'none');
    this.tracePipe = new TracePipe(this);
    this.net = new NetState();
    this.callchain = new Callchain();
    this.user = new UserMemory(this.memory);
    this.symbols = new KernelSymbols(this);
    this.taskSlot = this.engine.alloc(16, 'none');
    const { profile = DEFAULT_KERNEL_PROFILE } = options;
    this.profile = typeof profile === 'string' ? kernelProfile(profile) : profile;
    this.sched = new Sched({
      cpus: this.cpus,
      profile: this.profile,
      clock: this.clock,
      ...(options.costs === undefined ? {} : { costs: options.costs }),
      interleaved: options.interleaved ?? false,
      onSwitch: (cpu) => this.show(cpu),
    });
    this.sched.probes.onCount = (armed) => {
      this.memory.i32[(this.cpuSlot.address32 >> 2) + 1] = armed;
    };
    this.executor = new Executor(this.sched);
    this.locks = new Locks(
      this.sched,
      this.executor,
      options.lockdep === undefined ? {} : { lockdep: options.lockdep },
    );
    const { sched, executor } = this;
    this.irq = new Irqs(sched, executor, this.locks, { threadirqs: options.threadirqs ?? false });
    this.hrtimers = new Hrtimers(sched, executor, this.irq);
    this.tick = new Tick(sched, executor, this.irq);
    this.rcu = new Rcu(sched, executor, this.irq);
    this.rcuTasksTrace = new RcuTasksTrace(sched, executor, this.irq);
    this.workqueue = new WorkQueue(sched);
    this.mm = new Mm(
      sched,
      this.locks,
      this.irq,
      this,
      options.memoryPages === undefined ? {} : { pages: options.memoryPages },
    );
    if (options.tick === true) this.tick.start();
    this.instrumentation = new Instrumentation(this.sched);
    this.host = new Task(options.task ?? DEFAULT_TASK);
    this.sched.adopt(this.host, this.sched.here);
  }

  get memory() {
    return this.engine.memory;
  }

  /** The lock validator: what is held, and the order graph as data. */
  get lockdep(): Lockdep {
    return this.locks.lockdep;
  }

  /** A non-maskable interrupt that does `body` on a CPU (default: here), as soon as it can be taken. */
  nmi(body: () => Flow<void>, options: { readonly cpu?: number; readonly name?: string } = {}): void {
    this.irq.nmi(body, options);
  }

  /** The worst sections with interrupts or preemption off, and the longest hold of each lock class. */
  latency(): LatencyReport {
    return this.sched.latency.report();
  }

  /** The CPU that runs now. Helpers that ask for it read it from engine memory. */
  get cpu(): number {
    return this.memory.i32[this.cpuSlot.address32 >> 2]!;
  }

  /** Moves the host's task to another CPU. */
  set cpu(cpu: number) {
    const { sched, host } = this;
    const to = sched.cpus[cpu];
    if (to === undefined) throw SyscallError.of('EINVAL', `there is no CPU ${cpu}`);
    if (to === sched.here) return;
    if (sched.current === host) sched.install(sched.here, sched.here.idle);
    sched.enter(to);
    sched.install(to, host);
  }

  /** Memory offset of the 4 bytes that hold the current CPU's number. */
  get cpuOffset(): number {
    return this.cpuSlot.address32;
  }

  /** The task on top of which programs run. */
  get current(): Task {
    return this.sched.current;
  }

  /** Address of the current task's `struct task_struct`. */
  get taskAddress(): bigint {
    const task = this.current;
    task.image ??= new TaskImage(task.attr, this.memory, this.btf);
    return task.image.address;
  }

  /** Memory offset of the 8 bytes with the current task's tgid and pid; its gid and uid follow. */
  get taskOffset(): number {
    return this.taskSlot.address32;
  }

  /** Makes another task the one on top of which the host's calls run. */
  switchTask(attr: TaskAttr): void {
    this.host = new Task(attr);
    this.sched.adopt(this.host, this.sched.here);
  }

  /** Puts what programs read of the CPU and its task where they read it. */
  private show(cpu: Cpu): void {
    const { i32 } = this.memory;
    const { attr } = cpu.current;
    i32[this.cpuSlot.address32 >> 2] = cpu.id;
    const at = this.taskOffset >> 2;
    i32[at] = attr.pid;
    i32[at + 1] = attr.tgid;
    i32[at + 2] = attr.uid;
    i32[at + 3] = attr.gid;
  }

  hasDevice(ifindex: number): boolean {
    return this.devices === undefined ? ifindex > 0 : this.devices.has(ifindex);
  }

  /** Nobody will use the kernel again; the next one is made faster. */
  dispose(): void {
    this.engine.dispose();
  }

  nextHashSeed(): number {
    return this.hashSeeds.next() | 0;
  }

  addMap(map: BpfMap): number {
    if (map instanceof RingbufMap) this.ringbufs.add(map);
    const id = this.maps.push(map) - 1;
    this.memory.i32[(map.header.address32 + MAP_ID) >> 2] = id;
    return id;
  }

  /** Maps in the order in which they were created. */
  allMaps(): BpfMap[] {
    return this.maps.filter((map) => map !== undefined);
  }

  removeMap(map: BpfMap): void {
    this.maps[map.id] = undefined;
    if (map instanceof RingbufMap) this.ringbufs.delete(map);
  }

  /** The map whose header lies at a memory offset, or undefined: the header says which, the map whether that is true. */
  mapAt(offset: number): BpfMap | undefined {
    const map = this.maps[this.memory.i32[(offset + MAP_ID) >>> 2] ?? 0];
    return map !== undefined && map.header.address32 === offset ? map : undefined;
  }
}
