/** What `bpflab latency` says: a row an operation and setting, or lines to be drawn. */
import type { LatencyPoint } from '../rfc/latency.js';
import type { Plot, PlotLine } from './plot.js';
import { table } from './table.js';

/** What is drawn along the horizontal axis. */
export type LatencyAxis = 'entries' | 'cpus' | 'busy';

const KINDS = { preemptoff: 'preemptoffNs', irqsoff: 'irqsoffNs', held: 'heldNs' } as const;

export type LatencyKind = keyof typeof KINDS;

const AXIS_LABELS: Readonly<Record<LatencyAxis, string>> = {
  entries: 'elements that the map has room for',
  cpus: 'CPUs',
  busy: 'CPUs that do it at once',
};
const KIND_LABELS: Readonly<Record<LatencyKind, string>> = {
  preemptoff: 'longest section without preemption, ns',
  irqsoff: 'longest section without interrupts, ns',
  held: 'longest time that a lock was held, ns',
};

export function latencyText(points: readonly LatencyPoint[]): string {
  const header = [
    'map',
    'operation',
    'kernel',
    'elements',
    'CPUs',
    'busy',
    'preempt off',
    'irqs off',
    'held',
    'lock',
  ];
  const rows = points.map((point) => [
    point.map,
    point.op,
    point.profile,
    `${point.entries}`,
    `${point.cpus}`,
    `${point.busy}`,
    nanos(point.preemptoffNs),
    nanos(point.irqsoffNs),
    nanos(point.heldNs),
    point.lock,
  ]);
  const align = [
    'left',
    'left',
    'left',
    'right',
    'right',
    'right',
    'right',
    'right',
    'right',
    'left',
  ] as const;
  return table(header, rows, { align });
}

const nanos = (ns: number): string => (ns === 0 ? '-' : `${ns} ns`);

/** A line for each operation and kernel that ever has such a section. */
export function latencyPlot(points: readonly LatencyPoint[], axis: LatencyAxis, kind: LatencyKind): Plot {
  const lines = new Map<string, [number, number][]>();
  for (const point of points) {
    const name = `${point.map}: ${point.op} (${point.profile})`;
    const line = lines.get(name) ?? [];
    line.push([point[axis], point[KINDS[kind]]]);
    lines.set(name, line);
  }
  const drawn: PlotLine[] = [...lines]
    .map(([name, line]) => ({ name, points: line.toSorted((a, b) => a[0] - b[0]) }))
    .filter(({ points: line }) => line.some(([, y]) => y > 0));
  return {
    title: 'Map operations in the simulated kernel',
    xLabel: AXIS_LABELS[axis],
    yLabel: KIND_LABELS[kind],
    lines: drawn,
  };
}
