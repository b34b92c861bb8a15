/** Lockdep's reports: each title with what makes it appear, some in full; when it is off; its data. */
import { describe, expect, test } from '@jest/globals';
import { MAX_LOCK_DEPTH } from '../../../src/kernel/locking/held-locks.js';
import { WaitType } from '../../../src/kernel/locking/lock-class.js';
import { READ_RECURSIVE } from '../../../src/kernel/locking/lock-flags.js';
import { HARDIRQ_OFFSET, NMI_OFFSET, SOFTIRQ_OFFSET } from '../../../src/kernel/sched/preempt.js';
import { Bench, type BenchOptions } from './bench.js';

/** Runs something in a hard interrupt, an NMI or a softirq. */
function inContext(bench: Bench, offset: number, body: () => void): void {
  const { sched } = bench;
  const flags = sched.irqSave('irq');
  sched.countAdd(offset, 'irq');
  body();
  sched.countSub(offset);
  sched.irqRestore(flags);
}

function touch(lock: { lockNow(place: string): void; unlock(): void }, place: string): void {
  lock.lockNow(place);
  lock.unlock();
}

const SCENARIOS: Readonly<Record<string, (bench: Bench) => void>> = {
  'WARNING: possible recursive locking detected': ({ locks }) => {
    locks.raw('&l', { name: 'one' }).lockNow('outer');
    locks.raw('&l', { name: 'two' }).lockNow('inner');
  },
  'WARNING: possible circular locking dependency detected': ({ locks }) => {
    const [a, b] = [locks.raw('a'), locks.raw('b')];
    a.lockNow('f1');
    touch(b, 'f2');
    a.unlock();
    b.lockNow('g1');
    a.lockNow('g2');
  },
  'WARNING: inconsistent lock state': (bench) => {
    const lock = bench.locks.raw('&head->lock');
    touch(lock, 'pcpu_freelist_populate');
    inContext(bench, HARDIRQ_OFFSET, () => touch(lock, 'pcpu_freelist_pop'));
  },
  'WARNING: HARDIRQ-safe -> HARDIRQ-unsafe lock order detected': (bench) => {
    const [safe, unsafe] = [bench.locks.raw('safe'), bench.locks.raw('unsafe')];
    inContext(bench, HARDIRQ_OFFSET, () => touch(safe, 'irq'));
    touch(unsafe, 'task');
    const flags = safe.lockIrqsaveNow('outer');
    touch(unsafe, 'inner');
    safe.unlockIrqrestore(flags);
  },
  'WARNING: SOFTIRQ-safe -> SOFTIRQ-unsafe lock order detected': (bench) => {
    const [safe, unsafe] = [bench.locks.raw('safe'), bench.locks.raw('unsafe')];
    inContext(bench, SOFTIRQ_OFFSET, () => touch(safe, 'softirq'));
    touch(unsafe, 'task');
    const flags = safe.lockIrqsaveNow('outer');
    touch(unsafe, 'inner');
    safe.unlockIrqrestore(flags);
  },
  'WARNING: possible irq lock inversion dependency detected': (bench) => {
    const [a, b] = [bench.locks.raw('a'), bench.locks.raw('b')];
    const flags = a.lockIrqsaveNow('outer');
    touch(b, 'inner');
    a.unlockIrqrestore(flags);
    touch(b, 'task');
    inContext(bench, HARDIRQ_OFFSET, () => touch(a, 'irq'));
  },
  '[ BUG: Invalid wait context ]': ({ locks }) => {
    locks.raw('raw').lockNow('outer');
    locks.spin('regular').lockNow('inner');
  },
  'WARNING: bad unlock balance detected!': ({ locks }) => {
    locks.mutex('m').unlock();
  },
  'WARNING: lock held when returning to user space!': ({ locks }) => {
    locks.mutex('m').lockNow('sys_bpf');
    locks.lockdep.returnToUser();
  },
  'WARNING: held lock freed!': ({ locks }) => {
    const lock = locks.raw('&trie->lock');
    lock.lockNow('trie_free');
    lock.reinit();
  },
  'WARNING: Nested lock was not taken': ({ locks }) => {
    const [outer, inner] = [locks.mutex('outer'), locks.raw('inner')];
    locks.lockdep.acquireNested(inner, 'test', 0, { ...depMap(outer), name: 'outer' });
  },
  'BUG: MAX_LOCK_DEPTH too low!': ({ locks }) => {
    for (let i = 0; i < MAX_LOCK_DEPTH; i++) locks.raw(`l${i}`).lockNow('test');
  },
};

function depMap(lock: object): { name: string; key: never; cls: never; id: number } {
  return lock as { name: string; key: never; cls: never; id: number };
}

/** The report of a scenario, without its empty lines. */
function report(title: string, options: BenchOptions = {}): string[] {
  const bench = new Bench({ lockdep: 'once', ...options });
  SCENARIOS[title]!(bench);
  const splats = bench.sched.console.splats.filter(({ kind }) => kind === 'lockdep');
  expect(splats.map(({ lines }) => lines[0])).toEqual([title]);
  return splats[0]!.lines.filter((line) => line.trim() !== '');
}

describe('reports', () => {
  test.each(Object.keys(SCENARIOS))('%s', (title) => {
    expect(report(title)[2]).toBe('-'.repeat(title.length));
  });

  test('a circle in full', () => {
    expect(report('WARNING: possible circular locking dependency detected').slice(3)).toEqual([
      'bpflab/1001 is trying to acquire lock:',
      'ffff888100000040 (a){+.+.}-{2:2}, at: g2',
      'but task is already holding lock:',
      'ffff888100000080 (b){+.+.}-{2:2}, at: g1',
      'which lock already depends on the new lock.',
      'the existing dependency chain (in reverse order) is:',
      '-> #1 (b){+.+.}-{2:2}:',
      '      f2',
      '-> #0 (a){+.+.}-{2:2}:',
      '      g2',
      'other info that might help us debug this:',
      ' Possible unsafe locking scenario:',
      '       CPU0                    CPU1',
      '       ----                    ----',
      '  lock(b);',
      '                               lock(a);',
      '                               lock(b);',
      '  lock(a);',
      ' *** DEADLOCK ***',
      '1 lock held by bpflab/1001:',
      ' #0: ffff888100000080 (b){+.+.}-{2:2}, at: g1',
      'stack backtrace:',
    ]);
  });

  test('inconsistent use in full', () => {
    expect(report('WARNING: inconsistent lock state').slice(3)).toEqual([
      'inconsistent {HARDIRQ-ON-W} -> {IN-HARDIRQ-W} usage.',
      'bpflab/1001 [HC1[1]:SC0[0]:HE0:SE1] takes:',
      'ffff888100000040 (&head->lock){?.+.}-{2:2}, at: pcpu_freelist_pop',
      '{HARDIRQ-ON-W} state was registered at:',
      '  pcpu_freelist_populate',
      'other info that might help us debug this:',
      ' Possible unsafe locking scenario:',
      '       CPU0',
      '       ----',
      '  lock(&head->lock);',
      '  <Interrupt>',
      '    lock(&head->lock);',
      ' *** DEADLOCK ***',
      'no locks held by bpflab/1001.',
      'stack backtrace:',
    ]);
  });

  test('wait types and the context of an interrupt', () => {
    const bench = new Bench({ lockdep: 'once' });
    inContext(bench, HARDIRQ_OFFSET, () => bench.locks.spin('regular').lockNow('irq'));
    const { lines } = bench.sched.console.splats[0]!;
    expect(lines.slice(3, 8)).toEqual([
      'bpflab/1001 is trying to lock:',
      'ffff888100000040 (regular){....}-{3:3}, at: irq',
      'other info that might help us debug this:',
      'context-{2:2}',
      'no locks held by bpflab/1001.',
    ]);
  });

  test('the unsafe order names both locks and where they became what they are', () => {
    const lines = report('WARNING: HARDIRQ-safe -> HARDIRQ-unsafe lock order detected');
    expect(lines.slice(3, 20)).toEqual([
      'bpflab/1001 [HC0[0]:SC0[0]:HE0:SE1] is trying to acquire:',
      'ffff888100000080 (unsafe){+.+.}-{2:2}, at: inner',
      'and this task is already holding:',
      'ffff888100000040 (safe){-...}-{2:2}, at: outer',
      'which would create a new lock dependency:',
      ' (safe){-...}-{2:2} -> (unsafe){+.+.}-{2:2}',
      'but this new dependency connects a HARDIRQ-irq-safe lock:',
      ' (safe){-...}-{2:2}',
      '... which became HARDIRQ-irq-safe at:',
      '  irq',
      'to a HARDIRQ-irq-unsafe lock:',
      ' (unsafe){+.+.}-{2:2}',
      '... which became HARDIRQ-irq-unsafe at:',
      '  task',
      'other info that might help us debug this:',
      ' Possible interrupt unsafe locking scenario:',
      '       CPU0                    CPU1',
    ]);
  });
});

describe('NMI', () => {
  const nmi = NMI_OFFSET + HARDIRQ_OFFSET;

  test('a lock that is used elsewhere, unless it is only tried', () => {
    const bench = new Bench({ lockdep: 'always' });
    const lock = bench.locks.raw('&l');
    touch(lock, 'task');
    inContext(bench, nmi, () => {
      expect(lock.tryLock('nmi')).toBe(true);
      lock.unlock();
    });
    expect(bench.titles()).toEqual([]);
    inContext(bench, nmi, () => touch(lock, 'nmi'));
    const { lines } = bench.sched.console.splats[0]!;
    expect([lines[0], lines[3]]).toEqual([
      'WARNING: inconsistent lock state',
      'inconsistent {INITIAL USE} -> {IN-NMI} usage.',
    ]);
  });

  test.each([
    ['5.7', 0],
    ['6.18', 1],
  ] as const)('%s: %d reports', (profile, reports) => {
    const bench = new Bench({ profile, lockdep: 'always' });
    const lock = bench.locks.raw('&l');
    touch(lock, 'task');
    inContext(bench, nmi, () => touch(lock, 'nmi'));
    expect(bench.titles()).toHaveLength(reports);
  });

  test('a lock that is only used in NMI', () => {
    const bench = new Bench({ lockdep: 'always' });
    for (let i = 0; i < 2; i++) inContext(bench, nmi, () => touch(bench.locks.raw('&l'), 'nmi'));
    expect(bench.titles()).toEqual([]);
  });
});

describe('edges', () => {
  const edges = ({ locks }: Bench): string[] => {
    const { classes, edges: all } = locks.lockdep.graph();
    const name = (index: number): string => classes.find((cls) => cls.index === index)!.name;
    return all.map(({ from, to }) => `${name(from)} ${name(to)}`).sort();
  };

  test('to the innermost lock that was waited for, and to those that were only tried inside it', () => {
    const bench = new Bench();
    const [a, b, c, d] = ['a', 'b', 'c', 'd'].map((name) => bench.locks.raw(name));
    a!.lockNow('test');
    b!.lockNow('test');
    c!.tryLock('test');
    d!.lockNow('test');
    expect(edges(bench)).toEqual(['a b', 'b d', 'c d']);
  });

  test('none from a task to an interrupt on top of it', () => {
    const bench = new Bench();
    const [a, b, c] = ['a', 'b', 'c'].map((name) => bench.locks.raw(name));
    const flags = a!.lockIrqsaveNow('task');
    inContext(bench, HARDIRQ_OFFSET, () => {
      b!.lockNow('irq');
      touch(c!, 'irq');
      b!.unlock();
    });
    a!.unlockIrqrestore(flags);
    expect(edges(bench)).toEqual(['b c']);
  });
});

describe('modes and data', () => {
  test.each([
    ['off', 0],
    ['once', 1],
    ['always', 2],
  ] as const)('%s: %d reports for two faults', (lockdep, reports) => {
    const bench = new Bench({ lockdep });
    const { locks, sched } = bench;
    for (const name of ['x', 'y']) {
      locks.raw(name).lockNow('outer');
      locks.raw(name).lockNow('inner');
    }
    sched.here.preemptCount = 0;
    expect(bench.titles('lockdep')).toHaveLength(reports);
  });

  test('the same fault again is not reported again', () => {
    const bench = new Bench({ lockdep: 'always' });
    const [a, b] = [bench.locks.raw('a'), bench.locks.raw('b')];
    for (let i = 0; i < 3; i++) {
      for (const [outer, inner] of [
        [a, b],
        [b, a],
      ] as const) {
        outer.lockNow('outer');
        touch(inner, 'inner');
        outer.unlock();
      }
    }
    expect(bench.titles()).toHaveLength(1);
  });

  test.each([
    ['5.6', []],
    ['5.7', []],
    ['5.7-rt', ['[ BUG: Invalid wait context ]']],
    ['6.18', ['[ BUG: Invalid wait context ]']],
  ] as const)('%s: a regular lock inside a raw one', (profile, titles) => {
    const bench = new Bench({ profile, lockdep: 'once' });
    SCENARIOS['[ BUG: Invalid wait context ]']!(bench);
    expect(bench.titles('lockdep')).toEqual(titles);
  });

  test('locks that are released in another order than they were taken', () => {
    const bench = new Bench();
    const { locks } = bench;
    const [a, b, c] = [locks.raw('a'), locks.raw('b'), locks.raw('c')];
    for (const lock of [a, b, c]) lock.lockNow('test');
    a.unlock();
    const held = locks.lockdep.held().map(({ map, cls }) => `${map.name} ${cls.name}`);
    expect(held).toEqual(['b b', 'c c']);
    expect(locks.lockdep.isHeld(a)).toBe(false);
    c.unlock();
    expect(locks.lockdep.isHeld(b)).toBe(true);
    b.unlock();
    expect(locks.lockdep.held()).toEqual([]);
    expect(bench.titles()).toEqual([]);
  });

  test('a nested lock of the same class, by subclass or by the lock around both', () => {
    const bench = new Bench();
    const { lockdep } = bench.locks;
    const outer = bench.locks.raw('outer');
    const [one, two, three] = ['one', 'two', 'three'].map((name) => bench.locks.raw('&rq->lock', { name }));
    outer.lockNow('test');
    lockdep.acquire(one!, 'test', 0);
    lockdep.acquire(two!, 'test', 0, lockdep.nested(two!, 1));
    lockdep.acquireNested(three!, 'test', 0, outer);
    expect(bench.titles()).toEqual([]);
    expect(lockdep.held().map(({ cls }) => cls.label)).toEqual([
      'outer',
      '&rq->lock',
      '&rq->lock/1',
      '&rq->lock',
    ]);
  });

  test('a class whose locks are gone leaves the graph; a new one with its name starts anew', () => {
    const bench = new Bench();
    const { locks } = bench;
    const a = locks.raw('a');
    for (let i = 0; i < 3; i++) {
      const key = bench.key('&htab->lockdep_key');
      const lock = locks.raw(key);
      // Alternately inside and around the other: an order that would be wrong for one class.
      const [outer, inner] = i % 2 === 0 ? [a, lock] : [lock, a];
      outer.lockNow('test');
      touch(inner, 'test');
      outer.unlock();
      locks.lockdep.forget(key);
    }
    expect(bench.titles()).toEqual([]);
    const { classes, edges } = locks.lockdep.graph();
    expect([classes.map(({ name }) => name), edges]).toEqual([['a'], []]);
  });

  test('the order graph', () => {
    const bench = new Bench();
    const { locks } = bench;
    const [a, b] = [locks.raw('a'), locks.mutex('b')];
    const rcu = locks.depMap('rcu_read_lock', { outer: WaitType.free, inner: WaitType.config });
    b.lockNow('f');
    locks.lockdep.acquire(rcu, 'f', READ_RECURSIVE);
    touch(a, 'f');
    locks.lockdep.release(rcu);
    b.unlock();
    const used = ['HARDIRQ-ON-W', 'SOFTIRQ-ON-W', 'INITIAL USE'];
    expect(locks.lockdep.graph()).toEqual({
      classes: [
        { index: 1, name: 'a', waitType: WaitType.spin, usage: used },
        { index: 2, name: 'b', waitType: WaitType.sleep, usage: used },
        {
          index: 3,
          name: 'rcu_read_lock',
          waitType: WaitType.config,
          usage: ['HARDIRQ-ON-R', 'SOFTIRQ-ON-R', 'INITIAL READ USE'],
        },
      ],
      edges: [
        { from: 2, to: 3, place: 'f' },
        { from: 3, to: 1, place: 'f' },
      ],
      refused: [],
    });
  });

  test('the longest time that a lock of each class was held, with its place', () => {
    const bench = new Bench();
    const { locks, sched } = bench;
    for (const [name, ns] of [
      ['a', 100],
      ['a', 700],
      ['b', 300],
      ['a', 200],
    ] as const) {
      const lock = locks.raw(name);
      lock.lockNow(`${name} for ${ns}`);
      sched.charge(ns);
      lock.unlock();
    }
    const cost = 2 * sched.costs.lock;
    expect(sched.latency.report().held).toEqual([
      { lockClass: 'a', ns: 700 + cost, place: 'a for 700', cpu: 0 },
      { lockClass: 'b', ns: 300 + cost, place: 'b for 300', cpu: 0 },
    ]);
    sched.latency.reset();
    touch(locks.raw('a'), 'again');
    expect(sched.latency.report().held).toEqual([{ lockClass: 'a', ns: cost, place: 'again', cpu: 0 }]);
  });
});
