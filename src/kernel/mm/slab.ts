/**
 * kmalloc and kfree on caches by size, and caches with a name. A handle says which cache and which object: larger than 0;
 * 0 is no memory. Models mm/slab_common.c and the tracepoints of include/trace/events/kmem.h, Linux 6.12.
 */
import { PAGE_SIZE } from '../../abi/page.js';
import type { Flow } from '../sched/flow.js';
import { firePoint, type ProbeArg, type ProbePoint } from '../trace/probes.js';
import type { MmEnv } from './env.js';
import type { PageAllocator } from './page-alloc.js';
import { KmemCache } from './slab-cache.js';

/** Sizes of the kmalloc caches; larger requests get pages. */
const KMALLOC_SIZES = [8, 16, 32, 64, 96, 128, 192, 256, 512, 1024, 2048, 4096, 8192] as const;
const KMALLOC_MAX_CACHE_SIZE = 8192;
/** KMALLOC_MAX_SIZE: 4 MiB. */
export const KMALLOC_MAX_SIZE = 1 << 22;
/** Of a handle, which cache: the low 5 bits. */
const CACHE_BITS = 5;
const CACHE_MASK = (1 << CACHE_BITS) - 1;
const LARGE = CACHE_MASK;
/** Where the objects of the trace's addresses begin, as the direct map does. */
const DIRECT_MAP = 0xffff888100000000n;
/** Cache of a size, by 8 bytes, up to 192. */
const BY_EIGHTS = Array.from({ length: 25 }, (_, eights) =>
  KMALLOC_SIZES.findIndex((size) => size >= eights * 8),
);

/** What a cache has given out. */
export interface CacheUsage {
  readonly name: string;
  readonly objects: number;
  readonly bytes: number;
}

export class Slab {
  /** By size; made when first used. */
  private readonly bySize: (KmemCache | undefined)[] = [];
  private readonly named: KmemCache[] = [];
  /** Pages of requests that are too large for a cache, by number. */
  private readonly large: ({ readonly pfn: number; readonly order: number } | undefined)[] = [undefined];
  private largeInUse = 0;
  private readonly points: Readonly<
    Record<'kmalloc' | 'kmallocNode' | 'kfree' | 'alloc' | 'free', ProbePoint>
  >;

  constructor(
    private readonly env: MmEnv,
    private readonly pages: PageAllocator,
  ) {
    const { probes } = env.sched;
    this.points = {
      kmalloc: probes.point('kmem:kmalloc'),
      kmallocNode: probes.point('kmem:kmalloc_node'),
      kfree: probes.point('kmem:kfree'),
      alloc: probes.point('kmem:kmem_cache_alloc'),
      free: probes.point('kmem:kmem_cache_free'),
    };
  }

  /** kmem_cache_create. */
  create(name: string, size: number): NamedCache {
    const cache = new KmemCache(this.env, this.pages, name, size);
    this.named.push(cache);
    return new NamedCache(cache, this.points.alloc, this.points.free, this.env);
  }

  /** kmalloc. `size` bytes; 0 is given as Linux does, a handle that may be freed. */
  kmalloc(size: number, gfp: number): Flow<number> {
    return this.allocate(size, gfp, this.points.kmalloc);
  }

  /** kmalloc_node: until 6.0 it has a tracepoint of its own. */
  kmallocNode(size: number, gfp: number): Flow<number> {
    const { kmallocNodeEvent } = this.env.sched.profile;
    return this.allocate(size, gfp, kmallocNodeEvent ? this.points.kmallocNode : this.points.kmalloc);
  }

  kmallocNow(size: number, gfp: number): number {
    if (size <= KMALLOC_MAX_CACHE_SIZE && this.env.sched.quiet) {
      const index = indexOf(size);
      const object = (this.bySize[index] ?? this.make(index)).allocNow(gfp);
      return object === 0 ? 0 : (object << CACHE_BITS) | index;
    }
    return this.env.locks.executor.drive(this.kmalloc(size, gfp));
  }

  kmallocNodeNow(size: number, gfp: number): number {
    if (this.env.sched.quiet) return this.kmallocNow(size, gfp);
    return this.env.locks.executor.drive(this.kmallocNode(size, gfp));
  }

  private *allocate(size: number, gfp: number, point: ProbePoint): Flow<number> {
    const handle = size <= KMALLOC_MAX_CACHE_SIZE ? yield* this.small(size, gfp) : yield* this.big(size, gfp);
    if (point.armed) yield* firePoint(point, this.fields(handle, size, gfp));
    return handle;
  }

  private *small(size: number, gfp: number): Flow<number> {
    const index = indexOf(size);
    const object = yield* (this.bySize[index] ?? this.make(index)).alloc(gfp);
    return object === 0 ? 0 : (object << CACHE_BITS) | index;
  }

  /** ___kmalloc_large_node. */
  private *big(size: number, gfp: number): Flow<number> {
    if (size > KMALLOC_MAX_SIZE) return 0;
    const order = Math.ceil(Math.log2(size / PAGE_SIZE));
    const pfn = yield* this.pages.alloc(order, gfp);
    if (pfn === 0) return 0;
    const hole = this.large.indexOf(undefined, 1);
    const at = hole < 0 ? this.large.length : hole;
    this.large[at] = { pfn, order };
    this.largeInUse++;
    return (at << CACHE_BITS) | LARGE;
  }

  private fields(handle: number, size: number, gfp: number): ProbeArg[] {
    return ['', this.address(handle), size, this.sizeOf(handle), gfp, -1];
  }

  /** An address for whoever prints one; nothing lies there. */
  private address(handle: number): bigint {
    return handle === 0 ? 0n : DIRECT_MAP + BigInt(handle) * 64n;
  }

  /** ksize: bytes behind a handle. */
  sizeOf(handle: number): number {
    if (handle === 0) return 0;
    const index = handle & CACHE_MASK;
    if (index !== LARGE) return KMALLOC_SIZES[index] ?? 0;
    const large = this.large[handle >> CACHE_BITS];
    return large === undefined ? 0 : PAGE_SIZE << large.order;
  }

  /** kfree; 0 is nothing to free. */
  *kfree(handle: number): Flow<void> {
    const { kfree } = this.points;
    if (kfree.armed) yield* firePoint(kfree, ['', this.address(handle)]);
    if (handle === 0) return;
    const index = handle & CACHE_MASK;
    if (index !== LARGE) {
      yield* (this.bySize[index] ?? this.make(index)).free(handle >> CACHE_BITS);
      return;
    }
    const large = this.large[handle >> CACHE_BITS];
    if (large === undefined) return;
    this.large[handle >> CACHE_BITS] = undefined;
    this.largeInUse--;
    yield* this.pages.release(large.pfn, large.order);
  }

  kfreeNow(handle: number): void {
    const index = handle & CACHE_MASK;
    const cache = handle === 0 || index === LARGE ? undefined : this.bySize[index];
    if (cache !== undefined && this.env.sched.quiet) cache.freeNow(handle >> CACHE_BITS);
    else this.env.locks.executor.drive(this.kfree(handle));
  }

  private make(index: number): KmemCache {
    const size = KMALLOC_SIZES[index]!;
    const cache = new KmemCache(this.env, this.pages, `kmalloc-${nameOf(size)}`, size);
    this.bySize[index] = cache;
    return cache;
  }

  /** What is given out now, by cache; caches with nothing are left out. */
  usage(): CacheUsage[] {
    const used = [...this.bySize, ...this.named].filter((cache) => cache !== undefined && cache.inUse > 0);
    const found = used.map((cache) => ({
      name: cache!.name,
      objects: cache!.inUse,
      bytes: cache!.inUse * cache!.size,
    }));
    if (this.largeInUse === 0) return found;
    const bytes = this.large.reduce(
      (sum, pages) => sum + (pages === undefined ? 0 : PAGE_SIZE << pages.order),
      0,
    );
    return [...found, { name: 'kmalloc-large', objects: this.largeInUse, bytes }];
  }
}

/** A cache of its own (`kmem_cache`), with the tracepoints around it. */
export class NamedCache {
  constructor(
    private readonly cache: KmemCache,
    private readonly allocPoint: ProbePoint,
    private readonly freePoint: ProbePoint,
    private readonly env: MmEnv,
  ) {}

  get name(): string {
    return this.cache.name;
  }

  get inUse(): number {
    return this.cache.inUse;
  }

  /** kmem_cache_alloc: an object's number, or 0. */
  *alloc(gfp: number): Flow<number> {
    const object = yield* this.cache.alloc(gfp);
    const { size } = this.cache;
    if (this.allocPoint.armed) yield* firePoint(this.allocPoint, ['', object, size, size, gfp, -1]);
    return object;
  }

  allocNow(gfp: number): number {
    return this.env.sched.quiet ? this.cache.allocNow(gfp) : this.env.locks.executor.drive(this.alloc(gfp));
  }

  /** kmem_cache_free. */
  *free(object: number): Flow<void> {
    if (this.freePoint.armed) yield* firePoint(this.freePoint, ['', object, this.cache.name]);
    yield* this.cache.free(object);
  }

  freeNow(object: number): void {
    if (this.env.sched.quiet) this.cache.freeNow(object);
    else this.env.locks.executor.drive(this.free(object));
  }
}

/** Index of the smallest cache that a size fits into. */
function indexOf(size: number): number {
  if (size <= 192) return BY_EIGHTS[(size + 7) >> 3]!;
  return 31 - Math.clz32(size - 1) - 0;
}

function nameOf(size: number): string {
  return size >= 1024 ? `${size / 1024}k` : `${size}`;
}
