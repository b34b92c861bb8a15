/** A user address space as far as locks see it: `struct mm_struct` with its `mmap_lock` (`mmap_sem` before 5.8). */
import type { Locks } from '../locking/index.js';
import type { RwSemOps } from '../locking/rwsem.js';
import type { Task } from '../sched/task.js';

export class AddressSpace {
  /** Readers look at mappings, as page faults and build-id look-ups do; writers change them. */
  readonly mmapLock: RwSemOps;

  constructor(locks: Locks, key: string) {
    this.mmapLock = locks.rwsem(key);
  }
}

/** The address space of each process; kernel threads have none. */
export class AddressSpaces {
  private readonly byTgid = new Map<number, AddressSpace>();

  constructor(
    private readonly locks: Locks,
    private readonly key: string,
  ) {}

  of(task: Task): AddressSpace | undefined {
    if (task.attr.kthread === true) return undefined;
    let found = this.byTgid.get(task.attr.tgid);
    if (found === undefined) {
      found = new AddressSpace(this.locks, this.key);
      this.byTgid.set(task.attr.tgid, found);
    }
    return found;
  }
}
