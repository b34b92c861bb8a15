/**
 * The number that the series' cover letter did not have: how long map operations keep preemption off, interrupts off, and a
 * lock held, at worst, in simulated time (docs/latency.md has the cost model). Each point has a kernel of its own, in which
 * tasks on so many CPUs do the same operation at the same time.
 */
import type { BpfMap } from '../kernel/bpf/map.js';
import { Kernel } from '../kernel/kernel.js';
import { kernelProfile } from '../kernel/profile.js';
import { type Flow, point } from '../kernel/sched/flow.js';
import type { LatencyReport, Worst } from '../kernel/sched/latency.js';
import { attrOf, keyOf, LATENCY_OPS, type LatencyOp, newValue } from './latency-ops.js';

/** Where a point is measured. */
export interface LatencySetting {
  /** Kernel profile. */
  readonly profile: string;
  readonly entries: number;
  readonly cpus: number;
  /** CPUs that are at it, at most `cpus`. */
  readonly busy: number;
}

/** The worst of each kind, in simulated nanoseconds; 0 where there was none. */
export interface LatencyPoint extends LatencySetting {
  readonly map: string;
  readonly op: string;
  readonly rt: boolean;
  readonly preemptoffNs: number;
  readonly irqsoffNs: number;
  readonly heldNs: number;
  /** The class of the lock that was held for so long, and where the worst sections began. */
  readonly lock: string;
  readonly preemptoffAt: string;
  readonly irqsoffAt: string;
}

/** Operations of each task. */
const ROUNDS = 12;
const FIRST_PID = 3000;
/**
 * What a task does between two operations, ns for each CPU: long enough for all others to have had the lock, since spinning
 * locks here let anybody in, where Linux's have a queue.
 */
const THINK_NS = 20_000;
const DONE = point('after an operation');
const THINKING = point('between two operations');

export { LATENCY_OPS, type LatencyOp } from './latency-ops.js';

/** Every operation at every setting, in that order. */
export function measureLatencies(
  settings: readonly LatencySetting[],
  ops: readonly LatencyOp[] = LATENCY_OPS,
): LatencyPoint[] {
  return ops.flatMap((op) => settings.map((setting) => measureLatency(op, setting)));
}

export function measureLatency(op: LatencyOp, setting: LatencySetting): LatencyPoint {
  const profile = kernelProfile(setting.profile);
  // Entering an interrupt is nothing that a map does, and lockdep costs the host time only.
  const kernel = new Kernel({
    profile,
    cpus: setting.cpus,
    interleaved: true,
    lockdep: 'off',
    costs: { interrupt: 0 },
  });
  try {
    return pointOf(op, setting, profile.rt, worstOf(kernel, op, setting));
  } finally {
    kernel.dispose();
  }
}

function worstOf(kernel: Kernel, op: LatencyOp, { entries, busy, cpus }: LatencySetting): LatencyReport {
  const { sched, executor } = kernel;
  const map = kernel.bpf.mapCreate(attrOf(op.map, entries));
  if (op.run === undefined) return kernel.latency();
  fill(kernel, map, op.fill(entries));
  sched.latency.reset();
  for (let cpu = 0; cpu < Math.min(busy, cpus); cpu++) {
    const pid = FIRST_PID + cpu;
    const attr = { pid, tgid: pid, comm: `busy/${cpu}`, uid: 0, gid: 0, affinity: [cpu] };
    sched.spawn(attr, () => repeat({ kernel, map, cpu, cpus, entries }, op));
  }
  executor.settle();
  return kernel.latency();
}

function* repeat(
  turn: { kernel: Kernel; map: BpfMap; cpu: number; cpus: number; entries: number },
  { run }: LatencyOp,
): Flow<void> {
  const { sched } = turn.kernel;
  for (let round = 0; round < ROUNDS; round++) {
    yield* run!({ ...turn, round });
    // Whoever waited goes on at the time of this step, not after the pause.
    yield* sched.point(DONE);
    sched.charge(turn.cpus * THINK_NS);
    yield* sched.point(THINKING);
  }
}

function fill(kernel: Kernel, map: BpfMap, count: number): void {
  const value = newValue(map);
  for (let i = 0; i < count; i++) kernel.bpf.mapUpdate(map, keyOf(map, i), value);
}

function pointOf(
  op: LatencyOp,
  setting: LatencySetting,
  rt: boolean,
  { preemptoff, irqsoff, held }: LatencyReport,
): LatencyPoint {
  const [longest] = held;
  const ns = (worst: Worst | undefined): number => worst?.ns ?? 0;
  return {
    map: op.map.name,
    op: op.name,
    ...setting,
    rt,
    preemptoffNs: ns(preemptoff),
    irqsoffNs: ns(irqsoff),
    heldNs: ns(longest),
    lock: longest?.lockClass ?? '',
    preemptoffAt: preemptoff?.place ?? '',
    irqsoffAt: irqsoff?.place ?? '',
  };
}
