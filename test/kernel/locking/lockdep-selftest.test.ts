/** Linux's locking self-test: every case of `selftest-table.ts`, in every order, on kernels with RT and without. */
import { describe, expect, test } from '@jest/globals';
import type { DepMap } from '../../../src/kernel/locking/lock-class.js';
import { WaitType } from '../../../src/kernel/locking/lock-class.js';
import { READ_RECURSIVE } from '../../../src/kernel/locking/lock-flags.js';
import { RtSleepingMutex } from '../../../src/kernel/locking/mutex.js';
import type { Flow } from '../../../src/kernel/sched/flow.js';
import { HARDIRQ_OFFSET, SOFTIRQ_DISABLE_OFFSET, SOFTIRQ_OFFSET } from '../../../src/kernel/sched/preempt.js';
import { Bench } from './bench.js';
import { type IrqState, type LockType, SELF_TESTS, type SelfTest, WAIT_CONTEXTS } from './selftest-table.js';

interface TestLock {
  lock(): Flow<void>;
  unlock(): void;
  reinit(): void;
}

/** Locks by name and type; those of a letter are of one class. */
class Locker {
  private readonly made = new Map<string, TestLock>();

  constructor(private readonly bench: Bench) {}

  get(type: string, name: string): TestLock {
    const id = `${type} ${name}`;
    let found = this.made.get(id);
    if (found === undefined) {
      found = this.make(type, `${familyOf(type)}_${name[0]}`, name);
      this.made.set(id, found);
      // The two ways to take an rwlock or a semaphore are ways to take one and the same.
      const twin = TWINS[type];
      if (twin !== undefined) this.made.set(`${twin} ${name}`, this.twin(type, twin, name));
    }
    return found;
  }

  private readonly objects = new Map<string, ReturnType<Locker['object']>>();

  private object(type: string, key: string, name: string) {
    const { locks } = this.bench;
    switch (familyOf(type)) {
      case 'spin':
        return locks.spin(key, { name });
      case 'raw':
        return locks.raw(key, { name });
      case 'rwlock':
        return locks.rw(key, { name });
      case 'mutex':
        return locks.mutex(key, { name });
      case 'rtmutex':
        return new RtSleepingMutex(locks, key, { name });
      case 'local':
        return locks.local(key);
      default:
        return locks.rwsem(key, { name });
    }
  }

  private make(type: string, key: string, name: string): TestLock {
    const object = this.object(type, key, name);
    this.objects.set(`${type} ${name}`, object);
    return wrap(type, object);
  }

  private twin(type: string, twin: string, name: string): TestLock {
    return wrap(twin, this.objects.get(`${type} ${name}`)!);
  }
}

const TWINS: Readonly<Record<string, string>> = {
  wlock: 'rlock',
  rlock: 'wlock',
  wsem: 'rsem',
  rsem: 'wsem',
};

function familyOf(type: string): string {
  if (type === 'wlock' || type === 'rlock') return 'rwlock';
  return type === 'wsem' || type === 'rsem' ? 'rwsem' : type;
}

function wrap(type: string, object: ReturnType<Locker['object']>): TestLock {
  const reinit = (): void => (object as unknown as { reinit(): void }).reinit();
  if ('readLock' in object)
    return type === 'rlock'
      ? { lock: () => object.readLock(type), unlock: () => object.readUnlock(), reinit }
      : { lock: () => object.writeLock(type), unlock: () => object.writeUnlock(), reinit };
  if ('downRead' in object)
    return type === 'rsem'
      ? { lock: () => object.downRead(type), unlock: () => object.upRead(), reinit }
      : { lock: () => object.downWrite(type), unlock: () => object.upWrite(), reinit };
  return { lock: () => object.lock(type), unlock: () => object.unlock(), reinit };
}

/** Lock type and whether to take it, by a step's letter. */
const LETTERS: Readonly<Record<string, string>> = {
  s: 'spin',
  r: 'rlock',
  w: 'wlock',
  m: 'mutex',
  d: 'rsem',
  t: 'wsem',
  p: 'local',
  b: 'raw',
};

class Runner {
  readonly bench: Bench;
  private readonly locker: Locker;

  constructor(
    profile: string,
    private readonly type: LockType | undefined,
    private readonly irq: IrqState,
  ) {
    this.bench = new Bench({ profile, lockdep: 'once' });
    this.locker = new Locker(this.bench);
  }

  run(events: readonly string[]): void {
    for (const event of events) for (const step of event.split(' ')) this.bench.run(() => this.step(step));
  }

  private *step(step: string): Flow<void> {
    const context = CONTEXTS[step] ?? CONTEXTS[`${this.irq}${step === 'irq(' ? '(' : step}`];
    if (context !== undefined) {
      context(this.bench);
      return;
    }
    const letter = step[0]!;
    const name = step.slice(1);
    const lower = letter.toLowerCase();
    const lock = this.locker.get(LETTERS[lower] ?? this.type!, name);
    if (letter === 'I') lock.reinit();
    else if (letter === 'U' || letter === lower) lock.unlock();
    else yield* lock.lock();
  }
}

/** Entering and leaving contexts; `)` leaves the innermost. */
const CONTEXTS: Readonly<Record<string, (bench: Bench) => void>> = {
  'hard(': ({ sched }) => {
    sched.irqSave('irq');
    sched.countAdd(HARDIRQ_OFFSET, 'irq');
    sched.here.irqThreadable = true;
  },
  'soft(': ({ sched }) => {
    sched.countAdd(SOFTIRQ_DISABLE_OFFSET + SOFTIRQ_OFFSET, 'softirq');
    sched.irqSave('softirq');
  },
  ')': ({ sched }) => {
    const hard = sched.here.preemptCount >= HARDIRQ_OFFSET;
    sched.here.irqThreadable = false;
    if (hard) sched.countSub(HARDIRQ_OFFSET);
    sched.irqRestore(false);
    if (!hard) sched.countSub(SOFTIRQ_DISABLE_OFFSET + SOFTIRQ_OFFSET);
  },
  hardoff: ({ sched }) => {
    sched.irqSave('off');
  },
  hardon: ({ sched }) => sched.irqRestore(false),
  softoff: ({ sched }) => sched.countAdd(SOFTIRQ_DISABLE_OFFSET, 'off'),
  softon: ({ sched }) => {
    sched.onIrqsOn?.(true);
    sched.countSub(SOFTIRQ_DISABLE_OFFSET);
  },
};

function orders(events: readonly string[], permuted: boolean): string[][] {
  if (!permuted || events.length < 2) return [[...events]];
  return events.flatMap((event, i) =>
    orders([...events.slice(0, i), ...events.slice(i + 1)], true).map((rest) => [event, ...rest]),
  );
}

/** Every order in which the case did not end as it should, with what was reported. */
function failures(row: SelfTest, profile: string, type: LockType | undefined, irq: IrqState): string[] {
  const silent = type === undefined ? row.ok === true : (row.silent ?? []).includes(type);
  return orders(row.events, row.permuted ?? false).flatMap((events) => {
    const runner = new Runner(profile, type, irq);
    runner.bench.locks.recursiveReaders = !(row.queued ?? false);
    runner.run(events);
    const found = runner.bench.titles('lockdep');
    return (found.length === 0) === silent ? [] : [`${events.join(' | ')}: ${found.join()}`];
  });
}

const CASES = ['6.18', '6.18-rt'].flatMap((profile) =>
  SELF_TESTS.flatMap((row) => {
    const rt = profile.endsWith('-rt');
    // As in Linux: softirqs and queued rwlocks are not for RT.
    if (rt && row.queued === true) return [];
    const irqs = (row.irqs ?? ['hard']).filter((irq) => !rt || irq === 'hard');
    return irqs.flatMap((irq) =>
      (row.types ?? [undefined]).map((type) => ({ profile, row, irq, type, name: row.name })),
    );
  }),
);

describe('locking self-test', () => {
  test.each(CASES)('$profile: $name, $irq, $type', ({ profile, row, irq, type }) => {
    expect(failures(row, profile, type, irq)).toEqual([]);
  });

  test('there are as many cases as in Linux, apart from those about ww_mutex, fs_reclaim and wait contexts', () => {
    const runs = CASES.filter(({ profile }) => profile === '6.18').map(
      ({ row }) => orders(row.events, row.permuted ?? false).length,
    );
    expect(runs.reduce((a, b) => a + b, 0)).toBe(319);
  });
});

describe('wait contexts', () => {
  const inner = ['rcu', 'raw', 'spin', 'mutex'];
  const rows = WAIT_CONTEXTS.flatMap(([outer, allowed]) =>
    ['6.18', '6.18-rt'].flatMap((profile) =>
      inner.map((kind) => ({ profile, outer, kind, ok: allowed.includes(kind) })),
    ),
  ).filter(({ profile, outer }) => !(profile === '6.18-rt' && outer === 'softirq'));

  test.each(rows)('$profile: $kind in $outer', ({ profile, outer, kind, ok }) => {
    const bench = new Bench({ profile, lockdep: 'once' });
    enter(bench, outer, 'A');
    enter(bench, kind, 'B');
    expect(bench.titles('lockdep')).toEqual(ok ? [] : ['[ BUG: Invalid wait context ]']);
  });
});

const RCU_WAITS: Readonly<Record<string, { outer: number; inner: number }>> = {
  rcu: { outer: WaitType.free, inner: WaitType.config },
  rcu_bh: { outer: WaitType.free, inner: WaitType.config },
  rcu_sched: { outer: WaitType.free, inner: WaitType.spin },
};

function enter(bench: Bench, context: string, name: string): void {
  const { locks, sched } = bench;
  const waits = RCU_WAITS[context];
  if (waits !== undefined) {
    const map: DepMap = locks.depMap(context, waits);
    locks.lockdep.acquire(map, context, READ_RECURSIVE);
  } else if (context === 'hardirq') CONTEXTS['hard(']!(bench);
  else if (context === 'hardirq, not threaded') {
    CONTEXTS['hard(']!(bench);
    sched.here.irqThreadable = false;
  } else if (context === 'softirq') CONTEXTS['soft(']!(bench);
  else if (context === 'mutex') bench.run(() => locks.mutex(name).lock('test'));
  else bench.run(() => (context === 'raw' ? locks.raw(name) : locks.spin(name)).lock('test'));
}
