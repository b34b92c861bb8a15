/**
 * Memory of elements that are allocated one by one: kmalloc under the map's lock and call_rcu, or BPF's own allocator,
 * as the profile's `alloc` says; values of every CPU come from the per-CPU allocator beside it. What is stored lies in the
 * map's own pool (`elem-pool.ts`); here is what allocating costs, which locks it takes, and that it can fail. Models
 * alloc_htab_elem and htab_elem_free_rcu of kernel/bpf/hashtab.c.
 */
import type { BpfMemAlloc } from '../mm/bpf-mem-alloc.js';
import { GFP } from '../mm/gfp.js';
import { type Flow, runAtOnce } from '../sched/flow.js';
import type { MapHost } from './map.js';

const ATOMIC = GFP.atomic | GFP.noWarn;

/** What an element was allocated as; `part` is what it has on every CPU. */
interface Handles {
  readonly elem: number;
  readonly part: number;
}

export interface ElemSizes {
  /** Bytes of an element with its header. */
  readonly elem: number;
  /** Bytes on each CPU; 0 where it has none. */
  readonly part: number;
}

export class ElemAllocator {
  private readonly handles = new Map<number, Handles>();
  private readonly elems: BpfMemAlloc | undefined;
  private readonly parts: BpfMemAlloc | undefined;

  /** @param reuse takes an element's number back once nobody can see it any more */
  constructor(
    private readonly host: MapHost,
    private readonly sizes: ElemSizes,
    private readonly reuse: (elem: number) => void,
    /** Name of the RCU callback that frees. */
    private readonly callback = 'htab_elem_free_rcu',
  ) {
    if (host.sched.profile.alloc === 'kmalloc') return;
    this.elems = host.mm.bpfMemAlloc({ size: sizes.elem });
    if (sizes.part > 0) this.parts = host.mm.bpfMemAlloc({ size: sizes.part, percpu: true });
  }

  /** Memory for an element that `number` gives a number to; 0 when there is none. */
  takeNow(number: () => number): number {
    if (this.elems === undefined || this.parts !== undefined) return runAtOnce(this.takeFlow(number), waits);
    const elem = this.elems.allocNow();
    return elem === 0 ? 0 : this.keep(number(), { elem, part: 0 });
  }

  *takeFlow(number: () => number): Flow<number> {
    const { elems, parts, host, sizes } = this;
    const elem = elems === undefined ? yield* host.mm.kmallocNode(sizes.elem, ATOMIC) : yield* elems.alloc();
    if (elem === 0) return 0;
    let part = 0;
    if (sizes.part > 0) {
      part = parts === undefined ? yield* host.mm.allocPercpu(sizes.part, ATOMIC) : yield* parts.alloc();
      if (part === 0) {
        yield* this.release({ elem, part });
        return 0;
      }
    }
    return this.keep(number(), { elem, part });
  }

  giveNow(elem: number): void {
    const { elems } = this;
    if (elems === undefined || this.parts !== undefined) {
      runAtOnce(this.giveFlow(elem), waits);
      return;
    }
    const handles = this.handles.get(elem);
    this.handles.delete(elem);
    elems.freeNow(handles?.elem ?? 0);
    this.reuse(elem);
  }

  /** With kmalloc, readers see the element until a grace period is over; BPF's allocator gives it out again at once. */
  *giveFlow(elem: number): Flow<void> {
    const handles = this.handles.get(elem);
    this.handles.delete(elem);
    if (this.elems !== undefined) {
      if (handles !== undefined) yield* this.release(handles);
      this.reuse(elem);
      return;
    }
    const allocator = this;
    this.host.rcu.call({
      name: this.callback,
      *func() {
        if (handles !== undefined) yield* allocator.release(handles);
        allocator.reuse(elem);
      },
    });
  }

  /** The map goes, and every element with it. */
  destroy(): void {
    const { executor } = this.host;
    for (const handles of this.handles.values()) executor.drive(this.release(handles));
    this.handles.clear();
    if (this.elems !== undefined) executor.drive(this.elems.destroy());
    if (this.parts !== undefined) executor.drive(this.parts.destroy());
  }

  private keep(elem: number, handles: Handles): number {
    this.handles.set(elem, handles);
    return elem;
  }

  private *release({ elem, part }: Handles): Flow<void> {
    const { elems, parts, host } = this;
    if (part !== 0) {
      if (parts === undefined) yield* host.mm.freePercpu(part);
      else yield* parts.free(part);
    }
    if (elems === undefined) yield* host.mm.kfree(elem);
    else yield* elems.free(elem);
  }
}

function waits(): never {
  throw new Error('an allocation that must not wait does');
}
