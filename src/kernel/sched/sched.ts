/**
 * The scheduler's state and what kernel code does with it: counting preemption and interrupts off, pinning, sleeping,
 * waking, moving tasks between CPUs. What runs next is the executor's affair (`executor.ts`). "Here" is the CPU that
 * runs now. Models kernel/sched/core.c and include/linux/preempt.h; docs/kernel.md says what is simplified.
 */
import { Console, type PrintPlace } from '../console.js';
import { SyscallError } from '../errors.js';
import type { KernelProfile } from '../profile.js';
import { firePoint, type ProbeArg, type ProbePoint, Probes } from '../trace/probes.js';
import { type Costs, DEFAULT_COSTS } from './costs.js';
import { Cpu } from './cpu.js';
import type { Flow, PointPause, SchedulePause, Waitable } from './flow.js';
import { Latency } from './latency.js';
import { inNmi, PREEMPT_OFFSET, preemptible } from './preempt.js';
import { type Arrival, RunQueues } from './runqueue.js';
import { Task, type TaskAttr } from './task.js';
import { ScheduleTrace, type TraceBody, type TraceTask } from './trace.js';

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

/** What the scheduler needs of the executor, which is made after it. */
export interface Driver {
  /** Drives a flow on the host's stack, in the current context. */
  drive<T>(flow: Flow<T>): T;
  /** Has the current CPU take the interrupts that it can take now, on the host's stack. */
  takeInterrupts(): void;
  /** preempt_schedule, on the host's stack. */
  preempt(): void;
}

const GIVE_WAY: SchedulePause = { kind: 'schedule' };
/** Of the kernel's own threads; Linux numbers them from 2 on, where scenarios have their tasks. */
const FIRST_KTHREAD_PID = 30_000;
/** Locks that are held, without preemption, at sched_switch and sched_wakeup: rq->lock and its section. */
const RQ_LOCKED = 2 * PREEMPT_OFFSET;

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
  /** Told of shared state that the step under way uses; for partial-order reduction. */
  onTouch: ((object: object | string, write: boolean) => void) | undefined;
  /** What happens, as a list; undefined unless `startTrace` asked for it. */
  trace: ScheduleTrace | undefined;
  /** Called whenever a task that is not the idle one becomes current; the tick starts by it. */
  onBusy: ((cpu: Cpu) => void) | undefined;
  /** Told before interrupts (`softirq`: softirqs) are on again where locks are held. */
  onIrqsOn: ((softirq: boolean) => void) | undefined;
  /** Set by the executor. */
  driver: Driver | undefined;
  private readonly onSwitch: (cpu: Cpu) => void;
  private readonly queues: RunQueues;
  private readonly switchPoint: ProbePoint;
  private readonly wakePoint: ProbePoint;
  private nextKthread = FIRST_KTHREAD_PID;

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
    this.queues = new RunQueues(this.cpus, (cpu) => this.timeOf(cpu));
    this.queues.onChange = (cpu) => this.touchCpu(cpu);
    this.queues.onMove = (task, from, to) => this.note({ kind: 'migrate', task: traced(task), from, to });
    this.switchPoint = this.probes.point('sched:sched_switch');
    this.wakePoint = this.probes.point('sched:sched_wakeup');
  }

  /** Simulated time of a CPU, ns since boot. */
  timeOf(cpu: Cpu): number {
    return cpu === this.here ? this.clock.nanos : cpu.timeNs;
  }

  /** Keeps what happens from now on, at most `capacity` events. */
  startTrace(capacity?: number): ScheduleTrace {
    this.trace = new ScheduleTrace(capacity);
    return this.trace;
  }

  /** Adds an event of the current CPU to the trace, where there is one. */
  note(body: TraceBody): void {
    this.trace?.add({ timeNs: this.clock.nanos, cpu: this.here.id }, body);
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

  /** Says that the step under way changes what waits on another CPU: its tasks, its interrupts. */
  touchCpu(cpu: Cpu): void {
    if (this.onTouch !== undefined && cpu !== this.here) this.onTouch(`cpu ${cpu.id}`, true);
  }

  /** Says that the step under way reads or writes shared state. */
  touch(object: object | string, write: boolean): void {
    this.onTouch?.(object, write);
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
    if (this.trace !== undefined) this.noteCount();
  }

  private noteCount(): void {
    this.note({ kind: 'count', name: 'preempt_count', value: this.here.preemptCount });
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
    if (this.trace !== undefined) this.noteCount();
    if (here.preemptCount === 0) {
      this.latency.section(
        'preemptoff',
        this.clock.nanos - here.preemptOffSince,
        here.preemptOffPlace,
        here.id,
      );
      if (here.needResched) this.preemptHost();
    }
  }

  /**
   * The host's own task, in plain code, gives way as soon as it may. Tasks with flows do so at their next `resched`; where
   * flows interleave, it is a choice.
   */
  private preemptHost(): void {
    const { here, interleaved } = this;
    if (interleaved || !preemptible(here) || here.interrupts.length > 0) return;
    if (here.current.flow === undefined && here.current !== here.idle) this.driver?.preempt();
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
    if (here.current.held.depth > 0) this.onIrqsOn?.(false);
    here.irqsDisabled = false;
    this.latency.section('irqsoff', this.clock.nanos - here.irqsOffSince, here.irqsOffPlace, here.id);
    // Where flows interleave, when it comes is a choice.
    if (here.pending.length > 0 && !this.interleaved) this.driver?.takeInterrupts();
    if (here.needResched) this.preemptHost();
  }

  /** The end of an interrupt: interrupts are on again; whoever delivers them sees to what came meanwhile. */
  irqReturn(): void {
    const { here } = this;
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
    this.queues.add(this.selectCpu(task, 'new'), task, 'new');
    return task;
  }

  /** A pid for a thread of the kernel's own. */
  kthreadPid(): number {
    while (this.tasks.has(this.nextKthread)) this.nextKthread++;
    return this.nextKthread++;
  }

  /** Puts a task that the host drives on a CPU whose current task gives way to it. */
  adopt(task: Task, cpu: Cpu): void {
    this.tasks.set(task.pid, task);
    task.state = 'running';
    this.install(cpu, task);
  }

  /** try_to_wake_up: whether the task slept. `rtlock`: the wake-up is a sleeping spinlock's own. */
  wake(task: Task, kind: 'sleeping' | 'rtlock' = 'sleeping'): boolean {
    this.touch(task, true);
    if (inNmi(this.here))
      this.console.warnOnce(
        'kernel/sched/core.c try_to_wake_up',
        'bpflab: a wake-up in NMI can wait for a lock that is held below it',
      );
    if (task.state === 'rtlock' && kind === 'sleeping') {
      const slept = task.savedState === 'sleeping';
      task.savedState = 'running';
      return slept;
    }
    if (task.state !== kind) return false;
    task.state = 'running';
    task.sleepsOn = undefined;
    // One that has not left its CPU yet, or was preempted before it did, just stays.
    const queued = this.cpus[task.cpu]!.queue.includes(task);
    if (!task.onCpu && !queued) this.enqueue(task, this.selectCpu(task));
    this.note({ kind: 'wake', task: traced(task), target: task.cpu });
    if (this.wakePoint.armed) this.fireLocked(this.wakePoint, [task.comm, task.pid, task.prio, task.cpu]);
    return true;
  }

  /** A tracepoint inside the scheduler: interrupts off, rq->lock held. */
  private fireLocked(point: ProbePoint, fields: readonly ProbeArg[]): void {
    const flags = this.irqSave(point.name);
    this.countAdd(RQ_LOCKED, point.name);
    this.driver?.drive(firePoint(point, fields));
    this.countSub(RQ_LOCKED);
    // Whoever wakes is in the middle of something: nothing is preempted or interrupted for it here.
    if (!flags) this.irqReturn();
  }

  /** sched_switch, while the task that leaves is still current; `preempted`: it stays runnable. */
  fireSwitch(prev: Task, next: Task): void {
    if (!this.switchPoint.armed) return;
    const state = prev.state === 'running' ? 0 : prev.state === 'dead' ? 0x10 : 1;
    this.fireLocked(this.switchPoint, [
      prev.comm,
      prev.pid,
      prev.prio,
      state,
      next.comm,
      next.pid,
      next.prio,
    ]);
  }

  /** Changes the effective priority, and with it who should run. */
  setPrio(task: Task, prio: number): void {
    if (task.prio === prio) return;
    const lower = prio > task.prio;
    task.prio = prio;
    const cpu = this.cpus[task.cpu]!;
    if (task.onCpu) {
      // Somebody here or elsewhere may be more urgent now.
      if (lower && this.cpus.some(({ queue }) => queue.length > 0)) cpu.needResched = true;
    } else if (task.state === 'running') {
      this.queues.checkPreempt(cpu, task);
      this.queues.push(cpu);
    }
  }

  /**
   * sched_setaffinity: false while the task is pinned, when the mask is kept until it no longer is; `setAffinityFlow`
   * (affinity.ts) waits for that.
   * @throws SyscallError EINVAL for a mask with no CPU of this machine.
   */
  setAffinity(task: Task, cpus: readonly number[]): boolean {
    const mask = new Set(cpus);
    if (!this.cpus.some(({ id }) => mask.has(id)))
      throw SyscallError.of('EINVAL', `no CPU of this machine is in the mask of ${task.label}`);
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
    if (!mask.has(task.cpu)) {
      if (task.onCpu) this.cpus[task.cpu]!.needResched = true;
      else if (task.state === 'running') {
        this.queues.remove(task);
        this.queues.add(this.selectCpu(task), task, 'moved');
      }
    }
    // A wider mask may let it run at once.
    if (!task.onCpu && task.state === 'running') this.queues.push(this.cpus[task.cpu]!);
    for (const waiter of task.affinityWaiters.splice(0)) this.wake(waiter);
  }

  /** Where a task is to run that becomes runnable. */
  selectCpu(task: Task, how: 'new' | 'wakeup' = 'wakeup'): Cpu {
    return this.queues.select(task, how);
  }

  enqueue(task: Task, cpu: Cpu, how: Arrival = 'wakeup'): void {
    this.queues.add(cpu, task, how);
    // An idle CPU takes the task up at the time at which it was woken, not in its own past.
    if (cpu.current === cpu.idle && cpu !== this.here) cpu.timeNs = Math.max(cpu.timeNs, this.clock.nanos);
  }

  /** Takes the task that a CPU is to run next out of the queues; its idle task when there is none. */
  takeNext(cpu: Cpu): Task {
    return this.queues.takeNext(cpu);
  }

  /** Whether an idle CPU would take a task that waits elsewhere. */
  canPull(cpu: Cpu): boolean {
    return this.queues.toPull(cpu, undefined) !== undefined;
  }

  /** Takes a waiting task out of its run queue, for a CPU that turns to it. */
  takeTask(task: Task): void {
    this.queues.remove(task);
  }

  /** update_curr: accounts for the current task's time; the nanoseconds since it was last done. */
  account(cpu: Cpu): number {
    return this.queues.account(cpu);
  }

  /** Whether a fair task has had its share; `ranNs`: how long it has run since it was put on its CPU. */
  turnIsOver(cpu: Cpu, ranNs: number): boolean {
    return this.queues.turnIsOver(cpu, ranNs);
  }

  /** Pulls a fair task to a CPU from the busiest one, where that makes them more equal. */
  balance(cpu: Cpu): Task | undefined {
    return this.queues.balance(cpu);
  }

  /** sched_yield: the task goes behind those that wait with the same right; the caller goes on with `resched`. */
  yieldTask(): void {
    const { here, current } = this;
    this.queues.account(here);
    for (const task of here.queue) current.vruntime = Math.max(current.vruntime, task.vruntime);
    current.yields = true;
    here.needResched = true;
  }

  /**
   * Has a task stand where another one runs, for work that nobody can observe coming about: no switch is traced, and the
   * time is the other one's. The reverse brings that one back.
   */
  standIn(cpu: Cpu, next: Task): void {
    if (this.trace !== undefined) {
      this.install(cpu, next);
      return;
    }
    const prev = cpu.current;
    prev.onCpu = false;
    prev.irqsDisabled = cpu.irqsDisabled;
    cpu.current = next;
    cpu.irqsDisabled = next.irqsDisabled;
    next.cpu = cpu.id;
    next.onCpu = true;
    if (cpu === this.here) this.onSwitch(cpu);
  }

  /** Makes a task the current one of a CPU. */
  install(cpu: Cpu, next: Task): void {
    const prev = cpu.current;
    if (prev !== next) {
      const state = prev.state === 'running' ? 'R' : prev.state === 'dead' ? 'X' : 'S';
      this.trace?.add(
        { timeNs: this.timeOf(cpu), cpu: cpu.id },
        { kind: 'switch', prev: traced(prev), state, next: traced(next) },
      );
    }
    this.queues.account(cpu);
    prev.onCpu = false;
    prev.irqsDisabled = cpu.irqsDisabled;
    cpu.current = next;
    cpu.needResched = false;
    cpu.irqsDisabled = next.irqsDisabled;
    next.cpu = cpu.id;
    next.onCpu = next !== cpu.idle;
    cpu.switchedAt = this.timeOf(cpu);
    if (cpu === this.here) this.onSwitch(cpu);
    this.queues.push(cpu);
    if (next !== cpu.idle) this.onBusy?.(cpu);
  }
}

function traced({ pid, comm, prio }: Task): TraceTask {
  return { pid, comm, prio };
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
