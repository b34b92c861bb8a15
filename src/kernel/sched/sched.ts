/**
 * The scheduler's state and what kernel code does with it: counting preemption and interrupts off, pinning, sleeping,
 * waking, moving tasks between CPUs. What runs next is the executor's affair (`executor.ts`). "Here" is the CPU that
 * runs now. Models kernel/sched/core.c and include/linux/preempt.h; docs/kernel.md says what is simplified.
 */
import { Console, type PrintPlace } from '../console.js';
import type { KernelProfile } from '../profile.js';
import { Probes } from '../trace/probes.js';
import { type Costs, DEFAULT_COSTS } from './costs.js';
import { Cpu } from './cpu.js';
import type { Flow, PointPause, SchedulePause, Waitable } from './flow.js';
import { Latency } from './latency.js';
import { PREEMPT_OFFSET, preemptible } from './preempt.js';
import { MAX_RT_PRIO, Task, type TaskAttr } from './task.js';

/** Time as the scheduler moves it; `time/clock.ts` is the one that programs can read. */
export interface SchedClock {
  /** Nanoseconds since boot on the CPU that runs. */
  nanos: number;
  /** Lets programs read the time as it is now. */
  publish(): void;
}

export interface SchedOptions {
  readonly cpus: number;
  readonly profile: KernelProfile;
  readonly clock: SchedClock;
  readonly costs?: Partial<Costs>;
  /** Flows pause at every point where others could run; for exploring and for scenarios with several CPUs. */
  readonly interleaved?: boolean;
  /** Told whenever another CPU or task is the one that runs. */
  readonly onSwitch?: (cpu: Cpu) => void;
}

const GIVE_WAY: SchedulePause = { kind: 'schedule' };

export class Sched {
  readonly cpus: readonly Cpu[];
  readonly profile: KernelProfile;
  readonly rt: boolean;
  readonly interleaved: boolean;
  readonly console: Console;
  readonly latency = new Latency();
  readonly probes: Probes;
  readonly costs: Costs;
  readonly clock: SchedClock;
  /** Every task that has been started, by pid; dead ones too. */
  readonly tasks = new Map<number, Task>();
  /** The CPU that runs now. */
  here: Cpu;
  /** Told of each context switch, while the next task is already current (tracepoint sched_switch). */
  onContextSwitch: ((prev: Task, next: Task) => void) | undefined;
  private readonly onSwitch: (cpu: Cpu) => void;
  private arrivals = 0;

  constructor(options: SchedOptions) {
    this.profile = options.profile;
    this.rt = options.profile.rt;
    this.clock = options.clock;
    this.interleaved = options.interleaved ?? false;
    this.probes = new Probes();
    this.costs = { ...DEFAULT_COSTS, ...options.costs };
    this.onSwitch = options.onSwitch ?? (() => {});
    this.cpus = Array.from({ length: options.cpus }, (_, id) => new Cpu(id, idleTask(id), this.rt));
    for (const cpu of this.cpus) cpu.timeNs = this.clock.nanos;
    this.here = this.cpus[0]!;
    this.console = new Console(() => this.place());
  }

  get current(): Task {
    return this.here.current;
  }

  /** Where the kernel is, for its log. */
  place(): PrintPlace {
    const { here } = this;
    const { pid, comm } = here.current;
    return { cpu: here.id, pid, comm, timeNs: this.clock.nanos, stack: here.stack() };
  }

  /** Nothing can observe the inside of an operation: plain code need not take the way through flows. */
  get quiet(): boolean {
    return !this.interleaved && this.probes.armed === 0;
  }

  /** Makes another CPU the one that runs. */
  enter(cpu: Cpu): void {
    if (cpu === this.here) return;
    this.here.timeNs = this.clock.nanos;
    this.here = cpu;
    this.clock.nanos = cpu.timeNs;
    this.clock.publish();
    this.onSwitch(cpu);
  }

  /** Lets simulated time pass here. */
  charge(ns: number): void {
    this.clock.nanos += ns;
  }

  // Preemption and interrupts off

  preemptDisable(place: string): void {
    this.countAdd(PREEMPT_OFFSET, place);
  }

  /** Whether to reschedule is looked at by the next `resched`. */
  preemptEnable(): void {
    this.countSub(PREEMPT_OFFSET);
  }

  /** preempt_count_add. */
  countAdd(offset: number, place: string): void {
    const { here } = this;
    if (here.preemptCount === 0) {
      here.preemptOffSince = this.clock.nanos;
      here.preemptOffPlace = place;
    }
    here.preemptCount += offset;
  }

  countSub(offset: number): void {
    const { here } = this;
    if (offset > here.preemptCount) {
      // What a splat has forced sane cannot be given back.
      this.console.warnOnce(
        'kernel/sched/core.c preempt_count_sub',
        'DEBUG_LOCKS_WARN_ON(val > preempt_count())',
      );
      return;
    }
    here.preemptCount -= offset;
    if (here.preemptCount === 0) {
      this.latency.section(
        'preemptoff',
        this.clock.nanos - here.preemptOffSince,
        here.preemptOffPlace,
        here.id,
      );
    }
  }

  /** local_irq_save: whether interrupts were off before. */
  irqSave(place: string): boolean {
    const { here } = this;
    const before = here.irqsDisabled;
    if (!before) {
      here.irqsDisabled = true;
      here.irqsOffSince = this.clock.nanos;
      here.irqsOffPlace = place;
    }
    return before;
  }

  irqRestore(before: boolean): void {
    const { here } = this;
    if (before || !here.irqsDisabled) return;
    here.irqsDisabled = false;
    this.latency.section('irqsoff', this.clock.nanos - here.irqsOffSince, here.irqsOffPlace, here.id);
  }

  // Pinning

  migrateDisable(place: string): void {
    if (this.profile.migrateDisable === 'preempt') {
      this.preemptDisable(place);
      return;
    }
    const { current } = this;
    if (current.migrationDisabled++ === 0) this.here.pinned++;
  }

  migrateEnable(): void {
    if (this.profile.migrateDisable === 'preempt') {
      this.preemptEnable();
      return;
    }
    const { current } = this;
    if (current.migrationDisabled === 0) {
      this.console.warnOnce('kernel/sched/core.c migrate_enable');
      return;
    }
    if (--current.migrationDisabled > 0) return;
    this.here.pinned--;
    if (current.pendingAffinity !== undefined) this.applyAffinity(current, current.pendingAffinity);
  }

  // Pauses

  /** A place where others may run: pauses where flows interleave, or where a more urgent task waits. */
  *point(place: PointPause): Flow<void> {
    if (this.interleaved || (this.here.needResched && preemptible(this.here))) yield place;
  }

  /** cond_resched, and the voluntary part of `preempt_enable`. */
  *resched(): Flow<void> {
    if (this.here.needResched && preemptible(this.here)) yield GIVE_WAY;
  }

  // Tasks

  /** Starts a task with a flow of its own; it is runnable at once. */
  spawn(attr: TaskAttr, flow: (task: Task) => Flow<void>, options: { daemon?: boolean } = {}): Task {
    const task = new Task(attr);
    task.daemon = options.daemon ?? false;
    task.flow = flow(task);
    this.tasks.set(task.pid, task);
    task.state = 'running';
    this.enqueue(task, this.selectCpu(task));
    return task;
  }

  /** Puts a task that the host drives on a CPU whose current task gives way to it. */
  adopt(task: Task, cpu: Cpu): void {
    this.tasks.set(task.pid, task);
    task.state = 'running';
    this.install(cpu, task);
  }

  /** try_to_wake_up: whether the task slept. `rtlock`: the wake-up is a sleeping spinlock's own. */
  wake(task: Task, kind: 'sleeping' | 'rtlock' = 'sleeping'): boolean {
    if (task.state === 'rtlock' && kind === 'sleeping') {
      const slept = task.savedState === 'sleeping';
      task.savedState = 'running';
      return slept;
    }
    if (task.state !== kind) return false;
    task.state = 'running';
    task.sleepsOn = undefined;
    // One that has not left its CPU yet just stays.
    if (!task.onCpu) this.enqueue(task, this.selectCpu(task));
    return true;
  }

  /** Changes the effective priority, and with it who should run. */
  setPrio(task: Task, prio: number): void {
    if (task.prio === prio) return;
    const lower = prio > task.prio;
    task.prio = prio;
    const cpu = this.cpus[task.cpu]!;
    if (task.onCpu) {
      if (lower && cpu.queue.some((other) => other.prio < prio)) cpu.needResched = true;
    } else if (task.state === 'running') this.checkPreempt(cpu, task);
  }

  /** sched_setaffinity: false while the task is pinned, when the mask is kept until it no longer is. */
  setAffinity(task: Task, cpus: readonly number[]): boolean {
    const mask = new Set(cpus);
    if (task.migrationDisabled > 0) {
      task.pendingAffinity = mask;
      return false;
    }
    this.applyAffinity(task, mask);
    return true;
  }

  private applyAffinity(task: Task, mask: ReadonlySet<number>): void {
    task.affinity = mask;
    task.pendingAffinity = undefined;
    if (mask.has(task.cpu)) return;
    const cpu = this.cpus[task.cpu]!;
    if (task.onCpu) cpu.needResched = true;
    else if (task.state === 'running') {
      cpu.queue.splice(cpu.queue.indexOf(task), 1);
      this.enqueue(task, this.selectCpu(task));
    }
  }

  /** Where a task is to run. */
  selectCpu(task: Task): Cpu {
    const own = this.cpus[task.cpu]!;
    if (task.migrationDisabled > 0) return own;
    const allowed = this.cpus.filter((cpu) => task.allows(cpu.id));
    if (allowed.length === 0) return own;
    const home = allowed.includes(own) ? own : allowed[0]!;
    const free = (cpu: Cpu): boolean => cpu.current === cpu.idle && cpu.queue.length === 0;
    if (free(home)) return home;
    const idle = allowed.find(free);
    if (idle !== undefined) return idle;
    if (task.prio >= MAX_RT_PRIO) return home;
    return allowed.reduce((a, b) => (b.current.prio > a.current.prio ? b : a), home);
  }

  enqueue(task: Task, cpu: Cpu): void {
    task.cpu = cpu.id;
    task.queued = ++this.arrivals;
    cpu.queue.push(task);
    // An idle CPU takes the task up at the time at which it was woken, not in its own past.
    if (cpu.current === cpu.idle && cpu !== this.here) cpu.timeNs = Math.max(cpu.timeNs, this.clock.nanos);
    this.checkPreempt(cpu, task);
  }

  private checkPreempt(cpu: Cpu, task: Task): void {
    if (task.prio < cpu.current.prio) cpu.needResched = true;
  }

  /** Takes the most urgent task that may run on a CPU out of the queues: its own, then, when that is empty, another's. */
  takeNext(cpu: Cpu): Task {
    const own = best(cpu.queue, () => true);
    if (own !== undefined) return own;
    for (const other of this.cpus) {
      const pulled =
        other === cpu ? undefined : best(other.queue, (t) => t.migrationDisabled === 0 && t.allows(cpu.id));
      if (pulled !== undefined) return pulled;
    }
    return cpu.idle;
  }

  /** Makes a task the current one of a CPU. */
  install(cpu: Cpu, next: Task): void {
    const prev = cpu.current;
    prev.onCpu = false;
    prev.irqsDisabled = cpu.irqsDisabled;
    cpu.current = next;
    cpu.needResched = false;
    cpu.irqsDisabled = next.irqsDisabled;
    next.cpu = cpu.id;
    next.onCpu = next !== cpu.idle;
    cpu.taskPause = undefined;
    if (cpu === this.here) this.onSwitch(cpu);
  }
}

/** Removes and returns the most urgent of the tasks that qualify: by priority, then fairness, then arrival. */
function best(queue: Task[], qualifies: (task: Task) => boolean): Task | undefined {
  let found = -1;
  for (let i = 0; i < queue.length; i++) {
    if (qualifies(queue[i]!) && (found < 0 || before(queue[i]!, queue[found]!))) found = i;
  }
  return found < 0 ? undefined : queue.splice(found, 1)[0];
}

function before(a: Task, b: Task): boolean {
  const [x, y] = [Math.min(a.prio, MAX_RT_PRIO), Math.min(b.prio, MAX_RT_PRIO)];
  if (x !== y) return x < y;
  if (x === MAX_RT_PRIO && a.vruntime !== b.vruntime) return a.vruntime < b.vruntime;
  return a.queued < b.queued;
}

function idleTask(cpu: number): Task {
  const task = new Task({
    pid: 0,
    tgid: 0,
    comm: `swapper/${cpu}`,
    uid: 0,
    gid: 0,
    policy: 'idle',
    kthread: true,
  });
  task.cpu = cpu;
  task.state = 'running';
  return task;
}

/** Names whatever is waited for where nothing better is known. */
export function waitable(name: string, holder: () => string | undefined = () => undefined): Waitable {
  return { name, holder };
}
