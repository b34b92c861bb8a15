/** What `bpflab rfc` says: a table with a row a patch and a row a hazard, or one of them whole. */

import type { StoryLine } from '../explore/story.js';
import type { TraceEvent } from '../kernel/sched/trace.js';
import type { CaseReport, HazardReport, PatchReport } from '../rfc/judge.js';
import type { SideReport, SideRun } from '../rfc/side.js';
import { table } from './table.js';

type Strong = (text: string) => string;

/** Events of a trace that the text shows. */
const TRACE_LINES = 60;
/** Characters of a description in the table. */
const DOES_WIDTH = 48;
const SEEN_WIDTH = 120;
const SAME = 'the same trace, byte for byte';
const NOTHING = 'nothing';

export function rfcText(
  patches: readonly PatchReport[],
  hazards: readonly HazardReport[],
  strong: Strong,
): string {
  const patchRows = patches.map((row) => [`${row.number}`, ...cells(row, row.title)]);
  const hazardRows = hazards.map((row) => [row.id, ...cells(row, row.title)]);
  const parts: string[] = [];
  if (patches.length > 0) {
    const header = ['#', 'patch', 'what it does', 'scenario', 'without', 'with', 'verdict'];
    parts.push(strong('bpf: Make BPF and PREEMPT_RT co-exist'), table(header, patchRows));
  }
  if (hazards.length > 0) {
    const header = ['#', 'hazard left open', 'what happens', 'scenario', 'bites', 'mended', 'verdict'];
    parts.push(strong('\nhazards'), table(header, hazardRows));
  }
  return [...parts, '', strong(verdict([...patches, ...hazards]))].join('\n');
}

type Row = PatchReport | HazardReport;

function cells(row: Row, title: string): string[] {
  const [first] = row.cases;
  const [without, withIt] = first!.sides;
  return [
    cut(title, DOES_WIDTH),
    cut(row.does, DOES_WIDTH),
    first!.scenario,
    seenText(without, first!, 'number' in row),
    seenText(withIt, first!, 'number' in row),
    row.ok ? 'ok' : 'WRONG',
  ];
}

function seenText(side: SideReport, { sameTrace }: CaseReport, patch: boolean): string {
  if (sameTrace !== undefined) return sameTrace ? SAME : 'another trace';
  const [first = NOTHING] = side.seen;
  return cut(`${patch ? '' : `${side.label}: `}${first}${whereText(side, first)}`, SEEN_WIDTH);
}

/** Who was where when the report that is shown was printed. */
function whereText({ splats }: SideReport, line: string): string {
  const splat = splats.find(({ lines }) => lines[0] === line);
  if (splat === undefined) return '';
  const [at] = splat.stack;
  return ` (${splat.comm}${at === undefined ? '' : `, ${at}`})`;
}

function cut(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, width - 1)}…`;
}

function verdict(rows: readonly Row[]): string {
  const wrong = rows.filter(({ ok }) => !ok).map((row) => ('number' in row ? `${row.number}` : row.id));
  const cases = rows.reduce((sum, row) => sum + row.cases.length, 0);
  if (wrong.length > 0) return `not as it should be: ${wrong.join(', ')}`;
  return `${rows.length} rows, ${cases} cases, each in two kernels: all as they should be; nothing changes without RT`;
}

/** A row whole: its cases with console, story or trace. `runs`: those of `row.cases`, in their order. */
export function rowText(row: Row, runs: readonly (readonly [SideRun, SideRun])[], strong: Strong): string {
  const patch = 'number' in row;
  const lines = [
    strong(patch ? `[RFC patch ${pad(row.number)}/19] ${row.title}` : `${row.id}: ${row.title}`),
  ];
  lines.push(row.does);
  if (patch) lines.push(`${row.kind}; ${row.files.join(', ')}`, `without it: ${knobsText(row.knobs)}`);
  else lines.push(`mended: ${row.mended}`);
  for (const [i, item] of row.cases.entries()) {
    lines.push(
      '',
      strong(item.name),
      `bpflab sim programs/${item.object}.bpf.o --events programs/scenarios/${item.scenario}.json`,
    );
    for (const [at, run] of runs[i]!.entries()) lines.push('', ...sideLines(run, item.sides[at]!, strong));
    if (item.sameTrace !== undefined) {
      lines.push(
        '',
        item.sameTrace
          ? `${runs[i]![0].trace.length} events of the trace are ${SAME.replace('the same trace', 'the same')}`
          : 'the traces differ',
      );
    }
  }
  const changed = row.changesWithoutRt;
  lines.push(
    '',
    changed.length === 0 ? 'where the kernel is not RT: no difference' : `not RT: ${changed.join('; ')}`,
  );
  lines.push(strong(row.ok ? 'as it should be' : 'not as it should be'));
  return lines.join('\n');
}

const pad = (number: number): string => `${number}`.padStart(2, '0');

function knobsText(knobs: Readonly<Record<string, unknown>>): string {
  const set = Object.entries(knobs).map(([knob, value]) => `${knob} ${String(value)}`);
  return set.length === 0 ? 'nothing to turn' : set.join(', ');
}

function sideLines(run: SideRun, report: SideReport, strong: Strong): string[] {
  const { label, profile, knobs, seen, expected, ok, schedules } = report;
  const turned = Object.keys(knobs).length === 0 ? '' : ` with ${knobsText(knobs)}`;
  const searched = schedules === undefined ? '' : `, ${schedules} schedule${schedules > 1 ? 's' : ''}`;
  const lines = [strong(`${label}: ${profile}${turned}${searched}`)];
  lines.push(...(seen.length === 0 ? [NOTHING] : seen).map((line) => `  ${line}`));
  if (!ok)
    lines.push('  expected:', ...(expected.length === 0 ? [NOTHING] : expected).map((line) => `    ${line}`));
  if (report.console.length > 0) lines.push('  console', ...report.console.map((line) => `    ${line}`));
  const story = run.story();
  if (story.length > 0) lines.push('  schedule', ...story.map(storyLine));
  else lines.push('  trace', ...traceLines(run.trace));
  return lines;
}

function storyLine({ cpu, who, what }: StoryLine): string {
  return `    CPU ${cpu}  ${who.padEnd(30)} ${what}`;
}

function traceLines(events: readonly TraceEvent[]): string[] {
  const shown = events.slice(0, TRACE_LINES).map((event) => `    ${traceLine(event)}`);
  return events.length <= TRACE_LINES ? shown : [...shown, `    … ${events.length - TRACE_LINES} more`];
}

function traceLine(event: TraceEvent): string {
  return `${(event.timeNs / 1000).toFixed(3).padStart(12)} µs  CPU ${event.cpu}  ${traceText(event)}`;
}

function traceText(event: TraceEvent): string {
  switch (event.kind) {
    case 'switch':
      return `${event.prev.comm}/${event.prev.pid} (${event.state}) gives way to ${event.next.comm}/${event.next.pid}`;
    case 'wake':
      return `wakes ${event.task.comm}/${event.task.pid} on CPU ${event.target}`;
    case 'migrate':
      return `${event.task.comm}/${event.task.pid} moves from CPU ${event.from} to ${event.to}`;
    case 'irq':
      return `${event.context} ${event.name}: ${event.phase}`;
    case 'lock':
      return `${event.lock} ${event.phase} by ${event.pid}`;
    case 'count':
      return `${event.name} 0x${event.value.toString(16)}`;
    case 'prog':
      return `program ${event.name}: ${event.phase}, preempt_count 0x${event.preemptCount.toString(16)}`;
  }
}
