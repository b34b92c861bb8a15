/**
 * Memory of elements that are allocated one by one: kmalloc under the map's lock and call_rcu, or BPF's own allocator,
 * as the profile's `alloc` says; values of every CPU come from the per-CPU allocator beside it. What is stored lies in the
 * map's own pool (`elem-pool.ts`); here is what allocating costs, which locks it takes, and that it can fail. Models
 * alloc_htab_elem and htab_elem_free_rcu of kernel/bpf/hashtab.c.
 */
import { SimulationError } from '../errors.js';
import type { BpfMemAlloc } from '../mm/bpf-mem-alloc.js';
import { GFP } from '../mm/gfp.js';
import { type Flow, runAtOnce } from '../sched/flow.js';
import type { MapHost } from './map.js';

/** Elements that there is room for at first; it doubles as needed. */
const INITIAL = 64;
const ATOMIC = GFP.atomic | GFP.noWarn;

export interface ElemSizes {
  /** Bytes of an element with its header. */
  readonly elem: number;
  /** Bytes on each CPU; 0 where it has none. */
  readonly part: number;
}

export class ElemAllocator {
  /** By element: what it was allocated as, and what it has on every CPU; 0 for nothing. */
  private handles = new Int32Array(INITIAL);
  private parts = new Int32Array(INITIAL);
  private readonly elems: BpfMemAlloc | undefined;
  private readonly partAlloc: BpfMemAlloc | undefined;

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
    if (sizes.part > 0) this.partAlloc = host.mm.bpfMemAlloc({ size: sizes.part, percpu: true });
  }

  /** Memory for an element that `number` gives a number to; 0 when there is none. */
  takeNow(number: () => number): number {
    if (this.elems === undefined || this.partAlloc !== undefined)
      return runAtOnce(this.takeFlow(number), waits);
    const handle = this.elems.allocNow();
    return handle === 0 ? 0 : this.keep(number(), handle, 0);
  }

  *takeFlow(number: () => number): Flow<number> {
    const { elems, partAlloc, host, sizes } = this;
    const handle =
      elems === undefined ? yield* host.mm.kmallocNode(sizes.elem, ATOMIC) : yield* elems.alloc();
    if (handle === 0) return 0;
    let part = 0;
    if (sizes.part > 0) {
      part =
        partAlloc === undefined ? yield* host.mm.allocPercpu(sizes.part, ATOMIC) : yield* partAlloc.alloc();
      if (part === 0) {
        yield* this.release(handle, 0);
        return 0;
      }
    }
    return this.keep(number(), handle, part);
  }

  giveNow(elem: number): void {
    const { elems } = this;
    if (elems === undefined || this.partAlloc !== undefined) {
      runAtOnce(this.giveFlow(elem), waits);
      return;
    }
    elems.freeNow(this.handles[elem]!);
    this.handles[elem] = 0;
    this.reuse(elem);
  }

  /** With kmalloc, readers see the element until a grace period is over; BPF's allocator gives it out again at once. */
  *giveFlow(elem: number): Flow<void> {
    const handle = this.handles[elem]!;
    const part = this.parts[elem]!;
    this.handles[elem] = 0;
    this.parts[elem] = 0;
    if (this.elems !== undefined) {
      yield* this.release(handle, part);
      this.reuse(elem);
      return;
    }
    const allocator = this;
    this.host.rcu.call({
      name: this.callback,
      *func() {
        const { instrumentation, sched } = allocator.host;
        const guarded = sched.profile.guardRcuCb;
        if (guarded) yield* instrumentation.disable('pinHtab');
        yield* allocator.release(handle, part);
        if (guarded) yield* instrumentation.enable('pinHtab');
        allocator.reuse(elem);
      },
    });
  }

  /** The map goes, and every element with it. */
  destroy(): void {
    const { executor } = this.host;
    this.handles.forEach((handle, elem) => {
      if (handle !== 0) executor.drive(this.release(handle, this.parts[elem]!));
    });
    if (this.elems !== undefined) executor.drive(this.elems.destroy());
    if (this.partAlloc !== undefined) executor.drive(this.partAlloc.destroy());
  }

  private keep(elem: number, handle: number, part: number): number {
    if (elem >= this.handles.length) {
      this.handles = grown(this.handles, elem);
      this.parts = grown(this.parts, elem);
    }
    this.handles[elem] = handle;
    this.parts[elem] = part;
    return elem;
  }

  private *release(handle: number, part: number): Flow<void> {
    const { elems, partAlloc, host } = this;
    if (part !== 0) {
      if (partAlloc === undefined) yield* host.mm.freePercpu(part);
      else yield* partAlloc.free(part);
    }
    if (elems === undefined) yield* host.mm.kfree(handle);
    else yield* elems.free(handle);
  }
}

function grown(array: Int32Array<ArrayBuffer>, index: number): Int32Array<ArrayBuffer> {
  const wider = new Int32Array(Math.max(array.length * 2, index + 1));
  wider.set(array);
  return wider;
}

function waits(): never {
  throw new SimulationError('SIM_WOULD_WAIT', 'an allocation waits where nothing can be waited for');
}
