/**
 * The machine and the state of the kernel on it: an engine, CPUs, a clock, random numbers, the current task, the maps.
 * One CPU runs at a time. Nothing in it depends on the host's time or chance: the same seed gives the same run.
 */
import type { Btf } from '../object/btf/btf.js';
import { Engine, type Region } from '../vm/index.js';
import { type BpfMap, MAP_ID, type MapHost } from './bpf/map.js';
import { RingbufMap } from './bpf/ringbuf.js';
import { SyscallError } from './errors.js';
import { Callchain } from './events/callchain.js';
import { Prandom } from './lib/random.js';
import type { RcEvent } from './media/rc-event.js';
import { UserMemory } from './mm/user-memory.js';
import { NetState } from './net/net-state.js';
import { DEFAULT_TASK, Task, type TaskAttr } from './sched/task.js';
import { Clock } from './time/clock.js';
import { TracePipe } from './trace/trace-pipe.js';

export interface MachineOptions {
  /** Number of CPUs, 1 to 64; default 4. */
  readonly cpus?: number;
  /** Seed of everything random; default 1. */
  readonly seed?: number;
  /** Check every memory access of programs against what it may touch; default true. Verified programs need it not. */
  readonly checked?: boolean;
  /** Types of the kernel that programs were relocated for. */
  readonly btf?: Btf;
  /** Most bytes of memory that programs can be given. */
  readonly memoryLimitBytes?: number;
  readonly task?: TaskAttr;
}

export class Machine implements MapHost {
  readonly engine: Engine;
  readonly cpus: number;
  readonly checked: boolean;
  readonly btf: Btf | undefined;
  readonly clock: Clock;
  readonly random: Prandom;
  readonly tracePipe: TracePipe;
  readonly net: NetState;
  readonly callchain: Callchain;
  readonly user: UserMemory;
  /** What infrared decoders reported. */
  readonly rcEvents: RcEvent[] = [];
  /** Ring buffers: a record's address says to which it belongs. */
  readonly ringbufs = new Set<RingbufMap>();
  private task: Task;
  private readonly hashSeeds: Prandom;
  /** By number; no map has number 0. */
  private readonly maps: (BpfMap | undefined)[] = [undefined];
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
    this.btf = options.btf;
    this.clock = new Clock(this.memory);
    this.random = new Prandom(seed);
    this.hashSeeds = new Prandom(seed ^ 0x5bd1e995);
    this.cpuSlot = this.engine.alloc(8, 'none');
    this.tracePipe = new TracePipe(this);
    this.net = new NetState();
    this.callchain = new Callchain();
    this.user = new UserMemory(this.memory);
    this.taskSlot = this.engine.alloc(16, 'none');
    this.task = this.enterTask(options.task ?? DEFAULT_TASK);
  }

  get memory() {
    return this.engine.memory;
  }

  /** The CPU that runs now. Helpers that ask for it read it from engine memory. */
  get cpu(): number {
    return this.memory.i32[this.cpuSlot.address32 >> 2]!;
  }

  set cpu(cpu: number) {
    this.memory.i32[this.cpuSlot.address32 >> 2] = cpu;
  }

  /** Memory offset of the 4 bytes that hold the current CPU's number. */
  get cpuOffset(): number {
    return this.cpuSlot.address32;
  }

  /** The task on top of which programs run. */
  get current(): Task {
    return this.task;
  }

  /** Memory offset of the 8 bytes with the current task's tgid and pid; its gid and uid follow. */
  get taskOffset(): number {
    return this.taskSlot.address32;
  }

  /** Makes another task the current one. */
  switchTask(attr: TaskAttr): void {
    this.task = this.enterTask(attr);
  }

  private enterTask(attr: TaskAttr): Task {
    const { i32 } = this.memory;
    const at = this.taskOffset >> 2;
    i32[at] = attr.pid;
    i32[at + 1] = attr.tgid;
    i32[at + 2] = attr.uid;
    i32[at + 3] = attr.gid;
    return new Task(attr, this.memory, this.btf);
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
