/** Trace-event JSON: slices nest, spans and arrows have ends, counters follow. */
import { expect, test } from '@jest/globals';
import type { TraceEvent } from '../../src/kernel/sched/trace.js';
import { type TraceEventJson, traceEventFile } from '../../src/report/trace-event.js';

const task = (pid: number) => ({ pid, comm: `t${pid}`, prio: 120 });
const idle = { pid: 0, comm: 'swapper/0', prio: 140 };

const EVENTS: readonly TraceEvent[] = [
  { timeNs: 1000, cpu: 0, kind: 'switch', prev: idle, state: 'R', next: task(1) },
  { timeNs: 1100, cpu: 0, kind: 'prog', phase: 'start', name: 'counter', pid: 1, preemptCount: 1 },
  { timeNs: 1200, cpu: 0, kind: 'lock', phase: 'acquired', lock: 'A', pid: 1 },
  { timeNs: 1250, cpu: 0, kind: 'count', name: 'preempt_count', value: 1 },
  { timeNs: 1300, cpu: 0, kind: 'irq', phase: 'entry', context: 'nmi', name: 'perf' },
  { timeNs: 1400, cpu: 0, kind: 'irq', phase: 'exit', context: 'nmi', name: 'perf' },
  { timeNs: 1450, cpu: 1, kind: 'lock', phase: 'contended', lock: 'A', pid: 2 },
  { timeNs: 1500, cpu: 0, kind: 'switch', prev: task(1), state: 'R', next: task(3) },
  { timeNs: 1600, cpu: 0, kind: 'switch', prev: task(3), state: 'X', next: task(1) },
  { timeNs: 1700, cpu: 0, kind: 'lock', phase: 'released', lock: 'A', pid: 1 },
  { timeNs: 1800, cpu: 1, kind: 'lock', phase: 'acquired', lock: 'A', pid: 2 },
];

const shown = (events: readonly TraceEventJson[], tid: number, phases: string): string[] =>
  events.filter((e) => e.tid === tid && phases.includes(e.ph)).map((e) => `${e.ph} ${e.name} ${e.ts}`);

test('slices nest, and a program that its task takes along is resumed with it', () => {
  const { traceEvents } = traceEventFile(EVENTS);
  expect(shown(traceEvents, 0, 'BE')).toEqual([
    'B t1/1 1',
    'B counter 1.1',
    'B nmi perf 1.3',
    'E nmi perf 1.4',
    'E counter 1.5',
    'E t1/1 1.5',
    'B t3/3 1.5',
    'E t3/3 1.6',
    'B t1/1 1.6',
    'B counter 1.6',
    'E counter 1.8',
    'E t1/1 1.8',
  ]);
});

test('lock waits and holds are spans, with an arrow where one is handed over', () => {
  const { traceEvents } = traceEventFile(EVENTS);
  expect(shown(traceEvents, 1, 'besf')).toEqual([
    'b wait A 1.45',
    'e wait A 1.8',
    'b A 1.8',
    'f hand over A 1.8',
    'e A 1.8',
  ]);
  expect(shown(traceEvents, 0, 'besf')).toEqual(['b A 1.2', 'e A 1.7', 's hand over A 1.7']);
});

test('counters and names of tracks', () => {
  const { traceEvents } = traceEventFile(EVENTS, 'scenario');
  expect(shown(traceEvents, 0, 'C')).toEqual(['C preempt_count CPU 0 1.25']);
  const names = traceEvents.filter((e) => e.ph === 'M').map((e) => e.args?.name);
  expect(names).toEqual(['scenario', 'CPU 0', 'CPU 1']);
  expect(traceEventFile([]).traceEvents).toHaveLength(1);
});
