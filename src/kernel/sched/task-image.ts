/**
 * A task as tracing programs that follow pointers see it: the image of its `struct task_struct` in engine memory, laid
 * out as the target kernel's BTF says.
 */
import type { Btf } from '../../object/btf/btf.js';
import type { EngineMemory, Region } from '../../vm/index.js';
import { commBytes, type TaskAttr } from './task.js';

/** Without BTF: enough for a pointer to lead somewhere that reads as zero. */
const BARE_SIZE = 4096;

export class TaskImage {
  private image: Region | undefined;
  private leaderImage: Region | undefined;

  constructor(
    private readonly attr: TaskAttr,
    private readonly memory: EngineMemory,
    private readonly btf: Btf | undefined,
  ) {}

  /** Address of the task's `struct task_struct`. */
  get address(): bigint {
    this.image ??= this.build();
    return this.image.address;
  }

  private build(): Region {
    const { attr } = this;
    const task = this.structOf(attr);
    const parent = this.structOf(attr.parent ?? attr);
    // A thread's leader is another task; a leader is its own.
    this.leaderImage = attr.pid === attr.tgid ? task : this.structOf({ ...attr, pid: attr.tgid });
    for (const region of [task, this.leaderImage]) {
      this.put(region, 'real_parent', parent.address, 8);
      this.put(region, 'parent', parent.address, 8);
      this.put(region, 'group_leader', this.leaderImage.address, 8);
    }
    this.put(parent, 'group_leader', parent.address, 8);
    this.put(parent, 'real_parent', parent.address, 8);
    return task;
  }

  private structOf(attr: TaskAttr): Region {
    const id = this.btf?.findByName('task_struct', 'struct');
    const size = id === undefined ? BARE_SIZE : this.btf!.sizeOf(id);
    const region = this.memory.alloc(size, 'read');
    this.put(region, 'pid', BigInt(attr.pid), 4);
    this.put(region, 'tgid', BigInt(attr.tgid), 4);
    const comm = this.offsetOf('comm');
    if (comm !== undefined) region.bytes.set(commBytes(attr.comm), comm);
    return region;
  }

  private put(region: Region, member: string, value: bigint, size: 4 | 8): void {
    const offset = this.offsetOf(member);
    if (offset === undefined) return;
    const { view } = this.memory;
    if (size === 4) view.setUint32(region.address32 + offset, Number(value), true);
    else view.setBigUint64(region.address32 + offset, value, true);
  }

  private offsetOf(member: string): number | undefined {
    const id = this.btf?.findByName('task_struct', 'struct');
    const found = id === undefined ? undefined : this.btf!.findMember(id, member);
    return found === undefined ? undefined : found.bitOffset / 8;
  }
}
