/** Traces of real scenarios: everything that is to be seen is there, and the file keeps the rules of its format. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { explore, randomWalk } from '../../src/explore/index.js';
import { simScenario } from '../../src/explore/sim-scenario.js';
import { traceOf } from '../../src/explore/trace.js';
import { parseScenario } from '../../src/kernel/sim/scenario.js';
import { openObject, relocateObject } from '../../src/object/index.js';
import { lockOrderDot } from '../../src/report/lock-graph.js';
import { type TraceEventJson, traceEventFile } from '../../src/report/trace-event.js';

const OBJECT = relocateObject(
  openObject(readFileSync('programs/rt_maps.bpf.o'), { file: 'rt_maps.bpf.o' }),
  {},
);

function scenarioOf(name: string) {
  const json = readFileSync(`programs/scenarios/${name}.json`, 'utf8');
  return simScenario(
    OBJECT,
    parseScenario(json, () => new Uint8Array()),
    { name },
  );
}

/** What is wrong with a file, by the rules of "Trace Event Format". */
function faults(events: readonly TraceEventJson[]): string[] {
  const found: string[] = [];
  const open = new Map<number, string[]>();
  const spans = new Map<string, number>();
  const flows = new Map<number, TraceEventJson>();
  const last = new Map<number, number>();
  for (const event of events) {
    const { ph, tid, ts, name, id = -1 } = event;
    if (ph === 'M') continue;
    if (ts < (last.get(tid) ?? 0)) found.push(`${name} on ${tid} goes back to ${ts}`);
    last.set(tid, ts);
    const stack = open.get(tid) ?? [];
    open.set(tid, stack);
    const span = `${event.cat} ${id} ${name}`;
    if (ph === 'B') stack.push(name);
    else if (ph === 'E' && stack.pop() !== name) found.push(`E ${name} on ${tid} ends another slice`);
    else if (ph === 'b') spans.set(span, (spans.get(span) ?? 0) + 1);
    else if (ph === 'e') {
      if (spans.get(span) !== 1) found.push(`e ${span} without b`);
      spans.delete(span);
    } else if (ph === 's') flows.set(id, event);
    else if (ph === 'f') {
      const from = flows.get(id);
      if (from === undefined || from.ts > ts || from.name !== name) found.push(`f ${name} without s`);
    } else if (ph === 'C' && Object.values(event.args ?? {}).some((value) => typeof value !== 'number'))
      found.push(`C ${name} has no number`);
  }
  for (const [tid, stack] of open) if (stack.length > 0) found.push(`${stack.join()} on ${tid} never end`);
  for (const span of spans.keys()) found.push(`b ${span} never ends`);
  return found;
}

describe.each(['kprobe-map-update', 'nmi-over-tc', 'rt-locks'])('%s', (name) => {
  const scenario = scenarioOf(name);
  const { failures } = explore({ scenario, strategy: randomWalk(3), schedules: 1 });
  const schedule = failures[0]?.schedule ?? { scenario: name, seed: 0, steps: [] };
  const traced = traceOf(scenario, schedule);
  const { traceEvents } = traceEventFile(traced.events);

  test('keeps the rules of the format', () => {
    expect(traceEvents.length).toBeGreaterThan(20);
    expect(faults(traceEvents)).toEqual([]);
  });

  test('shows programs, locks and preempt_count', () => {
    const kinds = new Set(traceEvents.map(({ ph, cat, name: title }) => `${ph} ${cat ?? title}`));
    for (const kind of ['B prog', 'B irq', 'b lock', 'C preempt_count CPU 0']) expect(kinds).toContain(kind);
  });
});

test('bpf_prog_active goes up, by one more where a program is refused, and comes back', () => {
  const scenario = scenarioOf('kprobe-map-update');
  const { events } = traceOf(scenario, { scenario: '', seed: 0, steps: [] });
  const values = events.flatMap((e) => (e.kind === 'count' && e.name === 'bpf_prog_active' ? [e.value] : []));
  expect(new Set(values)).toEqual(new Set([0, 1, 2]));
  expect(values.at(-1)).toBe(0);
});

test('a circle of waiters is drawn red beside the order of locks', () => {
  const scenario = scenarioOf('nmi-over-tc');
  const [failure] = explore({ scenario, strategy: randomWalk(1), schedules: 20 }).failures;
  const { graph, waits } = traceOf(scenario, failure!.schedule);
  expect(waits.map(({ from, to }) => `${from} -> ${to}`).sort()).toEqual([
    'hardirq eth0-rx-0 on CPU 0 -> nmi perf_event_nmi_handler on CPU 0',
    'nmi perf_event_nmi_handler on CPU 0 -> hardirq eth0-rx-0 on CPU 0',
  ]);
  const dot = lockOrderDot(graph, waits);
  expect(dot).toContain('who waits for whom');
  expect(dot.match(/color="red"/g)).toHaveLength(2);
});
