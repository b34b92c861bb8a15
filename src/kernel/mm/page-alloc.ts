/**
 * The page allocator as far as its locks matter: per-CPU lists of single pages, filled in batches from the zone under
 * `zone->lock`. Pages are numbers; they hold no data. Models mm/page_alloc.c of Linux 6.12.
 */
import { PAGE_SIZE } from '../../abi/page.js';
import type { SpinLockOps } from '../locking/raw-spinlock.js';
import type { Flow } from '../sched/flow.js';
import { firePoint, inFunction, type ProbePoint } from '../trace/probes.js';
import type { MmEnv } from './env.js';
import { GFP } from './gfp.js';

/** Pages that a CPU's list is filled with at once. */
const PCP_BATCH = 63;
/** Most that it keeps. */
const PCP_HIGH = 378;
/** Pages that there are where nothing else is said: 4 GiB. */
const DEFAULT_PAGES = 1 << 20;
/** Highest order of one allocation (MAX_PAGE_ORDER). */
const MAX_ORDER = 10;

export class PageAllocator {
  /** Pages in use, those on per-CPU lists not counted. */
  used = 0;
  private free: number;
  private nextPfn = 0x100000;
  private readonly pcp: { readonly lock: SpinLockOps; readonly pages: number[] }[];
  private readonly zoneLock: SpinLockOps;
  /** Single pages that came back, and were used before. */
  private readonly returned: number[] = [];
  private readonly points: Readonly<Record<'alloc' | 'locked' | 'free' | 'rmqueue', ProbePoint>>;

  constructor(
    private readonly env: MmEnv,
    pages = DEFAULT_PAGES,
  ) {
    const { sched, locks } = env;
    this.free = pages;
    this.zoneLock = locks.spin('&zone->lock');
    this.pcp = sched.cpus.map(() => ({ lock: locks.spin('&pcp->lock'), pages: [] }));
    this.points = {
      alloc: sched.probes.point('kmem:mm_page_alloc'),
      locked: sched.probes.point('kmem:mm_page_alloc_zone_locked'),
      free: sched.probes.point('kmem:mm_page_free'),
      rmqueue: sched.probes.point('__rmqueue'),
    };
  }

  /** alloc_pages: the page frame number of the first, 0 where there are none. */
  *alloc(order: number, gfp: number): Flow<number> {
    const { env, points } = this;
    env.mightAlloc(gfp);
    const size = PAGE_SIZE << order;
    env.sched.charge(env.sched.costs.slabSlow);
    const fails = order > MAX_ORDER || env.shouldFail({ kind: 'page', size, gfp });
    const pfn = fails ? 0 : order === 0 ? yield* this.single() : yield* this.fromZone(order);
    if (pfn === 0) this.warn(order, gfp);
    else this.used += 1 << order;
    if (points.alloc.armed) yield* firePoint(points.alloc, [pfn, order, gfp, 0]);
    return pfn;
  }

  /** __free_pages. */
  *release(pfn: number, order: number): Flow<void> {
    const { env, points } = this;
    this.used -= 1 << order;
    if (points.free.armed) yield* firePoint(points.free, [pfn, order]);
    if (order > 0) {
      const flags = yield* this.zoneLock.lockIrqsave('free_one_page');
      this.free += 1 << order;
      this.zoneLock.unlockIrqrestore(flags);
      return;
    }
    const { lock, pages } = this.pcp[env.sched.here.id]!;
    const flags = yield* lock.lockIrqsave('free_unref_page');
    pages.push(pfn);
    if (pages.length > PCP_HIGH) {
      yield* this.zoneLock.lock('free_pcppages_bulk');
      const back = pages.splice(0, PCP_BATCH);
      this.returned.push(...back);
      this.free += back.length;
      this.zoneLock.unlock();
    }
    lock.unlockIrqrestore(flags);
  }

  /** From the CPU's list (rmqueue_pcplist). */
  private *single(): Flow<number> {
    const { lock, pages } = this.pcp[this.env.sched.here.id]!;
    const flags = yield* lock.lockIrqsave('rmqueue_pcplist');
    if (pages.length === 0) yield* this.fill(pages);
    const pfn = pages.pop() ?? 0;
    lock.unlockIrqrestore(flags);
    return pfn;
  }

  /** rmqueue_bulk. */
  private *fill(pages: number[]): Flow<void> {
    yield* this.zoneLock.lock('rmqueue_bulk');
    for (let i = 0; i < PCP_BATCH; i++) {
      const pfn = yield* this.takeLocked(0);
      if (pfn === 0) break;
      pages.push(pfn);
    }
    this.zoneLock.unlock();
  }

  private *fromZone(order: number): Flow<number> {
    const flags = yield* this.zoneLock.lockIrqsave('rmqueue_buddy');
    const pfn = yield* this.takeLocked(order);
    this.zoneLock.unlockIrqrestore(flags);
    return pfn;
  }

  /** __rmqueue, with `zone->lock` held: a place where programs must not allocate. */
  private *takeLocked(order: number): Flow<number> {
    const { points, env } = this;
    const take = (): number => this.takeNow(order);
    if (!points.rmqueue.armed && !points.locked.armed) return take();
    const { calls } = env.sched.here;
    const body = function* (): Flow<number> {
      const pfn = take();
      yield* firePoint(points.locked, [pfn, order, 0, order === 0 ? 1 : 0]);
      return pfn;
    };
    return yield* inFunction(calls, points.rmqueue, [order, 0, 0], body);
  }

  private takeNow(order: number): number {
    if (this.free < 1 << order) return 0;
    this.free -= 1 << order;
    const again = order === 0 ? this.returned.pop() : undefined;
    if (again !== undefined) return again;
    const pfn = this.nextPfn;
    this.nextPfn += 1 << order;
    return pfn;
  }

  /** warn_alloc. */
  private warn(order: number, gfp: number): void {
    if ((gfp & GFP.noWarn) !== 0) return;
    const { comm } = this.env.sched.current;
    this.env.sched.console.print(
      `${comm}: page allocation failure: order:${order}, mode:0x${gfp.toString(16)}`,
    );
  }
}
