/**
 * seqcount: readers look again when a writer was there meanwhile. With a lock associated, a reader on RT who finds a
 * writer takes and releases that lock, lest it spin for one that it has preempted. Models include/linux/seqlock.h (6.12).
 */
import { type Flow, point } from '../sched/flow.js';
import { waitable } from '../sched/sched.js';
import type { LockEnv } from './env.js';
import type { SpinLockOps } from './raw-spinlock.js';

const READ = point('read_seqbegin');
const WRITE = point('write_seqcount_begin');

export class SeqCount {
  private sequence = 0;
  /** The writer took preemption away by itself, having no lock that does. */
  private preemptOff = false;

  constructor(
    private readonly env: LockEnv,
    private readonly name: string,
    /** The lock that writers hold; undefined where they see to it in another way. */
    private readonly lock?: SpinLockOps,
  ) {}

  /** read_seqcount_begin: what `retry` compares with. */
  *begin(place: string): Flow<number> {
    const { sched } = this.env;
    if (sched.interleaved) yield READ;
    sched.touch(this, false);
    while ((this.sequence & 1) !== 0) {
      if (sched.rt && this.lock !== undefined) {
        yield* this.lock.lock(place);
        this.lock.unlock();
      } else yield { kind: 'spin', until: () => (this.sequence & 1) === 0, on: waitable(this.name) };
    }
    return this.sequence;
  }

  /** read_seqcount_retry: whether a writer came in between. */
  retry(start: number): boolean {
    this.env.sched.touch(this, false);
    return this.sequence !== start;
  }

  /** write_seqcount_begin; the caller holds the associated lock. */
  *writeBegin(place: string): Flow<void> {
    const { sched } = this.env;
    if (sched.interleaved) yield WRITE;
    this.preemptOff = this.lock === undefined || !sched.rt;
    if (this.preemptOff) sched.preemptDisable(place);
    sched.touch(this, true);
    this.sequence++;
  }

  writeEnd(): void {
    const { sched } = this.env;
    sched.touch(this, true);
    this.sequence++;
    if (this.preemptOff) sched.preemptEnable();
  }
}
