/**
 * Reader/writer locks that sleep, as RT builds its rwlocks and rw_semaphores: an rtmutex for writers, a count of readers
 * beside it. A writer takes the rtmutex, turns new readers away and waits for those inside; readers who find a writer go
 * through the rtmutex. Readers inherit no priority. Models kernel/locking/rwbase_rt.c (6.12).
 */
import type { Flow } from '../sched/flow.js';
import type { Task } from '../sched/task.js';
import { LCB_RT, LCB_WRITE } from './lock.js';
import { RtMutex, type WaitState } from './rtmutex.js';
import type { Agent } from './wait-graph.js';

export abstract class RwBase extends RtMutex {
  private readonly readers: Task[] = [];
  /** A writer has, or waits for readers to leave. */
  private claimed = false;

  override get locked(): boolean {
    return this.owner !== undefined || this.readers.length > 0;
  }

  override holders(): Agent[] {
    return this.owner !== undefined && this.readers.length === 0 ? [this.owner] : [...this.readers];
  }

  /** The writer waits for the readers inside; everybody else for the writer. */
  override blockers(waiter: Agent): Agent[] {
    return waiter === this.owner || this.owner === undefined ? [...this.readers] : [this.owner];
  }

  protected tryRead(place: string): boolean {
    if (this.claimed) return this.missed();
    this.addReader(place);
    return true;
  }

  protected *readFlow(place: string, state: WaitState): Flow<void> {
    if (this.tryRead(place)) return;
    yield* this.takeFlow(place, state);
    this.giveUp();
    this.addReader(place);
  }

  /** Whether the current task was among the readers. */
  protected endRead(): boolean {
    const at = this.readers.lastIndexOf(this.sched.current);
    if (at < 0) return false;
    this.readers.splice(at, 1);
    this.noteDropped();
    if (this.readers.length === 0 && this.claimed && this.owner !== undefined) this.wakeUp(this.owner);
    return true;
  }

  protected tryWrite(place: string): boolean {
    if (this.readers.length > 0 || !this.tryTake(place)) return false;
    this.claimed = true;
    return true;
  }

  protected *writeFlow(place: string, state: WaitState): Flow<void> {
    yield* this.takeFlow(place, state);
    this.claimed = true;
    if (this.readers.length === 0) {
      this.noteTaken(place);
      return;
    }
    yield* this.sleep(state, {
      fn: 'rwbase_write_lock',
      flags: LCB_RT | LCB_WRITE,
      wait: () => this.sleepUntil(state, () => this.readers.length === 0),
      take: () => this.noteTaken(place),
    });
  }

  protected endWrite(): void {
    this.claimed = false;
    this.giveUp();
  }

  /** The writer becomes a reader. */
  protected downgradeToRead(place: string): void {
    this.endWrite();
    this.addReader(place);
  }

  private addReader(place: string): void {
    this.readers.push(this.sched.current);
    this.noteTaken(place);
  }
}
