/**
 * A schedule trace as trace-event JSON, which Perfetto and chrome://tracing open: a track for each CPU with tasks,
 * interrupts and programs as nested slices, lock waits and holds as asynchronous spans with arrows for hand-over, counters
 * for `preempt_count` and `bpf_prog_active`. Format: "Trace Event Format" (Google, 2016), JSON object form.
 */
import type { TraceEvent as KernelEvent } from '../kernel/sched/trace.js';

/** One event of the format; times in microseconds. */
export interface TraceEventJson {
  readonly name: string;
  readonly ph: 'B' | 'E' | 'b' | 'e' | 's' | 'f' | 'C' | 'M' | 'i';
  readonly ts: number;
  readonly pid: number;
  readonly tid: number;
  readonly cat?: string;
  readonly id?: number;
  /** Scope of an instant: its track. */
  readonly s?: 't';
  /** A flow ends at the slice around it. */
  readonly bp?: 'e';
  readonly args?: Readonly<Record<string, string | number>>;
}

export interface TraceEventFile {
  readonly displayTimeUnit: 'ns';
  readonly traceEvents: readonly TraceEventJson[];
}

/** The one "process" that the CPUs are tracks of. */
const PID = 1;

/** What is open on a CPU: the current task, on top of it programs and interrupts. */
interface Track {
  readonly open: string[];
  task: number;
}

/** A wait for a lock, or a hold. */
interface Span {
  readonly id: number;
  readonly lock: string;
  readonly cpu: number;
}

class Writer {
  readonly out: TraceEventJson[] = [];
  private readonly tracks = new Map<number, Track>();
  /** Names of program slices that a task has open while it is off its CPU. */
  private readonly parked = new Map<number, string[]>();
  /** By lock and holder: the span that is open; and by lock where it was last released. */
  private readonly spans = new Map<string, Span>();
  private readonly released = new Map<string, KernelEvent>();
  /** By span: whether it is a wait. */
  private readonly waits = new Map<number, boolean>();
  private ids = 0;

  track(cpu: number): Track {
    let track = this.tracks.get(cpu);
    if (track === undefined) {
      track = { open: [], task: 0 };
      this.tracks.set(cpu, track);
      this.out.push({
        name: 'thread_name',
        ph: 'M',
        ts: 0,
        pid: PID,
        tid: cpu,
        args: { name: `CPU ${cpu}` },
      });
    }
    return track;
  }

  add(event: KernelEvent): void {
    const track = this.track(event.cpu);
    switch (event.kind) {
      case 'switch':
        this.leave(event, track);
        if (event.next.pid !== 0) this.begin(event, `${event.next.comm}/${event.next.pid}`, 'task');
        for (const name of this.parked.get(event.next.pid) ?? []) this.begin(event, name, 'prog');
        this.parked.delete(event.next.pid);
        track.task = event.next.pid;
        break;
      case 'irq':
        if (event.phase === 'entry') this.begin(event, `${event.context} ${event.name}`, 'irq');
        else this.end(event, track);
        break;
      case 'prog':
        if (event.phase === 'start') this.begin(event, event.name, 'prog');
        else this.end(event, track);
        break;
      case 'wake':
        this.instant(event, `wake ${event.task.comm}/${event.task.pid} on CPU ${event.target}`);
        break;
      case 'migrate':
        this.instant(event, `move ${event.task.comm}/${event.task.pid}: CPU ${event.from} to ${event.to}`);
        break;
      case 'count': {
        const name = `${event.name} CPU ${event.cpu}`;
        this.out.push({ ...this.at(event), name, ph: 'C', args: { value: event.value } });
        break;
      }
      case 'lock':
        this.lock(event);
    }
  }

  /** Closes what is still open, so that every slice has an end. */
  finish(last: KernelEvent | undefined): void {
    if (last === undefined) return;
    // CPUs have their own times: what is open on one ends with the latest of all.
    for (const [cpu, track] of this.tracks) {
      while (track.open.length > 0) this.end({ ...last, cpu }, track);
    }
    for (const [key, { id, lock, cpu }] of this.spans) {
      this.out.push({
        ...this.at({ ...last, cpu }),
        cat: 'lock',
        name: this.spanName(key, lock),
        ph: 'e',
        id,
      });
    }
  }

  private leave(event: KernelEvent, track: Track): void {
    const programs = track.open.slice(1);
    if (programs.length > 0) this.parked.set(track.task, programs);
    while (track.open.length > 0) this.end(event, track);
  }

  private lock(event: Extract<KernelEvent, { kind: 'lock' }>): void {
    const { lock, phase, pid } = event;
    const key = `${lock} ${pid}`;
    const open = this.spans.get(key);
    const base = { ...this.at(event), cat: 'lock' };
    if (open !== undefined) {
      this.out.push({ ...base, name: this.spanName(key, lock), ph: 'e', id: open.id });
      this.spans.delete(key);
    }
    if (phase === 'released') {
      this.released.set(lock, event);
      return;
    }
    const id = ++this.ids;
    this.spans.set(key, { id, lock, cpu: event.cpu });
    this.waits.set(id, phase === 'contended');
    this.out.push({ ...base, name: this.spanName(key, lock), ph: 'b', id, args: { pid } });
    const from = this.released.get(lock);
    // Taken after a wait: an arrow from where it was given up.
    if (phase !== 'acquired' || open === undefined || from === undefined) return;
    this.out.push({ ...this.at(from), cat: 'lock', name: `hand over ${lock}`, ph: 's', id });
    this.out.push({ ...base, name: `hand over ${lock}`, ph: 'f', bp: 'e', id });
  }

  private spanName(key: string, lock: string): string {
    return this.waits.get(this.spans.get(key)?.id ?? 0) === true ? `wait ${lock}` : lock;
  }

  private begin(event: KernelEvent, name: string, cat: string): void {
    this.track(event.cpu).open.push(name);
    this.out.push({ ...this.at(event), name, ph: 'B', cat });
  }

  private end(event: KernelEvent, track: Track): void {
    const name = track.open.pop();
    if (name !== undefined) this.out.push({ ...this.at(event), name, ph: 'E' });
  }

  private instant(event: KernelEvent, name: string): void {
    this.out.push({ ...this.at(event), name, ph: 'i', s: 't', cat: 'sched' });
  }

  private at({ timeNs, cpu }: KernelEvent): { ts: number; pid: number; tid: number } {
    return { ts: timeNs / 1000, pid: PID, tid: cpu };
  }
}

/** Every event of a trace, in its order. `title` names the group of tracks. */
export function traceEventFile(events: readonly KernelEvent[], title = 'bpflab'): TraceEventFile {
  const writer = new Writer();
  writer.out.push({ name: 'process_name', ph: 'M', ts: 0, pid: PID, tid: 0, args: { name: title } });
  for (const event of events) writer.add(event);
  const end = events.reduce<KernelEvent | undefined>(
    (latest, event) => (latest === undefined || event.timeNs >= latest.timeNs ? event : latest),
    undefined,
  );
  writer.finish(end);
  // An arrow is known of only where it ends: by time, what comes later in the list may belong before.
  return { displayTimeUnit: 'ns', traceEvents: writer.out.toSorted((a, b) => a.ts - b.ts) };
}
