/**
 * rwlock_t. Where the kernel is not RT it spins, fair between readers and writers except that readers in interrupts pass
 * writers that wait; on RT it sleeps (`rwbase.ts`). Models kernel/locking/qrwlock.c and spinlock_rt.c (6.12).
 */
import { mightSleep } from '../sched/debug.js';
import { type Flow, point } from '../sched/flow.js';
import { inInterrupt } from '../sched/preempt.js';
import type { LockEnv } from './env.js';
import { LCB_READ, LCB_SPIN, LCB_WRITE, Lock, type LockOptions } from './lock.js';
import { type LockKey, WaitType } from './lock-class.js';
import { READ_NONE, READ_RECURSIVE, READ_SHARED, TRYLOCK } from './lock-flags.js';
import { enterRtSection, leaveRcu } from './rt-spinlock.js';
import { RwBase } from './rwbase.js';
import type { Agent } from './wait-graph.js';

const WAITS = { outer: WaitType.inv, inner: WaitType.config };
const BEFORE = point('rwlock');

/** The operations of an rwlock; `…Irqsave` gives what `…Irqrestore` wants back. */
export interface RwLockOps {
  readonly name: string;
  readonly locked: boolean;
  readLock(place: string): Flow<void>;
  readTryLock(place: string): boolean;
  readUnlock(): void;
  writeLock(place: string): Flow<void>;
  writeTryLock(place: string): boolean;
  writeUnlock(): void;
  readLockIrqsave(place: string): Flow<boolean>;
  readUnlockIrqrestore(irqsBefore: boolean): void;
  writeLockIrqsave(place: string): Flow<boolean>;
  writeUnlockIrqrestore(irqsBefore: boolean): void;
}

/** Somebody who spins for it. */
interface Spinner {
  readonly agent: Agent;
  readonly write: boolean;
}

export class SpinningRwLock extends Lock implements RwLockOps {
  readonly spins = true;
  private readonly readers: Agent[] = [];
  private readonly queue: Spinner[] = [];

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
    const at = this.queue.findIndex(({ agent }) => agent === waiter);
    const ahead = this.queue.slice(0, Math.max(at, 0)).map(({ agent }) => agent);
    const write = this.queue[at]?.write ?? true;
    return [...(write || this.owner !== undefined ? this.holders() : []), ...ahead];
  }

  *readLock(place: string): Flow<void> {
    const { sched, env } = this;
    if (sched.interleaved) yield BEFORE;
    sched.preemptDisable(place);
    const passes = env.recursiveReaders || inInterrupt(sched.here);
    env.lockdep.acquire(this, place, passes ? READ_RECURSIVE : READ_SHARED);
    if (this.owner === undefined && (this.queue.length === 0 || passes)) this.addReader(place);
    else yield* this.contend(place, false, passes);
  }

  readTryLock(place: string): boolean {
    if (this.owner !== undefined) return this.missed();
    this.sched.preemptDisable(place);
    this.env.lockdep.acquire(this, place, READ_RECURSIVE + TRYLOCK);
    this.addReader(place);
    return true;
  }

  readUnlock(): void {
    const { readers } = this;
    this.env.lockdep.release(this);
    const at = readers.lastIndexOf(this.me);
    readers.splice(at < 0 ? readers.length - 1 : at, 1);
    this.noteDropped();
    this.sched.preemptEnable();
  }

  *writeLock(place: string): Flow<void> {
    const { sched, env } = this;
    if (sched.interleaved) yield BEFORE;
    sched.preemptDisable(place);
    env.lockdep.acquire(this, place, READ_NONE);
    if (!this.locked && this.queue.length === 0) this.take(this.me, place);
    else yield* this.contend(place, true, false);
  }

  writeTryLock(place: string): boolean {
    if (this.locked) return this.missed();
    this.sched.preemptDisable(place);
    this.env.lockdep.acquire(this, place, TRYLOCK);
    this.take(this.me, place);
    return true;
  }

  writeUnlock(): void {
    this.env.lockdep.release(this);
    this.drop();
    this.sched.preemptEnable();
  }

  *readLockIrqsave(place: string): Flow<boolean> {
    const before = this.sched.irqSave(place);
    yield* this.readLock(place);
    return before;
  }

  readUnlockIrqrestore(irqsBefore: boolean): void {
    this.readUnlock();
    this.sched.irqRestore(irqsBefore);
  }

  *writeLockIrqsave(place: string): Flow<boolean> {
    const before = this.sched.irqSave(place);
    yield* this.writeLock(place);
    return before;
  }

  writeUnlockIrqrestore(irqsBefore: boolean): void {
    this.writeUnlock();
    this.sched.irqRestore(irqsBefore);
  }

  private *contend(place: string, write: boolean, passes: boolean): Flow<void> {
    const me: Spinner = { agent: this.me, write };
    if (passes) this.queue.unshift(me);
    else this.queue.push(me);
    yield* this.slowPath(me.agent, {
      fn: write ? 'queued_write_lock_slowpath' : 'queued_read_lock_slowpath',
      flags: LCB_SPIN | (write ? LCB_WRITE : LCB_READ),
      wait: () => this.spin(me, passes),
      take: () => {
        this.queue.splice(this.queue.indexOf(me), 1);
        if (write) this.take(me.agent, place);
        else this.addReader(place);
      },
    });
  }

  private *spin(me: Spinner, passes: boolean): Flow<void> {
    const until = (): boolean => {
      const free = me.write ? !this.locked : this.owner === undefined;
      return free && (passes || this.queue[0] === me);
    };
    while (!until()) yield { kind: 'spin', until, on: this };
  }

  private addReader(place: string): void {
    this.readers.push(this.me);
    this.noteTaken(place);
  }
}

export class RtRwLock extends RwBase implements RwLockOps {
  constructor(env: LockEnv, key: LockKey | string, options: LockOptions = {}) {
    super(env, key, WAITS, options);
  }

  *readLock(place: string): Flow<void> {
    yield* this.before(place, READ_RECURSIVE);
    yield* this.readFlow(place, 'rtlock');
    enterRtSection(this.env, place);
  }

  readTryLock(place: string): boolean {
    return this.entered(this.tryRead(place), place, READ_RECURSIVE);
  }

  readUnlock(): void {
    this.env.lockdep.release(this);
    this.sched.migrateEnable();
    this.endRead();
    leaveRcu(this.env);
  }

  *writeLock(place: string): Flow<void> {
    yield* this.before(place, READ_NONE);
    yield* this.writeFlow(place, 'rtlock');
    enterRtSection(this.env, place);
  }

  writeTryLock(place: string): boolean {
    return this.entered(this.tryWrite(place), place, READ_NONE);
  }

  writeUnlock(): void {
    this.env.lockdep.release(this);
    this.sched.migrateEnable();
    this.endWrite();
    leaveRcu(this.env);
  }

  /** Interrupts stay on. */
  *readLockIrqsave(place: string): Flow<boolean> {
    yield* this.readLock(place);
    return false;
  }

  readUnlockIrqrestore(): void {
    this.readUnlock();
  }

  *writeLockIrqsave(place: string): Flow<boolean> {
    yield* this.writeLock(place);
    return false;
  }

  writeUnlockIrqrestore(): void {
    this.writeUnlock();
  }

  private *before(place: string, how: number): Flow<void> {
    const { sched, env } = this;
    if (sched.interleaved) yield BEFORE;
    env.lockdep.acquire(this, place, how);
    mightSleep(sched, sched.profile.rtSpinLockAt, true);
  }

  private entered(taken: boolean, place: string, how: number): boolean {
    if (!taken) return false;
    this.env.lockdep.acquire(this, place, how + TRYLOCK);
    enterRtSection(this.env, place);
    return true;
  }
}
