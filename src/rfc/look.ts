/** What can be seen of a run that is over, as lines: reports, deadlocks, counters, statistics, latencies. */
import type { Splat } from '../kernel/console.js';
import type { Kernel } from '../kernel/kernel.js';
import type { LoadedObject } from '../kernel/loaded-object.js';
import type { SimResult } from '../kernel/sim/result.js';

/** A run that is over. */
export interface Seen {
  readonly kernel: Kernel;
  readonly loaded: LoadedObject<Kernel>;
  readonly result: SimResult;
}

type Look = (seen: Seen) => readonly string[];

/** Head of the account of a deadlock, which says nothing by itself. */
const DEADLOCK_HEAD = 'bpflab: deadlock: a circle of waiters';

/** Reports of the kernel's debug checks: the title and the circumstances; who waits for whom. */
function reports({ result }: Seen): readonly string[] {
  return result.splats.flatMap(reportLines);
}

function reportLines({ kind, lines }: Splat): readonly string[] {
  const [title = '', circumstances = ''] = lines;
  switch (kind) {
    case 'deadlock':
      return [`deadlock: ${lines.filter((line) => line !== DEADLOCK_HEAD).join('; ')}`];
    case 'sleeping-in-atomic':
    case 'assuming-atomic':
    case 'assuming-non-migratable':
      return [title, circumstances];
    default:
      return [title];
  }
}

/** Runs of a program on each CPU that began there and ended elsewhere. */
function statistics({ kernel, loaded }: Seen): readonly string[] {
  const bytes = kernel.bpf.mapLookup(loaded.map('statistics'), new Uint8Array(4));
  if (typeof bytes === 'number') return [];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: bytes.length / 16 }, (_, cpu) => {
    const begun = view.getBigUint64(cpu * 16, true);
    const ended = view.getBigUint64(cpu * 16 + 8, true);
    return begun === ended ? [] : [`torn: of the runs counted on CPU ${cpu} ${begun} began, ${ended} ended`];
  }).flat();
}

/** Counters that have not come back to zero: tracing programs of the CPU stay off. */
function active({ kernel }: Seen): readonly string[] {
  return [...kernel.instrumentation.progActive].flatMap((count, cpu) =>
    count === 0 ? [] : [`bpf_prog_active of CPU ${cpu} stays at ${count}: its tracing programs are muted`],
  );
}

function missed({ result }: Seen): readonly string[] {
  return result.programs.flatMap(({ name, skipped }) =>
    skipped === 0 ? [] : [`${name} did not run for ${skipped} event${skipped > 1 ? 's' : ''}`],
  );
}

/** What a program's operation on a map got. */
function answer({ kernel, loaded }: Seen): readonly string[] {
  const bytes = kernel.bpf.mapLookup(loaded.map('answer'), new Uint8Array(4));
  if (typeof bytes === 'number') return [];
  const value = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getBigInt64(0, true);
  return value < 0n ? [`a program's update got ${value}`] : [];
}

/** System calls on maps that were refused. */
function refused({ result }: Seen): readonly string[] {
  return result.events.flatMap(({ kind, comm, result: value }) =>
    kind === 'mapUpdate' && typeof value === 'number' && value < 0 ? [`${comm}'s update got ${value}`] : [],
  );
}

/** `preempt_count` that each run of a program found. */
function counts({ kernel }: Seen): readonly string[] {
  const events = kernel.sched.trace?.events ?? [];
  return events.flatMap((event) =>
    event.kind === 'prog' && event.phase === 'start'
      ? [`${event.name} runs with preempt_count 0x${event.preemptCount.toString(16)}`]
      : [],
  );
}

function irqsOff({ result }: Seen): readonly string[] {
  const { irqsoff } = result.latency;
  return irqsoff === undefined ? [] : [`interrupts off for ${irqsoff.ns} ns since ${irqsoff.place}`];
}

function preemptOff({ result }: Seen): readonly string[] {
  const { preemptoff } = result.latency;
  return preemptoff === undefined ? [] : [`preemption off for ${preemptoff.ns} ns since ${preemptoff.place}`];
}

const LOOKS = { reports, statistics, active, missed, answer, refused, counts, irqsOff, preemptOff } as const;

export type LookName = keyof typeof LOOKS;

/** What is seen, in the order of the looks. */
export function lookAt(seen: Seen, looks: readonly LookName[]): string[] {
  return looks.flatMap((name) => (LOOKS[name] satisfies Look)(seen));
}
