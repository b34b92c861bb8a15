/**
 * The rtmutex: a lock whose waiters sleep, wait in the order of their priorities and lend them to the owner, along the
 * whole chain of owners that wait themselves. On RT all sleeping locks are built on it. Models kernel/locking/rtmutex.c
 * (6.12); its internal `wait_lock` is not modelled, since nothing can come between the steps that it protects.
 */
import { type Flow, point } from '../sched/flow.js';
import type { Sched } from '../sched/sched.js';
import { schedule } from '../sched/sleep.js';
import { MAX_RT_PRIO, type Task, type TaskState } from '../sched/task.js';
import { LCB_RT, Lock, type SlowPath } from './lock.js';

/** Owners in a row after which a chain is no longer followed (max_lock_depth). */
const MAX_CHAIN_DEPTH = 1024;
/** All normal tasks wait with the same priority, in the order in which they came (DEFAULT_PRIO). */
const NORMAL_WAITER_PRIO = 120;
const RETRY = point('rt_mutex try to take');

/** A task that waits for a lock (`struct rt_mutex_waiter`). */
export interface RtWaiter {
  readonly task: Task;
  readonly lock: RtMutex;
  prio: number;
}

/** What the priority inheritance keeps of a task (`pi_waiters`, `pi_blocked_on`). */
interface PiState {
  /** The first waiter of each lock that the task owns, the most urgent first. */
  readonly waiters: RtWaiter[];
  blockedOn: RtWaiter | undefined;
}

const states = new WeakMap<Task, PiState>();

function piOf(task: Task): PiState {
  let state = states.get(task);
  if (state === undefined) {
    state = { waiters: [], blockedOn: undefined };
    states.set(task, state);
  }
  return state;
}

/** How a waiter sleeps: as a sleeping spinlock's, which keeps the task's state, or as a mutex's. */
export type WaitState = Extract<TaskState, 'rtlock' | 'sleeping'>;

export class RtMutex extends Lock {
  readonly spins = false;
  declare owner: Task | undefined;
  /** By priority, then arrival. */
  private readonly waiters: RtWaiter[] = [];

  get locked(): boolean {
    return this.owner !== undefined;
  }

  /** Waiters, the first being the next owner. */
  waiting(): readonly Task[] {
    return this.waiters.map(({ task }) => task);
  }

  /** Takes the lock for the current task where it is free and nobody more urgent waits for it. */
  tryTake(place: string): boolean {
    const { current } = this.sched;
    if (this.owner !== undefined || !this.maySteal(current, 'sleeping')) return this.missed();
    this.take(current, place);
    this.inheritFromTop(current);
    return true;
  }

  /** Takes the lock, waiting for it asleep; the task's state afterwards is that before. */
  *takeFlow(place: string, state: WaitState): Flow<void> {
    if (this.tryTake(place)) return;
    const { current } = this.sched;
    const waiter: RtWaiter = { task: current, lock: this, prio: waiterPrio(current) };
    yield* this.sleep(state, {
      fn: state === 'rtlock' ? 'rtlock_slowlock' : 'rt_mutex_slowlock',
      flags: LCB_RT,
      wait: () => this.waitAs(waiter, state),
      take: () => {
        this.unblock(waiter);
        this.take(current, place);
        this.inheritFromTop(current);
      },
    });
  }

  private *waitAs(waiter: RtWaiter, state: WaitState): Flow<void> {
    this.block(waiter);
    yield* this.sleepUntil(state, () => this.canTake(waiter, state));
  }

  /** Gives the lock up: the first waiter is woken to take it, what it lent is given back. */
  giveUp(): void {
    const { owner } = this;
    this.drop();
    if (this.waiters.length === 0 || owner === undefined) return;
    const top = this.waiters[0]!;
    const { waiters } = piOf(owner);
    removeFrom(waiters, top);
    this.adjustPrio(owner);
    this.wakeUp(top.task);
  }

  /** Wakes a task that sleeps for the lock, however it does. */
  protected wakeUp(task: Task): void {
    this.sched.wake(task, task.state === 'rtlock' ? 'rtlock' : 'sleeping');
  }

  /** A slow path that leaves the task's state as it found it. */
  protected *sleep(state: WaitState, way: SlowPath): Flow<void> {
    const task = this.sched.current;
    if (state === 'rtlock') task.savedState = task.state;
    const { take } = way;
    const restore = (): void => {
      task.state = state === 'rtlock' ? task.savedState : 'running';
      task.savedState = 'running';
    };
    yield* this.slowPath(task, {
      ...way,
      take: () => {
        restore();
        take();
      },
    });
  }

  /** The current task sleeps until a condition holds; whoever makes it hold wakes it. */
  protected *sleepUntil(state: WaitState, holds: () => boolean): Flow<void> {
    const { sched } = this;
    const task = sched.current;
    while (!holds()) {
      task.state = state;
      yield* schedule(sched, this);
      if (sched.interleaved) yield RETRY;
    }
  }

  private canTake(waiter: RtWaiter, state: WaitState): boolean {
    if (this.owner !== undefined) return false;
    return this.waiters[0] === waiter || this.maySteal(waiter.task, state);
  }

  /** rt_mutex_steal: a more urgent task goes first; a spinlock's waiter of the same normal priority may, too. */
  private maySteal(task: Task, state: WaitState): boolean {
    const top = this.waiters[0];
    if (top === undefined) return true;
    const prio = waiterPrio(task);
    return prio < top.prio || (state === 'rtlock' && prio === top.prio && prio >= MAX_RT_PRIO);
  }

  /** task_blocks_on_rt_mutex. */
  private block(waiter: RtWaiter): void {
    const old = this.waiters[0];
    insert(this.waiters, waiter);
    piOf(waiter.task).blockedOn = waiter;
    const { owner } = this;
    if (owner === undefined || this.waiters[0] !== waiter) return;
    this.replaceTop(owner, old, waiter);
    this.walk(owner);
  }

  private unblock(waiter: RtWaiter): void {
    removeFrom(this.waiters, waiter);
    piOf(waiter.task).blockedOn = undefined;
  }

  /** The new owner inherits from who still waits. */
  private inheritFromTop(owner: Task): void {
    const top = this.waiters[0];
    if (top === undefined) return;
    insert(piOf(owner).waiters, top);
    this.adjustPrio(owner);
  }

  private replaceTop(owner: Task, old: RtWaiter | undefined, top: RtWaiter | undefined): void {
    const { waiters } = piOf(owner);
    if (old !== undefined) removeFrom(waiters, old);
    if (top !== undefined) insert(waiters, top);
    this.adjustPrio(owner);
  }

  /** rt_mutex_adjust_prio: the task's own priority, or that of the most urgent of those who wait for its locks. */
  private adjustPrio(task: Task): void {
    const top = piOf(task).waiters[0];
    const lent = top === undefined ? task.normalPrio : top.task.prio;
    this.sched.setPrio(task, Math.min(task.normalPrio, lent));
  }

  /** rt_mutex_adjust_prio_chain: what a task waits for, and who has that, learn of its new priority. */
  private walk(from: Task): void {
    let task = from;
    for (let depth = 0; ; depth++) {
      const waiter = piOf(task).blockedOn;
      if (waiter === undefined || waiter.prio === waiterPrio(task)) return;
      if (depth > MAX_CHAIN_DEPTH) {
        this.sched.console.print(
          `Maximum lock depth ${MAX_CHAIN_DEPTH} reached task: ${from.comm} (${from.pid})`,
        );
        return;
      }
      const next = waiter.lock.requeue(waiter);
      if (next === undefined) return;
      task = next;
    }
  }

  /** A waiter's priority has changed: the owner that has to learn of it, if any. */
  private requeue(waiter: RtWaiter): Task | undefined {
    const old = this.waiters[0];
    removeFrom(this.waiters, waiter);
    waiter.prio = waiterPrio(waiter.task);
    insert(this.waiters, waiter);
    const top = this.waiters[0];
    const { owner } = this;
    if (owner === undefined) {
      if (top !== undefined && top !== old) this.wakeUp(top.task);
      return undefined;
    }
    if (old !== waiter && top !== waiter) return undefined;
    this.replaceTop(owner, old, top);
    return owner;
  }

  /** rt_mutex_adjust_pi: a task's own priority was changed from outside. */
  static reprioritize(task: Task, sched: Sched): void {
    const { blockedOn, waiters } = piOf(task);
    const lent = waiters[0]?.task.prio ?? task.normalPrio;
    sched.setPrio(task, Math.min(task.normalPrio, lent));
    blockedOn?.lock.walk(task);
  }
}

function waiterPrio(task: Task): number {
  return task.prio < MAX_RT_PRIO ? task.prio : NORMAL_WAITER_PRIO;
}

function insert(list: RtWaiter[], waiter: RtWaiter): void {
  const at = list.findIndex(({ prio }) => prio > waiter.prio);
  list.splice(at < 0 ? list.length : at, 0, waiter);
}

function removeFrom(list: RtWaiter[], waiter: RtWaiter): void {
  const at = list.indexOf(waiter);
  if (at >= 0) list.splice(at, 1);
}
