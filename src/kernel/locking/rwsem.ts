/**
 * rw_semaphore: many readers or one writer, asleep while they wait. Where the kernel is not RT, waiters stand in line and
 * readers come in together; on RT it is built on an rtmutex (`rwbase.ts`) and whoever releases it has to have taken it.
 * Models kernel/locking/rwsem.c (6.12).
 */
import { mightSleep } from '../sched/debug.js';
import { type Flow, point } from '../sched/flow.js';
import { schedule } from '../sched/sleep.js';
import type { Task } from '../sched/task.js';
import type { LockEnv } from './env.js';
import { LCB_READ, LCB_WRITE, Lock, type LockOptions } from './lock.js';
import { type LockKey, WaitType } from './lock-class.js';
import { READ_NONE, READ_SHARED, TRYLOCK } from './lock-flags.js';
import { RwBase } from './rwbase.js';
import type { Agent } from './wait-graph.js';

const WAITS = { outer: WaitType.inv, inner: WaitType.sleep };
const BEFORE = point('rwsem');
const READ_AT = 'kernel/locking/rwsem.c:1523';
const WRITE_AT = 'kernel/locking/rwsem.c:1576';

export interface RwSemOps {
  readonly name: string;
  readonly locked: boolean;
  downRead(place: string): Flow<void>;
  downReadTrylock(place: string): boolean;
  upRead(): void;
  downWrite(place: string): Flow<void>;
  downWriteTrylock(place: string): boolean;
  upWrite(): void;
  downgradeWrite(place: string): void;
  /** The current reader leaves the release to somebody else (rwsem_release of its lockdep map). */
  disownRead(): void;
  /** Releases for a reader that has disowned it; false, and nothing is released, on RT. */
  upReadNonOwner(): boolean;
}

interface Waiter {
  readonly task: Task;
  readonly write: boolean;
  granted: boolean;
}

export class FairRwSem extends Lock implements RwSemOps {
  readonly spins = false;
  declare owner: Task | undefined;
  private readonly readers: Task[] = [];
  private readonly waiters: Waiter[] = [];

  constructor(env: LockEnv, key: LockKey | string, options: LockOptions = {}) {
    super(env, key, WAITS, options);
  }

  get locked(): boolean {
    return this.owner !== undefined || this.readers.length > 0;
  }

  override holders(): Agent[] {
    return this.owner === undefined ? [...this.readers] : [this.owner];
  }

  override blockers(waiter: Agent): Agent[] {
    const at = this.waiters.findIndex(({ task }) => task === waiter);
    return [...this.holders(), ...this.waiters.slice(0, Math.max(at, 0)).map(({ task }) => task)];
  }

  *downRead(place: string): Flow<void> {
    yield* this.before(place, READ_SHARED, READ_AT);
    if (this.owner === undefined && this.waiters.length === 0) this.readers.push(this.sched.current);
    else yield* this.contend(false);
    this.noteTaken(place);
  }

  downReadTrylock(place: string): boolean {
    if (this.owner !== undefined || this.waiters.length > 0) return this.missed();
    this.env.lockdep.acquire(this, place, READ_SHARED + TRYLOCK);
    this.readers.push(this.sched.current);
    this.noteTaken(place);
    return true;
  }

  upRead(): void {
    this.env.lockdep.release(this);
    this.endRead();
  }

  *downWrite(place: string): Flow<void> {
    yield* this.before(place, READ_NONE, WRITE_AT);
    if (this.locked || this.waiters.length > 0) yield* this.contend(true);
    else this.owner = this.sched.current;
    this.noteTaken(place);
  }

  downWriteTrylock(place: string): boolean {
    if (this.locked || this.waiters.length > 0) return this.missed();
    this.env.lockdep.acquire(this, place, TRYLOCK);
    this.take(this.sched.current, place);
    return true;
  }

  upWrite(): void {
    this.env.lockdep.release(this);
    this.drop();
    this.grant();
  }

  downgradeWrite(place: string): void {
    const { lockdep } = this.env;
    lockdep.release(this);
    lockdep.acquire(this, place, READ_SHARED + TRYLOCK);
    this.readers.push(this.sched.current);
    this.owner = undefined;
    this.grant();
  }

  disownRead(): void {
    this.env.lockdep.release(this);
  }

  upReadNonOwner(): boolean {
    this.endRead();
    return true;
  }

  private *before(place: string, how: number, at: string): Flow<void> {
    const { sched, env } = this;
    if (sched.interleaved) yield BEFORE;
    mightSleep(sched, at);
    env.lockdep.acquire(this, place, how);
  }

  private endRead(): void {
    const at = this.readers.lastIndexOf(this.sched.current);
    this.readers.splice(Math.max(at, 0), 1);
    this.noteDropped();
    if (this.readers.length === 0) this.grant();
  }

  private *contend(write: boolean): Flow<void> {
    const { current } = this.sched;
    const waiter: Waiter = { task: current, write, granted: false };
    this.waiters.push(waiter);
    yield* this.slowPath(current, {
      fn: write ? 'rwsem_down_write_slowpath' : 'rwsem_down_read_slowpath',
      flags: write ? LCB_WRITE : LCB_READ,
      wait: () => this.wait(waiter),
      take: () => {
        current.state = 'running';
      },
    });
  }

  /** Whoever releases the semaphore gives it to those whom it lets in. */
  private *wait(waiter: Waiter): Flow<void> {
    while (!waiter.granted) {
      waiter.task.state = 'sleeping';
      yield* schedule(this.sched, this);
    }
  }

  /** Lets in the first waiter, and with a reader all other readers. */
  private grant(): void {
    const first = this.waiters[0];
    if (first === undefined || this.owner !== undefined) return;
    if (first.write && this.readers.length > 0) return;
    const chosen = first.write ? [first] : this.waiters.filter(({ write }) => !write);
    for (const waiter of chosen) {
      this.waiters.splice(this.waiters.indexOf(waiter), 1);
      waiter.granted = true;
      if (waiter.write) this.owner = waiter.task;
      else this.readers.push(waiter.task);
      this.sched.wake(waiter.task);
    }
  }
}

export class RtRwSem extends RwBase implements RwSemOps {
  constructor(env: LockEnv, key: LockKey | string, options: LockOptions = {}) {
    super(env, key, WAITS, options);
  }

  *downRead(place: string): Flow<void> {
    yield* this.before(place, READ_SHARED, READ_AT);
    yield* this.readFlow(place, 'sleeping');
  }

  downReadTrylock(place: string): boolean {
    if (!this.tryRead(place)) return false;
    this.env.lockdep.acquire(this, place, READ_SHARED + TRYLOCK);
    return true;
  }

  upRead(): void {
    this.env.lockdep.release(this);
    this.endRead();
  }

  *downWrite(place: string): Flow<void> {
    yield* this.before(place, READ_NONE, WRITE_AT);
    yield* this.writeFlow(place, 'sleeping');
  }

  downWriteTrylock(place: string): boolean {
    if (!this.tryWrite(place)) return false;
    this.env.lockdep.acquire(this, place, TRYLOCK);
    return true;
  }

  upWrite(): void {
    this.env.lockdep.release(this);
    this.endWrite();
  }

  downgradeWrite(place: string): void {
    const { lockdep } = this.env;
    lockdep.release(this);
    lockdep.acquire(this, place, READ_SHARED + TRYLOCK);
    this.downgradeToRead(place);
  }

  disownRead(): void {
    this.env.lockdep.release(this);
  }

  upReadNonOwner(): boolean {
    const { console, current } = this.sched;
    console.warn(
      'kernel/locking/rwsem.c up_read_non_owner',
      `${this.name}: ${current.label} does not own what it is to release, and on PREEMPT_RT it has to`,
    );
    return false;
  }

  private *before(place: string, how: number, at: string): Flow<void> {
    const { sched, env } = this;
    if (sched.interleaved) yield BEFORE;
    mightSleep(sched, at);
    env.lockdep.acquire(this, place, how);
  }
}
