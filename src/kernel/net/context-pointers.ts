/**
 * A packet's context in memory: the structure that programs see, whose `data`, `data_end` and `data_meta` have 32 bits,
 * and behind it the same pointers whole, which the accesses of verified programs are converted to
 * (src/kernel/bpf/convert). Other programs may not touch them.
 */
import type { EngineMemory, Region } from '../../vm/index.js';
import { POINTER_ROOM } from '../bpf/convert/fields.js';

export class ContextPointers {
  readonly context: Region;
  private readonly high: number;
  private shown = false;

  constructor(
    private readonly memory: EngineMemory,
    private readonly size: number,
  ) {
    this.context = memory.alloc(size + POINTER_ROOM, 'readwrite');
    this.high = Number(memory.addressOf(0) >> 32n) | 0;
    memory.protect(this.context.address32 + size, POINTER_ROOM, 'none');
  }

  /** Whether programs may read the whole pointers. */
  show(shown: boolean): void {
    if (shown === this.shown) return;
    this.shown = shown;
    this.memory.protect(this.context.address32 + this.size, POINTER_ROOM, shown ? 'read' : 'none');
  }

  /** Memory offsets; 0 stays a null pointer. */
  set(data: number, dataEnd: number, dataMeta: number): void {
    const { i32 } = this.memory;
    const at = (this.context.address32 + this.size) >> 2;
    i32[at] = data;
    i32[at + 1] = data === 0 ? 0 : this.high;
    i32[at + 2] = dataEnd;
    i32[at + 3] = dataEnd === 0 ? 0 : this.high;
    i32[at + 4] = dataMeta;
    i32[at + 5] = dataMeta === 0 ? 0 : this.high;
  }
}
