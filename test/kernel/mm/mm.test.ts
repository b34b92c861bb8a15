/** Memory: who may allocate where, what the allocators hand out and get back, failures, BPF's allocator, known hazards. */
import { describe, expect, test } from '@jest/globals';
import { SimulationError } from '../../../src/kernel/errors.js';
import { Kernel, type KernelOptions } from '../../../src/kernel/kernel.js';
import { GFP } from '../../../src/kernel/mm/gfp.js';
import { KMALLOC_MAX_SIZE } from '../../../src/kernel/mm/slab.js';
import type { Flow } from '../../../src/kernel/sched/flow.js';

const kernelWith = (profile: string, more: KernelOptions = {}): Kernel =>
  new Kernel({ cpus: 2, profile, lockdep: 'off', ...more });

const titles = (kernel: Kernel): (string | undefined)[] =>
  kernel.sched.console.splats.map(({ lines }) => lines[0]);

/** Runs plain code in a context, on CPU 0. */
function inContext(kernel: Kernel, context: string, body: () => void): void {
  const { sched, irq } = kernel;
  const flow = function* (): Flow<void> {
    body();
  };
  if (context === 'task') body();
  else if (context === 'hardirq') irq.raise('test', flow);
  else if (context === 'nmi') kernel.nmi(flow);
  else if (context === 'irqs off') {
    const flags = sched.irqSave('test');
    body();
    sched.irqRestore(flags);
  } else if (context === 'preempt off') {
    sched.preemptDisable('test');
    body();
    sched.preemptEnable();
  } else if (context === 'rcu') {
    kernel.rcu.readLock();
    body();
    kernel.rcu.readUnlock();
  } else if (context === 'raw lock') {
    const lock = kernel.locks.raw('test_lock');
    lock.lockNow('test');
    body();
    lock.unlock();
  } else {
    const lock = kernel.locks.spin('test_lock');
    const flags = lock.lockIrqsaveNow('test');
    body();
    lock.unlockIrqrestore(flags);
  }
}

const SLEEPING = 'BUG: sleeping function called from invalid context at';
const RT_LOCK = `${SLEEPING} kernel/locking/spinlock_rt.c`;
const IN_NMI = 'bpflab: an allocation in NMI';
const MAY_SLEEP = `${SLEEPING} include/linux/sched/mm.h`;

describe('contexts', () => {
  test.each<[string, keyof typeof GFP, string, string | undefined]>([
    ['6.12', 'kernel', 'task', undefined],
    ['6.12', 'kernel', 'preempt off', MAY_SLEEP],
    ['6.12', 'kernel', 'irqs off', MAY_SLEEP],
    ['6.12', 'kernel', 'hardirq', MAY_SLEEP],
    ['6.12', 'kernel', 'rcu', MAY_SLEEP],
    ['6.12', 'atomic', 'task', undefined],
    ['6.12', 'atomic', 'preempt off', undefined],
    ['6.12', 'atomic', 'irqs off', undefined],
    ['6.12', 'atomic', 'hardirq', undefined],
    ['6.12', 'atomic', 'nmi', IN_NMI],
    ['6.12-rt', 'atomic', 'nmi', IN_NMI],
    ['6.12', 'atomic', 'raw lock', undefined],
    ['6.12', 'atomic', 'spin lock', undefined],
    ['6.12-rt', 'kernel', 'task', undefined],
    ['6.12-rt', 'kernel', 'rcu', MAY_SLEEP],
    ['6.12-rt', 'atomic', 'task', undefined],
    ['6.12-rt', 'atomic', 'rcu', undefined],
    ['6.12-rt', 'atomic', 'spin lock', undefined],
    ['6.12-rt', 'atomic', 'preempt off', RT_LOCK],
    ['6.12-rt', 'atomic', 'irqs off', RT_LOCK],
    ['6.12-rt', 'atomic', 'hardirq', RT_LOCK],
    ['6.12-rt', 'atomic', 'raw lock', RT_LOCK],
    ['6.12-rt', 'noWait', 'preempt off', RT_LOCK],
  ])('%s: kmalloc(GFP_%s) in %s', (profile, gfp, context, splat) => {
    for (const interleaved of [false, true]) {
      const kernel = kernelWith(profile, { interleaved });
      const { mm } = kernel;
      mm.kfreeNow(mm.kmallocNow(64, GFP.kernel));
      const handles: number[] = [];
      inContext(kernel, context, () => handles.push(mm.kmallocNow(64, GFP[gfp])));
      kernel.executor.settle();
      expect(handles[0]).toBeGreaterThan(0);
      expect(titles(kernel)[0] ?? '').toMatch(new RegExp(splat === undefined ? '^$' : `^${splat}`));
    }
  });

  test.each([
    ['6.12', undefined],
    ['6.12-rt', RT_LOCK],
  ])('%s: kfree without preemption', (profile, splat) => {
    const kernel = kernelWith(profile);
    const handle = kernel.mm.kmallocNow(100, GFP.kernel);
    inContext(kernel, 'preempt off', () => kernel.mm.kfreeNow(handle));
    expect(titles(kernel)[0] ?? '').toMatch(new RegExp(splat === undefined ? '^$' : `^${splat}`));
  });

  test('a contended slab lock in atomic context on RT also schedules while atomic', () => {
    const kernel = kernelWith('5.7-rt', { interleaved: true });
    const { sched, mm, executor } = kernel;
    const task = (pid: number, rtPriority: number) =>
      ({
        pid,
        tgid: pid,
        comm: `t${pid}`,
        uid: 0,
        gid: 0,
        affinity: [1],
        policy: 'fifo',
        rtPriority,
      }) as const;
    const first = mm.kmallocNow(64, GFP.kernel);
    expect(first).toBeGreaterThan(0);
    // The first is preempted inside the allocator by the second.
    sched.spawn(task(2, 10), function* () {
      const alloc = mm.kmalloc(64, GFP.kernel);
      for (let step = alloc.next(); step.done !== true; step = alloc.next()) {
        if (sched.current.rcuDepth > 0 && !sched.tasks.has(3)) {
          sched.spawn(task(3, 20), function* () {
            sched.preemptDisable('prog');
            yield* mm.kmalloc(64, GFP.atomic);
            sched.preemptEnable();
          });
        }
        yield step.value;
      }
    });
    executor.settle();
    expect(titles(kernel).map((title) => title?.slice(0, 32))).toEqual(
      expect.arrayContaining(['BUG: sleeping function called fr', 'BUG: scheduling while atomic: t3']),
    );
  });
});

describe('kmalloc', () => {
  test.each([
    [1, 8],
    [8, 8],
    [65, 96],
    [97, 128],
    [192, 192],
    [193, 256],
    [257, 512],
    [8192, 8192],
    [8193, 16384],
    [KMALLOC_MAX_SIZE, KMALLOC_MAX_SIZE],
  ])('%i bytes take an object of %i', (size, expected) => {
    const { mm } = kernelWith('6.12');
    const handle = mm.kmallocNow(size, GFP.kernel);
    expect(mm.slab.sizeOf(handle)).toBe(expected);
    mm.kfreeNow(handle);
    expect(mm.usage().caches).toEqual([]);
  });

  test('too much is refused', () => {
    expect(kernelWith('6.12').mm.kmallocNow(KMALLOC_MAX_SIZE + 1, GFP.kernel)).toBe(0);
  });

  test.each(['6.12', '6.12-rt'])(
    '%s: thousands of objects on both CPUs, each one once; all come back',
    (profile) => {
      for (const interleaved of [false, true]) {
        const kernel = kernelWith(profile, { interleaved });
        const { mm } = kernel;
        const count = interleaved ? 300 : 3000;
        const handles: number[] = [];
        for (let i = 0; i < count; i++) {
          kernel.cpu = i % 3 === 0 ? 1 : 0;
          handles.push(mm.kmallocNow(200, GFP.kernel));
        }
        expect(new Set(handles).size).toBe(count);
        expect(mm.usage().caches).toEqual([{ name: 'kmalloc-256', objects: count, bytes: count * 256 }]);
        const pages = mm.usage().pages;
        for (const [i, handle] of handles.entries()) {
          kernel.cpu = i % 2;
          mm.kfreeNow(handle);
        }
        expect(mm.usage().caches).toEqual([]);
        if (!interleaved) expect(mm.usage().pages).toBeLessThan(pages / 2);
        expect(titles(kernel)).toEqual([]);
      }
    },
  );

  test('a double free is reported', () => {
    const kernel = kernelWith('6.12');
    const handle = kernel.mm.kmallocNow(64, GFP.kernel);
    kernel.mm.kfreeNow(handle);
    kernel.mm.kfreeNow(handle);
    expect(titles(kernel)).toEqual(['BUG kmalloc-64: object 1 freed although it is free']);
  });

  test('memory that is used up', () => {
    const kernel = kernelWith('6.12', { memoryPages: 100 });
    const { mm } = kernel;
    let count = 0;
    while (mm.kmallocNow(8192, GFP.kernel | GFP.noWarn) !== 0) count++;
    expect(count).toBeGreaterThan(20);
    expect(count).toBeLessThanOrEqual(50);
    expect(kernel.sched.console.lines).toEqual([]);
    expect(mm.kmallocNow(8192, GFP.atomic)).toBe(0);
    expect(kernel.sched.console.lines[0]).toMatch(/bpflab: page allocation failure: order:\d, mode:0x820/);
  });

  test.each(['slab', 'page', 'percpu'] as const)('failures can be injected: %s', (kind) => {
    const { mm } = kernelWith('6.12');
    mm.failNext(2, kind);
    const attempt = (): number =>
      kind === 'percpu' ? mm.allocPercpuNow(8, GFP.kernel) : mm.kmallocNow(64, GFP.kernel);
    expect([attempt(), attempt()]).toEqual([0, 0]);
    expect(attempt()).toBeGreaterThan(0);
  });

  test('per-CPU allocations are counted and come back', () => {
    const kernel = kernelWith('6.12');
    const { mm } = kernel;
    const [a, b] = [mm.allocPercpuNow(8, GFP.kernel), mm.allocPercpuNow(24, GFP.atomic)];
    expect(mm.usage().percpu).toEqual({ count: 2, bytes: 2 * 32 });
    mm.freePercpuNow(a);
    mm.freePercpuNow(b);
    mm.freePercpuNow(b);
    expect(mm.usage().percpu).toEqual({ count: 0, bytes: 0 });
    expect(titles(kernel)).toEqual([`BUG percpu: allocation ${b} freed although it is free`]);
  });

  test.each([
    ['5.7', 'kmem:kmalloc_node'],
    ['6.12', 'kmem:kmalloc'],
  ])('tracepoints on %s', (profile, node) => {
    const kernel = kernelWith(profile);
    const { mm, sched } = kernel;
    const seen: string[] = [];
    for (const name of [
      'kmem:kmalloc',
      'kmem:kmalloc_node',
      'kmem:kfree',
      'kmem:kmem_cache_alloc',
      'kmem:kmem_cache_free',
      'kmem:mm_page_alloc',
    ]) {
      sched.probes.point(name).attach('entry', function* () {
        seen.push(name);
      });
    }
    const cache = mm.cache('inode_cache', 600);
    const handle = mm.kmallocNodeNow(64, GFP.kernel);
    mm.kfreeNow(handle);
    cache.freeNow(cache.allocNow(GFP.kernel));
    expect(seen).toEqual([
      'kmem:mm_page_alloc',
      node,
      'kmem:kfree',
      'kmem:mm_page_alloc',
      'kmem:kmem_cache_alloc',
      'kmem:kmem_cache_free',
    ]);
  });
});

describe('hazards of programs that allocate', () => {
  test('SC-ZONE: a program under zone->lock that allocates waits for itself', () => {
    const kernel = kernelWith('5.7');
    const { mm, sched } = kernel;
    sched.probes.point('__rmqueue').attach('entry', function* () {
      yield* mm.kmallocNode(1024, GFP.atomic);
    });
    expect(() => mm.kmallocNow(64, GFP.kernel)).toThrow(SimulationError);
    expect(sched.console.splats.at(-1)?.lines.join('\n')).toMatch(/deadlock[\s\S]*&(zone|pcp)->lock/);
  });

  test('SC-FREELIST: a program between the choice of an object and the advance of the list gets the same one', () => {
    const kernel = kernelWith('5.7');
    const { mm, sched } = kernel;
    const inner: number[] = [];
    const detach = sched.probes.point('___slab_alloc+load_freelist').attach('entry', function* () {
      inner.push(yield* mm.kmallocNode(64, GFP.atomic));
    });
    const outer = mm.kmallocNow(64, GFP.kernel);
    detach();
    expect(inner).toEqual([outer]);
    expect(titles(kernel)).toEqual(['BUG kmalloc-64: object 1 handed out although it is in use']);
  });
});

describe('bpf_mem_alloc', () => {
  test.each([
    [64, 32, 96, 48],
    [248, 32, 96, 48],
    [249, 31, 95, 48],
    [1016, 8, 24, 12],
    [4088, 2, 6, 3],
    [8184, 1, 3, 1],
  ])('watermarks of %i bytes', (size, low, high, batch) => {
    const ma = kernelWith('6.12').mm.bpfMemAlloc({ size });
    expect([ma.lowWatermark, ma.highWatermark, ma.batch]).toEqual([low, high, batch]);
  });

  test.each(['6.12', '6.12-rt'])(
    '%s: plain code in a loop never finds it empty, also with interrupts off',
    (profile) => {
      const kernel = kernelWith(profile);
      const ma = kernel.mm.bpfMemAlloc({ size: 64 });
      const lock = kernel.locks.raw('test_lock');
      const handles: number[] = [];
      for (let i = 0; i < 1000; i++) {
        const flags = lock.lockIrqsaveNow('test');
        handles.push(ma.allocNow());
        lock.unlockIrqrestore(flags);
      }
      expect(new Set(handles).size).toBe(1000);
      expect(handles.includes(0)).toBe(false);
      for (const handle of handles) ma.freeNow(handle);
      kernel.executor.settle();
      expect(ma.available(0)).toBeLessThanOrEqual(ma.highWatermark);
      kernel.executor.drive(ma.destroy());
      kernel.executor.settle();
      expect(kernel.mm.usage().caches).toEqual([]);
      expect(titles(kernel)).toEqual([]);
    },
  );

  test('with interrupts off throughout it runs empty', () => {
    const kernel = kernelWith('6.12');
    const ma = kernel.mm.bpfMemAlloc({ size: 64 });
    const flags = kernel.sched.irqSave('test');
    const handles = Array.from({ length: 6 }, () => ma.allocNow());
    kernel.sched.irqRestore(flags);
    expect(handles.map((handle) => handle > 0)).toEqual([true, true, true, true, false, false]);
    expect(ma.allocNow()).toBeGreaterThan(0);
  });

  test('an NMI inside an allocation finds it busy; what it frees goes to the other list', () => {
    const kernel = kernelWith('6.12', { interleaved: true });
    const { mm, executor, sched } = kernel;
    const ma = mm.bpfMemAlloc({ size: 64 });
    const spare = executor.drive(ma.alloc());
    executor.settle();
    const before = ma.available(0);
    const inNmi: number[] = [];
    const alloc = ma.alloc();
    expect(alloc.next().done).toBe(false);
    kernel.nmi(function* () {
      inNmi.push(yield* ma.alloc());
      yield* ma.free(spare);
    });
    const nmiPending = (): boolean => sched.here.pending.some(({ kind }) => kind === 'nmi');
    while ((nmiPending() || sched.here.top !== undefined) && executor.step());
    const outer = alloc.next();
    expect([inNmi, outer.done === true && (outer.value as number) > 0]).toEqual([[0], true]);
    expect(ma.available(0)).toBe(before - 1);
  });

  test('per-CPU objects take both kinds of memory and give both back', () => {
    const kernel = kernelWith('6.12');
    const { mm, executor } = kernel;
    const ma = mm.bpfMemAlloc({ size: 40, percpu: true });
    const handles = Array.from({ length: 20 }, () => ma.allocNow());
    expect(handles.includes(0)).toBe(false);
    expect(mm.usage().percpu.count).toBeGreaterThanOrEqual(20);
    for (const handle of handles) ma.freeNow(handle);
    executor.settle();
    executor.drive(ma.destroy());
    executor.settle();
    expect(mm.usage()).toMatchObject({ caches: [], percpu: { count: 0, bytes: 0 } });
  });

  test('freed after a grace period: not given out before it has ended', () => {
    const kernel = kernelWith('6.12');
    const { mm, executor, rcu } = kernel;
    const ma = mm.bpfMemAlloc({ size: 64 });
    const handle = ma.allocNow();
    executor.settle();
    rcu.readLock();
    executor.drive(ma.freeRcu(handle));
    const during = Array.from({ length: 200 }, () => ma.allocNow());
    expect(during).not.toContain(handle);
    rcu.readUnlock();
    executor.settle();
    const after = Array.from({ length: 300 }, () => ma.allocNow());
    expect(after).toContain(handle);
  });
});
