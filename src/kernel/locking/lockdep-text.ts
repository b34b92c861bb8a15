/** How lockdep's reports name locks, tasks and contexts, and the scenarios that they draw (kernel/locking/lockdep.c). */
import type { Cpu } from '../sched/cpu.js';
import { HARDIRQ_MASK, SOFTIRQ_OFFSET } from '../sched/preempt.js';
import type { HeldLocks } from './held-locks.js';
import type { DepMap, LockClass } from './lock-class.js';
import { IN_HARDIRQ, IN_SOFTIRQ, READ_MASK, TRYLOCK } from './lock-flags.js';
import { usageChars } from './lockdep-usage.js';

/** A lock that is held or about to be, as lockdep's checks see it (`struct held_lock`). */
export interface HeldView {
  readonly map: DepMap;
  readonly cls: LockClass;
  readonly place: string;
  /** `READ_…`. */
  readonly read: number;
  readonly trylock: boolean;
  /** Bits `IN_HARDIRQ` and `IN_SOFTIRQ`. */
  readonly irqContext: number;
  readonly key: number;
}

export function viewOf(map: DepMap, cls: LockClass, place: string, key: number): HeldView {
  return {
    map,
    cls,
    place,
    read: key & READ_MASK,
    trylock: (key & TRYLOCK) !== 0,
    irqContext: key & (IN_HARDIRQ | IN_SOFTIRQ),
    key,
  };
}

export function viewsOf(held: HeldLocks): HeldView[] {
  const views: HeldView[] = [];
  let node = held.node;
  for (let i = held.depth - 1; i >= 0 && node?.cls !== undefined; i--, node = node.parent) {
    views.unshift(viewOf(held.locks[i]!, node.cls, held.places[i]!, node.key));
  }
  return views;
}

/** ` (&x->lock){+.+.}-{2:2}`. */
export function nameOf(cls: LockClass): string {
  return ` (${cls.label}){${usageChars(cls)}}-{${cls.waitOuter === 0 ? cls.waitInner : cls.waitOuter}:${cls.waitInner}}`;
}

/** Bytes that a lock takes where addresses are shown. */
const LOCK_BYTES = 64;

/** Stands for the lock's address. */
function addressOf({ id }: DepMap, offset = 0): string {
  return `ffff8881${(id * LOCK_BYTES + offset).toString(16).padStart(8, '0')}`;
}

export function memoryOf(map: DepMap): string {
  return `${addressOf(map)}-${addressOf(map, LOCK_BYTES - 1)}`;
}

export function lockLine({ map, cls, place }: HeldView): string {
  return `${addressOf(map)}${nameOf(cls)}, at: ${place}`;
}

export function heldLines({ current }: Cpu): string[] {
  const views = viewsOf(current.held);
  if (views.length === 0) return [`no locks held by ${current.label}.`];
  const head = `${views.length} lock${views.length === 1 ? '' : 's'} held by ${current.label}:`;
  return [head, ...views.map((view, i) => ` #${i}: ${lockLine(view)}`)];
}

/** `bpflab/1001 [HC0[0]:SC0[0]:HE1:SE1]`. */
export function contextOf(cpu: Cpu): string {
  const flag = (value: boolean): number => (value ? 1 : 0);
  const hard = (cpu.preemptCount & HARDIRQ_MASK) >> 16;
  const soft = cpu.softirqCount >> 8;
  const serving = flag((cpu.softirqCount & SOFTIRQ_OFFSET) !== 0);
  const state = `HC${flag(hard > 0)}[${hard}]:SC${serving}[${soft}]`;
  return `${cpu.current.label} [${state}:HE${flag(!cpu.irqsDisabled)}:SE${flag(soft === 0)}]`;
}

export function traceLines(trace: readonly string[] | undefined, indent: number): string[] {
  return (trace ?? []).map((line) => `${' '.repeat(indent)}${line}`);
}

const LEFT = '  ';
const RIGHT = ' '.repeat(31);
const TWO_CPUS = ['       CPU0                    CPU1', '       ----                    ----'];
const ONE_CPU = ['       CPU0', '       ----'];
const DEADLOCK = ['', ' *** DEADLOCK ***', ''];

function chain(names: readonly LockClass[]): string[] {
  return ['Chain exists of:', `  ${names.map(({ label }) => label).join(' --> ')}`, ''];
}

export function recursionScenario(prev: LockClass, next: LockClass): string[] {
  const body = [`${LEFT}lock(${prev.label});`, `${LEFT}lock(${next.label});`];
  const note = [' May be due to missing lock nesting notation', ''];
  return [' Possible unsafe locking scenario:', '', ...ONE_CPU, ...body, ...DEADLOCK, ...note];
}

export function usageScenario({ label }: LockClass): string[] {
  const body = [`${LEFT}lock(${label});`, '  <Interrupt>', `    lock(${label});`];
  return [' Possible unsafe locking scenario:', '', ...ONE_CPU, ...body, ...DEADLOCK];
}

/** `parent` comes before the held lock on the path from the new one to it. */
export function circleScenario(next: HeldView, prev: HeldView, parent: LockClass): string[] {
  const verb = ({ read }: HeldView): string => (read === 0 ? 'lock' : 'rlock');
  return [
    ...(parent === next.cls ? [] : chain([next.cls, parent, prev.cls])),
    ' Possible unsafe locking scenario:',
    '',
    ...TWO_CPUS,
    `${LEFT}${verb(prev)}(${prev.cls.label});`,
    `${RIGHT}lock(${parent.label});`,
    `${RIGHT}lock(${prev.cls.label});`,
    `${LEFT}${verb(next)}(${next.cls.label});`,
    ...DEADLOCK,
  ];
}

export function irqScenario(safe: LockClass, unsafe: LockClass, prev: LockClass, next: LockClass): string[] {
  const middle = prev === safe ? next : prev;
  return [
    ...(middle === unsafe ? [] : chain([safe, middle, unsafe])),
    ' Possible interrupt unsafe locking scenario:',
    '',
    ...TWO_CPUS,
    `${LEFT}lock(${unsafe.label});`,
    `${RIGHT}local_irq_disable();`,
    `${RIGHT}lock(${safe.label});`,
    `${RIGHT}lock(${middle.label});`,
    '  <Interrupt>',
    `    lock(${safe.label});`,
    ...DEADLOCK,
  ];
}
