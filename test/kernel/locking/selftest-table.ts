/**
 * The cases of Linux's locking self-test (lib/locking-selftest.c, 6.12) as data. An event is a list of steps; a case runs
 * its events one after the other, in every order where it says so, and lockdep has to report something or nothing.
 * Steps: `L`/`U` lock and unlock with the lock type under test, `S`/`s` a spinlock, `R`/`r` and `W`/`w` an rwlock for
 * reading and writing, `M`/`m` a mutex, `D`/`d` a semaphore for reading, `T`/`t` for writing, `P`/`p` a local lock, `B`/`b`
 * a raw spinlock, each followed by the lock's name (X1 and X2 are two locks of one class); `I` initialises the lock under
 * test again; `irq(` `)`: in an interrupt; `off` `on`: interrupts off and on.
 */

export type LockType = 'spin' | 'wlock' | 'rlock' | 'mutex' | 'wsem' | 'rsem' | 'rtmutex';
export type IrqState = 'hard' | 'soft';

export const ALL_TYPES: readonly LockType[] = ['spin', 'wlock', 'rlock', 'mutex', 'wsem', 'rsem', 'rtmutex'];
const SPINNING: readonly LockType[] = ['spin', 'wlock', 'rlock'];
const RW: readonly LockType[] = ['wlock', 'rlock'];

export interface SelfTest {
  readonly name: string;
  readonly events: readonly string[];
  /** Whether the events are run in every order. */
  readonly permuted?: boolean;
  /** Lock types under test; default one run with none. */
  readonly types?: readonly LockType[];
  /** Types with which nothing is to be reported. */
  readonly silent?: readonly LockType[];
  /** For cases without a type: nothing is to be reported. */
  readonly ok?: boolean;
  /** Kinds of interrupt under test. */
  readonly irqs?: readonly IrqState[];
  /** Readers of rwlocks recurse only in interrupts, as queued rwlocks have it. */
  readonly queued?: boolean;
}

const pair = (x: string, y: string): string => `L${x} L${y} U${y} U${x}`;
const RLOCK: readonly LockType[] = ['rlock'];

/** Any order of locks: reported except where all are recursive readers. */
function ordered(name: string, ...events: string[]): SelfTest {
  return { name, events, types: ALL_TYPES, silent: RLOCK };
}

function irqCase(name: string, events: readonly string[], more: Partial<SelfTest> = {}): SelfTest {
  return { name, events, permuted: true, irqs: ['hard', 'soft'], types: SPINNING, silent: RLOCK, ...more };
}

function readers(name: string, ok: boolean, ...events: string[]): SelfTest {
  return { name, ok, events, permuted: true };
}

export const SELF_TESTS: readonly SelfTest[] = [
  ordered('A-A deadlock', 'LX1 LX2'),
  ordered('A-B-B-A deadlock', pair('A', 'B'), pair('B', 'A')),
  ordered('A-B-B-C-C-A deadlock', pair('A', 'B'), pair('B', 'C'), pair('C', 'A')),
  ordered('A-B-C-A-B-C deadlock', pair('A', 'B'), pair('C', 'A'), pair('B', 'C')),
  ordered('A-B-B-C-C-D-D-A deadlock', pair('A', 'B'), pair('B', 'C'), pair('C', 'D'), pair('D', 'A')),
  ordered('A-B-C-D-B-D-D-A deadlock', pair('A', 'B'), pair('C', 'D'), pair('B', 'D'), pair('D', 'A')),
  ordered('A-B-C-D-B-C-D-A deadlock', pair('A', 'B'), pair('C', 'D'), pair('B', 'C'), pair('D', 'A')),
  { name: 'double unlock', events: ['LA UA UA'], types: ALL_TYPES },
  { name: 'initialize held', events: ['LA IA'], types: ALL_TYPES },
  { name: 'recursive read-lock, rwlock', events: ['RX1 RX1'], ok: true },
  { name: 'recursive read-lock, rwsem', events: ['DX1 DX1'] },
  { name: 'recursive read-lock #2, rwlock', events: ['RX1 RX2'], ok: true },
  { name: 'recursive read-lock #2, rwsem', events: ['DX1 DX2'] },
  { name: 'mixed read-write-lock, rwlock', events: ['RX1 WX2'] },
  { name: 'mixed read-write-lock, rwsem', events: ['DX1 TX2'] },
  { name: 'mixed write-read-lock, rwlock', events: ['WX1 RX2'] },
  { name: 'mixed write-read-lock, rwsem', events: ['TX1 DX2'] },
  { name: 'mixed read-lock/lock-write ABBA, rwlock', events: ['RX1 SY1 sY1 rX1', 'SY1 WX1 wX1 sY1'] },
  { name: 'mixed read-lock/lock-write ABBA, rwsem', events: ['DX1 MY1 mY1 dX1', 'MY1 TX1 tX1 mY1'] },
  {
    name: 'mixed read-lock/lock-read ABBA, rwlock',
    events: ['RX1 SY1 sY1 rX1', 'SY1 RX1 rX1 sY1'],
    ok: true,
  },
  { name: 'mixed read-lock/lock-read ABBA, rwsem', events: ['DX1 MY1 mY1 dX1', 'MY1 DX1 dX1 mY1'] },
  { name: 'mixed write-lock/lock-write ABBA, rwlock', events: ['WX1 SY1 sY1 wX1', 'SY1 WX1 wX1 sY1'] },
  { name: 'mixed write-lock/lock-write ABBA, rwsem', events: ['TX1 MY1 mY1 tX1', 'MY1 TX1 tX1 mY1'] },
  {
    name: 'chain cached mixed R-L/L-W ABBA',
    events: ['RX1 SY1 sY1 rX1', 'SY1 RX1 rX1 sY1', 'SY1 WX1 wX1 sY1'],
  },
  readers('rlock W1R2/W2R3/W3R1', false, 'WX1 RY1 rY1 wX1', 'WY1 RZ1 rZ1 wY1', 'WZ1 RX1 rX1 wZ1'),
  readers('rlock W1W2/R2R3/W3R1', false, 'WX1 WY1 wY1 wX1', 'RY1 RZ1 rZ1 rY1', 'WZ1 RX1 rX1 wZ1'),
  readers('rlock W1W2/R2R3/R3W1', true, 'WX1 WY1 wY1 wX1', 'RY1 RZ1 rZ1 rY1', 'RZ1 WX1 wX1 rZ1'),
  readers('rlock W1R2/R2R3/W3W1', true, 'WX1 RY1 rY1 wX1', 'RY1 RZ1 rZ1 rY1', 'WZ1 WX1 wX1 wZ1'),
  irqCase('irqs-on + irq-safe-A', ['irq( LA UA )', 'LA UA']),
  irqCase('sirq-safe-A => hirqs-on', ['irq( LA UA )', 'hardoff LA hardon UA'], { irqs: ['soft'] }),
  irqCase('safe-A + irqs-on', ['irq( LA UA )', 'off LA on UA']),
  irqCase('safe-A + unsafe-B #1', ['LA LB UB UA', 'LB UB', 'irq( LA UA )']),
  irqCase('safe-A + unsafe-B #2', ['off LA LB UB UA on', 'LB UB', 'irq( LA UA )']),
  irqCase('irq lock-inversion', ['off WA LB UB wA on', 'LB UB', 'irq( RA rA )']),
  irqCase('irq read-recursion', ['off WA wA on', 'RA rA', 'irq( LA SB sB UA )'], { types: RW }),
  irqCase('irq read-recursion #2', ['off SB LA UA sB on', 'RA rA', 'irq( SB sB )'], { types: RW }),
  irqCase('irq read-recursion #3', ['off WB LA UA wB on', 'RA rA', 'irq( RB rB )'], { types: RW }),
  {
    name: 'queued: hardirq read-lock/lock-read',
    events: ['irq( RA SB sB rA )', 'off SB RA rA sB on'],
    irqs: ['hard'],
    queued: true,
  },
  {
    name: 'queued: hardirq lock-read/read-lock',
    events: ['irq( SB RA rA sB )', 'off RA SB sB rA on'],
    irqs: ['hard'],
    queued: true,
    ok: true,
  },
  {
    name: 'queued: hardirq inversion',
    events: ['irq( SB sB )', 'off SB RA rA sB on', 'RA rA'],
    irqs: ['hard'],
    queued: true,
  },
  {
    name: 'local_lock inversion 2',
    events: ['PA pA', 'irq( SA sA )', 'off SA PA pA sA on'],
    irqs: ['hard'],
    ok: true,
  },
  {
    name: 'local_lock inversion 3A',
    events: ['PA SB sB pA', 'irq( SA sA )', 'off SA PA pA sA on'],
    irqs: ['hard'],
    ok: true,
  },
  {
    name: 'local_lock inversion 3B',
    events: ['PA SB sB pA', 'irq( SA sA )', 'off SA PA pA sA on', 'off SA SB sB sA on'],
    irqs: ['hard'],
  },
  {
    name: 'hardirq_unsafe_softirq_safe',
    events: [
      'MA hardoff SC sC hardon mA',
      'hard( SA sA )',
      'hardoff SA SB sB sA hardon',
      'hardoff SB SC sC sB hardon',
      'soft( SD sD )',
      'softoff SD sD softon',
      'hardoff SC SD sD sC hardon',
    ],
  },
];

/** What may be taken inside what: `rcu`, `raw`, `spin`, `mutex` inside each context. */
export const WAIT_CONTEXTS: readonly (readonly [outer: string, allowed: readonly string[]])[] = [
  ['hardirq', ['rcu', 'raw', 'spin']],
  ['hardirq, not threaded', ['rcu', 'raw']],
  ['softirq', ['rcu', 'raw', 'spin']],
  ['rcu', ['rcu', 'raw', 'spin']],
  ['rcu_bh', ['rcu', 'raw', 'spin']],
  ['rcu_sched', ['rcu', 'raw']],
  ['raw', ['rcu', 'raw']],
  ['spin', ['rcu', 'raw', 'spin']],
  ['mutex', ['rcu', 'raw', 'spin', 'mutex']],
];
