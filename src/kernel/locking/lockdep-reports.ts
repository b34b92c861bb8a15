/**
 * Lockdep's reports, in the words of kernel/locking/lockdep.c (6.12). Each function gives the lines of one, its title
 * first; who prints them and turns lockdep off is `lockdep.ts`.
 */
import type { Cpu } from '../sched/cpu.js';
import type { DepMap, LockClass } from './lock-class.js';
import { type PathNode, pathOf } from './lockdep-search.js';
import {
  circleScenario,
  contextOf,
  type HeldView,
  heldLines,
  irqScenario,
  lockLine,
  memoryOf,
  nameOf,
  recursionScenario,
  traceLines,
  usageScenario,
} from './lockdep-text.js';
import { stateName, usageText } from './lockdep-usage.js';

const OTHER_INFO = 'other info that might help us debug this:';

/** Title and body of a report; the kernel's identity goes between them. */
export interface Report {
  readonly title: string;
  readonly body: readonly string[];
}

export function recursionReport(cpu: Cpu, prev: HeldView, next: HeldView): Report {
  return {
    title: 'WARNING: possible recursive locking detected',
    body: [
      `${cpu.current.label} is trying to acquire lock:`,
      lockLine(next),
      '',
      'but task is already holding lock:',
      lockLine(prev),
      '',
      OTHER_INFO,
      ...recursionScenario(prev.cls, next.cls),
      ...heldLines(cpu),
    ],
  };
}

/** `found`: the held lock's class at the end of the path from the new lock's. */
export function circleReport(
  cpu: Cpu,
  prev: HeldView,
  next: HeldView,
  found: PathNode,
  trace: readonly string[],
): Report {
  const path = pathOf(found);
  const entries = [...path].reverse().flatMap(({ cls, edge }, i) => {
    const depth = path.length - 1 - i;
    return ['', `-> #${depth}${nameOf(cls)}:`, ...traceLines(edge?.trace ?? trace, 6)];
  });
  return {
    title: 'WARNING: possible circular locking dependency detected',
    body: [
      `${cpu.current.label} is trying to acquire lock:`,
      lockLine(next),
      '',
      'but task is already holding lock:',
      lockLine(prev),
      '',
      'which lock already depends on the new lock.',
      '',
      'the existing dependency chain (in reverse order) is:',
      ...entries,
      '',
      OTHER_INFO,
      '',
      ...circleScenario(next, prev, path.at(-2)?.cls ?? next.cls),
      ...heldLines(cpu),
    ],
  };
}

export function usageReport(cpu: Cpu, lock: HeldView, prevBit: number, newText: string): Report {
  const prev = usageText(prevBit);
  return {
    title: 'WARNING: inconsistent lock state',
    body: [
      `inconsistent {${prev}} -> {${newText}} usage.`,
      `${contextOf(cpu)} takes:`,
      lockLine(lock),
      `{${prev}} state was registered at:`,
      ...traceLines(lock.cls.usageTraces[prevBit], 2),
      '',
      OTHER_INFO,
      ...usageScenario(lock.cls),
      ...heldLines(cpu),
    ],
  };
}

/** A class on a path, with what it was used for and where. */
function classHeader(cls: LockClass, depth: number): string[] {
  const pad = ' '.repeat(depth);
  const uses = cls.usageTraces.flatMap((trace, bit) => [
    `${pad}   ${usageText(bit)} at:`,
    ...traceLines(trace, depth + 6),
  ]);
  return [`${pad}->${nameOf(cls)} {`, ...uses, `${pad} }`, `${pad} ... key      at: ${cls.name}`];
}

/** From the end of a path to its root. */
function dependencies(leaf: PathNode, rootTrace: readonly string[]): string[] {
  const path = pathOf(leaf);
  return [...path].reverse().flatMap(({ cls, edge }, i) => {
    const depth = path.length - 1 - i;
    const at = `${' '.repeat(depth)} ... acquired at:`;
    return [...classHeader(cls, depth), at, ...traceLines(edge?.trace ?? rootTrace, 2), ''];
  });
}

export interface BadOrder {
  readonly prev: HeldView;
  readonly next: HeldView;
  /** The irq-safe class, at the end of the path back from `prev`, and the unsafe one, on from `next`. */
  readonly safe: PathNode;
  readonly unsafe: PathNode;
  readonly safeBit: number;
  readonly unsafeBit: number;
}

export function badOrderReport(cpu: Cpu, order: BadOrder, trace: readonly string[]): Report {
  const { prev, next, safe, unsafe, safeBit, unsafeBit } = order;
  const state = stateName(safeBit);
  return {
    title: `WARNING: ${state}-safe -> ${state}-unsafe lock order detected`,
    body: [
      `${contextOf(cpu)} is trying to acquire:`,
      lockLine(next),
      '',
      'and this task is already holding:',
      lockLine(prev),
      'which would create a new lock dependency:',
      `${nameOf(prev.cls)} ->${nameOf(next.cls)}`,
      '',
      `but this new dependency connects a ${state}-irq-safe lock:`,
      nameOf(safe.cls),
      `... which became ${state}-irq-safe at:`,
      ...traceLines(safe.cls.usageTraces[safeBit], 2),
      '',
      `to a ${state}-irq-unsafe lock:`,
      nameOf(unsafe.cls),
      `... which became ${state}-irq-unsafe at:`,
      ...traceLines(unsafe.cls.usageTraces[unsafeBit], 2),
      '',
      OTHER_INFO,
      '',
      ...irqScenario(safe.cls, unsafe.cls, prev.cls, next.cls),
      ...heldLines(cpu),
      '',
      `the dependencies between ${state}-irq-safe lock and the holding lock:`,
      ...dependencies(safe, trace),
      '',
      `the dependencies between the lock to be acquired and ${state}-irq-unsafe lock:`,
      ...dependencies(unsafe, trace),
    ],
  };
}

/** `other`: the conflicting class at the end of the path from the lock's; `forwards`: the lock took it. */
export function inversionReport(
  cpu: Cpu,
  lock: HeldView,
  other: PathNode,
  bit: number,
  forwards: boolean,
  trace: readonly string[],
): Report {
  const state = stateName(bit);
  const root = lock.cls;
  const middle = pathOf(other)[1]?.cls ?? other.cls;
  const changed = forwards
    ? `but this lock took another, ${state}-unsafe lock in the past:`
    : `but this lock was taken by another, ${state}-safe lock in the past:`;
  const scenario = forwards
    ? irqScenario(root, other.cls, middle, other.cls)
    : irqScenario(other.cls, root, middle, root);
  return {
    title: 'WARNING: possible irq lock inversion dependency detected',
    body: [
      `${cpu.current.label} just changed the state of lock:`,
      lockLine(lock),
      changed,
      nameOf(other.cls),
      '',
      '',
      'and interrupts could create inverse lock ordering between them.',
      '',
      '',
      OTHER_INFO,
      ...scenario,
      ...heldLines(cpu),
      '',
      'the shortest dependencies between 2nd lock and 1st lock:',
      ...dependencies(other, trace),
    ],
  };
}

export function waitContextReport(cpu: Cpu, next: HeldView, inner: number): Report {
  return {
    title: '[ BUG: Invalid wait context ]',
    body: [
      `${cpu.current.label} is trying to lock:`,
      lockLine(next),
      OTHER_INFO,
      `context-{${inner}:${inner}}`,
      ...heldLines(cpu),
    ],
  };
}

export function imbalanceReport(cpu: Cpu, map: DepMap, place: string): Report {
  return {
    title: 'WARNING: bad unlock balance detected!',
    body: [
      `${cpu.current.label} is trying to release lock (${map.name}) at:`,
      `[<0>] ${place}`,
      'but there are no more locks to release!',
      '',
      OTHER_INFO,
      ...heldLines(cpu),
    ],
  };
}

export function notNestedReport(cpu: Cpu, next: HeldView, nest: DepMap): Report {
  return {
    title: 'WARNING: Nested lock was not taken',
    body: [
      `${cpu.current.label} is trying to lock:`,
      lockLine(next),
      '',
      'but this task is not holding:',
      nest.name,
      '',
      OTHER_INFO,
      ...heldLines(cpu),
    ],
  };
}

export function freedReport(cpu: Cpu, lock: HeldView): Report {
  return {
    title: 'WARNING: held lock freed!',
    body: [
      `${cpu.current.label} is freeing memory ${memoryOf(lock.map)}, with a lock still held there!`,
      lockLine(lock),
      ...heldLines(cpu),
    ],
  };
}

export function userReturnReport(cpu: Cpu): Report {
  return {
    title: 'WARNING: lock held when returning to user space!',
    body: [
      `${cpu.current.comm}/${cpu.current.pid} is leaving the kernel with locks still held!`,
      ...heldLines(cpu),
    ],
  };
}
