/**
 * Decides what runs next and runs it: which CPU takes a step, which pending interrupt arrives, which task a CPU turns to.
 * By default the CPU that is furthest back in simulated time goes on, which is how parallel CPUs behave; a chooser can
 * take any other decision that is possible. Nothing hangs: when nothing can go on, that is a deadlock, and it is reported.
 */
import { SimulationError } from '../errors.js';
import type { Context, Cpu, PendingInterrupt } from './cpu.js';
import type { Flow, Pause, SpinPause } from './flow.js';
import { inNmi, preemptible } from './preempt.js';
import type { Driver, Sched } from './sched.js';
import { MAX_RT_PRIO, type Task } from './task.js';

/** Something that can happen next. */
export type Choice =
  /** The innermost context of a CPU goes on; an idle CPU takes up a task. */
  | { readonly kind: 'run'; readonly cpu: Cpu }
  /** A CPU turns to this task: an idle one, or one whose task can be preempted. Only where schedules are explored. */
  | { readonly kind: 'switch'; readonly cpu: Cpu; readonly task: Task }
  /** A pending interrupt or NMI arrives. */
  | { readonly kind: 'interrupt'; readonly cpu: Cpu; readonly interrupt: PendingInterrupt }
  /** The earliest timer becomes due. */
  | { readonly kind: 'timer'; readonly timer: Timer }
  /** A CPU has spun for as long as it would. */
  | { readonly kind: 'timeout'; readonly cpu: Cpu; readonly timeNs: number };

/** An event at a simulated time: an interrupt on a CPU. */
export interface Timer {
  readonly timeNs: number;
  readonly cpu: Cpu;
  readonly interrupt: PendingInterrupt;
  /**
   * Of one that comes again and again, as the tick does: whether anything can come of it now. Where nothing else happens
   * for long, it is no sign that anything still will.
   */
  readonly background: (() => boolean) | undefined;
}

/** Picks one of at least two choices: its index. */
export type Chooser = (choices: readonly Choice[]) => number;

/** Steps that a simulation may take where nothing else is said. */
const DEFAULT_MAX_STEPS = 10_000_000;
/** What starting and ending a run takes of them. */
const INSNS_PER_RUN = 200;
/** Background timers in a row on each CPU, a second of ticks, after which nothing else is expected to happen. */
const LONELY_TICKS = 250;

export class Executor implements Driver {
  chooser: Chooser;
  /**
   * Offers every choice that Linux's scheduler could come to, also those that it makes by itself otherwise: which of
   * several equal tasks runs, and when a task's time on the CPU is up.
   */
  exploring = false;
  /** Told of each choice before it is taken. */
  onTake: ((choice: Choice) => void) | undefined;
  maxSteps = DEFAULT_MAX_STEPS;
  /** Steps taken so far. */
  steps = 0;
  /** Instructions that programs may execute in all. */
  maxInsns = Number.POSITIVE_INFINITY;
  /** Instructions executed so far. */
  insns = 0;
  /** By time, the earliest first. */
  private readonly timers: Timer[] = [];
  /** The choice to go on, by CPU. */
  private readonly runs: readonly Choice[];
  /** The chooser where nobody puts another one in its place. */
  private readonly byTime: Chooser;
  /** Background timers since something else happened. */
  private lonely = 0;

  constructor(private readonly sched: Sched) {
    sched.driver = this;
    this.runs = sched.cpus.map((cpu) => ({ kind: 'run', cpu }));
    this.byTime = (choices) => this.furthestBack(choices);
    this.chooser = this.byTime;
  }

  /**
   * Has an interrupt happen on a CPU as soon as it can be taken: on the CPU that runs now, before this returns, unless
   * flows interleave, when the time of it is a choice.
   */
  raise(cpu: Cpu, interrupt: PendingInterrupt): void {
    this.sched.touchCpu(cpu);
    cpu.pending.push(interrupt);
    if (cpu === this.sched.here && !this.sched.interleaved) this.takeInterrupts();
  }

  /** Takes on the host's stack the interrupts that the current CPU would take now. */
  takeInterrupts(): void {
    const cpu = this.sched.here;
    for (;;) {
      const interrupt = deliverable(cpu);
      if (interrupt === undefined) return;
      const context = this.begin(cpu, interrupt);
      try {
        this.drive(context.flow!);
      } finally {
        cpu.interrupts.splice(cpu.interrupts.indexOf(context), 1);
      }
    }
  }

  preempt(): void {
    this.drive(this.sched.resched());
  }

  /** Has it happen at a simulated time; give the result to `cancel` to prevent it. */
  at(timeNs: number, cpu: Cpu, interrupt: PendingInterrupt, background?: () => boolean): Timer {
    const timer = { timeNs, cpu, interrupt, background };
    const at = this.timers.findIndex((other) => other.timeNs > timeNs);
    this.timers.splice(at < 0 ? this.timers.length : at, 0, timer);
    return timer;
  }

  /** Whether the timer was still to come. */
  cancel(timer: Timer): boolean {
    const at = this.timers.indexOf(timer);
    if (at >= 0) this.timers.splice(at, 1);
    return at >= 0;
  }

  /**
   * Runs until nothing is left to do, or until the simulated time of every CPU has reached `untilNs`.
   * @throws SimulationError `SIM_DEADLOCK` when somebody waits and nothing can come, `SIM_STEPS` past `maxSteps`.
   */
  settle(untilNs = Number.POSITIVE_INFINITY): void {
    const home = this.sched.here;
    const comeBack = this.rest(home);
    try {
      while (this.step(untilNs));
    } catch (error) {
      if (!(error instanceof SimulationError)) {
        this.sched.enter(home);
        comeBack();
      }
      throw error;
    }
    comeBack();
    if (untilNs === Number.POSITIVE_INFINITY) this.requireNobodyStuck();
    else for (const cpu of this.sched.cpus) this.advance(cpu, untilNs);
    this.sched.enter(home);
  }

  /** The host's task leaves its CPU to others for as long as it lets the simulation go on; call the result to have it back. */
  private rest(cpu: Cpu): () => void {
    const { sched } = this;
    const host = cpu.current;
    if (host.flow !== undefined || host.driven > 0 || host === cpu.idle || !preemptible(cpu)) return () => {};
    host.state = 'sleeping';
    sched.install(cpu, cpu.idle);
    cpu.needResched = cpu.queue.length > 0;
    return () => {
      const { current } = cpu;
      host.state = 'running';
      sched.install(cpu, host);
      if (current !== cpu.idle) sched.enqueue(current, cpu, 'preempted');
    };
  }

  /** Drives a flow on the host's stack, on the current CPU, in its innermost context; others run while it waits. */
  drive<T>(flow: Flow<T>): T {
    const { sched } = this;
    const cpu = sched.here;
    const context = cpu.top;
    const task = cpu.current;
    this.hold(context, task, 1);
    try {
      for (;;) {
        const step = flow.next();
        if (step.done === true) return step.value;
        this.wait(step.value, task, context);
      }
    } finally {
      this.hold(context, task, -1);
    }
  }

  private hold(context: Context | undefined, task: Task, by: 1 | -1): void {
    if (context === undefined) task.driven += by;
    else context.driven = by > 0;
  }

  /** Lets others run for as long as a host-driven flow has to wait. */
  private wait(pause: Pause, task: Task, context: Context | undefined): void {
    const { sched } = this;
    let cpu = sched.here;
    if (pause.kind === 'spin') {
      while (!satisfied(pause, sched.clock.nanos)) {
        if (context === undefined && cpu.needResched && preemptible(cpu)) {
          this.reschedule(cpu);
          this.comeBack(pause, task, context);
          cpu = sched.here;
          continue;
        }
        const stepped = this.step(pause.deadlineNs);
        sched.enter(cpu);
        if (stepped) continue;
        if (pause.deadlineNs === undefined) this.deadlock(pause);
        this.advance(cpu, pause.deadlineNs);
      }
    } else if (leaves(pause, cpu)) {
      task.pause = pause;
      this.reschedule(cpu);
    } else if (sched.interleaved) {
      // It goes on itself unless something else is due: what comes later must not be taken for the next thing.
      const own = this.chooser === this.byTime ? deliverable(cpu) : undefined;
      // What waits for this CPU's interrupts to be on again comes at once, however far back the others are.
      if (own !== undefined) this.take({ kind: 'interrupt', cpu, interrupt: own });
      else if (this.choices().some((choice) => timeOf(choice) <= sched.clock.nanos)) this.step();
      else return;
    } else return;
    this.comeBack(pause, task, context);
    if (task.pause === pause) task.pause = undefined;
  }

  /** Runs others until the task is on a CPU and what came on top of its context has ended. */
  private comeBack(pause: Pause, task: Task, context: Context | undefined): void {
    const { sched } = this;
    const there = (): boolean => {
      const cpu = sched.cpus[task.cpu]!;
      return (task.onCpu || task === cpu.idle) && cpu.top === context;
    };
    while (!there()) if (!this.step()) this.deadlock(pause);
    sched.enter(sched.cpus[task.cpu]!);
  }

  /** Takes one step; false when nothing can happen (before `untilNs`). */
  step(untilNs = Number.POSITIVE_INFINITY): boolean {
    const choices = this.choices(untilNs);
    if (choices.length === 0) return false;
    if (++this.steps > this.maxSteps) {
      throw new SimulationError('SIM_STEPS', `the simulation took more than ${this.maxSteps} steps`);
    }
    this.take(choices[choices.length === 1 ? 0 : this.chooser(choices)]!);
    return true;
  }

  /** A program has executed instructions; throws `SimulationError` past `maxInsns`. */
  executed(insns: number): void {
    this.insns += insns;
    if (this.insns <= this.maxInsns) return;
    throw new SimulationError(
      'SIM_INSNS',
      `the simulation's programs executed more than ${this.maxInsns} instructions`,
    );
  }

  /** A program begins to run. */
  begun(): void {
    this.executed(INSNS_PER_RUN);
  }

  /** What can happen next. */
  choices(untilNs = Number.POSITIVE_INFINITY): Choice[] {
    const { sched } = this;
    const found: Choice[] = [];
    sched.here.timeNs = sched.clock.nanos;
    for (const cpu of sched.cpus) {
      if (cpu.timeNs >= untilNs) continue;
      const interrupt = deliverable(cpu);
      if (interrupt !== undefined) found.push({ kind: 'interrupt', cpu, interrupt });
      const spin = this.endSpins(cpu);
      if (this.exploring) this.addSwitches(cpu, found);
      if (this.canRun(cpu)) found.push(this.runs[cpu.id]!);
      if (spin?.deadlineNs !== undefined) found.push({ kind: 'timeout', cpu, timeNs: spin.deadlineNs });
    }
    const timer = this.nextTimer(found.length === 0);
    if (timer !== undefined && timer.timeNs < untilNs && this.matters(timer, untilNs))
      found.push({ kind: 'timer', timer });
    return found;
  }

  /** Where schedules are explored, housekeeping waits until nothing else is left. */
  private nextTimer(alone: boolean): Timer | undefined {
    const first = this.timers[0];
    if (!this.exploring || first?.background === undefined) return first;
    return this.timers.find(({ background }) => background === undefined) ?? (alone ? first : undefined);
  }

  /** Whether something can come of a timer: where only ticks have been for long, nothing does. */
  private matters(timer: Timer, untilNs: number): boolean {
    if (timer.background === undefined || untilNs !== Number.POSITIVE_INFINITY) return true;
    if (this.timers.some((t) => t.background === undefined)) return true;
    return (
      this.lonely < LONELY_TICKS * this.sched.cpus.length && this.timers.some((t) => t.background!() === true)
    );
  }

  private canRun(cpu: Cpu): boolean {
    const { top, current } = cpu;
    if (top !== undefined) return !top.driven && top.flow !== undefined && top.pause?.kind !== 'spin';
    // A task that the host drives keeps its CPU until it pauses.
    if (current.driven > 0) return false;
    if (current === cpu.idle)
      return !this.exploring && (cpu.queue.some((task) => !task.onCpu) || this.sched.canPull(cpu));
    if (current.flow === undefined) return false;
    return cpu.taskPause?.kind !== 'spin' || givesWay(cpu);
  }

  /** Ends spins whose condition holds: their CPU's time is then at least that of the CPU that made it hold. */
  private endSpins(cpu: Cpu): SpinPause | undefined {
    const { top } = cpu;
    const pause = top === undefined ? cpu.taskPause : top.pause;
    if (pause?.kind !== 'spin') return undefined;
    if (!satisfied(pause, cpu.timeNs)) return pause;
    if (top === undefined) cpu.taskPause = undefined;
    else top.pause = undefined;
    this.advance(cpu, this.sched.clock.nanos);
    return undefined;
  }

  /** The tasks that a CPU could turn to now instead of going on. */
  private addSwitches(cpu: Cpu, found: Choice[]): void {
    const { current, queue } = cpu;
    if (cpu.top !== undefined || current.driven > 0) return;
    if (current === cpu.idle) {
      const runnable = [...queue];
      for (const other of this.sched.cpus) {
        if (other === cpu || other.current === other.idle) continue;
        for (const task of other.queue)
          if (task.migrationDisabled === 0 && task.allows(cpu.id) && !task.onCpu) runnable.push(task);
      }
      const first = Math.min(...runnable.map(rank));
      for (const task of runnable) if (rank(task) === first) found.push({ kind: 'switch', cpu, task });
      return;
    }
    if (cpu.taskPause?.kind !== 'point' || current.driven > 0 || !preemptible(cpu)) return;
    // First in, first out: such a task leaves for nobody of its own priority.
    if (current.attr.policy === 'fifo' || current.attr.policy === 'deadline') return;
    for (const task of queue) if (rank(task) === rank(current)) found.push({ kind: 'switch', cpu, task });
  }

  private furthestBack(choices: readonly Choice[]): number {
    let best = 0;
    for (let i = 1; i < choices.length; i++) if (earlier(choices[i]!, choices[best]!)) best = i;
    return best;
  }

  private take(choice: Choice): void {
    this.onTake?.(choice);
    if (choice.kind === 'timer') {
      const { timer } = choice;
      if (timer.background !== undefined) this.lonely++;
      else this.lonely = 0;
      this.timers.splice(this.timers.indexOf(timer), 1);
      this.advance(timer.cpu, timer.timeNs);
      timer.cpu.pending.push(timer.interrupt);
      return;
    }
    const { cpu } = choice;
    if (choice.kind === 'timeout') {
      this.advance(cpu, choice.timeNs);
      return;
    }
    this.sched.enter(cpu);
    if (choice.kind === 'switch') {
      this.switchTo(cpu, choice.task);
      // One that the host drives goes on by itself.
      if (choice.task.flow !== undefined) this.resumeTask(cpu);
    } else if (choice.kind === 'interrupt') this.begin(cpu, choice.interrupt);
    else if (cpu.top !== undefined) this.resumeInterrupt(cpu, cpu.top);
    else if (cpu.current === cpu.idle || givesWay(cpu)) this.reschedule(cpu);
    else this.resumeTask(cpu);
  }

  private begin(cpu: Cpu, interrupt: PendingInterrupt): Context {
    cpu.pending.splice(cpu.pending.indexOf(interrupt), 1);
    const { kind, name } = interrupt;
    const flow = interrupt.flow();
    const context: Context = { kind, name, flow, pause: undefined, calls: [], driven: false };
    cpu.interrupts.push(context);
    return context;
  }

  private resumeInterrupt(cpu: Cpu, context: Context): void {
    context.pause = undefined;
    context.driven = true;
    let over = true;
    try {
      const step = context.flow!.next();
      over = step.done === true;
      if (step.done !== true) context.pause = step.value;
    } finally {
      // One that throws has ended, too.
      context.driven = false;
      if (over) cpu.interrupts.splice(cpu.interrupts.indexOf(context), 1);
    }
  }

  private resumeTask(cpu: Cpu): void {
    const task = cpu.current;
    this.lonely = 0;
    cpu.taskPause = undefined;
    task.driven++;
    const step = this.advanceTask(task);
    if (step === undefined) {
      task.state = 'dead';
      this.reschedule(cpu);
    } else {
      cpu.taskPause = step;
      if (leaves(step, cpu)) this.reschedule(cpu);
    }
  }

  /** The next pause of a task, undefined where its flow has ended. */
  private advanceTask(task: Task): Pause | undefined {
    try {
      const step = task.flow!.next();
      return step.done === true ? undefined : step.value;
    } catch (error) {
      // A program's fault ends the task; after a deadlock everything stays as it is, to be looked at.
      if (!(error instanceof SimulationError)) this.kill(task);
      throw error;
    } finally {
      task.driven--;
    }
  }

  private kill(task: Task): void {
    task.state = 'dead';
    const cpu = this.sched.cpus[task.cpu]!;
    if (cpu.current === task) this.sched.install(cpu, cpu.idle);
  }

  /** __schedule: the current task gives the CPU to the next one. */
  reschedule(cpu: Cpu): void {
    const prev = cpu.current;
    this.putBack(cpu, prev);
    // Where schedules are explored, the next step says to whom the CPU turns.
    this.install(cpu, prev, this.exploring ? cpu.idle : this.sched.takeNext(cpu));
  }

  /** Turns a CPU to a task that waits in some queue. */
  private switchTo(cpu: Cpu, next: Task): void {
    const prev = cpu.current;
    this.sched.takeTask(next);
    this.putBack(cpu, prev);
    this.install(cpu, prev, next);
  }

  private putBack(cpu: Cpu, prev: Task): void {
    const { sched } = this;
    sched.account(cpu);
    if (prev === cpu.idle || prev.state === 'dead') return;
    // Preempted between deciding to sleep and leaving: it stays runnable and decides again.
    const preempted = prev.pause?.kind === 'point';
    if (prev.state !== 'running' && !preempted) return;
    const here = prev.allows(cpu.id) || prev.migrationDisabled > 0;
    sched.enqueue(prev, here ? cpu : sched.selectCpu(prev), here ? 'preempted' : 'moved');
  }

  private install(cpu: Cpu, prev: Task, next: Task): void {
    const { sched } = this;
    if (next === prev) {
      cpu.needResched = false;
      return;
    }
    if (cpu === sched.here) sched.fireSwitch(prev, next);
    sched.install(cpu, next);
    sched.charge(cpu === sched.here ? sched.costs.contextSwitch : 0);
    sched.onContextSwitch?.(prev, next);
  }

  private advance(cpu: Cpu, timeNs: number): void {
    const { sched } = this;
    if (cpu === sched.here) sched.clock.nanos = Math.max(sched.clock.nanos, timeNs);
    else cpu.timeNs = Math.max(cpu.timeNs, timeNs);
  }

  private requireNobodyStuck(): void {
    for (const cpu of this.sched.cpus) {
      const spin = [...cpu.interrupts.map(({ pause }) => pause), cpu.taskPause].find(
        (p) => p?.kind === 'spin',
      );
      if (spin !== undefined) this.deadlock(undefined);
    }
    for (const task of this.sched.tasks.values()) {
      const sleeps = task.state === 'sleeping' || task.state === 'rtlock';
      if (sleeps && !task.daemon && task.driven === 0) this.deadlock(undefined);
    }
  }

  /** Who waits for whom, and on what. */
  waiters(): string[] {
    const lines: string[] = [];
    for (const cpu of this.sched.cpus) {
      for (const { kind, name, pause } of cpu.interrupts) {
        if (pause?.kind === 'spin') lines.push(`${kind} ${name} on CPU ${cpu.id} spins on ${named(pause)}`);
      }
      const { taskPause, current } = cpu;
      if (taskPause?.kind === 'spin')
        lines.push(`${current.label} on CPU ${cpu.id} spins on ${named(taskPause)}`);
    }
    for (const task of this.sched.tasks.values()) {
      if (task.sleepsOn === undefined || task.state === 'running' || task.daemon) continue;
      lines.push(`${task.label} sleeps on ${named({ on: task.sleepsOn })}`);
    }
    return lines;
  }

  private deadlock(pause: Pause | undefined): never {
    const lines = this.waiters();
    if (pause?.kind === 'spin') {
      const { here } = this.sched;
      const line = `${here.top?.name ?? here.current.label} on CPU ${here.id} spins on ${named(pause)}`;
      if (!lines.includes(line)) lines.unshift(line);
    }
    this.sched.console.splat('deadlock', ['bpflab: deadlock: nothing can go on', ...lines]);
    throw new SimulationError('SIM_DEADLOCK', `nothing can go on: ${lines.join('; ')}`);
  }
}

/** Whether the task gives its CPU up: it sleeps, or may be preempted and is to be. */
function leaves(pause: Pause, cpu: Cpu): boolean {
  return pause.kind === 'schedule' || (pause.kind === 'point' && cpu.needResched && preemptible(cpu));
}

/** Whether a CPU's task has to leave before it goes on. */
function givesWay(cpu: Cpu): boolean {
  return cpu.top === undefined && cpu.needResched && preemptible(cpu);
}

function named({ on }: Pick<SpinPause, 'on'>): string {
  const holder = on.holder();
  return holder === undefined ? on.name : `${on.name}, held by ${holder}`;
}

function satisfied(pause: SpinPause, nowNs: number): boolean {
  return pause.until() || (pause.deadlineNs !== undefined && nowNs >= pause.deadlineNs);
}

/** The interrupt that a CPU would take now: an NMI unless in one, another one while they are on. */
function deliverable(cpu: Cpu): PendingInterrupt | undefined {
  if (cpu.pending.length === 0 || inNmi(cpu)) return undefined;
  return cpu.pending.find(({ kind }) => kind === 'nmi' || !cpu.irqsDisabled);
}

function timeOf(choice: Choice): number {
  if (choice.kind === 'timeout') return choice.timeNs;
  return choice.kind === 'timer' ? choice.timer.timeNs : choice.cpu.timeNs;
}

const RANK = { timer: 0, interrupt: 1, switch: 2, run: 3, timeout: 4 } as const;

/** Tasks of equal rank can run in any order: real-time ones by priority, all others together. */
function rank(task: Task): number {
  return Math.min(task.prio, MAX_RT_PRIO);
}

function earlier(a: Choice, b: Choice): boolean {
  const [x, y] = [timeOf(a), timeOf(b)];
  return x !== y ? x < y : RANK[a.kind] < RANK[b.kind];
}
