/** What `bpflab sim` says: the kernel's log, what happened, programs, maps, the worst sections. */

import type { Worst } from '../kernel/sched/latency.js';
import type { SimResult } from '../kernel/sim/result.js';
import { type MapDump, mapText } from './map-dump.js';
import { duration, recordText } from './run.js';
import { table } from './table.js';

/** Entries of a map, events and records that the text shows. */
const TEXT_ENTRIES = 64;
const TEXT_EVENTS = 40;

export interface SimReport extends SimResult {
  readonly file: string;
  readonly scenario: string;
  readonly maps: readonly MapDump[];
}

export function simText(report: SimReport, strong: (text: string) => string): string {
  const { profile, cpus, timeNs } = report;
  const lines = [`${report.scenario} on ${profile}, ${cpus} CPUs: ${duration(timeNs)} of simulated time`];
  const section = (title: string, body: readonly string[]) => {
    if (body.length > 0) lines.push('', strong(title), ...body.map((line) => `  ${line}`));
  };
  section('console', report.console);
  section('events', limited(eventLines(report), TEXT_EVENTS));
  section('programs', programLines(report));
  section('links', linkLines(report));
  section('trace_pipe', limited(report.trace, TEXT_ENTRIES));
  section('output', limited(report.output.map(recordText), TEXT_ENTRIES));
  section(
    'maps',
    report.maps.flatMap((map) => mapText(map, TEXT_ENTRIES)),
  );
  section('latency', latencyLines(report));
  section('unmet', report.unmet);
  lines.push('', strong(summary(report)));
  return lines.join('\n');
}

function limited(lines: readonly string[], most: number): readonly string[] {
  return lines.length <= most ? lines : [...lines.slice(0, most), `… ${lines.length - most} more`];
}

function eventLines({ events }: SimReport): string[] {
  const rows = events.map(({ timeNs, cpu, comm, kind, event, result }) => [
    (timeNs / 1000).toFixed(3),
    cpu.toString(),
    comm,
    event,
    kind,
    result.toString(),
  ]);
  if (rows.length === 0) return [];
  return table(['µs', 'cpu', 'task', 'event', 'kind', 'result'], rows, {
    align: ['right', 'right', 'left', 'left', 'left', 'left'],
  }).split('\n');
}

function programLines({ programs }: SimReport): string[] {
  if (programs.length === 0) return [];
  const rows = programs.map(({ name, type, runs, instructions, misses, skipped }) => [
    name,
    type,
    runs.toString(),
    instructions.toString(),
    misses.toString(),
    skipped.toString(),
  ]);
  const lines = table(['program', 'type', 'runs', 'instructions', 'misses', 'suppressed'], rows, {
    align: ['left', 'left', 'right', 'right', 'right', 'right'],
  }).split('\n');
  return [
    ...lines,
    ...programs.flatMap(({ name, refusal }) => (refusal === undefined ? [] : [`${name}: ${refusal}`])),
  ];
}

function linkLines({ links }: SimReport): string[] {
  return links.map(
    ({ prog, target, missed }) => `${prog} at ${target}${missed > 0 ? `, ${missed} missed` : ''}`,
  );
}

function latencyLines({ latency }: SimReport): string[] {
  const line = (what: string, worst: Worst | undefined) =>
    worst === undefined ? [] : [`${what}: ${duration(worst.ns)} on CPU ${worst.cpu}, since ${worst.place}`];
  return [
    ...line('interrupts off', latency.irqsoff),
    ...line('preemption off', latency.preemptoff),
    ...latency.held.flatMap((worst) => line(`held ${worst.lockClass}`, worst)),
  ];
}

function summary({ splats, deadlock, stopped, unmet }: SimReport): string {
  const reports =
    splats.length === 0 ? 'no report' : `${splats.length} report${splats.length > 1 ? 's' : ''}`;
  if (stopped !== undefined) return `${reports}; stopped: ${stopped}`;
  if (deadlock !== undefined) return `${reports}; ended in a deadlock`;
  return unmet.length === 0 ? reports : `${reports}; ${unmet.length} unmet expectations`;
}
