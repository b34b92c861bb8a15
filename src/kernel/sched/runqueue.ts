/**
 * Which task a CPU runs, and which CPU a task runs on: order of the classes, fairness by weight, preemption by a woken
 * task, pushing and pulling of real-time tasks, balancing of fair ones. A pinned task is never moved. Models
 * kernel/sched/rt.c and kernel/sched/fair.c (as CFS, before 6.6) without their domains: every CPU is as near as any other.
 */
import type { Cpu } from './cpu.js';
import { MAX_RT_PRIO, type Task } from './task.js';
import { MIN_GRANULARITY_NS, NICE_0_WEIGHT, SCHED_LATENCY_NS, WAKEUP_GRANULARITY_NS } from './weights.js';

/** How a task comes into a run queue. */
export type Arrival = 'new' | 'wakeup' | 'preempted' | 'moved';

/** Told of what a trace keeps. */
export type MoveListener = (task: Task, from: number, to: number) => void;

const isRt = (task: Task): boolean => task.prio < MAX_RT_PRIO;
const movable = (task: Task, cpu: Cpu): boolean => task.migrationDisabled === 0 && task.allows(cpu.id);
const isFree = (cpu: Cpu): boolean => cpu.current === cpu.idle && cpu.queue.length === 0;

export class RunQueues {
  onMove: MoveListener | undefined;
  /** Told of each CPU whose run queue changes. */
  onChange: ((cpu: Cpu) => void) | undefined;
  private arrivals = 0;

  constructor(
    private readonly cpus: readonly Cpu[],
    /** Simulated time of a CPU. */
    private readonly timeOf: (cpu: Cpu) => number,
  ) {}

  /** Where a task that becomes runnable is to run. */
  select(task: Task, how: 'new' | 'wakeup'): Cpu {
    const own = this.cpus[task.cpu]!;
    if (task.migrationDisabled > 0) return own;
    const allowed = this.cpus.filter((cpu) => task.allows(cpu.id));
    if (allowed.length === 0) return own;
    const home = allowed.includes(own) ? own : allowed[0]!;
    if (isFree(home)) return home;
    // A woken real-time task stays where it can preempt a fair one.
    const preempts = how === 'wakeup' && isRt(task) && !isRt(home.current);
    if (preempts) return home;
    const idle = allowed.find(isFree);
    if (idle !== undefined) return idle;
    if (!isRt(task)) return how === 'new' ? leastLoaded(allowed, home) : home;
    return lowest(allowed, home);
  }

  /** Puts a task into a CPU's run queue, and notes when the current one has to give way. */
  add(cpu: Cpu, task: Task, how: Arrival): void {
    const from = this.cpus[task.cpu]!;
    if (from !== cpu) {
      task.vruntime += cpu.minVruntime - from.minVruntime;
      this.onMove?.(task, from.id, cpu.id);
    }
    task.cpu = cpu.id;
    if (how === 'new') task.vruntime = Math.max(task.vruntime, cpu.minVruntime);
    // A sleeper gets half a round of credit, not all that it has slept.
    if (how === 'wakeup') task.vruntime = Math.max(task.vruntime, cpu.minVruntime - SCHED_LATENCY_NS / 2);
    if (how === 'new' || how === 'wakeup') task.deadlineAt = this.timeOf(cpu) + task.deadlineNs;
    if (how !== 'preempted' || task.yields) task.queued = ++this.arrivals;
    task.yields = false;
    this.onChange?.(cpu);
    cpu.queue.push(task);
    if (how !== 'preempted') this.checkPreempt(cpu, task);
  }

  /** Takes a waiting task out of its run queue. */
  remove(task: Task): void {
    const cpu = this.cpus[task.cpu]!;
    const at = cpu.queue.indexOf(task);
    if (at < 0) return;
    this.onChange?.(cpu);
    cpu.queue.splice(at, 1);
  }

  /** check_preempt_curr. */
  checkPreempt(cpu: Cpu, task: Task): void {
    const { current } = cpu;
    if (current === cpu.idle) cpu.needResched = true;
    else if (isRt(task) || isRt(current)) {
      if (task.prio < current.prio || (isDeadline(task, current) && task.deadlineAt < current.deadlineAt))
        cpu.needResched = true;
    } else if (current.policy === 'idle' || task.policy === 'idle') {
      if (task.policy !== 'idle') cpu.needResched = true;
    } else {
      this.account(cpu);
      const granularity = (WAKEUP_GRANULARITY_NS * NICE_0_WEIGHT) / task.weight;
      if (current.vruntime - task.vruntime > granularity) cpu.needResched = true;
    }
  }

  /** update_curr: adds the current task's time since it was last asked; the nanoseconds. */
  account(cpu: Cpu): number {
    const now = this.timeOf(cpu);
    const ran = Math.max(0, now - cpu.execStart);
    cpu.execStart = now;
    const { current } = cpu;
    if (current === cpu.idle) return 0;
    current.execRuntimeNs += ran;
    current.vruntime += (ran * NICE_0_WEIGHT) / current.weight;
    let least = isRt(current) ? Number.POSITIVE_INFINITY : current.vruntime;
    for (const task of cpu.queue) if (!isRt(task)) least = Math.min(least, task.vruntime);
    if (least !== Number.POSITIVE_INFINITY) cpu.minVruntime = Math.max(cpu.minVruntime, least);
    return ran;
  }

  /** Takes the task that a CPU is to run next out of the queues: its own best, or a more urgent one of another CPU. */
  takeNext(cpu: Cpu): Task {
    const own = bestOf(cpu.queue, () => true);
    const pulled = this.toPull(cpu, own);
    if (pulled !== undefined) {
      const from = this.cpus[pulled.cpu]!;
      this.remove(pulled);
      pulled.vruntime += cpu.minVruntime - from.minVruntime;
      this.onMove?.(pulled, from.id, cpu.id);
      return pulled;
    }
    if (own === undefined) return cpu.idle;
    this.remove(own);
    return own;
  }

  /** pull_rt_task, and, for a CPU that would be idle, any task that waits elsewhere. */
  toPull(cpu: Cpu, own: Task | undefined): Task | undefined {
    let found: Task | undefined;
    for (const other of this.cpus) {
      // An idle CPU takes what waits there itself.
      if (other === cpu || other.queue.length === 0 || other.current === other.idle) continue;
      const qualifies = (task: Task): boolean =>
        movable(task, cpu) && (isRt(task) ? !(task.prio < other.current.prio) : own === undefined);
      const best = bestOf(other.queue, qualifies);
      if (best !== undefined && (found === undefined || before(best, found))) found = best;
    }
    if (found === undefined || own === undefined) return found;
    return isRt(found) && found.prio < own.prio ? found : undefined;
  }

  /** push_rt_tasks: waiting real-time tasks of a CPU go where they can run at once. */
  push(cpu: Cpu): void {
    const stay = new Set<Task>();
    for (;;) {
      const task = bestOf(cpu.queue, (t) => isRt(t) && t.prio >= cpu.current.prio && !stay.has(t));
      if (task === undefined) return;
      const targets = this.cpus.filter(
        (other) => other !== cpu && movable(task, other) && wouldRun(task, other),
      );
      const [first] = targets;
      if (first === undefined) stay.add(task);
      else {
        this.remove(task);
        this.add(targets.find(isFree) ?? lowest(targets, first), task, 'moved');
      }
    }
  }

  /** The tick of the fair class: whether the current task has had its share (check_preempt_tick). */
  turnIsOver(cpu: Cpu, ranNs: number): boolean {
    const { current, queue } = cpu;
    const rivals = queue.filter((task) => !isRt(task));
    if (rivals.length === 0) return false;
    const period = Math.max(SCHED_LATENCY_NS, (rivals.length + 1) * MIN_GRANULARITY_NS);
    const total = rivals.reduce((sum, task) => sum + task.weight, current.weight);
    const share = (period * current.weight) / total;
    if (ranNs > share) return true;
    const first = rivals.reduce((a, b) => (b.vruntime < a.vruntime ? b : a));
    return ranNs >= MIN_GRANULARITY_NS && current.vruntime - first.vruntime > share;
  }

  /** load_balance: moves one waiting fair task to a CPU from the busiest one, where that makes them more equal. */
  balance(cpu: Cpu): Task | undefined {
    const busiest = this.cpus.reduce((a, b) => (load(b) > load(a) ? b : a));
    if (load(busiest) - load(cpu) < 2) return undefined;
    const task = bestOf(busiest.queue, (t) => !isRt(t) && movable(t, cpu));
    if (task === undefined) return undefined;
    this.remove(task);
    this.add(cpu, task, 'moved');
    return task;
  }
}

const isDeadline = (a: Task, b: Task): boolean => a.prio < 0 && b.prio < 0;

/** Whether a real-time task would be the one to run on a CPU. */
function wouldRun(task: Task, cpu: Cpu): boolean {
  return task.prio < cpu.current.prio && !cpu.queue.some(({ prio }) => prio <= task.prio);
}

/** Runnable tasks. */
function load(cpu: Cpu): number {
  return cpu.queue.length + (cpu.current === cpu.idle ? 0 : 1);
}

function leastLoaded(cpus: readonly Cpu[], home: Cpu): Cpu {
  return cpus.reduce((a, b) => (load(b) < load(a) ? b : a), home);
}

/** The CPU whose current task is the least urgent. */
function lowest(cpus: readonly Cpu[], home: Cpu): Cpu {
  return cpus.reduce((a, b) => (b.current.prio > a.current.prio ? b : a), home);
}

/** The most urgent of the tasks that qualify: by priority, then deadline or fairness, then arrival. */
function bestOf(queue: readonly Task[], qualifies: (task: Task) => boolean): Task | undefined {
  let found: Task | undefined;
  for (const task of queue) {
    if (qualifies(task) && (found === undefined || before(task, found))) found = task;
  }
  return found;
}

function before(a: Task, b: Task): boolean {
  const [x, y] = [Math.min(a.prio, MAX_RT_PRIO), Math.min(b.prio, MAX_RT_PRIO)];
  if (x !== y) return x < y;
  if (isDeadline(a, b) && a.deadlineAt !== b.deadlineAt) return a.deadlineAt < b.deadlineAt;
  if (x === MAX_RT_PRIO && a.vruntime !== b.vruntime) return a.vruntime < b.vruntime;
  return a.queued < b.queued;
}
