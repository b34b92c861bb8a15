/** A control group: a node of the one hierarchy of version 2. Models `struct cgroup` (include/linux/cgroup-defs.h). */
import { KernelObject, type ObjectHost } from '../lib/kernel-object.js';

export class Cgroup extends KernelObject {
  /** Distance from the root, whose level is 0. */
  readonly level: number;

  constructor(
    host: ObjectHost,
    /** What `bpf_get_current_cgroup_id` gives: the inode number of its directory. */
    readonly id: bigint,
    readonly parent?: Cgroup,
  ) {
    super(host, 'cgroup');
    this.level = parent === undefined ? 0 : parent.level + 1;
  }

  /** The group itself or the one above it at a level; undefined below it. */
  ancestor(level: number): Cgroup | undefined {
    if (level < 0 || level > this.level) return undefined;
    let at: Cgroup = this;
    while (at.level > level && at.parent !== undefined) at = at.parent;
    return at;
  }

  /** Whether `other` is this group or lies above it. */
  isDescendantOf(other: Cgroup): boolean {
    return this.ancestor(other.level) === other;
  }

  protected override fill(): void {
    this.put('level', BigInt(this.level), 4);
  }
}
